//! A query with a place for the user's name, as Xpra's options have it: `%s`, `%(username)s` or
//! `?`. It is turned into what the database takes as a bound parameter; nothing is ever pasted in.
//!
//! Only as much of SQL is understood as is needed to know what is text and what is not. What could
//! be read in two ways (backslashes, comments, a second statement) is refused.

/// Longest query in bytes.
const MAX: usize = 4096;
/// The places for a value.
const PLACES: [&str; 3] = ["%(username)s", "%s", "?"];

/// What is wrong with a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Something else than a question, or more than one.
    #[error("is not one SELECT")]
    NotSelect,
    /// Longer than any such query.
    #[error("is longer than {MAX} bytes")]
    TooLong,
    /// A quote without its end.
    #[error("has a quote without its end")]
    Quote,
    /// What one database takes for a comment or an escape, and another does not.
    #[error("has `{0}`, which not every database reads alike: leave it out")]
    Ambiguous(&'static str),
    /// A place that goes on, such as `?1`.
    #[error("has `{0}` with a letter or a digit after it")]
    Place(&'static str),
    /// More than the password.
    #[error("gives more than one column")]
    Columns,
    /// Another number of places.
    #[error("has not {wanted} of the places `%s`, `%(username)s` and `?`, but {found}")]
    Places {
        /// How many there have to be.
        wanted: usize,
        /// How many there are.
        found: usize,
    },
}

/// The query with a parameter in each place: `parameter` writes the one with this number, which
/// counts from 1.
///
/// # Errors
/// [`Refused`].
pub fn bound(
    query: &str,
    wanted: usize,
    parameter: impl Fn(usize) -> String,
) -> Result<String, Refused> {
    if query.len() > MAX {
        return Err(Refused::TooLong);
    }
    let query = query.trim();
    let word = query.split(|c: char| !c.is_ascii_alphabetic()).next();
    if !word.is_some_and(|word| word.eq_ignore_ascii_case("select")) {
        return Err(Refused::NotSelect);
    }
    let (mut made, mut rest, mut found) = (String::with_capacity(query.len()), query, 0);
    while let Some(c) = rest.chars().next() {
        if let Some(place) = PLACES.into_iter().find(|place| rest.starts_with(place)) {
            found += 1;
            made.push_str(&parameter(found));
            rest = &rest[place.len()..];
            if rest.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
                return Err(Refused::Place(place));
            }
            continue;
        }
        let ambiguous = ["--", "/*", "#", "\\", "$", "`", "[", "\0", "%", ":", "@"];
        if let Some(text) = ambiguous.into_iter().find(|text| rest.starts_with(text)) {
            return Err(Refused::Ambiguous(text));
        }
        let len = match c {
            ';' => return Err(Refused::NotSelect),
            '\'' | '"' => quoted(rest, c)?,
            _ => c.len_utf8(),
        };
        made.push_str(&rest[..len]);
        rest = &rest[len..];
    }
    match found == wanted {
        true => Ok(made),
        false => Err(Refused::Places { wanted, found }),
    }
}

/// Checks that a query which [`bound`] has taken asks for one column, as far as its text says that:
/// `*` is as many as the table has.
///
/// # Errors
/// [`Refused::Columns`].
pub fn one_column(query: &str) -> Result<(), Refused> {
    let (mut rest, mut depth, mut at_word) = (query, 0_usize, true);
    while let Some(c) = rest.chars().next() {
        let len = match c {
            '\'' | '"' => quoted(rest, c)?,
            c => c.len_utf8(),
        };
        let word = rest
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .next();
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => return Err(Refused::Columns),
            _ if depth == 0
                && at_word
                && word.is_some_and(|word| word.eq_ignore_ascii_case("from")) =>
            {
                return Ok(());
            }
            _ => {}
        }
        at_word = !c.is_alphanumeric() && c != '_';
        rest = &rest[len..];
    }
    Ok(())
}

/// A value without the parentheses that keep its commas from ending an option: those around all of
/// it, and no others.
#[must_use]
pub fn bare(text: &str) -> &str {
    let inner = text.strip_prefix('(').and_then(|it| it.strip_suffix(')'));
    let Some(inner) = inner else { return text };
    let (mut rest, mut depth) = (inner, 0_usize);
    while let Some(c) = rest.chars().next() {
        let len = match c {
            '\'' | '"' => quoted(rest, c).unwrap_or(1),
            c => c.len_utf8(),
        };
        match c {
            '(' => depth += 1,
            // The first one ends before the end.
            ')' if depth == 0 => return text,
            ')' => depth -= 1,
            _ => {}
        }
        rest = &rest[len..];
    }
    if depth == 0 { inner } else { text }
}

