//! `[errors.name]`: status and body of refusals where the operator has words of his own for them.

use std::sync::Arc;

use http::{HeaderValue, StatusCode};

use crate::code::Code;

use super::ErrorProfile;

/// A profile, and what is changed about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorForm {
    /// What routes call it; a profile's own name changes that profile.
    pub name: Arc<str>,
    /// What holds where nothing else is said.
    pub profile: ErrorProfile,
    /// The member of flask's body that holds the message.
    pub message_key: Box<str>,
    /// The body of every refusal that has none of its own.
    pub body: Option<Arc<Template>>,
    /// What is changed about single codes.
    pub codes: Vec<(Code, CodeForm)>,
}

/// What is changed about one code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodeForm {
    /// Another status of the same hundred.
    pub status: Option<StatusCode>,
    /// Another body.
    pub body: Option<Arc<Template>>,
}

/// A body with places for what differs from one refusal to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    media: Media,
    pieces: Vec<Piece>,
}

/// What a body is, which says how text is put into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    name: HeaderValue,
    escape: Escape,
}

/// What is filled in.
#[derive(Clone, Copy, Debug)]
pub struct Fill<'a> {
    /// The code.
    pub code: &'a str,
    /// One sentence.
    pub message: &'a str,
    /// The request's id.
    pub request_id: &'a str,
    /// The status that is sent.
    pub status: StatusCode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    Json,
    Html,
    Plain,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    Code,
    Message,
    RequestId,
    Status,
}

// === impl ErrorForm ===

impl ErrorForm {
    /// The status and the body that this code has instead of its usual ones.
    pub fn of(&self, code: Code) -> (Option<StatusCode>, Option<&Template>) {
        let own = self.codes.iter().find(|(it, _)| *it == code).map(|(_, own)| own);
        let body = own.and_then(|own| own.body.as_ref()).or(self.body.as_ref());
        (own.and_then(|own| own.status), body.map(|body| &**body))
    }
}

// === impl Template ===

impl Template {
    /// Reads `{code}`, `{message}`, `{request_id}` and `{status}`; whatever else is in braces is refused
    /// where it reads like one of them, and text where it does not.
    pub fn parse(text: &str, media: &Media) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, name, after)) = next_place(rest) {
            let piece = match name {
                "code" => Piece::Code,
                "message" => Piece::Message,
                "request_id" => Piece::RequestId,
                "status" => Piece::Status,
                other => return Err(format!("`{{{other}}}` is no placeholder")),
            };
            pieces.push(Piece::Text(before.into()));
            pieces.push(piece);
            rest = after;
        }
        pieces.push(Piece::Text(rest.into()));
        let template = Self { media: media.clone(), pieces };
        let fill = Fill { code: "c", message: "m", request_id: "r", status: StatusCode::FORBIDDEN };
        let sample = template.render(&fill);
        if media.escape == Escape::Json
            && let Err(error) = serde_json::from_str::<serde_json::Value>(&sample)
        {
            let (line, column) = (error.line(), error.column());
            return Err(format!("is not JSON once filled in: line {line}, column {column}"));
        }
        Ok(template)
    }

    /// The media type of what it makes.
    pub const fn media_type(&self) -> &HeaderValue {
        &self.media.name
    }

    /// The body, with everything filled in so that it stays the text that it is.
    pub fn render(&self, fill: &Fill<'_>) -> String {
        let mut out = String::with_capacity(256);
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Code => self.media.escape.put(&mut out, fill.code),
                Piece::Message => self.media.escape.put(&mut out, fill.message),
                Piece::RequestId => self.media.escape.put(&mut out, fill.request_id),
                Piece::Status => out.push_str(fill.status.as_str()),
            }
        }
        out
    }

    /// The text that it was made of.
    pub fn source(&self) -> String {
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => text.to_string(),
            Piece::Code => "{code}".to_owned(),
            Piece::Message => "{message}".to_owned(),
            Piece::RequestId => "{request_id}".to_owned(),
            Piece::Status => "{status}".to_owned(),
        };
        self.pieces.iter().map(text).collect()
    }
}

// === impl Media ===

impl Media {
    /// JSON of that name, plain text or HTML; `None` for what nothing can be put into safely.
    pub fn parse(name: &str) -> Option<Self> {
        let kind = name.strip_prefix("application/")?;
        let plain = kind.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.+".contains(&b));
        let json = plain && kind.len() <= 64 && (kind == "json" || kind.ends_with("+json"));
        let name = HeaderValue::from_str(name).ok().filter(|_| json)?;
        Some(Self { name, escape: Escape::Json })
    }

