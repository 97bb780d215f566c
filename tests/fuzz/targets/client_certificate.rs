//! What a client shows as its certificate: a byte that chooses how it is signed, then certificates, each
//! behind its length.
#![no_main]

use bulkhead_auth_certificate::verify::{self, Rules};
use certificates::{Trust, Users};
use ipc::tls::{Scheme, Shown};
use libfuzzer_sys::fuzz_target;
use rustls_pki_types::UnixTime;
use std::sync::LazyLock;
use std::time::Duration;

const NOW: u32 = 1_800_000_000;

/// Who has signed the seeds.
const AUTHORITY: &str = "\
-----BEGIN CERTIFICATE-----
MIIBhTCCASugAwIBAgIURimwjVue35MQrcQemUoEXhz6tPUwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEZnV6ejAgFw0yNjExMjIwMjAyMzJaGA8yMTAwMTAyNTAyMDIz
MlowDzENMAsGA1UEAwwEZnV6ejBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABDod
AjLh1PzTPQlYvrfUuGYoNDIb5u0LxalvQ25oEv/0lhJJFDvTq2YyWScl1R2MvhdD
/X1gwc0GxNgtRmGvMRajYzBhMB0GA1UdDgQWBBS8Xa9xTpeTRr+F7xELJ6B6r+UM
8TAfBgNVHSMEGDAWgBS8Xa9xTpeTRr+F7xELJ6B6r+UM8TAPBgNVHRMBAf8EBTAD
AQH/MA4GA1UdDwEB/wQEAwIBBjAKBggqhkjOPQQDAgNIADBFAiEAhWfF8PNc3Y4A
1nEk+fiXu1ZVMB1wpRMIDExGL+1p6BoCIChZ6nWY6O5nCLnB6ZHm86SxH6++58TN
Q4Vi+clkrBRz
-----END CERTIFICATE-----
";

static RULES: LazyLock<Rules> = LazyLock::new(|| Rules {
    trust: Trust::read(AUTHORITY.as_bytes(), NOW.into()).expect("an authority"),
    lists: false,
    users: Some(Users::read(b"ann|san:x.org\nbob|subject:CN=ann\n").expect("users")),
});

fuzz_target!(|data: &[u8]| {
    let Some((scheme, mut rest)) = data.split_first() else {
        return;
    };
    let mut chain = Vec::new();
    while let Some((len, more)) = rest.split_first_chunk() {
        let len = usize::from(u16::from_be_bytes(*len)).min(more.len());
        let (one, more) = more.split_at(len);
        chain.push(one.to_vec());
        rest = more;
    }
    let shown = Shown {
        chain,
        scheme: Scheme::ALL[usize::from(*scheme) % Scheme::ALL.len()],
        transcript: vec![7; 32],
        signature: vec![7; 64],
    };
    if let Some(name) = verify::name(&shown) {
        assert!(name.len() < 400 && !name.chars().any(char::is_control));
    }
    let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW.into()));
    // Nobody has signed this handshake.
    assert!(RULES.judge(&shown, now).is_err());
});
