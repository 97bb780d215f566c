//! The grammar that bind strings and authentication values share: text split at commas that are
//! not inside parentheses, `key=value` pairs, and the ways to write a module with its options.

use crate::error::{Error, Result};
use std::fmt;

/// The options whose values are secrets; and one that is long, and is to hold none.
pub const SECRET_OPTIONS: [&str; 8] = [
    "client_secret_key=",
    "value=",
    "keydata=",
    "secret=",
    "password=",
    "url=",
    "ssl-ca-data=",
    URI_OPTION,
];
/// What is shown in the place of a secret.
pub const MASK: &str = "***";
/// The one of which only the password is not shown.
pub const URI_OPTION: &str = "uri=";

/// Options that end as those do, and may be shown.
pub const OPEN_OPTIONS: [&str; 2] = ["server_url=", "redirect_uri="];

/// Longest bind or authentication string that is looked at, in bytes.
const MAX_LEN: usize = 16 * 1024;

/// An option of a socket or of a module.
pub type Pair = (String, String);

/// Splits at commas outside of parentheses.
///
/// # Errors
/// Unbalanced parentheses, or an absurd length.
pub fn split_commas(text: &str) -> Result<Vec<&str>> {
    if text.len() > MAX_LEN {
        return Err(Error::usage(format!("longer than {MAX_LEN} bytes")));
    }
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_u32, 0);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => {
                depth = depth
                    .checked_sub(1)
                    .ok_or_else(|| Error::usage("a ) without its ("))?;
            }
            b',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if depth != 0 {
        return Err(Error::usage("a ( without its )"));
    }
    parts.push(&text[start..]);
    Ok(parts)
}

/// Reads `key=value`.
///
/// # Errors
/// When there is no `=` or no key.
pub fn pair(text: &str) -> Result<Pair> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() && !key.contains(['(', ')']) => {
            Ok((key.to_owned(), value.to_owned()))
        }
        _ => Err(Error::usage(format!("`{text}` is not option=value"))),
    }
}

/// Reads every `key=value`; what stands near a password is not shown when it is wrong.
fn pairs(parts: &[&str]) -> Result<Vec<Pair>> {
    let secret = parts
        .iter()
        .any(|part| part.contains("//") || SECRET_OPTIONS.iter().any(|key| part.contains(key)));
    let read = |part: &&str| {
        pair(part).map_err(|error| match secret {
            true => Error::usage("an option near a secret (***) is not option=value"),
            false => error,
        })
    };
    parts.iter().map(read).collect()
}

/// An address with socket options, before anybody asks what they mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawBind {
    /// What stands before the first comma.
    pub address: String,
    /// The options in order; keys may repeat.
    pub options: Vec<Pair>,
}

impl RawBind {
    /// Reads `ADDRESS[,option=value]…`.
    ///
    /// # Errors
    /// What is not of that form, by name.
    pub fn parse(text: &str) -> Result<Self> {
        let parts = split_commas(text)?;
        let (address, options) = parts.split_first().map_or(("", &[][..]), |(a, o)| (*a, o));
        if address.contains(['(', ')']) {
            return Err(Error::usage(
                "parentheses belong into options, not into the address",
            ));
        }
        Ok(Self {
            address: address.to_owned(),
            options: pairs(options)?,
        })
    }
}

impl fmt::Display for RawBind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)?;
        for (key, value) in &self.options {
            write!(f, ",{key}={value}")?;
        }
        Ok(())
    }
}

/// A module with the options that were written next to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawModule {
    /// Its name as it was written.
    pub name: String,
    /// Its options in order.
    pub options: Vec<Pair>,
}

impl RawModule {
    /// Reads `NAME`, `NAME(opt=value,…)`, `NAME:opt=value,…` or `NAME,opt=value,…`.
    ///
    /// # Errors
    /// What is not of that form, by name.
    pub fn parse(text: &str) -> Result<Self> {
        let end = text.find(['(', ':', ',']).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        if name.is_empty() || name.contains(['=', ')']) {
            return Err(Error::usage(
                "an authentication that does not begin with a module's name",
            ));
        }
        let options = match rest.chars().next() {
            None => "",
            Some('(') => rest[1..]
                .strip_suffix(')')
                .ok_or_else(|| Error::usage(format!("`{name}(…)`: nothing may follow the )")))?,
            Some(_) => &rest[1..],
        };
        let options = if options.is_empty() {
            Vec::new()
        } else {
            pairs(&split_commas(options)?)?
        };
        Ok(Self {
            name: name.to_owned(),
            options,
        })
    }
}

