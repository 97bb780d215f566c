//! The start parameters: a few words and decimal numbers in the argument list. Never a secret,
//! never anything that a peer said.

use policy::{Role, SandboxMode, StartMode};
use std::fmt;
use tracing::level_filters::LevelFilter;

/// What the supervisor tells a worker by its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// `--mode=root|user`.
    pub mode: StartMode,
    /// `--sandbox=enforce|best-effort`.
    pub sandbox: SandboxMode,
    /// `--parent=PID`: the process that started this one; needed by every role that ends with it.
    pub parent: Option<i32>,
    /// `--connection=N`: the connection's number, for the log.
    pub connection: Option<u64>,
    /// `--tls12=yes`: the connection may speak TLS 1.2, which the warm-up has to go through then. Nobody else's has
    /// the time.
    pub tls12: bool,
    /// `--restarted=yes`: a predecessor had what the operator gave in force. What is not as it has to be any more
    /// keeps out who needs it, and not everybody.
    pub restarted: bool,
    /// `--log=off|error|warn|info|debug|trace`; `info` when not given.
    pub log: LevelFilter,
}

/// An argument that is not one of ours.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad or missing argument: {0}")]
pub struct BadOption(pub String);

impl Options {
    /// Reads the arguments (without the program's name).
    ///
    /// # Errors
    /// The argument that is unknown, wrong, repeated or missing.
    pub fn from_args(
        role: Role,
        arguments: impl IntoIterator<Item = String>,
    ) -> Result<Self, BadOption> {
        let (mut mode, mut sandbox, mut parent, mut connection, mut log) =
            (None, None, None, None, None);
        let (mut tls12, mut restarted) = (None, None);
        for argument in arguments {
            let bad = || BadOption(argument.clone());
            let (name, value) = argument.split_once('=').ok_or_else(bad)?;
            let fresh = match name {
                "--mode" => set(&mut mode, StartMode::from_name(value)),
                "--sandbox" => set(&mut sandbox, SandboxMode::from_name(value)),
                "--parent" => set(&mut parent, value.parse().ok().filter(|pid| *pid > 0)),
                "--connection" => set(&mut connection, value.parse().ok()),
                "--tls12" => set(&mut tls12, (value == "yes").then_some(())),
                "--restarted" => set(&mut restarted, (value == "yes").then_some(())),
                "--log" => set(&mut log, value.parse().ok()),
                _ => false,
            };
            if !fresh {
                return Err(bad());
            }
        }
        if parent.is_none() && policy::of(role).dies_with_parent {
            return Err(BadOption("--parent".into()));
        }
        Ok(Self {
            mode: mode.ok_or_else(|| BadOption("--mode".into()))?,
            sandbox: sandbox.ok_or_else(|| BadOption("--sandbox".into()))?,
            parent,
            connection,
            tls12: tls12.is_some(),
            restarted: restarted.is_some(),
            log: log.unwrap_or(LevelFilter::INFO),
        })
    }

    /// The arguments that [`Options::from_args`] reads, for the one who starts the process.
    #[must_use]
    pub fn to_args(&self) -> Vec<String> {
        let mut arguments = vec![
            format!("--mode={}", self.mode),
            format!("--sandbox={}", self.sandbox),
            format!("--log={}", self.log),
        ];
        let mut push = |name: &str, value: Option<&dyn fmt::Display>| {
            arguments.extend(value.map(|value| format!("--{name}={value}")));
        };
        push("parent", self.parent.as_ref().map(|value| value as _));
        push(
            "connection",
            self.connection.as_ref().map(|value| value as _),
        );
        push("tls12", self.tls12.then_some(&"yes"));
        push("restarted", self.restarted.then_some(&"yes"));
        arguments
    }
}

/// Whether there is a value and it is the first.
fn set<T>(place: &mut Option<T>, value: Option<T>) -> bool {
    let fresh = place.is_none() && value.is_some();
    *place = value;
    fresh
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Options, BadOption> {
        Options::from_args(
            Role::Network,
            arguments.iter().map(|argument| (*argument).to_owned()),
        )
    }

    #[test]
    fn what_is_written_is_read() {
        for mode in StartMode::ALL {
            for sandbox in SandboxMode::ALL {
                for (connection, tls12) in [(None, false), (Some(7), false), (Some(7), true)] {
                    let options = Options {
                        mode,
                        sandbox,
                        parent: Some(42),
                        connection,
                        tls12,
                        restarted: tls12 != connection.is_some(),
                        log: LevelFilter::DEBUG,
                    };
                    assert_eq!(
                        Options::from_args(Role::Auth, options.to_args()),
                        Ok(options)
                    );
                }
            }
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let good = ["--mode=user", "--sandbox=enforce", "--parent=1"];
        assert!(read(&good).is_ok());
        for bad in [
            "--mode=root",
            "--parent=0",
            "--parent=-1",
            "--parent=x",
            "--connection=-1",
            "--tls12=no",
            "--restarted=no",
            "--log=loud",
            "x",
            "--unsandboxed=yes",
        ] {
            let mut arguments = good.to_vec();
            arguments.push(bad);
            assert_eq!(read(&arguments), Err(BadOption(bad.into())));
        }
        for missing in 0..good.len() {
            let mut arguments = good.to_vec();
            arguments.remove(missing);
            assert!(read(&arguments).is_err());
        }
    }
}
