//! The edges `network`–`auth` and `supervisor`–`auth`: challenges and verdicts.

use crate::channel::Message;
use crate::check::CheckId;
use crate::http::{Header, MAX_HEADER_BYTES};
use crate::ids::{ConnectionId, ListenerId};
use crate::sessions::Summary;
use crate::tls::{MAX_CHAIN, Shown};
use crate::verdict::Violation;
use serde::{Deserialize, Serialize};

/// Longest answer with a ticket, in bytes: large directories put all groups of a user into it, and
/// some clients write it in base64.
pub const MAX_TOKEN: usize = 16 * 1024;

/// Digests that a challenge can use, by what goes over the wire (protocol: challenge digests).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the hash functions")]
pub enum Digest {
    HmacSha512,
    HmacSha384,
    HmacSha256,
    HmacSha224,
    HmacSha3_512,
    HmacSha3_384,
    HmacSha3_256,
    HmacSha3_224,
    /// The password itself, covered by the salts, which who can read the answer has seen too.
    /// Never for salts.
    Xor,
    /// A signature of a security key (protocol "U2F/FIDO2"). Never for salts.
    U2f,
    /// The same, for another handler of the client's.
    Fido2,
    /// A ticket of Kerberos', in base64, covered as a password by [`Digest::Xor`]. Never for salts.
    Kerberos,
    /// The same, for another handler of the client's.
    Gss,
    /// What a client brings back from an OpenID Connect provider, covered in the same way. Never for
    /// salts.
    Keycloak,
}

/// `network` asks `auth`. No variant names a connection or an address: the channel does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetworkToAuth {
    /// A hello arrived. The first one starts the chain of modules; a later one that carries a
    /// response is a [`NetworkToAuth::Response`].
    Hello {
        /// The user the client says it is, at most 256 bytes; may be empty.
        username: String,
        /// Digests it can answer with, in its order, at most 16.
        digests: Vec<Digest>,
        /// Digests it can mix the salts with, in its order, at most 16.
        salt_digests: Vec<Digest>,
        /// It sent a small hello and must be given a challenge before its full one.
        small: bool,
    },
    /// The answer to the last challenge.
    Response {
        /// At most 1024 bytes, or [`MAX_TOKEN`] to [`AuthToNetwork::TokenChallenge`] and of
        /// [`Digest::Keycloak`].
        response: Vec<u8>,
        /// At most 1024 bytes.
        client_salt: Vec<u8>,
    },
    /// What the client says of itself, where a module of the listener looks at that: once, before
    /// the hello. The values of the capabilities that
    /// [`ListenerSpec::capabilities`](crate::spec::ListenerSpec) names, in that order, each of at
    /// most 256 bytes.
    Capabilities(Vec<Option<String>>),
    /// The client has shown a certificate. Said once, before the first hello.
    Certificate(Box<Shown>),
    /// The request that opened the client's WebSocket, where a module of the listener looks at that: once,
    /// before the hello. Of its headers those, and no others, that the listener's
    /// [`AuthModule::HttpHeader`](crate::spec::AuthModule) name, each as often as it came, in order; as many as
    /// [`Header::are_bounded`] allows. Nobody says this yet: who brings WebSockets tells `network` the names, as
    /// those of [`NetworkToAuth::Capabilities`].
    Headers(Vec<Header>),
}

impl Message for NetworkToAuth {
    const NAME: &'static str = "network>auth";
    const SECRET: bool = true;
    fn limit(&self) -> usize {
        match self {
            Self::Response { .. } => MAX_TOKEN + 2048,
            Self::Certificate(_) => MAX_CHAIN + 4096,
            Self::Headers(_) => MAX_HEADER_BYTES + 1024,
            Self::Hello { .. } | Self::Capabilities(_) => 4096,
        }
    }
}

/// `auth` answers `network`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthToNetwork {
    /// Ask the client for this.
    Challenge {
        /// 64 fresh random bytes; of [`Digest::Keycloak`] the address where it is to go, at most 1023
        /// bytes of printable ASCII.
        salt: Vec<u8>,
        /// How to answer.
        digest: Digest,
        /// How to mix the salts.
        salt_digest: Digest,
        /// Text for the person.
        prompt: String,
    },
    /// The client is who it says. The supervisor has been told.
    Accepted,
    /// It is not; the reason is in the log only. End the connection with this text.
    Rejected {
        /// `authentication failed`, or what digest support is missing.
        text: String,
    },
    /// Ask the client for a ticket.
    TokenChallenge {
        /// 64 fresh random bytes.
        salt: Vec<u8>,
        /// [`Digest::Kerberos`] or [`Digest::Gss`].
        digest: Digest,
        /// For whom: at most 1024 bytes, and printable.
        service: String,
        /// How to mix the salts.
        salt_digest: Digest,
        /// Text for the person.
        prompt: String,
    },
}

