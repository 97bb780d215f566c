//! Certificates and keys anew (`bulkhead reload`), of which those who are there notice nothing.
//!
//! Who has started the session brings them, through a door of their own: a socket in the session
//! directory. One visitor is heard at a time, and not for long. What it brings is tried by a `keys`
//! that is started beside the present one, with the same sandbox, and reads it as at every start. If
//! that one is ready it takes the place, for whoever connects from then on, and the other ends when
//! the logins are over that it knows. If not, nothing has changed. So no `keys` ever has two
//! generations of keys, and what was in the old one goes with it.
//!
//! What may be brought is what belongs to certificates: the rest of what `keys` is told has to be as it
//! was, and so have its other secrets.

use crate::log::Level;
use crate::rate::Bucket;
use crate::session::Session;
use crate::sys;
use crate::worker::{PER_TURN, Part, Worker};
use ipc::keys::{Encryption, KeysToSupervisor, SupervisorToKeys};
use ipc::reload::{CommandToSupervisor, MAX_REASON, SupervisorToCommand};
use ipc::spec::{self, KeysSpec, ListenerKey, PrivateKey};
use ipc::tls::{KeyKind, MAX_CHAIN, Suite, Version};
use ipc::verdict::Peer;
use ipc::{Channel, ChannelError, ListenerId};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use policy::Role;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// So long a visitor may take to bring everything: it has it all when it comes.
const VISIT: Duration = Duration::from_secs(2);
/// So long the trial may take.
const TRIAL: Duration = Duration::from_secs(10);
/// Most of those that had the place before and have logins under way. The oldest is not waited for.
const MAX_RETIRED: usize = 4;
/// Most certificates of one chain.
const MAX_CERTIFICATES: usize = 64;
/// Refusals that are logged at once, and then in each second.
const LINES: (u32, u32) = (16, 1);
/// A pause when there are no descriptors left.
const NO_DESCRIPTORS: Duration = Duration::from_millis(100);

type Keys = Worker<SupervisorToKeys, KeysToSupervisor>;
type Visitor = Channel<SupervisorToCommand, CommandToSupervisor>;

/// What there is of a reload.
pub struct Reload {
    /// None if no listener has a certificate.
    door: Option<OwnedFd>,
    /// Whose it is: a user id.
    owner: u32,
    visit: Option<Visit>,
    /// The oldest first.
    retired: Vec<Retired>,
    /// How often there was another one: which `keys` a login belongs to.
    generation: u32,
    lines: Bucket,
}

/// Somebody has come in.
struct Visit {
    channel: Visitor,
    /// Its process, for the log.
    pid: i32,
    /// When it is sent away.
    until: Instant,
    /// What it has brought.
    certificates: BTreeMap<ListenerId, Brought>,
    secrets: BTreeMap<u16, OwnedFd>,
    trial: Option<Trial>,
}

/// What a listener is to have.
struct Brought {
    chain: Vec<Vec<u8>>,
    key: KeyKind,
    suites: Vec<Suite>,
}

/// All of it is being tried.
struct Trial {
    keys: Keys,
    /// What that one was given: its successors get the same.
    fds: Vec<OwnedFd>,
}

/// A `keys` that another one has taken the place of.
struct Retired {
    keys: Keys,
    generation: u32,
}

impl Reload {
    /// Nobody has come yet. `owner`: who may.
    #[must_use]
    pub fn new(door: Option<OwnedFd>, owner: u32, now: Instant) -> Self {
        Self {
            door,
            owner,
            visit: None,
            retired: Vec::new(),
            generation: 0,
            lines: Bucket::new(LINES.0, LINES.1, now),
        }
    }

    /// Which `keys` logins that begin now belong to.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Is there anything that could be brought anew?
    #[must_use]
    pub fn is_possible(&self) -> bool {
        self.door.is_some()
    }

