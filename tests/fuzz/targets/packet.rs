//! The payload of a main record as every kind of packet that someone may read: before
//! authentication (and so the client's hello), from a client, from a server.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::limits::Limits;
use wire::packet::{ClientPacket, Packet, PreAuthPacket, ServerPacket, UpgradePacket};
use wire::record::Message;

fuzz_target!(|data: &[u8]| {
    let message = || Message {
        payload: data.to_vec(),
        chunks: Vec::new(),
        flush: false,
    };
    let _ = PreAuthPacket::decode(message(), &Limits::PRE_AUTH.budget);
    let _ = UpgradePacket::decode(message(), &Limits::PRE_AUTH.budget);
    if let Ok(packet) = Packet::decode(message(), &Limits::CLIENT_TO_SERVER.budget) {
        if let Ok(packet) = ClientPacket::parse(packet.clone()) {
            let _ = packet.into_packet().encode();
        }
        if let Ok(packet) = ServerPacket::parse(packet) {
            let _ = packet.into_packet().encode();
        }
    }
});
