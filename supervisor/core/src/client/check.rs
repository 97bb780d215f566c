//! Checks of logins that `auth` cannot make itself: each has a process of its own for this one
//! answer, or a command that the launcher starts.
//!
//! `auth` names a connection and one of the configured checks. How many run is bounded, of one
//! source too, and those who wait get their turn. A process gets one end of a channel to `auth`,
//! over which the password goes, and what it needs: a file, or sockets that the launcher has begun
//! to connect; one that needs more than our sandbox leaves to our children is started by the launcher
//! ([`super::outside`]). A connection
//! that goes takes its check with it, and a check whose time is over is ended. Whatever does not
//! end with a clear yes is no.

use super::outside::{Outside, Starting};
use super::{LOGIN_TIMEOUT, Who};
use crate::log::{Level, quoted};
use crate::penalties::Source;
use crate::session::Session;
use crate::worker::{Part, Worker};
use ipc::ConnectionId;
use ipc::auth::SupervisorToAuth;
use ipc::channel::socketpair;
use ipc::check::{CheckId, CheckToSupervisor, SupervisorToCheck};
use ipc::launcher::{CheckOutcome, SupervisorToLauncher};
use ipc::network::SupervisorToNetwork;
use ipc::spec::CheckKind;
use policy::Role;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// Most checks at a time.
const MAX_CHECKS: usize = 16;
/// Most of them for one source, so that the others find room at once.
const MAX_PER_SOURCE: usize = 8;
/// Most of them that Kerberos decides about: each has up to four connections to a KDC, and MIT's ends
/// idle ones, others' too, when there would be more than 45.
const MAX_KERBEROS: usize = 10;
/// Most of them that ask for a client's name, which costs it nothing: others find room beside.
const MAX_NAMES: usize = 8;
/// Most of those for one source.
const MAX_NAMES_PER_SOURCE: usize = 4;
/// Most of them that show a code on the screen: strangers do not cover it.
const MAX_SHOWN: usize = 4;
/// Most of those for one source.
const MAX_SHOWN_PER_SOURCE: usize = 1;
/// Most of those for strangers, so that others find room at once.
const MAX_SHOWN_TO_STRANGERS: usize = 3;
/// So long a stranger's is there, even if somebody waits for its place.
const SHOWN_AT_LEAST: Duration = Duration::from_secs(30);
/// What the launcher and the processes, which know the limit themselves, get on top of it.
const SLACK: Duration = Duration::from_secs(1);

/// A check of the login on a connection.
pub struct Check {
    pub(super) id: CheckId,
    username: String,
    /// Nothing is known of the client.
    stranger: bool,
    /// When it was begun. `None` while it waits for room.
    begun: Option<Instant>,
    /// When it is ended.
    until: Option<Instant>,
    /// When it has to make room for one that waits.
    look_at: Option<Instant>,
    pub(super) stage: Stage,
}

pub(super) enum Stage {
    /// There is no room yet.
    Waiting,
    /// The launcher is asked for sockets.
    Connecting,
    /// A process of its own decides.
    Asked(Box<Worker<SupervisorToCheck, CheckToSupervisor>>),
    /// The launcher is asked for a process.
    Starting(Option<Starting>),
    /// A process that the launcher has started decides.
    Outside(Box<Outside>),
    /// A command decides.
    Command,
}

impl Check {
    /// Its process.
    pub fn worker(&self) -> Option<&Worker<SupervisorToCheck, CheckToSupervisor>> {
        match &self.stage {
            Stage::Asked(worker) => Some(worker),
            _ => None,
        }
    }

    /// Its process, where the launcher has started it.
    pub fn outside(&self) -> Option<&Outside> {
        match &self.stage {
            Stage::Outside(outside) => Some(outside),
            _ => None,
        }
    }

    /// Its process.
    pub fn worker_mut(&mut self) -> Option<&mut Worker<SupervisorToCheck, CheckToSupervisor>> {
        match &mut self.stage {
            Stage::Asked(worker) => Some(worker),
            _ => None,
        }
    }

