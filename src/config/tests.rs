//! Files that must be taken, files that must be refused and how, and files that no one would write.

mod reference;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::json;

use crate::code::Code;

use super::{Config, ConfigErrors};

pub(super) const SMALLEST: &str = include_str!("../../tests/fixtures/config/good/smallest.toml");
pub(super) const EVERY_KEY: &str = include_str!("../../tests/fixtures/config/good/every_key.toml");

/// Environment variables as the fixtures know them.
pub(super) fn environment(name: &str) -> Option<OsString> {
    match name {
        "SHORT" => Some("0123456789abcdef".into()),
        "DATABASE" => Some("postgres://u:0123456789abcdef@db.internal/gate".into()),
        "NO_URL" => Some("hunter2".into()),
        "EMPTY" => Some("".into()),
        "LONG" => Some("0123456789abcdef0123456789abcdef".into()),
        _ => None,
    }
}

pub(super) fn parse(text: &str) -> Result<Config, ConfigErrors> {
    Config::parse_in(text, &fixtures("good").join("gateway.toml"), &environment)
}

fn fixtures(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config").join(folder)
}

fn bad_files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(fixtures("bad")).expect("the folder of bad files");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    paths
}

#[test]
fn every_code_of_a_refusal_can_be_changed_within_its_hundred() {
    for code in Code::ALL {
        let (word, usual) = (code.as_str(), code.status().as_u16());
        let form = |status| format!("{SMALLEST}\n[errors.x.codes.{word}]\nstatus = {status}\n");
        let config = parse(&form(usual / 100 * 100 + 99)).expect(word);
        let (status, body) = config.error_forms[0].of(code);
        assert_eq!(status.map(|status| status.as_u16()), Some(usual / 100 * 100 + 99));
        assert!(body.is_none());
        assert!(parse(&form(999 - usual / 100 * 100)).is_err(), "{word}");
    }
}

#[test]
fn every_bad_file_is_refused_with_its_message() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let files = bad_files();
    assert!(files.len() >= 40, "{} bad files", files.len());
    for path in files {
        let text = std::fs::read_to_string(&path).expect("a bad file");
        let name = path.file_name().expect("a name");
        // Relative paths of the fixtures are never found, but for the folder itself.
        let errors = Config::parse_in(&text, Path::new(name), &environment)
            .expect_err(&format!("{} is taken", path.display()));
        let (said, golden) = (format!("{errors}\n"), path.with_extension("stderr"));
        if update {
            std::fs::write(&golden, said).expect("the message is written");
        } else {
            let wanted = std::fs::read_to_string(&golden).unwrap_or_default();
            assert!(said == wanted, "{}: said\n{said}\nwanted\n{wanted}", path.display());
        }
    }
}

#[test]
fn no_message_holds_a_secret() {
    for path in bad_files() {
        let text = std::fs::read_to_string(&path).expect("a bad file");
        let Err(errors) = Config::parse_in(&text, &path, &environment) else { continue };
        let said = format!("{errors} {errors:?}");
        for secret in ["hunter2", "in-plain-sight", "0123456789abcdef", "a secret may be here"] {
            assert!(!said.contains(secret), "{}: {said}", path.display());
        }
    }
}

#[test]
fn the_repository_s_own_file_is_taken_with_nothing_else_there() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("gateway.toml");
    let config = Config::load(&path).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.issuers.len(), 1);
    assert_eq!(config.routes.len(), 3);
    assert!(config.control.credentials.is_empty());
}

