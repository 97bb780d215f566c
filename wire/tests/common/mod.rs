//! The recorded session of stock 6.5.5 peers, as packets.

use serde_json::Value as Json;
use wire::packet::Packet;
use wire::rencodeplus::Value;

/// One line of the transcript.
pub struct Line {
    pub from: String,
    pub packet: Packet,
}

/// Byte strings are abbreviated in the transcript: the rest is zeros. Integer
/// keys are text there.
fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::None,
        Json::Bool(v) => Value::Bool(*v),
        Json::Number(n) => n
            .as_i64()
            .map(Value::Int)
            .or_else(|| n.as_f64().map(Value::Float))
            .unwrap(),
        Json::String(v) => Value::Text(v.clone()),
        Json::Array(v) => Value::List(v.iter().map(value).collect()),
        Json::Object(v) if v.len() == 2 && v.contains_key("bytes") && v.contains_key("hex") => {
            let text = v["hex"].as_str().unwrap();
            let mut bytes: Vec<u8> = (0..text.len())
                .step_by(2)
                .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
                .collect();
            let len = usize::try_from(v["bytes"].as_u64().unwrap()).unwrap();
            bytes.resize(len, 0);
            Value::Bytes(bytes)
        }
        Json::Object(v) => Value::dict(v.iter().map(|(k, v)| (k.clone(), value(v)))),
    }
}

/// The whole session.
pub fn transcript() -> Vec<Line> {
    include_str!("../data/xpra-6.5.5-gtk-seamless.jsonl")
        .lines()
        .map(|line| {
            let json: Json = serde_json::from_str(line).unwrap();
            let Value::List(items) = value(&json["packet"]) else {
                panic!("not a list: {line}");
            };
            let mut items = items.into_iter();
            let name = items.next().unwrap().to_text().unwrap();
            Line {
                from: json["from"].as_str().unwrap().to_owned(),
                packet: Packet {
                    name,
                    args: items.collect(),
                },
            }
        })
        .collect()
}
