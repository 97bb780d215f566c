//! What the command line hands to the processes it starts: each gets one sealed memfd with its
//! own part, and nobody gets another's.

use crate::check::CheckId;
use crate::http::Cidr;
use crate::keys::Encryption;
use crate::launcher::CommandId;
use crate::tls::{KeyKind, Version};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// Largest encoded part in bytes (an environment and a list of commands).
const MAX_SPEC: usize = 1 << 20;

/// Most sockets that the launcher gives to the process of one check.
pub const MAX_SOCKETS: usize = 16;

/// Position of a passed descriptor in the descriptor table of the process that reads the spec.
pub type FdIndex = u16;

/// Whether missing kernel features end the start or are named and done without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SandboxMode {
    /// Every layer or no session.
    Enforce,
    /// What the running kernel lacks is named and done without.
    BestEffort,
}

/// What kind of socket a listener is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ListenerKind {
    /// `--bind`.
    Unix,
    /// `--bind-tcp`.
    Tcp,
}

/// One listening socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerSpec {
    /// Its kind.
    pub kind: ListenerKind,
    /// For messages, e.g. `127.0.0.1:10000`.
    pub name: String,
    /// The bound and listening socket.
    pub fd: FdIndex,
    /// Its clients have to encrypt (`encryption=AES…` on the bind option, or `--bind-ssl`), and
    /// `keys` has its key.
    pub encryption: Option<Encryption>,
    /// Requests that this socket refuses, e.g. `stop` (`stop=no` on the bind option).
    pub refused_requests: Vec<String>,
    /// Capabilities of clients that its modules look at ([`AuthModule::Capability`]).
    pub capabilities: Vec<String>,
    /// Some of [`SupervisorSpec::files`] may decide who is let in there.
    pub files: bool,
}

/// For the supervisor: no secret in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupervisorSpec {
    /// Display number that was asked for, if any.
    pub display: Option<u32>,
    /// `--session-name`.
    pub session_name: String,
    /// 32 lower-case hexadecimal digits.
    pub uuid: String,
    /// 32 lower-case hexadecimal digits.
    pub machine_id: String,
    /// Host name.
    pub hostname: String,
    /// Listening sockets.
    pub listeners: Vec<ListenerSpec>,
    /// `--readonly`.
    pub readonly: bool,
    /// `--sharing`: yes, no, or (`None`) if all clients agree.
    pub sharing: Option<bool>,
    /// `--resize-display`.
    pub resize_display: bool,
    /// `--exit-with-children`.
    pub exit_with_children: bool,
    /// `--exit-with-client`.
    pub exit_with_client: bool,
    /// `--exit-with-windows`.
    pub exit_with_windows: bool,
    /// `--sandbox`.
    pub sandbox: SandboxMode,
    /// In a start as root: workers run as this user id plus the number of their role.
    pub worker_uid_base: Option<u32>,
    /// Executables of the workers, by role name.
    pub executables: Vec<(String, FdIndex)>,
    /// An empty directory that becomes the workers' root.
    pub empty_root: FdIndex,
    /// What `auth` gets: its own spec, then the secrets, never read by the supervisor.
    pub auth_fds: Vec<FdIndex>,
    /// What `keys` gets, likewise: its own spec, then the key data. Empty when no listener is
    /// encrypted: then there is no such process.
    pub keys_fds: Vec<FdIndex>,
    /// Where `bulkhead reload` connects, if a listener has TLS: a listening `SOCK_SEQPACKET` socket.
    pub door: Option<FdIndex>,
    /// Checks of logins that `auth` cannot make itself, by [`CheckId`]. Empty when no module needs
    /// one: then none can be asked for.
    pub checks: Vec<CheckSpec>,
    /// What the launcher does for them, a [`ChecksSpec`], passed on unread.
    pub outside_checks: Option<FdIndex>,
    /// Of the descriptors above those whose file may be another one by its name later, by
    /// [`FileId`](crate::launcher::FileId), in the order of [`ChecksSpec::files`].
    pub files: Vec<FdIndex>,
    /// Where to say what became of the start, for a start in the background: one line, either
    /// `ready :N` or `failed REASON`, then the end of the file: at once, or when nothing is left of
    /// the attempt.
    pub ready: Option<FdIndex>,
    /// Log records as JSON lines.
    pub log_json: bool,
    /// Log records of every level.
    pub debug: bool,
    /// The command with which to attach, printed when the session is ready.
    pub attach_hint: String,
}

