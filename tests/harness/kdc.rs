//! A real KDC of a test's own, MIT's, on loopback, with a few principals.

use crate::commands::{chmod, test_user};
use crate::eventually;
use crate::process::Process;
use crate::session::{Start, free_port};
use nix::unistd::{Uid, chown};
use std::fmt::Write;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The realm of [`Kdc::start`].
pub const REALM: &str = "BULKHEAD.TEST";
/// Our service there, in its two parts.
pub const SERVICE: [&str; 2] = ["xpra", "localhost"];
/// Alice's password.
pub const ALICE: &str = "alice's secret: ü";

/// Who there is in the database: what `kadmin.local` is told.
const PRINCIPALS: [&str; 16] = [
    "addpol strict",
    "addprinc -pw \"alice's secret: ü\" alice",
    "addprinc -pw bob's +requires_preauth bob",
    "addprinc -pw expired -expire \"2001-01-01\" expired",
    "addprinc -pw aged -pwexpire \"2001-01-01\" aged",
    "addprinc -pw locked -allow_tix locked",
    "addprinc -pw changed +needchange changed",
    "addprinc -pw instance alice/admin",
    "addprinc -e rc4-hmac:normal -pw old old",
    "addprinc -randkey xpra/localhost",
    "addprinc -randkey other/localhost",
    "ktadd -k xpra.keytab xpra/localhost",
    "ktadd -k other.keytab other/localhost",
    "addprinc -e rc4-hmac:normal -randkey rc4/localhost",
    "ktadd -norandkey -k rc4.keytab rc4/localhost",
    // Whose server is another one, but who has the same names.
    "ktadd -norandkey -k both.keytab xpra/localhost other/localhost",
];

/// A KDC with users and services, and files for clients and services.
pub struct Kdc {
    process: Process,
    directory: tempfile::TempDir,
    /// Its port on 127.0.0.1.
    pub port: u16,
}

/// The key of [`lonely_keytab`].
pub const LONELY_KEY: &[u8; 32] = b"a key that no KDC knows, of AES.";

/// A keytab with a key that no KDC knows, for who starts a session.
///
/// # Panics
/// When it cannot be written.
pub fn lonely_keytab(path: &Path, start: Start) {
    let text = |text: &str| {
        let len = u16::try_from(text.len()).unwrap();
        [&len.to_be_bytes()[..], text.as_bytes()].concat()
    };
    let kind = 18_u16;
    let entry = [
        &2_u16.to_be_bytes()[..],
        &text(REALM),
        &text(SERVICE[0]),
        &text(SERVICE[1]),
        // The type of the name, when it was made, its number.
        &1_u32.to_be_bytes(),
        &0_u32.to_be_bytes(),
        &[1],
        &kind.to_be_bytes(),
        &32_u16.to_be_bytes(),
        LONELY_KEY,
    ]
    .concat();
    let len = u32::try_from(entry.len()).unwrap();
    let file = [&[5, 2][..], &len.to_be_bytes(), &entry].concat();
    std::fs::write(path, file).unwrap();
    give(path, start);
}

/// Makes a file one of who starts a session.
fn give(path: &Path, start: Start) {
    chmod(path, 0o600);
    if start == Start::User && Uid::effective().is_root() {
        let user = test_user();
        chown(path, Some(user.uid), Some(user.gid)).unwrap();
    }
}

/// A KDC that takes questions and answers none.
pub struct SilentKdc {
    server: TcpListener,
    directory: tempfile::TempDir,
}