    /// Where the next visitor comes, when it is its turn.
    pub fn door(&self) -> Option<BorrowedFd<'_>> {
        let door = self.door.as_ref().filter(|_| self.visit.is_none());
        door.map(AsFd::as_fd)
    }

    /// The channel to the visitor.
    pub fn visitor(&self) -> Option<&Visitor> {
        self.visit.as_ref().map(|visit| &visit.channel)
    }

    /// Who tries what was brought.
    pub fn trial(&self) -> Option<&Keys> {
        let trial = self.visit.as_ref().and_then(|visit| visit.trial.as_ref());
        trial.map(|trial| &trial.keys)
    }

    /// Those who had the place before.
    pub fn retired(&self) -> impl Iterator<Item = &Keys> {
        self.retired.iter().map(|retired| &retired.keys)
    }

    /// When something is to be done if nothing happens.
    pub fn deadline(&self) -> Option<Instant> {
        let visit = self.visit.as_ref().map(|visit| visit.until);
        let trial = self.trial().and_then(Worker::deadline);
        let channel = self.visitor().and_then(Channel::retry_at);
        let retired = self.retired().filter_map(Worker::deadline);
        let own = [visit, trial, channel].into_iter().flatten();
        own.chain(retired).min()
    }
}

impl Session {
    /// Somebody is at the door.
    pub fn open_door(&mut self, now: Instant) {
        let Some(door) = self.reload.door() else {
            return;
        };
        let socket = match sys::accept(door) {
            Ok(Some((socket, _))) => socket,
            Ok(None) => return,
            Err(error) => {
                self.log
                    .own(Level::Error, None, &format!("accept for a reload: {error}"));
                self.accept_pause = Some(now + NO_DESCRIPTORS);
                return;
            }
        };
        let Ok(peer) = getsockopt(&socket, PeerCredentials) else {
            return;
        };
        let mut channel = Visitor::new(socket);
        if peer.uid() != self.reload.owner {
            let why = "this is the session of another user";
            let _ = channel.send(&refused(why), vec![]);
            let who = format!("local user {} (process {})", peer.uid(), peer.pid());
            return self.log_refusal(&who, why, now);
        }
        self.reload.visit = Some(Visit {
            channel,
            pid: peer.pid(),
            until: now + VISIT,
            certificates: BTreeMap::new(),
            secrets: BTreeMap::new(),
            trial: None,
        });
    }

    /// Reads what the visitor says, as much as is its turn.
    pub fn listen_to_visitor(&mut self, now: Instant) {
        for _ in 0..PER_TURN {
            let Some(visit) = &mut self.reload.visit else {
                return;
            };
            let heard = visit.channel.flush().and_then(|()| visit.channel.receive());
            let wrong = match heard {
                Ok(None) => return,
                Ok(Some((message, fds))) => self.hear_visitor(message, fds, now).err(),
                Err(ChannelError::Closed) => Some("who asked for it has gone".into()),
                Err(error) => Some(error.to_string()),
            };
            if let Some(why) = wrong {
                return self.refuse_visitor(&why, now);
            }
        }
    }

    /// For the log; whoever comes again and again does not fill it.
    fn log_refusal(&mut self, who: &str, why: &str, now: Instant) {
        if self.reload.lines.take(now) {
            let text = format!("reload refused: {who}: {why}; all is as it was");
            self.log.own(Level::Warn, None, &text);
        }
    }

