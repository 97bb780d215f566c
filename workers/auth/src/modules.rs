//! The chains of modules that guard the listeners, checked before anybody may connect.

use crate::challenge::Question;
use ipc::ListenerId;
use ipc::auth::PeerFacts;
use ipc::spec::{AuthListener, AuthModule, AuthSpec, AuthStep, SecretAt};
use runtime::secret::{Buffer, Secret, SecretError, SecretFile};
use std::fs::File;

/// Most modules in one chain.
const MAX_CHAIN: usize = 8;

/// What a module says before the client is asked anything.
#[derive(Debug, PartialEq, Eq)]
pub enum Opening {
    /// The client passes.
    Pass,
    /// It does not.
    Refuse,
    /// Its answer to a challenge decides.
    Ask(Question),
}

/// All chains and the secrets they refer to.
#[derive(Debug)]
pub struct Modules {
    listeners: Vec<AuthListener>,
    secrets: Vec<SecretFile>,
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
    /// A module that refers to a descriptor that was not passed.
    #[error("auth module {module} of listener {listener}: its secret was not passed")]
    Missing {
        /// Its name.
        module: String,
        /// Index of the listener.
        listener: usize,
    },
    /// A secret that cannot be used.
    #[error("auth module {module} of listener {listener}: its secret {error}")]
    Secret {
        /// Its name.
        module: String,
        /// Index of the listener.
        listener: usize,
        /// What is wrong with it.
        error: SecretError,
    },
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
        let secrets: Vec<_> = secrets.into_iter().map(SecretFile::new).collect();
        for (listener, one) in spec.listeners.iter().enumerate() {
            match one.chain.len() {
                0 => return Err(ModulesError::EmptyChain(listener)),
                1..=MAX_CHAIN => {}
                _ => return Err(ModulesError::LongChain(listener)),
            }
            for AuthStep { module, .. } in &one.chain {
                if question(module) == Some(Question::Password) && !one.confidential {
                    return Err(ModulesError::Readable {
                        module: name(module).to_owned(),
                        listener,
                    });
                }
                let AuthModule::Secret { name, secret, .. } = module else {
                    continue;
                };
                let Some(file) = secrets.get(usize::from(secret.index)) else {
                    return Err(ModulesError::Missing {
                        module: name.clone(),
                        listener,
                    });
                };
                if let Err(error) = file.read(buffer) {
                    return Err(ModulesError::Secret {
                        module: name.clone(),
                        listener,
                        error,
                    });
                }
            }
        }
        Ok(Self {
            listeners: spec.listeners,
            secrets,
            owner: spec.owner,
        })
    }

    /// The modules of a listener, or `None` when there is no such listener.
    #[must_use]
    pub fn chain(&self, listener: ListenerId) -> Option<&[AuthStep]> {
        let listener = self.listeners.get(usize::from(listener.0))?;
        Some(&listener.chain)
    }

    /// What a secret is now.
    ///
    /// # Errors
    /// It cannot be used, or there is no such secret.
    pub fn read<'b>(
        &self,
        at: SecretAt,
        buffer: &'b mut Buffer,
    ) -> Result<Secret<'b>, SecretError> {
        let file = self.secrets.get(usize::from(at.index));
        let file = file.ok_or(SecretError::Empty)?;
        if at.in_place {
            file.check_name()?;
        }
        file.read(buffer)
    }

    /// The user whose session this is.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }
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
    }
}

/// What the module asks the client, if anything.
#[must_use]
pub fn question(module: &AuthModule) -> Option<Question> {
    match module {
        AuthModule::Allow | AuthModule::Reject | AuthModule::Secret { .. } => Some(Question::Proof),
        AuthModule::None | AuthModule::Fail | AuthModule::PeerCred { .. } => None,
    }
}

/// What the module says before the client is asked anything.
#[must_use]
pub fn open(module: &AuthModule, peer: &PeerFacts) -> Opening {
    if let Some(question) = question(module) {
        return Opening::Ask(question);
    }
    let passes = match module {
        AuthModule::None => true,
        AuthModule::PeerCred { uids, gids } => match peer {
            PeerFacts::Unix { uid, gid, .. } => uids.contains(uid) || gids.contains(gid),
            PeerFacts::Tcp { .. } => false,
        },
        // What is not named here lets nobody in.
        _ => false,
    };
    if passes {
        Opening::Pass
    } else {
        Opening::Refuse
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

    #[test]
    fn peercred_compares_what_the_kernel_said() {
        let module = |uids: &[u32], gids: &[u32]| AuthModule::PeerCred {
            uids: uids.to_vec(),
            gids: gids.to_vec(),
        };
        assert_eq!(open(&module(&[0], &[]), &unix(0, 5)), Opening::Pass);
        assert_eq!(open(&module(&[1000], &[]), &unix(0, 0)), Opening::Refuse);
        assert_eq!(open(&module(&[], &[20]), &unix(7, 20)), Opening::Pass);
        assert_eq!(open(&module(&[], &[]), &unix(0, 0)), Opening::Refuse);
        assert_eq!(
            open(&module(&[u32::MAX], &[]), &unix(0, 0)),
            Opening::Refuse
        );
        let tcp = PeerFacts::Tcp {
            address: "127.0.0.1:1".parse().unwrap(),
        };
        assert_eq!(open(&module(&[0], &[0]), &tcp), Opening::Refuse);
    }
}
