//! LZ4 as Xpra frames it: the uncompressed size as a little-endian u32, then
//! one raw LZ4 block (protocol "Compression byte"). Used for whole records and
//! for raw pixels.

/// Bytes of the size that precedes a block.
const PREFIX: usize = 4;

/// The most output bytes that one input byte of an LZ4 block can stand for: a
/// match length byte of 255.
const MAX_RATIO: usize = 255;

/// Why a block was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lz4Error {
    /// Shorter than the size prefix and one byte.
    #[error("lz4: {0} bytes are too few")]
    Short(usize),
    /// The size prefix exceeds what the caller allows. Nothing was allocated.
    #[error("lz4: says {declared} bytes, {allowed} are allowed")]
    TooLarge {
        /// Bytes that the prefix announces.
        declared: usize,
        /// Bytes that the caller allows.
        allowed: usize,
    },
    /// The size prefix exceeds what so few bytes can expand to. Nothing was
    /// allocated.
    #[error("lz4: says {declared} bytes, {compressed} cannot expand to that")]
    Ratio {
        /// Bytes that the prefix announces.
        declared: usize,
        /// Bytes of the compressed block.
        compressed: usize,
    },
    /// Not an LZ4 block, or its output is not as long as the prefix says.
    #[error("lz4: corrupt block")]
    Corrupt,
}

/// Compresses `data`: the size prefix and the block.
pub fn compress(data: &[u8]) -> Vec<u8> {
    lz4_flex::block::compress_prepend_size(data)
}

/// Decompresses a size prefix and a block, into at most `allowed` bytes. The
/// prefix is checked before anything is allocated.
pub fn decompress(data: &[u8], allowed: usize) -> Result<Vec<u8>, Lz4Error> {
    let Some((prefix, block)) = data.split_first_chunk::<PREFIX>() else {
        return Err(Lz4Error::Short(data.len()));
    };
    if block.is_empty() {
        return Err(Lz4Error::Short(data.len()));
    }
    let declared = usize::try_from(u32::from_le_bytes(*prefix)).unwrap_or(usize::MAX);
    if declared > allowed {
        return Err(Lz4Error::TooLarge { declared, allowed });
    }
    if declared > block.len().saturating_mul(MAX_RATIO) {
        return Err(Lz4Error::Ratio {
            declared,
            compressed: block.len(),
        });
    }
    let mut out = vec![0; declared];
    match lz4_flex::block::decompress_into(block, &mut out) {
        Ok(written) if written == declared => Ok(out),
        _ => Err(Lz4Error::Corrupt),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_prefix_is_little_endian() {
        let packed = compress(&[7; 0x0270]);
        assert_eq!(packed.get(..4), Some(&[0x70, 2, 0, 0][..]));
        assert_eq!(decompress(&packed, 0x0270).unwrap(), vec![7; 0x0270]);
    }

    #[test]
    fn a_bomb_is_refused_by_its_prefix() {
        let mut bomb = compress(&vec![0; 1 << 20]);
        assert_eq!(
            decompress(&bomb, (1 << 20) - 1),
            Err(Lz4Error::TooLarge {
                declared: 1 << 20,
                allowed: (1 << 20) - 1
            })
        );
        bomb[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(
            decompress(&bomb, usize::MAX),
            Err(Lz4Error::Ratio { .. })
        ));
    }

    #[test]
    fn a_wrong_prefix_is_corrupt() {
        let good = compress(b"some bytes, some bytes, some bytes, some bytes");
        for size in [0u32, 1, 45, 47, 200] {
            let mut bad = good.clone();
            bad[..4].copy_from_slice(&size.to_le_bytes());
            assert_eq!(decompress(&bad, 4096), Err(Lz4Error::Corrupt), "{size}");
        }
    }

    #[test]
    fn too_short() {
        for len in 0..5 {
            assert_eq!(decompress(&vec![0; len], 10), Err(Lz4Error::Short(len)));
        }
    }

    proptest! {
        #[test]
        fn round_trip(data in proptest::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert_eq!(decompress(&compress(&data), data.len()).unwrap(), data);
        }

        #[test]
        fn arbitrary_bytes_never_panic(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(out) = decompress(&data, 1000) {
                prop_assert!(out.len() <= 1000);
            }
        }

        #[test]
        fn arbitrary_blocks_never_panic(
            size in 0u32..5000,
            block in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut data = size.to_le_bytes().to_vec();
            data.extend(block);
            let _ = decompress(&data, 4096);
        }
    }
}
