//! A11 to A14, A41: the token's form, its base64url and its JSON.

use super::*;

#[test]
fn a11_only_the_canonical_base64url_is_accepted() {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let token = token();
    let parts: Vec<_> = token.split('.').collect();
    let put = |index: usize, text: &str| {
        let mut parts = parts.clone();
        parts[index] = text;
        parts.join(".")
    };
    for (index, part) in parts.iter().copied().enumerate() {
        let (start, last) = part.split_at(part.len() - 1);
        for letter in ALPHABET.iter().map(|it| char::from(*it)).filter(|it| !last.contains(*it)) {
            assert_refused(&put(index, &format!("{start}{letter}")), "another last letter");
        }
        for tail in ["=", "==", "===", "A", "AA", " ", "\n", "\r\n", "\t", "%2e", "%3D", "\0", "?"]
        {
            assert_refused(&put(index, &format!("{part}{tail}")), tail);
        }
        let (a, b) = part.split_at(part.len() / 2);
        for middle in [" ", "\n", "\r\n", "=", "%", "?", "é", "+", "/", ".", "\u{0}"] {
            assert_refused(&put(index, &format!("{a}{middle}{b}")), middle);
        }
        assert_refused(&put(index, &format!(" {part}")), "space in front");
    }
    assert!(verify(&token).is_ok());
}

#[test]
fn a11_no_other_text_of_one_letter_difference_is_accepted() {
    for key in [&*RSA, &*EC, &*ED] {
        let token = key.sign(&Map::new(), &claims());
        for index in 0..token.len() {
            let (start, rest) = token.split_at(index);
            let (letter, end) = rest.split_at(1);
            for other in ["A", "z", "_", "=", ""] {
                if other != letter {
                    assert_refused(&format!("{start}{other}{end}"), "one letter");
                }
            }
        }
    }
}

#[test]
fn a11_the_alphabet_of_plain_base64_is_refused() {
    // A payload whose encoding has both letters in which the alphabets differ.
    let mut payload = claims_with(json!({ "x": "\u{fbef}>>??\u{7ff}~~~" })).to_string();
    while !(b64(&payload).contains('-') && b64(&payload).contains('_')) {
        payload = payload.replacen("\"x\":\"", "\"x\":\"?>~\u{ff}", 1);
    }
    let token = token_of(&payload);
    assert!(verify(&token).is_ok());
    for (from, to) in [("-", "+"), ("_", "/")] {
        let (signed, signature) = token.rsplit_once('.').unwrap();
        assert_refused(&format!("{}.{signature}", signed.replace(from, to)), to);
        assert_refused(&token.replace(from, to), to);
    }
}

#[test]
fn a12_exactly_three_segments_are_accepted() {
    let token = token();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    for odd in [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        header.into(),
        signed.into(),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.{signature}"),
        format!("{token}.{signature}.{signature}"),
        format!("{header}..{signature}"),
        format!("{header}..{payload}.{signature}"),
        format!(".{payload}.{signature}"),
        format!("{token}{token}"),
        format!("{token},{token}"),
        format!("{token} {token}"),
        format!("\"{token}\""),
        format!("'{token}'"),
        format!("{token}#fragment"),
        format!("{token}\0"),
        format!("\0{token}"),
        format!(
            "{{\"payload\":\"{payload}\",\"protected\":\"{header}\",\"signature\":\"{signature}\"}}"
        ),
    ] {
        assert_eq!(assert_refused(&odd, &odd), TokenError::Malformed);
    }
}

