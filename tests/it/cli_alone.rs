//! The program where it needs no gateway: usage, help, completions, manual page, test tokens.

use std::process::{Command, Output};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::documents::code_blocks;

fn portcullis(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(args).env("TEST_SECRET", "0123456789abcdef0123456789abcdef");
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn bad_usage_ends_with_64_and_says_why_on_standard_error() {
    let table: &[&[&str]] = &[
        &[],
        &["nonsense"],
        &["revoke"],
        &["revoke", "--claim", "jti"],
        &["revoke", "--value", "x"],
        &["revoke", "--claim", "jti", "--value", "x", "--token", "-"],
        &["revoke", "--token", "-", "--issuer", "x"],
        &["revoke", "--claim", "jti", "--value", "x", "--expires-at", "tomorrow"],
        &["reinstate", "--claim", "jti"],
        &["list", "--limit", "0"],
        &["import"],
        &["completions", "tcsh"],
        &["token"],
        &["token", "--secret-env", "TEST_SECRET", "--ttl", "5"],
        &["token", "--secret-env", "TEST_SECRET", "--claims", "nameless"],
        &["token", "--secret-env", "TEST_SECRET", "--alg", "none"],
        &["token", "--secret-env", "TEST_SECRET", "--alg", "RS256"],
        &["token", "--secret-env", "NOT_SET_IN_TESTS"],
        &["status", "--control", "https://127.0.0.1:9901"],
        &["run", "--no-such-flag"],
    ];
    for args in table {
        let output = portcullis(args);
        assert_eq!(output.status.code(), Some(64), "{args:?}: {output:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{args:?}: {output:?}");
    }
}

#[test]
fn a_token_is_never_taken_from_the_arguments() {
    let output = portcullis(&["revoke", "--token", "eyJhbGciOiJIUzI1NiJ9.e30.x"]);
    assert_eq!(output.status.code(), Some(64));
    let help = text(&portcullis(&["revoke", "--help"]));
    assert!(help.contains("--token-file") && !help.contains("--credential"), "{help}");
}

/// The commands that a list names, each behind the same words.
fn commands<'a>(list: &'a str, before: &str) -> Vec<&'a str> {
    let named = list.lines().filter_map(|line| line.strip_prefix(before));
    named.filter_map(|rest| rest.split(' ').next()).filter(|name| !name.is_empty()).collect()
}

#[test]
fn help_and_the_page_on_the_command_line_name_every_command() {
    let output = portcullis(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = text(&output);
    let (_, listed) = help.split_once("Commands:\n").expect("the commands");
    let listed = listed.split("\n\n").next().expect("their list");
    let mut listed = commands(listed, "  ");
    listed.retain(|name| *name != "help");
    let page = code_blocks("docs/cli.md", "text");
    assert_eq!(commands(&page[0], "portcullis "), listed);
    assert!(listed.len() > 15, "{listed:?}");
    for command in listed {
        assert_eq!(portcullis(&[command, "--help"]).status.code(), Some(0), "{command}");
    }
    assert!(text(&portcullis(&["--version"])).starts_with("portcullis "));
}

#[test]
fn completions_and_the_manual_page_are_printed() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = portcullis(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output).contains("reinstate"), "{shell}");
    }
    let page = text(&portcullis(&["man"]));
    assert!(page.contains(".TH portcullis 1"), "{page}");
}

#[test]
fn a_gateway_that_is_not_there_is_a_failure_with_a_hint() {
    let folder = tempfile::TempDir::new().unwrap();
    let socket = format!("unix:{}", folder.path().join("none.sock").display());
    let output =
        portcullis(&["status", "--control", &socket, "--config", "/nonexistent/gateway.toml"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("none.sock") && error.contains("is the gateway running?"), "{error}");
}

fn parts(token: &str) -> (Value, Value) {
    let part = |index: usize| {
        let text = token.trim().split('.').nth(index).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
    };
    (part(0), part(1))
}

#[test]
fn a_minted_token_says_what_was_asked_and_lives_as_long() {
    let output = portcullis(&[
        "token",
        "--secret-env",
        "TEST_SECRET",
        "--iss",
        "https://i.test/",
        "--sub",
        "alice",
        "--aud",
        "orders",
        "--ttl",
        "1h",
        "--kid",
        "k1",
        "--claims",
        "type=refresh",
        "n=7",
        "roles=[\"a\"]",
    ]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let (header, claims) = parts(&text(&output));
    assert_eq!((&header["alg"], &header["kid"]), (&json!("HS256"), &json!("k1")));
    assert_eq!((&claims["iss"], &claims["sub"]), (&json!("https://i.test/"), &json!("alice")));
    assert_eq!((&claims["aud"], &claims["type"]), (&json!("orders"), &json!("refresh")));
    assert_eq!((&claims["n"], &claims["roles"]), (&json!(7), &json!(["a"])));
    let life = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
    assert_eq!(life, 3600);
    assert_eq!(claims["jti"].as_str().unwrap().len(), 36);

    let output =
        portcullis(&["token", "--secret-env", "TEST_SECRET", "--claims", "exp=null", "jti=null"]);
    let (_, claims) = parts(&text(&output));
    assert!(claims.get("exp").is_none() && claims.get("jti").is_none(), "{claims}");
}

#[test]
fn the_algorithm_follows_the_private_key() {
    let folder = tempfile::TempDir::new().unwrap();
    let kinds = [
        (&rcgen::PKCS_ECDSA_P256_SHA256, "ES256", None),
        (&rcgen::PKCS_ECDSA_P384_SHA384, "ES384", Some("ES384")),
        (&rcgen::PKCS_ED25519, "EdDSA", None),
        (&rcgen::PKCS_RSA_SHA256, "RS256", None),
        (&rcgen::PKCS_RSA_SHA256, "PS256", Some("PS256")),
    ];
    for (kind, algorithm, said) in kinds {
        let path = folder.path().join(algorithm);
        std::fs::write(&path, rcgen::KeyPair::generate_for(kind).unwrap().serialize_pem()).unwrap();
        let path = path.to_str().unwrap();
        let mut args = vec!["token", "--key", path];
        args.extend(said.into_iter().flat_map(|said| ["--alg", said]));
        let output = portcullis(&args);
        assert_eq!(output.status.code(), Some(0), "{algorithm}: {output:?}");
        assert_eq!(parts(&text(&output)).0["alg"], algorithm);
    }
    let path = folder.path().join("RS256");
    for args in [
        ["token", "--key", path.to_str().unwrap(), "--alg", "ES256"],
        ["token", "--key", path.to_str().unwrap(), "--alg", "HS256"],
    ] {
        assert_eq!(portcullis(&args).status.code(), Some(64), "{args:?}");
    }
}
