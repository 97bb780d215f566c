//! The chains of modules that guard the listeners, checked before anybody may connect.

use crate::challenge::Question;
use crate::told::Told;
use crate::{headers, multifile, otp};
use hosts::{Hosts, Naming, Rules};
use ipc::ListenerId;
use ipc::auth::{PeerFacts, Refusal};
use ipc::check::CheckId;
use ipc::http::Cidr;
use ipc::spec::{AuthListener, AuthModule, AuthSpec, AuthStep, CheckAsks, Code, SecretAt};
use runtime::secret::{Buffer, Secret, SecretError, SecretFile};
use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use subtle::ConstantTimeEq;
use wire::challenge::{self as maths, Hash};
use zeroize::Zeroizing;

/// Most modules in one chain.
const MAX_CHAIN: usize = 8;

/// What a module says before the client is asked anything.
#[derive(Debug, PartialEq, Eq)]
pub enum Opening {
    /// The client passes.
    Pass,
    /// It does not.
    Refuse(Refusal),
    /// Its answer to a challenge decides.
    Ask(Question),
    /// The names of this address decide, which this check finds out.
    Name(CheckId, IpAddr),
    /// The provider of this check does, and the client is sent there.
    Send(CheckId),
    /// A code does that this check shows.
    Show(CheckId, Code),
    /// Somebody outside of this process decides, and the client is not asked.
    Check(CheckId),
}

/// All chains and the secrets they refer to.
#[derive(Debug)]
pub struct Modules {
    listeners: Vec<AuthListener>,
    /// `None`: what has its name now cannot be used.
    secrets: Vec<Option<SecretFile>>,
    /// Those of them that had nothing in them at the start.
    empty: Vec<u16>,
    owner: String,
}

/// Why the modules cannot be put in force, in one line.
#[derive(Debug, thiserror::Error)]
pub enum ModulesError {
    /// Open sockets must say so.
    #[error("listener {0} has no auth module: give it one, `auth=none` for an open socket")]
    EmptyChain(usize),
    /// Too many modules.
    #[error("listener {0} has more than 8 auth modules: remove some")]
    LongChain(usize),
    /// A client has one certificate.
    #[error("listener {0} asks twice for a certificate: once is enough")]
    TwoCertificates(usize),
    /// A module that needs the password itself where somebody on the way could read it.
    #[error(
        "auth module {module} of listener {listener} asks for the password itself: encrypt the \
         socket, or use a unix socket"
    )]
    Readable {
        /// Its name.
        module: String,
        /// Index of the listener.
        listener: usize,
    },
    /// A module that lacks what it compares with.
    #[error("auth module {module} of listener {listener}: {why}")]
    Unusable {
        /// Its name.
        module: String,
        /// Index of the listener.
        listener: usize,
        /// What is wrong.
        why: Unusable,
    },
}

/// What is wrong with what a module compares with. No secret is in it.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It refers to a descriptor that is not there.
    #[error("its secret was not passed")]
    Missing,
    /// It cannot be read.
    #[error("its secret {0}")]
    Secret(#[from] SecretError),
    /// A file of users with a mistake.
    #[error("its password file, {0}")]
    Users(#[from] multifile::Mistake),
    /// A file of rules with a mistake.
    #[error("{0}, {1}")]
    Rules(&'static str, hosts::Mistake),
    /// No rule keeps anybody out.
    #[error(
        "no rule keeps anybody out: write `xpra: ALL` into hosts.deny, and who may come into hosts.allow"
    )]
    Open,
    /// A rule goes by a name, and there is nobody who tells it.
    #[error(
        "a rule goes by a client's name, which the session was started without: start it again"
    )]
    NoNames,
    /// No key of one-time codes.
    #[error("its key {0}")]
    Key(#[from] otp::KeyError),
}

impl Modules {
    /// Checks every module of every chain.
    ///
    /// # Errors
    /// The first one that cannot be put in force.
    pub fn new(
        spec: AuthSpec,
        secrets: Vec<File>,
        buffer: &mut Buffer,
    ) -> Result<Self, ModulesError> {
        let modules = Self::again(spec, secrets, buffer);
        modules.check_all(buffer)?;
        Ok(modules)
    }

