//! What one connection may say to us, and in which order.

use crate::challenge::{
    Challenge, ChallengeError, Combined, Covered, MAX_RESPONSE, Question, Signed, UsedSalts,
};
use crate::counters::Counters;
use crate::guesses::Guesses;
use crate::modules::{self, Modules, Opening, Unusable};
use crate::multifile;
use crate::otp::{self, UsedCodes};
use crate::provider::{Login, Providers};
use crate::screen;
use ipc::ListenerId;
use ipc::auth::{AuthToNetwork, Digest, NetworkToAuth, PeerFacts, Refusal};
use ipc::check::{AuthToCheck, CheckId, Password};
use ipc::sessions::Sessions;
use ipc::spec::{AuthModule, AuthStep, CheckAsks, Token};
use ipc::tls::Shown;
use runtime::secret::{self, Buffer};
use std::time::Instant;
use zeroize::Zeroizing;

/// What every client that is turned away is told, whatever the reason.
const FAILED: &str = "authentication failed";
/// Who is asked about where the client has said a name that it may not say.
const NO_USER: &str = "no-user-has-this-name";
/// Bounds of the fields of messages (see [`NetworkToAuth`]).
const MAX_USERNAME: usize = 256;
const MAX_DIGESTS: usize = 16;
const MAX_CAPABILITIES: usize = 8;
const MAX_CAPABILITY: usize = 256;

/// What follows from a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask the client.
    Ask(AuthToNetwork),
    /// Every module has agreed.
    Accept {
        /// The last one.
        module: String,
        /// Who the client is.
        username: String,
        /// What a module knows of this user's sessions.
        sessions: Option<Box<Sessions>>,
    },
    /// The client is turned away.
    Refuse {
        /// The module that did.
        module: String,
        /// Who it says it is.
        username: String,
        /// Why, for the log.
        why: Refusal,
        /// What it is told.
        text: String,
    },
    /// Somebody outside of this process decides: [`Conversation::checked`] is told how.
    Check {
        /// Which check.
        check: CheckId,
        /// Whom it is about.
        username: String,
        /// Nothing is known of the client.
        stranger: bool,
    },
    /// More is to come.
    Listen,
    /// The `network` worker does what it never does.
    Violation(&'static str),
}

/// What a client's hello said about challenges.
#[derive(Debug)]
struct Offer {
    /// The user it says it is.
    username: String,
    digests: Vec<Digest>,
    salt_digests: Vec<Digest>,
    small: bool,
}

#[derive(Debug)]
enum Stage {
    /// Nothing was said yet, but perhaps what the client says of itself.
    Fresh,
    /// A challenge waits for its answer.
    Asked {
        offer: Offer,
        challenge: Challenge,
        /// The module that asked; `None` when the answer decides nothing.
        module: Option<usize>,
        /// What the screen shows, if that is what it asked for.
        shown: Option<OnScreen>,
    },
    /// What the screen showed for this login is gone, and the client has been refused; its answer may be on
    /// its way.
    Withdrawn,
    /// A check outside of this process decides.
    Checking {
        offer: Offer,
        /// The module that needs it.
        module: usize,
        /// What the client has answered, if the module asked it for something.
        claim: Option<Claim>,
        /// Is the client a stranger, whose guesses are counted?
        stranger: bool,
        purpose: Purpose,
    },
    /// There is a verdict, or there will never be one.
    Ended,
}

/// What a check is for.
#[derive(Debug)]
enum Purpose {
    /// It lets the client pass, or does not.
    Decides,
    /// It says where to send the client, and lets nobody in.
    Address,
    /// It shows this, and lets nobody in.
    Shows {
        code: Password,
        /// Where, once it is there.
        place: Option<u8>,
    },
}

/// What the screen shows for a login.
#[derive(Debug)]
struct OnScreen {
    code: Password,
    place: u8,
    /// It was counted as a stranger's guess when it was shown.
    stranger: bool,
}

/// What a client says to be let in, for somebody else to check.
#[derive(Debug)]
enum Claim {
    Password(Password),
    Proof {
        digest: Digest,
        salt: String,
        response: Vec<u8>,
    },
    Signature {
        challenge: Signed,
        origin: Vec<u8>,
        response: Vec<u8>,
    },
    Token(Password),
    /// Nothing yet: it has to be sent somewhere.
    Address,
    Code {
        login: Box<Login>,
        answer: Password,
    },
    /// Nothing yet: something has to be shown.
    Show,
}

impl Claim {
    /// Something as long that is nobody's.
    fn disguise(&mut self) {
        let bytes = match self {
            Self::Password(Password(bytes)) | Self::Token(Password(bytes)) => bytes,
            Self::Proof { response, .. } => response,
            // It costs nobody anything to look at that; a code is good once.
            Self::Signature { .. } | Self::Address | Self::Code { .. } | Self::Show => return,
        };
        bytes.fill(b'x');
    }
}

