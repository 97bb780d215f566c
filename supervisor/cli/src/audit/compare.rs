//! One process against the policy of its role.

use super::Entry;
use super::capabilities::{capability_names, number_of};
use super::descriptors::{Sockets, classify};
use crate::proc::{Process, Seen};
use policy::{Role, StartMode};
use std::collections::BTreeMap;

/// What the processes of a session are compared with.
#[derive(Debug)]
pub struct Around {
    /// How the session was started.
    pub mode: StartMode,
    /// The launcher's namespaces: those that the session was started in.
    pub outside: Option<BTreeMap<String, u64>>,
    /// The launcher's system-call filters: those of a container or a unit of systemd's, not ours.
    pub outside_filters: u32,
    /// The kernel's sockets.
    pub sockets: Sockets,
}

/// What is known of a process, and what differs from its policy.
#[must_use]
pub fn entry(role: Role, process: &Process, around: &Around) -> Entry {
    let confined = policy::of(role).unconfined.is_none();
    let mut entry = Entry {
        role: role.name(),
        pid: process.pid,
        uid: process.uids.get(1).copied().unwrap_or_default(),
        seccomp: match process.seccomp {
            0 => "none",
            1 => "strict",
            _ => "filter",
        },
        seccomp_filters: process.filters,
        no_new_privs: process.no_new_privs,
        capabilities: capability_names(
            process
                .capabilities
                .get("CapEff")
                .copied()
                .unwrap_or(u64::MAX),
        ),
        dumpable: process.dumpable,
        namespaces: own_namespaces(process, around.outside.as_ref()),
        namespaces_not_readable: Vec::new(),
        descriptors: match &process.descriptors {
            Seen::Known(all) => Some(all.len()),
            Seen::Hidden => None,
        },
        label: process.label.clone(),
        confined,
        differences: Vec::new(),
        not_readable: Vec::new(),
    };
    // Of the launcher, too: it has no sandbox, but the cookie and the supervisor's ear.
    if process.dumpable == Some(true) {
        let text = "it is dumpable: its owner's other processes may attach";
        entry.differences.push(text.into());
    }
    if confined {
        compare(role, process, around, &mut entry);
    }
    entry
}

/// Filters that a role puts on top of those from outside: its own, and a worker that of the supervisor as well.
pub(super) fn filters(role: Role) -> u32 {
    let own = |role: Role| 1 + policy::of(role).refusals.len();
    let inherited = role.is_worker().then(|| own(Role::Supervisor));
    u32::try_from(own(role) + inherited.unwrap_or(0)).unwrap_or(u32::MAX)
}

fn compare(role: Role, process: &Process, around: &Around, entry: &mut Entry) {
    let mode = around.mode;
    let policy = policy::of(role);
    let filters = around.outside_filters + filters(role);
    let mut differs = |text: String| entry.differences.push(text);
    if process.seccomp != 2 {
        differs("no system-call filter".into());
    } else if let Some(count) = process.filters.filter(|count| *count < filters) {
        differs(format!(
            "{count} system-call filters, where {filters} belong"
        ));
    }
    if !process.no_new_privs {
        differs("no_new_privs is not set".into());
    }
    if process
        .uids
        .iter()
        .any(|uid| process.uids.first() != Some(uid))
    {
        differs(format!("several user ids: {:?}", process.uids));
    }
    let allowed = policy
        .capabilities(mode)
        .iter()
        .filter_map(|name| number_of(name))
        .fold(0, |set, n| set | 1 << n);
    let own_user_namespace = policy
        .namespaces(mode)
        .iter()
        .any(|namespace| namespace.name() == "user");
    for (set, value) in &process.capabilities {
        // Without a user namespace of one's own the bounding set needs a capability to be changed;
        // under no_new_privs it gives nothing.
        let harmless = *set == "CapBnd" && mode == StartMode::User && !own_user_namespace;
        if value & !allowed != 0 && !harmless {
            differs(format!("{set} has {}", capability_names(value & !allowed)));
        }
    }
    for limit in policy.limits {
        let name = limit.resource.proc_name();
        let above = |value: Option<u64>| value.is_none_or(|value| value > limit.value);
        match process.limits.get(name) {
            Some((soft, hard)) if !above(*soft) && !above(*hard) => {}
            Some((_, hard)) => differs(format!(
                "limit {} is {}, where {} belongs",
                limit.resource.name(),
                hard.map_or_else(|| "unlimited".into(), |hard| hard.to_string()),
                limit.value
            )),
            None => differs(format!("limit {} is not there", limit.resource.name())),
        }
    }
    let wanted = policy.namespaces(mode);
    // With the empty directory goes what tells everybody that nothing is mounted.
    let empty_root = policy.descriptors.iter().any(|entry| entry.closed_at_start);
    let shown =
        |name: &str| crate::proc::SHOWN_TO_ALL.contains(&name) && (name != "mnt" || empty_root);
    if !wanted.is_empty() {
        let all_known = matches!(process.namespaces, Seen::Known(_)) && around.outside.is_some();
        for namespace in wanted {
            let name = namespace.name();
            if entry.namespaces.iter().any(|own| own == name) {
            } else if all_known || shown(name) {
                let text = format!("no {name} namespace of its own");
                entry.differences.push(text);
            } else {
                entry.namespaces_not_readable.push(name);
            }
        }
        match process.own_root {
            _ if !empty_root => {}
            Seen::Known(true) => entry
                .differences
                .push("its root directory is not the empty one".into()),
            Seen::Known(false) => {}
            Seen::Hidden => entry.not_readable.push("root directory"),
        }
    }
    if !entry.namespaces_not_readable.is_empty() {
        entry.not_readable.push("other namespaces");
    }
    match &process.descriptors {
        Seen::Known(all) => {
            for (number, link) in all {
                let (kind, what) = classify(link, &around.sockets);
                let fd = i32::try_from(*number).unwrap_or(i32::MAX);
                if !kind.is_some_and(|kind| policy.may_hold(fd, kind)) {
                    let text = format!("descriptor {number} is {what}");
                    entry.differences.push(text);
                }
            }
            for entry_of_table in policy.descriptors {
                let missing =
                    !u32::try_from(entry_of_table.fd).is_ok_and(|fd| all.contains_key(&fd));
                if entry_of_table.is_kept() && missing {
                    let text = format!("descriptor {} is not open", entry_of_table.fd);
                    entry.differences.push(text);
                }
            }
        }
        Seen::Hidden => entry.not_readable.push("descriptors"),
    }
}

/// The namespaces that are not those of the launcher. Who may not read that is still shown some
/// of it in other places.
fn own_namespaces(process: &Process, outside: Option<&BTreeMap<String, u64>>) -> Vec<String> {
    match (&process.namespaces, outside) {
        (Seen::Known(own), Some(outside)) => own
            .iter()
            .filter(|(name, number)| outside.get(*name) != Some(number))
            .map(|(name, _)| name.clone())
            .collect(),
        _ => process
            .apart
            .iter()
            .map(|name| (*name).to_owned())
            .collect(),
    }
}
