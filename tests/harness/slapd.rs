//! A real LDAP server of a test's own, on loopback, with a few entries.

use crate::commands::chmod;
use crate::eventually;
use crate::process::Process;
use crate::session::free_port;
use crate::tls;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// slapd with `uid=alice`, `uid=bob` (twice) and others below `ou=people,dc=test`.
pub struct Slapd {
    process: Process,
    directory: tempfile::TempDir,
    /// Its port on 127.0.0.1, in clear or with StartTLS.
    pub port: u16,
    /// Its port for TLS.
    pub tls_port: u16,
}

/// Alice's password.
pub const ALICE: &str = "alice's secret: ü";
/// The password of `cn=reader,dc=test`, who may search.
pub const READER: &str = "reader's secret";

const ENTRIES: &str = "\
dn: dc=test
objectClass: dcObject
objectClass: organization
dc: test
o: test

dn: cn=reader,dc=test
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: reader
userPassword: reader's secret

dn: ou=people,dc=test
objectClass: organizationalUnit
ou: people

dn: ou=others,dc=test
objectClass: organizationalUnit
ou: others

dn: uid=alice,ou=people,dc=test
objectClass: inetOrgPerson
uid: alice
cn: Alice
sn: A
userPassword:: YWxpY2UncyBzZWNyZXQ6IMO8

dn: uid=bob,ou=people,dc=test
objectClass: inetOrgPerson
uid: bob
cn: Bob
sn: B
userPassword: bob's

dn: uid=bob,ou=others,dc=test
objectClass: inetOrgPerson
uid: bob
cn: Another Bob
sn: B
userPassword: bob's

dn: uid=eve\\2Cou\\3Dothers,ou=people,dc=test
objectClass: inetOrgPerson
uid: eve,ou=others
cn: Eve
sn: E
userPassword: eve's

dn: uid=nopassword,ou=people,dc=test
objectClass: inetOrgPerson
uid: nopassword
cn: N
sn: N
";

fn run(program: &str, arguments: &[&str], directory: &Path) {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
}

impl Slapd {
    /// Starts one, and waits until it answers.
    ///
    /// # Panics
    /// When it does not, or is not installed.
    pub fn start() -> Self {
        Self::start_with(tls::files())
    }

    /// Starts one with this certificate, and waits until it answers.
    ///
    /// # Panics
    /// When it does not, or is not installed.
    pub fn start_with(files: &tls::Files) -> Self {
        Self::start_with_entries(files, "")
    }

    /// Starts one with more people below `ou=people,dc=test`: names and passwords.
    ///
    /// # Panics
    /// When it does not answer, or is not installed.
    pub fn with_people(people: &[(String, &[u8])]) -> Self {
        let entry = |(name, password): &(String, &[u8])| {
            let password = BASE64_STANDARD.encode(password);
            format!(
                "\ndn: uid={name},ou=people,dc=test\nobjectClass: inetOrgPerson\nuid: {name}\ncn: {name}\n\
                 sn: {name}\nuserPassword:: {password}\n"
            )
        };
        let entries: String = people.iter().map(entry).collect();
        Self::start_with_entries(tls::files(), &entries)
    }

    fn start_with_entries(files: &tls::Files, more: &str) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("bulkhead-slapd-")
            .tempdir_in("/tmp")
            .unwrap();
        let t = directory.path();
        // The session's user reads what a test puts there.
        chmod(t, 0o755);
        std::fs::create_dir(t.join("db")).unwrap();
        std::fs::write(t.join("entries"), ENTRIES.to_owned() + more).unwrap();
        std::fs::write(t.join("cert.pem"), &files.certificate).unwrap();
        std::fs::write(t.join("key.pem"), &files.key).unwrap();
        let path = |name: &str| t.join(name).display().to_string();
        let configuration = format!(
            "include /etc/ldap/schema/core.schema\n\
             include /etc/ldap/schema/cosine.schema\n\
             include /etc/ldap/schema/inetorgperson.schema\n\
             TLSCertificateFile {}\nTLSCertificateKeyFile {}\n\
             pidfile {}\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n\
             database mdb\nsuffix \"dc=test\"\nrootdn \"cn=root,dc=test\"\ndirectory {}\n\
             access to attrs=userPassword by anonymous auth by * none\n\
             access to * by dn.exact=\"cn=reader,dc=test\" read by anonymous auth by * none\n",
            path("cert.pem"),
            path("key.pem"),
            path("pid"),
            path("db"),
        );
        std::fs::write(t.join("slapd.conf"), configuration).unwrap();
        run(
            "/usr/sbin/slapadd",
            &["-f", "slapd.conf", "-l", "entries"],
            t,
        );
        let (port, tls_port) = (free_port(), free_port());
        let urls = format!("ldap://127.0.0.1:{port}/ ldaps://127.0.0.1:{tls_port}/");
        let mut command = Command::new("/usr/sbin/slapd");
        command
            .args(["-f", "slapd.conf", "-h", &urls, "-d", "0"])
            .current_dir(t);
        let process = Process::start(&mut command);
        eventually("slapd", Duration::from_secs(20), || {
            TcpStream::connect(("127.0.0.1", tls_port)).ok()
        });
        Self {
            process,
            directory,
            port,
            tls_port,
        }
    }

    /// How many bytes wait to be read on its connections, if it has any (proc(5), `net/tcp`: the
    /// kernel's own table).
    #[must_use]
    pub fn unread(&self) -> Option<usize> {
        const ESTABLISHED: &str = "01";
        let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
        let own = format!(":{:04X}", self.port);
        let connections = table.lines().filter_map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            let (local, state) = (words.get(1)?, words.get(3)?);
            let (_, unread) = words.get(4)?.split_once(':')?;
            let is_ours = local.ends_with(&own) && *state == ESTABLISHED;
            is_ours.then(|| usize::from_str_radix(unread, 16).ok())?
        });
        connections.max()
    }

    /// A path beside this server's files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The server, to stop and to end.
    pub fn process(&self) -> &Process {
        &self.process
    }
}
