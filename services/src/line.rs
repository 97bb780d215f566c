//! The lines of a service's file: pam.d(5).

use std::fmt;

/// Longest file of a service, in bytes.
pub const MAX_FILE: usize = 64 * 1024;

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Who is it?
    Auth,
    /// May this user come in, now?
    Account,
    /// What a session begins and ends with.
    Session,
    /// How a password is changed.
    Password,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Auth, Self::Account, Self::Session, Self::Password];

    /// The word in the files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Account => "account",
            Self::Session => "session",
            Self::Password => "password",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A line that says something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// `@include FILE`: all lines of another file.
    IncludeAll(String),
    /// `KIND include FILE` or `KIND substack FILE`: the lines of this kind of another file.
    Include(Kind, String),
    /// A module.
    Module {
        /// When it is asked.
        kind: Kind,
        /// `pam_unix.so`.
        module: String,
        /// Its arguments.
        arguments: Vec<String>,
    },
}

/// A line that PAM would not understand, or that could be understood in two ways.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {0} is not `KIND CONTROL MODULE ARGUMENTS`, as pam.d(5) has it")]
pub struct Malformed(usize);

/// The lines of a file.
///
/// # Errors
/// The first line that is none.
pub fn lines(text: &str) -> Result<Vec<Line>, Malformed> {
    let mut found = Vec::new();
    let mut whole = String::new();
    let mut continued = false;
    for (number, line) in text.split('\n').enumerate() {
        let malformed = Malformed(number + 1);
        let (line, comment) = match line.split_once('#') {
            Some((line, _)) => (line, true),
            None => (line, false),
        };
        let odd = |c: char| (c.is_whitespace() || c.is_control()) && !" \t".contains(c);
        // PAM has rules of its own for a continuation that nothing follows, and for what is around it:
        // what could be read in two ways is refused.
        let follows = std::mem::take(&mut continued);
        if line.contains(odd) || (follows && line.trim().is_empty()) {
            return Err(malformed);
        }
        let (part, more) = match line.strip_suffix('\\') {
            Some(part) if !comment => (part, true),
            _ => (line, false),
        };
        if part.contains('\\') {
            return Err(malformed);
        }
        whole.push_str(part);
        if more {
            whole.push(' ');
            continued = true;
            continue;
        }
        let words = words(&std::mem::take(&mut whole)).ok_or(malformed.clone())?;
        if !words.is_empty() {
            found.push(one(&words).ok_or(malformed)?);
        }
    }
    match continued {
        true => Err(Malformed(text.split('\n').count())),
        false => Ok(found),
    }
}

/// The words of a line; what is in square brackets is one.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('[') {
            Some(inside) => inside.split_once(']')?,
            None => rest.split_once([' ', '\t']).unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    Some(words)
}

fn one(words: &[String]) -> Option<Line> {
    let (first, rest) = words.split_first()?;
    if first.eq_ignore_ascii_case("@include") {
        let [file] = rest else { return None };
        return Some(Line::IncludeAll(file.clone()));
    }
    // A module that may be missing.
    let name = first.strip_prefix('-').unwrap_or(first);
    let kind = Kind::ALL
        .into_iter()
        .find(|kind| kind.name().eq_ignore_ascii_case(name))?;
    let (control, rest) = rest.split_first()?;
    let (target, arguments) = rest.split_first()?;
    let includes = ["include", "substack"];
    Some(
        match includes.iter().any(|it| it.eq_ignore_ascii_case(control)) {
            true => Line::Include(kind, target.clone()),
            false => Line::Module {
                kind,
                module: target.clone(),
                arguments: arguments.to_vec(),
            },
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_are_read_as_pam_reads_them() {
        let text = "# a comment\n\n\
            auth\t[success=1 default=ignore]\tpam_unix.so nullok # why\n\
            -AUTH optional pam_cap.so\n\
            account required \\\n  pam_listfile.so file=/a [one word]\n\
            @include common-session\n\
            session include other-one\n\
            password substack x\n";
        let module = |kind, module: &str, arguments: &[&str]| Line::Module {
            kind,
            module: module.into(),
            arguments: arguments.iter().map(|it| (*it).to_owned()).collect(),
        };
        assert_eq!(
            lines(text).unwrap(),
            [
                module(Kind::Auth, "pam_unix.so", &["nullok"]),
                module(Kind::Auth, "pam_cap.so", &[]),
                module(Kind::Account, "pam_listfile.so", &["file=/a", "one word"]),
                Line::IncludeAll("common-session".into()),
                Line::Include(Kind::Session, "other-one".into()),
                Line::Include(Kind::Password, "x".into()),
            ]
        );
        for (text, number) in [
            ("auth\n", 1),
            ("\nauth required\n", 2),
            ("auth [success=1 pam_unix.so", 1),
            ("login auth required pam_unix.so", 1),
            ("@include", 1),
            ("@include a b", 1),
            ("auth [a\\] b] x.so", 1),
            // What is a continuation to some and none to others.
            ("auth required x.so \\ \naccount required x.so\n", 1),
            ("auth required x.so \\# why\naccount required x.so\n", 1),
            ("auth required x.so \\\n\naccount required x.so\n", 2),
            ("auth required x.so \\\n# why\naccount required x.so\n", 2),
            ("auth required x.so \\", 1),
            ("auth required x.so\r\n", 1),
            ("auth required\u{a0}x.so\n", 1),
        ] {
            assert_eq!(lines(text), Err(Malformed(number)), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_a_file_says_is_a_panic(text in ".*") {
            let _ = lines(&text);
        }
    }
}