    /// The same after a predecessor that had them in force: what is not as it has to be any more is found
    /// when somebody needs it.
    #[must_use]
    pub fn again(spec: AuthSpec, secrets: Vec<File>, buffer: &mut Buffer) -> Self {
        let secrets: Vec<_> = secrets.into_iter().map(SecretFile::new).map(Some).collect();
        Self {
            listeners: spec.listeners,
            empty: (0..)
                .zip(&secrets)
                .filter(|(_, file)| {
                    let read = file.as_ref().map(|file| file.read(buffer));
                    matches!(read, Some(Err(SecretError::Empty)))
                })
                .map(|(index, _)| index)
                .collect(),
            secrets,
            owner: spec.owner,
        }
    }

    fn check_all(&self, buffer: &mut Buffer) -> Result<(), ModulesError> {
        for (listener, one) in self.listeners.iter().enumerate() {
            match one.chain.len() {
                0 => return Err(ModulesError::EmptyChain(listener)),
                1..=MAX_CHAIN => {}
                _ => return Err(ModulesError::LongChain(listener)),
            }
            let asks = |step: &&AuthStep| matches!(step.module, AuthModule::Certificate { .. });
            if one.chain.iter().filter(asks).count() > 1 {
                return Err(ModulesError::TwoCertificates(listener));
            }
            for AuthStep { module, .. } in &one.chain {
                let is_secret = question(module).is_some_and(Question::is_confidential);
                if is_secret && !one.confidential {
                    return Err(ModulesError::Readable {
                        module: name(module).to_owned(),
                        listener,
                    });
                }
                let usable = self.check(module, buffer);
                usable.map_err(|why| ModulesError::Unusable {
                    module: name(module).to_owned(),
                    listener,
                    why,
                })?;
            }
        }
        Ok(())
    }

    /// Can it be put in force?
    fn check(&self, module: &AuthModule, buffer: &mut Buffer) -> Result<(), Unusable> {
        match module {
            AuthModule::Secret { secret, .. }
            | AuthModule::Capability { secret, .. }
            | AuthModule::HttpHeader { secret, .. } => self.read(*secret, buffer).map(drop),
            AuthModule::Users { secret } => {
                Ok(multifile::check(self.read(*secret, buffer)?.bytes())?)
            }
            AuthModule::Otp { secret, .. } => self.key(*secret, buffer).map(drop),
            AuthModule::Hosts { allow, deny, names } => {
                self.hosts(*allow, *deny, *names, buffer).map(drop)
            }
            AuthModule::Allow
            | AuthModule::None
            | AuthModule::Fail
            | AuthModule::Reject
            | AuthModule::PeerCred { .. }
            | AuthModule::Check { .. }
            | AuthModule::Certificate { .. } => Ok(()),
        }
    }

    /// The modules of a listener, or `None` when there is no such listener.
    #[must_use]
    pub fn chain(&self, listener: ListenerId) -> Option<&[AuthStep]> {
        let listener = self.listeners.get(usize::from(listener.0))?;
        Some(&listener.chain)
    }

    /// Another file has taken the place of a secret's, or, with `None`, nothing that can be used.
    pub fn replace(&mut self, index: u16, file: Option<File>) {
        if let Some(secret) = self.secrets.get_mut(usize::from(index)) {
            *secret = file.map(SecretFile::new);
            // An empty one may be half written.
            self.empty.retain(|empty| *empty != index);
        }
    }

