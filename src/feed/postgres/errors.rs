//! What the server's errors mean to a feed.

use std::error::Error as _;

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::revocation::FeedError;

/// An error of the client or of the server, by what can be done about it.
pub(super) fn failed(error: &Error) -> FeedError {
    let Some(code) = error.code() else { return FeedError::Unreachable(chain(error).into()) };
    // Not the detail: it can repeat a row.
    let message = error.as_db_error().map_or_else(String::new, |error| error.message().to_owned());
    if passes(code) {
        return FeedError::Unreachable(message.into());
    }
    match code.code() {
        "42501" => {
            FeedError::Refused(format!("{message}; docs/feeds/postgres.md names the rights"))
        }
        "42P01" | "42703" | "42883" | "XX001" | "XX002" => FeedError::Corrupt(message),
        _ => FeedError::Refused(message),
    }
}

/// The server does not answer.
pub(super) fn no_answer() -> FeedError {
    FeedError::Unreachable("no answer in time".into())
}

/// Whether waiting may help: connections, shutdowns, a full server, locks, cancelled statements.
fn passes(code: &SqlState) -> bool {
    let code = code.code();
    let classes = ["08", "40", "57"];
    let single = ["53300", "55P03", "25006", "25P03"];
    classes.iter().any(|class| code.starts_with(class)) || single.contains(&code)
}

fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
