//! A certificate for 127.0.0.1, and sockets with TLS.

use crate::session::free_port;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::sync::OnceLock;
use test_client::Address;

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