    fn hear_visitor(
        &mut self,
        message: CommandToSupervisor,
        fds: Vec<OwnedFd>,
        now: Instant,
    ) -> Result<(), String> {
        let places = self.keys_fds.len().saturating_sub(1);
        // The channel has checked how many there are.
        let fd = fds.into_iter().next();
        let Some(visit) = &mut self.reload.visit else {
            return Ok(());
        };
        if visit.trial.is_some() {
            return Err("something is said after the end".into());
        }
        match (message, fd) {
            (
                CommandToSupervisor::Certificate {
                    listener,
                    chain,
                    key,
                    suites,
                },
                _,
            ) => {
                let bytes: usize = chain.iter().map(Vec::len).sum();
                let bounded = (1..=MAX_CHAIN).contains(&bytes)
                    && chain.len() <= MAX_CERTIFICATES
                    && chain.iter().all(|certificate| !certificate.is_empty());
                if !bounded {
                    let count = chain.len();
                    return Err(format!("{count} certificates of {bytes} bytes"));
                }
                let brought = Brought { chain, key, suites };
                match visit.certificates.insert(listener, brought) {
                    None => self.check_suites(listener),
                    Some(_) => Err(format!("two certificates for socket {}", listener.0)),
                }
            }
            (CommandToSupervisor::Secret { .. } | CommandToSupervisor::Install, Some(fd))
                if !is_sealed(&fd) =>
            {
                Err("what is brought can still be changed".into())
            }
            (CommandToSupervisor::Secret { place }, Some(fd)) => {
                match visit.secrets.insert(place, fd) {
                    None if usize::from(place) < places => Ok(()),
                    _ => Err(format!("a secret for place {place}")),
                }
            }
            (CommandToSupervisor::Install, Some(spec)) => self.try_keys(spec, now),
            (CommandToSupervisor::GiveUp { reason }, _) => Err(reason),
            (_, None) => Err("a descriptor is missing".into()),
        }
    }

    /// A listener speaks the versions that it has spoken, and nothing that its key does not fit.
    fn check_suites(&self, listener: ListenerId) -> Result<(), String> {
        let visit = self.reload.visit.as_ref();
        let brought = visit.and_then(|visit| visit.certificates.get(&listener));
        let (Some(brought), Some(Encryption::Tls(old))) = (brought, self.encryption(listener))
        else {
            return Err(format!("a certificate for socket {}", listener.0));
        };
        let suites = &brought.suites;
        let speaks = |version| suites.iter().any(|suite| suite.version() == version);
        let same = Version::ALL
            .into_iter()
            .all(|it| speaks(it) == old.speaks(it));
        let fit = suites.iter().all(|suite| suite.fits(brought.key));
        match same && fit && suites.len() <= Suite::ALL.len() {
            true => Ok(()),
            false => Err(format!("other suites for socket {}", listener.0)),
        }
    }

    /// Starts a `keys` with what was brought, and what was not as it was.
    fn try_keys(&mut self, spec: OwnedFd, now: Instant) -> Result<(), String> {
        let Some(visit) = &mut self.reload.visit else {
            return Ok(());
        };
        let old = self.keys_fds.first();
        let old = read_spec(old.ok_or("there is no keys")?)?;
        let places = replaceable(&old, &read_spec(&spec)?, &visit.certificates)?;
        if let Some(place) = visit.secrets.keys().find(|place| !places.contains(place)) {
            return Err(format!("a secret for place {place}"));
        }
        let mut fds = vec![spec];
        for (place, old) in (0_u16..).zip(self.keys_fds.iter().skip(1)) {
            fds.push(match visit.secrets.remove(&place) {
                Some(new) => new,
                None => old.try_clone().map_err(|error| error.to_string())?,
            });
        }
        let given: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        let keys = self
            .nursery
            .start(Role::Keys, None, &given, now)
            .map_err(|error| format!("keys cannot be started: {error}"))?;
        visit.trial = Some(Trial { keys, fds });
        visit.until = now + TRIAL;
        Ok(())
    }

    /// What happens at the `keys` that tries.
    pub fn trial_event(&mut self, part: Part, now: Instant) {
        let visit = self.reload.visit.as_mut();
        let Some(trial) = visit.and_then(|visit| visit.trial.as_mut()) else {
            return;
        };
        let (messages, death) = trial.keys.event(part, &mut self.log, now);
        // The first word counts.
        for message in messages {
            match message {
                KeysToSupervisor::Ready if death.is_none() => return self.install(now),
                KeysToSupervisor::Failed { reason } => return self.refuse_visitor(&reason, now),
                _ => {}
            }
        }
        if let Some(death) = death {
            let visit = self.reload.visit.as_mut();
            if let Some(mut trial) = visit.and_then(|visit| visit.trial.take()) {
                self.account(&mut trial.keys.process, death, false);
            }
            self.refuse_visitor(&death.at_start(Role::Keys), now);
        }
    }

