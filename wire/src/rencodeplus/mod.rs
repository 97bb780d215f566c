//! rencodeplus, the encoding of every packet (protocol "rencodeplus").
//!
//! [`decode`] is strict: one value, all bytes consumed, within a [`Budget`].
//! [`encode`] writes the same bytes as the stock encoder.

mod decode;
mod encode;
mod value;

pub use decode::{Budget, DecodeError, decode, packet_name};
pub use encode::{encode, encode_into};
pub(crate) use encode::{encode_packet, encode_packet_around};
pub use value::{BigInt, Value};

/// Type codes.
pub(crate) mod code {
    pub const FLOAT64: u8 = 44;
    pub const ZERO: u8 = b'0';
    pub const NINE: u8 = b'9';
    pub const LIST: u8 = 59;
    pub const DICT: u8 = 60;
    pub const INT: u8 = 61;
    pub const INT8: u8 = 62;
    pub const INT16: u8 = 63;
    pub const INT32: u8 = 64;
    pub const INT64: u8 = 65;
    pub const FLOAT32: u8 = 66;
    pub const TRUE: u8 = 67;
    pub const FALSE: u8 = 68;
    pub const NONE: u8 = 69;
    /// −1 to −32.
    pub const NEGATIVE: u8 = 70;
    pub const NEGATIVE_END: u8 = 101;
    /// Dicts of 0 to 24 pairs.
    pub const DICT_FIXED: u8 = 102;
    pub const DICT_FIXED_END: u8 = 126;
    pub const END: u8 = 127;
    /// Text of 0 to 63 bytes.
    pub const TEXT_FIXED: u8 = 128;
    pub const TEXT_FIXED_END: u8 = 191;
    /// Lists of 0 to 63 items.
    pub const LIST_FIXED: u8 = 192;
    /// Integers 0 to 43 are their own code.
    pub const SMALL_END: u8 = 43;
}