#[test]
fn every_key_is_taken_and_described() {
    let config = parse(EVERY_KEY).unwrap_or_else(|errors| panic!("{errors}"));
    let described = config.describe();
    let said = described.to_string();
    assert!(!said.contains("0123456789abcdef") && !said.contains("a-secret-of"), "{said}");
    for (pointer, value) in [
        ("/listener/limits/target_bytes", json!("4KiB")),
        ("/listener/trusted_proxies/1", json!("192.0.2.1/32")),
        ("/control/address", json!("0.0.0.0:9902")),
        ("/control/credentials/1/secret", json!("***")),
        ("/routes/2/serve", json!("self-service")),
        ("/routes/2/check_revocation", json!(["access", "refresh"])),
        ("/issuers/0/algorithms", json!(["PS256", "EdDSA"])),
        ("/issuers/0/token_type/missing", json!("reject")),
        ("/issuers/1/issuer", json!(null)),
        ("/issuers/1/algorithms", json!(["HS256"])),
        ("/issuers/1/keys", json!({ "secret": "***" })),
        ("/revocation/claims", json!(["client_id", "https://example.com/tenant"])),
        ("/revocation/mode", json!("allow-list")),
        ("/revocation/register/max_tokens", json!(5)),
        ("/revocation/register/seen_every", json!("1m")),
        ("/revocation/max_staleness", json!("1m")),
        ("/revocation/redis/url", json!("rediss://redis.internal/1")),
        ("/revocation/redis/password", json!("***")),
        ("/upstreams/orders/timeouts/connect", json!("500ms")),
        ("/upstreams/orders/retries/attempts", json!(0)),
        ("/routes/0/token_from/0/scheme", json!(null)),
        ("/routes/0/token_from/2/csrf_methods", json!(["POST"])),
        ("/routes/0/token_from/3", json!({ "query": "jwt", "prefix": "Bearer " })),
        ("/routes/0/fresh", json!("10m")),
        ("/routes/0/check_revocation", json!([])),
        ("/routes/0/claims/0/any_of", json!(["buyer", "7", "true"])),
        ("/routes/0/forward/claims", json!({ "sub": "x-auth-subject", "a.b": "x-auth-b" })),
        ("/routes/0/callback", json!("login")),
        (
            "/callbacks/login/url",
            json!("https://login.example.com/realms/shop/token/introspection?***"),
        ),
        ("/callbacks/login/client_secret", json!("***")),
        ("/callbacks/login/cache/refused_ttl", json!("1s")),
        ("/callbacks/plans/cache/refused_ttl", json!("5s")),
        ("/callbacks/plans/bearer_secret", json!("***")),
        ("/callbacks/mine/when_down", json!("reject")),
        ("/routes/1/auth", json!("none")),
    ] {
        assert_eq!(described.pointer(pointer), Some(&value), "{pointer}");
    }
}

#[test]
fn paths_begin_at_the_file_s_folder() {
    let config = Config::parse(SMALLEST, Path::new("/etc/portcullis/gateway.toml"));
    let described = config.expect("a good file").describe();
    assert_eq!(described["revocation"]["embedded"]["path"], "/etc/portcullis/revocations.redb");
    assert_eq!(described["control"]["credential_file"], "/etc/portcullis/portcullis.token");
    let config = Config::parse(SMALLEST, Path::new("gateway.toml")).expect("a good file");
    assert_eq!(config.describe()["revocation"]["embedded"]["path"], "revocations.redb");
}

#[test]
fn one_trailing_newline_of_a_secret_file_is_not_part_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = "s".repeat(32);
    for (text, length) in [("", 32), ("\n", 32), ("\r\n", 32), ("\n\n", 33), (" ", 33)] {
        std::fs::write(folder.path().join("key"), format!("{secret}{text}")).expect("written");
        let file = SMALLEST.replace(
            "{ jwks_url = \"https://login.example.com/.well-known/jwks.json\" }",
            "{ secret = { file = \"key\" } }",
        );
        let config = Config::parse(&file, &folder.path().join("gateway.toml"));
        let config = config.unwrap_or_else(|errors| panic!("{errors}"));
        let crate::token::KeysConfig::Secret(secret) = &config.issuers[0].keys else {
            panic!("not a secret");
        };
        assert_eq!(secret.expose().len(), length, "{text:?}");
    }
}

#[test]
fn what_is_no_configuration_at_all_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("gateway.toml");
    let refused = |part: &str| {
        let said = Config::load(&path).expect_err("refused").to_string();
        assert!(said.contains(part) && said.contains("gateway.toml"), "{said}");
    };
    refused("can't be read");
    for (bytes, part) in [
        (vec![b'a'; 10 << 20], "longer than 1 MiB"),
        (b"[listener]\nworkers = \xff".to_vec(), "not UTF-8: line 2"),
        (b"[listener]\nworkers = \0".to_vec(), "gateway.toml:2:11: not TOML"),
        (vec![0; 4096], "not TOML"),
        (vec![b'['; 1 << 20], "not TOML"),
        (format!("a = {}", "[".repeat(100_000)).into_bytes(), "not TOML"),
        (format!("a = {}", "{ a = ".repeat(100_000)).into_bytes(), "not TOML"),
        (vec![b'\n'; 1 << 20], "no [[routes]]"),
        // Every form of depth at once: within each of its limits, 6000 tables deep.
        (
            format!("x = {}1", format!("{{ {}a = ", "a.".repeat(77)).repeat(78)).into_bytes(),
            "not TOML",
        ),
        (deepest().into_bytes(), "unknown key \"x\""),
        (format!("{}a = 1", "a.".repeat(500_000)).into_bytes(), "recursion limit"),
        (format!("[{}a]", "a.".repeat(500_000)).into_bytes(), "recursion limit"),
        (format!("a = {{ {}a = 1 }}", "\"a\" . ".repeat(150_000)).into_bytes(), "recursion limit"),
    ] {
        std::fs::write(&path, bytes).expect("written");
        refused(part);
    }
    std::fs::remove_file(&path).expect("removed");
    std::fs::create_dir(&path).expect("a folder");
    refused("is a folder");
}

