//! What is said between a one-shot client and a server (protocol "One-shot requests").

use crate::show;
use ipc::command::{Command, CommandSpec};
use wire::challenge::{self, ChallengeError, Digest};
use wire::hello::{ClientHello, Identity, Request};
use wire::limits::Limits;
use wire::packet::{
    Challenge, ClientPacket, Disconnect, MessageError, Packet, PacketError, Screenshot,
    ServerPacket, reason,
};
use wire::record::{RecordError, RecordReader, RecordWriter, TooLarge};
use wire::rencodeplus::Value;

/// Bytes of our half of a salt.
pub const SALT: usize = 32;
/// Challenges that are answered; a chain of modules has a few.
const MAX_CHALLENGES: u32 = 8;
/// The version that we say we are: that of the clients we are compatible with.
const VERSION: &str = "6.5";

/// What an honest server sends fits, and a hostile one cannot make us hold more.
const LIMITS: Limits = Limits {
    max_payload: 32 << 20,
    max_packet: 48 << 20,
    ..Limits::SERVER_TO_CLIENT
};

/// The answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// Lines to print; none where success says it all.
    Text(String),
    /// A picture, as a file.
    Picture(Vec<u8>),
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Bytes for the server.
    Send(Vec<u8>),
    /// The end.
    Done(Answer),
}