/// What somebody else says of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Also when there is none.
    No,
    /// The check says yes.
    Yes,
    /// It says yes, and who that is.
    User(String),
    /// It says yes, and what it knows of the user's sessions.
    Sessions(Box<Sessions>),
    /// This security key has signed.
    Signed {
        /// Which.
        key: u16,
        /// How often it has.
        counter: u32,
    },
    /// This is where clients have to go.
    Address {
        /// Where.
        address: String,
        /// What is to be remembered for those who come back.
        memory: Vec<u8>,
    },
    /// The code is on the screen.
    Shown,
}

/// One connection's way through its chain of modules. Without a right answer to every question
/// there is no [`Step::Accept`]; there is at most one, and nothing after it.
#[derive(Debug)]
pub struct Conversation {
    listener: ListenerId,
    peer: PeerFacts,
    /// What the client says of itself, once that was told.
    capabilities: Option<Vec<Option<String>>>,
    stage: Stage,
    /// The user as whom a stranger has given its last right answer.
    right: Option<String>,
    /// What the client has shown, until a check is asked about it.
    certificate: Option<Box<Shown>>,
    /// The handshake that it has shown it in, which counts for one login.
    handshake: Option<String>,
    /// Who the client is, by its certificate.
    user: Option<String>,
    /// What a check knows of the user's sessions.
    sessions: Option<Box<Sessions>>,
}

impl Conversation {
    /// A connection through a listener.
    #[must_use]
    pub fn new(listener: ListenerId, peer: PeerFacts) -> Self {
        Self {
            listener,
            peer,
            capabilities: None,
            stage: Stage::Fresh,
            right: None,
            certificate: None,
            handshake: None,
            user: None,
            sessions: None,
        }
    }

    /// Keeps what the client has shown until somebody can be asked about it. Not when nobody asked for
    /// it, it comes twice or after a hello, or is too long.
    pub fn keep(&mut self, shown: Box<Shown>, modules: &Modules) -> bool {
        let asks = |step: &AuthStep| matches!(step.module, AuthModule::Certificate { .. });
        let asked = self.chain(modules).iter().any(asks);
        let fresh = matches!(self.stage, Stage::Fresh) && self.handshake.is_none();
        if !asked || !fresh || !shown.is_bounded() {
            self.stage = Stage::Ended;
            return false;
        }
        let transcript = shown.transcript.iter().map(|byte| format!("{byte:02x}"));
        self.handshake = Some(transcript.collect());
        self.certificate = Some(shown);
        true
    }

