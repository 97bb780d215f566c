//! The process: a question from `auth`, a socket that the launcher has begun to connect, an answer.

use crate::http::{Answer, Reader, Request};
use crate::identity::{self, Expected, Groups, Identity, Mistake};
use crate::keys::Key;
use crate::provider::{Client, Provider, WELL_KNOWN};
use crate::said::{self, Login};
use crate::url::Url;
use crate::{Failure, shown};
use backend::{Tls, Transport};
use check::{Check, No};
use ipc::check::{AuthToCheck, CheckToAuth};
use ipc::spec::{self, KeycloakSpec};
use runtime::{Role, Seat, secret};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

/// In the descriptor table: the spec, then what it says.
const SPEC: i32 = 6;

/// A login that an OpenID Connect provider decides about.
pub struct Keycloak {
    sockets: Vec<OwnedFd>,
    provider: Place,
}

/// The provider, and who we are to it.
struct Place {
    spec: KeycloakSpec,
    url: Url,
    tls: Option<Tls>,
    secret: Option<Zeroizing<String>>,
}

impl Check for Keycloak {
    const ROLE: Role = Role::AuthKeycloak;
    const AUTH: i32 = 5;

    fn prepare(seat: &mut Seat) -> Result<(Self, u16), String> {
        let spec = seat.descriptor(SPEC).ok_or("the spec was not passed")?;
        let mut spec: KeycloakSpec =
            spec::read(&File::from(spec)).map_err(|error| error.to_string())?;
        let url = Url::parse(&spec.issuer).map_err(|why| format!("server_url= {why}"))?;
        // Signatures are checked without TLS too.
        backend::warm_up()?;
        let tls = spec.tls.take().map(backend::tls).transpose()?;
        let mut passed = seat.descriptors_from(SPEC + 1).into_iter();
        let secret = match spec.secret {
            true => Some(client_secret(passed.next().ok_or("no secret was passed")?)?),
            false => None,
        };
        let timeout = spec.timeout;
        let check = Self {
            sockets: passed.collect(),
            provider: Place {
                spec,
                url,
                tls,
                secret,
            },
        };
        Ok((check, timeout))
    }

    fn decide(mut self, question: AuthToCheck, until: Instant) -> Result<CheckToAuth, No> {
        let sockets = &mut self.sockets;
        let answer = match question {
            AuthToCheck::Address => {
                // It is of no use for that, and what the provider says is not read beside it.
                drop(self.provider.secret.take());
                self.provider.address(sockets, until)
            }
            AuthToCheck::Code {
                memory,
                verifier,
                state,
                nonce,
                answer,
            } => {
                let verifier = std::str::from_utf8(&verifier.0)
                    .map_err(|_| No::Failed("bug: auth has a verifier that is no text".into()))?;
                let issuer = self.provider.spec.issuer.clone();
                let login = Login {
                    verifier,
                    state: &state,
                    issuer: &issuer,
                };
                self.provider
                    .code(sockets, until, &memory, &login, &nonce, &answer.0)
            }
            _ => {
                let what = "bug: auth asks about something else than a provider";
                return Err(No::Failed(what.into()));
            }
        };
        secret::wipe_stack();
        answer.map_err(|why| match why.is_refusal() {
            true => No::Refused(why.to_string()),
            false => No::Failed(why.to_string()),
        })
    }
}

/// The secret that proves to the provider who we are.
fn client_secret(file: OwnedFd) -> Result<Zeroizing<String>, String> {
    let bytes = backend::password(file, "client-secret-file")?;
    match std::str::from_utf8(&bytes) {
        Ok("") => Err("client-secret-file: it has a line end and nothing else".into()),
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err("client-secret-file: it is no text (UTF-8)".into()),
    }
}