    /// It can be used: whoever connects from now on gets the new ones.
    fn install(&mut self, now: Instant) {
        let Some(visit) = self.reload.visit.take() else {
            return;
        };
        let Visit {
            mut channel,
            pid,
            certificates,
            trial,
            ..
        } = visit;
        let Some(Trial { keys, fds }) = trial else {
            return;
        };
        self.keys_fds = fds;
        let mut names = Vec::with_capacity(certificates.len());
        for (listener, brought) in certificates {
            let Some(listener) = self.spec.listeners.get_mut(usize::from(listener.0)) else {
                continue;
            };
            if let Some(Encryption::Tls(certificate)) = &mut listener.encryption {
                (certificate.chain, certificate.key) = (brought.chain, brought.key);
                certificate.suites = brought.suites;
                names.push(listener.name.clone());
            }
        }
        let text = format!(
            "certificates and keys are new: {} (process {pid})",
            names.join(", ")
        );
        self.log.own(Level::Info, None, &text);
        let old = self.keys.replace(keys);
        self.tell_lost(Role::Keys);
        if let Some(old) = old {
            let generation = self.reload.generation;
            self.reload.retired.push(Retired {
                keys: old,
                generation,
            });
        }
        self.reload.generation = self.reload.generation.wrapping_add(1);
        if self.reload.retired.len() > MAX_RETIRED {
            let oldest = self.reload.retired.remove(0);
            self.dismissed.push(oldest.keys.dismiss(now));
        }
        let _ = channel.send(&SupervisorToCommand::Done, vec![]);
    }

    /// Says why not, and forgets what was brought.
    pub fn refuse_visitor(&mut self, why: &str, now: Instant) {
        let Some(visit) = self.reload.visit.take() else {
            return;
        };
        let Visit {
            mut channel,
            pid,
            trial,
            ..
        } = visit;
        if let Some(Trial { mut keys, .. }) = trial {
            keys.condemn();
            self.dismissed.push(keys.dismiss(now));
        }
        self.log_refusal(&format!("process {pid}"), why, now);
        let _ = channel.send(&refused(why), vec![]);
    }

    /// What happens at a `keys` that had the place before.
    pub fn retired_event(&mut self, pid: i32, part: Part, now: Instant) {
        let mut all = self.reload.retired.iter_mut();
        let Some(retired) = all.find(|retired| retired.keys.process.pid == pid) else {
            return;
        };
        let generation = retired.generation;
        let (messages, death) = retired.keys.event(part, &mut self.log, now);
        let mut lies = None;
        for message in messages {
            let KeysToSupervisor::Violation(violation) = message else {
                continue;
            };
            // It knows nobody but those who log in with it. What it says of others may have been
            // true before they were in, or gone.
            let connection = match violation.peer {
                Peer::Network(id) => Some(self.connections.get(&id)),
                _ => None,
            };
            match connection {
                Some(Some(one)) if one.keys == Some(generation) && one.verdict.is_none() => {
                    self.end_accused(Peer::Keys, violation.peer, &violation.what);
                }
                Some(Some(one)) if one.keys == Some(generation) => {}
                Some(None) => {}
                Some(Some(_)) | None => lies = Some(violation.what),
            }
        }
        let mut all = self.reload.retired.iter_mut();
        let position = all.position(|retired| retired.keys.process.pid == pid);
        let Some(position) = position else {
            return;
        };
        if let Some(death) = death {
            let mut retired = self.reload.retired.remove(position);
            self.account(&mut retired.keys.process, death, false);
        } else if let Some(what) = lies
            && self.reload.retired[position].keys.condemn()
        {
            self.counters.violations += 1;
            let origin = self.reload.retired[position].keys.process.origin();
            let text = format!("violation: {what} (not believed, the process is ended)");
            self.log.record(Level::Error, origin, text.as_bytes());
        }
    }

