//! Who stays when another client comes (protocol: sharing). Pure.

use ipc::ConnectionId;
use ipc::network::ClientDescription;

/// What happens to a client that asks for the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It gets it; these are told `new client` and go.
    Attach {
        /// Who goes.
        replaced: Vec<ConnectionId>,
    },
    /// It is told `session busy`.
    Busy,
}

/// Decides. `sharing` is the server's option: yes, no, or if all clients agree.
#[must_use]
pub fn decide(
    sharing: Option<bool>,
    new: &ClientDescription,
    attached: &[(ConnectionId, &ClientDescription)],
) -> Decision {
    let same = |old: &ClientDescription| !new.uuid.is_empty() && old.uuid == new.uuid;
    let (own, others): (Vec<_>, Vec<_>) = attached.iter().partition(|(_, old)| same(old));
    let mut replaced: Vec<_> = own.into_iter().map(|(id, _)| id).collect();
    let shared = |old: &ClientDescription| sharing.unwrap_or(new.share && old.share);
    if !others.iter().all(|(_, old)| shared(old)) {
        if !new.steal {
            return Decision::Busy;
        }
        replaced.extend(others.into_iter().map(|(id, _)| id));
    }
    Decision::Attach { replaced }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(uuid: &str, share: bool, steal: bool) -> ClientDescription {
        ClientDescription {
            uuid: uuid.into(),
            share,
            steal,
            ..ClientDescription::default()
        }
    }

    #[test]
    fn the_table_of_the_protocol() {
        let first = client("a", true, true);
        let attached = [(ConnectionId(1), &first)];
        let stay = Decision::Attach { replaced: vec![] };
        let take = Decision::Attach {
            replaced: vec![ConnectionId(1)],
        };
        for (sharing, uuid, share, steal, expected) in [
            // The same client replaces itself, whatever is said about sharing.
            (Some(true), "a", true, true, &take),
            (Some(false), "a", false, false, &take),
            (None, "a", true, false, &take),
            // sharing=yes.
            (Some(true), "b", false, true, &stay),
            (Some(true), "b", false, false, &stay),
            // Both agree.
            (None, "b", true, true, &stay),
            (None, "b", true, false, &stay),
            // One does not.
            (None, "b", false, true, &take),
            (None, "b", false, false, &Decision::Busy),
            // sharing=no.
            (Some(false), "b", true, true, &take),
            (Some(false), "b", true, false, &Decision::Busy),
            // No uuid is nobody's.
            (Some(true), "", false, true, &stay),
        ] {
            let new = client(uuid, share, steal);
            assert_eq!(
                &decide(sharing, &new, &attached),
                expected,
                "{sharing:?} {new:?}"
            );
        }
        let unnamed = client("", false, true);
        assert_eq!(
            decide(Some(true), &unnamed, &[(ConnectionId(1), &unnamed)]),
            stay
        );
        assert_eq!(decide(Some(false), &client("b", false, false), &[]), stay);
    }

    #[test]
    fn own_and_others_go_together_and_nobody_goes_for_a_refused_one() {
        let (own, other) = (client("a", true, true), client("b", false, true));
        let attached = [(ConnectionId(1), &own), (ConnectionId(2), &other)];
        assert_eq!(
            decide(None, &client("a", true, true), &attached),
            Decision::Attach {
                replaced: vec![ConnectionId(1), ConnectionId(2)]
            }
        );
        assert_eq!(
            decide(None, &client("a", true, false), &attached),
            Decision::Busy
        );
    }
}