impl Place {
    fn client(&self) -> Client<'_> {
        Client {
            id: &self.spec.client,
            redirect: &self.spec.redirect,
            scope: &self.spec.scope,
        }
    }

    fn connect(&self, sockets: &mut Vec<OwnedFd>, until: Instant) -> Result<Connection, Failure> {
        let socket = backend::connected(sockets, until).map_err(Failure::Connection)?;
        let mut transport = Transport::new(socket, until);
        if let Some(tls) = &self.tls {
            transport.encrypt(tls)?;
        }
        Ok(Connection {
            transport,
            url: self.url.clone(),
            is_over: false,
        })
    }

    /// Where clients have to go, and what is to be remembered of the provider.
    fn address(&self, sockets: &mut Vec<OwnedFd>, until: Instant) -> Result<CheckToAuth, Failure> {
        let mut connection = self.connect(sockets, until)?;
        let path = format!("{}{WELL_KNOWN}", self.url.path.trim_end_matches('/'));
        let json = connection.get("description", &path, None)?;
        let issuer = &self.spec.issuer;
        let mut provider = Provider::read(&json, issuer, &self.url, self.spec.secret)?;
        provider.keys = connection.keys(&provider)?;
        Ok(CheckToAuth::Address {
            address: provider.address(self.client())?,
            memory: provider.memory()?,
        })
    }

    /// Who has brought this.
    fn code(
        &self,
        sockets: &mut Vec<OwnedFd>,
        until: Instant,
        memory: &[u8],
        login: &Login<'_>,
        nonce: &str,
        answer: &[u8],
    ) -> Result<CheckToAuth, Failure> {
        let mut provider = Provider::from_memory(memory)?;
        // The provider is not asked about what cannot be right.
        let code = said::code(answer, login)?;
        let mut connection = self.connect(sockets, until)?;
        let secret = self.secret.as_ref().map(|secret| secret.as_str());
        let (form, header) = said::exchange(&provider, self.client(), secret, login, &code);
        let post = Request::Post {
            form: &form,
            authorization: header.as_ref().map(|header| header.as_str()),
        };
        let given = connection.ask(&provider.token, post)?;
        let tokens = said::tokens(given.status, &given.body)?;
        let expected = Expected {
            issuer: &self.spec.issuer,
            client: &self.spec.client,
            nonce,
            access_token: &tokens.access_token,
            now: now(),
        };
        let mut identity = Identity::read(&tokens.id_token, &provider.keys, expected);
        if let Err(Mistake::NoKey(_)) = identity {
            // It may have a new one.
            provider.keys = connection.keys(&provider)?;
            identity = Identity::read(&tokens.id_token, &provider.keys, expected);
        }
        let identity = identity?;
        let (subject, name) = (shown(&identity.subject), identity.name().map(shown));
        let name = name.map_or(String::new(), |name| format!(", called {name}"));
        tracing::info!("the provider says that it is {subject}{name}");
        if !self.spec.claim.is_empty() {
            let mut claim = identity.claim(&self.spec.claim).cloned();
            if let (None, Some(path)) = (&claim, &provider.userinfo) {
                let json = connection.get("userinfo_endpoint", path, Some(&tokens.access_token))?;
                claim = identity::userinfo(&json, &identity.subject, &self.spec.claim)?;
            }
            let groups = Groups {
                wanted: &self.spec.groups,
                all: self.spec.all,
            };
            groups.check(claim.as_ref())?;
        }
        Ok(CheckToAuth::Yes)
    }
}

/// Seconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(0))
}

/// The one connection to the provider.
struct Connection {
    transport: Transport,
    url: Url,
    /// The provider ends it after its last answer.
    is_over: bool,
}

impl Connection {
    fn ask(&mut self, path: &str, request: Request<'_>) -> Result<Answer, Failure> {
        if self.is_over {
            let why = "ends with each answer: let the provider keep connections open";
            return Err(Failure::Provider("connection", why.into()));
        }
        path.clone_into(&mut self.url.path);
        self.transport.send(request.encode(&self.url).as_bytes())?;
        let mut reader = Reader::default();
        let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
        loop {
            self.transport.receive(&mut bytes)?;
            reader.push(&bytes)?;
            if let Some(answer) = reader.answer() {
                self.is_over = answer.is_last;
                return Ok(answer);
            }
            bytes.clear();
        }
    }

    /// What is at this path, which is the provider's `what`.
    fn get(
        &mut self,
        what: &'static str,
        path: &str,
        token: Option<&str>,
    ) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let answer = self.ask(path, Request::Get(token))?;
        match answer.status {
            200 => Ok(answer.body),
            status => Err(Failure::Status(what, status.to_string())),
        }
    }

    fn keys(&mut self, provider: &Provider) -> Result<Vec<Key>, Failure> {
        let json = self.get("keys", &provider.keys_at, None)?;
        Key::set(&json).map_err(|why| Failure::Provider("keys", why.to_owned()))
    }
}
