//! A certificate for 127.0.0.1, and sockets with TLS.

use crate::processes;
use crate::session::{Session, free_port};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread::JoinHandle;
use std::time::Duration;
use test_client::{Address, Identity, Options};

const LONG: Duration = Duration::from_secs(20);

/// A certificate, what it is signed with, and its key: PEM.
pub struct Files {
    /// `tls-cert.pem` in the directory where every session is started.
    pub certificate: String,
    /// `tls-key.pem`.
    pub key: String,
    /// `tls-ca.pem`.
    pub authority: String,
    /// The same, as DER.
    pub authority_der: Vec<u8>,
    /// The private key as DER: what nobody but `keys` may have.
    pub key_der: Vec<u8>,
}

/// Those of every session of this process.
///
/// # Panics
/// When they cannot be made.
pub fn files() -> &'static Files {
    static FILES: OnceLock<Files> = OnceLock::new();
    FILES.get_or_init(|| made_until(4096))
}

/// A client's certificate, `client-cert.pem` in the directory where every session is started, with its
/// key, `client-key.pem`, and who has signed it, `client-ca.pem`; as PEM, and as the client has it.
pub struct Client {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
    /// Who has signed it.
    pub authority: String,
    /// What a client shows.
    pub identity: Identity,
}

/// That of every session of this process: of the user `ann`.
///
/// # Panics
/// When it cannot be made.
pub fn client() -> &'static Client {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let authority_key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&authority_key).unwrap();
        let issuer = Issuer::new(params, authority_key);
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "ann");
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        Client {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            authority: authority.pem(),
            identity: Identity {
                chain: vec![certificate.der().to_vec()],
                key: key.serialize_der(),
            },
        }
    })
}

/// A key of nobody's.
///
/// # Panics
/// When there is no randomness.
pub fn key() -> Vec<u8> {
    KeyPair::generate().unwrap().serialize_der()
}

/// A socket that lets in `ann`, by her certificate: its port and the option.
pub fn certificate_socket() -> (u16, String) {
    let (port, bind) = tls_socket("certificate(subject=CN=ann)");
    (port, format!("{bind},ssl-ca-certs=client-ca.pem"))
}

/// A login by certificate whose check waits: its process is confined, and stopped before it hears the
/// question. After ten seconds it would be ended.
pub struct Held {
    /// Its process id.
    pub pid: u32,
    login: JoinHandle<bool>,
}

impl Held {
    /// Logs in at the socket of [`certificate_socket`].
    ///
    /// # Panics
    /// When no such process can be caught.
    pub fn catch(session: &Session, port: u16) -> Self {
        let top = session.process().id();
        let signal = |pid: u32, signal| {
            let pid = Pid::from_raw(pid.try_into().unwrap());
            // It may have ended.
            let _ = kill(pid, signal);
        };
        let auth = processes::of_role(top, "auth")[0];
        for _ in 0..20 {
            let login = std::thread::spawn(move || {
                let address = address(port).showing(client().identity.clone());
                let mut options = Options::gtk();
                options.hello.share = true;
                // One that is let in after all replaces no client of the test.
                options.hello.identity.uuid = "7e57c11e0000000000000000000000fe".into();
                test_client::Client::connect(&address, &options, LONG).is_ok()
            });
            let found = || processes::of_role(top, "auth-certificate").pop();
            // It lives for milliseconds: a quick look, without asking who everybody is.
            while !children(top).iter().any(|pid| is_check(*pid)) && !login.is_finished() {}
            // Who cannot ask it keeps it waiting.
            signal(auth, Signal::SIGSTOP);
            let own = 1 + policy::of(policy::Role::AuthCertificate).refusals.len();
            let confined = processes::seccomp_filters(top).map(|inherited| inherited + own);
            let waits = found().is_some_and(|pid| {
                let waits = || match processes::seccomp_filters(pid) {
                    None => Some(false),
                    now => (now == confined).then_some(true),
                };
                crate::eventually("a check that is confined, or none", LONG, waits)
            });
            // It has nothing more to do then.
            std::thread::sleep(Duration::from_millis(50));
            let pid = found().filter(|_| waits);
            if let Some(pid) = pid {
                signal(pid, Signal::SIGSTOP);
            }
            signal(auth, Signal::SIGCONT);
            match pid {
                Some(pid) => return Self { pid, login },
                None => drop(login.join()),
            }
        }
        panic!("no check was caught");
    }

    /// Lets it go on: is the client let in?
    ///
    /// # Panics
    /// When the login does.
    pub fn release(self) -> bool {
        let pid = Pid::from_raw(self.pid.try_into().unwrap());
        let _ = kill(pid, Signal::SIGCONT);
        self.login.join().unwrap()
    }
}

/// Whom the only thread of a process has started.
fn children(pid: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let text = text.unwrap_or_default();
    let pids = text.split_whitespace().map(|pid| pid.parse().unwrap());
    pids.collect()
}

fn is_check(pid: u32) -> bool {
    let words = std::fs::read_to_string(format!("/proc/{pid}/cmdline"));
    words.is_ok_and(|words| words.starts_with("bulkhead-auth-certificate"))
}

/// Others, which are good until this year.
///
/// # Panics
/// When they cannot be made.
pub fn made_until(year: i32) -> Files {
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let name = "the tests' authority";
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let authority_key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(params, authority_key);
    let names = ["127.0.0.1", "localhost"].map(str::to_owned);
    let mut params = CertificateParams::new(names).unwrap();
    params.use_authority_key_identifier_extension = true;
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    Files {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
        authority: authority.pem(),
        authority_der: authority.der().to_vec(),
        key_der: key.serialize_der(),
    }
}

/// The private key of every session of this process, behind a pass phrase: PEM.
///
/// # Panics
/// When openssl(1) cannot make it.
pub fn locked_key(pass_phrase: &str) -> String {
    let mut openssl = Command::new("openssl")
        .args(["pkey", "-aes256", "-passout", "env:PASS_PHRASE"])
        .env("PASS_PHRASE", pass_phrase)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let key = files().key.as_bytes();
    openssl.stdin.take().unwrap().write_all(key).unwrap();
    let output = openssl.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A socket for TLS, with the certificate that is in every session's directory: its port and the
/// option. `auth`: how clients log in there.
pub fn tls_socket(auth: &str) -> (u16, String) {
    let port = free_port();
    let bind = format!(
        "--bind-ssl=127.0.0.1:{port},auth={auth},ssl-cert=tls-cert.pem,ssl-key=tls-key.pem"
    );
    (port, bind)
}

/// Where a client that trusts our authority finds it.
pub fn address(port: u16) -> Address {
    Address::tls(format!("127.0.0.1:{port}"), &files().authority_der)
}
