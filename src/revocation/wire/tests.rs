//! The wire format: what goes out comes back, and nothing that comes in breaks it.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::revocation::fixtures::revoke;

fn good() -> serde_json::Value {
    json!({
        "v": 1, "id": "0197a5b0-0000-7000-8000-000000000000", "op": "revoke", "issuer": "i",
        "claim": "jti", "value": "x", "expires_at": 9, "at": 1,
    })
}

#[test]
fn the_form_is_the_documented_one() {
    let mut record = revoke("sub", "u", Some(5), 9);
    record.id = Uuid::nil();
    record.reason = Some("left".into());
    let text = String::from_utf8(encode(&record)).expect("JSON is UTF-8");
    assert_eq!(
        text,
        r#"{"v":1,"id":"00000000-0000-0000-0000-000000000000","op":"revoke","issuer":"i","claim":"sub","value":"u","issued_before":5,"expires_at":9,"at":0,"actor":"ops","reason":"left"}"#
    );
}

#[test]
fn unknown_members_are_ignored_and_azp_is_the_client() {
    let mut text = good();
    text["later"] = json!({"deep": [1, 2, {"x": null}]});
    text["claim"] = json!("azp");
    let record = decode(text.to_string().as_bytes()).expect("a record");
    assert_eq!(&*record.name.claim, "client_id");
}

#[test]
fn what_is_not_a_record_is_refused() {
    let with = |member: &str, value: serde_json::Value| {
        let mut text = good();
        text[member] = value;
        text.to_string()
    };
    let table = [
        (String::new(), "malformed"),
        ("[]".into(), "malformed"),
        ("{}".into(), "malformed"),
        (good().to_string().replace('}', ""), "malformed"),
        (good().to_string().replace("\"v\":1", "\"v\":1,\"v\":1"), "malformed"),
        (good().to_string().replace("\"at\":1", "\"at\":1,\"at\":2"), "malformed"),
        (with("v", json!(2)), "version 2"),
        (with("v", json!("1")), "malformed"),
        (with("op", json!("enlist")), "malformed"),
        (with("claim", json!("registered")), "`claim` does not go"),
        (with("id", json!("x")), "malformed"),
        (with("value", json!(7)), "malformed"),
        (with("value", json!(null)), "malformed"),
        (with("expires_at", json!(-1)), "malformed"),
        (with("expires_at", json!(1.5)), "malformed"),
        (with("expires_at", json!(null)), "malformed"),
        (with("value", json!("v".repeat(MAX_VALUE + 1))), "`value` is too long"),
        (with("issuer", json!("v".repeat(MAX_ISSUER + 1))), "`issuer` is too long"),
        (with("claim", json!("v".repeat(MAX_CLAIM + 1))), "`claim` is too long"),
        (with("reason", json!("v".repeat(MAX_REASON + 1))), "`reason` is too long"),
        (with("actor", json!("v".repeat(MAX_ACTOR + 1))), "`actor` is too long"),
        (with("value", json!("a\0b")), "`value` holds"),
        (with("claim", json!("a\nb")), "`claim` holds"),
        (with("claim", json!("")), "`claim` is empty"),
        (with("issuer", json!("")), "`issuer` is empty"),
        (with("later", json!("x".repeat(MAX_RECORD))), "longer than"),
        ("[".repeat(MAX_RECORD), "malformed"),
    ];
    for (text, want) in table {
        let error = decode(text.as_bytes()).expect_err("not a record").to_string();
        assert!(error.contains(want), "{error} for {}", &text[..text.len().min(80)]);
    }
}

#[test]
fn a_record_that_would_not_come_back_is_refused_before_it_goes_out() {
    let mut record = revoke("jti", &"\u{1}".repeat(MAX_VALUE), None, 9);
    assert!(matches!(check(&record), Err(WireError::TooLong)));
    record.name.value = "v".repeat(MAX_VALUE).into();
    assert!(check(&record).is_ok());
}

#[test]
fn a_text_that_many_records_share_is_looked_at_again_when_it_is_another() {
    let mut checker = Checker::default();
    let good = revoke("jti", "x", None, 9);
    let bad = revoke("a\u{1}", "x", None, 9);
    for _ in 0..2 {
        checker.check(&good).expect("good");
        assert!(matches!(checker.check(&bad), Err(WireError::Character("claim"))));
    }
    let actor = Revocation { actor: Some("\0".into()), ..good };
    assert!(matches!(checker.check(&actor), Err(WireError::Character("actor"))));
}

