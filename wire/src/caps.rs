//! Reading capability maps the way peers write them (protocol "Loose typing to
//! tolerate"): a dotted key may stand for nested maps or be a key of its own, a
//! map with an empty key is a scalar, text and bytes and numbers stand for each
//! other. What has a wrong type counts as absent. What is too large is an error.

use crate::rencodeplus::Value;

/// A capability map of a peer.
#[derive(Debug, Clone, Copy)]
pub struct Caps<'a>(&'a [(Value, Value)]);

/// A capability that is larger than we accept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("capability {key:?} is larger than {max}")]
pub struct CapsError {
    /// The key that was read.
    pub key: String,
    /// Bytes of a string, or items of a list.
    pub max: usize,
}

impl<'a> Caps<'a> {
    /// No capabilities at all.
    pub const EMPTY: Caps<'static> = Caps(&[]);

    /// The pairs of a dict.
    pub fn new(pairs: &'a [(Value, Value)]) -> Caps<'a> {
        Caps(pairs)
    }

    /// The map, if the value is one.
    pub fn of(value: &'a Value) -> Option<Caps<'a>> {
        value.as_dict().map(Caps)
    }

    /// The value of `key`: as written, else resolved through nested maps at
    /// its dots. The last of duplicate keys.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        if let Some(value) = self.exact(key) {
            return Some(value);
        }
        key.match_indices('.').find_map(|(dot, _)| {
            let (prefix, rest) = (key.get(..dot)?, key.get(dot + 1..)?);
            Caps::of(self.exact(prefix)?)?.get(rest)
        })
    }

    fn exact(&self, key: &str) -> Option<&'a Value> {
        let pairs: &'a [(Value, Value)] = self.0;
        pairs
            .iter()
            .rev()
            .find(|(k, _)| k.is_key(key))
            .map(|(_, value)| value)
    }

    /// True if the key is there, whatever its value.
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The truth of the value; `default` if absent.
    pub fn bool(&self, key: &str, default: bool) -> bool {
        self.get(key).map_or(default, Value::truthy)
    }

    /// The integer, if it is there and in range.
    pub fn int<T: TryFrom<i64>>(&self, key: &str) -> Option<T> {
        self.get(key)?.to_int()?.try_into().ok()
    }

    /// The text, of at most `max` bytes.
    pub fn text(&self, key: &str, max: usize) -> Result<Option<String>, CapsError> {
        bounded(
            key,
            max,
            self.get(key).and_then(Value::to_text),
            String::len,
        )
    }

    /// The bytes, of at most `max`.
    pub fn bytes(&self, key: &str, max: usize) -> Result<Option<Vec<u8>>, CapsError> {
        bounded(key, max, self.get(key).and_then(Value::to_bytes), Vec::len)
    }

    /// The nested map; empty if absent.
    pub fn map(&self, key: &str) -> Caps<'a> {
        self.get(key).and_then(Caps::of).unwrap_or(Caps::EMPTY)
    }

    /// The list of at most `max` items; empty if absent. A map with an empty
    /// key may hold it.
    pub fn list(&self, key: &str, max: usize) -> Result<&'a [Value], CapsError> {
        let items = self
            .get(key)
            .and_then(|value| value.scalar().as_list())
            .unwrap_or_default();
        if items.len() > max {
            return Err(CapsError {
                key: key.to_owned(),
                max,
            });
        }
        Ok(items)
    }

    /// The texts in a list of at most `max` items of at most `max_len` bytes
    /// each; other items are skipped.
    pub fn texts(&self, key: &str, max: usize, max_len: usize) -> Result<Vec<String>, CapsError> {
        self.list(key, max)?
            .iter()
            .filter_map(|item| bounded(key, max_len, item.to_text(), String::len).transpose())
            .collect()
    }

    /// A list that starts with two integers in range.
    pub fn pair<T: TryFrom<i64>>(&self, key: &str) -> Option<(T, T)> {
        match self.get(key)?.as_list()? {
            [a, b, ..] => Some((a.to_int()?.try_into().ok()?, b.to_int()?.try_into().ok()?)),
            _ => None,
        }
    }

    /// The pairs, in the order of the wire.
    pub fn pairs(&self) -> &'a [(Value, Value)] {
        self.0
    }
}

fn bounded<T>(
    key: &str,
    max: usize,
    value: Option<T>,
    len: impl Fn(&T) -> usize,
) -> Result<Option<T>, CapsError> {
    match value {
        Some(v) if len(&v) > max => Err(CapsError {
            key: key.to_owned(),
            max,
        }),
        value => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Value {
        Value::dict([
            ("wheel.precise", Value::Bool(true)),
            (
                "encoding",
                Value::dict([
                    ("h264", Value::dict([("YUV420P.profile", "high".into())])),
                    ("", Value::Text("auto".into())),
                ]),
            ),
            ("rencodeplus", Value::dict([("", Value::Bool(true))])),
            ("name", Value::Bytes(vec![b'x', 0xe9])),
            ("digest", Value::list(["xor", "hmac"])),
            ("desktop_size", Value::list([1920, 1080, 7])),
            ("dup", Value::Int(1)),
            ("dup", Value::Int(2)),
        ])
    }

    #[test]
    fn dotted_keys() {
        let value = sample();
        let caps = Caps::of(&value).unwrap();
        assert!(caps.bool("wheel.precise", false));
        assert_eq!(
            caps.text("encoding.h264.YUV420P.profile", 9).unwrap(),
            Some("high".into())
        );
        assert_eq!(caps.text("encoding", 9).unwrap(), Some("auto".into()));
        assert!(!caps.has("encoding.h265"));
        assert!(!caps.has("wheel"));
        assert!(!caps.has(""));
        assert!(!caps.has("."));
        assert!(!caps.has("encoding..h264"));
    }

    #[test]
    fn loose_types() {
        let value = sample();
        let caps = Caps::of(&value).unwrap();
        assert!(caps.bool("rencodeplus", false));
        assert!(caps.bool("absent", true));
        assert_eq!(caps.text("name", 9).unwrap(), Some("xé".into()));
        assert_eq!(caps.pair("desktop_size"), Some((1920u16, 1080u16)));
        assert_eq!(caps.pair::<u8>("desktop_size"), None);
        assert_eq!(caps.int::<i64>("dup"), Some(2));
        assert_eq!(caps.int::<i64>("digest"), None);
        assert_eq!(caps.texts("digest", 2, 4).unwrap(), ["xor", "hmac"]);
        assert!(caps.texts("name", 2, 4).unwrap().is_empty());
    }

    #[test]
    fn bounds() {
        let value = sample();
        let caps = Caps::of(&value).unwrap();
        assert!(caps.texts("digest", 1, 4).is_err());
        assert!(caps.texts("digest", 2, 3).is_err());
        assert!(caps.text("encoding", 3).is_err());
        assert!(caps.bytes("name", 1).is_err());
    }
}