impl SilentKdc {
    /// For sessions that are started like this.
    ///
    /// # Panics
    /// When there is no port.
    #[must_use]
    pub fn new(start: Start) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("bulkhead-kdc-")
            .tempdir_in("/tmp")
            .unwrap();
        chmod(directory.path(), 0o755);
        lonely_keytab(&directory.path().join("keytab"), start);
        Self {
            server: TcpListener::bind("127.0.0.1:0").unwrap(),
            directory,
        }
    }

    /// The module that asks it.
    #[must_use]
    pub fn module(&self) -> String {
        format!(
            "kerberos-password(service={},realm={REALM},keytab={},kdc=127.0.0.1:{},timeout=50)",
            SERVICE.join("/"),
            self.directory.path().join("keytab").display(),
            self.server.local_addr().unwrap().port()
        )
    }

    /// Waits until it is asked. When what is returned is dropped, there is no answer.
    ///
    /// # Panics
    /// When nobody asks.
    #[must_use]
    pub fn is_asked(&self) -> Vec<TcpStream> {
        let mut asked: Vec<_> = (0..CONNECTIONS)
            .map(|_| self.server.accept().unwrap().0)
            .collect();
        asked[0].read_exact(&mut [0]).unwrap();
        asked
    }
}

/// How many connections to one address a login makes.
const CONNECTIONS: usize = 4;

