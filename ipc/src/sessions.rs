//! What a module knows of a user beside that it is this user: as whom the user's sessions run, which they
//! are, and what is set for them (`get_sessions()` in Xpra's manual). The texts are those of password files
//! and tables (protocol "Password file formats" and "SQL schema").

use serde::{Deserialize, Serialize};
use std::fmt;

/// Most bytes of all that is said of one user's sessions.
pub const MAX_SESSIONS: usize = 16 * 1024;

/// A user's sessions. Addresses and values may hold passwords: neither is shown.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sessions {
    /// As which user they run, a name or a number.
    pub uid: Option<String>,
    /// With which group, a name or a number.
    pub gid: Option<String>,
    /// Which: `:10`, or an address such as `tcp://host:port/`.
    pub displays: Vec<String>,
    /// Variables for them.
    pub env: Vec<(String, String)>,
    /// Options for them.
    pub options: Vec<(String, String)>,
}

impl Sessions {
    /// Reads user, group, displays (with commas), variables and options (`name=value`, with semicolons).
    /// `None` when all of them are empty.
    ///
    /// # Errors
    /// What is wrong with them; nothing of the texts is in it.
    pub fn read(
        [uid, gid, displays, env, options]: [&str; 5],
    ) -> Result<Option<Self>, &'static str> {
        let all = [uid, gid, displays, env, options];
        if all.iter().map(|text| text.len()).sum::<usize>() > MAX_SESSIONS {
            return Err("more than 16 KiB about sessions");
        }
        if all.iter().any(|text| text.contains(char::is_control)) {
            return Err("a control character");
        }
        let id = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let displays = displays.split(',').map(str::trim);
        let displays = displays.filter(|text| !text.is_empty());
        let sessions = Self {
            uid: id(uid),
            gid: id(gid),
            displays: displays.map(str::to_owned).collect(),
            env: pairs(env).ok_or("variables that are not name=value;name=value")?,
            options: pairs(options).ok_or("options that are not name=value;name=value")?,
        };
        match [uid, gid].into_iter().all(is_id) {
            true => Ok((sessions != Self::default()).then_some(sessions)),
            false => Err("no user and group: a name or a number"),
        }
    }

    /// Is it something that [`Self::read`] gives? Who has it from somebody else asks that first.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let pairs = || self.env.iter().chain(&self.options);
        let ids = || self.uid.iter().chain(&self.gid);
        let texts = ids()
            .chain(&self.displays)
            .chain(pairs().flat_map(|(name, value)| [name, value]));
        let mut len = 0_usize;
        for text in texts {
            len = len.saturating_add(text.len().saturating_add(1));
            if text.contains(char::is_control) {
                return false;
            }
        }
        len <= MAX_SESSIONS + 5
            && ids().all(|id| is_id(id) && !id.is_empty())
            && self.displays.iter().all(|display| !display.is_empty())
            && pairs().all(|(name, _)| !name.is_empty())
    }
}

/// For the log: as whom, and how many.
impl fmt::Display for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(uid) = &self.uid {
            write!(f, "user {uid}, ")?;
        }
        if let Some(gid) = &self.gid {
            write!(f, "group {gid}, ")?;
        }
        let count = |list: usize, one: &str| match list {
            1 => format!("1 {one}"),
            many => format!("{many} {one}s"),
        };
        let displays = count(self.displays.len(), "display");
        let env = count(self.env.len(), "variable");
        let options = count(self.options.len(), "option");
        write!(f, "{displays}, {env}, {options}")
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{self}>")
    }
}

/// Empty, the name of a user or group, or the number of one.
fn is_id(text: &str) -> bool {
    // The largest number stands for nobody (chown(2)).
    if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        return text.parse().is_ok_and(|number: u32| number != u32::MAX);
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    text.chars().all(plain) && !text.starts_with('-')
}

fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let parts = text.split(';').filter(|part| !part.is_empty());
    let pair = |part: &str| {
        let (name, value) = part.split_once('=')?;
        (!name.is_empty()).then(|| (name.to_owned(), value.to_owned()))
    };
    parts.map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_format() {
        let all = [
            "1000",
            "staff",
            ":10, tcp://me:hunter2@host:1/",
            "A=b;C=d=e;",
            "speed=100;quality=",
        ];
        let read = Sessions::read(all).unwrap().unwrap();
        assert_eq!(read.displays, [":10", "tcp://me:hunter2@host:1/"]);
        assert_eq!(read.env[1], ("C".to_owned(), "d=e".to_owned()));
        assert_eq!(read.options[1], ("quality".to_owned(), String::new()));
        assert_eq!(
            read.to_string(),
            "user 1000, group staff, 2 displays, 2 variables, 2 options"
        );
        assert_eq!(format!("{read:?}"), format!("<{read}>"));
        assert!(read.is_sound());
        let one = Sessions::read(["", "", ":10", "", ""]).unwrap().unwrap();
        assert_eq!(one.to_string(), "1 display, 0 variables, 0 options");
        assert_eq!(Sessions::read(["", "", " ,", "", ";"]), Ok(None));
    }

    #[test]
    fn what_is_none_is_refused_and_known_when_it_comes_from_somebody_else() {
        let long = "x".repeat(MAX_SESSIONS + 5);
        for fields in [
            ["a b", "", "", "", ""],
            ["-a", "", "", "", ""],
            ["", "4294967295", "", "", ""],
            ["", "", ":1\n", "", ""],
            ["", "", &long, "", ""],
            ["", "", "", "A", ""],
            ["", "", "", "=b", ""],
            ["", "", "", "", "x;y=1"],
        ] {
            assert!(Sessions::read(fields).is_err(), "{fields:?}");
        }
        let pair = |name: &str| vec![(name.to_owned(), String::new())];
        for unsound in [
            Sessions {
                uid: Some(String::new()),
                ..Sessions::default()
            },
            Sessions {
                gid: Some("a b".into()),
                ..Sessions::default()
            },
            Sessions {
                displays: vec!["\u{1b}".into()],
                ..Sessions::default()
            },
            Sessions {
                displays: vec![long],
                ..Sessions::default()
            },
            Sessions {
                displays: vec![String::new(); MAX_SESSIONS * 2],
                ..Sessions::default()
            },
            Sessions {
                env: pair(""),
                ..Sessions::default()
            },
            Sessions {
                options: pair(""),
                ..Sessions::default()
            },
        ] {
            assert!(!unsound.is_sound());
        }
        let longest = "x".repeat(MAX_SESSIONS);
        let longest = Sessions::read(["", "", &longest, "", ""]).unwrap().unwrap();
        assert!(longest.is_sound());
    }
}
