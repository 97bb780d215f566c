//! `auth=exec`: which command decides.

use crate::auth::{Options, What, kinds};
use crate::error::{Error, Result};
use crate::syntax;

/// `exec`: a command decides.
#[derive(Clone, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments, split; `${…}` is not put in yet.
    pub argv: Vec<String>,
    /// Seconds that it may take.
    pub timeout: u16,
    /// The client is asked for a password, which the command is told.
    pub password: bool,
}

/// What a command can be told in its arguments.
const VALUES: [&str; 4] = ["${username}", "${info}", "${timeout}", "${display}"];

/// The options of `exec`.
pub const OPTIONS: &[&str] = &["command", "timeout", "require-challenge"];

impl Command {
    /// Reads them.
    ///
    /// # Errors
    /// What is missing or wrong, by name.
    pub fn read(options: &mut Options<'_>) -> Result<Self> {
        let at = |error: Error| error.at("auth=exec: command");
        let command = options.require("command", "/usr/local/bin/may-enter ${username}")?;
        let argv = syntax::words(&command).map_err(at)?;
        for word in &argv {
            if word.contains("${password}") {
                return Err(at(Error::usage(
                    "`${password}`: everybody could see it there; with require-challenge=yes it is the first line of the command's standard input",
                )));
            }
            for (start, _) in word.match_indices("${") {
                if !VALUES.iter().any(|value| word[start..].starts_with(value)) {
                    return Err(at(Error::usage(format!(
                        "`{word}`: there are {}",
                        VALUES.join(", ")
                    ))));
                }
            }
        }
        if !argv.first().is_some_and(|program| program.starts_with('/')) {
            return Err(at(Error::usage(
                "the program needs its whole path, beginning with /",
            )));
        }
        Ok(Self {
            argv,
            timeout: options.timeout()?,
            password: options.flag("require-challenge", false)?,
        })
    }
}

pub(super) fn read(options: &mut Options<'_>) -> Result<What> {
    let command = Command::read(options)?;
    if command.password {
        options.turn_into(&kinds::EXEC_WITH_PASSWORD);
        if !options.flag("client-username", true)? {
            return Err(Error::usage(
                "auth=exec: client-username=no: the command is told the name that the client says",
            ));
        }
    }
    Ok(What::Exec(command))
}

#[cfg(test)]
mod tests {
    use crate::auth::{self, What};
    use crate::error::Result;
    use crate::syntax::RawModule;

    fn read(text: &str) -> Result<What> {
        let module = auth::chain(&[RawModule::parse(text)?], &[])?.remove(0);
        Ok(module.what)
    }

    #[test]
    fn a_command_is_split_and_its_values_are_known() {
        let What::Exec(command) =
            read("exec(command=/bin/ask 'a b' --user=${username},timeout=7)").unwrap()
        else {
            panic!("no exec");
        };
        assert_eq!(command.argv, ["/bin/ask", "a b", "--user=${username}"]);
        assert_eq!((command.timeout, command.password), (7, false));
        let text = "exec(command=/bin/ask,require-challenge=yes,prompt=x)";
        assert!(matches!(read(text).unwrap(), What::Exec(command) if command.password));
        for (text, part) in [
            ("exec", "needs command="),
            ("exec(command=ask)", "whole path"),
            (
                "exec(command=/bin/ask ${password})",
                "`${password}`: everybody could see it",
            ),
            ("exec(command=/bin/ask ${x})", "`${x}`: there are"),
            (
                "exec(command=/bin/ask,require-challenge=yes,client-username=no)",
                "is told the name",
            ),
            ("exec(command=/bin/ask,timeout=600)", "1 to 50 seconds"),
            ("exec(command=/bin/ask,timeout=0)", "1 to 50 seconds"),
            ("exec(command=/bin/ask,prompt=x)", "no option `prompt`"),
        ] {
            let error = read(text).err().expect(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
