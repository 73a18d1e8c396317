//! Credential files and the comparison of credentials.

use std::fs::Permissions;

use http::HeaderValue;
use tempfile::TempDir;

use crate::config::{ControlAddress, CredentialConfig};

use super::*;

fn config(file: &Path, credentials: &[(&str, &str, Role)]) -> ControlConfig {
    let credentials = credentials.iter().map(|(name, secret, role)| CredentialConfig {
        name: (*name).into(),
        secret: Secret::new(secret.as_bytes().to_vec()),
        role: *role,
    });
    ControlConfig {
        address: ControlAddress::Tcp(([127, 0, 0, 1], 0).into()),
        credentials: credentials.collect(),
        credential_file: file.to_owned(),
    }
}

fn bearer(value: &str) -> HeaderMap {
    HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(value).unwrap())])
}

#[test]
fn the_first_start_makes_a_private_credential_and_the_second_reads_it() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("state/control.token");
    Credentials::open(&config(&path, &[])).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.trim().len(), 43, "32 bytes of base64url");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);

    let again = Credentials::open(&config(&path, &[])).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    let caller = again.identify(&bearer(&format!("Bearer {}", text.trim()))).unwrap();
    assert_eq!((&*caller.name, caller.role), ("operator", Role::Admin));
    let left = fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(left, 1, "no draft is left behind");
}

#[test]
fn a_credential_file_that_others_can_read_is_refused_and_named() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("control.token");
    Credentials::open(&config(&path, &[])).unwrap();
    for mode in [0o640, 0o604, 0o660, 0o602, 0o610] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let message = Credentials::open(&config(&path, &[])).unwrap_err().to_string();
        assert!(message.contains("control.token") && message.contains("chmod 600"), "{message}");
    }
}

#[test]
fn a_credential_file_without_a_credential_is_refused() {
    let folder = TempDir::new().unwrap();
    for (name, text) in
        [("empty", ""), ("short", "abc"), ("blank", "\n\n"), ("two", &"a b".repeat(20))]
    {
        let path = folder.path().join(name);
        write_private(&path, text.as_bytes()).unwrap();
        let refused = Credentials::open(&config(&path, &[])).unwrap_err();
        assert!(matches!(refused, CredentialError::Content { .. }), "{name}: {refused}");
    }
    let refused = Credentials::open(&config(folder.path(), &[])).unwrap_err();
    assert!(matches!(
        refused,
        CredentialError::Mode { .. }
            | CredentialError::File { .. }
            | CredentialError::Content { .. }
    ));
}

#[test]
fn a_credential_file_is_never_written_over() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("control.token");
    publish(&path, b"the first").unwrap();
    let error = publish(&path, b"the second").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&path).unwrap(), b"the first\n");
}

#[test]
fn only_a_whole_credential_identifies_and_it_identifies_its_own_holder() {
    let table = [("ops", "s3cret-of-ops", Role::Admin), ("ci", "s3cret-of-ci", Role::Revoke)];
    let unused = Path::new("unused");
    let credentials = Credentials::open(&config(unused, &table)).unwrap();
    assert!(!unused.exists(), "no file is made when credentials are configured");
    let name =
        |headers: &HeaderMap| credentials.identify(headers).map(|caller| caller.name.to_string());
    assert_eq!(name(&bearer("Bearer s3cret-of-ops")).as_deref(), Some("ops"));
    assert_eq!(name(&bearer("bearer  s3cret-of-ci")).as_deref(), Some("ci"));
    let refused = [
        "Bearer",
        "Bearer ",
        "s3cret-of-ops",
        "Basic s3cret-of-ops",
        "Bearer s3cret-of-op",
        "Bearer s3cret-of-opss",
        "Bearer S3cret-of-ops",
        "Bearer s3cret-of-ops s3cret-of-ci",
        "Bearer s3cret-of-ops,s3cret-of-ci",
        "Bearers3cret-of-ops",
    ];
    for value in refused {
        assert_eq!(name(&bearer(value)), None, "{value}");
    }
    let mut twice = bearer("Bearer s3cret-of-ops");
    twice.append(AUTHORIZATION, HeaderValue::from_static("Bearer s3cret-of-ops"));
    assert_eq!(name(&twice), None);
    assert_eq!(name(&HeaderMap::new()), None);
}

#[test]
fn debug_shows_no_secret() {
    let table = [("ops", "s3cret-of-ops", Role::Admin)];
    let credentials = Credentials::open(&config(Path::new("unused"), &table)).unwrap();
    let shown = format!("{credentials:?}");
    assert!(
        shown.contains("ops") && !shown.contains("s3cret") && !shown.contains("digest"),
        "{shown}"
    );
}