impl Message for AuthToNetwork {
    const NAME: &'static str = "auth>network";
}

/// Facts about the peer of a connection that the kernel told the supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerFacts {
    /// A TCP connection.
    Tcp {
        /// The peer's address and port.
        address: std::net::SocketAddr,
    },
    /// A unix socket connection (`SO_PEERCRED`).
    Unix {
        /// Process id at the time of connect.
        pid: i32,
        /// User id.
        uid: u32,
        /// Group id.
        gid: u32,
    },
}

/// The supervisor tells `auth`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SupervisorToAuth {
    /// A new connection. Descriptor: channel to its `network`.
    Connection {
        /// Which.
        connection: ConnectionId,
        /// Through which listener: an index into [`AuthSpec::listeners`](crate::spec::AuthSpec).
        listener: ListenerId,
        /// Who is at the other end.
        peer: PeerFacts,
    },
    /// The connection has gone.
    Gone(ConnectionId),
    /// Answer with [`AuthToSupervisor::Pong`], to show that you live.
    Ping,
    /// The check that [`AuthToSupervisor::Check`] asked for has a process. Descriptor: channel to
    /// it; its end is an answer too, and means no.
    Ask(ConnectionId),
    /// The check is over; it had no process that could be asked, or there could be none.
    Checked {
        /// Which connection's.
        connection: ConnectionId,
        /// Only a check that said yes, in time.
        passed: bool,
    },
    /// The command of the check that [`AuthToSupervisor::Check`] asked for runs, and waits for the password.
    /// Descriptor: a stream socket, the other end of which is its standard input.
    Tell(ConnectionId),
    /// Another file has taken the place of a secret's. Descriptor: it.
    Secret {
        /// Which, as in [`SecretAt::index`](crate::spec::SecretAt).
        index: u16,
    },
    /// The file of a secret has gone, or what has its name cannot be used: nobody is let in with it.
    NoSecret {
        /// Which.
        index: u16,
    },
}

impl Message for SupervisorToAuth {
    const NAME: &'static str = "supervisor>auth";
    fn descriptors(&self) -> usize {
        usize::from(matches!(
            self,
            Self::Connection { .. } | Self::Ask(_) | Self::Tell(_) | Self::Secret { .. }
        ))
    }
}

/// Why a client was turned away: for the log and the penalties, never for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// A module said no.
    Failed,
    /// The response does not belong to a challenge of ours, or came out of order.
    OutOfOrder,
    /// No digest that both sides accept.
    NoDigest,
    /// Too many failed attempts to be this user, of strangers from everywhere together: the answer
    /// was not looked at.
    TooMany,
    /// No such user.
    UnknownUser,
    /// Not the name that it has to be.
    OtherName,
    /// Not from there, or not this user of this machine.
    Origin,
    /// What the module compares with cannot be used now.
    Unusable,
    /// Which name the client's address has, on which it depends, could not be found out.
    NoName,
    /// A code that has been used.
    UsedCode,
    /// A security key has not counted on since its last signature: there may be a copy of it.
    Counter,
    /// No certificate was shown where one has to be.
    NoCertificate,
    /// A certificate whose handshake has been used to log in before.
    UsedCertificate,
}

/// `auth` tells the supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthToSupervisor {
    /// Every module of every listener is in force; connections may be accepted.
    Ready,
    /// A module cannot be put in force; the session must not start.
    Failed {
        /// One line that says what, where and what to do; no secret in it.
        reason: String,
    },
    /// The client proved who it is. Valid once, void when the connection has gone.
    Accepted {
        /// Which connection.
        connection: ConnectionId,
        /// The user it is to be treated as, at most 256 bytes.
        username: String,
        /// Name of the module that decided, for the log.
        module: String,
        /// What a module knows of this user's sessions.
        sessions: Option<Summary>,
    },
    /// It did not. Said once of a connection.
    Refused {
        /// Which connection.
        connection: ConnectionId,
        /// The user that it says it is, at most 256 bytes.
        username: String,
        /// Name of the module that decided, for the log.
        module: String,
        /// Why.
        why: Refusal,
    },
    /// A peer broke the rules.
    Violation(Violation),
    /// The answer to [`SupervisorToAuth::Ping`].
    Pong,
    /// A module needs a check outside of this process. Answered by [`SupervisorToAuth::Ask`] or
    /// [`SupervisorToAuth::Checked`]; one at a time of a connection.
    Check {
        /// Which connection.
        connection: ConnectionId,
        /// Which of the configured checks.
        check: CheckId,
        /// Who the client says it is, at most 256 bytes; may be empty.
        username: String,
        /// Nothing is known of it: where there is little room, others come first.
        stranger: bool,
    },
}

impl Message for AuthToSupervisor {
    const NAME: &'static str = "auth>supervisor";
}
