//! Before authentication: `hello` and `disconnect`, nothing else.

use crate::VERSION;
use crate::connection::{Effect, Next, Output, Rule};
use crate::encryption::{self, NoKeys};
use crate::translate;
use ipc::auth::{AuthToNetwork, Digest, MAX_TOKEN, NetworkToAuth};
use ipc::keys::{AesMode, KeysToNetwork};
use ipc::network::SessionFacts;
use std::time::{Duration, Instant};
use wire::cipher::CipherOffer;
use wire::hello::{ClientHello, Request, connect_test_reply, version_reply};
use wire::packet::{Challenge, Disconnect, PreAuthPacket, UpgradePacket, reason};
use wire::record::RecordWriter;

/// How long a client that failed waits for its answer (protocol "Failure").
const REFUSAL_DELAY: Duration = Duration::from_secs(1);
/// Longest answer to a challenge, and salt of the client's, in bytes; tickets and the like may be longer.
const MAX_RESPONSE: usize = 1024;
/// Longest text of the client that is given back to it.
const MAX_ECHO: usize = 256;

#[derive(Debug)]
enum State {
    /// Nothing was read yet.
    Untouched,
    /// `keys` derives what this hello offers; what it says is looked at after that.
    Deriving {
        hello: Box<ClientHello>,
        offer: Box<CipherOffer>,
        turn: Turn,
    },
    /// `auth` thinks.
    Asked(Box<ClientHello>),
    /// The client has a challenge to answer.
    Challenged,
    /// The client is told at this time.
    Refused { at: Instant, text: String },
}

/// What a hello is for.
#[derive(Clone, Copy, Debug)]
enum Turn {
    /// To begin.
    First,
    /// To answer a challenge.
    Answer,
}

/// The phase.
#[derive(Debug)]
pub struct PreAuth {
    id: Option<Box<SessionFacts>>,
    deadline: Instant,
    encryption: Option<AesMode>,
    /// Nobody derives any more.
    keys_gone: bool,
    /// The client is refused before its answer to the last challenge was looked at; told at this time.
    withdrawn: Option<(Instant, String)>,
    /// The last challenge was for a ticket, or for what an OpenID Connect provider gives.
    may_be_long: bool,
    /// A client that can is asked to change to TLS first.
    pub asks_for_tls: bool,
    state: State,
}

impl PreAuth {
    /// `id`: what the `id` request may tell. `encryption`: what the socket demands.
    pub fn new(
        id: Option<Box<SessionFacts>>,
        deadline: Instant,
        encryption: Option<AesMode>,
    ) -> Self {
        Self {
            id,
            deadline,
            encryption,
            keys_gone: false,
            withdrawn: None,
            may_be_long: false,
            asks_for_tls: false,
            state: State::Untouched,
        }
    }

    /// Was no packet read?
    pub fn is_untouched(&self) -> bool {
        matches!(self.state, State::Untouched)
    }

    /// Has it been sent something that only its key opens?
    pub fn was_sealed(&self) -> bool {
        self.encryption.is_some() && matches!(self.state, State::Challenged)
    }

    /// Is there a verdict that the client has not been told?
    pub fn is_refused(&self) -> bool {
        matches!(self.state, State::Refused { .. })
    }

    /// When [`PreAuth::tick`] has something to do.
    pub fn deadline(&self) -> Instant {
        match &self.state {
            State::Refused { at, .. } => *at,
            _ => self.deadline,
        }
    }

    /// There is time until then.
    pub fn extend(&mut self, deadline: Instant) {
        self.deadline = self.deadline.max(deadline);
    }

    /// Ends what has taken too long: no answer is no.
    pub fn tick(&mut self, now: Instant) -> Next {
        match &self.state {
            State::Refused { at, text } if now >= *at => Next::Disconnect(Disconnect::new(text)),
            State::Refused { .. } => Next::Stay,
            _ if now >= self.deadline => Next::disconnect(reason::LOGIN_TIMEOUT, ""),
            _ => Next::Stay,
        }
    }

