//! After authentication: the client waits for what it asked for.

use crate::attached::Attached;
use crate::connection::{Effect, Next, Output};
use crate::pictures::Pictures;
use crate::translate;
use ipc::frames::{EncoderToNetwork, NetworkToEncoder};
use ipc::network::{InfoValue, NetworkToSupervisor, Request as Asked, SupervisorToNetwork};
use std::time::Instant;
use wire::hello::{ClientHello, Request};
use wire::packet::{Map, Screenshot, ServerPacket, reason};
use wire::record::ChunkIndex;
use wire::rencodeplus::Value;

/// Most entries of an answer to `info`.
const MAX_INFO: usize = 16_384;

#[derive(Debug)]
enum Waiting {
    Session,
    Info(Vec<(String, InfoValue)>),
    Id,
    Screenshot(Box<Pictures>),
    /// For the supervisor to end the connection.
    End,
}

/// The phase.
#[derive(Debug)]
pub struct Accepted {
    hello: Box<ClientHello>,
    waiting: Waiting,
}

impl Accepted {
    /// Asks the supervisor for what the client wants.
    pub fn new(hello: Box<ClientHello>, out: &mut Output) -> (Self, Next) {
        let (request, waiting) = match &hello.request {
            None => (
                Asked::Session(translate::description(&hello)),
                Waiting::Session,
            ),
            // `xpra top` holds a connection this way (protocol "One-shot requests").
            Some(Request::Other(name)) if name == "event" => (
                Asked::Session(translate::description(&hello)),
                Waiting::Session,
            ),
            Some(Request::Info) => (Asked::Info, Waiting::Info(Vec::new())),
            // On a local socket it was answered before.
            Some(Request::Id) => (Asked::Id, Waiting::Id),
            Some(Request::Screenshot) => {
                let pictures = Pictures::new(translate::picture_caps(&hello));
                (Asked::Screenshot, Waiting::Screenshot(Box::new(pictures)))
            }
            Some(Request::Detach) => (Asked::Detach, Waiting::End),
            Some(Request::Stop) => (Asked::Stop, Waiting::End),
            Some(Request::Exit) => (Asked::Exit, Waiting::End),
            Some(refused) => {
                let next = refuse(refused);
                return (
                    Self {
                        hello,
                        waiting: Waiting::End,
                    },
                    next,
                );
            }
        };
        out.tell(Effect::Supervisor(NetworkToSupervisor::Request(request)));
        (Self { hello, waiting }, Next::Stay)
    }

    /// May the encoder be heard?
    pub fn awaits_screenshot(&self) -> bool {
        matches!(self.waiting, Waiting::Screenshot(_))
    }

    /// The supervisor grants what was asked for, a part at a time.
    pub fn supervisor(
        &mut self,
        now: Instant,
        message: SupervisorToNetwork,
        out: &mut Output,
    ) -> Next {
        match (&mut self.waiting, message) {
            (Waiting::Session, SupervisorToNetwork::Session(facts)) => {
                let attached = Attached::new(now, facts, self.hello.clone(), out);
                Next::Attach(Box::new(attached))
            }
            (Waiting::Screenshot(pictures), SupervisorToNetwork::Screenshot) => {
                let start = NetworkToEncoder::Start(pictures.caps().clone());
                out.tell(Effect::Encoder(start));
                Next::Stay
            }
            (Waiting::Info(info), SupervisorToNetwork::Info(part)) => {
                let room = MAX_INFO.saturating_sub(info.len());
                info.extend(part.into_iter().take(room));
                Next::Stay
            }
            (Waiting::Info(info), SupervisorToNetwork::InfoEnd) => {
                out.hello(nested(std::mem::take(info)));
                Next::Finish
            }
            (Waiting::Id, SupervisorToNetwork::Id(facts)) => {
                out.hello(translate::id(&facts));
                Next::Finish
            }
            (_, message) => {
                tracing::error!(?message, "not what was asked of the supervisor");
                Next::Stay
            }
        }
    }

