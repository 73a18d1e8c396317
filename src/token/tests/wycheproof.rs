//! A51: the vectors of C2SP's Wycheproof (`json_web_signature`, `json_web_key`, `json_web_crypto`),
//! from the folder in `PORTCULLIS_WYCHEPROOF`; and vectors of our own in the same form, always.
//!
//! Their payloads are mostly no claims, so these go up to the signature only.

use std::path::{Path, PathBuf};

use super::super::header::{Header, algorithm_named};
use super::super::jws::Jws;
use super::*;

/// What we answer otherwise than labelled, each with its reason.
const EXCEPTIONS: &[(&str, u64, &str)] = &[
    ("json_web_signature_test", 346, "the key says PS256, the token PS384: one key, one algorithm"),
    ("json_web_signature_test", 347, "ES512 is not supported"),
    ("json_web_signature_test", 350, "the key says PS256, the token PS384: one key, one algorithm"),
    ("json_web_signature_test", 351, "ES512 is not supported"),
    ("json_web_signature_test", 367, "byte for byte vector 357, which is labelled valid"),
    ("json_web_signature_test", 370, "byte for byte vector 357, which is labelled valid"),
    ("json_web_signature_test", 372, "a `?` inside base64url: we accept the canonical text only"),
    ("json_web_signature_test", 373, "a `?` inside base64url: we accept the canonical text only"),
    ("json_web_key_test", 2, "a secret in a JWK set: secrets come from the configuration only"),
    ("json_web_crypto_test", 48, "a secret in a JWK set: secrets come from the configuration only"),
    ("json_web_crypto_test", 50, "a JWE: not decrypted here"),
    ("json_web_crypto_test", 67, "a JWE: not decrypted here"),
];

/// The verdict on one vector: `None` when the key itself is not taken.
fn accepts(group: &Value, text: &str) -> bool {
    let Some(keys) = keys_of(group) else { return false };
    let signature_holds = || -> Result<(), TokenError> {
        let jws = Jws::split(BearerToken::new(text))?;
        let header = jws.header()?;
        let header = Header::parse(&header)?;
        jws.payload()?;
        keys.find(header.key_id(), header.algorithm)?.verify(&jws)
    };
    signature_holds().is_ok()
}

fn keys_of(group: &Value) -> Option<KeySet> {
    // A set of one secret stands for the one secret of a configuration.
    let private = match group["private"]["keys"].as_array().map(Vec::as_slice) {
        Some([only]) => only,
        _ => &group["private"],
    };
    let published = group.get("public").filter(|it| !it.is_null());
    if published.is_none() && private["kty"] == "oct" {
        let algorithm = algorithm_named(private["alg"].as_str()?)?;
        assert_eq!(private["use"], "sig");
        return KeySet::from_secret(&unb64(private["k"].as_str()?), &[algorithm]).ok();
    }
    let set = published.unwrap_or(private);
    let jwks = if set.get("keys").is_some() { set.clone() } else { json!({ "keys": [set] }) };
    KeySet::parse_jwks(jwks.to_string().as_bytes(), &EVERY_ALGORITHM).ok()
}

/// How many vectors were as labelled; panics with all that were not and are no exceptions.
fn judge(name: &str, file: &Path) -> usize {
    let text = std::fs::read_to_string(file).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let (mut wrong, mut valid) = (Vec::new(), Vec::new());
    let mut judged = 0;
    for group in file["testGroups"].as_array().unwrap() {
        for test in group["tests"].as_array().unwrap() {
            let id = test["tcId"].as_u64().unwrap();
            let text = match (&test["jws"], &test["jwe"]) {
                (Value::String(text), _) | (_, Value::String(text)) => text.clone(),
                (Value::Null, other) | (other, _) => other.to_string(),
            };
            judged += 1;
            let excepted = EXCEPTIONS.iter().any(|(of, it, _)| (*of, *it) == (name, id));
            let labelled = test["result"] == "valid";
            if accepts(group, &text) != (labelled ^ excepted) {
                wrong
                    .push(format!("{id} {} {} {}", test["comment"], test["result"], test["flags"]));
            }
            let doubled = valid.contains(&text);
            assert!(labelled || !excepted || doubled, "{name} {id}: only a valid text may pass");
            valid.extend(labelled.then_some(text));
        }
    }
    assert!(wrong.is_empty(), "{name}: {} of {judged}:\n{}", wrong.len(), wrong.join("\n"));
    judged
}

/// The folder of the vectors; a checkout beside ours also serves.
fn folder() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("PORTCULLIS_WYCHEPROOF") {
        return Some(folder.into());
    }
    let beside = ["../shared/testdata/wycheproof", "../../shared/testdata/wycheproof"];
    beside
        .map(|it| Path::new(env!("CARGO_MANIFEST_DIR")).join(it))
        .into_iter()
        .find(|it| it.is_dir())
}

#[test]
fn a51_wycheproof_is_answered_as_labelled() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/jws/own_vectors.json");
    assert!(judge("own_vectors", &own) >= 160);
    let Some(folder) = folder() else { return };
    for (name, count) in
        [("json_web_signature_test", 401), ("json_web_key_test", 26), ("json_web_crypto_test", 83)]
    {
        assert_eq!(judge(name, &folder.join(name).with_extension("json")), count, "{name}");
    }
}
