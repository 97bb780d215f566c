use super::{BigInt, Value, code};

/// What a decoder may build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Lists and dicts inside each other; 1 allows a list of scalars.
    pub depth: usize,
    /// Values in all, the containers and dict keys included. A value takes 24
    /// to 32 bytes of memory.
    pub items: usize,
    /// Bytes of all text and byte strings together.
    pub bytes: usize,
}

/// Why bytes are not one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end inside a value.
    #[error("rencodeplus: ends early")]
    Truncated,
    /// Bytes follow the value.
    #[error("rencodeplus: {0} bytes after the value")]
    Trailing(usize),
    /// A byte that starts no value.
    #[error("rencodeplus: unknown type code {0}")]
    UnknownCode(u8),
    /// A terminator where a value is needed.
    #[error("rencodeplus: a terminator where a value is needed")]
    UnexpectedEnd,
    /// A length that is no plain decimal number.
    #[error("rencodeplus: malformed length")]
    BadLength,
    /// A decimal integer that is malformed or beyond 128 bits.
    #[error("rencodeplus: malformed integer")]
    BadInteger,
    /// Text that is not UTF-8.
    #[error("rencodeplus: text is not UTF-8")]
    BadText,
    /// A dict key that is a list or a dict.
    #[error("rencodeplus: a {0} as a dict key")]
    BadKey(&'static str),
    /// Nested deeper than the budget.
    #[error("rencodeplus: nested deeper than {0}")]
    TooDeep(usize),
    /// More values than the budget.
    #[error("rencodeplus: more than {0} values")]
    TooManyItems(usize),
    /// More string bytes than the budget.
    #[error("rencodeplus: more than {0} bytes of strings")]
    TooManyBytes(usize),
    /// Not a list that starts with a text: no packet.
    #[error("rencodeplus: not a packet")]
    NotAPacket,
}

/// Decodes exactly one value from all of `data`.
///
/// Time and memory are linear in `data.len()`; the stack is not used for
/// nesting.
pub fn decode(data: &[u8], budget: &Budget) -> Result<Value, DecodeError> {
    let mut input = Input { rest: data };
    let mut builder = Builder {
        budget: *budget,
        items: budget.items,
        bytes: budget.bytes,
        open: Vec::new(),
    };
    let value = builder.run(&mut input)?;
    match input.rest.len() {
        0 => Ok(value),
        n => Err(DecodeError::Trailing(n)),
    }
}

/// The packet type of an encoded packet, with nothing after it decoded.
/// `max` bounds the bytes of the name.
pub fn packet_name(data: &[u8], max: usize) -> Result<&str, DecodeError> {
    let mut input = Input { rest: data };
    match input.byte()? {
        code::LIST => {}
        c if c > code::LIST_FIXED => {}
        _ => return Err(DecodeError::NotAPacket),
    }
    let bytes = match input.byte()? {
        c @ code::TEXT_FIXED..=code::TEXT_FIXED_END => {
            input.take(usize::from(c - code::TEXT_FIXED))?
        }
        c @ code::ZERO..=code::NINE => input.string(c)?.1,
        _ => return Err(DecodeError::NotAPacket),
    };
    if bytes.is_empty() || bytes.len() > max {
        return Err(DecodeError::NotAPacket);
    }
    std::str::from_utf8(bytes).map_err(|_| DecodeError::BadText)
}

/// A container that is not complete yet.
enum Open {
    List {
        items: Vec<Value>,
        /// Items still to come; `None`: until the terminator.
        left: Option<usize>,
    },
    Dict {
        pairs: Vec<(Value, Value)>,
        key: Option<Value>,
        left: Option<usize>,
    },
}

impl Open {
    fn is_full(&self) -> bool {
        match self {
            Open::List { left, .. } => *left == Some(0),
            Open::Dict { left, key, .. } => *left == Some(0) && key.is_none(),
        }
    }

    fn add(&mut self, value: Value) -> Result<(), DecodeError> {
        match self {
            Open::List { items, left } => {
                items.push(value);
                *left = left.map(|n| n.saturating_sub(1));
            }
            Open::Dict { pairs, key, left } => match key.take() {
                Some(key) => {
                    pairs.push((key, value));
                    *left = left.map(|n| n.saturating_sub(1));
                }
                None if matches!(value, Value::List(_) | Value::Dict(_)) => {
                    return Err(DecodeError::BadKey(value.kind()));
                }
                None => *key = Some(value),
            },
        }
        Ok(())
    }

    fn close(self) -> Value {
        match self {
            Open::List { items, .. } => Value::List(items),
            Open::Dict { pairs, .. } => Value::Dict(pairs),
        }
    }
}

/// What one step of the decoder found.
enum Step {
    Scalar(Value),
    Open(Open),
    End,
}

struct Builder {
    budget: Budget,
    items: usize,
    bytes: usize,
    open: Vec<Open>,
}

impl Builder {
    fn run(&mut self, input: &mut Input<'_>) -> Result<Value, DecodeError> {
        loop {
            let mut done = match self.step(input)? {
                Step::Scalar(value) => value,
                Step::Open(container) => {
                    if self.open.len() >= self.budget.depth {
                        return Err(DecodeError::TooDeep(self.budget.depth));
                    }
                    if !container.is_full() {
                        self.open.push(container);
                        continue;
                    }
                    container.close()
                }
                Step::End => match self.open.pop() {
                    Some(
                        container @ (Open::List { left: None, .. }
                        | Open::Dict {
                            left: None,
                            key: None,
                            ..
                        }),
                    ) => container.close(),
                    _ => return Err(DecodeError::UnexpectedEnd),
                },
            };
            // A finished value finishes the containers that it fills.
            loop {
                let Some(mut parent) = self.open.pop() else {
                    return Ok(done);
                };
                parent.add(done)?;
                if !parent.is_full() {
                    self.open.push(parent);
                    break;
                }
                done = parent.close();
            }
        }
    }

