//! What a process finds when it is executed: its descriptors and its start parameters.

use crate::{Enforced, Error, Options, sys};
use policy::Role;
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

/// Descriptors below this number belong to the standard streams.
const FIRST: i32 = 3;

/// Where a role sits: its descriptors, its start parameters, and what confines it.
#[derive(Debug)]
pub struct Seat {
    role: Role,
    options: Options,
    descriptors: BTreeMap<i32, OwnedFd>,
    pub(crate) named_files: Vec<OwnedFd>,
    pub(crate) enforced: Enforced,
}

impl Seat {
    /// Takes the descriptors of the role's table. One that is missing, or that is open between
    /// them and not declared, is an error; everything above the table is closed.
    pub(crate) fn take(role: Role, options: Options) -> Result<Self, Error> {
        let policy = policy::of(role);
        let mut descriptors = BTreeMap::new();
        let last = policy.descriptors.iter().map(|entry| entry.fd).max();
        let mut fd = 0;
        loop {
            let entry = policy.descriptor(fd);
            match (sys::is_open(fd), entry) {
                (true, Some(_)) if fd >= FIRST => {
                    descriptors.insert(fd, sys::adopt(fd));
                }
                (true, Some(_)) => {}
                // The end of an open-ended table.
                (false, Some(entry)) if entry.onwards => break,
                (false, Some(entry)) if !entry.optional => {
                    return Err(Error::MissingDescriptor(fd));
                }
                (_, None) if Some(fd) > last => break,
                (true, None) => return Err(Error::UndeclaredDescriptor(fd)),
                (false, _) => {}
            }
            fd += 1;
        }
        sys::close_from(fd);
        sys::log_without_waiting();
        Ok(Self {
            role,
            options,
            descriptors,
            named_files: Vec::new(),
            enforced: Enforced::default(),
        })
    }

    /// The role.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The start parameters.
    #[must_use]
    pub fn options(&self) -> Options {
        self.options
    }

    /// What confines the process. Complete when `work` runs.
    #[must_use]
    pub fn enforced(&self) -> &Enforced {
        &self.enforced
    }

    /// Takes the descriptor with this number of the role's table, once: 3 is the channel to the
    /// supervisor. `None` for one that is optional and was not passed, or that was taken before.
    pub fn descriptor(&mut self, fd: i32) -> Option<OwnedFd> {
        self.descriptors.remove(&fd)
    }

    /// In the warm-up: this file is one of the `named-files` of the role's policy, which may be read
    /// by their names. Of a role without that word among its paths it changes nothing.
    pub fn name_file(&mut self, file: OwnedFd) {
        self.named_files.push(file);
    }

    /// Takes the channel to the supervisor (descriptor 3).
    ///
    /// # Panics
    /// When it was taken before: the runtime has seen to it that it is there.
    pub fn supervisor(&mut self) -> OwnedFd {
        self.descriptor(3)
            .expect("descriptor 3 is declared, and taken once")
    }

    /// Takes all descriptors from this number on, in order.
    pub fn descriptors_from(&mut self, first: i32) -> Vec<OwnedFd> {
        self.descriptors.split_off(&first).into_values().collect()
    }
}