#[test]
fn a13_a_payload_or_header_that_is_not_one_strict_json_object_is_refused() {
    let good = claims().to_string();
    let rest = &good[1..];
    let mut odd: Vec<Vec<u8>> =
        ["null", "[]", "\"text\"", "1", "", " ", "true", "{", "}", "{}{}", "[{}]", "NaN"]
            .map(|text| text.as_bytes().to_vec())
            .into();
    for text in [
        format!("\u{feff}{good}"),
        format!("{good},"),
        format!("{good}x"),
        format!("{good}\0"),
        format!("{good}{{}}"),
        format!("{{,{rest}"),
        format!("{},}}", &good[..good.len() - 1]),
        format!("{{\"x\":NaN,{rest}"),
        format!("{{\"x\":Infinity,{rest}"),
        format!("{{\"x\":01,{rest}"),
        format!("{{\"x\":1.,{rest}"),
        format!("{{\"x\":+1,{rest}"),
        format!("{{\"x\":0x1,{rest}"),
        format!("{{/* */{rest}"),
        format!("{{// \n{rest}"),
        format!("{{'x':1,{rest}"),
        format!("{{x:1,{rest}"),
        format!("{{\"x\":\"\n\",{rest}"),
        format!("{{\"x\":\"\\x41\",{rest}"),
        format!("[{good}]"),
        good.replace('"', "'"),
    ] {
        odd.push(text.into_bytes());
    }
    odd.push([b"{\"x\":\"\xff\xfe\",", rest.as_bytes()].concat());
    odd.push([b"{\"x\":\"\xc0\xaf\",", rest.as_bytes()].concat());
    odd.push([b"{\"x\":\"\xed\xa0\x80\",", rest.as_bytes()].concat());
    odd.push(good.encode_utf16().flat_map(u16::to_le_bytes).collect());
    for payload in odd {
        let shown = String::from_utf8_lossy(&payload).into_owned();
        assert_eq!(assert_refused(&token_of(&payload), &shown), TokenError::Malformed);
    }
    for header in
        ["null", "[]", "\"RS256\"", "", "{\"alg\":\"RS256\"},", "\u{feff}{\"alg\":\"RS256\"}"]
    {
        assert_eq!(assert_refused(&token_under(header), header), TokenError::Malformed);
    }
}

#[test]
fn a13_white_space_between_the_parts_of_the_json_is_no_fault() {
    let spaced = claims().to_string().replace(',', " ,\r\n\t").replace(':', " : ");
    let back = |text: String| text.replace("https : //", "https://");
    assert!(verify(&token_of(back(format!(" {spaced} ")))).is_ok());
    assert!(verify(&token_under("{ \"alg\" : \"RS256\" ,\n\t\"kid\":\"rsa\" } ")).is_ok());
}

#[test]
fn a14_json_that_is_deep_huge_or_repeats_itself_is_refused_without_harm() {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let digits = "9".repeat(5000);
    let equal = "\"a\":1,".repeat(900);
    let many = |count: usize| (0..count).map(|i| format!("\"m{i}\":1,")).collect::<String>();
    let rest = claims().to_string()[1..].to_owned();
    for payload in [
        claims_text("x", &deep(3000)),
        claims_text("x", &deep(32)),
        claims_text("x", &digits),
        claims_text("x", "1e999999999"),
        claims_text("x", "\"\\ud800\""),
        claims_text("x", "\"\\udc00\\ud800\""),
        format!("{{{equal}{rest}"),
        format!("{{{}{rest}", many(257)),
        claims_text("x", "{\"a\":1,\"a\":1}"),
        claims_text("x", "[{\"a\":1,\"\\u0061\":2}]"),
    ] {
        let error = assert_refused(&token_of(&payload), &payload);
        assert!(matches!(error, TokenError::Malformed | TokenError::TooLong), "{error:?}");
    }
    assert!(verify(&token_of(claims_text("x", &deep(31)))).is_ok());
    assert!(verify(&token_of(format!("{{{}{rest}", many(240)))).is_ok());
    let header = format!(r#"{{"alg":"RS256","kid":"rsa","x":{}}}"#, deep(1500));
    assert_refused(&token_under(header), "deep header");
}

#[test]
fn a41_a_token_above_8_kib_is_not_looked_at_and_dots_cost_nothing() {
    for length in [8 * 1024 + 1, 16 * 1024, 64 * 1024, 1024 * 1024] {
        assert_eq!(assert_refused(&"a".repeat(length), "long"), TokenError::TooLong);
        assert_eq!(assert_refused(&".".repeat(length), "dots"), TokenError::TooLong);
    }
    assert_eq!(assert_refused(&".".repeat(2000), "2000 dots"), TokenError::Malformed);
    let long = token_of(claims_with(json!({ "x": "a".repeat(5000) })).to_string());
    assert!(long.len() > 6 * 1024 && verify(&long).is_ok());
}

proptest::proptest! {
    #[test]
    fn no_text_panics_and_none_is_accepted(text in ".{0,300}", header in ".{0,60}", payload in ".{0,60}") {
        proptest::prop_assert!(verify(&text).is_err());
        let token = [b64(header), b64(payload), b64(text)].join(".");
        proptest::prop_assert!(verify(&token).is_err());
    }
}