    /// The client sent one of the two packets that it may send.
    pub fn packet(&mut self, packet: PreAuthPacket, out: &mut Output) -> Next {
        let hello = match packet {
            PreAuthPacket::Disconnect(disconnect) => {
                tracing::info!(reason = %disconnect.reason, "the client leaves before authentication");
                return Next::Close;
            }
            PreAuthPacket::Hello(hello) => hello,
        };
        match std::mem::replace(&mut self.state, State::Untouched) {
            State::Untouched => self.begin(hello, Turn::First, out),
            State::Challenged => self.begin(hello, Turn::Answer, out),
            State::Asked(_) | State::Deriving { .. } => {
                Next::out_of_order("a hello before the last one was answered")
            }
            refused @ State::Refused { .. } => {
                self.state = refused;
                Next::Stay
            }
        }
    }

    /// On an encrypted socket each hello is first the keys' business: even a refusal is sealed as
    /// it says.
    fn begin(&mut self, hello: Box<ClientHello>, turn: Turn, out: &mut Output) -> Next {
        match (
            encryption::demanded(self.encryption, &hello),
            &hello.request,
        ) {
            (Ok(Some(_)), _) if self.keys_gone => keys_are_away(),
            (Ok(Some(offer)), _) => {
                out.tell(Effect::Keys(encryption::question(&offer)));
                self.state = State::Deriving { hello, offer, turn };
                Next::Stay
            }
            (Ok(None), _) => self.take(hello, turn, out),
            // What these tell everybody may know.
            (Err(_), Some(Request::Version | Request::ConnectTest(_)))
                if matches!(turn, Turn::First) =>
            {
                self.take(hello, turn, out)
            }
            (Err(text), _) => {
                tracing::warn!(text, "the client's encryption is not the socket's");
                Next::disconnect(reason::PROTOCOL_ERROR, &translate::shorten(&text, MAX_ECHO))
            }
        }
    }

    /// There will be no more keys. Who has them goes on with those.
    pub fn keys_lost(&mut self) -> Next {
        self.keys_gone = true;
        match self.state {
            State::Deriving { .. } => keys_are_away(),
            _ => Next::Stay,
        }
    }

    /// `keys` has answered.
    pub fn keys(&mut self, message: KeysToNetwork, out: &mut Output) -> Next {
        let State::Deriving { hello, offer, turn } =
            std::mem::replace(&mut self.state, State::Untouched)
        else {
            out.report(Rule::Keys, "an answer to nothing");
            return Next::disconnect(reason::SERVER_ERROR, "");
        };
        let renewed = match encryption::renew(&offer, message) {
            Ok(renewed) => renewed,
            Err(NoKeys::Refused(text)) => {
                return Next::disconnect(
                    reason::PROTOCOL_ERROR,
                    &translate::shorten(&text, MAX_ECHO),
                );
            }
            Err(NoKeys::Nonsense(what)) => {
                out.report(Rule::Keys, what);
                return Next::disconnect(reason::SERVER_ERROR, "");
            }
        };
        match out.encrypt(renewed.sealer, renewed.next) {
            Ok(()) => self.take(hello, turn, out),
            Err(error) => {
                tracing::error!(%error, "what waits for the client");
                Next::Close
            }
        }
    }

    fn take(&mut self, hello: Box<ClientHello>, turn: Turn, out: &mut Output) -> Next {
        if let Some((at, text)) = self.withdrawn.take() {
            self.state = State::Refused { at, text };
            return Next::Stay;
        }
        match turn {
            Turn::First => self.first(hello, out),
            Turn::Answer => self.next(hello, out),
        }
    }

    fn first(&mut self, hello: Box<ClientHello>, out: &mut Output) -> Next {
        if !hello.network.rencodeplus {
            return Next::disconnect(
                reason::PROTOCOL_ERROR,
                "the client does not offer rencodeplus",
            );
        }
        out.writer = RecordWriter::new(hello.network.lz4);
        let answer = match (&hello.request, &self.id) {
            (Some(Request::Version), _) => version_reply(VERSION),
            (Some(Request::Id), Some(facts)) => translate::id(facts),
            (Some(Request::ConnectTest(text)), _) => {
                connect_test_reply(&translate::shorten(text, MAX_ECHO))
            }
            _ if self.asks_for_tls
                && hello
                    .network
                    .packet_types
                    .iter()
                    .any(|name| name == UpgradePacket::NAME) =>
            {
                return Next::Upgrade;
            }
            _ => {
                if !hello.auth.named.is_empty() {
                    let told = hello.auth.named.clone();
                    out.tell(Effect::Auth(NetworkToAuth::Capabilities(told)));
                }
                out.tell(Effect::Auth(NetworkToAuth::Hello {
                    username: hello.identity.username.clone(),
                    digests: translate::digests(&hello.auth.digests),
                    salt_digests: translate::digests(&hello.auth.salt_digests),
                    // On an encrypted socket a hello in clear proves nothing, not even that its
                    // sender has the key: what it asks for is asked again under the key.
                    small: hello.auth.wants_challenge || self.encryption.is_some(),
                }));
                self.state = State::Asked(hello);
                return Next::Stay;
            }
        };
        out.hello(answer);
        Next::Finish
    }

