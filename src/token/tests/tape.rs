//! What lies on a tape, and what is taken for none.

use super::*;
use crate::token::strict_json::parse_with;

fn read(json: &str) -> Option<Tape> {
    let length = json.len();
    parse_with(json.as_bytes(), |bounds, de| TapeSeed { bounds, length }.deserialize(de)).ok()
}

fn value(tape: &Tape, name: &str) -> Option<Value> {
    tape.root().member(name).map(Claim::to_value)
}

fn many(names: impl Iterator<Item = usize>) -> Option<Tape> {
    let members: Vec<String> = names.map(|name| format!("\"m{name}\":{name}")).collect();
    read(&format!("{{{}}}", members.join(",")))
}

#[test]
fn no_name_is_there_twice_however_many_there_are() {
    for count in [1, 2, FEW - 1, FEW, FEW + 1, 200] {
        let tape = many(0..count).expect("distinct names");
        assert_eq!(tape.root().members().count(), count);
        assert_eq!(value(&tape, "m0"), Some(Value::from(0)));
        for doubled in [0, count / 2, count - 1] {
            assert!(many((0..count).chain([doubled])).is_none(), "{doubled} of {count}");
        }
    }
    assert!(read(r#"{"iss":1,"\u0069ss":2}"#).is_none());
    assert!(read(r#"{"":1,"":2}"#).is_none());
}

#[test]
fn what_is_read_is_said_again() {
    let json = r#"{"sub":"a","b\"":[1,{"c":null}],"exp":1.5}"#;
    let tape = read(json).expect("an object");
    assert_eq!(serde_json::to_string(&tape.root()).unwrap(), json);
    assert_eq!(
        Value::Object(tape.root().to_object()),
        serde_json::from_str::<Value>(json).unwrap()
    );
    assert_eq!(
        (value(&tape, "b\""), value(&tape, "b")),
        (Some(Value::from(vec![Value::from(1), serde_json::json!({"c": null})])), None)
    );
}

#[test]
fn what_is_asked_for_is_what_lies_there() {
    let json = r#"{"a":"x","b":{"c":[null,true,-1,1.5,"y",{"d":[]}],"e":{}},"f":[],"g":"","h":7}"#;
    let (tape, tree) = (read(json).expect("an object"), serde_json::from_str::<Value>(json));
    let (root, tree) = (tape.root(), tree.unwrap());
    for name in ["h", "b", "a", "f", "g"] {
        assert_eq!(value(&tape, name).as_ref(), tree.get(name), "{name}");
    }
    let inner = root.member("b").and_then(|b| b.member("c")).unwrap();
    assert_eq!(inner.to_value(), tree["b"]["c"]);
    assert_eq!(inner.items().nth(4).and_then(Claim::as_str), Some("y"));
    assert_eq!(inner.items().count(), 6);
    assert!(root.member("a").unwrap().items().next().is_none());
    assert!(root.member("f").unwrap().members().next().is_none());
    assert_eq!(root.members().count(), 5);
    assert!(["c", "x", ""].into_iter().all(|name| root.member(name).is_none()));
}
