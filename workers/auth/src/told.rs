//! What `network` says of a client before anybody is asked anything: each thing once, if at all.

use crate::headers;
use ipc::http::Header;
use ipc::spec::AuthStep;

/// Bounds of the fields of messages (see [`NetworkToAuth`](ipc::auth::NetworkToAuth)).
const MAX_CAPABILITIES: usize = 8;
const MAX_CAPABILITY: usize = 256;

/// It.
#[derive(Debug, Default)]
pub struct Told {
    capabilities: Option<Vec<Option<String>>>,
    headers: Option<Vec<Header>>,
}

impl Told {
    /// What the client says of itself. The error: what `network` never does.
    pub(crate) fn keep_capabilities(
        &mut self,
        values: Vec<Option<String>>,
    ) -> Result<(), &'static str> {
        let is_long = |value: &String| value.len() > MAX_CAPABILITY;
        if values.len() > MAX_CAPABILITIES || values.iter().flatten().any(is_long) {
            return Err("capabilities with too long fields");
        }
        match self.capabilities.replace(values) {
            None => Ok(()),
            Some(_) => Err("capabilities twice"),
        }
    }

    /// What was said in the request that opened its WebSocket. The error: what `network` never does.
    pub(crate) fn keep_headers(
        &mut self,
        headers: Vec<Header>,
        chain: &[AuthStep],
    ) -> Result<(), &'static str> {
        if !headers::may_be_told(&headers, chain) {
            return Err("headers that nobody asked for, or too many");
        }
        match self.headers.replace(headers) {
            None => Ok(()),
            Some(_) => Err("headers twice"),
        }
    }

    /// The value of one of the capabilities that the listener's modules look at.
    pub(crate) fn capability(&self, place: u8) -> Option<&str> {
        let values = self.capabilities.as_ref()?;
        values.get(usize::from(place))?.as_deref()
    }

    /// The headers that they look at.
    pub(crate) fn headers(&self) -> &[Header] {
        self.headers.as_deref().unwrap_or_default()
    }
}
