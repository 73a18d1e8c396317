//! What is said of a bearer's call that was not done.

use crate::self_service::CallError;

use super::Code;

pub(super) const fn code(error: CallError) -> Code {
    match error {
        CallError::AllNotBoolean
        | CallError::Malformed
        | CallError::RevokeMissing
        | CallError::RevokeNotBoolean => Code::InvalidBody,
        CallError::BodyBroken => Code::BadRequest,
        CallError::BodyStalled => Code::RequestTimeout,
        CallError::BodyTooLarge => Code::BodyTooLarge,
        CallError::NoRegister => Code::NoRoute,
        CallError::NoSubject | CallError::TakenByOthers => Code::AccessDenied,
        CallError::NoSuchToken => Code::TokenNotFound,
        CallError::NotConfirmed | CallError::NotRecorded => Code::NotRecorded,
    }
}

pub(super) const fn reason(error: CallError) -> &'static str {
    match error {
        CallError::AllNotBoolean
        | CallError::Malformed
        | CallError::RevokeMissing
        | CallError::RevokeNotBoolean => "call_body",
        CallError::BodyBroken => "body_broken",
        CallError::BodyStalled => "body_stalled",
        CallError::BodyTooLarge => "body",
        CallError::NoRegister => "no_register",
        CallError::NoSubject => "no_subject",
        CallError::NoSuchToken => "no_such_token",
        CallError::NotConfirmed => "not_confirmed",
        CallError::NotRecorded => "not_recorded",
        CallError::TakenByOthers => "taken_by_others",
    }
}