/// A check of logins, for the supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckSpec {
    /// Name of the module, for the log.
    pub module: String,
    /// Seconds from the question to the end of the check; then the answer is no.
    pub timeout: u16,
    /// How it is made.
    pub kind: CheckKind,
}

/// How a check is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckKind {
    /// By a process `auth-ldap`, which gets these descriptors (its [`LdapSpec`], then the files
    /// that this names) and sockets to its server from the launcher.
    Ldap(Vec<FdIndex>),
    /// By a process `auth-sql`, which gets these descriptors (its [`SqlSpec`], then the password of
    /// the server's user) and sockets to its server from the launcher.
    Sql(Vec<FdIndex>),
    /// By a process `auth-sqlite`, which gets these descriptors: its [`SqliteSpec`], then the
    /// database.
    Sqlite(Vec<FdIndex>),
    /// By a command that the launcher starts.
    Command,
    /// By a process of ours that the launcher starts, because it needs what the supervisor's sandbox,
    /// which its own children inherit, has not.
    Outside {
        /// Its role.
        role: String,
        /// What it gets beside what the launcher gives it: at most two.
        fds: Vec<FdIndex>,
    },
    /// By processes `auth-keycloak`, each of which gets these descriptors (its [`KeycloakSpec`], then our
    /// secret at the provider) and sockets to the provider from the launcher.
    Keycloak(Vec<FdIndex>),
    /// By a process `auth-fido`, which gets these descriptors: its [`FidoSpec`].
    Fido(Vec<FdIndex>),
    /// By a process `auth-otpscreen`, which gets these descriptors (its [`ScreenSpec`]) and a connection to
    /// the X server from the launcher.
    Screen(Vec<FdIndex>),
    /// By a process `auth-certificate`, which gets these descriptors: its [`CertificateSpec`], then the
    /// files that this names.
    Certificate(Vec<FdIndex>),
    /// By a process `auth-names`, which gets these descriptors (its [`NamesSpec`]) and sockets to name
    /// servers from the launcher.
    Names(Vec<FdIndex>),
}

/// What the launcher does for checks of logins, by [`CheckId`]. It comes over the channel and not
/// with the [`LauncherSpec`]: a session that is taken over has a launcher that is older than its
/// command line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChecksSpec {
    /// In the order of [`SupervisorSpec::checks`].
    pub checks: Vec<OutsideCheck>,
    /// The operator's files that decide about logins.
    pub files: Vec<NamedFile>,
}

/// A file of the operator's that decides who is let in: others are put in its place while a session
/// runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedFile {
    /// Its absolute path.
    pub path: PathBuf,
    /// What it holds.
    pub kind: FileKind,
    /// Which file has been passed.
    pub identity: FileIdentity,
}

/// What a file holds that decides who is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileKind {
    /// One password.
    Password,
    /// Passwords in lines.
    Users,
    /// A key.
    Key,
    /// What everybody may know.
    Rules,
    /// Certificates that others may be signed with.
    Authorities,
}

/// Tells one file from another, as long as a descriptor of it is open (inode(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileIdentity {
    /// The device that it is on.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
}

impl ChecksSpec {
    /// The check with this id.
    #[must_use]
    pub fn check(&self, id: CheckId) -> Option<&OutsideCheck> {
        self.checks.get(usize::from(id.0))
    }
}

/// What the launcher does for a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutsideCheck {
    /// Connects to a server: its addresses, at most 4, the preferred one first.
    Connect(Vec<SocketAddr>),
    /// Nothing: its process has all that it needs.
    Nothing,
    /// Starts a command.
    Command {
        /// Program and arguments, split; `${username}` and the like are put in when it is started,
        /// each into its own argument.
        argv: Vec<String>,
        /// Seconds that it may take.
        timeout: u16,
        /// It is told what the client answered, on its standard input.
        password: bool,
    },
    /// Starts a process of ours.
    Start {
        /// Its executable.
        program: PathBuf,
        /// Its arguments, but those that differ each time (its parent, the connection).
        arguments: Vec<String>,
        /// Its user and group id, in a start as root.
        id: Option<u32>,
        /// Its supplementary groups, in a start as root.
        groups: Vec<u32>,
        /// What it is told of its module.
        own: OwnSpec,
        /// It gets sockets that connect to these, in this order; at most [`MAX_SOCKETS`].
        connect: Vec<SocketAddr>,
        /// Seconds that it may take.
        timeout: u16,
    },
    /// Connects to the session's X server, and proves there that it may.
    Display,
}

