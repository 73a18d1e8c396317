//! What an introspection endpoint may say, and what of it counts.

use serde_json::json;

use super::*;

const NOW: UnixTime = UnixTime::from_secs(1000);

fn claims() -> Claims {
    let claims = json!({
        "iss": "https://login.example.com/", "sub": "alice", "aud": ["orders-api", "carts-api"],
        "azp": "shop", "exp": 2000,
    });
    Claims::parse(claims.to_string().as_bytes()).expect("a claims set")
}

fn judged(answer: &str) -> Result<Answered, CallbackError> {
    judge(answer.as_bytes(), &claims(), NOW)
}

#[test]
fn an_active_token_that_is_ours_is_allowed_until_the_exp_that_is_named() {
    for (answer, end) in [
        (r#"{"active":true}"#, None),
        (r#"{"active":true,"exp":1500}"#, Some(1500)),
        (r#"{"active":true,"exp":1500.9}"#, Some(1500)),
        (r#"{"active":true,"sub":"alice","iss":"https://login.example.com/"}"#, None),
        (r#"{"active":true,"client_id":"shop","aud":"carts-api"}"#, None),
        (r#"{"active":true,"aud":["x","orders-api"],"scope":"a b","ext":{"a":[1]}}"#, None),
    ] {
        let expires_at = end.map(UnixTime::from_secs);
        assert_eq!(
            judged(answer),
            Ok(Answered { verdict: Verdict::Allow, expires_at }),
            "{answer}"
        );
    }
}

#[test]
fn a_token_that_is_not_active_or_has_ended_is_inactive() {
    for answer in [
        r#"{"active":false}"#,
        r#"{"active":false,"sub":"mallory"}"#,
        r#"{"active":true,"exp":1000}"#,
        r#"{"active":true,"exp":0}"#,
    ] {
        assert_eq!(judged(answer), Ok(Verdict::Inactive.into()), "{answer}");
    }
}

#[test]
fn an_answer_about_another_token_is_a_contradiction() {
    for answer in [
        r#"{"active":true,"sub":"mallory"}"#,
        r#"{"active":true,"sub":"Alice"}"#,
        r#"{"active":true,"sub":""}"#,
        r#"{"active":true,"iss":"https://login.example.com"}"#,
        r#"{"active":true,"client_id":"other"}"#,
        r#"{"active":true,"aud":"orders"}"#,
        r#"{"active":true,"aud":[]}"#,
        r#"{"active":true,"aud":["ORDERS-API"]}"#,
    ] {
        assert_eq!(judged(answer), Err(CallbackError::Contradiction), "{answer}");
    }
}

#[test]
fn what_can_be_read_in_two_ways_or_none_is_no_answer() {
    let deep = format!(r#"{{"active":true,"x":{}1{}}}"#, "[".repeat(40), "]".repeat(40));
    let wide: Vec<String> = (0..300).map(|n| format!("\"m{n}\":0")).collect();
    let wide = format!(r#"{{"active":true,{}}}"#, wide.join(","));
    for answer in [
        "",
        "true",
        "{}",
        "[]",
        r#"{"active":"true"}"#,
        r#"{"active":1}"#,
        r#"{"active":null}"#,
        r#"{"Active":true}"#,
        r#"{"active":false,"active":true}"#,
        r#"{"active":false,"\u0061ctive":true}"#,
        r#"{"active":true}{"active":true}"#,
        r#"{"active":true,}"#,
        r#"{"active":true,"sub":5}"#,
        r#"{"active":true,"sub":null}"#,
        r#"{"active":true,"iss":["https://login.example.com/"]}"#,
        r#"{"active":true,"aud":{"a":1}}"#,
        r#"{"active":true,"aud":["orders-api",5]}"#,
        r#"{"active":true,"exp":"1500"}"#,
        r#"{"active":true,"exp":-1}"#,
        r#"{"active":true,"exp":1e300}"#,
        r#"{"active":true"#,
        "\u{feff}{\"active\":true}",
        &*deep,
        &*wide,
    ] {
        assert_eq!(judged(answer), Err(CallbackError::Answer), "{answer}");
    }
}

#[test]
fn a_token_without_the_claim_has_nothing_to_contradict() {
    let bare = Claims::parse(br#"{"exp":2000}"#).expect("a claims set");
    let answer = br#"{"active":true,"iss":"a","sub":"b","client_id":"c","aud":"d"}"#;
    assert_eq!(judge(answer, &bare, NOW), Ok(Verdict::Allow.into()));
}

#[test]
fn client_and_secret_are_encoded_before_they_are_joined() {
    let value = basic("shop:1", &Secret::new(b"p%ss w\xc3\xb6rd".to_vec())).expect("a field");
    let text = value.to_str().expect("ASCII").strip_prefix("Basic ").expect("Basic");
    let pair = STANDARD.decode(text).expect("base64");
    assert_eq!(pair, b"shop%3A1:p%25ss+w%C3%B6rd");
}
