//! A login by hand.

use crate::peer::{LONG, Stream, hello, sharing};
use test_client::wire::challenge::{self, Digest};
use test_client::wire::limits::Limits;
use test_client::wire::packet::{Packet, ServerPacket};
use test_client::wire::record::RecordReader;

/// The hello that answers the challenge that comes, and the response in it.
pub fn answer(stream: &mut impl Stream, password: &str) -> (Vec<u8>, Vec<u8>) {
    const SALT: [u8; 32] = [7; 32];
    let challenge = match ServerPacket::parse(next_packet(stream)) {
        Ok(ServerPacket::Challenge(challenge)) => challenge,
        other => panic!("no challenge: {other:?}"),
    };
    let digest = |name: &str| Digest::parse(name).unwrap();
    let salt_digest = digest(&challenge.salt_digest);
    let combined = challenge::combined_salt(salt_digest, &challenge.salt, &SALT).unwrap();
    let response = challenge::response(digest(&challenge.digest), password.as_bytes(), &combined);
    let mut options = sharing(1);
    options.hello.auth.response = Some(response.clone());
    options.hello.auth.client_salt = Some(SALT.to_vec());
    (hello(&options), response)
}

/// The next packet that the server sends.
pub fn next_packet(stream: &mut impl Stream) -> Packet {
    let mut reader = RecordReader::new(Limits::SERVER_TO_CLIENT);
    let mut buffer = vec![0; 64 * 1024];
    stream.patience(LONG);
    loop {
        if let Some(message) = reader.next_message().unwrap() {
            let budget = &Limits::SERVER_TO_CLIENT.budget;
            return Packet::decode(message, budget).unwrap();
        }
        let length = stream.read(&mut buffer).unwrap();
        assert!(length > 0, "closed without a word");
        reader.push(&buffer[..length]);
    }
}