/// The length of a quoted text with its quotes; in it a quote is written twice.
fn quoted(text: &str, quote: char) -> Result<usize, Refused> {
    let mut inside = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = inside.next() {
        match c {
            '\\' => return Err(Refused::Ambiguous("\\")),
            '\0' => return Err(Refused::Ambiguous("\0")),
            c if c != quote => {}
            _ if inside.next_if(|(_, next)| *next == quote).is_some() => {}
            _ => return Ok(at + 1),
        }
    }
    Err(Refused::Quote)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(query: &str) -> Result<String, Refused> {
        bound(query, 1, |number| format!("${number}"))
    }

    #[test]
    fn places_become_parameters() {
        for (query, wanted) in [
            (
                "SELECT password FROM users WHERE username=(?)",
                "SELECT password FROM users WHERE username=($1)",
            ),
            (
                " select password from users where username=(%s) ",
                "select password from users where username=($1)",
            ),
            (
                "SELECT p FROM u WHERE n=%(username)s AND x='it''s ? %s;--' AND \"a?\"=1",
                "SELECT p FROM u WHERE n=$1 AND x='it''s ? %s;--' AND \"a?\"=1",
            ),
            ("SELECT 'é' WHERE 'é'=?", "SELECT 'é' WHERE 'é'=$1"),
        ] {
            assert_eq!(one(query).as_deref(), Ok(wanted), "{query}");
        }
        let two = bound("SELECT 1 WHERE a=%s AND b=?", 2, |number| {
            format!("?{number}")
        });
        assert_eq!(two.as_deref(), Ok("SELECT 1 WHERE a=?1 AND b=?2"));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for (query, why) in [
            ("", Refused::NotSelect),
            ("selected ?", Refused::NotSelect),
            ("DELETE FROM users WHERE username=?", Refused::NotSelect),
            ("PRAGMA x=?", Refused::NotSelect),
            ("SELECT ?; DELETE FROM users", Refused::NotSelect),
            ("SELECT ?;", Refused::NotSelect),
            (
                "SELECT 1",
                Refused::Places {
                    wanted: 1,
                    found: 0,
                },
            ),
            (
                "SELECT '?'",
                Refused::Places {
                    wanted: 1,
                    found: 0,
                },
            ),
            (
                "SELECT ?, %s",
                Refused::Places {
                    wanted: 1,
                    found: 2,
                },
            ),
            ("SELECT ? WHERE 'a", Refused::Quote),
            ("SELECT ? WHERE \"a", Refused::Quote),
            ("SELECT 'a\\' ?", Refused::Ambiguous("\\")),
            ("SELECT ? -- x", Refused::Ambiguous("--")),
            ("SELECT ? /* x */", Refused::Ambiguous("/*")),
            ("SELECT ? # x", Refused::Ambiguous("#")),
            ("SELECT $$?$$", Refused::Ambiguous("$")),
            ("SELECT `?`", Refused::Ambiguous("`")),
            ("SELECT [?]", Refused::Ambiguous("[")),
            ("SELECT '%s' WHERE a=%d", Refused::Ambiguous("%")),
            ("SELECT :username", Refused::Ambiguous(":")),
            ("SELECT '\0' ?", Refused::Ambiguous("\0")),
            ("SELECT a WHERE n=?1", Refused::Place("?")),
            ("SELECT a WHERE n=%sx", Refused::Place("%s")),
            ("SELECT a WHERE n=?é", Refused::Place("?")),
        ] {
            assert_eq!(one(query), Err(why), "{query}");
        }
        let long = format!("SELECT ?{}", " ".repeat(MAX));
        assert_eq!(one(&long), Err(Refused::TooLong));
    }

    #[test]
    fn one_column_is_asked_for() {
        for query in [
            "SELECT password FROM users, others WHERE a IN (1, 2)",
            "SELECT coalesce(a, b, ?) FROM users",
            "SELECT \"a,b\" || ',' FROM users",
            "SELECT (SELECT a FROM b) WHERE x=?",
            "SELECT fromage FROM users",
            "SELECT * FROM users",
        ] {
            assert_eq!(one_column(query), Ok(()), "{query}");
        }
        for query in [
            "SELECT a, b FROM users",
            "SELECT fromage, b FROM users",
            "SELECT a_from, b FROM users",
            "SELECT (SELECT a FROM b), c FROM users",
            "SELECT ?, ?",
        ] {
            assert_eq!(one_column(query), Err(Refused::Columns), "{query}");
        }
    }

    #[test]
    fn only_parentheses_around_all_of_it_are_taken_off() {
        for (text, wanted) in [
            ("(SELECT a, b)", "SELECT a, b"),
            ("SELECT (a)", "SELECT (a)"),
            ("(a) UNION (b)", "(a) UNION (b)"),
            ("((a) UNION (b))", "(a) UNION (b)"),
            ("(a ')' b)", "a ')' b"),
            ("((a)", "((a)"),
            ("()", ""),
            ("(", "("),
            ("", ""),
        ] {
            assert_eq!(bare(text), wanted, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[(),'\"afromé ?]{0,30}") {
            let _ = one_column(&text);
            prop_assert!(text.contains(bare(&text)));
        }

        #[test]
        fn nothing_panics_and_there_is_one_parameter(query in "select [a-z'\"?%s();é -]{0,30}") {
            if let Ok(made) = bound(&query, 1, |_| "!".to_owned()) {
                prop_assert_eq!(made.matches('!').count(), 1);
            }
        }
    }
}
