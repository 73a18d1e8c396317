//! Moving in: another program's block list, read once (`import`) or for as long as both run (`follow`),
//! and revoked here through the control port.

#[cfg(any(feature = "redis", feature = "postgres"))]
mod delivery;
#[cfg(feature = "redis")]
mod follow;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "postgres")]
mod sql;

use super::Failure;
use super::args::{FollowArgs, From, ImportArgs};
use super::transfer;

/// `portcullis import`.
pub(super) async fn import(args: ImportArgs) -> Result<(), Failure> {
    let from_file = args.from == From::Ndjson;
    if from_file && args.source.is_given() {
        let text = "a store's options go with --from flask-redis and --from flask-sql";
        return Err(Failure::Usage(text.into()));
    }
    if !from_file && args.file.is_some() {
        return Err(Failure::Usage(
            "a file goes with --from ndjson; name the store's --url".into(),
        ));
    }
    if !from_file && args.wait.wait.is_some() {
        return Err(Failure::Usage("--wait goes with --from ndjson".into()));
    }
    match args.from {
        From::Ndjson => transfer::import(args).await,
        #[cfg(feature = "redis")]
        From::FlaskRedis => redis::import(&args).await,
        #[cfg(not(feature = "redis"))]
        From::FlaskRedis => Err(not_built("redis")),
        #[cfg(feature = "postgres")]
        From::FlaskSql => sql::import(&args).await,
        #[cfg(not(feature = "postgres"))]
        From::FlaskSql => Err(not_built("postgres")),
    }
}

/// `portcullis follow`.
#[cfg(feature = "redis")]
pub(super) async fn follow(args: FollowArgs) -> Result<(), Failure> {
    follow::follow(&args).await
}

/// `portcullis follow`.
#[cfg(not(feature = "redis"))]
pub(super) async fn follow(_args: FollowArgs) -> Result<(), Failure> {
    Err(not_built("redis"))
}

#[cfg(not(all(feature = "redis", feature = "postgres")))]
fn not_built(feature: &str) -> Failure {
    Failure::Usage(format!("this program was built without the cargo feature `{feature}`"))
}
