//! `auth=otpscreen`: which codes are shown on the session's screen, and for how long.

use crate::auth::{Asks, Module, Options};
use crate::error::{Error, Result};
use ipc::check::MAX_CODE;
use ipc::spec::{Code, Letters};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// How many letters a code has when nobody says (protocol "Modules").
const COUNT: u8 = 6;
/// How many it may have: fewer could be guessed.
const COUNTS: RangeInclusive<u8> = 6..=MAX_CODE;
/// Seconds for which it is shown when nobody says (protocol "Modules").
const TIMEOUT: u16 = 120;
/// Seconds for which it may be shown: in fewer nobody types it.
const TIMEOUTS: RangeInclusive<u16> = 10..=600;

/// Its options.
pub const OPTIONS: &[&str] = &["mode", "count", "timeout", "display"];

/// Codes on the screen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    /// What they are.
    pub code: Code,
    /// Seconds for which one is shown.
    pub timeout: u16,
}

impl Screen {
    /// Reads them.
    ///
    /// # Errors
    /// What is wrong, by name.
    pub fn read(options: &mut Options<'_>) -> Result<Self> {
        let letters = match options.take("mode").as_deref() {
            None | Some("digits") => Letters::Digits,
            Some("alpha") => Letters::Alpha,
            Some("alphanumeric") => Letters::Alphanumeric,
            Some(other) => {
                return Err(options.wrong("mode", other, "digits, alpha and alphanumeric"));
            }
        };
        let count = number(options, "count", COUNT, COUNTS, "letters")?;
        let timeout = number(options, "timeout", TIMEOUT, TIMEOUTS, "seconds")?;
        match options.take("display").as_deref() {
            None | Some("auto") => {}
            Some(other) => {
                return Err(Error::usage(format!(
                    "auth=otpscreen: display={other}: there is auto, the session's own; what opens another X server is not this session's to use"
                )));
            }
        }
        Ok(Self {
            code: Code { letters, count },
            timeout,
        })
    }
}

fn number<N: FromStr + PartialOrd + Display>(
    options: &mut Options<'_>,
    key: &str,
    default: N,
    allowed: RangeInclusive<N>,
    what: &str,
) -> Result<N> {
    let Some(text) = options.take(key) else {
        return Ok(default);
    };
    match text.parse() {
        Ok(number) if allowed.contains(&number) => Ok(number),
        _ => {
            let allowed = format!("{} to {} {what}", allowed.start(), allowed.end());
            Err(options.wrong(key, &text, &allowed))
        }
    }
}

/// A window that comes and goes would end a session that ends with its last window: whoever connects
/// could end it.
///
/// # Errors
/// The session is such a one, and one of these modules shows codes.
pub fn check_windows<'a>(
    exit_with_windows: bool,
    mut modules: impl Iterator<Item = &'a Module>,
) -> Result<()> {
    match exit_with_windows && modules.any(|module| module.kind.asks == Asks::Shown) {
        true => Err(Error::usage(
            "auth=otpscreen with --exit-with-windows: the window with the code would be the last one, and whoever connects could end the session",
        )),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{self, What};
    use crate::syntax::RawModule;

    fn chain(texts: &[&str]) -> Result<Vec<Module>> {
        let raw: Result<Vec<_>> = texts.iter().map(|text| RawModule::parse(text)).collect();
        auth::chain(&raw?, &[])
    }

    fn read(text: &str) -> Result<Screen> {
        match chain(&[text])?.remove(0).what {
            What::Screen(screen) => Ok(screen),
            _ => panic!("{text}"),
        }
    }

    #[test]
    fn a_code_has_letters_and_a_time() {
        for (text, letters, count, timeout) in [
            ("otpscreen", Letters::Digits, 6, 120),
            ("otpscreen(mode=alpha,display=auto)", Letters::Alpha, 6, 120),
            (
                "otpscreen(mode=alphanumeric,count=32,timeout=10)",
                Letters::Alphanumeric,
                32,
                10,
            ),
            (
                "otpscreen(mode=digits,count=7,timeout=600)",
                Letters::Digits,
                7,
                600,
            ),
        ] {
            let screen = read(text).unwrap();
            let code = Code { letters, count };
            assert!(screen == Screen { code, timeout }, "{text}");
        }
        for (text, part) in [
            ("otpscreen(mode=hex)", "mode=hex: there are digits, alpha"),
            ("otpscreen(count=5)", "6 to 32 letters"),
            ("otpscreen(count=33)", "6 to 32 letters"),
            ("otpscreen(count=six)", "6 to 32 letters"),
            ("otpscreen(timeout=9)", "10 to 600 seconds"),
            ("otpscreen(timeout=601)", "10 to 600 seconds"),
            ("otpscreen(timeout=)", "10 to 600 seconds"),
            ("otpscreen(display=:5)", "display=:5: there is auto"),
            ("otpscreen(display=)", "there is auto"),
            ("otpscreen(client-username=yes)", "not proved"),
            ("otpscreen(value=x)", "no option `value`"),
        ] {
            let error = read(text).err().expect(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn nobody_ends_a_session_by_a_window() {
        let modules = chain(&["env", "otpscreen"]).unwrap();
        let refused = check_windows(true, modules.iter()).unwrap_err().to_string();
        assert!(refused.contains("--exit-with-windows"), "{refused}");
        assert!(check_windows(false, modules.iter()).is_ok());
        assert!(check_windows(true, modules[..1].iter()).is_ok());
    }
}
