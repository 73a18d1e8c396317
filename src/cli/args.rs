//! The arguments. Secrets are never among them: they come by file, environment or pipe.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};
use clap_complete::Shell;
use jsonwebtoken::Algorithm;

use crate::clock::{Clock, SystemClock, UnixTime};
use crate::config::parse_duration;
use crate::demo::BrokerKind;

mod explain;
mod source;
mod tokens;

pub(super) use explain::ExplainArgs;
#[cfg(feature = "redis")]
pub(super) use source::RedisArgs;
#[cfg(any(feature = "redis", feature = "postgres"))]
pub(super) use source::SourceArgs;
pub(super) use source::{FollowArgs, From, ImportArgs};
pub(super) use tokens::{ChangeArgs, ListTokensArgs, RegisterArgs, TokensArgs, TokensCommand};

/// The gate in front of your APIs that can take a token back.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, arg_required_else_help = true, max_term_width = 100)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the gateway
    Run(ConfigArgs),
    /// Check the configuration and print every problem with its place
    Check(ConfigArgs),
    /// Show the whole product on this machine: issuer, service and the gateway before it
    Demo {
        /// Play the story once and exit
        #[arg(long)]
        once: bool,
    },
    /// Show three gateways on one broker, which is started, killed and started again
    ClusterDemo {
        /// The broker; it must be installed
        #[arg(long, value_enum, default_value = "redis")]
        feed: BrokerKind,
    },
    /// Take back a token, a session, a subject, a client, an issuer or a key
    Revoke(RevokeArgs),
    /// Remove an entry again
    Reinstate(ReinstateArgs),
    /// List entries
    List(ListArgs),
    /// List the tokens that were given to a subject; register, revoke or reinstate one
    Tokens(TokensArgs),
    /// Revoke everything in a file of JSON lines, or in another program's block list
    Import(ImportArgs),
    /// Keep revoking what another program puts into its block list
    Follow(FollowArgs),
    /// Print every entry as JSON lines
    Export(ExportArgs),
    /// Say why a token would be refused, or that it would not
    Explain(ExplainArgs),
    /// Show how the gateway is
    Status(Reach),
    /// Show the gateways that follow the same store
    Nodes(Reach),
    /// Have the gateway read its configuration again
    Reload(Reach),
    /// Mint a token for tests, signed by a development key
    Token(TokenArgs),
    /// Print the completion script of a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the manual page
    Man,
}

#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = "gateway.toml")]
    pub(super) config: PathBuf,
}

/// How the control port is reached, and what its answer looks like.
#[derive(Debug, Args)]
pub(super) struct Reach {
    /// The control port: http://HOST:PORT or unix:PATH [default: as in the configuration, else
    /// 127.0.0.1:9901]
    #[arg(long, value_name = "ADDRESS")]
    pub(super) control: Option<String>,
    /// The gateway's configuration, which says where the port and its credential are; the
    /// environment's PORTCULLIS_CONTROL_TOKEN comes first
    #[arg(long, value_name = "FILE", default_value = "gateway.toml")]
    pub(super) config: PathBuf,
    /// Print the answer as JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// How many gateways must have applied it.
#[derive(Debug, Args)]
pub(super) struct WaitArgs {
    /// Wait until it is in force on all live gateways, or on so many: none, all or a number
    #[arg(long, value_name = "NODES", value_parser = nodes)]
    pub(super) wait: Option<String>,
    /// How long to wait, at most 60s [default: 2s]
    #[arg(long, value_name = "DURATION", requires = "wait", value_parser = patience)]
    pub(super) timeout: Option<String>,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["claim", "token", "token_file"]))]
pub(super) struct RevokeArgs {
    /// jti, sub, sid, client_id, iss, kid, token, or a configured claim
    #[arg(long, requires = "value")]
    pub(super) claim: Option<String>,
    /// The claim's value, compared exactly
    #[arg(long, requires = "claim", allow_hyphen_values = true)]
    pub(super) value: Option<String>,
    /// Whose tokens; may be left out when one issuer is configured
    #[arg(long, requires = "claim")]
    pub(super) issuer: Option<String>,
    /// Only tokens issued by then: UNIX seconds, `now`, or like `-1h`
    #[arg(long, requires = "claim", value_name = "TIME", value_parser = time, allow_hyphen_values = true)]
    pub(super) issued_before: Option<UnixTime>,
    /// Until when to keep the entry: UNIX seconds, or like `+30d`
    #[arg(long, requires = "claim", value_name = "TIME", value_parser = time)]
    pub(super) expires_at: Option<UnixTime>,
    /// Read the token to revoke from standard input
    #[arg(long, value_name = "-", value_parser = ["-"], hide_possible_values = true)]
    pub(super) token: Option<String>,
    /// Read the token to revoke from a file
    #[arg(long, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
    /// Why, for the audit trail
    #[arg(long)]
    pub(super) reason: Option<String>,
    #[command(flatten)]
    pub(super) wait: WaitArgs,
    #[command(flatten)]
    pub(super) reach: Reach,
}

