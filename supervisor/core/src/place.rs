//! The place of a worker of which there is one per session: who has it, and who comes next.

use crate::restarts::{Restarts, Verdict};
use crate::worker::{Death, Worker};
use policy::Role;
use std::time::Instant;

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
}

impl<Tx, Rx> Place<Tx, Rx> {
    /// An empty place.
    #[must_use]
    pub fn new(role: Role) -> Self {
        Self {
            worker: None,
            ready: false,
            due: None,
            restarts: Restarts::new(role),
            off: false,
        }
    }

    /// The worker, if it can be used.
    pub fn usable(&mut self) -> Option<&mut Worker<Tx, Rx>> {
        self.worker.as_mut().filter(|_| self.ready)
    }

    /// The worker has died (or could not be started); says what comes next.
    pub fn vacate(&mut self, death: Death, now: Instant) -> Verdict {
        self.worker = None;
        self.ready = false;
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