/// For `auth-certificate`. The authorities and revocation lists follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateSpec {
    /// They are in a file of the operator's, and not in a copy of ours: its content may change, and another file may
    /// take its place.
    pub in_place: bool,
    /// There were revocation lists among them when the session started: without one nobody is let
    /// in.
    pub lists: bool,
    /// Whose certificate is whose: the file that follows, if that is asked.
    pub users: Option<UsersFile>,
    /// Seconds for all of it.
    pub timeout: u16,
}

/// What the file of users is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UsersFile {
    /// The operator's: its content may change, and another file may take its place.
    InPlace,
    /// A copy of ours.
    Copy,
}

/// For a process that the launcher starts for a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartedSpec {
    /// From [`OutsideCheck::Start`].
    pub own: OwnSpec,
    /// Where the client is, if it has an address.
    pub host: Option<IpAddr>,
}

/// What such a process is told of its module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OwnSpec {
    /// `auth-pam`.
    Pam(PamSpec),
    /// `auth-kerberos`.
    Kerberos(KerberosSpec),
}

/// For `auth-kerberos`: who we are to Kerberos, and which users there are. The keytab follows, then
/// what is remembered of tokens, then sockets that connect to the KDC, if it is to be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KerberosSpec {
    /// The first part of our name: `xpra` of `xpra/host@REALM`.
    pub service: String,
    /// The second.
    pub host: String,
    /// The third; users are of the same realm.
    pub realm: String,
    /// The keytab is a file with a name, and not a copy of ours.
    pub keytab_in_place: bool,
    /// Seconds for all of it.
    pub timeout: u16,
}

/// For `auth-pam`: which service it asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PamSpec {
    /// Name of the service.
    pub service: String,
    /// Where the files of services are, if not where the system has them.
    pub directory: Option<PathBuf>,
    /// Whether a session is opened and closed too.
    pub session: bool,
    /// Seconds for all of it.
    pub timeout: u16,
}

/// For `auth-ldap`: how its server is asked. The password of who searches follows, if somebody
/// does, then the sockets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LdapSpec {
    /// How the user is found.
    pub user: LdapUser,
    /// The connection is encrypted, if it is.
    pub tls: Option<ServerTls>,
    /// Seconds for all of it.
    pub timeout: u16,
}

/// TLS with a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerTls {
    /// The server's name or address, which its certificate has to be for.
    pub name: String,
    /// Certificates, each as DER, one of which has to have signed the server's.
    pub authorities: Vec<Vec<u8>>,
    /// It is asked for TLS first, in clear.
    pub ask: bool,
}

/// Which entry of the directory a user is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LdapUser {
    /// The name of the entry, with `%username` and `%domain` in it.
    Name(String),
    /// It is looked for.
    Search {
        /// Below this entry.
        base: String,
        /// By this attribute, which has to be the user's name.
        attribute: String,
        /// As whom: the name of an entry, whose password is in a file that follows; nobody if
        /// not given.
        reader: Option<String>,
    },
}

/// For `auth-sqlite`: how the database that follows is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SqliteSpec {
    /// One SELECT with one parameter, the user's name, whose first column is the password.
    pub query: String,
    /// What is asked about the sessions of who is let in, if anything.
    pub sessions: Option<SessionsQuery>,
    /// Seconds for all of it.
    pub timeout: u16,
}

/// One SELECT whose five columns are about a user's sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionsQuery {
    /// Its first parameter is the user's name.
    pub query: String,
    /// It has a second one: the password, as it is stored.
    pub password: bool,
}

/// For `auth-sql`: how its server is asked. The password of the server's own user follows, if it has
/// one, then the sockets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SqlSpec {
    /// What kind of server it is.
    pub server: SqlServer,
    /// As whom it is asked.
    pub user: String,
    /// Does the password of that user follow?
    pub password: bool,
    /// The database.
    pub database: String,
    /// One SELECT with one parameter, the name of who logs in, that gives one password.
    pub query: String,
    /// What is asked about the sessions of who is let in, if anything.
    pub sessions: Option<SessionsQuery>,
    /// The passwords there are hashed, and not in clear.
    pub hashed: bool,
    /// The connection is encrypted, if it is.
    pub tls: Option<ServerTls>,
    /// Seconds for all of it.
    pub timeout: u16,
}