    /// What a secret is now.
    ///
    /// # Errors
    /// It cannot be used, or there is no such secret.
    pub fn read<'b>(&self, at: SecretAt, buffer: &'b mut Buffer) -> Result<Secret<'b>, Unusable> {
        let file = self.secrets.get(usize::from(at.index));
        let file = file.ok_or(Unusable::Missing)?;
        let file = file.as_ref().ok_or(SecretError::Gone)?;
        if at.in_place {
            file.check_name()?;
        }
        Ok(file.read(buffer)?)
    }

    /// The key of one-time codes that a secret is now.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn key(&self, at: SecretAt, buffer: &mut Buffer) -> Result<otp::Key, Unusable> {
        Ok(otp::Key::read(self.read(at, buffer)?.bytes())?)
    }

    /// The rules that two files hold now.
    fn hosts(
        &self,
        allow: SecretAt,
        deny: SecretAt,
        names: Option<CheckId>,
        buffer: &mut Buffer,
    ) -> Result<Hosts, Unusable> {
        let mut rules = |at: SecretAt, name| match self.read(at, buffer) {
            Ok(file) => Rules::parse(file.bytes()).map_err(|error| Unusable::Rules(name, error)),
            // An empty file has no rule, but one that has become empty is being written.
            Err(Unusable::Secret(SecretError::Empty)) if self.empty.contains(&at.index) => {
                Ok(Rules::default())
            }
            Err(error) => Err(error),
        };
        let hosts = Hosts {
            allow: rules(allow, "hosts.allow")?,
            deny: rules(deny, "hosts.deny")?,
        };
        if !hosts.keeps_out() {
            return Err(Unusable::Open);
        }
        // They may have changed since the start.
        match hosts.goes_by_names() && names.is_none() {
            true => Err(Unusable::NoNames),
            false => Ok(hosts),
        }
    }

    /// Do the rules of a module let in this client, whose address has these names? All of them have to
    /// be let in: which of them tcp-wrappers would go by is chance.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn open_named(
        &self,
        module: &AuthModule,
        peer: &PeerFacts,
        namings: &[Naming],
        buffer: &mut Buffer,
    ) -> Result<(), Refusal> {
        let (AuthModule::Hosts { allow, deny, names }, PeerFacts::Tcp { address }) = (module, peer)
        else {
            return Err(Refusal::Origin);
        };
        let hosts = self.hosts(*allow, *deny, *names, buffer).map_err(|error| {
            tracing::error!(module = name(module), %error, "an auth module");
            Refusal::Unusable
        })?;
        let admits = |naming: &Naming| hosts.admits_named(address.ip(), naming);
        match !namings.is_empty() && namings.iter().all(admits) {
            true => Ok(()),
            false => Err(Refusal::Origin),
        }
    }

    /// What a module says before the client is asked anything.
    pub fn open(
        &self,
        module: &AuthModule,
        peer: &PeerFacts,
        told: &Told,
        buffer: &mut Buffer,
    ) -> Opening {
        if let Some(question) = question(module) {
            return match module {
                AuthModule::Check {
                    check,
                    asks: CheckAsks::Code,
                    ..
                } => Opening::Send(*check),
                AuthModule::Check {
                    check,
                    asks: CheckAsks::Shown(code),
                    ..
                } => Opening::Show(*check, *code),
                _ => Opening::Ask(question),
            };
        }
        let passes = match (module, peer) {
            (AuthModule::Check { check, .. }, _) => return Opening::Check(*check),
            (AuthModule::None, _) => Ok(true),
            (AuthModule::Capability { place, secret }, _) => {
                let told = told.capability(*place);
                let said = told.unwrap_or_default().as_bytes();
                match self.read(*secret, buffer) {
                    Ok(wanted) if is_same(wanted.bytes(), said) && told.is_some() => Ok(true),
                    Ok(_) => return Opening::Refuse(Refusal::Failed),
                    Err(error) => Err(error),
                }
            }
            (
                AuthModule::HttpHeader {
                    header,
                    secret,
                    proxies,
                },
                PeerFacts::Tcp { address },
            ) if is_one_of(proxies, address) => match self.read(*secret, buffer) {
                Ok(wanted) if headers::say(told.headers(), header, wanted.bytes()) => Ok(true),
                Ok(_) => return Opening::Refuse(Refusal::Failed),
                Err(error) => Err(error),
            },
            (AuthModule::Fail, _) => return Opening::Refuse(Refusal::Failed),
            (AuthModule::PeerCred { uids, gids }, PeerFacts::Unix { uid, gid, .. }) => {
                Ok(uids.contains(uid) || gids.contains(gid))
            }
            (AuthModule::Hosts { allow, deny, names }, PeerFacts::Tcp { address }) => {
                let hosts = self.hosts(*allow, *deny, *names, buffer);
                match (hosts.map(|hosts| hosts.admits_address(address.ip())), names) {
                    (Ok(None), Some(check)) => return Opening::Name(*check, address.ip()),
                    (admits, _) => admits.map(|admits| admits.unwrap_or(false)),
                }
            }
            // What is not named here lets nobody in.
            _ => Ok(false),
        };
        match passes {
            Ok(true) => Opening::Pass,
            Ok(false) => Opening::Refuse(Refusal::Origin),
            Err(error) => {
                tracing::error!(module = name(module), %error, "an auth module");
                Opening::Refuse(Refusal::Unusable)
            }
        }
    }

    /// The user whose session this is.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }
}

