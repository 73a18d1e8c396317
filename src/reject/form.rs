//! Status and body of a refusal: the profile's, and over it what the operator has changed.

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use crate::config::{ErrorProfile, Fill};

use super::{Code, Context, challenge, flask, problem};

/// What an answer consists of beside its header fields.
pub(super) struct Content {
    pub(super) status: StatusCode,
    pub(super) media_type: Option<HeaderValue>,
    pub(super) body: Bytes,
}

/// Status, media type and body.
pub(super) fn content(code: Code, detail: &'static str, context: &Context<'_>) -> Content {
    let said = context.said.filter(|_| context.profile == ErrorProfile::Flask);
    let (own, template) = context.form.map_or((None, None), |form| form.of(code));
    let status = own.or(said.map(|said| said.status)).unwrap_or_else(|| code.status());
    let message = said.map_or(detail, |said| &*said.message);
    if let Some(template) = template {
        let (code, request_id) = (code.as_str(), context.request_id);
        let body = template.render(&Fill { code, message, request_id, status });
        let media_type = Some(template.media_type().clone());
        return Content { status, media_type, body: body.into() };
    }
    let (media_type, body) = match context.profile {
        ErrorProfile::Rfc6750 => {
            let instance = format!("urn:portcullis:request:{}", context.request_id);
            (Some(problem::MEDIA_TYPE), problem::body(code, detail, status, &instance))
        }
        ErrorProfile::Bare => (None, Bytes::new()),
        ErrorProfile::Flask => {
            let key = context.form.map_or("msg", |form| &*form.message_key);
            (Some(flask::MEDIA_TYPE), flask::body(key, message))
        }
    };
    Content { status, media_type: media_type.map(HeaderValue::from_static), body }
}

/// The challenge, which whoever gets a 401 is owed (RFC 9110 §15.5.2); flask-jwt-extended sends none.
pub(super) fn challenge(
    code: Code,
    status: StatusCode,
    context: &Context<'_>,
) -> Option<HeaderValue> {
    if context.profile == ErrorProfile::Flask {
        return None;
    }
    let owed = || (status == StatusCode::UNAUTHORIZED).then(|| challenge::plain(context)).flatten();
    challenge::challenge(code, context).or_else(owed)
}

/// Seconds after which it is worth trying again.
pub(super) fn retry_after(code: Code, status: StatusCode) -> Option<u8> {
    code.retry_after().or_else(|| (status == StatusCode::SERVICE_UNAVAILABLE).then_some(1))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
    use http_body_util::BodyExt;

    use crate::access::AccessError;
    use crate::config::{CodeForm, ErrorForm, Media, Template};
    use crate::forward::ForwardError;
    use crate::revocation::RevocationError;
    use crate::route::RouteError;
    use crate::token::{BearerError, TokenError};

    use super::super::{Rejection, Said};
    use super::*;

    fn form(profile: ErrorProfile, codes: Vec<(&str, u16, Option<&str>)>) -> ErrorForm {
        let template =
            |text: &str| Arc::new(Template::parse(text, &Media::json()).expect("a template"));
        let code = |(code, status, body): (&str, u16, Option<&str>)| {
            let status = StatusCode::from_u16(status).ok();
            (Code::of(code).expect("a code"), CodeForm { status, body: body.map(template) })
        };
        let codes = codes.into_iter().map(code).collect();
        ErrorForm { name: "x".into(), profile, message_key: "text".into(), body: None, codes }
    }

    fn answer(
        form: &ErrorForm,
        rejection: Rejection,
        said: Option<&Said>,
    ) -> (http::response::Parts, String) {
        let context = Context {
            realm: "orders",
            scopes: &[],
            fresh: None,
            profile: form.profile,
            form: Some(form),
            said,
            request_id: "id-1",
        };
        let (head, body) = rejection.into_response(context).into_parts();
        let body = futures_util::FutureExt::now_or_never(body.collect());
        let bytes = body.expect("a fixed body").expect("no error").to_bytes();
        (head, String::from_utf8(bytes.to_vec()).expect("UTF-8"))
    }

    #[test]
    fn a_code_has_the_status_and_the_body_that_it_was_given() {
        let own = form(
            ErrorProfile::Rfc6750,
            vec![
                ("token-expired", 419, Some(r#"{"e":"{code}","s":{status},"i":"{request_id}"}"#)),
                ("access-denied", 401, None),
                ("upstream-error", 503, None),
                ("method-not-allowed", 404, Some("{}")),
                ("revocation-stale", 500, Some("{}")),
            ],
        );
        let (head, body) = answer(&own, TokenError::Expired.into(), None);
        assert_eq!(head.status, 419);
        assert_eq!(body, r#"{"e":"token-expired","s":419,"i":"id-1"}"#);
        let (head, body) = answer(&own, AccessError::Denied.into(), None);
        assert_eq!(head.headers[WWW_AUTHENTICATE], "Bearer realm=\"orders\"");
        assert!(body.contains("\"status\":401"), "{body}");
        let (head, _) = answer(&own, ForwardError::Protocol.into(), None);
        assert_eq!(
            (head.status.as_u16(), &head.headers[RETRY_AFTER]),
            (503, &"1".parse().unwrap())
        );
        let (head, _) = answer(&own, RevocationError::Stale.into(), None);
        assert_eq!((head.status.as_u16(), head.headers.contains_key(RETRY_AFTER)), (500, true));
        let (head, body) = answer(&own, RouteError::MethodNotAllowed("GET".into()).into(), None);
        assert_eq!(
            (head.status.as_u16(), &*body, &head.headers[ALLOW]),
            (404, "{}", &"GET".parse().unwrap())
        );
        let (head, _) = answer(&own, BearerError::Missing.into(), None);
        assert_eq!(head.status, 401);
        assert!(head.headers.contains_key(WWW_AUTHENTICATE));
    }

    #[test]
    fn flask_s_message_has_another_key_and_its_words_fill_a_template() {
        let own = form(ErrorProfile::Flask, vec![("token-revoked", 403, Some(r#"["{message}"]"#))]);
        let said = Said { status: StatusCode::UNPROCESSABLE_ENTITY, message: "a \"b\"".into() };
        let (head, body) = answer(&own, TokenError::BadSignature.into(), Some(&said));
        assert_eq!((head.status.as_u16(), &*body), (422, "{\"text\":\"a \\\"b\\\"\"}\n"));
        let (head, body) = answer(&own, RevocationError::RevokedToken.into(), Some(&said));
        assert_eq!((head.status.as_u16(), &*body), (403, r#"["a \"b\""]"#));
    }
}
