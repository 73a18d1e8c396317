//! The arguments that say where another program's block list is.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

#[cfg(any(feature = "redis", feature = "postgres"))]
use crate::cli::Failure;
#[cfg(any(feature = "redis", feature = "postgres"))]
use crate::revocation::StoreUrl;

use super::{Reach, WaitArgs, duration};

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum From {
    /// A file of JSON lines, such as `export` prints
    Ndjson,
    /// Redis keys that are token ids
    FlaskRedis,
    /// A table in PostgreSQL with a token id in each row
    FlaskSql,
}

/// What `follow` reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum FollowFrom {
    /// Redis keys that are token ids
    FlaskRedis,
}

/// Where a store is. A URL with a password is no argument: whoever lists processes reads arguments.
#[derive(Debug, Args)]
pub(in crate::cli) struct SourceArgs {
    /// The store's URL, without a password: redis://, rediss://, redis+unix:// or postgres://
    #[arg(long, value_name = "URL", conflicts_with_all = ["url_env", "url_file"])]
    pub(in crate::cli) url: Option<String>,
    /// The environment variable that holds the URL
    #[arg(long, value_name = "NAME", conflicts_with = "url_file")]
    pub(in crate::cli) url_env: Option<String>,
    /// The file that holds the URL
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) url_file: Option<PathBuf>,
    /// Whose tokens; may be left out when one issuer is configured
    #[arg(long)]
    pub(in crate::cli) issuer: Option<String>,
    /// Redis: the life of keys without one of their own. SQL: the life of a token from its row's date
    /// [default: as long as a token of the issuer may live]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(in crate::cli) expires_in: Option<Duration>,
}

/// How token ids stand in Redis.
#[derive(Debug, Args)]
pub(in crate::cli) struct RedisArgs {
    /// What stands before the id in a key
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(in crate::cli) prefix: String,
    /// Take every value as revoked, not only an empty one and `true`
    #[arg(long)]
    pub(in crate::cli) any_value: bool,
}

/// How token ids stand in a table.
#[derive(Debug, Args)]
pub(in crate::cli) struct SqlArgs {
    /// The table, with or without its schema
    #[arg(long, default_value = "token_blocklist")]
    pub(in crate::cli) table: String,
    /// The column of the ids
    #[arg(long, default_value = "jti")]
    pub(in crate::cli) column: String,
    /// The column of the dates, which `--expires-in` counts from
    #[arg(long, default_value = "created_at")]
    pub(in crate::cli) created: String,
    /// The column that says whether the row is revoked [default: every row is]
    #[arg(long, value_name = "COLUMN")]
    pub(in crate::cli) revoked_column: Option<String>,
    /// The time zone of dates that carry none
    #[arg(long, default_value = "UTC")]
    pub(in crate::cli) timezone: String,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ImportArgs {
    /// The file of `--from ndjson`; `-` for standard input
    pub(in crate::cli) file: Option<PathBuf>,
    /// What is read
    #[arg(long, value_enum, default_value = "ndjson")]
    pub(in crate::cli) from: From,
    #[command(flatten)]
    pub(in crate::cli) source: SourceArgs,
    #[command(flatten)]
    pub(in crate::cli) redis: RedisArgs,
    #[command(flatten)]
    pub(in crate::cli) sql: SqlArgs,
    #[command(flatten)]
    pub(in crate::cli) wait: WaitArgs,
    #[command(flatten)]
    pub(in crate::cli) reach: Reach,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct FollowArgs {
    /// What is read
    #[arg(long, value_enum)]
    pub(in crate::cli) from: FollowFrom,
    #[command(flatten)]
    pub(in crate::cli) source: SourceArgs,
    #[command(flatten)]
    pub(in crate::cli) redis: RedisArgs,
    /// Between two looks at all keys, where Redis does not tell of changes
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration)]
    pub(in crate::cli) interval: Duration,
    /// Reinstate here what is deleted there before its time, or set to `false`
    #[arg(long)]
    pub(in crate::cli) reinstate: bool,
    #[command(flatten)]
    pub(in crate::cli) reach: Reach,
}

// === impl SourceArgs ===

impl SourceArgs {
    /// Whether anything was said.
    pub(in crate::cli) const fn is_given(&self) -> bool {
        self.url.is_some()
            || self.url_env.is_some()
            || self.url_file.is_some()
            || self.issuer.is_some()
            || self.expires_in.is_some()
    }

    /// The store's URL, from where it was said to be.
    #[cfg(any(feature = "redis", feature = "postgres"))]
    pub(in crate::cli) fn url(&self) -> Result<StoreUrl, Failure> {
        let usage = |text: String| Err(Failure::Usage(text));
        let text = match (&self.url, &self.url_env, &self.url_file) {
            (Some(url), _, _) if holds_password(url) => {
                return usage("a password is no argument: use --url-file or --url-env".into());
            }
            (Some(url), _, _) => url.clone(),
            (_, Some(name), _) => match std::env::var(name) {
                Ok(url) => url,
                Err(_unset) => return usage(format!("the variable {name} is not set")),
            },
            (_, _, Some(path)) => match std::fs::read_to_string(path) {
                Ok(url) => url,
                Err(error) => return usage(format!("{}: {error}", path.display())),
            },
            _ => return usage("where is the block list? name it with --url".into()),
        };
        Ok(StoreUrl::new(text.trim()))
    }
}

#[cfg(any(feature = "redis", feature = "postgres"))]
/// `scheme://user:password@`, or PostgreSQL's `password=`.
fn holds_password(url: &str) -> bool {
    let authority = url.split_once("://").map_or("", |(_, rest)| rest);
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    user.contains(':') || url.contains("password=")
}

#[cfg(all(test, any(feature = "redis", feature = "postgres")))]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_is_seen() {
        for (url, want) in [
            ("redis://127.0.0.1:6379/0", false),
            ("redis://user@h:1/0", false),
            ("redis://:pw@h:1/0", true),
            ("postgres://u:p@h/db", true),
            ("postgres:///db?host=/run&password=x", true),
            ("host=h password=x", true),
            ("postgres://u@h:5432/db", false),
        ] {
            assert_eq!(holds_password(url), want, "{url}");
        }
    }
}