    /// When something is to be done about it.
    pub fn deadline(&self) -> Option<Instant> {
        let worker = self.worker().and_then(Worker::deadline);
        [self.until, self.look_at, worker]
            .into_iter()
            .flatten()
            .min()
    }
}

/// A check of which fewer run at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scarce {
    /// It has connections to a KDC.
    Kerberos,
    /// It has a window on the screen.
    Shown,
    /// It asks for the name of somebody who has shown nothing yet.
    Names,
}

impl Scarce {
    fn of(kind: &CheckKind) -> Option<Self> {
        match kind {
            CheckKind::Outside { role, .. } if role == Role::AuthKerberos.name() => {
                Some(Self::Kerberos)
            }
            CheckKind::Screen(_) => Some(Self::Shown),
            CheckKind::Names(_) => Some(Self::Names),
            _ => None,
        }
    }

    /// How many may run in all, and for one source.
    fn most(self) -> (usize, usize) {
        match self {
            Self::Kerberos => (MAX_KERBEROS, MAX_PER_SOURCE),
            Self::Shown => (MAX_SHOWN, MAX_SHOWN_PER_SOURCE),
            Self::Names => (MAX_NAMES, MAX_NAMES_PER_SOURCE),
        }
    }
}

/// What room for a check depends on.
#[derive(Clone, Copy)]
struct Wish {
    source: Source,
    scarce: Option<Scarce>,
    stranger: bool,
}

impl Wish {
    /// It has, or wants, one of the places that strangers leave to others.
    fn is_shown_to_stranger(&self) -> bool {
        self.stranger && self.scarce == Some(Scarce::Shown)
    }
}

/// Who has to make room for the first of those that wait in vain for a place on the screen, and when: a
/// stranger whose place that one could have.
fn makes_room(
    waiting: &[(ConnectionId, Wish)],
    running: &[(ConnectionId, Wish, Instant)],
) -> Option<(ConnectionId, Instant)> {
    let shown = |wish: &Wish| wish.scarce == Some(Scarce::Shown);
    let wanted = waiting
        .iter()
        .map(|(_, wish)| wish)
        .filter(|wish| shown(wish));
    let ends = wanted.filter_map(|wish| {
        let all = running.iter().filter(|(_, one, _)| shown(one));
        // If there is one of the same source, no other place would do.
        let own = all.clone().any(|(_, one, _)| one.source == wish.source);
        let could = all.filter(|(_, one, _)| {
            one.is_shown_to_stranger() && (!own || one.source == wish.source)
        });
        let oldest = could.min_by_key(|(_, _, begun)| *begun);
        oldest.map(|(id, _, begun)| (*id, *begun + SHOWN_AT_LEAST))
    });
    ends.min_by_key(|(_, at)| *at)
}

/// Who is next, of those who wait (oldest first), beside those that run.
fn next(waiting: &[(ConnectionId, Wish)], running: &[Wish]) -> Option<ConnectionId> {
    if running.len() >= MAX_CHECKS {
        return None;
    }
    let count = |source: Source| running.iter().filter(|one| one.source == source).count();
    let has_room = |wish: &Wish| {
        let Some(kind) = wish.scarce else { return true };
        let (most, of_source) = kind.most();
        let same = running.iter().filter(|one| one.scarce == wish.scarce);
        let here = same.clone().filter(|one| one.source == wish.source);
        let strangers = same.clone().filter(|one| one.is_shown_to_stranger());
        let left = !wish.is_shown_to_stranger() || strangers.count() < MAX_SHOWN_TO_STRANGERS;
        same.count() < most && here.count() < of_source && left
    };
    waiting
        .iter()
        .filter(|(_, wish)| count(wish.source) < MAX_PER_SOURCE && has_room(wish))
        // The first of those that are equal, so the one that has waited longest.
        .min_by_key(|(_, wish)| (wish.is_shown_to_stranger(), count(wish.source)))
        .map(|(id, _)| *id)
}

