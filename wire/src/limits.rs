//! Every bound that the parsers enforce, in one place, each with its unit and
//! its reason. Nothing here is negotiable by a peer.

use crate::rencodeplus::Budget;

/// Bytes in a record header (protocol "Header: 8 bytes").
pub const HEADER_SIZE: usize = 8;

/// Highest chunk index a header may carry (protocol "Raw chunks").
pub const MAX_CHUNK_INDEX: u8 = 15;

/// Chunks before one main record: no packet has more big arguments.
pub const MAX_CHUNKS: usize = 3;

/// Bytes: payloads shorter than this are never compressed by a sender
/// (protocol "Compression byte").
pub const MIN_COMPRESS_SIZE: usize = 378;

/// Bytes: arguments above this travel as a raw chunk when the peer takes
/// chunks; smaller ones are inlined (protocol "Raw chunks").
pub const INLINE_SIZE: usize = 32_768;

/// Bytes of UTF-8 in a packet type. The longest name in use has 27.
pub const MAX_PACKET_NAME: usize = 64;

/// Items in a packet's argument list. The longest known packet has 14.
pub const MAX_PACKET_ARGS: usize = 64;

/// Window ids are below 2^48 (protocol "Loose typing to tolerate").
pub const MAX_WINDOW_ID: u64 = 1 << 48;

/// Pixels: width and height of a window or a picture. The X protocol and the
/// stock clients stop at 32767.
pub const MAX_DIMENSION: u16 = 32_767;

/// Bytes of UTF-8: identities such as a uuid, user name, host name, version.
pub const MAX_IDENTITY: usize = 256;

/// Bytes of UTF-8: short names such as an encoding, a layout, a keysym.
pub const MAX_NAME: usize = 128;

/// Bytes of UTF-8: free text from a peer, such as a reason or a message.
pub const MAX_TEXT: usize = 4096;

/// Items: lists of names in a hello (encodings, packet types, metadata keys).
/// A stock server lists about 150 packet types.
pub const MAX_NAMES: usize = 512;

/// Items: modifiers or buttons held at one time. There are 8 modifiers; a
/// pointer has at most 255 buttons and a hand holds few of them.
pub const MAX_HELD: usize = 32;

/// Items: monitors of a client.
pub const MAX_MONITORS: usize = 16;

/// Items: window ids in one packet (info, suspend, resume, encoding).
pub const MAX_WINDOW_LIST: usize = 1024;

/// Items: `keycodes` of a keymap. X has 248 key codes with at most 8 columns.
pub const MAX_KEYCODES: usize = 2048;

/// Items: key codes in `x11_keycodes`: X key codes are one byte.
pub const MAX_X11_KEYCODES: usize = 256;

/// Items: keysym names for one key code.
pub const MAX_KEYSYM_LEVELS: usize = 16;

/// Items: words of a `run`, `command_request` or `print` request.
pub const MAX_REQUEST_ARGS: usize = 64;

/// Bytes: salts in a challenge (protocol "Authentication handshake": 32 to
/// 1023 bytes from a server, 16 to 256 from a client).
pub const MAX_SALT: usize = 1023;

/// Bytes: a challenge response. Hex of a 512 bit digest is 128; xor responses
/// are as long as the password; kerberos tokens are some kilobytes.
pub const MAX_RESPONSE: usize = 16_384;

/// Items: rectangles or scroll areas in one packet.
pub const MAX_RECTANGLES: usize = 4096;

/// Bytes: what one phase of a connection may make us hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes: the size field of one record's header.
    pub max_payload: u32,
    /// Bytes: one packet after decompression, its main record and its chunks
    /// together.
    pub max_packet: usize,
    /// Bytes: all records of the phase together, headers included.
    /// `None`: no bound.
    pub max_total: Option<u64>,
    /// Chunks before one main record, at most [`MAX_CHUNKS`].
    pub max_chunks: usize,
    /// What the decoder of the main record may build.
    pub budget: Budget,
}

impl Limits {
    /// A client that has not authenticated: 64 KiB in all. The largest stock
    /// hello is 5 KB compressed, and a chain of challenges repeats it.
    pub const PRE_AUTH: Limits = Limits {
        max_payload: 64 * 1024,
        max_packet: 256 * 1024,
        max_total: Some(64 * 1024),
        max_chunks: 0,
        budget: Budget {
            depth: 12,
            items: 16_384,
            bytes: 256 * 1024,
        },
    };

    /// An authenticated client. The largest packet of a session without
    /// clipboard and files is a keymap (about 10 KB compressed).
    pub const CLIENT_TO_SERVER: Limits = Limits {
        max_payload: 1024 * 1024,
        max_packet: 4 * 1024 * 1024,
        max_total: None,
        max_chunks: MAX_CHUNKS,
        budget: Budget {
            depth: 16,
            items: 65_536,
            bytes: 4 * 1024 * 1024,
        },
    };

    /// What our own clients accept from a server: pictures of a whole screen.
    pub const SERVER_TO_CLIENT: Limits = Limits {
        max_payload: 64 * 1024 * 1024,
        max_packet: 256 * 1024 * 1024,
        max_total: None,
        max_chunks: MAX_CHUNKS,
        budget: Budget {
            depth: 32,
            items: 524_288,
            bytes: 64 * 1024 * 1024,
        },
    };
}
