use std::fmt;

/// One value as it travels.
///
/// Text and bytes are different types on the wire. Lists and tuples are not.
/// A dict keeps its order and its duplicate keys; readers take the last of a
/// duplicate, as a Python dict would.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// An integer of at most 64 bits.
    Int(i64),
    /// An integer beyond 64 bits; always in that range, so that equal numbers
    /// are equal values.
    Big(Box<BigInt>),
    /// A float. Never send one to the HTML5 client.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// Python's `None`.
    None,
    /// A byte string.
    Bytes(Vec<u8>),
    /// A text.
    Text(String),
    /// A list or tuple.
    List(Vec<Value>),
    /// A map, in the order of the wire.
    Dict(Vec<(Value, Value)>),
}

/// An integer beyond 64 bits (shared memory tokens have up to 128).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BigInt {
    /// True below zero.
    pub negative: bool,
    /// The absolute value.
    pub magnitude: u128,
}

impl fmt::Display for BigInt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negative {
            f.write_str("-")?;
        }
        write!(f, "{}", self.magnitude)
    }
}

impl BigInt {
    /// The number as a value: an [`Value::Int`] if it fits.
    pub fn into_value(self) -> Value {
        let small = i128::try_from(self.magnitude)
            .ok()
            .map(|m| if self.negative { -m } else { m })
            .and_then(|m| i64::try_from(m).ok());
        match small {
            Some(int) => Value::Int(int),
            None => Value::Big(Box::new(self)),
        }
    }
}

/// Byte strings are shown by their length: they may be pixels or secrets.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Int(v) => write!(f, "{v}"),
            Value::Big(v) => write!(f, "{v}"),
            Value::Float(v) => write!(f, "{v:?}"),
            Value::Bool(v) => write!(f, "{v}"),
            Value::None => f.write_str("none"),
            Value::Bytes(v) => write!(f, "<{} bytes>", v.len()),
            Value::Text(v) => write!(f, "{v:?}"),
            Value::List(v) => f.debug_list().entries(v).finish(),
            Value::Dict(v) => f
                .debug_map()
                .entries(v.iter().map(|(k, v)| (k, v)))
                .finish(),
        }
    }
}

impl Value {
    /// A map with text keys.
    pub fn dict<K: Into<String>>(pairs: impl IntoIterator<Item = (K, Value)>) -> Value {
        Value::Dict(
            pairs
                .into_iter()
                .map(|(k, v)| (Value::Text(k.into()), v))
                .collect(),
        )
    }

    /// A list.
    pub fn list<V: Into<Value>>(items: impl IntoIterator<Item = V>) -> Value {
        Value::List(items.into_iter().map(Into::into).collect())
    }

    /// What kind of value it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Int(_) | Value::Big(_) => "integer",
            Value::Float(_) => "float",
            Value::Bool(_) => "bool",
            Value::None => "none",
            Value::Bytes(_) => "bytes",
            Value::Text(_) => "text",
            Value::List(_) => "list",
            Value::Dict(_) => "dict",
        }
    }

    /// The scalar behind a map with an empty key (`{"": true, …}`), else the
    /// value itself (protocol "Loose typing to tolerate").
    pub fn scalar(&self) -> &Value {
        if let Value::Dict(pairs) = self {
            for (key, value) in pairs.iter().rev() {
                if key.is_key("") && !matches!(value, Value::Dict(_)) {
                    return value;
                }
            }
        }
        self
    }

    /// True if this dict key reads as `name`, be it text or bytes.
    pub fn is_key(&self, name: &str) -> bool {
        match self {
            Value::Text(text) => text == name,
            Value::Bytes(bytes) => bytes == name.as_bytes(),
            _ => false,
        }
    }

    /// Truth as Python sees it: zero, empty and none are false.
    pub fn truthy(&self) -> bool {
        match self.scalar() {
            Value::Int(v) => *v != 0,
            Value::Big(_) => true,
            Value::Float(v) => *v != 0.0,
            Value::Bool(v) => *v,
            Value::None => false,
            Value::Bytes(v) => !v.is_empty(),
            Value::Text(v) => !v.is_empty(),
            Value::List(v) => !v.is_empty(),
            Value::Dict(v) => !v.is_empty(),
        }
    }

    /// The integer, also from a bool, a finite float (fraction dropped) or
    /// decimal text.
    pub fn to_int(&self) -> Option<i64> {
        match self.scalar() {
            Value::Int(v) => Some(*v),
            Value::Bool(v) => Some(i64::from(*v)),
            Value::Float(v) => float_to_int(*v),
            Value::Text(v) if v.len() <= 20 => v.trim().parse().ok(),
            Value::Bytes(v) if v.len() <= 20 => std::str::from_utf8(v).ok()?.trim().parse().ok(),
            _ => None,
        }
    }

    /// The text; bytes are read as latin1.
    pub fn to_text(&self) -> Option<String> {
        match self.scalar() {
            Value::Text(v) => Some(v.clone()),
            Value::Bytes(v) => Some(v.iter().map(|b| char::from(*b)).collect()),
            _ => None,
        }
    }

    /// The bytes; text is written as latin1, or as UTF-8 if it has characters
    /// beyond that.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        match self.scalar() {
            Value::Bytes(v) => Some(v.clone()),
            Value::Text(v) => Some(text_to_bytes(v)),
            _ => None,
        }
    }

    /// The items of a list.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// The pairs of a dict.
    pub fn as_dict(&self) -> Option<&[(Value, Value)]> {
        match self {
            Value::Dict(pairs) => Some(pairs),
            _ => None,
        }
    }
}

