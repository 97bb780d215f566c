//! The names of the processes.

use std::fmt;

/// One kind of process. The name is the same everywhere: the crate, the executable
/// (`bulkhead-<name>`), the policy file, the log field, the security domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Accepts, starts, wires, watches and restarts the others.
    Supervisor,
    /// Starts the X server and the user's commands; deliberately unconfined.
    Launcher,
    /// One per connection: reads the client's bytes.
    Network,
    /// One per session: knows the passwords.
    Auth,
    /// One per session with an encrypted listener: knows the key data.
    Keys,
    /// One per session: owns the X11 connection.
    Display,
    /// One per connection: turns pixels into pictures.
    Encoder,
    /// One-shot client of a running session (`info`, `stop`, `screenshot` …).
    Ctl,
    /// One per login that an LDAP server decides about: asks it, once.
    AuthLdap,
    /// One per login that PAM decides about: asks the modules of one service, once.
    AuthPam,
    /// One per login that a SQLite database decides about: looks there, once.
    AuthSqlite,
    /// One per login that a database server decides about: asks it, once.
    AuthSql,
    /// One per login that a security key signs: looks which, once.
    AuthFido,
    /// One per login that Kerberos decides about: one password or one ticket, once.
    AuthKerberos,
    /// One per login with a client certificate: judges it, once.
    AuthCertificate,
    /// Up to two per login that an OpenID Connect provider decides about: asks it, once.
    AuthKeycloak,
    /// One per login with a code that is shown on the session's screen: shows it.
    AuthOtpscreen,
    /// One per login for which a rule goes by the client's name: asks the DNS for it, once.
    AuthNames,
}

impl Role {
    /// Every role, in the order of the policy files' table.
    pub const ALL: [Role; 18] = [
        Role::Supervisor,
        Role::Launcher,
        Role::Network,
        Role::Auth,
        Role::Keys,
        Role::Display,
        Role::Encoder,
        Role::Ctl,
        Role::AuthLdap,
        Role::AuthPam,
        Role::AuthSqlite,
        Role::AuthSql,
        Role::AuthFido,
        Role::AuthKerberos,
        Role::AuthCertificate,
        Role::AuthKeycloak,
        Role::AuthOtpscreen,
        Role::AuthNames,
    ];

    /// The roles that the supervisor starts and that end with it.
    pub const WORKERS: [Role; 13] = [
        Role::Network,
        Role::Auth,
        Role::Keys,
        Role::Display,
        Role::Encoder,
        Role::AuthLdap,
        Role::AuthSqlite,
        Role::AuthSql,
        Role::AuthFido,
        Role::AuthCertificate,
        Role::AuthKeycloak,
        Role::AuthOtpscreen,
        Role::AuthNames,
    ];

    /// The roles that the launcher starts for one login: they load libraries, which the supervisor's
    /// rules would keep from its children.
    pub const OF_LAUNCHER: [Role; 2] = [Role::AuthPam, Role::AuthKerberos];

    /// The role's name, as in `policy/roles/<name>.toml`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Role::Supervisor => "supervisor",
            Role::Launcher => "launcher",
            Role::Network => "network",
            Role::Auth => "auth",
            Role::Keys => "keys",
            Role::Display => "display",
            Role::Encoder => "encoder",
            Role::Ctl => "ctl",
            Role::AuthLdap => "auth-ldap",
            Role::AuthPam => "auth-pam",
            Role::AuthSqlite => "auth-sqlite",
            Role::AuthSql => "auth-sql",
            Role::AuthFido => "auth-fido",
            Role::AuthKerberos => "auth-kerberos",
            Role::AuthCertificate => "auth-certificate",
            Role::AuthKeycloak => "auth-keycloak",
            Role::AuthOtpscreen => "auth-otpscreen",
            Role::AuthNames => "auth-names",
        }
    }

    /// The file name of the role's executable.
    #[must_use]
    pub const fn executable(self) -> &'static str {
        match self {
            Role::Supervisor => "bulkhead-supervisor",
            Role::Launcher => "bulkhead-launcher",
            Role::Network => "bulkhead-network",
            Role::Auth => "bulkhead-auth",
            Role::Keys => "bulkhead-keys",
            Role::Display => "bulkhead-display",
            Role::Encoder => "bulkhead-encoder",
            Role::Ctl => "bulkhead-ctl",
            Role::AuthLdap => "bulkhead-auth-ldap",
            Role::AuthPam => "bulkhead-auth-pam",
            Role::AuthSqlite => "bulkhead-auth-sqlite",
            Role::AuthSql => "bulkhead-auth-sql",
            Role::AuthFido => "bulkhead-auth-fido",
            Role::AuthKerberos => "bulkhead-auth-kerberos",
            Role::AuthCertificate => "bulkhead-auth-certificate",
            Role::AuthKeycloak => "bulkhead-auth-keycloak",
            Role::AuthOtpscreen => "bulkhead-auth-otpscreen",
            Role::AuthNames => "bulkhead-auth-names",
        }
    }

    /// Its user and group id in a start as root, where those of a session begin at `base`: its
    /// place in the table of roles.
    #[must_use]
    pub fn id(self, base: u32) -> u32 {
        let place = Role::ALL.iter().position(|other| *other == self);
        base.saturating_add(
            place
                .and_then(|place| u32::try_from(place).ok())
                .unwrap_or(u32::MAX),
        )
    }

    /// The role with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Whether this is one of [`Role::WORKERS`].
    #[must_use]
    pub fn is_worker(self) -> bool {
        Role::WORKERS.contains(&self)
    }

    /// Whether this is one of [`Role::OF_LAUNCHER`].
    #[must_use]
    pub fn is_of_launcher(self) -> bool {
        Role::OF_LAUNCHER.contains(&self)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How the session was started, which decides what separates a worker from the
/// applications of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StartMode {
    /// As root (the system service): one uid per role, none of them the session's.
    Root,
    /// By the user: the applications share our uid.
    User,
}

impl StartMode {
    /// Both modes.
    pub const ALL: [StartMode; 2] = [StartMode::Root, StartMode::User];

    /// `root` or `user`, as in `--mode=`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            StartMode::Root => "root",
            StartMode::User => "user",
        }
    }

    /// The mode with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<StartMode> {
        StartMode::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

impl fmt::Display for StartMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What happens when the running kernel lacks a layer. There is no mode without a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SandboxMode {
    /// A missing layer (no Landlock, no user namespaces) refuses the start.
    Enforce,
    /// Drops only what the running kernel lacks, never what it has, and names it.
    BestEffort,
}

impl SandboxMode {
    /// Both modes.
    pub const ALL: [SandboxMode; 2] = [SandboxMode::Enforce, SandboxMode::BestEffort];

    /// `enforce` or `best-effort`, as in `--sandbox=`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            SandboxMode::Enforce => "enforce",
            SandboxMode::BestEffort => "best-effort",
        }
    }

    /// The mode with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<SandboxMode> {
        SandboxMode::ALL
            .into_iter()
            .find(|mode| mode.name() == name)
    }
}

impl fmt::Display for SandboxMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
