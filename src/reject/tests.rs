//! Every way of being refused, walked once: its code, reason, challenge and body.

use http_body_util::BodyExt;

use super::*;

const REQUEST: [RequestError; 9] = [
    RequestError::BadAuthority,
    RequestError::BadFraming,
    RequestError::BadHeader,
    RequestError::BadTarget,
    RequestError::TargetTooLong,
    RequestError::HeadersTooLarge,
    RequestError::BodyTooLarge,
    RequestError::MethodNotAllowed,
    RequestError::ExpectationFailed,
];
const TARGET: [TargetError; 3] =
    [TargetError::NoPath, TargetError::Ambiguous, TargetError::Malformed];
const BEARER: [BearerError; 7] = [
    BearerError::Missing,
    BearerError::Malformed,
    BearerError::Repeated,
    BearerError::Prefix,
    BearerError::CsrfMissing,
    BearerError::CsrfClaim,
    BearerError::CsrfMismatch,
];
const TOKEN: [TokenError; 15] = [
    TokenError::TooLong,
    TokenError::Malformed,
    TokenError::AlgorithmNotAllowed,
    TokenError::CriticalHeader,
    TokenError::TypeHeader,
    TokenError::UnknownIssuer,
    TokenError::UnknownKey,
    TokenError::BadSignature,
    TokenError::AudienceNotAccepted,
    TokenError::MissingClaim,
    TokenError::Expired,
    TokenError::NotYetValid,
    TokenError::LifetimeTooLong,
    TokenError::UnknownType,
    TokenError::KeysUnavailable,
];
const REVOCATION: [RevocationError; 11] = [
    RevocationError::NotRegistered,
    RevocationError::NoTokenId,
    RevocationError::RevokedToken,
    RevocationError::RevokedSubject,
    RevocationError::RevokedSession,
    RevocationError::RevokedClient,
    RevocationError::RevokedIssuer,
    RevocationError::RevokedKey,
    RevocationError::RevokedClaim,
    RevocationError::NotLoaded,
    RevocationError::Stale,
];
const ACCESS: [AccessError; 7] = [
    AccessError::CallbackDenied,
    AccessError::CallbackInactive,
    AccessError::NotFresh,
    AccessError::TokenType,
    AccessError::Issuer,
    AccessError::InsufficientScope,
    AccessError::Denied,
];
const CALLBACK: [CallbackError; 9] = [
    CallbackError::Answer,
    CallbackError::Busy,
    CallbackError::Connect,
    CallbackError::Contradiction,
    CallbackError::Down,
    CallbackError::Failed,
    CallbackError::Status,
    CallbackError::TimedOut,
    CallbackError::Unavailable,
];
const FORWARD: [ForwardError; 7] = [
    ForwardError::NoEndpoint,
    ForwardError::Connect,
    ForwardError::Protocol,
    ForwardError::Timeout,
    ForwardError::BodyTooLarge,
    ForwardError::BodyStalled,
    ForwardError::BodyBroken,
];

const CALL: [CallError; 13] = [
    CallError::AllNotBoolean,
    CallError::BodyBroken,
    CallError::BodyStalled,
    CallError::BodyTooLarge,
    CallError::Malformed,
    CallError::NoRegister,
    CallError::NoSubject,
    CallError::NoSuchToken,
    CallError::NotConfirmed,
    CallError::NotRecorded,
    CallError::RevokeMissing,
    CallError::RevokeNotBoolean,
    CallError::TakenByOthers,
];

fn all() -> Vec<Rejection> {
    let mut all = vec![
        Rejection::Route(RouteError::NotFound),
        Rejection::Route(RouteError::MethodNotAllowed("GET".into())),
    ];
    all.extend(REQUEST.map(Rejection::from));
    all.extend(TARGET.map(Rejection::from));
    all.extend(BEARER.map(Rejection::from));
    all.extend(TOKEN.map(Rejection::from));
    all.extend(REVOCATION.map(Rejection::from));
    all.extend(ACCESS.map(Rejection::from));
    all.extend(CALLBACK.map(Rejection::from));
    all.extend(FORWARD.map(Rejection::from));
    all.extend(CALL.map(Rejection::from));
    all
}

fn answer(rejection: Rejection) -> (http::response::Parts, serde_json::Value) {
    answer_in(ErrorProfile::Rfc6750, rejection)
}

fn answer_in(
    profile: ErrorProfile,
    rejection: Rejection,
) -> (http::response::Parts, serde_json::Value) {
    let scopes = ["a".into(), "b".into()];
    let (fresh, said) = (Some(Fresh::Marked), None);
    let (realm, request_id, form) = ("orders", "id-1", None);
    let context = Context { realm, scopes: &scopes, fresh, profile, form, said, request_id };
    let (head, body) = rejection.into_response(context).into_parts();
    let body = body.collect();
    let body =
        futures_util::FutureExt::now_or_never(body).expect("a fixed body").expect("no error");
    (head, serde_json::from_slice(&body.to_bytes()).expect("JSON"))
}

#[test]
fn every_reason_is_in_the_vocabulary_and_every_word_of_it_is_used() {
    let mut used: Vec<&str> = all().iter().map(Rejection::reason).collect();
    used.sort_unstable();
    used.dedup();
    assert_eq!(used, REASONS);
}

#[test]
fn every_code_is_used() {
    let used: std::collections::HashSet<Code> = all().iter().map(Rejection::code).collect();
    assert_eq!(used.len(), Code::ALL.len());
}

#[test]
fn every_refusal_is_a_problem_that_names_its_code_and_request() {
    for rejection in all() {
        let code = rejection.code();
        let (head, problem) = answer(rejection.clone());
        assert!(head.status.is_client_error() || head.status.is_server_error(), "{rejection:?}");
        assert_eq!(problem["code"], code.as_str());
        assert_eq!(problem["status"], head.status.as_u16());
        assert_eq!(problem["instance"], "urn:portcullis:request:id-1");
        assert_eq!(head.headers[CONTENT_TYPE], "application/problem+json");
        assert_eq!(head.headers[CACHE_CONTROL], "no-store");
    }
}

#[test]
fn a_401_always_challenges_and_a_503_never_does() {
    for rejection in all() {
        let (head, _) = answer(rejection.clone());
        let challenged = head.headers.contains_key(WWW_AUTHENTICATE);
        match head.status.as_u16() {
            401 => assert!(challenged, "{rejection:?}"),
            503 => {
                assert!(!challenged, "{rejection:?}");
                assert!(head.headers.contains_key(RETRY_AFTER), "{rejection:?}");
            }
            _ => {}
        }
    }
}

#[test]
fn the_clients_text_does_not_tell_which_check_of_the_token_failed() {
    let told = |error: TokenError| answer(error.into()).1["detail"].clone();
    for error in TOKEN {
        let known = matches!(error, TokenError::Expired | TokenError::KeysUnavailable);
        assert_eq!(told(error) == "The token is not accepted", !known, "{error:?}");
    }
}

#[test]
fn every_refusal_in_flask_s_form_is_a_message_without_a_challenge() {
    for rejection in all() {
        let (head, body) = answer_in(ErrorProfile::Flask, rejection.clone());
        assert_eq!(head.headers[CONTENT_TYPE], "application/json");
        assert!(!head.headers.contains_key(WWW_AUTHENTICATE), "{rejection:?}");
        assert_eq!(body, serde_json::json!({ "msg": rejection.detail() }));
    }
}