/// For `auth-keycloak`: which provider it asks. Our secret there follows, if we have one, then the
/// sockets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeycloakSpec {
    /// The provider: its address is its name.
    pub issuer: String,
    /// The connection is encrypted, if it is.
    pub tls: Option<ServerTls>,
    /// Our name there (`client_id`).
    pub client: String,
    /// Does our secret follow?
    pub secret: bool,
    /// Where the provider sends people when they have logged in.
    pub redirect: String,
    /// What it is asked for.
    pub scope: String,
    /// Where the groups of somebody are in what it says; empty if that does not matter.
    pub claim: Vec<String>,
    /// The groups that somebody has to be in.
    pub groups: Vec<String>,
    /// In all of them, and not only in one.
    pub all: bool,
    /// Seconds for all of it.
    pub timeout: u16,
}

/// For `auth-fido`: which signatures are good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FidoSpec {
    /// What the keys were registered for (`app_id=`).
    pub app_id: String,
    /// What the client has to say that its origin is, if that matters.
    pub origin: Option<String>,
    /// The key has to know who touched it, by a PIN or a finger.
    pub verify: bool,
    /// The keys, of which one has to have signed.
    pub keys: Vec<FidoKey>,
    /// Seconds for all of it.
    pub timeout: u16,
}

/// For `auth-otpscreen`. The connection to the X server follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScreenSpec {
    /// Seconds for which a code is shown.
    pub timeout: u16,
}

/// A code that is shown on a screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// What it is made of.
    pub letters: Letters,
    /// How many of them: at most [`MAX_CODE`](crate::check::MAX_CODE).
    pub count: u8,
}

/// What codes are made of that are read on a screen and typed. What looks like something else is left out
/// where there are letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Letters {
    /// `0` to `9`.
    Digits,
    /// `a` to `z` without `i`, `l` and `o`.
    Alpha,
    /// These, and `2` to `9`.
    Alphanumeric,
}

impl Letters {
    /// All of them, each once.
    #[must_use]
    pub const fn all(self) -> &'static [u8] {
        match self {
            Self::Digits => b"0123456789",
            Self::Alpha => b"abcdefghjkmnpqrstuvwxyz",
            Self::Alphanumeric => b"abcdefghjkmnpqrstuvwxyz23456789",
        }
    }
}

/// For `auth-names`. The sockets to name servers follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamesSpec {
    /// Addresses whose names nobody is asked for, each with its name and others (`/etc/hosts`).
    pub known: Vec<(IpAddr, Vec<String>)>,
    /// Seconds for all of it.
    pub timeout: u16,
}

/// The protocol of a database server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SqlServer {
    /// PostgreSQL's.
    PostgreSql,
    /// MariaDB's and MySQL's.
    MariaDb,
}

/// A security key that is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FidoKey {
    /// The same in all modules of the session that know the key, and no other key's.
    pub number: u16,
    /// Where it comes from, for the log.
    pub name: String,
    /// Its public key: a point of P-256, 65 bytes.
    pub point: Vec<u8>,
}

/// One command that the launcher may start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandSpec {
    /// Program and arguments, already split.
    pub argv: Vec<String>,
    /// Counts for `--exit-with-children`.
    pub child: bool,
}

/// For the launcher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LauncherSpec {
    /// Display number; the process that starts the launcher holds its lock file.
    pub display: u32,
    /// X server and arguments, without display, `-displayfd` and `-auth`.
    pub xvfb: Vec<String>,
    /// Commands of `--start` and `--start-child`, by [`CommandId`].
    pub commands: Vec<CommandSpec>,
    /// Environment of X server and commands; `DISPLAY` and `XAUTHORITY` are added.
    pub env: Vec<(String, String)>,
    /// Working directory of the commands.
    pub chdir: Option<PathBuf>,
    /// User and group of X server and commands, with supplementary groups, in a start as root.
    pub user: Option<SessionUser>,
    /// The session directory, which exists and in which only we can write.
    pub session_dir: PathBuf,
    /// Files outside of it to remove at the end (unix sockets, the pid file).
    pub remove_at_end: Vec<MadeFile>,
    /// The user's Xauthority file, which gets the cookie too.
    pub xauthority: Option<PathBuf>,
    /// The name of the server's own log, where that is in the session directory; it stays when
    /// the session fails.
    pub log_name: Option<String>,
    /// Log records as JSON lines.
    pub log_json: bool,
}

/// A file that was made for the session: this one and no other is removed at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeFile {
    /// Where.
    pub path: PathBuf,
    /// Device and inode number tell it from what may be there later.
    pub device: u64,
    /// See `device`.
    pub inode: u64,
    /// Made with the rights of the session's user, and removed with them, in a start as root.
    pub by_user: bool,
}