    /// Takes a message from the connection's `network`.
    pub fn receive(
        &mut self,
        message: NetworkToAuth,
        modules: &Modules,
        verifier: &mut Verifier,
    ) -> Step {
        match (std::mem::replace(&mut self.stage, Stage::Ended), message) {
            (Stage::Fresh, NetworkToAuth::Capabilities(told)) if self.capabilities.is_none() => {
                let long = |value: &Option<String>| {
                    value
                        .as_ref()
                        .is_some_and(|value| value.len() > MAX_CAPABILITY)
                };
                if told.len() > MAX_CAPABILITIES || told.iter().any(long) {
                    return Step::Violation("capabilities with too long fields");
                }
                self.capabilities = Some(told);
                self.stage = Stage::Fresh;
                Step::Listen
            }
            (_, NetworkToAuth::Capabilities(_)) => Step::Violation("capabilities out of order"),
            (_, NetworkToAuth::Certificate(_)) => Step::Violation("a certificate out of order"),
            (
                Stage::Fresh,
                NetworkToAuth::Hello {
                    username,
                    digests,
                    salt_digests,
                    small,
                },
            ) => {
                if username.len() > MAX_USERNAME
                    || digests.len() > MAX_DIGESTS
                    || salt_digests.len() > MAX_DIGESTS
                {
                    return Step::Violation("a hello with too long fields");
                }
                let offer = Offer {
                    username,
                    digests,
                    salt_digests,
                    small,
                };
                self.walk(offer, 0, modules, verifier)
            }
            (
                Stage::Asked {
                    offer,
                    challenge,
                    module,
                    shown,
                },
                NetworkToAuth::Response {
                    response,
                    client_salt,
                },
            ) => {
                if response.len() > challenge.max_response() || client_salt.len() > MAX_RESPONSE {
                    return Step::Violation("a response with too long fields");
                }
                let Some(position) = module else {
                    return self.accept(&offer, modules, verifier);
                };
                let Some(step) = self.chain(modules).get(position) else {
                    return refuse(None, offer.username, Refusal::Failed);
                };
                if let Some(shown) = shown {
                    let combined = challenge.combine(&client_salt, &mut verifier.used);
                    let right = match combined {
                        Some(Combined::Proof(proof)) => proof.check(&shown.code.0, &response),
                        _ => false,
                    };
                    return self.passes(right, shown.stranger, offer, position, modules, verifier);
                }
                let user = user(step, &offer.username, modules);
                // Signatures, tickets and codes cannot be guessed, and whoever sends rubbish instead of one
                // keeps nobody out.
                let guess = !matches!(
                    modules::question(&step.module),
                    Some(Question::Signature(_) | Question::Token(_) | Question::Code)
                );
                let stranger = guess && verifier.guesses.is_stranger(user, &self.peer);
                let now = Instant::now();
                if stranger && self.right.as_deref() == Some(user) {
                    verifier.guesses.go_on(user, now);
                } else if stranger && !verifier.guesses.begin(user, now) {
                    return refuse(Some(step), self.name(offer), Refusal::TooMany);
                }
                let answer = Answer {
                    response: Zeroizing::new(response),
                    client_salt,
                    stranger,
                };
                if let AuthModule::Check { check, .. } = &step.module {
                    let claim = verifier.claim(challenge, &answer);
                    secret::wipe_stack();
                    // The name is looked at when the check is over: who is told no cannot tell by
                    // the time which it was.
                    return match claim {
                        Some(claim) => self.check(offer, position, *check, Some(claim), stranger),
                        None => refuse(Some(step), self.name(offer), Refusal::Failed),
                    };
                }
                // Both are looked at, so that who is told no cannot tell which.
                let checked = verifier.check(step, &offer.username, challenge, &answer, modules);
                let named = check_name(step, &offer.username, modules);
                match checked.and(named) {
                    Ok(()) => {
                        if stranger {
                            verifier.guesses.was_right(user);
                            self.right = Some(user.to_owned());
                        }
                        self.walk(offer, position + 1, modules, verifier)
                    }
                    Err(why) => refuse(Some(step), self.name(offer), why),
                }
            }
            (Stage::Asked { offer, .. }, NetworkToAuth::Hello { .. }) => {
                refuse(None, offer.username, Refusal::OutOfOrder)
            }
            (Stage::Checking { .. }, _) => Step::Violation("a message before its answer"),
            (Stage::Withdrawn, NetworkToAuth::Response { .. }) => Step::Listen,
            (Stage::Withdrawn, NetworkToAuth::Hello { .. }) => {
                Step::Violation("a hello after the verdict")
            }
            (Stage::Fresh, NetworkToAuth::Response { .. }) => {
                Step::Violation("a response to nothing")
            }
            (Stage::Ended, _) => Step::Violation("a message after the verdict"),
        }
    }

    /// Does the screen show something for this login?
    #[must_use]
    pub fn is_shown(&self) -> bool {
        matches!(self.stage, Stage::Asked { shown: Some(_), .. })
    }

    /// An answer has been looked at: was it right?
    fn passes(
        &mut self,
        right: bool,
        stranger: bool,
        offer: Offer,
        position: usize,
        modules: &Modules,
        verifier: &mut Verifier,
    ) -> Step {
        let Some(step) = self.chain(modules).get(position) else {
            return refuse(None, offer.username, Refusal::Failed);
        };
        let named = check_name(step, &offer.username, modules);
        let right = match right {
            true => named,
            false => Err(Refusal::Failed),
        };
        if let Err(why) = right {
            return refuse(Some(step), self.name(offer), why);
        }
        if stranger {
            let user = user(step, &offer.username, modules);
            verifier.screens.was_right(user);
            self.right = Some(user.to_owned());
        }
        self.walk(offer, position + 1, modules, verifier)
    }

    /// Which place on the screen it has.
    #[must_use]
    pub fn place(&self) -> Option<u8> {
        match &self.stage {
            Stage::Asked { shown, .. } => shown.as_ref().map(|shown| shown.place),
            Stage::Checking {
                purpose: Purpose::Shows { place, .. },
                ..
            } => *place,
            _ => None,
        }
    }

    /// What has to be shown can be, now and at this place: from now on it is as much as a guess, of a stranger.
    /// Nobody has the screen full of codes, or many to try. `Some`: there have been too many.
    pub fn takes_place(
        &mut self,
        free: u8,
        modules: &Modules,
        verifier: &mut Verifier,
    ) -> Option<Step> {
        let chain = self.chain(modules);
        let Stage::Checking {
            offer,
            module,
            stranger,
            purpose: Purpose::Shows { place, .. },
            ..
        } = &mut self.stage
        else {
            return None;
        };
        *place = Some(free);
        let step = chain.get(*module)?;
        let user = user(step, &offer.username, modules);
        let (now, screens) = (Instant::now(), &mut verifier.screens);
        if !*stranger {
            return None;
        }
        if self.right.as_deref() == Some(user) {
            screens.go_on(user, now);
            return None;
        }
        if screens.begin(user, now) {
            return None;
        }
        let username = offer.username.clone();
        let refused = refuse(
            Some(step),
            self.user.clone().unwrap_or(username),
            Refusal::TooMany,
        );
        self.stage = Stage::Ended;
        Some(refused)
    }

