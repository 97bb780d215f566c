//! Password files with many users: a line for each, `user|password|uid|gid|displays|env|session`
//! (protocol "Password file formats").
//!
//! Fields may be left out from the right, but for the first two. Everything after the password is
//! about the user's sessions ([`Summary`]). A file with one mistake is no password file: nobody can
//! know whom its author meant to keep out.
//!
//! The last line needs its end too: a file that is being written, or that found the disk full, may
//! stop in the middle of a password, and what is there of it would be one. (The stock server takes
//! such a file. Whether it is whole cannot be told by reading it twice: a writer may pause for long.)

use ipc::sessions::Summary;
use std::collections::BTreeSet;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// Most fields of a line.
const FIELDS: usize = 7;
/// Longest user name in bytes, as long as a client's may be.
const MAX_USER: usize = 256;

/// What is wrong with a file, without any of its text: a password may stand where it does not
/// belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Mistake {
    /// Counts from 1.
    pub line: usize,
    /// What.
    pub what: &'static str,
}

/// A user's line.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(PartialEq, Eq))]
pub struct Entry<'f> {
    /// The name, as the client has to say it.
    pub user: &'f str,
    /// The password: the bytes between the first two bars.
    pub password: &'f [u8],
    /// User, group, displays, variables and options of the sessions, as [`Summary::read`] takes them.
    pub sessions: [&'f str; 5],
}

impl std::fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// The users of a file, in its order.
///
/// # Errors
/// The first mistake.
pub fn entries(file: &[u8]) -> impl Iterator<Item = Result<Entry<'_>, Mistake>> {
    let lines = file.split(|byte| *byte == b'\n').zip(1..);
    lines.filter_map(|(text, line)| {
        let entry = entry(text).transpose()?;
        Some(entry.map_err(|what| Mistake { line, what }))
    })
}

/// Checks a whole file.
///
/// # Errors
/// The first mistake; a user who is there twice, a file without any user and a last line without
/// its end are mistakes.
pub fn check(file: &[u8]) -> Result<(), Mistake> {
    let mut users = BTreeSet::new();
    let mut last = 1;
    let lines = file.split(|byte| *byte == b'\n').zip(1..);
    for (text, line) in lines {
        let mistake = |what| Mistake { line, what };
        last = line;
        if let Some(entry) = entry(text).map_err(mistake)?
            && !users.insert(entry.user)
        {
            return Err(mistake("this user is there already"));
        }
    }
    match (users.is_empty(), file.last()) {
        (true, _) => Err(Mistake {
            line: 1,
            what: "no user in the whole file: write user|password",
        }),
        (false, Some(b'\n')) => Ok(()),
        (false, _) => Err(Mistake {
            line: last,
            what: "the last line has no line end, as if it were not written to its end: add one",
        }),
    }
}

/// Somebody's password, or `nobody`'s where there is no such user, and whether there is. Which of
/// them it is does not show in the time that this takes.
///
/// # Errors
/// The first mistake in the file.
pub fn password<'f>(
    file: &'f [u8],
    user: &str,
    nobody: &'f [u8],
) -> Result<(&'f [u8], bool), Mistake> {
    check(file)?;
    // Numbers of the entry that is meant: 0 is nobody.
    let mut chosen = 0_u64;
    for (entry, number) in entries(file).zip(1_u64..) {
        let same = is(entry?.user.as_bytes(), user.as_bytes());
        chosen.conditional_assign(&number, same);
    }
    let mut password = nobody;
    for (entry, number) in entries(file).zip(1_u64..) {
        let entry = entry?;
        if number == chosen {
            password = entry.password;
        }
    }
    Ok((password, chosen != 0))
}

/// What the file says of the sessions of a user who is known to be this one: how long that takes tells who
/// is in the file.
#[must_use]
pub fn sessions(file: &[u8], user: &str) -> Option<Summary> {
    let entry = entries(file).flatten().find(|entry| entry.user == user)?;
    Summary::read(entry.sessions).ok()?
}