    /// `application/json`.
    pub const fn json() -> Self {
        Self { name: HeaderValue::from_static("application/json"), escape: Escape::Json }
    }

    /// `text/plain` in UTF-8.
    pub const fn plain() -> Self {
        Self { name: HeaderValue::from_static("text/plain; charset=utf-8"), escape: Escape::Plain }
    }

    /// `text/html` in UTF-8.
    pub const fn html() -> Self {
        Self { name: HeaderValue::from_static("text/html; charset=utf-8"), escape: Escape::Html }
    }
}

// === impl Escape ===

impl Escape {
    /// A message may repeat what a client sent.
    fn put(self, out: &mut String, text: &str) {
        match self {
            Self::Plain => out.push_str(text),
            Self::Json => {
                let quoted = serde_json::Value::from(text).to_string();
                // Its own quotes are the template's.
                out.push_str(&quoted[1..quoted.len() - 1]);
            }
            Self::Html => {
                for sign in text.chars() {
                    match sign {
                        '&' => out.push_str("&amp;"),
                        '<' => out.push_str("&lt;"),
                        '>' => out.push_str("&gt;"),
                        '"' => out.push_str("&quot;"),
                        '\'' => out.push_str("&#39;"),
                        sign => out.push(sign),
                    }
                }
            }
        }
    }
}

/// What stands before the next `{name}`, the name, and what follows; braces around anything but small
/// letters and `_` are text, as they are in JSON.
fn next_place(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(at) = text[from..].find('{').map(|at| from + at) {
        let rest = &text[at + 1..];
        let end = rest.find(|c: char| !(c.is_ascii_lowercase() || c == '_')).unwrap_or(rest.len());
        if end > 0 && rest[end..].starts_with('}') {
            return Some((&text[..at], &rest[..end], &rest[end + 1..]));
        }
        from = at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fill<'a>(message: &'a str) -> Fill<'a> {
        let status = StatusCode::UNAUTHORIZED;
        Fill { code: "token-expired", message, request_id: "id-1", status }
    }

    #[test]
    fn placeholders_are_filled_and_other_braces_are_text() {
        let table = [
            (r#"{"error":"{code}","text":"{message}"}"#, r#"{"error":"token-expired","text":"m"}"#),
            (r#"{"s":{status},"i":"{request_id}","o":{}}"#, r#"{"s":401,"i":"id-1","o":{}}"#),
            (r#"{"a":{"b":{}},"c":"{ code }"}"#, r#"{"a":{"b":{}},"c":"{ code }"}"#),
            ("[]", "[]"),
        ];
        for (text, want) in table {
            let template = Template::parse(text, &Media::json()).expect(text);
            assert_eq!(template.render(&fill("m")), want);
            assert_eq!(template.source(), text);
        }
        for (text, problem) in [
            (r#"{"a":"{cod}"}"#, "`{cod}` is no placeholder"),
            (r#"{"a":{code}}"#, "is not JSON once filled in: line 1, column 6"),
            ("{", "is not JSON"),
            ("", "is not JSON"),
        ] {
            let error = Template::parse(text, &Media::json()).expect_err(text);
            assert!(error.starts_with(problem), "{text}: {error}");
        }
        let html = Template::parse("<p>{message}</p>", &Media::html()).expect("HTML");
        assert_eq!(html.render(&fill("<b>'&\"")), "<p>&lt;b&gt;&#39;&amp;&quot;</p>");
        let plain = Template::parse("{code}: {message}\n", &Media::plain()).expect("text");
        assert_eq!(plain.render(&fill("<b>")), "token-expired: <b>\n");
    }

    #[test]
    fn a_media_type_is_one_that_text_can_be_put_into() {
        for name in ["application/json", "application/problem+json", "application/vnd.x-1+json"] {
            assert!(Media::parse(name).is_some(), "{name}");
        }
        for name in ["json", "application/xml", "application/+json\r\n", "application/js on+json"] {
            assert!(Media::parse(name).is_none(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_message_breaks_out_of_its_json_string(message in ".{0,40}") {
            let template = Template::parse(r#"{"m":"{message}","n":1}"#, &Media::json()).expect("JSON");
            let text = template.render(&fill(&message));
            let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            prop_assert_eq!(value, serde_json::json!({ "m": message, "n": 1 }));
        }
    }
}