    /// The module whose question nobody will answer any more, after an answer to another was right,
    /// and the user whom the client named: who leaves here knows that.
    #[must_use]
    pub fn left_halfway<'c>(&'c self, modules: &'c Modules) -> Option<(&'c str, &'c str)> {
        match &self.stage {
            Stage::Asked {
                offer,
                module: Some(position),
                ..
            } => {
                let mut before = self.chain(modules).iter().take(*position);
                let answered = before.any(|step| modules::question(&step.module).is_some());
                let step = self.chain(modules).get(*position);
                answered.then_some((module_name(step), &offer.username))
            }
            _ => None,
        }
    }

    fn chain<'m>(&self, modules: &'m Modules) -> &'m [AuthStep] {
        modules.chain(self.listener).unwrap_or_default()
    }

    /// Asks the modules from this position on, until one of them needs the client's answer.
    fn walk(
        &mut self,
        offer: Offer,
        from: usize,
        modules: &Modules,
        verifier: &mut Verifier,
    ) -> Step {
        let chain = self.chain(modules);
        // No such listener, or nobody to agree: nobody gets in.
        if chain.is_empty() {
            return refuse(None, offer.username, Refusal::Failed);
        }
        for (position, step) in chain.iter().enumerate().skip(from) {
            if let AuthModule::Certificate {
                check, optional, ..
            } = &step.module
            {
                match (&self.certificate, optional) {
                    (Some(_), _) => return self.check(offer, position, *check, None, false),
                    (None, true) => continue,
                    (None, false) => {
                        return refuse(Some(step), offer.username, Refusal::NoCertificate);
                    }
                }
            }
            let told = self.capabilities.as_deref().unwrap_or_default();
            match modules.open(&step.module, &self.peer, told, &mut verifier.buffer) {
                Opening::Pass => match check_name(step, &offer.username, modules) {
                    Ok(()) => {}
                    Err(why) => return refuse(Some(step), self.name(offer), why),
                },
                Opening::Refuse(why) => return refuse(Some(step), self.name(offer), why),
                Opening::Ask(Question::Code) => {
                    return self.send_to_provider(offer, position, modules, verifier);
                }
                Opening::Ask(Question::Shown) => {
                    return self.show(offer, position, modules, verifier);
                }
                Opening::Ask(question) => {
                    return self.ask(offer, question, Some(position), modules);
                }
                Opening::Check(check) => {
                    return match check_name(step, &offer.username, modules) {
                        Ok(()) => self.check(offer, position, check, None, false),
                        Err(why) => refuse(Some(step), self.name(offer), why),
                    };
                }
            }
        }
        if offer.small {
            // The client waits for a challenge before it sends its full hello.
            return self.ask(offer, Question::Proof, None, modules);
        }
        self.accept(&offer, modules, verifier)
    }

    /// Who the client is by its certificate, or says that it is: for the log.
    fn name(&self, offer: Offer) -> String {
        self.user.clone().unwrap_or(offer.username)
    }

    fn accept(&self, offer: &Offer, modules: &Modules, verifier: &mut Verifier) -> Step {
        let chain = self.chain(modules);
        for step in chain {
            if modules::question(&step.module).is_some() {
                let user = user(step, &offer.username, modules);
                verifier.guesses.is_in(user, &self.peer);
            }
        }
        let username = match &self.user {
            Some(user) => user,
            None if goes_by_client(chain) => &offer.username,
            None => modules.owner(),
        };
        let sessions = match &self.sessions {
            Some(sessions) => Some(sessions.clone()),
            None => verifier.sessions(chain, &offer.username, modules),
        };
        Step::Accept {
            module: module_name(chain.last()).to_owned(),
            username: username.to_owned(),
            sessions,
        }
    }

    fn check(
        &mut self,
        offer: Offer,
        module: usize,
        check: CheckId,
        claim: Option<Claim>,
        stranger: bool,
    ) -> Step {
        let purpose = match &claim {
            Some(Claim::Address) => Purpose::Address,
            _ => Purpose::Decides,
        };
        let username = offer.username.clone();
        self.stage = Stage::Checking {
            offer,
            module,
            stranger,
            purpose,
            claim,
        };
        Step::Check {
            check,
            username,
            stranger,
        }
    }

    /// What the process is asked that the check has been given; once, and `None` when there is
    /// nothing to ask it.
    pub fn question(&mut self, modules: &Modules) -> Option<AuthToCheck> {
        let chain = self.chain(modules);
        let Stage::Checking {
            offer,
            claim,
            module,
            purpose,
            ..
        } = &mut self.stage
        else {
            return None;
        };
        let step = chain.get(*module)?;
        if let AuthModule::Certificate { .. } = &step.module {
            return self.certificate.take().map(AuthToCheck::Certificate);
        }
        let mut claim = claim.take()?;
        if let (Claim::Show, Purpose::Shows { code, place }) = (&claim, purpose) {
            return Some(AuthToCheck::Show {
                code: code.clone(),
                username: screen::printable(&offer.username),
                peer: self.peer.clone(),
                place: place.unwrap_or_default(),
            });
        }
        let username = match check_name(step, &offer.username, modules) {
            Ok(()) => user(step, &offer.username, modules),
            // It takes as long, and nobody's password is tried.
            Err(_) => {
                claim.disguise();
                NO_USER
            }
        };
        let username = username.to_owned();
        Some(match claim {
            Claim::Password(password) => AuthToCheck::Password { username, password },
            Claim::Proof {
                digest,
                salt,
                response,
            } => AuthToCheck::Proof {
                username,
                digest,
                salt,
                response,
            },
            Claim::Signature {
                challenge,
                origin,
                response,
            } => AuthToCheck::Signature {
                challenge: challenge.0.to_vec(),
                origin,
                response,
            },
            Claim::Token(token) => AuthToCheck::Token { username, token },
            // It has been made above.
            Claim::Show => return None,
            Claim::Address => AuthToCheck::Address,
            Claim::Code { login, answer } => AuthToCheck::Code {
                memory: login.memory,
                verifier: login.verifier,
                state: login.state,
                nonce: login.nonce,
                answer,
            },
        })
    }

    /// The check is over. `None` when nobody waits for it.
    pub fn checked(
        &mut self,
        finding: Finding,
        modules: &Modules,
        verifier: &mut Verifier,
    ) -> Option<Step> {
        let stage = std::mem::replace(&mut self.stage, Stage::Ended);
        let (offer, module, stranger, purpose) = match stage {
            Stage::Checking {
                offer,
                module,
                stranger,
                purpose,
                ..
            } => (offer, module, stranger, purpose),
            Stage::Asked {
                offer,
                module: Some(module),
                shown: Some(_),
                ..
            } if finding != Finding::Shown => {
                self.stage = Stage::Withdrawn;
                let step = self.chain(modules).get(module);
                return Some(refuse(step, self.name(offer), Refusal::Failed));
            }
            stage => {
                self.stage = stage;
                return None;
            }
        };
        let Some(step) = self.chain(modules).get(module) else {
            return Some(refuse(None, offer.username, Refusal::Failed));
        };
        match purpose {
            Purpose::Decides => {}
            Purpose::Address => {
                return Some(match verifier.learn(&step.module, finding) {
                    true => self.send_to_provider(offer, module, modules, verifier),
                    false => refuse(Some(step), offer.username, Refusal::Unusable),
                });
            }
            Purpose::Shows { code, place } => {
                return Some(match (finding, place) {
                    (Finding::Shown, Some(place)) => {
                        let (digests, salts) = (&offer.digests, &offer.salt_digests);
                        let challenge = Challenge::new(Question::Shown, digests, salts);
                        let shown = OnScreen {
                            code,
                            place,
                            stranger,
                        };
                        self.challenge(offer, challenge, Some(module), Some(shown), modules)
                    }
                    _ => refuse(Some(step), self.name(offer), Refusal::Unusable),
                });
            }
        }
        let finding = match finding {
            Finding::Sessions(sessions) if sessions.is_sound() => {
                self.sessions = Some(sessions);
                Finding::Yes
            }
            finding => finding,
        };
        let found = match &step.module {
            AuthModule::Certificate { names, .. } => {
                self.is_good(*names, finding, &offer, modules, verifier)
            }
            module => verifier.found(module, finding),
        };
        let named = check_name(step, &offer.username, modules);
        if let Err(why) = named.and(found) {
            return Some(refuse(Some(step), self.name(offer), why));
        }
        if stranger {
            let user = user(step, &offer.username, modules);
            verifier.guesses.was_right(user);
            self.right = Some(user.to_owned());
        }
        Some(self.walk(offer, module + 1, modules, verifier))
    }

    /// Is that what lets a client with a certificate pass? `names`: it has to tell who that is.
    fn is_good(
        &mut self,
        names: bool,
        finding: Finding,
        offer: &Offer,
        modules: &Modules,
        verifier: &mut Verifier,
    ) -> Result<(), Refusal> {
        let user = match finding {
            Finding::Yes if !names => None,
            Finding::User(user) if names && (1..=MAX_USERNAME).contains(&user.len()) => Some(user),
            _ => return Err(Refusal::Failed),
        };
        // What has been used once may have been written down.
        let handshake = self.handshake.as_deref().ok_or(Refusal::Failed)?;
        if !verifier.handshakes.insert(handshake) {
            return Err(Refusal::UsedCertificate);
        }
        // A certificate of one and a password of another are not one user.
        if let Some(user) = &user
            && self.chain(modules).iter().any(is_told_a_name)
            && offer.username != *user
        {
            return Err(Refusal::OtherName);
        }
        self.user = user;
        Ok(())
    }

    /// Sends the client to the provider of a module; if it is not known where that is, that is asked
    /// first.
    fn send_to_provider(
        &mut self,
        offer: Offer,
        module: usize,
        modules: &Modules,
        verifier: &mut Verifier,
    ) -> Step {
        let step = self.chain(modules).get(module);
        let Some(AuthModule::Check { check, .. }) = step.map(|step| &step.module) else {
            return refuse(step, offer.username, Refusal::Failed);
        };
        let (digests, salt_digests) = (&offer.digests, &offer.salt_digests);
        let challenge = match verifier.providers.login(*check, Instant::now()) {
            Ok(Some(login)) => Challenge::at_provider(login, digests, salt_digests),
            // The provider does not hear of who could not answer.
            Ok(None) => match Challenge::new(Question::Code, digests, salt_digests) {
                Ok(_) => return self.check(offer, module, *check, Some(Claim::Address), false),
                Err(error) => Err(error),
            },
            Err(error) => Err(ChallengeError::Random(error)),
        };
        self.challenge(offer, challenge, Some(module), None, modules)
    }

    /// Has a new code shown, which the client is asked for when it can be seen.
    fn show(
        &mut self,
        offer: Offer,
        module: usize,
        modules: &Modules,
        verifier: &mut Verifier,
    ) -> Step {
        let step = self.chain(modules).get(module);
        let Some(
            step @ AuthStep {
                module:
                    AuthModule::Check {
                        check,
                        asks: CheckAsks::Shown(code),
                        ..
                    },
                ..
            },
        ) = step
        else {
            return refuse(step, offer.username, Refusal::Failed);
        };
        let possible = Challenge::new(Question::Shown, &offer.digests, &offer.salt_digests);
        if possible.is_err() {
            // Nobody sees a code that could not be answered for.
            return self.challenge(offer, possible, Some(module), None, modules);
        }
        let user = user(step, &offer.username, modules);
        let stranger = verifier.guesses.is_stranger(user, &self.peer);
        let may = verifier.screens.may_begin(user, Instant::now());
        if stranger && !may && self.right.as_deref() != Some(user) {
            return refuse(Some(step), self.name(offer), Refusal::TooMany);
        }
        match screen::draw(*code) {
            Ok(code) => {
                let wanted = self.check(offer, module, *check, Some(Claim::Show), stranger);
                if let Stage::Checking { purpose, .. } = &mut self.stage {
                    *purpose = Purpose::Shows { code, place: None };
                }
                wanted
            }
            Err(error) => {
                let challenge = Err(ChallengeError::Random(error));
                self.challenge(offer, challenge, Some(module), None, modules)
            }
        }
    }

    fn ask(
        &mut self,
        offer: Offer,
        question: Question,
        module: Option<usize>,
        modules: &Modules,
    ) -> Step {
        let challenge = Challenge::new(question, &offer.digests, &offer.salt_digests);
        self.challenge(offer, challenge, module, None, modules)
    }

    fn challenge(
        &mut self,
        offer: Offer,
        challenge: Result<Challenge, ChallengeError>,
        module: Option<usize>,
        shown: Option<OnScreen>,
        modules: &Modules,
    ) -> Step {
        let step = module.and_then(|position| self.chain(modules).get(position));
        match challenge {
            Ok(challenge) => {
                let service = step.and_then(service);
                let message = challenge.message(prompt(step, &offer.username, modules), service);
                self.stage = Stage::Asked {
                    offer: Offer {
                        small: false,
                        ..offer
                    },
                    challenge,
                    module,
                    shown,
                };
                Step::Ask(message)
            }
            Err(ChallengeError::NoDigest(digest)) => Step::Refuse {
                module: module_name(step).to_owned(),
                username: offer.username,
                why: Refusal::NoDigest,
                text: format!("cannot proceed without '{digest}' digest support"),
            },
            Err(error @ ChallengeError::Random(_)) => {
                tracing::error!(%error, "no challenge can be made");
                refuse(step, offer.username, Refusal::Failed)
            }
        }
    }
}

