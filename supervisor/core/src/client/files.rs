//! The operator's files that decide who is let in: whoever connects finds them as they are by their
//! names then. We hold them open, unread, for the processes that need them; the launcher, which may
//! open something, looks whether one is another by now.

use crate::log::Level;
use crate::session::Session;
use crate::worker::Worker;
use ipc::auth::SupervisorToAuth;
use ipc::keys::SupervisorToKeys;
use ipc::launcher::{FileId, SupervisorToLauncher};
use ipc::spec::{FdIndex, SupervisorSpec};
use policy::Role;
use std::os::fd::OwnedFd;
use std::time::Instant;

/// Who has a descriptor of the file, and where among its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    /// `auth`: a secret.
    Auth(u16),
    /// `keys`: key data.
    Keys(u16),
    /// The processes of a check.
    Check { check: usize, place: usize },
}

/// Does somebody who waits find the files as they are?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// Nobody has been asked.
    No,
    /// The launcher has.
    Asked,
    /// It has answered, or none decides.
    Yes,
}

/// The launcher has been asked, and has not answered.
#[derive(Debug, Default)]
pub struct Look {
    /// Somebody has waited for it in vain, and the log says so.
    late: bool,
}

/// A file with a name.
#[derive(Debug)]
pub struct Named {
    holder: Holder,
    /// Why there is none now.
    lost: Option<String>,
}

impl Named {
    /// Those of a session. `own` tells which descriptors the processes of each check get.
    ///
    /// # Errors
    /// A descriptor that nobody gets.
    pub fn all<'s>(
        spec: &'s SupervisorSpec,
        own: impl Iterator<Item = &'s [FdIndex]> + Clone,
    ) -> Result<Vec<Self>, String> {
        let holder = |fd: FdIndex| {
            // The first is the spec.
            let among = |fds: &[FdIndex]| {
                let mut secrets = (0..).zip(fds.iter().skip(1));
                Some(secrets.find(|(_, held)| **held == fd)?.0)
            };
            if let Some(index) = among(&spec.auth_fds) {
                return Some(Holder::Auth(index));
            }
            if let Some(index) = among(&spec.keys_fds) {
                return Some(Holder::Keys(index));
            }
            own.clone().enumerate().find_map(|(check, fds)| {
                let place = fds.iter().position(|held| *held == fd)?;
                Some(Holder::Check { check, place })
            })
        };
        let named = |fd: &FdIndex| {
            let holder = holder(*fd).ok_or_else(|| format!("descriptor {fd} is nobody's"))?;
            Ok(Self { holder, lost: None })
        };
        spec.files.iter().map(named).collect()
    }
}

impl Session {
    /// Has the files looked at for those who have come since that was last asked. One question at a time, so
    /// strangers cost no more than that.
    pub(super) fn look(&mut self) {
        if self.look.is_some() {
            return;
        }
        let mut asks = false;
        for waiting in self.waiting.values_mut() {
            if waiting.spoke && waiting.looked == Looked::No {
                waiting.looked = Looked::Asked;
                asks = true;
            }
        }
        if asks {
            self.look = Some(Look::default());
            self.tell_launcher(SupervisorToLauncher::Look);
        }
    }

    /// All is known of the files that those have to know for whom it was asked.
    pub fn looked(&mut self) {
        self.look = None;
        for waiting in self.waiting.values_mut() {
            if waiting.looked == Looked::Asked {
                waiting.looked = Looked::Yes;
            }
        }
        self.look();
    }

    /// Somebody has waited for too long, perhaps for this.
    pub(super) fn look_is_late(&mut self) {
        if let Some(look) = &mut self.look
            && !std::mem::replace(&mut look.late, true)
        {
            let text = "nobody is let in: the launcher does not say what has become of the files that decide about it; does a file system hang?";
            self.log.own(Level::Error, None, text);
        }
    }

