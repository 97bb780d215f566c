//! What the stock 6.5.5 encoder and digests produce, byte for byte.

use serde_json::Value as Json;
use wire::challenge::{self, Digest};
use wire::rencodeplus::{self, BigInt, Budget, Value};

const BUDGET: Budget = Budget {
    depth: 64,
    items: 4096,
    bytes: 65536,
};

fn hex(json: &Json) -> Vec<u8> {
    let text = json.as_str().unwrap();
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
        .collect()
}

/// Python's `float.hex()`: `-0x1.8p+3`.
fn hex_float(text: &str) -> f64 {
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text),
    };
    let (mantissa, exponent) = text.strip_prefix("0x").unwrap().split_once('p').unwrap();
    let (whole, fraction) = mantissa.split_once('.').unwrap();
    let digits = u64::from_str_radix(&format!("{whole}{fraction}"), 16).unwrap();
    let scale = i32::try_from(fraction.len()).unwrap() * 4;
    let exponent: i32 = exponent.parse().unwrap();
    #[allow(clippy::cast_precision_loss)] // 53 bits at most
    let digits = digits as f64;
    sign * digits * 2f64.powi(exponent - scale)
}

fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::None,
        Json::Bool(v) => Value::Bool(*v),
        Json::String(v) => Value::Text(v.clone()),
        Json::Array(v) => Value::List(v.iter().map(value).collect()),
        Json::Object(v) => {
            let (kind, inner) = v.iter().next().unwrap();
            match kind.as_str() {
                "int" => {
                    let text = inner.as_str().unwrap();
                    BigInt {
                        negative: text.starts_with('-'),
                        magnitude: text.trim_start_matches('-').parse().unwrap(),
                    }
                    .into_value()
                }
                "float" => Value::Float(hex_float(inner.as_str().unwrap())),
                "bytes" => Value::Bytes(hex(inner)),
                "map" => Value::Dict(
                    inner
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|pair| (value(&pair[0]), value(&pair[1])))
                        .collect(),
                ),
                other => panic!("{other}"),
            }
        }
        Json::Number(n) => panic!("{n}"),
    }
}

#[test]
fn rencodeplus_valid() {
    let vectors: Json = serde_json::from_str(include_str!("data/rencodeplus.json")).unwrap();
    let valid = vectors["valid"].as_array().unwrap();
    assert_eq!(valid.len(), 58);
    for vector in valid {
        assert!(vector["decodes_to"].is_null(), "{vector}");
        let (value, bytes) = (value(&vector["value"]), hex(&vector["hex"]));
        assert_eq!(rencodeplus::encode(&value), bytes, "{vector}");
        assert_eq!(
            rencodeplus::decode(&bytes, &BUDGET).unwrap(),
            value,
            "{vector}"
        );
    }
}

#[test]
fn rencodeplus_malformed() {
    let vectors: Json = serde_json::from_str(include_str!("data/rencodeplus.json")).unwrap();
    let malformed = vectors["malformed"].as_array().unwrap();
    assert!(malformed.len() >= 12);
    for vector in malformed {
        let error = rencodeplus::decode(&hex(&vector["hex"]), &BUDGET).unwrap_err();
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn challenge() {
    let vectors: Json = serde_json::from_str(include_str!("data/challenge.json")).unwrap();
    let mut checked = 0;
    for vector in vectors["vectors"].as_array().unwrap() {
        let text = |key: &str| vector[key].as_str().unwrap();
        let salt_digest = Digest::parse(text("salt_digest")).unwrap();
        let combined = challenge::combined_salt(
            salt_digest,
            &hex(&vector["server_salt"]),
            &hex(&vector["client_salt"]),
        )
        .unwrap();
        assert_eq!(combined.as_bytes(), hex(&vector["combined"]));
        let Some(digest) = Digest::parse(text("digest")) else {
            assert!(text("digest").starts_with("hmac+blake2"));
            continue;
        };
        let password = text("password_utf8").as_bytes();
        let response = challenge::response(digest, password, &combined);
        assert_eq!(response, hex(&vector["response"]), "{vector}");
        if digest == Digest::Xor {
            assert_eq!(challenge::xor_response(&response, &combined), password);
        }
        checked += 1;
    }
    assert_eq!(checked, 54);
}

#[test]
fn weak_digests_do_not_exist() {
    for name in [
        "",
        "hmac",
        "hmac+md5",
        "hmac+sha1",
        "des",
        "md5",
        "hmac+SHA512",
        "xor ",
        "hmac+sha512+",
    ] {
        assert_eq!(Digest::parse(name), None, "{name}");
    }
}

#[test]
fn the_best_hash_is_chosen() {
    let offered: Vec<Digest> = ["xor", "hmac+sha3_256", "hmac+sha224", "hmac+sha384"]
        .into_iter()
        .filter_map(Digest::parse)
        .collect();
    assert_eq!(
        challenge::choose(&offered).unwrap().digest_name(),
        "hmac+sha384"
    );
    assert_eq!(challenge::choose(&[Digest::Xor]), None);
    assert_eq!(challenge::choose(&[]), None);
    assert!(challenge::combined_salt(Digest::Xor, b"s", b"c").is_err());
}