/// Does a module of this chain take the client for whom it says it is?
fn goes_by_client(chain: &[AuthStep]) -> bool {
    chain.iter().any(|step| step.client_username)
}

/// Does it go by whom the client says that it is, or look at that, or is it told so? A command is.
fn is_told_a_name(step: &AuthStep) -> bool {
    let command = matches!(
        step.module,
        AuthModule::Check {
            asks: CheckAsks::Nothing,
            ..
        }
    );
    step.client_username || step.verify_username || command
}

/// Does the client say the name that it has to say?
fn check_name(step: &AuthStep, username: &str, modules: &Modules) -> Result<(), Refusal> {
    match step.verify_username && username != modules.owner() {
        true => Err(Refusal::OtherName),
        false => Ok(()),
    }
}

/// The user that a module is about.
fn user<'n>(step: &AuthStep, username: &'n str, modules: &'n Modules) -> &'n str {
    match step.client_username {
        true => username,
        false => modules.owner(),
    }
}

/// What was sent covered, if it is anything.
fn taken(covered: Covered, answer: &Answer) -> Option<Password> {
    let mut said = covered.password(&answer.response);
    (!said.is_empty()).then(|| Password(std::mem::take(&mut *said)))
}

/// What a ticket is asked for, if it is one.
fn service(step: &AuthStep) -> Option<&str> {
    match &step.module {
        AuthModule::Check {
            asks: CheckAsks::Token { service, .. },
            ..
        } => Some(service),
        _ => None,
    }
}