fn register(members: &serde_json::Value) -> Result<Revocation, WireError> {
    let mut text = good();
    text["op"] = json!("register");
    for (member, value) in members.as_object().into_iter().flatten() {
        text[member] = value.clone();
    }
    decode(text.to_string().as_bytes())
}

#[test]
fn a_register_record_is_about_a_jti_and_kept_apart_from_its_revocation() {
    let details = json!({
        "subject": "u", "type": "refresh", "issued_at": 1, "expires_at": 8, "first_seen": 2,
        "last_seen": 3, "claims": [["sid", "s"]], "later": {"x": [1]},
    });
    let record = register(&json!({ "token": details, "issued_before": 5 })).expect("a record");
    assert_eq!(record.name, Name::registered("i".into(), "x".into()));
    assert_ne!(record.name, decode(good().to_string().as_bytes()).expect("a record").name);
    assert_eq!(record.issued_before, None);
    let token = record.token.as_deref().expect("details");
    assert_eq!(
        (token.subject.as_deref(), token.token_type.as_deref()),
        (Some("u"), Some("refresh"))
    );
    assert_eq!(token.claims, [("sid".into(), "s".into())]);
    let text = String::from_utf8(encode(&record)).expect("JSON is UTF-8");
    assert!(text.contains(r#""op":"register","issuer":"i","claim":"jti","value":"x""#), "{text}");
    assert_eq!(decode(text.as_bytes()).expect("a record"), record);
    let bare = register(&json!({})).expect("details are optional");
    assert_eq!(bare.token.as_deref(), Some(&TokenDetails::default()));
}

#[test]
fn what_is_not_a_register_record_is_refused() {
    let table = [
        (json!({ "claim": "sub" }), "`claim` does not go"),
        (json!({ "value": "" }), "`value` is empty"),
        (json!({ "token": "u" }), "malformed"),
        (json!({ "token": { "subject": 7 } }), "malformed"),
        (json!({ "token": { "claims": [["sid"]] } }), "malformed"),
        (json!({ "token": { "subject": "a\0" } }), "`token` holds"),
        (json!({ "token": { "subject": "x".repeat(MAX_VALUE + 1) } }), "`token` is too long"),
    ];
    for (members, want) in table {
        let error = register(&members).expect_err("not a record").to_string();
        assert!(error.contains(want), "{error} for {want}");
    }
    let revoked = revoke("registered", "x", None, 9);
    assert!(matches!(check(&revoked), Err(WireError::Reserved("claim"))));
}

#[test]
fn a_member_called_token_means_nothing_in_other_records() {
    let mut text = good();
    text["token"] = json!(["whatever", {"an": "application"}, 7]);
    assert_eq!(decode(text.to_string().as_bytes()).expect("a record").token, None);
}

proptest! {
    #[test]
    fn what_goes_out_comes_back(
        reinstate in any::<bool>(), id in any::<u128>(), issuer in "[^\\x00]{1,40}",
        claim in "[a-z_.:/]{1,40}", value in "[^\\x00]{0,200}",
        cutoff in proptest::option::of(any::<u64>()), expires in any::<u64>(), at in any::<u64>(),
        reason in proptest::option::of("[^\\x00]{0,80}"),
    ) {
        prop_assume!(claim != "azp");
        let record = Revocation {
            id: Uuid::from_u128(id),
            op: if reinstate { Op::Reinstate } else { Op::Revoke },
            name: Name { issuer: issuer.into(), claim: claim.into(), value: value.into() },
            issued_before: cutoff.map(UnixTime::from_secs),
            expires_at: UnixTime::from_secs(expires),
            at: UnixTime::from_secs(at),
            actor: reason.as_deref().map(Into::into),
            reason: reason.as_deref().map(Into::into),
            token: None,
        };
        prop_assert!(check(&record).is_ok());
        prop_assert_eq!(decode(&encode(&record)).expect("a record"), record);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(decode(&bytes).is_err());
    }

    #[test]
    fn a_record_with_one_byte_changed_does_not_make_it_panic(at in 0..150_usize, byte in any::<u8>()) {
        let mut bytes = good().to_string().into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(record) = decode(&bytes) {
            prop_assert!(check(&record).is_ok());
        }
    }
}
