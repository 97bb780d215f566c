//! What each of Bulkhead's processes may do, as data, and the calls that make it so.
//!
//! There is one file per role under `roles/`. `build.rs` checks the files (unknown call names,
//! dangerous calls without argument filters, anything that could give executable memory, edges
//! that only one end declares … are build errors that name the file and the rule), compiles the
//! system-call rules to BPF and embeds everything in this crate, in every build profile. There is
//! no build, flag or variable without it.
//!
//! The default of every filter is to kill the process; a foreign architecture (32-bit calls, x32)
//! is killed as well.

#![forbid(unsafe_code)]

mod data;
mod enforce;
mod explain;
mod role;

pub use data::{
    Condition, Descriptor, DescriptorKind, Landlock, LandlockPath, Limit, Namespace, Received,
    Refused, Resource, Restart, RolePolicy, Rule, RulePath, Test,
};
pub use enforce::{
    Error, LandlockReport, apply_limits, check_capabilities, check_limits, check_no_new_privs,
    drop_capabilities, enter_namespaces, install_landlock, install_seccomp, landlock_rights,
};
pub use explain::{ABILITIES, denied, explain};
pub use role::{Role, SandboxMode, StartMode};

/// A compiled system-call filter (what [`seccompiler::apply_filter`] takes).
pub type Filter = seccompiler::BpfProgramRef<'static>;

mod compiled {
    //! Written by `build.rs`.
    use crate::{
        Condition, Descriptor, DescriptorKind, Landlock, LandlockPath, Limit, Namespace, Received,
        Refused, Resource, Restart, Role, RolePolicy, Rule, RulePath, Test,
    };
    use seccompiler::sock_filter;
    include!(concat!(env!("OUT_DIR"), "/roles.rs"));
}

/// The policy of a role.
#[must_use]
pub fn of(role: Role) -> &'static RolePolicy {
    match role {
        Role::Supervisor => &compiled::SUPERVISOR,
        Role::Launcher => &compiled::LAUNCHER,
        Role::Network => &compiled::NETWORK,
        Role::Auth => &compiled::AUTH,
        Role::Keys => &compiled::KEYS,
        Role::Display => &compiled::DISPLAY,
        Role::Encoder => &compiled::ENCODER,
        Role::Ctl => &compiled::CTL,
        Role::AuthLdap => &compiled::AUTH_LDAP,
        Role::AuthPam => &compiled::AUTH_PAM,
        Role::AuthSqlite => &compiled::AUTH_SQLITE,
        Role::AuthSql => &compiled::AUTH_SQL,
        Role::AuthFido => &compiled::AUTH_FIDO,
        Role::AuthKerberos => &compiled::AUTH_KERBEROS,
        Role::AuthCertificate => &compiled::AUTH_CERTIFICATE,
        Role::AuthKeycloak => &compiled::AUTH_KEYCLOAK,
        Role::AuthOtpscreen => &compiled::AUTH_OTPSCREEN,
        Role::AuthNames => &compiled::AUTH_NAMES,
    }
}

/// The compiled filter of a role. Empty only for the launcher.
#[must_use]
pub fn filter(role: Role) -> Filter {
    of(role).filter
}