    /// Tells a new process of this role which of its files are lost: it has got what they were.
    pub fn tell_lost(&mut self, role: Role) {
        let lost = self.files.iter().filter(|named| named.lost.is_some());
        for holder in lost.map(|named| named.holder).collect::<Vec<_>>() {
            match holder {
                Holder::Auth(_) if role == Role::Auth => self.tell_holder(holder, None),
                Holder::Keys(_) if role == Role::Keys => self.tell_holder(holder, None),
                _ => {}
            }
        }
    }

    /// Passes a file on, or says that there is none; also to a process that is about to be ready: it has
    /// what was there when it was started.
    fn tell_holder(&mut self, holder: Holder, file: Option<OwnedFd>) {
        let fds = Vec::from_iter(file);
        let there = !fds.is_empty();
        match holder {
            Holder::Auth(index) => {
                let message = match there {
                    true => SupervisorToAuth::Secret { index },
                    false => SupervisorToAuth::NoSecret { index },
                };
                if let Some(auth) = &mut self.auth.worker {
                    auth.tell(&message, fds, &mut self.log);
                }
            }
            Holder::Keys(index) => {
                let message = match there {
                    true => SupervisorToKeys::Secret { index },
                    false => SupervisorToKeys::NoSecret { index },
                };
                if let Some(keys) = &mut self.keys.worker {
                    keys.tell(&message, fds, &mut self.log);
                }
            }
            Holder::Check { .. } => {}
        }
    }

    /// Another file has the name of one; `name` is what the log calls it.
    pub fn other_file(&mut self, file: FileId, name: &str, fds: Vec<OwnedFd>, now: Instant) {
        let named = self.files.get_mut(usize::from(file.0));
        // The channel has checked that there is exactly one.
        let (Some(named), Some(fd)) = (named, fds.into_iter().next()) else {
            return;
        };
        named.lost = None;
        let holder = named.holder;
        let copy = match holder {
            Holder::Check { .. } => None,
            Holder::Auth(_) | Holder::Keys(_) => Some(fd.try_clone()),
        };
        let held = match holder {
            Holder::Auth(index) => self.auth_fds.get_mut(usize::from(index) + 1),
            Holder::Keys(index) => self.keys_fds.get_mut(usize::from(index) + 1),
            Holder::Check { check, place } => {
                let held = self.check_fds.get_mut(check);
                held.and_then(|held| held.get_mut(place))
            }
        };
        if let Some(held) = held {
            *held = fd;
        }
        match copy {
            Some(Ok(copy)) => self.tell_holder(holder, Some(copy)),
            // The next one gets it from the start.
            Some(Err(error)) => {
                let text = format!("a file cannot be passed on: {error}");
                self.log.own(Level::Error, None, &text);
                match holder {
                    Holder::Keys(_) => self.keys.worker.as_mut().map(Worker::condemn),
                    _ => self.auth.worker.as_mut().map(Worker::condemn),
                };
            }
            None => {}
        }
        // It has begun with the one before.
        if matches!(holder, Holder::Keys(_)) && self.reload.trial().is_some() {
            self.refuse_visitor("a key file is another one since: try again", now);
        }
        let text = format!("{name} is another one now, and counts");
        self.log.own(Level::Info, None, &text);
    }

    /// There is none that can be used by the name of one.
    pub fn no_file(&mut self, file: FileId, reason: String) {
        let Some(named) = self.files.get_mut(usize::from(file.0)) else {
            return;
        };
        let holder = named.holder;
        if named.lost.as_ref() != Some(&reason) {
            let text = format!("{reason}: until that is mended nobody is let in with it");
            self.log.own(Level::Error, None, &text);
            named.lost = Some(reason);
            self.tell_holder(holder, None);
        }
    }

    /// Is a file missing that the processes of a check need?
    pub(super) fn lacks_file(&self, of: usize) -> bool {
        self.files.iter().any(|named| {
            let needs = matches!(named.holder, Holder::Check { check, .. } if check == of);
            needs && named.lost.is_some()
        })
    }
}
