//! What a module knows of a user beside that it is this user: as whom the user's sessions run, which they
//! are, and what is set for them (`get_sessions()` in Xpra's manual). The texts are those of password files
//! and tables (protocol "Password file formats" and "SQL schema").
//!
//! Passwords may stand in addresses, variables and options, and nobody uses those before there is a proxy
//! server: they are checked and counted where they lie. Of the texts nothing is taken over but what can be
//! the name or the number of a user and of a group.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Most bytes of all that is said of one user's sessions.
pub const MAX_SESSIONS: usize = 16 * 1024;
/// Longest name of a user or a group, in bytes (useradd(8)).
const MAX_ID: usize = 32;

/// What may be known of a user's sessions by who does not make them: as whom they run, and how much is
/// said of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    uid: Option<Id>,
    gid: Option<Id>,
    displays: u16,
    env: u16,
    options: u16,
}

impl Summary {
    /// Of user, group, displays (`:10` or `tcp://host:port/`, with commas), variables and options
    /// (`name=value`, with semicolons). `None` when all of them are empty. It copies nothing but the names
    /// of user and group.
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
        let displays = displays.split(',').map(str::trim);
        let summary = Self {
            uid: Id::read(uid)?,
            gid: Id::read(gid)?,
            displays: number(displays.filter(|text| !text.is_empty())),
            env: pairs(env).ok_or("variables that are not name=value;name=value")?,
            options: pairs(options).ok_or("options that are not name=value;name=value")?,
        };
        Ok((summary != Self::default()).then_some(summary))
    }
}

/// For the log.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Id(uid)) = &self.uid {
            write!(f, "user {uid}, ")?;
        }
        if let Some(Id(gid)) = &self.gid {
            write!(f, "group {gid}, ")?;
        }
        let count = |list: u16, one: &str| match list {
            1 => format!("1 {one}"),
            many => format!("{many} {one}s"),
        };
        let displays = count(self.displays, "display");
        let env = count(self.env, "variable");
        let options = count(self.options, "option");
        write!(f, "{displays}, {env}, {options}")
    }
}

/// The name of a user or group, or the number of one. No other text can be made one, nor decoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
struct Id(String);

impl Id {
    fn read(text: &str) -> Result<Option<Self>, &'static str> {
        match text.is_empty() {
            true => Ok(None),
            false => Self::try_from(text.to_owned()).map(Some),
        }
    }
}

impl TryFrom<String> for Id {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let begins = |c: char| c.is_ascii_alphabetic() || c == '_';
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let is_id = match text.bytes().all(|byte| byte.is_ascii_digit()) {
            // The largest number stands for nobody (chown(2)).
            true => text.parse().is_ok_and(|number: u32| number != u32::MAX),
            false => text.len() <= MAX_ID && text.starts_with(begins) && text.chars().all(plain),
        };
        match is_id {
            true => Ok(Self(text)),
            false => Err("no user and group: a name or a number"),
        }
    }
}

/// How many pairs there are, if there is nothing else.
fn pairs(text: &str) -> Option<u16> {
    let parts = || text.split(';').filter(|part| !part.is_empty());
    let is_pair = |part: &str| {
        part.split_once('=')
            .is_some_and(|(name, _)| !name.is_empty())
    };
    parts().all(is_pair).then(|| number(parts()))
}

/// There are no more than [`MAX_SESSIONS`] of anything.
fn number<'t>(texts: impl Iterator<Item = &'t str>) -> u16 {
    u16::try_from(texts.count()).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::AuthToSupervisor;
    use crate::channel::{Message, decode, encode};
    use crate::check::CheckToAuth;

    #[test]
    fn the_documented_format() {
        let all = [
            "1000",
            "staff",
            ":10, tcp://me:hunter2@host:1/",
            "A=b;C=d=e;",
            "speed=100;quality=",
        ];
        let read = Summary::read(all).unwrap().unwrap();
        assert_eq!(
            read.to_string(),
            "user 1000, group staff, 2 displays, 2 variables, 2 options"
        );
        let one = Summary::read(["", "", ":10", "", ""]).unwrap().unwrap();
        assert_eq!(one.to_string(), "1 display, 0 variables, 0 options");
        assert_eq!(Summary::read(["", "", " ,", "", ";"]), Ok(None));
    }

    #[test]
    fn what_is_none_is_refused() {
        let long = "x".repeat(MAX_SESSIONS + 1);
        for fields in [
            ["a b", "", "", "", ""],
            ["-a", "", "", "", ""],
            ["1a", "", "", "", ""],
            ["\u{e9}", "", "", "", ""],
            [&long[..=MAX_ID], "", "", "", ""],
            ["", "4294967295", "", "", ""],
            ["", "99999999999", "", "", ""],
            ["", "", ":1\n", "", ""],
            ["", "", &long, "", ""],
            ["", "", "", "A", ""],
            ["", "", "", "=b", ""],
            ["", "", "", "", "x;y=1"],
        ] {
            assert!(Summary::read(fields).is_err(), "{fields:?}");
        }
        let most = ",x".repeat(MAX_SESSIONS / 2);
        let most = Summary::read(["", "", &most, "", ""]).unwrap().unwrap();
        assert_eq!(most.displays, 8192);
    }

    /// Who has it from somebody else has what [`Summary::read`] gives.
    #[test]
    fn what_is_no_summary_is_not_decoded() {
        let of = |uid: &str| Summary {
            uid: Some(Id(uid.to_owned())),
            ..Summary::default()
        };
        let said = |uid: &str| encode(&CheckToAuth::Sessions(of(uid))).unwrap();
        let (name, number) = ("x".repeat(MAX_ID), u32::MAX - 1);
        for good in ["ann", "0", &name, &number.to_string()] {
            let decoded = decode::<CheckToAuth>(&said(good), 0).unwrap();
            assert_eq!(decoded, CheckToAuth::Sessions(of(good)));
        }
        let long = "x".repeat(MAX_ID + 1);
        for bad in ["", "a b", "tcp://me:hunter2@host:1/", "4294967295", &long] {
            let error = decode::<CheckToAuth>(&said(bad), 0).unwrap_err();
            assert!(error.is_violation(), "{bad}: {error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    /// The longest one goes into a message, beside the longest name.
    #[test]
    fn it_goes_into_every_message() {
        let id = Some(Id("x".repeat(MAX_ID)));
        let longest = Summary {
            uid: id.clone(),
            gid: id,
            displays: u16::MAX,
            env: u16::MAX,
            options: u16::MAX,
        };
        let check = CheckToAuth::Sessions(longest.clone());
        let verdict = AuthToSupervisor::Accepted {
            connection: crate::ConnectionId(u64::MAX),
            username: "x".repeat(256),
            module: "kerberos-password".into(),
            sessions: Some(longest),
        };
        assert!(encode(&check).unwrap().len() <= check.limit());
        assert!(encode(&verdict).unwrap().len() <= verdict.limit());
    }
}
