//! What a server is asked about the user who logs in: the password, then, when that was right, the
//! sessions.

use crate::Failure;
use ipc::sessions::Summary;
use std::time::Instant;
use zeroize::Zeroizing;

/// Columns about sessions: user, group, displays, variables and options.
const SESSIONS: usize = 5;

/// A server that has let us in.
pub trait Database {
    /// The row that one SELECT with these parameters gives, if it gives one: as many values as it is to
    /// have columns.
    ///
    /// # Errors
    /// [`Failure`]; then there are no further questions.
    fn row(
        &mut self,
        query: &str,
        parameters: &[&[u8]],
        columns: usize,
    ) -> Result<Option<Vec<Value>>, Failure>;

    /// From now on nobody waits for longer than until then.
    fn end_by(&mut self, until: Instant);

    /// Sends a good-bye, if that can be done at once.
    fn leave(&mut self);
}

/// A value in a row.
pub enum Value {
    /// None.
    Null,
    /// What a column of texts has.
    Text(Zeroizing<Vec<u8>>),
    /// What a column of integers has, in decimal digits.
    Number(String),
}

/// A password, if there is one for that user.
pub type Found = Option<Zeroizing<Vec<u8>>>;

/// The password of a user, by a query with one parameter.
///
/// # Errors
/// [`Failure`].
pub fn password(
    database: &mut dyn Database,
    query: &str,
    username: &str,
) -> Result<Found, Failure> {
    let row = database.row(query, &[username.as_bytes()], 1)?;
    match row.map(|row| row.into_iter().next()) {
        None => Ok(None),
        Some(Some(Value::Text(password))) => Ok(Some(password)),
        // Of a number it is not known how it was written.
        Some(_) => Err(Failure::NoText),
    }
}

/// What the server says of the sessions of a user, if anything, by a query with one parameter, or two: the
/// password as it is stored.
///
/// # Errors
/// [`Failure`].
pub fn sessions(
    database: &mut dyn Database,
    query: &str,
    username: &str,
    password: Option<&[u8]>,
) -> Result<Option<Summary>, Failure> {
    let both = [username.as_bytes(), password.unwrap_or_default()];
    let (one, _) = both.split_at(1);
    let parameters = if password.is_some() { &both } else { one };
    let row = database.row(query, parameters, SESSIONS);
    let row = row.map_err(|error| match error {
        Failure::Columns => Failure::NoSessions("the query does not give five columns"),
        Failure::NoText => Failure::NoSessions("something that is no text"),
        error => error,
    })?;
    let Some(row) = row else {
        return Ok(None);
    };
    let mut texts = [""; SESSIONS];
    for (text, value) in texts.iter_mut().zip(&row) {
        *text = match value {
            Value::Null => "",
            Value::Number(number) => number,
            Value::Text(bytes) => std::str::from_utf8(bytes)
                .map_err(|_| Failure::NoSessions("a text that is not UTF-8"))?,
        };
    }
    Summary::read(texts).map_err(Failure::NoSessions)
}
