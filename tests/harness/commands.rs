//! Where the programs under test are, and whom they run as.

use nix::unistd::{Uid, User};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The user that sessions run as when the tests run as root (made by `install-packages test`).
pub const TEST_USER: &str = "bulkhead-test";

const EXECUTABLES: [&str; 22] = [
    "bulkhead",
    "bulkhead-supervisor",
    "bulkhead-launcher",
    "bulkhead-network",
    "bulkhead-auth",
    "bulkhead-auth-ldap",
    "bulkhead-auth-fido",
    "bulkhead-auth-keycloak",
    "bulkhead-auth-otpscreen",
    "bulkhead-auth-names",
    "bulkhead-auth-pam",
    "bulkhead-auth-sqlite",
    "bulkhead-auth-sql",
    "bulkhead-auth-kerberos",
    "bulkhead-auth-certificate",
    "bulkhead-keys",
    "bulkhead-display",
    "bulkhead-encoder",
    "bulkhead-ctl",
    "hostile-neighbour",
    "trace-rules",
    "lesser-kernel",
];

/// A directory with all our executables that every user can reach: a copy of what cargo built
/// beside this test, with the modes of `make install`. One per test process; those of processes
/// that have ended are removed.
///
/// # Panics
/// When one has not been built.
pub fn bin_dir() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        remove_old_copies();
        let test = std::env::current_exe().unwrap();
        let built = test.parent().and_then(Path::parent).unwrap();
        let dir = PathBuf::from(format!("{COPY_PREFIX}{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        chmod(&dir, 0o755);
        for name in EXECUTABLES {
            let to = dir.join(name);
            std::fs::copy(built.join(name), &to)
                .unwrap_or_else(|error| panic!("{name} is not built (make test does): {error}"));
            chmod(
                &to,
                if name.starts_with("bulkhead-") {
                    0o711
                } else {
                    0o755
                },
            );
        }
        dir
    })
}

/// The key of one-time codes of every test: base32 of twenty bytes.
pub const OTP_KEY: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

/// What that stands for.
pub const OTP_KEY_BYTES: &[u8] = b"Hello!\xde\xad\xbe\xefHello!\xde\xad\xbe\xef";

/// What a second implementation makes of [`OTP_KEY`]. `when`: `now`, `30 seconds`, `1 hour ago`.
///
/// # Panics
/// When there is none.
pub fn oathtool(when: &str) -> String {
    oathtool_of(OTP_KEY, when)
}

/// The same of another key.
///
/// # Panics
/// When there is none.
pub fn oathtool_of(key: &str, when: &str) -> String {
    let output = std::process::Command::new("oathtool")
        .args(["--totp", "--base32", "--now", when, key])
        .output()
        .expect("oathtool is installed");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

const COPY_PREFIX: &str = "/tmp/bulkhead-bin-";

fn remove_old_copies() {
    for entry in std::fs::read_dir("/tmp").into_iter().flatten().flatten() {
        let path = entry.path();
        let pid = path
            .to_str()
            .and_then(|path| path.strip_prefix(COPY_PREFIX));
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = std::fs::remove_dir_all(path);
        }
    }
}

/// Sets a mode.
///
/// # Panics
/// When the kernel refuses.
pub fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// The unprivileged user of the tests: [`TEST_USER`] when we are root, else ourselves.
///
/// # Panics
/// When there is no such user.
pub fn test_user() -> User {
    let user = if Uid::effective().is_root() {
        User::from_name(TEST_USER).unwrap()
    } else {
        User::from_uid(Uid::effective()).unwrap()
    };
    user.expect("the test user exists: tests/tools/install-packages test")
}

/// The stock client's command.
pub fn stock_xpra() -> PathBuf {
    cached("xpra-6.5.5").join("bin/xpra")
}

/// The command of the last stock client that has AES-CFB: it has no windows.
pub fn cfb_xpra() -> PathBuf {
    cached("xpra-6.4.4").join("bin/xpra")
}

/// The packages of the OpenID Connect provider.
pub fn oidc_provider() -> PathBuf {
    cached("oidc-provider-8.8.1")
}

fn cached(name: &str) -> PathBuf {
    let home = std::env::var_os("HOME")
        .map(PathBuf::from)
        .unwrap_or_default();
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or(home.join(".cache"), PathBuf::from);
    cache.join("bulkhead").join(name)
}