impl Session {
    /// `auth` needs a check.
    pub(super) fn check_wanted(
        &mut self,
        id: ConnectionId,
        check: CheckId,
        username: String,
        stranger: bool,
        now: Instant,
    ) {
        // It has answered, and its end has not been seen yet.
        if let Some(Check {
            stage: Stage::Asked(_) | Stage::Outside(_),
            ..
        }) = self.connections.get(&id).and_then(|one| one.check.as_ref())
        {
            self.end_check(id, now);
        }
        let spec = self.spec.checks.get(usize::from(check.0));
        let known = spec.is_some();
        let is_shown = spec.and_then(|spec| Scarce::of(&spec.kind)) == Some(Scarce::Shown);
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        if !known || connection.check.is_some() || connection.verdict.is_some() {
            let text = "bug: auth asks for a check that cannot be";
            self.log.own(Level::Error, Some(id.0), text);
            return self.tell_checked(id, false);
        }
        connection.check = Some(Check {
            id: check,
            username,
            stranger,
            begun: None,
            until: None,
            look_at: None,
            stage: Stage::Waiting,
        });
        self.start_checks(now);
        let check = self.connections.get(&id).and_then(|one| one.check.as_ref());
        if is_shown && check.is_some_and(|check| matches!(check.stage, Stage::Waiting)) {
            let text = "waits for a place on the screen";
            self.log.own(Level::Info, Some(id.0), text);
        }
    }

    /// There is a verdict: a code that is on the screen for it goes, whatever its process does.
    pub(super) fn end_shown(&mut self, id: ConnectionId, now: Instant) {
        let connection = self.connections.get_mut(&id);
        let check = connection.and_then(|one| {
            one.check.take_if(|check| {
                let spec = self.spec.checks.get(usize::from(check.id.0));
                let is_shown = spec.is_some_and(|it| matches!(it.kind, CheckKind::Screen(_)));
                is_shown && matches!(check.stage, Stage::Asked(_))
            })
        });
        if let Some(Check {
            stage: Stage::Asked(worker),
            ..
        }) = check
        {
            self.dismissed.push(worker.dismiss(now));
            self.start_checks(now);
        }
    }

    /// Starts checks, as far as there is room.
    pub(super) fn start_checks(&mut self, now: Instant) {
        loop {
            let (mut waiting, mut running, mut begun) = (Vec::new(), Vec::new(), Vec::new());
            for (id, connection) in &mut self.connections {
                let Some(check) = &mut connection.check else {
                    continue;
                };
                check.look_at = None;
                let spec = self.spec.checks.get(usize::from(check.id.0));
                let wish = Wish {
                    source: connection.source,
                    scarce: spec.and_then(|spec| Scarce::of(&spec.kind)),
                    stranger: check.stranger,
                };
                match check.stage {
                    Stage::Waiting => waiting.push((*id, wish)),
                    _ => {
                        running.push(wish);
                        begun.push((*id, wish, check.begun.unwrap_or(now)));
                    }
                }
            }
            if let Some(id) = next(&waiting, &running) {
                self.begin_check(id, now);
                continue;
            }
            match makes_room(&waiting, &begun) {
                Some((id, at)) if at <= now => {
                    let text = "its place on the screen is for somebody who waits";
                    self.log.own(Level::Info, Some(id.0), text);
                    if !self.end_check(id, now) {
                        self.tell_checked(id, false);
                    }
                }
                // Whoever is there has to look again then.
                Some((id, at)) => {
                    let connection = self.connections.get_mut(&id);
                    if let Some(check) = connection.and_then(|one| one.check.as_mut()) {
                        check.look_at = Some(at);
                    }
                    return;
                }
                None => return,
            }
        }
    }