/// Does the kernel say that one of these is at the other end? IPv4 is IPv4 also where it came in on a socket
/// of IPv6.
fn is_one_of(proxies: &[Cidr], address: &SocketAddr) -> bool {
    let ip = address.ip().to_canonical();
    proxies.iter().any(|proxy| proxy.holds(ip))
}

/// In a time that does not tell where they differ. To HMAC alone a key is the same with zero bytes behind it.
pub(crate) fn is_same(wanted: &[u8], told: &[u8]) -> bool {
    let len = wanted.len().ct_eq(&told.len());
    let [wanted, told] = [wanted, told]
        .map(|value| Zeroizing::new(maths::hmac_response(Hash::Sha512, value, "compared")));
    (len & wanted.ct_eq(&told)).into()
}

/// The module's name, for the log.
#[must_use]
pub fn name(module: &AuthModule) -> &str {
    match module {
        AuthModule::Allow => "allow",
        AuthModule::None => "none",
        AuthModule::Fail => "fail",
        AuthModule::Reject => "reject",
        AuthModule::Secret { name, .. } => name,
        AuthModule::PeerCred { .. } => "peercred",
        AuthModule::Users { .. } => "multifile",
        AuthModule::Hosts { .. } => "hosts",
        AuthModule::Otp { .. } => "otp",
        AuthModule::Capability { .. } => "capability",
        AuthModule::HttpHeader { .. } => "http-header",
        AuthModule::Check { name, .. } => name,
        AuthModule::Certificate { .. } => "certificate",
    }
}