/// Who the applications run as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionUser {
    /// User id, never 0.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

impl LauncherSpec {
    /// The command with this id.
    #[must_use]
    pub fn command(&self, id: CommandId) -> Option<&CommandSpec> {
        self.commands.get(usize::from(id.0))
    }
}

/// An authentication module with its options.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthModule {
    /// Anybody; the client is asked and any answer is right.
    Allow,
    /// Anybody, as the session's user; nobody is asked.
    None,
    /// Nobody; nobody is asked.
    Fail,
    /// Nobody; the client is asked in vain.
    Reject,
    /// The secret is the contents of a passed descriptor (`file`, `env`, `password`).
    Secret {
        /// `file`, `env` or `password`, for the log.
        name: String,
        /// Where it is.
        secret: SecretAt,
    },
    /// A check outside of this process decides.
    Check {
        /// Name of the module, for the log.
        name: String,
        /// Which of [`SupervisorSpec::checks`].
        check: CheckId,
        /// What it needs from the client.
        asks: CheckAsks,
    },
    /// The peer's user or group id must be one of these.
    PeerCred {
        /// User ids.
        uids: Vec<u32>,
        /// Group ids.
        gids: Vec<u32>,
    },
    /// Each user has a password of their own (`multifile`).
    Users {
        /// A line for each.
        secret: SecretAt,
    },
    /// The peer's address is one that tcp-wrappers' rules let in (`hosts`).
    Hosts {
        /// `hosts.allow`.
        allow: SecretAt,
        /// `hosts.deny`.
        deny: SecretAt,
        /// Which of [`SupervisorSpec::checks`] tells the names of addresses, if a rule goes by one.
        names: Option<CheckId>,
    },
    /// A code of the clock (`otp`).
    Otp {
        /// The key, in base32.
        secret: SecretAt,
        /// How many codes before and after the present one are good too.
        window: u8,
    },
    /// What the client says of itself (`capability`).
    Capability {
        /// Which of [`ListenerSpec::capabilities`].
        place: u8,
        /// What it has to be.
        secret: SecretAt,
    },
    /// What a proxy says in the request that opened the client's WebSocket (`http-header`).
    HttpHeader {
        /// The name of the header.
        header: String,
        /// What it has to be.
        secret: SecretAt,
        /// Who is believed: the peer's address is one of these.
        proxies: Vec<Cidr>,
    },
    /// The certificate that the client has shown is good (`ssl-client-verify-mode=`), and tells who it
    /// is (`certificate`). At most one in a chain.
    Certificate {
        /// Which of [`SupervisorSpec::checks`].
        check: CheckId,
        /// Who has shown none goes on.
        optional: bool,
        /// It tells the user.
        names: bool,
    },
}

/// What a check outside needs from the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckAsks {
    /// Nothing: nobody is asked.
    Nothing,
    /// That it knows the password, which is not sent.
    Proof,
    /// The password itself.
    Password,
    /// A signature of a security key.
    Signature(Fido),
    /// A ticket for a service.
    Token {
        /// By which name clients know that a ticket is meant.
        token: Token,
        /// The service, as that handler of theirs wants it.
        service: String,
    },
    /// What an OpenID Connect provider gives it.
    Code,
    /// What the session's screen shows.
    Shown(Code),
}

/// By which name clients know that a security key is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fido {
    /// `u2f`.
    U2f,
    /// `fido2`.
    Fido2,
}

/// By which name clients know that a ticket is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Token {
    /// `kerberos`.
    Kerberos,
    /// `gss`.
    Gss,
}

/// Where a secret of a module is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretAt {
    /// Index into the descriptors that follow the spec.
    pub index: u16,
    /// It is a file of the operator's, and not a copy of ours: its content may change, and another
    /// file may take its place.
    pub in_place: bool,
}

/// A module in the chain of a listener, and whom it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthStep {
    /// What it checks.
    pub module: AuthModule,
    /// Text for the person instead of ours (`prompt=`).
    pub prompt: Option<String>,
    /// The user is who the client says, and not the session's owner (`client-username=`).
    pub client_username: bool,
    /// Who does not say the owner's name is refused (`verify-username=`).
    pub verify_username: bool,
}

impl From<AuthModule> for AuthStep {
    fn from(module: AuthModule) -> Self {
        Self {
            module,
            prompt: None,
            client_username: false,
            verify_username: false,
        }
    }
}