    fn begin_check(&mut self, id: ConnectionId, now: Instant) {
        let check = self.connections.get(&id).and_then(|one| one.check.as_ref());
        if let Some(place) = check.map(|check| usize::from(check.id.0))
            && self.lacks_file(place)
        {
            return self.give_up(id, place);
        }
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let Some(check) = &mut connection.check else {
            return;
        };
        let Some(spec) = self.spec.checks.get(usize::from(check.id.0)) else {
            return;
        };
        check.begun = Some(now);
        check.until = Some(now + Duration::from_secs(spec.timeout.into()) + SLACK);
        let ask = match &spec.kind {
            CheckKind::Sqlite(_) => {
                let place = usize::from(check.id.0);
                return self.ask_process(id, Role::AuthSqlite, place, &[], now);
            }
            CheckKind::Fido(_) => {
                let place = usize::from(check.id.0);
                return self.ask_process(id, Role::AuthFido, place, &[], now);
            }
            CheckKind::Ldap(_)
            | CheckKind::Sql(_)
            | CheckKind::Keycloak(_)
            | CheckKind::Names(_)
            | CheckKind::Screen(_) => {
                check.stage = Stage::Connecting;
                if let CheckKind::Screen(_) = &spec.kind {
                    // A person reads and types, and there may be other modules after that.
                    let time = Duration::from_secs(spec.timeout.into()) + LOGIN_TIMEOUT;
                    connection.login = now.saturating_duration_since(connection.since) + time;
                    let seconds = u16::try_from(time.as_secs()).unwrap_or(u16::MAX);
                    let time = SupervisorToNetwork::LoginTime(seconds);
                    connection.network.tell(&time, vec![], &mut self.log);
                }
                SupervisorToLauncher::Connect {
                    connection: id,
                    check: check.id,
                }
            }
            CheckKind::Command => {
                check.stage = Stage::Command;
                SupervisorToLauncher::RunCheck {
                    connection: id,
                    check: check.id,
                    username: check.username.clone(),
                    peer: Who(&connection.peer).to_string(),
                }
            }
            CheckKind::Outside { role, .. } => {
                let role = Role::from_name(role).filter(|role| role.is_of_launcher());
                return self.start_outside(id, role);
            }
            CheckKind::Certificate(_) => {
                let place = usize::from(check.id.0);
                return self.ask_process(id, Role::AuthCertificate, place, &[], now);
            }
        };
        self.tell_launcher(ask);
    }

    /// The launcher has begun to connect to the server of a check.
    pub fn connecting(&mut self, id: ConnectionId, sockets: &[OwnedFd], now: Instant) {
        // The connection may have gone.
        let check = self.connections.get(&id).and_then(|one| one.check.as_ref());
        let Some(Check {
            id: check,
            stage: Stage::Connecting,
            ..
        }) = check
        else {
            return;
        };
        let place = usize::from(check.0);
        // Whom `/etc/hosts` knows no server is asked about: that process can do without.
        let needed = !matches!(
            self.spec.checks.get(place).map(|check| &check.kind),
            Some(CheckKind::Names(_))
        );
        if sockets.is_empty() && needed {
            let module = self.module(place);
            let server = match self.spec.checks.get(place).map(|check| &check.kind) {
                Some(CheckKind::Screen(_)) => "the X server",
                _ => "its server",
            };
            let text = format!("auth={module}: no connection to {server} can be made");
            self.log.own(Level::Error, Some(id.0), &text);
            return self.checked(id, false, now);
        }
        let role = match self.spec.checks.get(place).map(|check| &check.kind) {
            Some(CheckKind::Sql(_)) => Role::AuthSql,
            Some(CheckKind::Keycloak(_)) => Role::AuthKeycloak,
            Some(CheckKind::Screen(_)) => Role::AuthOtpscreen,
            Some(CheckKind::Names(_)) => Role::AuthNames,
            _ => Role::AuthLdap,
        };
        self.ask_process(id, role, place, sockets, now);
        self.start_checks(now);
    }

