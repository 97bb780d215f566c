//! A6: there is no other protocol on our sockets to which a connection could be moved, and so no
//! way around the authentication.

use crate::a05_listeners::{connect, everywhere};
use crate::peer::{LONG, end_of, only_these_are_left, packet, processes_but};
use test_client::wire::rencodeplus::Value;

#[test]
fn other_protocols_end_without_an_answer() {
    let (_directory, session, addresses) = everywhere();
    let before = processes_but(&session, &[]);
    let upgrade = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let openings: [Vec<u8>; 9] = [
        upgrade.to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"POST /launch HTTP/1.0\r\n\r\n".to_vec(),
        b"\x16\x03\x01\0\xf8\x01\0\0\xf4\x03\x03".to_vec(),
        b"RFB 003.008\n".to_vec(),
        b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
        b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0".to_vec(),
        packet("ssl-upgrade", vec![Value::Dict(vec![])]),
        packet("upgrade", vec![Value::from("websocket")]),
    ];
    for (address, _) in &addresses {
        for opening in &openings {
            let mut stream = connect(address);
            stream.write_all(opening).unwrap();
            let end = end_of(stream, LONG);
            assert_eq!(end.packets, ["disconnect"], "{address:?}: {opening:?}");
            assert_eq!(end.reasons[0], "protocol error");
        }
    }
    only_these_are_left(&session, &before);
}