/// What the person is asked.
fn prompt(step: Option<&AuthStep>, username: &str, modules: &Modules) -> String {
    let user = match step {
        Some(AuthStep {
            prompt: Some(text), ..
        }) => return text.clone(),
        Some(AuthStep {
            module: AuthModule::Otp { .. },
            ..
        }) => return "OTP".to_owned(),
        Some(AuthStep {
            module:
                AuthModule::Check {
                    asks: CheckAsks::Signature(_),
                    ..
                },
            ..
        }) => return "security key".to_owned(),
        Some(AuthStep {
            module:
                AuthModule::Check {
                    asks: CheckAsks::Code,
                    ..
                },
            ..
        }) => return "keycloak".to_owned(),
        Some(AuthStep {
            module:
                AuthModule::Check {
                    asks: CheckAsks::Shown(_),
                    ..
                },
            ..
        }) => return "code on the session's screen".to_owned(),
        Some(AuthStep {
            module:
                AuthModule::Check {
                    asks: CheckAsks::Token { token, .. },
                    ..
                },
            ..
        }) => {
            return match token {
                Token::Kerberos => "kerberos token".to_owned(),
                Token::Gss => "GSS token".to_owned(),
            };
        }
        // Who has to name the owner is not told the name.
        Some(step) if step.verify_username => username,
        Some(step) => user(step, username, modules),
        None => modules.owner(),
    };
    format!("password for user '{user}'")
}

