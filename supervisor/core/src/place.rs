//! The place of a worker of which there is one per session: who has it, who comes next, and
//! whether it still answers.

use crate::log::{Level, Log};
use crate::restarts::{Restarts, Verdict};
use crate::worker::{Death, Worker};
use ipc::channel::Message;
use ipc::verdict::Peer;
use policy::Role;
use std::time::{Duration, Instant};

/// So long it may take a worker to answer. An application that grabs the X server keeps `display`
/// waiting with everybody else.
const ANSWER: Duration = Duration::from_secs(10);

/// A question that is not answered yet.
struct Question {
    /// When the worker is taken for hung.
    until: Instant,
    /// Who said what of it in the meantime.
    accusers: Vec<(Peer, String)>,
}

/// A place that is filled again when its worker dies.
pub struct Place<Tx, Rx> {
    /// The worker, if there is one.
    pub worker: Option<Worker<Tx, Rx>>,
    /// It has said that it is ready.
    pub ready: bool,
    /// When the next one is to be started.
    pub due: Option<Instant>,
    /// Its predecessors.
    pub restarts: Restarts,
    /// Given up for this session.
    pub off: bool,
    /// The question whether it lives.
    ping: Tx,
    question: Option<Question>,
}

impl<Tx: Message, Rx: Message> Place<Tx, Rx> {
    /// An empty place. `ping`: what a worker answers that lives.
    #[must_use]
    pub fn new(role: Role, ping: Tx) -> Self {
        Self {
            worker: None,
            ready: false,
            due: None,
            restarts: Restarts::new(role),
            off: false,
            ping,
            question: None,
        }
    }

    /// The worker, if it can be used.
    pub fn usable(&mut self) -> Option<&mut Worker<Tx, Rx>> {
        self.worker.as_mut().filter(|_| self.ready)
    }

    /// Asks the worker whether it lives: when somebody begins to depend on it, so that one that
    /// hangs is found, and nobody is woken for nothing.
    pub fn ask(&mut self, log: &mut Log, now: Instant) {
        if self.question.is_some() || !self.ready {
            return;
        }
        if let Some(worker) = &mut self.worker {
            worker.tell(&self.ping, vec![], log);
            self.question = Some(Question {
                until: now + ANSWER,
                accusers: Vec::new(),
            });
        }
    }

    /// Somebody says that the worker breaks the rules, or does not read. One that is not there
    /// has nothing more to answer for.
    pub fn accuse(&mut self, accuser: Peer, what: &str, log: &mut Log, now: Instant) {
        self.ask(log, now);
        if let Some(question) = &mut self.question
            && !question.accusers.iter().any(|(other, _)| *other == accuser)
        {
            question.accusers.push((accuser, what.to_owned()));
        }
    }

    /// The worker lives; those were wrong about it.
    pub fn answered(&mut self) -> Vec<(Peer, String)> {
        self.question
            .take()
            .map(|question| question.accusers)
            .unwrap_or_default()
    }

    /// When something is to be done if nothing happens.
    pub fn deadline(&self) -> Option<Instant> {
        let worker = self.worker.as_ref().and_then(Worker::deadline);
        let question = self.question.as_ref().map(|question| question.until);
        [worker, question, self.due].into_iter().flatten().min()
    }

    /// Ends a worker whose time is over.
    pub fn enforce_deadline(&mut self, log: &mut Log, now: Instant) {
        let Some(worker) = &mut self.worker else {
            return;
        };
        worker.enforce_deadline(now);
        if self.question.as_ref().is_some_and(|it| it.until <= now) {
            self.question = None;
            let text = format!(
                "it has not answered for {} s: the process is ended",
                ANSWER.as_secs()
            );
            log.record(Level::Error, worker.process.origin(), text.as_bytes());
            worker.condemn();
        }
    }

    /// Gives the place to another worker, which is ready, also one that was given up. The one that had
    /// it, if others may depend on it still. How its predecessors ended goes on counting: it is the same
    /// program.
    pub fn replace(&mut self, worker: Worker<Tx, Rx>) -> Option<Worker<Tx, Rx>> {
        (self.due, self.off, self.question) = (None, false, None);
        self.ready = true;
        self.worker.replace(worker)
    }

    /// The worker has died (or could not be started); says what comes next.
    pub fn vacate(&mut self, death: Death, now: Instant) -> Verdict {
        self.worker = None;
        self.ready = false;
        self.question = None;
        let verdict = self.restarts.died(death.by_sandbox(), now);
        match verdict {
            Verdict::After(pause) => self.due = Some(now + pause),
            Verdict::Off => (self.off, self.due) = (true, None),
        }
        verdict
    }

    /// Is it time for the next one?
    pub fn take_due(&mut self, now: Instant) -> bool {
        let due = self.due.is_some_and(|due| due <= now);
        if due {
            self.due = None;
        }
        due
    }
}