    /// Lets go of those that had the place before.
    pub fn dismiss_retired(&mut self, now: Instant) {
        for retired in std::mem::take(&mut self.reload.retired) {
            self.dismissed.push(retired.keys.dismiss(now));
        }
    }

    /// Does what is due.
    pub fn tick_reload(&mut self, now: Instant) {
        let visit = self.reload.visit.as_ref();
        if visit.is_some_and(|visit| visit.until <= now) {
            self.refuse_visitor("it has taken too long", now);
        }
        if let Some(visit) = &mut self.reload.visit
            && let Some(trial) = &mut visit.trial
        {
            trial.keys.enforce_deadline(now);
        }
        let connections = &self.connections;
        let has_logins = |generation| {
            let mut all = connections.values();
            all.any(|one| one.keys == Some(generation) && one.verdict.is_none())
        };
        let retired = &mut self.reload.retired;
        for retired in retired.iter_mut() {
            retired.keys.enforce_deadline(now);
        }
        let done = retired.extract_if(.., |retired| !has_logins(retired.generation));
        let done = done.map(|retired| retired.keys.dismiss(now));
        self.dismissed.extend(done);
    }

    /// Tells `keys` of a connection: the one that knows it, and the others do not mind.
    pub fn tell_keys(&mut self, message: &SupervisorToKeys) {
        let retired = self.reload.retired.iter_mut();
        let retired = retired.map(|retired| &mut retired.keys);
        for keys in self.keys.worker.iter_mut().chain(retired) {
            keys.tell(message, vec![], &mut self.log);
        }
    }
}

/// Can nobody change any more what is behind this descriptor?
fn is_sealed(fd: &OwnedFd) -> bool {
    let all = SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_WRITE
        | SealFlag::F_SEAL_SEAL;
    let seals = fcntl(fd, FcntlArg::F_GET_SEALS);
    seals.is_ok_and(|seals| SealFlag::from_bits_truncate(seals).contains(all))
}

/// What `keys` is told; there is no secret in it.
fn read_spec(fd: &OwnedFd) -> Result<KeysSpec, String> {
    let file = fd.try_clone().map(File::from);
    let read = file.and_then(|file| spec::read(&file));
    read.map_err(|error| format!("what keys is told: {error}"))
}

/// The places of the secrets that may be replaced, if nothing else is different than what
/// belongs to certificates: a new one for each that there is.
fn replaceable(
    old: &KeysSpec,
    new: &KeysSpec,
    certificates: &BTreeMap<ListenerId, Brought>,
) -> Result<BTreeSet<u16>, String> {
    let mut places = BTreeSet::new();
    let mut count = 0;
    let same_length = old.listeners.len() == new.listeners.len();
    let pairs = old.listeners.iter().zip(&new.listeners);
    for (listener, pair) in (0..).map(ListenerId).zip(pairs) {
        let (Some(ListenerKey::Tls(old)), Some(ListenerKey::Tls(new))) = pair else {
            match pair.0 == pair.1 {
                true => continue,
                false => return Err("another key than that of a certificate".into()),
            }
        };
        let same = PrivateKey {
            kind: old.kind,
            public: old.public.clone(),
            ..new.clone()
        };
        let kind = certificates.get(&listener).map(|brought| brought.key);
        match kind {
            Some(kind) if same == *old && kind == new.kind => count += 1,
            Some(_) => return Err(format!("another key for socket {}", listener.0)),
            None => return Err("there are sockets without a certificate".into()),
        }
        places.insert(old.secret);
        places.extend(old.pass_phrase);
    }
    match same_length && count == certificates.len() {
        true => Ok(places),
        false => Err("certificates for other sockets than there are".into()),
    }
}

/// At most as long as the message may be.
fn refused(why: &str) -> SupervisorToCommand {
    let reason = why[..why.floor_char_boundary(MAX_REASON)].to_owned();
    SupervisorToCommand::Refused { reason }
}