    /// The encoder sends the screenshot.
    ///
    /// # Errors
    /// The rule that it broke.
    pub fn encoder(
        &mut self,
        message: EncoderToNetwork,
        fds: &[std::os::fd::OwnedFd],
        out: &mut Output,
    ) -> Result<Next, &'static str> {
        let Waiting::Screenshot(pictures) = &mut self.waiting else {
            return Err("a message to a client that asked for nothing");
        };
        match message {
            EncoderToNetwork::Buffer { buffer, bytes } => {
                pictures.add(buffer, bytes, fds)?;
                Ok(Next::Stay)
            }
            EncoderToNetwork::Screenshot { size, data } => {
                let picture = pictures.take(data)?;
                let packet = |data| {
                    ServerPacket::Screenshot(Screenshot {
                        width: size.width(),
                        height: size.height(),
                        encoding: "png".to_owned(),
                        rowstride: size.stride(),
                        data,
                    })
                };
                let chunks = self.hello.network.chunks;
                out.picture(ChunkIndex::SCREENSHOT, picture, chunks, |data| {
                    packet(data).into_packet()
                });
                Ok(Next::Finish)
            }
            EncoderToNetwork::Draw { .. }
            | EncoderToNetwork::Icon { .. }
            | EncoderToNetwork::Cursor { .. }
            | EncoderToNetwork::DefaultCursor => Err("not the screenshot that was asked for"),
        }
    }
}

/// Why a request that we do not have is refused.
fn refuse(request: &Request) -> Next {
    let name = match request {
        Request::Command(_) => "command",
        Request::Run(_) => "run",
        Request::Other(name) => name,
        _ => "this",
    };
    let text = format!("the request '{name}' is not available here");
    Next::disconnect(reason::PERMISSION_ERROR, &translate::shorten(&text, 256))
}

/// Dotted keys as nested maps; where a key is also the start of others, its value gets an empty
/// key (protocol "Info").
pub fn nested(info: Vec<(String, InfoValue)>) -> Map {
    let mut map = Map::new();
    for (key, value) in info {
        let value = match value {
            InfoValue::Int(value) => Value::from(value),
            InfoValue::Bool(value) => Value::from(value),
            InfoValue::Text(value) => Value::from(value),
        };
        insert(&mut map, &key, value);
    }
    map
}

fn insert(map: &mut Map, key: &str, value: Value) {
    let mut map = map;
    let mut parts = key.split('.').take(8).peekable();
    while let Some(part) = parts.next() {
        let place = match map.iter().position(|(key, _)| key.is_key(part)) {
            Some(place) => place,
            None => {
                map.push((part.into(), Value::Dict(Map::new())));
                map.len() - 1
            }
        };
        let Some((_, slot)) = map.get_mut(place) else {
            return;
        };
        let last = parts.peek().is_none();
        match slot {
            Value::Dict(inner) if last && inner.is_empty() => {
                *slot = value;
                return;
            }
            Value::Dict(_) => {}
            _ => {
                let scalar = std::mem::replace(slot, Value::None);
                *slot = Value::Dict(vec![("".into(), scalar)]);
            }
        }
        let Value::Dict(inner) = slot else { return };
        if last {
            inner.retain(|(key, _)| !key.is_key(""));
            inner.push(("".into(), value));
            return;
        }
        map = inner;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_is_nested_and_a_key_can_be_a_value_and_a_map() {
        let entry = |key: &str, n| (key.to_owned(), InfoValue::Int(n));
        let map = nested(vec![
            entry("clients", 2),
            entry("server.pid", 7),
            entry("clients.0", 5),
            entry("server.uptime", 8),
            entry("server", 9),
        ]);
        let expected = Value::dict([
            (
                "clients",
                Value::dict([("", Value::Int(2)), ("0", Value::Int(5))]),
            ),
            (
                "server",
                Value::dict([
                    ("pid", Value::Int(7)),
                    ("uptime", Value::Int(8)),
                    ("", Value::Int(9)),
                ]),
            ),
        ]);
        assert_eq!(Value::Dict(map), expected);
    }

    #[test]
    fn odd_info_keys_do_no_harm() {
        let long = "a.".repeat(1000);
        for key in ["", ".", "a..b", &long] {
            nested(vec![
                (key.to_owned(), InfoValue::Bool(true)),
                (key.to_owned(), InfoValue::Int(1)),
            ]);
        }
    }
}