/// Latin1 where possible, else UTF-8.
fn text_to_bytes(text: &str) -> Vec<u8> {
    text.chars()
        .map(|c| u8::try_from(u32::from(c)).ok())
        .collect::<Option<Vec<u8>>>()
        .unwrap_or_else(|| text.as_bytes().to_vec())
}

fn float_to_int(v: f64) -> Option<i64> {
    // Beyond 2^53 a float is no longer an exact integer.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if !v.is_finite() || v.abs() > EXACT {
        return None;
    }
    #[allow(clippy::cast_possible_truncation)] // bounded above; drops the fraction
    Some(v as i64)
}

macro_rules! from_int {
    ($($t:ty),*) => {$(
        impl From<$t> for Value {
            fn from(v: $t) -> Value {
                Value::Int(i64::from(v))
            }
        }
    )*};
}
from_int!(i8, i16, i32, i64, u8, u16, u32);

impl From<u64> for Value {
    fn from(v: u64) -> Value {
        BigInt {
            negative: false,
            magnitude: u128::from(v),
        }
        .into_value()
    }
}

impl From<bool> for Value {
    fn from(v: bool) -> Value {
        Value::Bool(v)
    }
}

impl From<&str> for Value {
    fn from(v: &str) -> Value {
        Value::Text(v.to_owned())
    }
}

impl From<String> for Value {
    fn from(v: String) -> Value {
        Value::Text(v)
    }
}

impl From<Vec<Value>> for Value {
    fn from(v: Vec<Value>) -> Value {
        Value::List(v)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_small() {
        assert!(size_of::<Value>() <= 32, "{}", size_of::<Value>());
    }

    #[test]
    fn big_integers_are_canonical() {
        let min = BigInt {
            negative: true,
            magnitude: 1 << 63,
        };
        assert_eq!(min.into_value(), Value::Int(i64::MIN));
        assert_eq!(Value::from(u64::MAX).kind(), "integer");
        assert!(matches!(Value::from(u64::MAX), Value::Big(_)));
        assert!(matches!(Value::from(1u64 << 62), Value::Int(_)));
        let huge = BigInt {
            negative: true,
            magnitude: u128::MAX,
        };
        assert!(matches!(huge.into_value(), Value::Big(_)));
    }

    #[test]
    fn loose_conversions() {
        let map = Value::dict([("", Value::Bool(true)), ("x", Value::Int(1))]);
        assert!(map.truthy());
        let off = Value::dict([("", Value::Bool(false)), ("x", Value::Int(1))]);
        assert!(!off.truthy());
        assert_eq!(Value::Text("12".into()).to_int(), Some(12));
        assert_eq!(Value::Float(2.9).to_int(), Some(2));
        assert_eq!(Value::Float(f64::NAN).to_int(), None);
        assert_eq!(Value::Float(1e300).to_int(), None);
        assert_eq!(Value::Bytes(vec![0xe9]).to_text().unwrap(), "é");
        assert_eq!(Value::Text("é".into()).to_bytes().unwrap(), vec![0xe9]);
        assert_eq!(
            Value::Text("é✓".into()).to_bytes().unwrap(),
            "é✓".as_bytes()
        );
    }

    #[test]
    fn a_scalar_that_is_a_map_is_no_scalar() {
        let odd = Value::dict([("", Value::dict([("", Value::Int(1))]))]);
        assert_eq!(odd.scalar(), &odd);
        assert_eq!(odd.to_int(), None);
    }

    #[test]
    fn debug_does_not_show_bytes() {
        assert_eq!(format!("{:?}", Value::Bytes(vec![1; 9])), "<9 bytes>");
    }
}
