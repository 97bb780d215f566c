use super::args::{Args, PacketError};
use super::shared::Disconnect;
use super::{MessageError, Packet};
use crate::hello::{AuthCaps, ClientHello, HelloError};
use crate::limits::MAX_PACKET_NAME;
use crate::record::Message;
use crate::rencodeplus::{self, Budget, DecodeError, Value};

/// All that a peer without authentication can say (but [`UpgradePacket`], where that was asked for). Nothing else
/// is decoded, so nothing else can be reached.
#[derive(Debug, Clone, PartialEq)]
pub enum PreAuthPacket {
    /// Who it is and what it wants; also the answer to a challenge.
    Hello(Box<ClientHello>),
    /// It leaves.
    Disconnect(Disconnect),
}

/// Why a first packet was refused. Fatal for the connection.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PreAuthError {
    /// A packet type that is not allowed yet. Its arguments were not decoded.
    #[error("{name:?} before authentication")]
    NotAllowed {
        /// The type.
        name: String,
    },
    /// Not a packet.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// A bad `disconnect`, or a `hello` without a map.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// A bad `hello`.
    #[error(transparent)]
    Hello(#[from] HelloError),
}

impl From<DecodeError> for PreAuthError {
    fn from(error: DecodeError) -> PreAuthError {
        PreAuthError::Message(error.into())
    }
}

impl PreAuthPacket {
    /// Looks at the packet type first, and decodes the rest only if it is one
    /// of the two that exist.
    pub fn decode(message: Message, budget: &Budget) -> Result<PreAuthPacket, PreAuthError> {
        Self::decode_with(message, budget, &[])
    }

    /// The same, and of a hello the values of these capabilities too
    /// ([`AuthCaps::named`](crate::hello::AuthCaps)).
    pub fn decode_with(
        message: Message,
        budget: &Budget,
        named: &[String],
    ) -> Result<PreAuthPacket, PreAuthError> {
        match rencodeplus::packet_name(&message.payload, MAX_PACKET_NAME)? {
            "hello" => {
                let mut args = Args::new(Packet::decode(message, budget)?);
                let caps = args.dict()?;
                let mut hello = ClientHello::parse(&caps)?;
                hello.auth.named = AuthCaps::named(&caps, named);
                Ok(PreAuthPacket::Hello(Box::new(hello)))
            }
            "disconnect" | "connection-close" => {
                let args = Args::new(Packet::decode(message, budget)?);
                Ok(PreAuthPacket::Disconnect(Disconnect::read(args)?))
            }
            name => Err(PreAuthError::NotAllowed {
                name: name.to_owned(),
            }),
        }
    }
}

/// All that a client can say that was asked to change to TLS on the same socket, before it does (protocol "How each
/// client opens a connection").
#[derive(Debug, Clone, PartialEq)]
pub enum UpgradePacket {
    /// What comes next is TLS.
    Agreed,
    /// It leaves.
    Disconnect(Disconnect),
}

impl UpgradePacket {
    /// What a client calls it that can do it, and the packet of both sides.
    pub const NAME: &'static str = "ssl-upgrade";

    /// What the server asks. It says nothing of its certificate: nobody could believe that in clear.
    #[must_use]
    pub fn question() -> Packet {
        Packet::new(Self::NAME, vec![Value::Dict(Vec::new())])
    }

    /// Looks at the packet type first, and decodes the rest only if it is one of the two that exist.
    ///
    /// # Errors
    /// It is none of them, or has other arguments.
    pub fn decode(message: Message, budget: &Budget) -> Result<Self, PreAuthError> {
        match rencodeplus::packet_name(&message.payload, MAX_PACKET_NAME)? {
            Self::NAME => {
                let mut args = Args::new(Packet::decode(message, budget)?);
                args.dict()?;
                Ok(Self::Agreed)
            }
            _ => match PreAuthPacket::decode(message, budget)? {
                PreAuthPacket::Disconnect(disconnect) => Ok(Self::Disconnect(disconnect)),
                PreAuthPacket::Hello(_) => Err(PreAuthError::NotAllowed {
                    name: "hello".to_owned(),
                }),
            },
        }
    }
}