impl Kdc {
    /// Starts one of [`REALM`], and waits until it answers.
    ///
    /// # Panics
    /// When it does not, or is not installed.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(REALM, "")
    }

    /// Starts one of this realm, with this in its own configuration.
    ///
    /// # Panics
    /// When it does not answer, or is not installed.
    #[must_use]
    pub fn start_with(realm: &str, more: &str) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("bulkhead-kdc-")
            .tempdir_in("/tmp")
            .unwrap();
        let t = directory.path();
        // The session's user reads what a test puts there.
        chmod(t, 0o755);
        let port = free_port();
        let path = |name: &str| t.join(name).display().to_string();
        let client = format!(
            "[libdefaults]\ndefault_realm = {realm}\nrdns = false\ndns_canonicalize_hostname = false\n\
             dns_lookup_kdc = false\nudp_preference_limit = 1\nallow_weak_crypto = true\n\
             permitted_enctypes = aes256-cts aes128-cts rc4-hmac\n{more}\n\
             [realms]\n{realm} = {{\nkdc = 127.0.0.1:{port}\n}}\n"
        );
        std::fs::write(t.join("krb5.conf"), client).unwrap();
        let mut server = format!(
            "[kdcdefaults]\nkdc_listen = 127.0.0.1:{port}\nkdc_tcp_listen = 127.0.0.1:{port}\n\
             [realms]\n{realm} = {{\ndatabase_name = {}\nkey_stash_file = {}\nacl_file = {}\n\
             supported_enctypes = aes256-cts:normal aes128-cts:normal\n",
            path("principal"),
            path("stash"),
            path("acl"),
        );
        writeln!(server, "}}\n[logging]\nkdc = STDERR").unwrap();
        std::fs::write(t.join("kdc.conf"), server).unwrap();
        let it = |program: &str| {
            let mut command = Command::new(program);
            command
                .current_dir(t)
                .env("KRB5_CONFIG", t.join("krb5.conf"))
                .env("KRB5_KDC_PROFILE", t.join("kdc.conf"));
            command
        };
        let run = |command: &mut Command| {
            let output = command
                .output()
                .unwrap_or_else(|error| panic!("{command:?}: {error}"));
            let said = String::from_utf8_lossy(&output.stderr);
            let bad = said.contains("kadmin.local:") || !output.status.success();
            assert!(!bad, "{command:?}: {output:?}");
        };
        run(it("/usr/sbin/kdb5_util").args(["-r", realm, "create", "-s", "-P", "master"]));
        let script = PRINCIPALS.join("\n") + "\n";
        std::fs::write(t.join("script"), script).unwrap();
        let script = std::fs::File::open(t.join("script")).unwrap();
        run(it("/usr/sbin/kadmin.local")
            .args(["-r", realm])
            .stdin(script));
        for keytab in ["xpra.keytab", "other.keytab", "both.keytab"] {
            chmod(&t.join(keytab), 0o600);
        }
        let mut command = it("/usr/sbin/krb5kdc");
        command.args(["-n", "-r", realm, "-P"]).arg(t.join("pid"));
        let process = Process::start(&mut command);
        eventually("krb5kdc", Duration::from_secs(20), || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Self {
            process,
            directory,
            port,
        }
    }

    /// A path beside this server's files: `xpra.keytab`, `other.keytab`, `both.keytab`.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What clients are told of it.
    #[must_use]
    pub fn configuration(&self) -> PathBuf {
        self.file("krb5.conf")
    }

    /// A copy of our keytab for who starts a session.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn keytab_for(&self, start: Start) -> PathBuf {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = self.file(&format!("session-{count}.keytab"));
        std::fs::copy(self.file("xpra.keytab"), &path).unwrap();
        give(&path, start);
        path
    }

    /// A module of ours that asks this server, or reads its tickets: `kerberos-password`,
    /// `kerberos-token` or `gss`.
    #[must_use]
    pub fn module(&self, name: &str, start: Start) -> String {
        let kdc = match name {
            "kerberos-password" => format!(",kdc=127.0.0.1:{}", self.port),
            _ => String::new(),
        };
        format!(
            "{name}(service={},realm={REALM},keytab={}{kdc})",
            SERVICE.join("/"),
            self.keytab_for(start).display()
        )
    }

    /// What a client needs in its environment, with the tickets of this cache.
    #[must_use]
    pub fn environment(&self, cache: &Path) -> [(&'static str, String); 2] {
        [
            ("KRB5_CONFIG", self.configuration().display().to_string()),
            ("KRB5CCNAME", format!("FILE:{}", cache.display())),
        ]
    }

    /// Changes the database: a line for `kadmin.local`.
    ///
    /// # Panics
    /// When that says no.
    pub fn change(&self, line: &str) {
        let output = Command::new("/usr/sbin/kadmin.local")
            .args(["-q", line])
            .current_dir(self.directory.path())
            .env("KRB5_CONFIG", self.configuration())
            .env("KRB5_KDC_PROFILE", self.file("kdc.conf"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && !said.contains("while"),
            "{line}: {output:?}"
        );
    }

    /// Gets a user a ticket, into a file of this name.
    ///
    /// # Panics
    /// When the server does not give one.
    pub fn kinit(&self, user: &str, password: &str, cache: &str) -> PathBuf {
        let path = self.file(cache);
        let (told, typed) = (
            self.file(&format!("{cache}.typed")),
            format!("{password}\n"),
        );
        std::fs::write(&told, typed).unwrap();
        let output = Command::new("/usr/bin/kinit")
            .arg("-c")
            .arg(format!("FILE:{}", path.display()))
            .arg(user)
            .env("KRB5_CONFIG", self.configuration())
            .stdin(std::fs::File::open(&told).unwrap())
            .output()
            .expect("krb5-user is installed");
        assert!(output.status.success(), "{user}: {output:?}");
        chmod(&path, 0o644);
        path
    }

    /// A first token for a service (`xpra@localhost`), as the handler `gss` of the stock client makes
    /// it, with the tickets of this cache.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn token(&self, cache: &Path, service: &str) -> Vec<u8> {
        let program = format!(
            "import gssapi, sys\n\
             name = gssapi.Name('{service}', gssapi.NameType.hostbased_service)\n\
             context = gssapi.SecurityContext(name=name, usage='initiate')\n\
             sys.stdout.buffer.write(context.step())\n"
        );
        self.python(cache, &program)
    }

    /// What a program in Python writes that knows this server and has these tickets.
    ///
    /// # Panics
    /// When it fails.
    #[must_use]
    pub fn python(&self, cache: &Path, program: &str) -> Vec<u8> {
        let output = Command::new("/usr/bin/python3")
            .args(["-c", program])
            .envs(self.environment(cache))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    }

    /// The server, to stop and to end.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }
}
