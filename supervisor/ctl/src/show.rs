//! Answers as people and scripts know them from `xpra info` and `xpra id`: sorted `key=value`
//! lines. Everything in them is from the server: nothing that a terminal would obey gets through.

use wire::packet::Map;
use wire::rencodeplus::Value;

/// Deepest nesting that is followed.
const MAX_DEPTH: usize = 16;

/// A key, in the order in which people count: `9` before `10`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Number(u64),
    Text(String),
}

/// All values of a nested map.
#[must_use]
pub fn lines(map: &Map) -> String {
    let mut found = Vec::new();
    collect(map, &mut Vec::new(), &mut found);
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    found
        .into_iter()
        .fold(String::new(), |mut all, (names, value)| {
            let key: Vec<String> = names.iter().map(Name::to_string).collect();
            all.push_str(&format!("{}={}\n", clean(&key.join(".")), clean(&value)));
            all
        })
}

/// The version that a server says it has.
#[must_use]
pub fn version(map: &Map) -> Option<String> {
    let value = map.iter().rev().find(|(key, _)| key.is_key("version"))?;
    Some(clean(&plain("version", &value.1)) + "\n")
}

fn collect(map: &Map, path: &mut Vec<Name>, found: &mut Vec<(Vec<Name>, String)>) {
    for (key, value) in map {
        let key = plain("", key);
        // An empty key is the value of the map itself.
        let named = !key.is_empty();
        if named {
            path.push(
                key.parse()
                    .map_or_else(|_| Name::Text(key.clone()), Name::Number),
            );
        }
        match value {
            Value::Dict(map) if path.len() < MAX_DEPTH => collect(map, path, found),
            value => found.push((path.clone(), plain(&key, value))),
        }
        if named {
            path.pop();
        }
    }
}

/// A value as it is printed.
fn plain(key: &str, value: &Value) -> String {
    match value {
        Value::None => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Int(number) => number.to_string(),
        Value::Big(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::List(items) if items.is_empty() => "()".into(),
        // Versions are lists of numbers.
        Value::List(items) if key == "version" => items
            .iter()
            .map(|item| plain("", item))
            .collect::<Vec<_>>()
            .join("."),
        Value::List(items) if items.iter().all(|item| matches!(item, Value::Text(_))) => {
            items.iter().map(quoted).collect::<Vec<_>>().join(", ")
        }
        list @ Value::List(_) => quoted(list),
        Value::Dict(pairs) if pairs.is_empty() => "{}".into(),
        Value::Dict(_) => "{…}".into(),
        value => value.to_text().unwrap_or_default(),
    }
}

fn quoted(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("'{text}'"),
        Value::List(items) => {
            format!(
                "({})",
                items.iter().map(quoted).collect::<Vec<_>>().join(", ")
            )
        }
        value => plain("", value),
    }
}

/// Text without anything that a terminal obeys, or that makes a line look like another.
#[must_use]
pub fn clean(text: &str) -> String {
    let harmful = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    text.chars()
        .fold(String::with_capacity(text.len()), |mut all, c| {
            if harmful(c) {
                all.extend(c.escape_default());
            } else {
                all.push(c);
            }
            all
        })
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Name::Number(number) => number.fmt(f),
            Name::Text(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(value: Value) -> Map {
        match value {
            Value::Dict(map) => map,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn as_xpra_info_prints() {
        let windows = Value::Dict(vec![
            (Value::Int(10), Value::dict([("title", "b".into())])),
            (
                Value::Int(9),
                Value::dict([("title", "a".into()), ("size", "x".into())]),
            ),
        ]);
        let info = map(Value::dict([
            ("windows", windows),
            (
                "clients",
                Value::dict([("", Value::Int(2)), ("max", Value::Int(3))]),
            ),
            ("version", Value::list([6, 5])),
            ("argv", Value::list(["a", "b c"])),
            ("empty", Value::List(vec![])),
            ("on", Value::Bool(true)),
            ("nothing", Value::None),
            (
                "pairs",
                Value::List(vec![Value::list([1, 2]), Value::list([3, 4])]),
            ),
        ]));
        let expected = "argv='a', 'b c'\nclients=2\nclients.max=3\nempty=()\nnothing=None\non=True\n\
            pairs=((1, 2), (3, 4))\nversion=6.5\nwindows.9.size=x\nwindows.9.title=a\nwindows.10.title=b\n";
        assert_eq!(lines(&info), expected);
    }

    #[test]
    fn a_server_cannot_write_to_the_terminal() {
        let evil = map(Value::dict([(
            "a\nb",
            "\u{1b}]0;x\u{7}\r\nstop=yes\u{202e}".into(),
        )]));
        let printed = lines(&evil);
        assert_eq!(printed.matches('\n').count(), 1);
        assert!(!printed.contains(['\u{1b}', '\u{7}', '\r', '\u{202e}']));
        assert_eq!(
            version(&map(Value::dict([("version", "6\u{8}".into())]))).unwrap(),
            "6\\u{8}\n"
        );
        assert_eq!(version(&vec![]), None);
    }
}
