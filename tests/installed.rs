//! `make install` and `make uninstall`, with the executables that were built beside this test.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const SHELLS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/bulkhead"),
    ("zsh", "usr/share/zsh/site-functions/_bulkhead"),
    ("fish", "usr/share/fish/vendor_completions.d/bulkhead.fish"),
];
const COMMANDS: [&str; 18] = [
    "seamless",
    "list",
    "info",
    "version",
    "id",
    "screenshot",
    "detach",
    "stop",
    "exit",
    "audit",
    "policy",
    "otp-key",
    "auth-test",
    "reload",
    "setup-ssl",
    "passwd",
    "u2f",
    "fido2",
];

/// Further pages: of `passwd add` and the like.
const OF_A_COMMAND: usize = 4;

/// Runs a target of the Makefile without building anything.
fn make(target: &str, destination: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let test = std::env::current_exe().unwrap();
    let built = test.parent().and_then(Path::parent).unwrap();
    let output = Command::new("make")
        .args(["-o", "build", target, "PREFIX=/usr"])
        .arg(format!("DESTDIR={}", destination.display()))
        .arg(format!("RELEASE={}", built.display()))
        .current_dir(root)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().flatten();
    let all = entries.flat_map(|entry| match entry.path() {
        path if path.is_dir() => files(&path),
        path => vec![path],
    });
    all.collect()
}

/// Runs a program on a file, if it is installed; it has nothing to say.
fn accepts(program: &str, args: &[&str], file: &Path) {
    match Command::new(program).args(args).arg(file).output() {
        Ok(output) => {
            let said =
                String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success(),
                "{program} {}: {said}",
                file.display()
            );
        }
        Err(error) => println!("skipped: {program}: {error}"),
    }
}

#[test]
fn everything_is_where_it_belongs_can_be_read_and_goes_again() {
    let destination = tempfile::tempdir().unwrap();
    make("install", destination.path());
    let at = |name: &str| destination.path().join(name);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let executables = files(&at("usr/libexec/bulkhead"));
    assert_eq!(executables.len(), 18);
    for file in executables {
        assert_eq!(mode(&file), 0o711, "{}", file.display());
    }
    assert_eq!(mode(&at("usr/bin/bulkhead")), 0o755);

    let pages = files(&at("usr/share/man/man1"));
    assert_eq!(pages.len(), COMMANDS.len() + 1 + OF_A_COMMAND);
    for command in COMMANDS {
        let page = at(&format!("usr/share/man/man1/bulkhead-{command}.1"));
        assert_eq!(mode(&page), 0o644);
        let rendered = Command::new("man")
            .arg("-l")
            .arg(&page)
            .env("MANPAGER", "cat")
            // A fresh Debian has no locale, and troff then no ellipsis.
            .env("LC_ALL", "C.UTF-8")
            .output();
        let rendered = rendered.unwrap();
        let text = String::from_utf8_lossy(&rendered.stdout).into_owned();
        assert!(
            rendered.status.success() && rendered.stderr.is_empty(),
            "{rendered:?}"
        );
        assert!(
            text.contains("SYNOPSIS") && text.contains("OPTIONS"),
            "{text}"
        );
        accepts("mandoc", &["-T", "lint", "-W", "error"], &page);
    }
    for (shell, file) in SHELLS {
        let file = at(file);
        assert_eq!(mode(&file), 0o644);
        let text = std::fs::read_to_string(&file).unwrap();
        for command in COMMANDS {
            assert!(text.contains(command), "{shell}: {command}");
        }
        assert!(!text.contains("generate"), "{shell}");
        accepts(shell, &["-n"], &file);
    }
    // A bash that has read it completes.
    let script = "source $0; COMP_WORDS=(bulkhead sea); COMP_CWORD=1; \
        _bulkhead bulkhead sea bulkhead; echo ${COMPREPLY[*]}";
    let completed = Command::new("bash")
        .args(["-c", script])
        .arg(at(SHELLS[0].1))
        .output();
    assert_eq!(completed.unwrap().stdout, b"seamless\n");

    make("uninstall", destination.path());
    assert_eq!(files(destination.path()), [] as [PathBuf; 0]);
}