impl fmt::Display for RawModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if self.options.is_empty() {
            return Ok(());
        }
        let options: Vec<_> = self
            .options
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        write!(f, "({})", options.join(","))
    }
}

/// Splits a command line into words: quotes and backslashes as in a shell, nothing is expanded.
///
/// # Errors
/// An open quote, a backslash at the end, or no word at all.
pub fn words(text: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('\'') => break,
                        Some(c) => word.push(c),
                        None => return Err(Error::usage(format!("`{text}`: a ' is open"))),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('"') => break,
                        Some('\\') => match chars.next() {
                            Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                            Some(c) => word.extend(['\\', c]),
                            None => return Err(Error::usage(format!("`{text}`: a \" is open"))),
                        },
                        Some(c) => word.push(c),
                        None => return Err(Error::usage(format!("`{text}`: a \" is open"))),
                    }
                }
            }
            '\\' => match chars.next() {
                Some(c) => word.get_or_insert_default().push(c),
                None => return Err(Error::usage(format!("`{text}` ends with a backslash"))),
            },
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    if words.first().is_none_or(String::is_empty) {
        return Err(Error::usage("an empty command"));
    }
    if words.iter().any(|word| word.contains('\0')) {
        return Err(Error::usage("a command with a zero byte"));
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn commas_in_parentheses_do_not_split() {
        let bind =
            RawBind::parse("0.0.0.0:1,auth=hosts,auth=file(filename=a,b=c),stop=no").unwrap();
        assert_eq!(bind.address, "0.0.0.0:1");
        let values: Vec<_> = bind.options.iter().map(|(_, v)| v.as_str()).collect();
        assert_eq!(values, ["hosts", "file(filename=a,b=c)", "no"]);
    }

    #[test]
    fn every_form_of_a_module_means_the_same() {
        let wanted = RawModule {
            name: "file".into(),
            options: vec![("filename".into(), "p=q.txt".into())],
        };
        for text in [
            "file(filename=p=q.txt)",
            "file:filename=p=q.txt",
            "file,filename=p=q.txt",
        ] {
            assert_eq!(RawModule::parse(text).unwrap(), wanted, "{text}");
        }
        assert_eq!(RawModule::parse("env").unwrap().options, []);
        assert_eq!(RawModule::parse("env()").unwrap().options, []);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("x,auth", "`auth`"),
            ("x,=v", "`=v`"),
            ("x,a=(", "( without"),
            ("x,a=)", ") without"),
            ("(x),a=b", "address"),
        ] {
            let error = RawBind::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        let error = RawBind::parse("x,auth=password,value=hun,ter2")
            .unwrap_err()
            .to_string();
        assert!(!error.contains("ter2"), "{error}");
        for (text, part) in [
            ("", "name"),
            ("=x", "name"),
            ("f(a=b)c", "follow"),
            ("f:a", "`a`"),
        ] {
            let error = RawModule::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn words_are_split_as_a_shell_does_without_expanding() {
        assert_eq!(
            words("xterm -e 'a b' \"c\\\"d\" e\\ f").unwrap(),
            ["xterm", "-e", "a b", "c\"d", "e f"]
        );
        assert_eq!(words("x '' $HOME *").unwrap(), ["x", "", "$HOME", "*"]);
        for bad in ["", "  ", "'a", "\"a", "a\\", "''"] {
            assert!(words(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in ".{0,200}") {
            let _ = (RawBind::parse(&text), RawModule::parse(&text), words(&text));
        }

        #[test]
        fn what_parses_is_printed_and_parses_to_the_same(text in "[a-z0-9:,=()./*\\[\\]-]{0,60}") {
            if let Ok(bind) = RawBind::parse(&text) {
                prop_assert_eq!(RawBind::parse(&bind.to_string()).unwrap(), bind);
            }
            if let Ok(module) = RawModule::parse(&text) {
                prop_assert_eq!(RawModule::parse(&module.to_string()).unwrap(), module);
            }
        }

        #[test]
        fn words_survive_quoting(list in prop::collection::vec("[ -~]{1,12}", 1..5)) {
            let quoted: Vec<_> = list.iter().map(|w| format!("'{}'", w.replace('\'', "'\\''"))).collect();
            prop_assert_eq!(words(&quoted.join(" ")).unwrap(), list);
        }
    }
}
