//! Capabilities by number and name: capability.h.

/// Names of capabilities by number: capability.h.
const CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// The number of a capability.
pub fn number_of(name: &str) -> Option<usize> {
    CAPABILITIES.iter().position(|known| *known == name)
}

/// A set in words.
pub fn capability_names(set: u64) -> String {
    let known = (1_u64 << CAPABILITIES.len()) - 1;
    match set & known {
        0 if set == 0 => "none".to_owned(),
        all if all == known => "all".to_owned(),
        some => {
            let names: Vec<_> = CAPABILITIES
                .iter()
                .enumerate()
                .filter(|(n, _)| some & 1 << n != 0)
                .map(|(_, name)| *name)
                .collect();
            match names.len() {
                0 => format!("{set:#x}"),
                1..=6 => names.join(","),
                many => format!("{many} of {}", CAPABILITIES.len()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::{Role, StartMode};

    #[test]
    fn every_capability_of_the_policies_is_known() {
        for role in Role::ALL {
            for mode in StartMode::ALL {
                for name in policy::of(role).capabilities(mode) {
                    assert!(number_of(name).is_some(), "{name}");
                }
            }
        }
        assert_eq!(capability_names(0), "none");
        assert_eq!(capability_names((1 << 41) - 1), "all");
        assert_eq!(capability_names(1 << 5), "CAP_KILL");
        assert_eq!(capability_names(0xff), "8 of 41");
    }
}