#[derive(Debug, Args)]
pub(super) struct ReinstateArgs {
    /// The entry's claim
    #[arg(long)]
    pub(super) claim: String,
    /// The entry's value
    #[arg(long, allow_hyphen_values = true)]
    pub(super) value: String,
    /// The entry's issuer; may be left out when one issuer has such an entry
    #[arg(long)]
    pub(super) issuer: Option<String>,
    /// Why, for the audit trail
    #[arg(long)]
    pub(super) reason: Option<String>,
    #[command(flatten)]
    pub(super) wait: WaitArgs,
    #[command(flatten)]
    pub(super) reach: Reach,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only this claim
    #[arg(long)]
    pub(super) claim: Option<String>,
    /// Only this value
    #[arg(long, allow_hyphen_values = true)]
    pub(super) value: Option<String>,
    /// Only this issuer
    #[arg(long)]
    pub(super) issuer: Option<String>,
    /// At most so many entries
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(super) limit: u16,
    /// Where an earlier page ended
    #[arg(long, value_name = "NEXT", allow_hyphen_values = true)]
    pub(super) after: Option<String>,
    #[command(flatten)]
    pub(super) reach: Reach,
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    pub(super) reach: Reach,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("with").required(true).args(["key", "secret_env", "secret_file"]))]
pub(super) struct TokenArgs {
    /// A private key in PEM
    #[arg(long, value_name = "FILE")]
    pub(super) key: Option<PathBuf>,
    /// The environment variable that holds an HMAC secret
    #[arg(long, value_name = "NAME")]
    pub(super) secret_env: Option<String>,
    /// The file that holds an HMAC secret
    #[arg(long, value_name = "FILE")]
    pub(super) secret_file: Option<PathBuf>,
    /// The algorithm [default: HS256, RS256, ES256 or EdDSA, as fits the key]
    #[arg(long)]
    pub(super) alg: Option<Algorithm>,
    /// The header's kid
    #[arg(long)]
    pub(super) kid: Option<String>,
    /// The issuer
    #[arg(long)]
    pub(super) iss: Option<String>,
    /// The subject
    #[arg(long)]
    pub(super) sub: Option<String>,
    /// An audience; several make a list
    #[arg(long)]
    pub(super) aud: Vec<String>,
    /// The token's id [default: a new UUID]
    #[arg(long)]
    pub(super) jti: Option<String>,
    /// How long it lives
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    pub(super) ttl: std::time::Duration,
    /// A further claim, NAME=VALUE; the value is JSON if it reads as such, else text
    #[arg(long, value_name = "NAME=VALUE", value_parser = claim, num_args = 1..)]
    pub(super) claims: Vec<(String, serde_json::Value)>,
}

/// UNIX seconds, `now`, or a distance from now.
fn time(text: &str) -> Result<UnixTime, String> {
    let now = SystemClock.now();
    let moment = match text.split_at_checked(1) {
        _ if text == "now" => Some(now),
        Some(("+", distance)) => parse_duration(distance).ok().map(|by| now.saturating_add(by)),
        Some(("-", distance)) => parse_duration(distance).ok().map(|by| now.saturating_sub(by)),
        _ => text.parse().ok().map(UnixTime::from_secs),
    };
    moment.ok_or_else(|| "UNIX seconds, `now`, or a distance like `+30d`".to_owned())
}

fn duration(text: &str) -> Result<std::time::Duration, String> {
    parse_duration(text).map_err(|_form| "a duration is like `90s`, `5m`, `24h`, `30d`".to_owned())
}

fn nodes(text: &str) -> Result<String, String> {
    let number = text.parse().is_ok_and(|count: u32| count > 0);
    let fine = number || ["none", "all"].contains(&text);
    if fine { Ok(text.to_owned()) } else { Err("`none`, `all` or a number of nodes".to_owned()) }
}

fn patience(text: &str) -> Result<String, String> {
    duration(text).map(|_| text.to_owned())
}

fn claim(text: &str) -> Result<(String, serde_json::Value), String> {
    let (name, value) = text.split_once('=').ok_or("a claim is NAME=VALUE")?;
    let json = serde_json::from_str(value).unwrap_or_else(|_text| value.into());
    Ok((name.to_owned(), json))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_time_is_absolute_or_a_distance() {
        assert_eq!(time("1767225600"), Ok(UnixTime::from_secs(1_767_225_600)));
        let hour = std::time::Duration::from_secs(3600);
        let now = time("now").unwrap();
        assert!(time("+1h").unwrap() >= now.saturating_add(hour));
        assert!(time("-1h").unwrap() < now);
        for text in ["", "+", "-", "1h", "tomorrow", "+1", "1.5", "+1w"] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nodes_are_none_all_or_some() {
        for good in ["none", "all", "1", "12"] {
            assert_eq!(nodes(good).as_deref(), Ok(good));
        }
        for bad in ["", "0", "-1", "some", "1.5"] {
            assert!(nodes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_claims_value_is_json_or_text() {
        let table = [
            ("n=7", serde_json::json!(7)),
            ("n=true", serde_json::json!(true)),
            ("n=[\"a\"]", serde_json::json!(["a"])),
            ("n=a=b", serde_json::json!("a=b")),
            ("n=", serde_json::json!("")),
        ];
        for (text, value) in table {
            assert_eq!(claim(text), Ok(("n".to_owned(), value)), "{text}");
        }
        assert!(claim("n").is_err());
    }
}
