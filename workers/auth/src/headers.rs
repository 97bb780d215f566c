//! `http-header`: what was said in the request that opened a client's WebSocket.

use crate::modules::is_same;
use ipc::http::Header;
use ipc::spec::{AuthModule, AuthStep};

/// May `network` tell this? Not more than it may, and nothing that no module of the chain looks at.
#[must_use]
pub fn may_be_told(headers: &[Header], chain: &[AuthStep]) -> bool {
    let asked = chain.iter().filter_map(|step| match &step.module {
        AuthModule::HttpHeader { header, .. } => Some(header.as_str()),
        _ => None,
    });
    let is_asked = |header: &Header| asked.clone().any(|name| header.is_named(name));
    let wanted = asked.clone().next().is_some();
    wanted && Header::are_bounded(headers) && headers.iter().all(is_asked)
}

/// Was this header there, once, and said this? Who says something twice, or adds to what others say, is not
/// believed: which of it is the proxy's, nobody knows.
#[must_use]
pub fn say(headers: &[Header], name: &str, wanted: &[u8]) -> bool {
    let mut named = headers.iter().filter(|header| header.is_named(name));
    match (named.next(), named.next()) {
        (Some(header), None) => is_same(wanted, value(&header.value)),
        _ => false,
    }
}

/// The value, without the optional whitespace around it (RFC 9110, section 5.5); nothing else is taken away.
fn value(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}
