use crate::packet::Map;
use crate::rencodeplus::Value;

/// The answer to a `version` request: constant text, whoever asks.
pub fn version_reply(version: &str) -> Map {
    vec![("version".into(), version.into())]
}

/// The answer to a `connect_test` request.
pub fn connect_test_reply(text: &str) -> Map {
    vec![("connect_test_response".into(), text.into())]
}

/// The answer to a `command` request: 0 or an error code, and text.
pub fn command_reply(code: i32, text: &str) -> Map {
    vec![(
        "command_response".into(),
        Value::List(vec![code.into(), text.into()]),
    )]
}

/// The answer to an `id` request. `xpra list-sessions` and its like print
/// these keys.
pub fn id_reply(
    session_name: &str,
    uuid: &str,
    machine_id: &str,
    display: &str,
    pid: u32,
    version: &str,
) -> Map {
    [
        ("session-type", Value::from("seamless")),
        ("session-name", session_name.into()),
        ("uuid", uuid.into()),
        ("platform", "linux".into()),
        ("pid", pid.into()),
        ("machine-id", machine_id.into()),
        ("version", version.into()),
        ("display", display.into()),
    ]
    .into_iter()
    .map(|(key, value)| (key.into(), value))
    .collect()
}