/// Who may come in through a listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthListener {
    /// All of these must agree. An empty chain is refused: open sockets say `none`.
    pub chain: Vec<AuthStep>,
    /// Nobody between its clients and us can read what they send: it is local, or encrypted. Only
    /// then may a module ask for the password itself.
    pub confidential: bool,
}

/// For `auth`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthSpec {
    /// In the order of [`SupervisorSpec::listeners`].
    pub listeners: Vec<AuthListener>,
    /// User name of the session's owner, for prompts and for `none`.
    pub owner: String,
}

/// Where the key data of a listener is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyData {
    /// Index into the descriptors that follow the spec.
    pub secret: u16,
    /// Line ends around it do not count (protocol "Key data").
    pub trim: bool,
    /// It is a file of the operator's, and not a copy of ours: its content may change, and another
    /// file may take its place.
    pub in_place: bool,
    /// Bytes of the keys that clients have to ask for: 16, 24 or 32.
    pub key_size: u8,
}

/// Where the private key of a listener's certificate is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivateKey {
    /// Its file, for messages.
    pub name: String,
    /// Index into the descriptors that follow the spec: PEM, and there may be certificates beside.
    pub secret: u16,
    /// The same of its pass phrase, if there is one; line ends around that do not count.
    pub pass_phrase: Option<u16>,
    /// What the certificate says that it is.
    pub kind: KeyKind,
    /// Of which versions handshakes are signed.
    pub versions: Vec<Version>,
    /// The public key in the certificate, to which it has to belong: the content of its
    /// `subjectPublicKey`.
    pub public: Vec<u8>,
}

/// What `keys` has for a listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ListenerKey {
    /// What the keys of its connections are derived from.
    Aes(KeyData),
    /// What its handshakes are signed with.
    Tls(PrivateKey),
}

/// For `keys`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysSpec {
    /// For each listener, in the order of [`SupervisorSpec::listeners`]: its key, if it is
    /// encrypted.
    pub listeners: Vec<Option<ListenerKey>>,
}

/// Encodes a part.
///
/// # Errors
/// `InvalidInput` when it is too large.
pub fn encode<T: Serialize>(spec: &T) -> io::Result<Vec<u8>> {
    let config = bincode::config::standard().with_limit::<MAX_SPEC>();
    bincode::serde::encode_to_vec(spec, config)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

/// Reads a part from the start of a passed file. The descriptor's offset is neither used nor
/// changed: processes that are started at the same time share it.
///
/// # Errors
/// What reading says, or `InvalidData`.
pub fn read<T: DeserializeOwned>(file: &File) -> io::Result<T> {
    let mut bytes = Vec::new();
    let mut block = [0; 4096];
    while bytes.len() <= MAX_SPEC {
        match file.read_at(&mut block, bytes.len() as u64) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&block[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let config = bincode::config::standard().with_limit::<MAX_SPEC>();
    let (spec, read) = bincode::serde::decode_from_slice(&bytes, config)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    if read != bytes.len() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "trailing bytes"));
    }
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::memfd::{MFdFlags, memfd_create};
    use std::io::Write;
    use std::thread;

    fn file(bytes: &[u8]) -> File {
        let mut file = File::from(memfd_create(c"spec", MFdFlags::MFD_CLOEXEC).unwrap());
        file.write_all(bytes).unwrap();
        file
    }

    /// Each of several processes that are started together has a copy of one descriptor.
    #[test]
    fn readers_of_one_descriptor_do_not_disturb_each_other() {
        let spec = ChecksSpec {
            files: Vec::new(),
            checks: vec![
                OutsideCheck::Command {
                    argv: vec!["x".repeat(1000); 100],
                    timeout: 10,
                    password: false,
                };
                2
            ],
        };
        let file = file(&encode(&spec).unwrap());
        thread::scope(|scope| {
            for _ in 0..8 {
                let copy = file.try_clone().unwrap();
                let spec = &spec;
                scope.spawn(move || {
                    for _ in 0..20 {
                        assert_eq!(read::<ChecksSpec>(&copy).unwrap(), *spec);
                    }
                });
            }
        });
    }

    #[test]
    fn a_part_is_all_there_is_and_bounded() {
        let mut bytes = encode(&ChecksSpec::default()).unwrap();
        bytes.push(0);
        assert!(read::<ChecksSpec>(&file(&bytes)).is_err());
        assert!(read::<ChecksSpec>(&file(&[])).is_err());
        assert!(read::<Vec<u8>>(&file(&vec![0; 2 * MAX_SPEC])).is_err());
    }
}