/// Secrets where a newcomer would write them, in plain sight.
const SPILT: &str = r#"
[listener]
address = "127.0.0.1:8080"
[control]
address = "127.0.0.1:9901"
credentials = [ { name = "ops", secret = "hunter2", role = "admin" },
  { name = "app", secret = "hunter2", role = "admin" } ]
[[issuers]]
name = "a"
issuer = "a"
audiences = ["a"]
keys = { jwks_url = "https://example.com/", secret = "hunter2" }
[[issuers]]
name = "b"
issuer = "b"
audiences = ["b"]
keys.secret = "hunter2"
algorithms = ["HS256"]
[[issuers]]
name = "c"
[issuers.keys]
password = "hunter2"
secret = { env = "LONG", value = "hunter2" }
"#;

fn deepest() -> String {
    let dots = "a.".repeat(77);
    let tables = format!("{{ {dots}a = ").repeat(78);
    format!("[x.{dots}a]\n{dots}a = {tables}1{}", " }".repeat(78))
}

#[test]
fn a_file_full_of_mistakes_is_answered_soon_and_shortly() {
    let keys: String = (0..20_000).map(|n| format!("key{n} = \"hunter2\"\n")).collect();
    let errors = parse(&keys).expect_err("refused");
    assert_eq!(errors.iter().count(), 100);
    let routes = "[[routes]]\nauth = \"hm\"\n".repeat(5_000);
    let errors = parse(&routes).expect_err("refused");
    assert_eq!(errors.iter().count(), 100);
    assert!(errors.len() >= 20_000, "{}", errors.len());
    let said = errors.to_string();
    assert!(said.ends_with("more problems") && said.len() < 100_000, "{}", said.len());
}

#[test]
fn a_name_in_the_middle_of_a_long_line_is_shown_with_what_is_around_it() {
    let text = format!(
        "{}{SMALLEST}",
        "[listener]\nlimits = { headers = 0, ".to_owned() + &" ".repeat(500) + "streams = 0 }\n"
    );
    let said = parse(&text).expect_err("refused").to_string();
    let shown =
        said.lines().filter(|line| line.contains("headers = 0") || line.contains("streams = 0"));
    assert!(shown.clone().count() == 2 && shown.clone().all(|line| line.len() < 200), "{said}");
    let lines: Vec<_> = said.lines().collect();
    for (above, carets) in lines.iter().zip(&lines[1..]).filter(|(_, line)| line.ends_with('^')) {
        let at = carets.chars().position(|c| c == '^').expect("a caret");
        assert_eq!(above.chars().nth(at), Some('0'), "{said}");
    }
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in ".{0,400}") {
        let _ = parse(&text).map_err(|errors| errors.to_string());
    }

    #[test]
    fn lines_of_a_good_file_in_any_order_never_panic(
        lines in prop::sample::subsequence(EVERY_KEY.lines().collect::<Vec<_>>(), 0..60).prop_shuffle()
    ) {
        let _ = parse(&lines.join("\n")).map_err(|errors| errors.to_string());
    }

    #[test]
    fn a_secret_written_by_mistake_beside_other_mistakes_is_never_shown(
        changes in prop::collection::vec((any::<prop::sample::Index>(), "[ \n\"{}=,\\[\\].a]?"), 0..4),
        near: bool,
    ) {
        let mut text = SPILT.to_owned();
        for (at, new) in changes {
            // Half of the files have all their other mistakes in the lines around the secrets.
            let from = if near { text.find("credentials =").unwrap_or(0) } else { 0 };
            let at = from + at.index(text.len() - from);
            text.replace_range(at..=at, &new);
        }
        if let Err(errors) = parse(&text) {
            let said = format!("{errors} {errors:?}");
            prop_assert!(!said.contains("hunter2"), "{}\n{}", text, said);
        }
    }

    #[test]
    fn a_good_file_with_bytes_changed_never_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), "[\\PC\n\"{}=\\[\\]]{0,3}"), 1..6)
    ) {
        let mut text = EVERY_KEY.to_owned();
        for (at, new) in changes {
            let (at, _) = text.char_indices().nth(at.index(text.chars().count())).expect("a place");
            let to = at + text[at..].chars().next().map_or(0, char::len_utf8);
            text.replace_range(at..to, &new);
        }
        let said = parse(&text).map_err(|errors| errors.to_string());
        prop_assert!(said.err().is_none_or(|said| !said.is_empty()));
    }
}