    /// A file is missing that the process of a check needs.
    fn give_up(&mut self, id: ConnectionId, place: usize) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.check = None;
        }
        let module = self.module(place);
        let text = format!("auth={module}: a file that it needs cannot be used");
        self.log.own(Level::Error, Some(id.0), &text);
        self.tell_checked(id, false);
    }

    /// Starts the process of a check, and tells `auth` whom to ask.
    fn ask_process(
        &mut self,
        id: ConnectionId,
        role: Role,
        place: usize,
        sockets: &[OwnedFd],
        now: Instant,
    ) {
        if self.lacks_file(place) {
            return self.give_up(id, place);
        }
        let own = self.check_fds.get(place).map_or(&[][..], Vec::as_slice);
        let started = socketpair().and_then(|(to_auth, to_check)| {
            let descriptors: Vec<_> = std::iter::once(to_auth.as_fd())
                .chain(own.iter().map(AsFd::as_fd))
                .chain(sockets.iter().map(AsFd::as_fd))
                .collect();
            let worker = self.nursery.start(role, Some(id), &descriptors, now)?;
            Ok((worker, to_check))
        });
        match (started, self.connections.get_mut(&id)) {
            (Ok((worker, to_check)), Some(connection)) => {
                if let Some(check) = &mut connection.check {
                    check.stage = Stage::Asked(Box::new(worker));
                }
                if let Some(auth) = &mut self.auth.worker {
                    auth.tell(&SupervisorToAuth::Ask(id), vec![to_check], &mut self.log);
                }
            }
            (Err(error), connection) => {
                if let Some(connection) = connection {
                    connection.check = None;
                }
                let module = self.module(place);
                let text = format!("auth={module}: no process for its check: {error}");
                self.log.own(Level::Error, Some(id.0), &text);
                self.tell_checked(id, false);
            }
            (Ok(_), None) => {}
        }
    }

    /// The command of a check is to be told the password.
    pub fn command_listens(&mut self, id: ConnectionId, input: Vec<OwnedFd>) {
        // The connection may have gone.
        let check = self.connections.get(&id).and_then(|one| one.check.as_ref());
        if let Some(check) = check
            && matches!(check.stage, Stage::Command)
            && let Some(auth) = &mut self.auth.worker
        {
            auth.tell(&SupervisorToAuth::Tell(id), input, &mut self.log);
        }
    }

    /// The command of a check has ended.
    pub fn command_checked(&mut self, id: ConnectionId, outcome: CheckOutcome, now: Instant) {
        let check = self.connections.get(&id).and_then(|one| one.check.as_ref());
        let Some(Check {
            id: check,
            stage: Stage::Command,
            ..
        }) = check
        else {
            return;
        };
        let module = self.module(usize::from(check.0));
        let (level, why) = match outcome {
            CheckOutcome::Passed => (Level::Debug, "its command says yes".into()),
            CheckOutcome::Status(status) => (
                Level::Info,
                format!("its command has ended with status {status}"),
            ),
            CheckOutcome::Late => (
                Level::Warn,
                "its command has not ended in time: it was killed".into(),
            ),
            CheckOutcome::NotStarted => (Level::Error, "its command cannot be started".into()),
            CheckOutcome::BadName => (
                Level::Warn,
                "a user name that a command could take for something else".into(),
            ),
            CheckOutcome::Refused => (Level::Error, "the launcher refuses to start it".into()),
        };
        self.log
            .own(level, Some(id.0), &format!("auth={module}: {why}"));
        self.checked(id, outcome == CheckOutcome::Passed, now);
    }

    pub(super) fn module(&self, check: usize) -> String {
        let spec = self.spec.checks.get(check);
        spec.map_or_else(String::new, |spec| spec.module.clone())
    }

    /// A check without a process that `auth` could hear is over.
    fn checked(&mut self, id: ConnectionId, passed: bool, now: Instant) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.check = None;
        }
        self.tell_checked(id, passed);
        self.start_checks(now);
    }

    pub(super) fn tell_checked(&mut self, connection: ConnectionId, passed: bool) {
        if let Some(auth) = &mut self.auth.worker {
            let checked = SupervisorToAuth::Checked { connection, passed };
            auth.tell(&checked, vec![], &mut self.log);
        }
    }

    /// Something happens at the process of a check. What it found out, `auth` hears itself.
    pub fn check_event(&mut self, id: ConnectionId, part: Part, now: Instant) {
        let connection = self.connections.get_mut(&id);
        let check = connection.and_then(|one| one.check.as_mut());
        let Some(worker) = check.and_then(Check::worker_mut) else {
            return self.outside_log(id, now);
        };
        let (_, death) = worker.event(part, &mut self.log, now);
        let Some(death) = death else { return };
        let connection = self.connections.get_mut(&id);
        if let Some(mut check) = connection.and_then(|one| one.check.take())
            && let Some(worker) = check.worker_mut()
        {
            self.account(&mut worker.process, death, false);
        }
        self.start_checks(now);
    }

    /// Ends what has taken too long: no answer is no.
    pub(super) fn tick_checks(&mut self, now: Instant) {
        let mut late = Vec::new();
        for (id, connection) in &mut self.connections {
            let Some(check) = &mut connection.check else {
                continue;
            };
            if let Some(worker) = check.worker_mut() {
                worker.enforce_deadline(now);
            }
            if check.until.is_some_and(|until| until <= now) {
                late.push((*id, usize::from(check.id.0)));
            }
        }
        for (id, check) in late {
            let text = format!("auth={}: no answer in time: ended", self.module(check));
            self.log.own(Level::Warn, Some(id.0), &text);
            let had_process = self.end_check(id, now);
            // Of a process `auth` hears by its channel.
            if !had_process {
                self.tell_checked(id, false);
            }
        }
        self.start_checks(now);
    }

    /// The connection goes. Who leaves while somebody else decides may have seen that it would be a
    /// no: it counts as one.
    pub(super) fn leaves_check(&mut self, id: ConnectionId, now: Instant) {
        if let Some(connection) = self.connections.get(&id)
            && !connection.leaving
            && connection.verdict.is_none()
            && let Some(Check {
                username,
                stage: Stage::Asked(_) | Stage::Command | Stage::Outside(_),
                ..
            }) = &connection.check
        {
            self.admission.penalties.failed(connection.source, now);
            let text = format!(
                "{}, who says to be {}, has left before the answer",
                Who(&connection.peer),
                quoted(username)
            );
            self.log.own(Level::Warn, Some(id.0), &text);
        }
        self.end_check(id, now);
    }

    /// Nobody waits for the check of this connection any more. Had it a process?
    pub fn end_check(&mut self, id: ConnectionId, now: Instant) -> bool {
        let connection = self.connections.get_mut(&id);
        match connection.and_then(|one| one.check.take()) {
            Some(Check {
                stage: Stage::Asked(worker),
                ..
            }) => {
                worker.process.kill();
                self.dismissed.push(worker.dismiss(now));
                return true;
            }
            Some(Check {
                stage: Stage::Command,
                ..
            }) => self.tell_launcher(SupervisorToLauncher::EndCheck(id)),
            Some(Check {
                stage: Stage::Starting(_),
                ..
            }) => self.tell_launcher(SupervisorToLauncher::EndCheck(id)),
            Some(Check {
                stage: Stage::Outside(mut outside),
                ..
            }) => {
                // What it has written it wrote before it answered.
                outside.log.read_last(&mut self.log, now);
                self.tell_launcher(SupervisorToLauncher::EndCheck(id));
                return true;
            }
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_all_the_room() {
        let [many, other] = [1, 2].map(|last| Wish {
            source: Source::V4([10, 0, 0, last]),
            scarce: None,
            stranger: true,
        });
        let waiting: Vec<_> = (1..40).map(|id| (ConnectionId(id), many)).collect();
        let mut running = Vec::new();
        while let Some(id) = next(&waiting, &running) {
            assert_eq!(id, ConnectionId(1));
            running.push(many);
        }
        assert_eq!(running.len(), MAX_PER_SOURCE);
        // Somebody else comes last and is next.
        let late = [&waiting[..], &[(ConnectionId(50), other)]].concat();
        assert_eq!(next(&late, &running), Some(ConnectionId(50)));
        assert_eq!(next(&late, &[other; MAX_CHECKS]), None);
    }

    #[test]
    fn a_kdc_is_not_asked_by_all_at_once() {
        let of = |last: u8, kerberos: bool| Wish {
            source: Source::V4([10, 0, 0, last]),
            scarce: kerberos.then_some(Scarce::Kerberos),
            stranger: true,
        };
        let running = (1..).take(MAX_KERBEROS);
        let running: Vec<_> = running.map(|last| of(last, true)).collect();
        let waiting = [
            (ConnectionId(1), of(100, true)),
            (ConnectionId(2), of(101, false)),
        ];
        assert_eq!(next(&waiting, &running), Some(ConnectionId(2)));
        assert_eq!(next(&waiting[..1], &running), None);
        assert_eq!(next(&waiting, &running[1..]), Some(ConnectionId(1)));
    }

    #[test]
    fn names_leave_room_for_other_checks() {
        let of = |last: u8, names: bool| Wish {
            source: Source::V4([10, 0, 0, last]),
            scarce: names.then_some(Scarce::Names),
            stranger: false,
        };
        let next_of = |wish, running: &[Wish]| next(&[(ConnectionId(1), wish)], running).is_some();
        let of_one = [of(1, true); MAX_NAMES_PER_SOURCE];
        assert!(!next_of(of(1, true), &of_one));
        assert!(next_of(of(2, true), &of_one) && next_of(of(1, false), &of_one));
        let all: Vec<_> = (1..).take(MAX_NAMES).map(|last| of(last, true)).collect();
        assert!(!next_of(of(100, true), &all));
        assert!(next_of(of(100, false), &all));
    }

    #[test]
    fn the_screen_is_not_covered() {
        let of = |last: u8, scarce| Wish {
            source: Source::V4([10, 0, 0, last]),
            scarce,
            stranger: false,
        };
        let shown = |last| of(last, Some(Scarce::Shown));
        let next_of = |wish, running: &[Wish]| next(&[(ConnectionId(1), wish)], running).is_some();
        assert!(next_of(shown(1), &[]));
        // One for each source, which may have other checks.
        assert!(!next_of(shown(1), &[shown(1)]));
        assert!(next_of(of(1, None), &[shown(1)]));
        assert!(next_of(
            shown(2),
            &[shown(1), of(2, None), of(2, Some(Scarce::Kerberos))]
        ));
        // Four for all.
        let three = [1, 2, 3].map(shown);
        assert!(next_of(shown(4), &three));
        let four = [1, 2, 3, 4].map(shown);
        assert!(!next_of(shown(5), &four));
        assert!(next_of(of(5, None), &four));
    }

    #[test]
    fn strangers_leave_a_place_and_make_room() {
        let of = |last: u8, stranger| Wish {
            source: Source::V4([10, 0, 0, last]),
            scarce: Some(Scarce::Shown),
            stranger,
        };
        let (known, stranger) = (|last| of(last, false), |last| of(last, true));
        let three = [1, 2, 3].map(stranger);
        assert_eq!(next(&[(ConnectionId(1), stranger(4))], &three), None);
        let waiting = [(ConnectionId(1), stranger(4)), (ConnectionId(2), known(5))];
        assert_eq!(next(&waiting, &three), Some(ConnectionId(2)));
        assert_eq!(next(&waiting, &three[1..]), Some(ConnectionId(2)));
        // The oldest makes room, but for one that waits for its own source's place.
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let running = [
            (ConnectionId(11), known(1), at(0)),
            (ConnectionId(12), stranger(2), at(2)),
            (ConnectionId(13), stranger(3), at(1)),
        ];
        let room = |wish| makes_room(&[(ConnectionId(1), wish)], &running);
        let (first, second) = (at(1) + SHOWN_AT_LEAST, at(2) + SHOWN_AT_LEAST);
        assert_eq!(room(stranger(4)), Some((ConnectionId(13), first)));
        assert_eq!(room(known(4)), Some((ConnectionId(13), first)));
        assert_eq!(room(known(2)), Some((ConnectionId(12), second)));
        // Not one of whom something is known, and not for who waits for something else.
        assert_eq!(room(stranger(1)), None);
        let other = Wish {
            scarce: None,
            ..stranger(4)
        };
        assert_eq!(room(other), None);
        assert_eq!(makes_room(&[], &running), None);
    }
}
