//! The strict reader agrees with serde_json on what it accepts.

use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn an_object_is_read_as_it_stands() {
    let text = r#" {"a":null,"b":[true,-1,2.5,{"c":"\u00e9\n"}],"d":18446744073709551615} "#;
    let want = json!({"a": null, "b": [true, -1, 2.5, {"c": "é\n"}], "d": u64::MAX});
    assert_eq!(Value::Object(parse_object(text.as_bytes()).unwrap()), want);
    assert!(parse_object(b"{}").unwrap().is_empty());
}

#[test]
fn a_name_twice_is_refused_at_every_level_and_in_every_spelling() {
    for text in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"b":2,"a":3}"#,
        r#"{"a":1,"\u0061":1}"#,
        r#"{"x":{"a":1,"a":1}}"#,
        r#"{"x":[{"a":1},{"a":1,"a":1}]}"#,
        r#"{"":1,"":1}"#,
    ] {
        assert_eq!(parse_object(text.as_bytes()), Err(NotStrict), "{text}");
    }
    assert!(parse_object(br#"{"a":{"a":{"a":1}},"A":1}"#).is_ok());
}

#[test]
fn members_of_all_objects_together_are_bounded() {
    let objects = |count: usize| {
        let inner = vec![r#"{"a":1}"#; count].join(",");
        format!("{{\"x\":[{inner}]}}")
    };
    assert!(parse_object(objects(255).as_bytes()).is_ok());
    assert_eq!(parse_object(objects(256).as_bytes()), Err(NotStrict));
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |it| it.is_finite()).prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(".{0,6}", inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_serde_json_writes_is_read_back(inner in value()) {
        let text = json!({ "x": inner }).to_string();
        let want: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(Value::Object(parse_object(text.as_bytes()).unwrap()), want);
    }

    #[test]
    fn no_input_panics_and_none_is_accepted_that_serde_json_refuses(text in prop::collection::vec(any::<u8>(), 0..200)) {
        if parse_object(&text).is_ok() {
            prop_assert!(serde_json::from_slice::<Value>(&text).is_ok());
        }
    }
}
