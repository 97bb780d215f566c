use super::Header;
use crate::cipher::{SealError, Sealer};

/// Appends a record to `out`, sealed: its header, which says so, and what
/// becomes of its payload. `header`: as it would be sent in clear. Records are
/// sealed in the order in which they are sent.
pub fn seal(
    sealer: &mut Sealer,
    header: Header,
    payload: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), SealError> {
    let size = u32::try_from(sealer.announced(payload.len())).map_err(|_| SealError)?;
    let header = Header {
        encrypted: true,
        size,
        ..header
    };
    out.extend(header.to_bytes());
    sealer.seal(&header, payload, out)
}
