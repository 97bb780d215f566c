use super::{Value, code};

/// Encodes one value.
pub fn encode(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    encode_into(value, &mut out);
    out
}

/// Appends one value to `out`.
pub fn encode_into(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Int(v) => int(*v, out),
        Value::Big(v) => {
            out.push(code::INT);
            out.extend(v.to_string().into_bytes());
            out.push(code::END);
        }
        Value::Float(v) => {
            out.push(code::FLOAT64);
            out.extend(v.to_be_bytes());
        }
        Value::Bool(true) => out.push(code::TRUE),
        Value::Bool(false) => out.push(code::FALSE),
        Value::None => out.push(code::NONE),
        Value::Bytes(v) => {
            length(v.len(), b'/', out);
            out.extend_from_slice(v);
        }
        Value::Text(v) => text(v, out),
        Value::List(items) => {
            let fixed = fixed(items.len(), code::LIST_FIXED, u8::MAX);
            out.push(fixed.unwrap_or(code::LIST));
            for item in items {
                encode_into(item, out);
            }
            if fixed.is_none() {
                out.push(code::END);
            }
        }
        Value::Dict(pairs) => {
            let fixed = fixed(pairs.len(), code::DICT_FIXED, code::DICT_FIXED_END);
            out.push(fixed.unwrap_or(code::DICT));
            for (key, value) in pairs {
                encode_into(key, out);
                encode_into(value, out);
            }
            if fixed.is_none() {
                out.push(code::END);
            }
        }
    }
}

/// The code `first + n`, if that is at most `last`.
fn fixed(n: usize, first: u8, last: u8) -> Option<u8> {
    let byte = first.checked_add(u8::try_from(n).ok()?)?;
    (byte <= last).then_some(byte)
}

fn length(n: usize, separator: u8, out: &mut Vec<u8>) {
    out.extend(n.to_string().into_bytes());
    out.push(separator);
}

fn int(v: i64, out: &mut Vec<u8>) {
    if let Ok(small) = u8::try_from(v)
        && small <= code::SMALL_END
    {
        out.push(small);
    } else if let Ok(v) = i8::try_from(v) {
        if (-32..0).contains(&v) {
            out.push(code::NEGATIVE + (v.unsigned_abs() - 1));
        } else {
            out.push(code::INT8);
            out.extend(v.to_be_bytes());
        }
    } else if let Ok(v) = i16::try_from(v) {
        out.push(code::INT16);
        out.extend(v.to_be_bytes());
    } else if let Ok(v) = i32::try_from(v) {
        out.push(code::INT32);
        out.extend(v.to_be_bytes());
    } else {
        out.push(code::INT64);
        out.extend(v.to_be_bytes());
    }
}

/// Appends a packet: a list of a name and its arguments.
pub(crate) fn encode_packet(name: &str, args: &[Value], out: &mut Vec<u8>) {
    let end = packet_start(name, args.len(), out);
    for arg in args {
        encode_into(arg, out);
    }
    out.extend(end);
}

/// Appends a packet up to a byte string of `len` bytes that is not there, and gives what follows
/// that: `before` and `after` are the other arguments.
pub(crate) fn encode_packet_around(
    name: &str,
    before: &[Value],
    len: usize,
    after: &[Value],
    out: &mut Vec<u8>,
) -> Vec<u8> {
    let args = before.len().saturating_add(1).saturating_add(after.len());
    let end = packet_start(name, args, out);
    for arg in before {
        encode_into(arg, out);
    }
    length(len, b'/', out);
    let mut rest = Vec::new();
    for arg in after {
        encode_into(arg, &mut rest);
    }
    rest.extend(end);
    rest
}

/// Appends what comes before the arguments; what comes after them.
fn packet_start(name: &str, args: usize, out: &mut Vec<u8>) -> Option<u8> {
    let fixed = fixed(args.saturating_add(1), code::LIST_FIXED, u8::MAX);
    out.push(fixed.unwrap_or(code::LIST));
    text(name, out);
    fixed.is_none().then_some(code::END)
}

fn text(v: &str, out: &mut Vec<u8>) {
    match fixed(v.len(), code::TEXT_FIXED, code::TEXT_FIXED_END) {
        Some(byte) => out.push(byte),
        None => length(v.len(), b':', out),
    }
    out.extend_from_slice(v.as_bytes());
}
