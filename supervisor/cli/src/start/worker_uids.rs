//! The user ids of the workers, in a start as root.

use crate::error::{Error, Result};
use crate::session::Owner;

/// Where the workers' user ids begin in a start as root, 32 for each display.
const WORKER_UIDS: u32 = 1_900_000_000;
/// How many a session has.
const WORKER_UIDS_EACH: u32 = 32;

/// Where the workers' user ids begin; `None` but in a start as root.
pub fn worker_uids(base: Option<u32>, owner: &Owner, display: u32) -> Result<Option<u32>> {
    if owner.switch.is_none() {
        return match base {
            Some(_) => Err(Error::usage("--worker-uid-base is for a start as root")),
            None => Ok(None),
        };
    }
    let of_display = || {
        display
            .checked_mul(WORKER_UIDS_EACH)
            .and_then(|offset| WORKER_UIDS.checked_add(offset))
    };
    let range = base.or_else(of_display).and_then(|first| {
        let last = first.checked_add(WORKER_UIDS_EACH - 1)?;
        (first > 0 && last < u32::MAX).then_some(first..=last)
    });
    match range {
        Some(range) if !range.contains(&owner.user.uid) => Ok(Some(*range.start())),
        _ => Err(Error::usage(format!(
            "{}: {WORKER_UIDS_EACH} user ids from there on must be nobody's, and not root's",
            match base {
                Some(base) => format!("--worker-uid-base={base}"),
                None => format!(
                    "the workers' user ids of display :{display}; name others with --worker-uid-base="
                ),
            }
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users::user;
    use ipc::spec::SessionUser;

    fn owner(uid: u32) -> Owner {
        let mut user = user("root").unwrap();
        user.uid = uid;
        let switch = Some(SessionUser {
            uid,
            gid: uid,
            groups: vec![],
        });
        Owner { user, switch }
    }

    #[test]
    fn they_are_nobody_elses_and_do_not_overflow() {
        let of = |base, uid, display| worker_uids(base, &owner(uid), display);
        assert_eq!(of(None, 1000, 0), Ok(Some(1_900_000_000)));
        assert_eq!(of(None, 1000, 65_535), Ok(Some(1_902_097_120)));
        assert_eq!(of(Some(5000), 1000, 7), Ok(Some(5000)));
        let highest = u32::MAX - WORKER_UIDS_EACH;
        assert_eq!(of(Some(highest), 1000, 7), Ok(Some(highest)));
        for (base, uid, display) in [
            (None, 1000, 149_685_831),
            (None, 1000, u32::MAX),
            (None, 1_900_000_230, 7),
            (Some(0), 1000, 7),
            (Some(highest + 1), 1000, 7),
            (Some(u32::MAX), 1000, 7),
            (Some(995), 1000, 7),
        ] {
            let error = of(base, uid, display).unwrap_err().to_string();
            assert!(error.contains("must be nobody's"), "{error}");
        }
        let own = Owner {
            switch: None,
            ..owner(1000)
        };
        assert_eq!(worker_uids(None, &own, 7), Ok(None));
        assert!(worker_uids(Some(5000), &own, 7).is_err());
    }
}