/// Is this the user? It takes as long as the name that was said is, whoever is in the file.
fn is(user: &[u8], said: &[u8]) -> Choice {
    let padded = user.iter().chain(std::iter::repeat(&0));
    let difference = said.iter().zip(padded).fold(0, |all, (a, b)| all | a ^ b);
    difference.ct_eq(&0_u8) & user.len().ct_eq(&said.len())
}

/// What a line says; `None` for a comment and for an empty one.
fn entry(line: &[u8]) -> Result<Option<Entry<'_>>, &'static str> {
    let start = line.iter().find(|byte| !b" \t\r".contains(byte));
    if start.is_none() || start == Some(&b'#') {
        return Ok(None);
    }
    if line.last().is_some_and(|byte| b" \t\r".contains(byte)) {
        return Err(
            "ends with a space, a tab or a carriage return: does it belong to the password?",
        );
    }
    let mut fields = [&line[..0]; FIELDS];
    let mut found = 0;
    for field in line.split(|byte| *byte == b'|') {
        *fields.get_mut(found).ok_or("more than seven fields")? = field;
        found += 1;
    }
    if found < 2 || fields[1].is_empty() {
        return Err("no password: write user|password");
    }
    let text = |at: usize| {
        let text = std::str::from_utf8(fields[at]).map_err(|_| "a field that is not UTF-8")?;
        match text.contains(char::is_control) {
            true => Err("a control character"),
            false => Ok(text),
        }
    };
    let entry = Entry {
        user: text(0)?,
        password: fields[1],
        sessions: [text(2)?, text(3)?, text(4)?, text(5)?, text(6)?],
    };
    if entry.user.is_empty() || entry.user.len() > MAX_USER || entry.user.trim() != entry.user {
        return Err("no user's name before the first |");
    }
    Summary::read(entry.sessions)?;
    Ok(Some(entry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOBODY: &[u8] = b"nobody's";

    fn find(file: &str, user: &str) -> Option<Vec<u8>> {
        let (password, known) = password(file.as_bytes(), user, NOBODY).unwrap();
        assert_eq!(known, password != NOBODY);
        known.then(|| password.to_vec())
    }

    #[test]
    fn the_documented_format() {
        let file = "# a comment\n\n\
            ann|first|1000|staff|:10,tcp://host:10000/|A=b;C=d=e|speed=100;quality=\n\
            \t# another\n\
            bob|second\n\
            carl|#th ird|||:11\n\
            d\u{e9}j\u{e0}|||||\u{e9}\n";
        assert_eq!(check(file.as_bytes()).unwrap_err().line, 7);
        let file = file.replace("|||||\u{e9}", "|\u{e9}");
        assert_eq!(check(file.as_bytes()), Ok(()));
        for (user, wanted) in [
            ("ann", Some("first")),
            ("bob", Some("second")),
            ("carl", Some("#th ird")),
            ("d\u{e9}j\u{e0}", Some("\u{e9}")),
            ("Ann", None),
            ("ann ", None),
            ("", None),
            ("# a comment", None),
        ] {
            assert_eq!(find(&file, user).as_deref(), wanted.map(str::as_bytes));
        }
        let ann = entries(file.as_bytes()).next().unwrap().unwrap();
        assert_eq!(
            ann.sessions,
            [
                "1000",
                "staff",
                ":10,tcp://host:10000/",
                "A=b;C=d=e",
                "speed=100;quality="
            ]
        );
        let sessions = sessions(file.as_bytes(), "ann").unwrap();
        assert_eq!(
            sessions.to_string(),
            "user 1000, group staff, 2 displays, 2 variables, 2 options"
        );
        for user in ["bob", "Ann", "nobody"] {
            assert_eq!(super::sessions(file.as_bytes(), user), None);
        }
        assert_eq!(format!("{ann:?}"), "Entry { user: \"ann\", .. }");
    }

    #[test]
    fn mistakes_are_named_with_their_line_and_tell_no_password() {
        let long = format!("{}|hunter2", "x".repeat(257));
        for (text, part) in [
            ("hunter2", "no password"),
            ("ann|", "no password"),
            ("ann||1000", "no password"),
            ("|hunter2", "no user's name"),
            (" ann|hunter2", "no user's name"),
            (long.as_str(), "no user's name"),
            ("ann|hunter2 ", "ends with a space"),
            ("ann|hunter2\r", "carriage return"),
            ("ann|hunter2||||||", "more than seven"),
            ("ann|hunter2|-1", "no user and group"),
            ("ann|hunter2|4294967295", "no user and group"),
            ("ann|hunter2|99999999999", "no user and group"),
            ("ann|hunter2|0|a b", "no user and group"),
            ("ann|hunter2|||:1|A", "not name=value"),
            ("ann|hunter2|||:1|=b", "not name=value"),
            ("ann|hunter2|||:1||a", "not name=value"),
            ("ann|hunter2|||:\u{7}1", "control character"),
            ("a\tnn|hunter2", "control character"),
            ("bob|hunter2", "is there already"),
        ] {
            let file = format!("# one\nbob|x\n{text}\n");
            let mistake = check(file.as_bytes()).unwrap_err();
            assert!(
                mistake.line == 3 && mistake.what.contains(part),
                "{text}: {mistake}"
            );
            assert!(!mistake.to_string().contains("hunter2"), "{mistake}");
            // Nobody gets in with such a file, not even who stands before the mistake.
            assert_eq!(password(file.as_bytes(), "bob", NOBODY), Err(mistake));
        }
        for nobody in ["", "\n\n", "# x", " \t\n"] {
            assert!(check(nobody.as_bytes()).is_err(), "{nobody:?}");
        }
        assert!(check(b"\xff|x").is_err());
        assert_eq!(check(b"ann|\xff\x00\n"), Ok(()));
    }

    /// A file that is cut anywhere lets nobody in with a part of a password.
    #[test]
    fn a_file_that_is_not_written_to_its_end_is_none() {
        let file = b"ann|first\nbob|second\n# end\n";
        for end in 0..file.len() {
            let cut = &file[..end];
            match check(cut) {
                Ok(()) => assert!(cut.ends_with(b"\n")),
                Err(mistake) => assert_eq!(password(cut, "ann", NOBODY), Err(mistake)),
            }
        }
        let mistake = check(b"ann|first\nbob|sec").unwrap_err();
        assert!(
            mistake.line == 2 && mistake.what.contains("no line end"),
            "{mistake}"
        );
    }

    proptest! {
        #[test]
        fn nothing_panics_and_what_is_found_is_there(
            file in prop::collection::vec(prop::sample::select(b"ab|\n#=; \t\xff0".to_vec()), 0..80),
            user in "[ab]{0,2}",
        ) {
            match password(&file, &user, NOBODY) {
                Ok((found, true)) => {
                    let line = [user.as_bytes(), b"|", found].concat();
                    prop_assert!(file.windows(line.len()).any(|window| window == line));
                }
                Ok((found, false)) => prop_assert_eq!(found, NOBODY),
                Err(mistake) => prop_assert_eq!(check(&file), Err(mistake)),
            }
        }

        #[test]
        fn everybody_is_found_with_their_own_password(
            users in prop::collection::btree_map("[a-z]{1,6}", "[ -{}~]{0,6}[!-{}~]", 1..8),
        ) {
            let lines: Vec<_> = users.iter().map(|(user, password)| format!("{user}|{password}\n")).collect();
            let file = lines.concat();
            for (user, password) in &users {
                prop_assert_eq!(find(&file, user), Some(password.as_bytes().to_vec()));
            }
        }
    }
}