/// What the module asks the client, if anything.
#[must_use]
pub fn question(module: &AuthModule) -> Option<Question> {
    match module {
        AuthModule::Allow
        | AuthModule::Reject
        | AuthModule::Secret { .. }
        | AuthModule::Users { .. } => Some(Question::Proof),
        AuthModule::Otp { .. } => Some(Question::Password),
        AuthModule::Check { asks, .. } => match asks {
            CheckAsks::Nothing => None,
            CheckAsks::Proof => Some(Question::Proof),
            CheckAsks::Password => Some(Question::Password),
            CheckAsks::Signature(fido) => Some(Question::Signature(*fido)),
            CheckAsks::Token { token, .. } => Some(Question::Token(*token)),
            CheckAsks::Code => Some(Question::Code),
            CheckAsks::Shown(_) => Some(Question::Shown),
        },
        AuthModule::None
        | AuthModule::Fail
        | AuthModule::PeerCred { .. }
        | AuthModule::Capability { .. }
        | AuthModule::HttpHeader { .. }
        | AuthModule::Hosts { .. }
        | AuthModule::Certificate { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(chains: Vec<Vec<AuthModule>>) -> AuthSpec {
        let listener = |chain: Vec<AuthModule>| AuthListener {
            chain: chain.into_iter().map(AuthStep::from).collect(),
            confidential: false,
        };
        AuthSpec {
            listeners: chains.into_iter().map(listener).collect(),
            owner: "owner".into(),
        }
    }

    fn unix(uid: u32, gid: u32) -> PeerFacts {
        PeerFacts::Unix { pid: 1, uid, gid }
    }

    #[test]
    fn what_cannot_be_put_in_force_is_an_error_in_one_line() {
        let secret = |index| AuthModule::Secret {
            name: "file".into(),
            secret: SecretAt {
                index,
                in_place: false,
            },
        };
        let empty = File::open("/dev/null").unwrap();
        let cases = [
            (
                spec(vec![vec![AuthModule::None], vec![]]),
                vec![],
                "listener 1 has no auth module",
            ),
            (spec(vec![vec![AuthModule::None; 9]]), vec![], "more than 8"),
            (spec(vec![vec![secret(0)]]), vec![], "was not passed"),
            (
                spec(vec![vec![secret(0)]]),
                vec![empty],
                "is empty: write a secret into it",
            ),
        ];
        let mut buffer = Buffer::new().unwrap();
        for (spec, files, text) in cases {
            let error = Modules::new(spec, files, &mut buffer)
                .unwrap_err()
                .to_string();
            assert!(error.contains(text) && !error.contains('\n'), "{error}");
        }
    }

    fn file(text: &str) -> File {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        file
    }

    fn at(index: u16) -> SecretAt {
        SecretAt {
            index,
            in_place: false,
        }
    }

    #[test]
    fn what_a_module_compares_with_is_checked_at_the_start() {
        let users = AuthModule::Users { secret: at(0) };
        let otp = AuthModule::Otp {
            secret: at(0),
            window: 0,
        };
        let hosts = AuthModule::Hosts {
            allow: at(0),
            deny: at(1),
            names: None,
        };
        let cases = [
            (
                &users,
                ["ann|x\nhunter2", ""],
                "multifile of listener 0: its password file, line 2: no password",
            ),
            (&users, ["# nobody\n", ""], "no user in the whole file"),
            (
                &otp,
                ["hunter2!", ""],
                "otp of listener 0: its key is not base32",
            ),
            (&otp, ["GEZDGNBV", ""], "its key has not between"),
            (
                &hosts,
                ["", ""],
                "hosts of listener 0: no rule keeps anybody out",
            ),
            (
                &hosts,
                ["xpra: ALL\n", "xpra: LOCAL\n"],
                "hosts of listener 0: a rule goes by a client's name",
            ),
            (
                &hosts,
                ["xpra: x_\u{e4}\n", "ALL: ALL\n"],
                "hosts.allow, line 1: `x_\u{e4}` is no address",
            ),
        ];
        let mut buffer = Buffer::new().unwrap();
        for (module, files, part) in cases {
            let mut spec = spec(vec![vec![module.clone()]]);
            spec.listeners[0].confidential = true;
            let error = Modules::new(spec, files.map(file).into(), &mut buffer).unwrap_err();
            let error = error.to_string();
            assert!(
                error.contains(part) && !error.contains("hunter2"),
                "{error}"
            );
        }
        // Nobody is asked for what others could read on the way.
        let key = file("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        let error = Modules::new(spec(vec![vec![otp]]), vec![key], &mut buffer).unwrap_err();
        assert!(error.to_string().contains("encrypt the socket"), "{error}");
    }

    fn open(module: &AuthModule, peer: &PeerFacts) -> Opening {
        let mut buffer = Buffer::new().unwrap();
        let files = [file("xpra: 10.0.0.0/8\n"), file("ALL: ALL\n")].into();
        let modules = Modules::new(spec(vec![vec![module.clone()]]), files, &mut buffer).unwrap();
        modules.open(module, peer, &Told::default(), &mut buffer)
    }

    /// Who writes a file anew may have it empty for a moment: that is no rule at all.
    #[test]
    fn rules_that_have_become_empty_let_nobody_in() {
        let hosts = AuthModule::Hosts {
            allow: at(0),
            deny: at(1),
            names: None,
        };
        let deny = file("ALL: ALL\n");
        let files = vec![file("xpra: 10.0.0.66: deny\n"), deny.try_clone().unwrap()];
        let mut buffer = Buffer::new().unwrap();
        let modules = Modules::new(spec(vec![vec![hosts.clone()]]), files, &mut buffer).unwrap();
        let mut open = || modules.open(&hosts, &tcp("10.1.2.3:4"), &Told::default(), &mut buffer);
        assert_eq!(open(), NO);
        deny.set_len(0).unwrap();
        assert_eq!(open(), Opening::Refuse(Refusal::Unusable));
    }

    /// Nor is an empty one that takes the place of one that was empty at the start.
    #[test]
    fn rules_that_are_replaced_count_and_may_be_half_written() {
        let hosts = AuthModule::Hosts {
            allow: at(0),
            deny: at(1),
            names: None,
        };
        let files = vec![file("xpra: 10.0.0.66: deny\n"), file("")];
        let mut buffer = Buffer::new().unwrap();
        let mut modules =
            Modules::new(spec(vec![vec![hosts.clone()]]), files, &mut buffer).unwrap();
        let mut open = |modules: &Modules| {
            modules.open(&hosts, &tcp("10.1.2.3:4"), &Told::default(), &mut buffer)
        };
        assert_eq!(open(&modules), Opening::Pass);
        modules.replace(1, Some(file("ALL: ALL\n")));
        assert_eq!(open(&modules), NO);
        for none in [Some(file("")), None] {
            modules.replace(1, none);
            assert_eq!(open(&modules), Opening::Refuse(Refusal::Unusable));
        }
    }

    fn tcp(address: &str) -> PeerFacts {
        PeerFacts::Tcp {
            address: address.parse().unwrap(),
        }
    }

    const NO: Opening = Opening::Refuse(Refusal::Origin);

    #[test]
    fn hosts_compares_what_the_kernel_said() {
        let hosts = AuthModule::Hosts {
            allow: at(0),
            deny: at(1),
            names: None,
        };
        assert_eq!(open(&hosts, &tcp("10.1.2.3:4")), Opening::Pass);
        assert_eq!(open(&hosts, &tcp("[::ffff:10.1.2.3]:4")), Opening::Pass);
        assert_eq!(open(&hosts, &tcp("11.1.2.3:4")), NO);
        assert_eq!(open(&hosts, &tcp("[::1]:4")), NO);
        assert_eq!(open(&hosts, &unix(0, 0)), NO);
    }

    fn named(name: &str) -> Naming {
        Naming::Name(hosts::Name::new(name).unwrap())
    }

    #[test]
    fn names_are_asked_for_where_addresses_do_not_decide_and_all_have_to_fit() {
        let check = CheckId(3);
        let hosts = AuthModule::Hosts {
            allow: at(0),
            deny: at(1),
            names: Some(check),
        };
        let allow = file("xpra: 10.\nxpra: .example.org\n");
        let files = vec![allow.try_clone().unwrap(), file("ALL: ALL\n")];
        let mut buffer = Buffer::new().unwrap();
        let modules = Modules::new(spec(vec![vec![hosts.clone()]]), files, &mut buffer).unwrap();
        let peer = tcp("[::ffff:11.1.2.3]:4");
        let mut open = |peer: &PeerFacts| modules.open(&hosts, peer, &Told::default(), &mut buffer);
        assert_eq!(open(&tcp("10.1.2.3:4")), Opening::Pass);
        let PeerFacts::Tcp { address } = &peer else {
            unreachable!()
        };
        assert_eq!(open(&peer), Opening::Name(check, address.ip()));
        let mut is_in = |names: &[Naming]| modules.open_named(&hosts, &peer, names, &mut buffer);
        let (in_it, outside) = (named("a.example.org"), named("a.example.com"));
        assert_eq!(is_in(std::slice::from_ref(&in_it)), Ok(()));
        for names in [
            &[][..],
            std::slice::from_ref(&outside),
            &[in_it.clone(), outside.clone()],
            &[in_it.clone(), Naming::Paranoid],
            &[Naming::Unknown],
        ] {
            assert_eq!(is_in(names), Err(Refusal::Origin), "{names:?}");
        }
        allow.set_len(0).unwrap();
        assert_eq!(is_in(&[in_it]), Err(Refusal::Unusable));
    }

    #[test]
    fn peercred_compares_what_the_kernel_said() {
        let module = |uids: &[u32], gids: &[u32]| AuthModule::PeerCred {
            uids: uids.to_vec(),
            gids: gids.to_vec(),
        };
        assert_eq!(open(&module(&[0], &[]), &unix(0, 5)), Opening::Pass);
        assert_eq!(open(&module(&[1000], &[]), &unix(0, 0)), NO);
        assert_eq!(open(&module(&[], &[20]), &unix(7, 20)), Opening::Pass);
        assert_eq!(open(&module(&[], &[]), &unix(0, 0)), NO);
        assert_eq!(open(&module(&[u32::MAX], &[]), &unix(0, 0)), NO);
        assert_eq!(open(&module(&[0], &[0]), &tcp("127.0.0.1:1")), NO);
    }
}
