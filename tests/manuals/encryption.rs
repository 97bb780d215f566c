//! `docs/encryption.md`.

use bulkhead_tests::commands::chmod;
use bulkhead_tests::manual::{Reader, blocks};
use bulkhead_tests::pam::SystemUser;
use bulkhead_tests::session::Start;
use nix::unistd::{User, chown};
use std::path::PathBuf;

/// The page goes on as if both files had been brought there.
const BROUGHT: &str = "cp ~/.config/bulkhead/ssl/ca-cert.pem .";

pub fn tls([made, attach]: [String; 2]) {
    let reader = Reader::new(Start::User);
    let said = reader.types(&made);
    let own = "openssl x509 -noout -fingerprint -sha256 -in ~/.config/bulkhead/ssl/cert.pem";
    let fingerprint = reader.types(own);
    let (_, fingerprint) = fingerprint.trim().split_once('=').unwrap();
    assert!(said.contains(fingerprint), "{said}");
    reader.types(BROUGHT);
    assert!(reader.is_shown(&attach, &[]));
    reader.logged("encrypted with TLS 1.3");
    reader.types("printf wrong > other.txt");
    assert!(!reader.is_shown(&attach.replace("password.txt", "other.txt"), &[]));
}

/// The certificate that a port shows.
fn shown(reader: &Reader) -> String {
    reader.types("openssl s_client -connect that-machine:10000 < /dev/null 2> s_client.log | openssl x509 -noout -fingerprint")
}

/// certbot itself asks an authority of the internet; what it runs when it has a certificate is its `--deploy-hook`, by a
/// shell, as root, with these names.
fn certbot(reader: &Reader, line: &str) {
    let stand_in = "certbot() {\n\
        [ \"$1 $2\" = 'renew --deploy-hook' ]\n\
        RENEWED_LINEAGE=~/live RENEWED_DOMAINS=that-machine sh -e -c \"$3\"\n\
        }\n";
    reader.types(&format!("{stand_in}{line}"));
}

pub fn a_new_certificate([by_hand, by_certbot]: [String; 2]) {
    let [made, attach] = blocks("TLS", "Try it");
    let again = "rm -r ~/.config/bulkhead/ssl; bulkhead setup-ssl that-machine";
    let reader = Reader::new(Start::User);
    reader.types(&made);
    let first = shown(&reader);
    reader.types(again);
    assert_eq!(shown(&reader), first);
    reader.types(&by_hand);
    assert_ne!(shown(&reader), first);
    reader.types(BROUGHT);
    assert!(reader.is_shown(&attach, &[]));
    if !needs::root("be certbot") {
        return;
    }
    let hooks: Vec<_> = by_certbot.lines().collect();
    let [of_root, of_ann] = hooks[..] else {
        panic!("{by_certbot}");
    };
    let (files, start) = made.split_once("bulkhead seamless").unwrap();
    let names = "password.txt),ssl-cert=TLS/fullchain.pem,ssl-key=TLS/privkey.pem";
    let start = start.replace("password.txt)", names);
    let live = "mkdir -p live; cp ~/.config/bulkhead/ssl/cert.pem live/fullchain.pem; \
        cp ~/.config/bulkhead/ssl/key.pem live/privkey.pem";
    let ann = Ann::new();
    // A session of root's, with certbot's own files; and one of hers, with copies.
    for (hook, who, tls) in [
        (
            of_root,
            format!("bulkhead seamless --uid={}", ann.user.name()),
            "live",
        ),
        (of_ann, ann.types("bulkhead seamless"), "/ann/tls"),
    ] {
        let reader = Reader::new(Start::Root)
            .calls(
                "/ann/tls",
                &ann.home.path().join("tls").display().to_string(),
            )
            .calls("ann", ann.user.name());
        reader.types(files);
        reader.types(live);
        reader.types("install -d -o ann /ann/tls; install -o ann -m 600 -t /ann/tls live/*.pem; chown ann password.txt");
        reader.types(&format!("{who}{}", start.replace("TLS", tls)));
        let first = shown(&reader);
        reader.types(&format!("{again}\n{live}"));
        assert_eq!(shown(&reader), first);
        certbot(&reader, hook);
        assert_ne!(shown(&reader), first);
    }
}

/// A user with a home directory, and a place for sessions.
struct Ann {
    user: SystemUser,
    home: tempfile::TempDir,
    runtime: PathBuf,
}

impl Ann {
    fn new() -> Self {
        let user = SystemUser::new("any");
        let uid = User::from_name(user.name()).unwrap().unwrap().uid;
        let home = tempfile::tempdir_in("/tmp").unwrap();
        let runtime = PathBuf::from(format!("/run/user/{uid}"));
        user.run(&["usermod", "--home", &home.path().display().to_string()]);
        std::fs::create_dir_all(&runtime).unwrap();
        for path in [home.path(), &runtime] {
            chmod(path, 0o700);
            chown(path, Some(uid), None).unwrap();
        }
        Self {
            user,
            home,
            runtime,
        }
    }

    /// She types this, and not root.
    fn types(&self, command: &str) -> String {
        let runtime = self.runtime.display();
        format!("runuser -u ann -- env XDG_RUNTIME_DIR={runtime} {command}")
    }
}

impl Drop for Ann {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.runtime);
    }
}

pub fn certificates_of_clients([made, listed, lost]: [String; 3]) {
    let reader = Reader::new(Start::User);
    let [own, _] = blocks("TLS", "Try it");
    reader.types(own.lines().next().unwrap());
    reader.types(BROUGHT);
    let (before, attach) = made.split_once("xpra attach ").unwrap();
    let attach = format!("xpra attach {attach}");
    reader.types(before);
    assert!(reader.is_shown(&attach, &[]));
    reader.logged("by certificate");
    reader.ends_it();
    reader.types(&listed);
    let (_, start) = before.split_once("\n\n").unwrap();
    reader.types(&start.replace("=ca.pem", "=trust.pem"));
    assert!(reader.is_shown(&attach, &[]));
    reader.types(&lost);
    assert!(!reader.is_shown(&attach, &[]));
    reader.logged("it is revoked");
}

pub fn aes([made, attach]: [String; 2]) {
    let reader = Reader::new(Start::User);
    let said = reader.types(&made);
    assert!(reader.is_shown(&attach, &[]));
    // As the page says, the session prints such a command too.
    let printed = said
        .lines()
        .find_map(|line| Some(line.split_once("attach with: ")?.1));
    assert!(reader.is_shown(printed.unwrap(), &[]));
    reader.logged("encrypted with AES-CTR");
    reader.types("printf wrong > other.txt");
    assert!(!reader.is_shown(&attach.replace("password.txt", "other.txt"), &[]));
}