fn module_name(step: Option<&AuthStep>) -> &str {
    step.map_or("", |step| modules::name(&step.module))
}

fn refuse(step: Option<&AuthStep>, username: String, why: Refusal) -> Step {
    Step::Refuse {
        module: module_name(step).to_owned(),
        username,
        why,
        text: FAILED.to_owned(),
    }
}

/// A client's answer to a challenge.
#[derive(Debug)]
struct Answer {
    response: Zeroizing<Vec<u8>>,
    client_salt: Vec<u8>,
    /// Nothing is known of who gives it.
    stranger: bool,
}

/// What checks of answers need, for all connections.
#[derive(Debug)]
pub struct Verifier {
    buffer: Buffer,
    used: UsedSalts,
    /// Those in which clients have shown a good certificate.
    handshakes: UsedSalts,
    codes: UsedCodes,
    counters: Counters,
    providers: Providers,
    guesses: Guesses,
    /// The same of codes that are shown: they keep nobody from giving a password.
    screens: Guesses,
}

/// Compared with where there is no such user, for as long as a password would be.
const NOBODY: &[u8] = b"nobody's secret";

impl Verifier {
    /// With memory for the secrets.
    #[must_use]
    pub fn new(buffer: Buffer) -> Self {
        Self {
            buffer,
            used: UsedSalts::default(),
            handshakes: UsedSalts::default(),
            codes: UsedCodes::default(),
            counters: Counters::default(),
            providers: Providers::default(),
            guesses: Guesses::default(),
            screens: Guesses::default(),
        }
    }

    /// Does the module accept this answer to its challenge?
    fn check(
        &mut self,
        step: &AuthStep,
        username: &str,
        challenge: Challenge,
        answer: &Answer,
        modules: &Modules,
    ) -> Result<(), Refusal> {
        let combined = challenge.combine(&answer.client_salt, &mut self.used);
        let combined = combined.ok_or(Refusal::Failed)?;
        let user = user(step, username, modules);
        let verdict = self.verdict(&step.module, user, combined, answer, modules);
        secret::wipe_stack();
        verdict.unwrap_or_else(|error| {
            tracing::error!(module = modules::name(&step.module), %error, "an auth module");
            Err(Refusal::Unusable)
        })
    }

