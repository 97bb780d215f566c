//! What the log says of logins: one record of each.

use serde_json::Value;

/// A record of a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The number of its connection.
    pub connection: u64,
    /// Was the client let in?
    pub let_in: bool,
    /// The record.
    pub text: String,
}

/// Those in the supervisor's records among these lines.
pub fn of<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<Verdict> {
    let verdict = |line: &str| {
        let record: Value = serde_json::from_str(line).ok()?;
        let text = record["message"].as_str()?;
        let let_in = text.contains(" is let in as ");
        let refused = text.contains(", who says to be ") && text.contains(" is refused by ");
        (record["role"] == "supervisor" && (let_in || refused)).then(|| Verdict {
            connection: record["connection"].as_u64().unwrap_or_default(),
            let_in,
            text: text.to_owned(),
        })
    };
    lines.into_iter().filter_map(verdict).collect()
}

/// Two records of one connection, if there are any.
#[must_use]
pub fn twice(verdicts: &[Verdict]) -> Option<[&Verdict; 2]> {
    verdicts.iter().enumerate().find_map(|(at, one)| {
        let mut later = verdicts[at + 1..].iter();
        let other = later.find(|other| other.connection == one.connection)?;
        Some([one, other])
    })
}
