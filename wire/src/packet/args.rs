use super::geometry::{Geometry, Position, Size, WindowId};
use super::{Map, Packet};
use crate::caps::CapsError;
use crate::rencodeplus::Value;

/// A packet of a known type with an argument that we do not accept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{packet}: argument {index}: {problem}")]
pub struct PacketError {
    /// The packet type.
    pub packet: String,
    /// Position in the packet's list; the type is 0.
    pub index: usize,
    /// What is wrong with it.
    pub problem: ArgError,
}

/// What is wrong with an argument.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgError {
    /// The packet ends before it.
    #[error("missing")]
    Missing,
    /// A value of another kind.
    #[error("{found} where {expected} is needed")]
    Type {
        /// The kind that is needed.
        expected: &'static str,
        /// The kind that came.
        found: &'static str,
    },
    /// A number that is out of range.
    #[error("{0} is out of range")]
    Range(i64),
    /// A string or list that is too long: bytes or items allowed.
    #[error("longer than {0}")]
    TooLong(usize),
    /// A name that is not in the protocol.
    #[error("not a known {0}")]
    Unknown(&'static str),
    /// A map with a capability that is too large.
    #[error(transparent)]
    Caps(#[from] CapsError),
}

/// The arguments of one packet, read from the first to the last.
pub(super) struct Args {
    packet: String,
    index: usize,
    rest: std::vec::IntoIter<Value>,
}

impl PacketError {
    /// Is the packet not what its type must be: an argument is not there, or
    /// of a wrong kind? If not, a value is beyond a range or a bound, which
    /// costs one packet (protocol "Loose typing to tolerate").
    #[must_use]
    pub fn is_malformed(&self) -> bool {
        match self.problem {
            ArgError::Missing | ArgError::Type { .. } => true,
            ArgError::Range(_)
            | ArgError::TooLong(_)
            | ArgError::Unknown(_)
            | ArgError::Caps(_) => false,
        }
    }
}

type Result<T> = std::result::Result<T, PacketError>;

impl Args {
    pub fn new(packet: Packet) -> Args {
        Args {
            packet: packet.name,
            index: 0,
            rest: packet.args.into_iter(),
        }
    }

    /// An error about the argument read last.
    pub fn error(&self, problem: ArgError) -> PacketError {
        PacketError {
            packet: self.packet.clone(),
            index: self.index,
            problem,
        }
    }

    pub fn wrong(&self, expected: &'static str, found: &Value) -> PacketError {
        self.error(ArgError::Type {
            expected,
            found: found.kind(),
        })
    }

    pub fn is_empty(&self) -> bool {
        self.rest.as_slice().is_empty()
    }

    /// The next argument, not taken.
    pub fn peek(&self) -> Option<&Value> {
        self.rest.as_slice().first()
    }

    pub fn value(&mut self) -> Result<Value> {
        self.index += 1;
        match self.rest.next() {
            Some(value) => Ok(value),
            None => Err(self.error(ArgError::Missing)),
        }
    }

    pub fn skip(&mut self) {
        self.index += 1;
        self.rest.next();
    }

    /// The rest of the arguments.
    pub fn remaining(self) -> Vec<Value> {
        self.rest.collect()
    }

    /// An argument that older or newer peers leave out at the end.
    pub fn optional<T>(&mut self, read: impl FnOnce(&mut Args) -> Result<T>) -> Result<Option<T>> {
        if self.is_empty() {
            return Ok(None);
        }
        read(self).map(Some)
    }

    pub fn number(&self, value: &Value) -> Result<i64> {
        value
            .to_int()
            .ok_or_else(|| self.wrong("an integer", value))
    }

    pub fn fit<T: TryFrom<i64>>(&self, value: i64) -> Result<T> {
        T::try_from(value).map_err(|_| self.error(ArgError::Range(value)))
    }

    pub fn int<T: TryFrom<i64>>(&mut self) -> Result<T> {
        let value = self.value()?;
        let number = self.number(&value)?;
        self.fit(number)
    }

    pub fn bool(&mut self) -> Result<bool> {
        let value = self.value()?;
        match value.scalar() {
            Value::List(_) | Value::Dict(_) => Err(self.wrong("a bool", &value)),
            scalar => Ok(scalar.truthy()),
        }
    }

    pub fn text(&mut self, max: usize) -> Result<String> {
        let value = self.value()?;
        let text = match value {
            Value::Text(text) => text,
            other => other.to_text().ok_or_else(|| self.wrong("text", &other))?,
        };
        if text.len() > max {
            return Err(self.error(ArgError::TooLong(max)));
        }
        Ok(text)
    }

    pub fn bytes(&mut self) -> Result<Vec<u8>> {
        match self.value()? {
            Value::Bytes(bytes) => Ok(bytes),
            other => other.to_bytes().ok_or_else(|| self.wrong("bytes", &other)),
        }
    }

    pub fn list(&mut self, max: usize) -> Result<Vec<Value>> {
        match self.value()? {
            Value::List(items) if items.len() > max => Err(self.error(ArgError::TooLong(max))),
            Value::List(items) => Ok(items),
            other => Err(self.wrong("a list", &other)),
        }
    }

    pub fn dict(&mut self) -> Result<Map> {
        match self.value()? {
            Value::Dict(pairs) => Ok(pairs),
            other => Err(self.wrong("a map", &other)),
        }
    }

    /// A window that exists: never 0 or −1.
    pub fn window(&mut self) -> Result<WindowId> {
        let id = self.int::<i64>()?;
        WindowId::from_wire(id).ok_or_else(|| self.error(ArgError::Range(id)))
    }

    /// A window, or 0 or −1 for none (or all).
    pub fn window_or_none(&mut self) -> Result<Option<WindowId>> {
        let id = self.int::<i64>()?;
        match id {
            -1 | 0 => Ok(None),
            _ => WindowId::from_wire(id)
                .map(Some)
                .ok_or_else(|| self.error(ArgError::Range(id))),
        }
    }

    /// A list of windows.
    pub fn windows(&mut self, max: usize) -> Result<Vec<WindowId>> {
        let items = self.list(max)?;
        items
            .iter()
            .map(|item| {
                let id = self.number(item)?;
                WindowId::from_wire(id).ok_or_else(|| self.error(ArgError::Range(id)))
            })
            .collect()
    }

    /// A list of texts.
    pub fn texts(&mut self, max: usize, max_len: usize) -> Result<Vec<String>> {
        let items = self.list(max)?;
        items
            .iter()
            .map(|item| match item.to_text() {
                Some(text) if text.len() > max_len => Err(self.error(ArgError::TooLong(max_len))),
                Some(text) => Ok(text),
                None => Err(self.wrong("text", item)),
            })
            .collect()
    }

    pub fn size(&mut self) -> Result<Size> {
        let (width, height) = (self.int::<i64>()?, self.int::<i64>()?);
        Size::from_wire(width, height).ok_or_else(|| self.error(ArgError::Range(width.max(height))))
    }

    pub fn geometry(&mut self) -> Result<Geometry> {
        Ok(Geometry {
            x: self.int()?,
            y: self.int()?,
            size: self.size()?,
        })
    }

    /// `[x, y]` or `[x, y, rx, ry]`.
    pub fn position(&mut self) -> Result<Position> {
        let value = self.value()?;
        let items = value
            .as_list()
            .ok_or_else(|| self.wrong("a position", &value))?;
        let at = |index: usize| -> Result<Option<i32>> {
            match items.get(index) {
                Some(item) => self.fit(self.number(item)?).map(Some),
                None => Ok(None),
            }
        };
        match (at(0)?, at(1)?, at(2)?, at(3)?) {
            (Some(x), Some(y), Some(rx), Some(ry)) => Ok(Position {
                x,
                y,
                relative: Some((rx, ry)),
            }),
            (Some(x), Some(y), _, _) => Ok(Position {
                x,
                y,
                relative: None,
            }),
            _ => Err(self.error(ArgError::Missing)),
        }
    }

    /// Names the argument read last as the culprit of a bad map.
    pub fn caps<T>(&self, result: std::result::Result<T, CapsError>) -> Result<T> {
        result.map_err(|error| self.error(error.into()))
    }
}