    /// What the client sent for somebody else to check. An empty password is none: to an LDAP server
    /// it is nobody's, and lets everybody in as nobody.
    #[inline(never)]
    fn claim(&mut self, challenge: Challenge, answer: &Answer) -> Option<Claim> {
        match challenge.combine(&answer.client_salt, &mut self.used)? {
            Combined::Password(covered) => taken(covered, answer).map(Claim::Password),
            Combined::Token(covered) => taken(covered, answer).map(Claim::Token),
            Combined::Code(covered, login) => {
                let answer = taken(covered, answer)?;
                if !login.may_be(&answer.0) {
                    tracing::info!("what the client brings has not the state of this login");
                    return None;
                }
                Some(Claim::Code { login, answer })
            }
            Combined::Proof(proof) => {
                let (digest, salt) = proof.into_parts();
                Some(Claim::Proof {
                    digest,
                    salt,
                    response: answer.response.to_vec(),
                })
            }
            Combined::Signature(challenge) => Some(Claim::Signature {
                challenge,
                origin: answer.client_salt.clone(),
                response: answer.response.to_vec(),
            }),
        }
    }

    /// Is it known now where clients have to go?
    fn learn(&mut self, module: &AuthModule, finding: Finding) -> bool {
        let (
            AuthModule::Check {
                check,
                asks: CheckAsks::Code,
                ..
            },
            Finding::Address { address, memory },
        ) = (module, finding)
        else {
            return false;
        };
        let learnt = self
            .providers
            .learn(*check, address, memory, Instant::now());
        if let Err(error) = learnt {
            tracing::error!(error, "an auth module");
        }
        learnt.is_ok()
    }

    /// What a password file of this chain says of the user's sessions.
    fn sessions(
        &mut self,
        chain: &[AuthStep],
        username: &str,
        modules: &Modules,
    ) -> Option<Box<Sessions>> {
        chain.iter().find_map(|step| {
            let AuthModule::Users { secret } = step.module else {
                return None;
            };
            let file = modules.read(secret, &mut self.buffer).ok()?;
            multifile::sessions(file.bytes(), user(step, username, modules)).map(Box::new)
        })
    }

    /// Does this let the client pass the module? Who is asked for a signature has to say whose it is.
    fn found(&mut self, module: &AuthModule, finding: Finding) -> Result<(), Refusal> {
        let signature = matches!(
            module,
            AuthModule::Check {
                asks: CheckAsks::Signature(_),
                ..
            }
        );
        match finding {
            Finding::Yes if !signature => Ok(()),
            Finding::Signed { key, counter } if signature => {
                self.counters.go_on(key, counter).map_err(|last| {
                    tracing::warn!(key, last, counter, "a security key has not counted on");
                    Refusal::Counter
                })
            }
            _ => {
                if let AuthModule::Check {
                    check,
                    asks: CheckAsks::Code,
                    ..
                } = module
                {
                    // It may be another one by now.
                    self.providers.doubt(*check, Instant::now());
                }
                Err(Refusal::Failed)
            }
        }
    }

    // What it leaves on the stack is below the frame of who calls it.
    #[inline(never)]
    fn verdict(
        &mut self,
        module: &AuthModule,
        user: &str,
        combined: Combined,
        answer: &Answer,
        modules: &Modules,
    ) -> Result<Result<(), Refusal>, Unusable> {
        let response = &answer.response;
        Ok(match (module, combined) {
            (AuthModule::Allow, _) => Ok(()),
            (AuthModule::Secret { secret, .. }, Combined::Proof(proof)) => {
                let secret = modules.read(*secret, &mut self.buffer)?;
                right(proof.check(secret.bytes(), response))
            }
            (AuthModule::Users { secret }, Combined::Proof(proof)) => {
                let file = modules.read(*secret, &mut self.buffer)?;
                let (password, known) = multifile::password(file.bytes(), user, NOBODY)?;
                let right = right(proof.check(password, response));
                match known {
                    true => right,
                    false => Err(Refusal::UnknownUser),
                }
            }
            (AuthModule::Otp { secret, window }, Combined::Password(covered)) => {
                let key = modules.key(*secret, &mut self.buffer)?;
                let code = covered.password(response);
                let now = otp::now();
                if answer.stranger && !self.codes.begin(&key, now) {
                    return Ok(Err(Refusal::TooMany));
                }
                match key.step_of(code.trim_ascii(), now, *window) {
                    Some(step) if self.codes.spend(&key, step, now, *window) => {
                        if answer.stranger {
                            self.codes.was_right(&key);
                        }
                        Ok(())
                    }
                    Some(_) => Err(Refusal::UsedCode),
                    None => Err(Refusal::Failed),
                }
            }
            // The others never ask, or always refuse.
            _ => Err(Refusal::Failed),
        })
    }
}

fn right(is: bool) -> Result<(), Refusal> {
    match is {
        true => Ok(()),
        false => Err(Refusal::Failed),
    }
}