/// Why there is no answer: one line for the person.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The server's bytes are no records.
    #[error("the server does not speak the protocol: {0}")]
    Record(#[from] RecordError),
    /// The records are no packets.
    #[error("the server does not speak the protocol: {0}")]
    Message(#[from] MessageError),
    /// The answer has another form.
    #[error("the server's answer cannot be understood: {0}")]
    Packet(#[from] PacketError),
    /// Our own packet is too large: the password is.
    #[error("{0}")]
    TooLarge(#[from] TooLarge),
    /// It asks for a password.
    #[error("the server asks for a password: --password-file=FILE or the variable XPRA_PASSWORD")]
    NoPassword,
    /// It asks in a way that would tell the password to whoever listens.
    #[error("the server wants the password by {0:?}, which would not keep it secret")]
    Digest(String),
    /// Its salts cannot be mixed.
    #[error("{0}")]
    Salt(#[from] ChallengeError),
    /// The system has none.
    #[error("the system has no random numbers")]
    NoRandom,
    /// It never has enough.
    #[error("the server asks for the password again and again")]
    TooManyChallenges,
    /// It refused.
    #[error("the server refused: {}", show::clean(.0))]
    Refused(String),
    /// It went away.
    #[error("the server closed the connection without an answer")]
    Closed,
    /// It sent something else.
    #[error("the server's answer lacks {0}")]
    Lacks(&'static str),
}

/// One request and its answer.
pub struct Conversation {
    spec: CommandSpec,
    reader: RecordReader,
    writer: RecordWriter,
    challenges: u32,
}

impl Conversation {
    /// For this request.
    #[must_use]
    pub fn new(spec: CommandSpec) -> Self {
        let (reader, writer) = (RecordReader::new(LIMITS), RecordWriter::new(true));
        Self {
            spec,
            reader,
            writer,
            challenges: 0,
        }
    }

    /// What to send first.
    ///
    /// # Errors
    /// [`Failure::TooLarge`].
    pub fn begin(&self) -> Result<Vec<u8>, Failure> {
        self.hello(None)
    }

    fn hello(&self, response: Option<(Vec<u8>, Vec<u8>)>) -> Result<Vec<u8>, Failure> {
        let identity = Identity {
            version: VERSION.into(),
            client_type: "bulkhead".into(),
            username: self.spec.username.clone(),
            ..Identity::default()
        };
        let request = match self.spec.command {
            Command::Info => Request::Info,
            Command::Version => Request::Version,
            Command::Id => Request::Id,
            Command::Screenshot => Request::Screenshot,
            Command::Detach => Request::Detach,
            Command::Stop => Request::Stop,
            Command::Exit => Request::Exit,
        };
        let mut hello = ClientHello::command_line(identity, Some(request));
        hello.auth.digests = Digest::offered(self.spec.plain);
        (hello.auth.response, hello.auth.client_salt) = response.unzip();
        let mut map = hello.into_map();
        if self.spec.command == Command::Version {
            map.push(("full-version-request".into(), true.into()));
        }
        self.record(&Packet::new("hello", vec![Value::Dict(map)]))
    }

    fn record(&self, packet: &Packet) -> Result<Vec<u8>, Failure> {
        Ok(self.writer.record(packet, true)?)
    }

    /// Bytes from the server. `salt` makes our half of a salt when one is needed.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn receive(
        &mut self,
        bytes: &[u8],
        mut salt: impl FnMut() -> Option<[u8; SALT]>,
    ) -> Result<Vec<Step>, Failure> {
        self.reader.push(bytes);
        let mut steps = Vec::new();
        while let Some(message) = self.reader.next_message()? {
            let packet = Packet::decode(message, &LIMITS.budget)?;
            let step = self.packet(ServerPacket::parse(packet)?, &mut salt)?;
            let done = matches!(step, Some(Step::Done(_)));
            steps.extend(step);
            if done {
                break;
            }
        }
        Ok(steps)
    }

    /// The server has closed the connection.
    #[must_use]
    pub fn closed(&self) -> Failure {
        Failure::Closed
    }

    fn packet(
        &mut self,
        packet: ServerPacket,
        salt: &mut impl FnMut() -> Option<[u8; SALT]>,
    ) -> Result<Option<Step>, Failure> {
        let done = |answer| Ok(Some(Step::Done(answer)));
        match (packet, self.spec.command) {
            (ServerPacket::Challenge(challenge), _) => {
                let hello = self.answer(&challenge, salt().ok_or(Failure::NoRandom)?)?;
                Ok(Some(Step::Send(hello)))
            }
            (ServerPacket::Disconnect(disconnect), command) => {
                ended(&disconnect, command)?;
                done(Answer::Text(String::new()))
            }
            (ServerPacket::Hello(map), Command::Version) => {
                let version = show::version(&map).ok_or(Failure::Lacks("a version"))?;
                let ours = env!("CARGO_PKG_VERSION");
                done(Answer::Text(format!(
                    "the server speaks Xpra {version}this command is bulkhead {ours}\n"
                )))
            }
            (ServerPacket::Hello(map), Command::Id | Command::Info) => {
                done(Answer::Text(show::lines(&map)))
            }
            (ServerPacket::Hello(_), Command::Exit) => {
                let exit = ClientPacket::ExitServer {
                    reason: String::new(),
                };
                Ok(Some(Step::Send(self.record(&exit.into_packet())?)))
            }
            (ServerPacket::Screenshot(Screenshot { encoding, data, .. }), Command::Screenshot) => {
                match encoding.as_str() {
                    "png" if !data.is_empty() => done(Answer::Picture(data)),
                    _ => Err(Failure::Lacks("a picture")),
                }
            }
            _ => Ok(None),
        }
    }

    fn answer(&mut self, challenge: &Challenge, salt: [u8; SALT]) -> Result<Vec<u8>, Failure> {
        self.challenges += 1;
        if self.challenges > MAX_CHALLENGES {
            return Err(Failure::TooManyChallenges);
        }
        let password = self.spec.password.as_ref().ok_or(Failure::NoPassword)?;
        let hash = |name: &str| match Digest::parse(name) {
            Some(digest @ Digest::Hmac(_)) => Ok(digest),
            _ => Err(Failure::Digest(name.chars().take(40).collect())),
        };
        let digest = match Digest::parse(&challenge.digest) {
            Some(Digest::Xor) if self.spec.plain => Digest::Xor,
            _ => hash(&challenge.digest)?,
        };
        let salt_digest = hash(&challenge.salt_digest)?;
        let combined = challenge::combined_salt(salt_digest, &challenge.salt, &salt)?;
        let response = challenge::response(digest, password, &combined);
        self.hello(Some((response, salt.to_vec())))
    }
}

/// Is this end of the connection the answer, or a refusal?
fn ended(disconnect: &Disconnect, command: Command) -> Result<(), Failure> {
    let expected = match command {
        Command::Detach => disconnect.reason == reason::DONE,
        Command::Stop => {
            [reason::DONE, reason::SERVER_SHUTDOWN].contains(&disconnect.reason.as_str())
        }
        Command::Exit => [reason::DONE, reason::SERVER_EXIT].contains(&disconnect.reason.as_str()),
        Command::Info | Command::Version | Command::Id | Command::Screenshot => false,
    };
    if expected {
        return Ok(());
    }
    let words = [&disconnect.reason].into_iter().chain(&disconnect.details);
    let text = words
        .take(3)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    Err(Failure::Refused(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::hello::{id_reply, version_reply};
    use wire::packet::PreAuthPacket;

    const SERVER_SALT: &[u8; 64] = &[9; 64];

    fn spec(command: Command, password: Option<&str>) -> CommandSpec {
        let password = password.map(|word| word.as_bytes().to_vec());
        CommandSpec {
            command,
            password,
            can_ask: false,
            username: "me".into(),
            plain: false,
        }
    }

    fn bytes(packet: ServerPacket) -> Vec<u8> {
        RecordWriter::new(true)
            .record(&packet.into_packet(), true)
            .unwrap()
    }

    fn challenge(digest: &str, salt_digest: &str) -> Vec<u8> {
        bytes(ServerPacket::Challenge(Challenge {
            salt: SERVER_SALT.to_vec(),
            auth_caps: vec![],
            digest: digest.into(),
            salt_digest: salt_digest.into(),
            prompt: String::new(),
        }))
    }

    fn disconnect(reason: &str) -> Vec<u8> {
        bytes(ServerPacket::Disconnect(Disconnect::new(reason)))
    }

    /// What a server reads.
    fn hello(bytes: &[u8]) -> ClientHello {
        let mut reader = RecordReader::new(Limits::PRE_AUTH);
        reader.push(bytes);
        let message = reader.next_message().unwrap().unwrap();
        match PreAuthPacket::decode(message, &Limits::PRE_AUTH.budget).unwrap() {
            PreAuthPacket::Hello(hello) => *hello,
            other => panic!("{other:?}"),
        }
    }

    fn ask(command: Command, answer: &[u8]) -> Result<Vec<Step>, Failure> {
        Conversation::new(spec(command, None)).receive(answer, || Some([7; SALT]))
    }

    fn text(steps: Result<Vec<Step>, Failure>) -> String {
        match steps.unwrap().pop() {
            Some(Step::Done(Answer::Text(text))) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_first_hello_says_what_is_wanted() {
        let first = hello(
            &Conversation::new(spec(Command::Stop, Some("x")))
                .begin()
                .unwrap(),
        );
        assert_eq!(first.request, Some(Request::Stop));
        assert_eq!(
            (first.identity.username.as_str(), first.ui_client),
            ("me", false)
        );
        assert_eq!(first.auth.response, None);
    }

    #[test]
    fn a_challenge_is_answered_and_the_password_not_told() {
        let mut conversation = Conversation::new(spec(Command::Id, Some("secret")));
        let steps =
            conversation.receive(&challenge("hmac+sha512", "hmac+sha256"), || Some([7; SALT]));
        let [Step::Send(bytes)] = &steps.unwrap()[..] else {
            panic!()
        };
        assert!(!bytes.windows(6).any(|window| window == b"secret"));
        let hello = hello(bytes);
        let salt_digest = Digest::parse("hmac+sha256").unwrap();
        let combined = challenge::combined_salt(salt_digest, SERVER_SALT, &[7; SALT]).unwrap();
        let digest = Digest::parse("hmac+sha512").unwrap();
        assert_eq!(
            hello.auth.response,
            Some(challenge::response(digest, b"secret", &combined))
        );
        assert_eq!(hello.auth.client_salt, Some(vec![7; SALT]));
        assert_eq!(hello.request, Some(Request::Id));
    }

    #[test]
    fn no_password_is_given_to_who_should_not_have_it() {
        let ask = |password, digest, salt_digest| {
            Conversation::new(spec(Command::Id, password))
                .receive(&challenge(digest, salt_digest), || Some([7; SALT]))
                .unwrap_err()
        };
        assert!(matches!(
            ask(None, "hmac+sha512", "hmac+sha512"),
            Failure::NoPassword
        ));
        for (digest, salt_digest) in [
            ("xor", "hmac+sha512"),
            ("hmac+sha512", "xor"),
            ("hmac+md5", "hmac+sha512"),
            ("", ""),
            ("kerberos:x", "hmac+sha512"),
        ] {
            assert!(matches!(
                ask(Some("x"), digest, salt_digest),
                Failure::Digest(_)
            ));
        }
    }

    #[test]
    fn a_server_cannot_ask_for_ever() {
        let mut conversation = Conversation::new(spec(Command::Id, Some("x")));
        let many = challenge("hmac+sha512", "hmac+sha512").repeat(9);
        let result = conversation.receive(&many, || Some([7; SALT]));
        assert!(matches!(result, Err(Failure::TooManyChallenges)));
    }

    #[test]
    fn answers() {
        let version = bytes(ServerPacket::Hello(version_reply("6.5.5")));
        assert_eq!(
            text(ask(Command::Version, &version)),
            format!(
                "the server speaks Xpra 6.5.5\nthis command is bulkhead {}\n",
                env!("CARGO_PKG_VERSION")
            )
        );
        let id = bytes(ServerPacket::Hello(id_reply(
            "a name", "u", "m", ":7", 12, "6.5",
        )));
        let lines = text(ask(Command::Id, &id));
        assert!(
            lines.starts_with("display=:7\nmachine-id=m\npid=12\n"),
            "{lines}"
        );
        assert_eq!(text(ask(Command::Detach, &disconnect(reason::DONE))), "");
        assert_eq!(
            text(ask(Command::Stop, &disconnect(reason::SERVER_SHUTDOWN))),
            ""
        );
        assert_eq!(
            text(ask(Command::Exit, &disconnect(reason::SERVER_EXIT))),
            ""
        );
        let picture = |encoding: &str, data: &[u8]| {
            bytes(ServerPacket::Screenshot(Screenshot {
                width: 1,
                height: 1,
                encoding: encoding.into(),
                rowstride: 4,
                data: data.into(),
            }))
        };
        let shot = ask(Command::Screenshot, &picture("png", b"PNG")).unwrap();
        assert_eq!(shot, [Step::Done(Answer::Picture(b"PNG".to_vec()))]);
        assert!(ask(Command::Screenshot, &picture("png", b"")).is_err());
        assert!(ask(Command::Screenshot, &picture("jpeg", b"x")).is_err());
    }

    #[test]
    fn exit_is_asked_for_after_the_hello() {
        let steps = ask(Command::Exit, &bytes(ServerPacket::Hello(vec![]))).unwrap();
        assert!(matches!(&steps[..], [Step::Send(_)]));
    }

    #[test]
    fn refusals_are_one_clean_line() {
        for command in [
            Command::Info,
            Command::Version,
            Command::Id,
            Command::Screenshot,
            Command::Stop,
        ] {
            let refused = ask(command, &disconnect("permission error\n\u{1b}[31mX"));
            let line = refused.unwrap_err().to_string();
            assert!(
                line.contains("permission error") && !line.contains(['\n', '\u{1b}']),
                "{line}"
            );
        }
        assert!(ask(Command::Detach, &disconnect(reason::SERVER_EXIT)).is_err());
        assert!(ask(Command::Info, b"HTTP/1.1 400 Bad Request\r\n").is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let _ = ask(Command::Info, &bytes);
        }
    }
}