    /// A hello that answers a challenge.
    fn next(&mut self, mut hello: Box<ClientHello>, out: &mut Output) -> Next {
        let auth = &mut hello.auth;
        let (Some(response), Some(client_salt)) = (auth.response.take(), auth.client_salt.take())
        else {
            tracing::warn!("a hello that does not answer the challenge");
            return Next::disconnect(
                reason::AUTHENTICATION_ERROR,
                "the challenge was not answered",
            );
        };
        let most = match self.may_be_long {
            true => MAX_TOKEN,
            false => MAX_RESPONSE,
        };
        if response.len() > most || client_salt.len() > MAX_RESPONSE {
            tracing::warn!("an answer to the challenge that is too long");
            return Next::disconnect(reason::PROTOCOL_ERROR, "a too long answer");
        }
        out.tell(Effect::Auth(NetworkToAuth::Response {
            response,
            client_salt,
        }));
        self.state = State::Asked(hello);
        Next::Stay
    }

    /// `auth` has decided something.
    pub fn auth(&mut self, now: Instant, message: AuthToNetwork, out: &mut Output) -> Next {
        let state = std::mem::replace(&mut self.state, State::Challenged);
        let (hello, message) = match (state, message) {
            (State::Asked(hello), message) => (hello, message),
            // What it was asked for cannot be answered any more.
            (State::Challenged, AuthToNetwork::Rejected { text }) => {
                self.refuse(now, text);
                return Next::Stay;
            }
            (
                state @ State::Deriving {
                    turn: Turn::Answer, ..
                },
                AuthToNetwork::Rejected { text },
            ) if self.withdrawn.is_none() => {
                // Told under the key that the client expects now.
                self.withdrawn = Some((now + REFUSAL_DELAY, text));
                self.state = state;
                return Next::Stay;
            }
            _ => {
                out.report(Rule::Auth, "an answer to nothing");
                return Next::disconnect(reason::SERVER_ERROR, "");
            }
        };
        self.may_be_long = matches!(
            message,
            AuthToNetwork::TokenChallenge { .. }
                | AuthToNetwork::Challenge {
                    digest: Digest::Keycloak,
                    ..
                }
        );
        match message {
            AuthToNetwork::TokenChallenge {
                salt,
                digest,
                service,
                salt_digest,
                prompt,
            } => {
                let digest = format!("{}:{service}", translate::digest_name(digest));
                challenge(salt, digest, salt_digest, prompt, out)
            }
            AuthToNetwork::Challenge {
                salt,
                digest,
                salt_digest,
                prompt,
            } => {
                let digest = translate::digest_name(digest).to_owned();
                challenge(salt, digest, salt_digest, prompt, out)
            }
            AuthToNetwork::Accepted => Next::Accept(hello),
            AuthToNetwork::Rejected { text } => {
                self.refuse(now, text);
                Next::Stay
            }
        }
    }

    fn refuse(&mut self, now: Instant, text: String) {
        let at = now + REFUSAL_DELAY;
        self.state = State::Refused { at, text };
    }
}

fn keys_are_away() -> Next {
    Next::disconnect(
        reason::SERVER_ERROR,
        "encryption is being restarted, try again",
    )
}

/// Asks the client.
fn challenge(
    salt: Vec<u8>,
    digest: String,
    salt_digest: Digest,
    prompt: String,
    out: &mut Output,
) -> Next {
    out.challenge(Challenge {
        salt,
        auth_caps: Vec::new(),
        digest,
        salt_digest: translate::digest_name(salt_digest).to_owned(),
        prompt,
    });
    Next::Stay
}
