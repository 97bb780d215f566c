//! Every offer to encrypt that can be made.

use proptest::prelude::*;
use wire::cipher::{
    BLOCK, CipherOffer, Framing, Iterations, KeyHash, KeyParameters, KeySize, Mode, Salt,
};

pub fn any_offer() -> impl Strategy<Value = CipherOffer> {
    (
        prop::sample::select(Mode::ALL),
        any::<bool>(),
        any::<[u8; BLOCK]>(),
        prop::collection::vec(any::<u8>(), Salt::MIN..=Salt::MAX),
        prop::sample::select(KeySize::ALL),
        prop::sample::select(KeyHash::ALL),
        Iterations::MIN.get()..=Iterations::MAX.get(),
    )
        .prop_map(|(mode, stream, iv, salt, size, hash, count)| CipherOffer {
            mode,
            framing: if stream || mode.is_authenticated() {
                Framing::Stream
            } else {
                Framing::PerRecord
            },
            iv,
            key: KeyParameters {
                salt: Salt::new(salt).unwrap(),
                hash,
                size,
                iterations: Iterations::new(count).unwrap(),
            },
        })
}
