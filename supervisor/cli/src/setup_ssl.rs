//! `bulkhead setup-ssl`: a certificate for people who have none. It is signed by an authority that
//! signs nothing else: its key is thrown away at once, so who trusts it trusts this one certificate.

use crate::error::{Error, Result, reason};
use crate::exposure::quoted;
use crate::options::SetupSslArgs;
use crate::places;
use crate::tls::{self, AUTHORITY, CERTIFICATE, KEY};
use certificates::Date;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use std::fs::{DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

/// How long a certificate is valid, as Xpra's are.
const YEARS: i32 = 10;

/// What was made.
struct Made {
    certificate: String,
    authority: String,
    key: Zeroizing<String>,
    fingerprint: String,
}

/// Makes the files, and says what they are for.
///
/// # Errors
/// They are there already, or cannot be written; or a name is none.
pub fn run(args: &SetupSslArgs) -> Result<()> {
    let names = match &args.names[..] {
        [] => [places::host().as_str(), "localhost", "127.0.0.1", "::1"]
            .map(str::to_owned)
            .to_vec(),
        names => names.to_vec(),
    };
    let directory = match &args.dir {
        Some(directory) => directory.clone(),
        None => tls::directories()
            .into_iter()
            .next()
            .ok_or_else(|| Error::new("there is no home directory: use --dir=DIR"))?,
    };
    let today = SystemTime::now().duration_since(UNIX_EPOCH);
    let today = today.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(0));
    let Date { year, month, day } = Date::of(today - 86_400);
    let until = Date {
        year: year + YEARS,
        month,
        // Not every year has a 29th of February.
        day: day.min(28),
    };
    let made = make(&names, Date { year, month, day }, until)?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&directory)
        .map_err(|error| Error::new(format!("{}: {}", directory.display(), reason(&error))))?;
    // Where there is one of them, nothing is changed.
    for name in [KEY, CERTIFICATE, AUTHORITY] {
        let path = directory.join(name);
        if path.symlink_metadata().is_ok() {
            return Err(is_there(&path));
        }
    }
    let key = write(&directory, KEY, 0o600, &made.key)?;
    let authority = write(&directory, AUTHORITY, 0o644, &made.authority)?;
    // By this one a start knows that all of them are there.
    let certificate = write(&directory, CERTIFICATE, 0o644, &made.certificate)?;
    let named = match &args.dir {
        None => String::new(),
        Some(_) => format!(
            ",ssl-cert={},ssl-key={}",
            certificate.display(),
            key.display()
        ),
    };
    let bind = format!("--bind-ssl=0.0.0.0:10000,auth=file(filename=password.txt){named}");
    let name = names.first().map_or("HOST", String::as_str);
    let host = match name.contains(':') {
        true => format!("[{name}]"),
        false => name.to_owned(),
    };
    crate::print(&format!(
        "{} is for {}, until {until}\n\
         {} is its key, which nobody else may have\n\
         {} is what clients need to know it by: bring it to their machines\n\
         SHA-256 fingerprint: {}\n\
         start with: bulkhead seamless {}\n\
         attach with: xpra attach ssl://{host}:10000/ --ssl-ca-certs={AUTHORITY}\n",
        certificate.display(),
        names.join(", "),
        key.display(),
        authority.display(),
        made.fingerprint,
        quoted(&bind),
    ))
}

fn is_there(path: &Path) -> Error {
    Error::new(format!(
        "{} is there already: remove it, or use --dir=DIR",
        path.display()
    ))
}

fn write(directory: &Path, name: &str, mode: u32, text: &str) -> Result<PathBuf> {
    let path = directory.join(name);
    let made = File::options()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    match made {
        Ok(()) => Ok(path),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(is_there(&path)),
        Err(error) => {
            // Half a file would keep the next attempt from being made.
            let _ = std::fs::remove_file(&path);
            Err(Error::new(format!(
                "{}: {}",
                path.display(),
                reason(&error)
            )))
        }
    }
}

fn make(names: &[String], from: Date, until: Date) -> Result<Made> {
    let failed = |error: rcgen::Error| Error::usage(format!("no certificate: {error}"));
    let time = |date: Date| date_time_ymd(date.year, date.month, date.day);
    let params = |common_name: &str, names: &[String]| {
        let mut params = CertificateParams::new(names).map_err(failed)?;
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        params.not_before = time(from);
        params.not_after = time(until);
        Ok(params)
    };
    let name = names.first().map_or("", String::as_str);
    let mut authority = params(&format!("Bulkhead's authority for {name}"), &[])?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let mut own = params(name, names)?;
    own.is_ca = IsCa::ExplicitNoCa;
    own.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    own.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    own.use_authority_key_identifier_extension = true;
    let new_key = || KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed);
    let (authority_key, key) = (new_key()?, new_key()?);
    let authority_pem = authority.self_signed(&authority_key).map_err(failed)?.pem();
    let issuer = Issuer::new(authority, authority_key);
    let certificate = own.signed_by(&key, &issuer).map_err(failed)?;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate.der());
    let fingerprint: Vec<_> = digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    Ok(Made {
        certificate: certificate.pem(),
        authority: authority_pem,
        key: Zeroizing::new(key.serialize_pem()),
        fingerprint: fingerprint.join(":"),
    })
}