    fn step(&mut self, input: &mut Input<'_>) -> Result<Step, DecodeError> {
        let byte = input.byte()?;
        if byte == code::END {
            return Ok(Step::End);
        }
        self.items = self
            .items
            .checked_sub(1)
            .ok_or(DecodeError::TooManyItems(self.budget.items))?;
        let value = match byte {
            0..=code::SMALL_END => Value::Int(i64::from(byte)),
            code::NEGATIVE..=code::NEGATIVE_END => {
                Value::Int(-1 - i64::from(byte - code::NEGATIVE))
            }
            code::INT8 => Value::Int(i64::from(i8::from_be_bytes(input.array()?))),
            code::INT16 => Value::Int(i64::from(i16::from_be_bytes(input.array()?))),
            code::INT32 => Value::Int(i64::from(i32::from_be_bytes(input.array()?))),
            code::INT64 => Value::Int(i64::from_be_bytes(input.array()?)),
            code::INT => input.decimal()?,
            code::FLOAT32 => Value::Float(f64::from(f32::from_be_bytes(input.array()?))),
            code::FLOAT64 => Value::Float(f64::from_be_bytes(input.array()?)),
            code::TRUE => Value::Bool(true),
            code::FALSE => Value::Bool(false),
            code::NONE => Value::None,
            code::TEXT_FIXED..=code::TEXT_FIXED_END => {
                let bytes = input.take(usize::from(byte - code::TEXT_FIXED))?;
                self.text(bytes)?
            }
            code::ZERO..=code::NINE => match input.string(byte)? {
                (b':', bytes) => self.text(bytes)?,
                (_, bytes) => {
                    self.spend(bytes.len())?;
                    Value::Bytes(bytes.to_vec())
                }
            },
            code::LIST => return Ok(list(None)),
            code::LIST_FIXED.. => return Ok(list(Some(usize::from(byte - code::LIST_FIXED)))),
            code::DICT => return Ok(dict(None)),
            code::DICT_FIXED..=code::DICT_FIXED_END => {
                return Ok(dict(Some(usize::from(byte - code::DICT_FIXED))));
            }
            unknown => return Err(DecodeError::UnknownCode(unknown)),
        };
        Ok(Step::Scalar(value))
    }

    fn spend(&mut self, bytes: usize) -> Result<(), DecodeError> {
        self.bytes = self
            .bytes
            .checked_sub(bytes)
            .ok_or(DecodeError::TooManyBytes(self.budget.bytes))?;
        Ok(())
    }

    fn text(&mut self, bytes: &[u8]) -> Result<Value, DecodeError> {
        self.spend(bytes.len())?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Value::Text(text.to_owned())),
            Err(_) => Err(DecodeError::BadText),
        }
    }
}

fn list(left: Option<usize>) -> Step {
    Step::Open(Open::List {
        items: Vec::new(),
        left,
    })
}

fn dict(left: Option<usize>) -> Step {
    Step::Open(Open::Dict {
        pairs: Vec::new(),
        key: None,
        left,
    })
}

/// The bytes not yet read. Every read takes at least one.
struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    fn byte(&mut self) -> Result<u8, DecodeError> {
        let (first, rest) = self.rest.split_first().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*first)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self
            .rest
            .split_at_checked(n)
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    /// The rest of a string whose length starts with the digit `first`: its
    /// separator (`:` text, `/` bytes) and its content.
    fn string(&mut self, first: u8) -> Result<(u8, &'a [u8]), DecodeError> {
        let mut length = usize::from(first.saturating_sub(code::ZERO));
        let separator = loop {
            match self.byte()? {
                separator @ (b':' | b'/') => break separator,
                // A length has one form only: no leading zero.
                digit @ code::ZERO..=code::NINE if first != code::ZERO => {
                    length = length
                        .checked_mul(10)
                        .and_then(|n| n.checked_add(usize::from(digit - code::ZERO)))
                        .ok_or(DecodeError::BadLength)?;
                    // Longer than what is left: there is no use in more digits.
                    if length > self.rest.len() {
                        return Err(DecodeError::Truncated);
                    }
                }
                _ => return Err(DecodeError::BadLength),
            }
        };
        Ok((separator, self.take(length)?))
    }

    /// A decimal integer up to its terminator.
    fn decimal(&mut self) -> Result<Value, DecodeError> {
        let mut byte = self.byte()?;
        let negative = byte == b'-';
        if negative {
            byte = self.byte()?;
        }
        let mut magnitude: u128 = 0;
        let mut digits = 0usize;
        while byte != code::END {
            if !byte.is_ascii_digit() || (digits > 0 && magnitude == 0) {
                return Err(DecodeError::BadInteger);
            }
            magnitude = magnitude
                .checked_mul(10)
                .and_then(|n| n.checked_add(u128::from(byte - b'0')))
                .ok_or(DecodeError::BadInteger)?;
            digits += 1;
            byte = self.byte()?;
        }
        if digits == 0 || (negative && magnitude == 0) {
            return Err(DecodeError::BadInteger);
        }
        Ok(BigInt {
            negative,
            magnitude,
        }
        .into_value())
    }
}
