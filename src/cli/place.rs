//! Where the control port is and what opens it.
//!
//! Only `[control]` and the store's path are read from the configuration, leniently: whoever revokes
//! need not have the secrets and files that the gateway's own reading asks for.

use std::path::{Path, PathBuf};

use anyhow::Context;
use toml::Table;

use crate::control::read_credential;
use crate::secret::Secret;

use super::Failure;
use super::args::Reach;

const TOKEN_VARIABLE: &str = "PORTCULLIS_CONTROL_TOKEN";
const DEFAULT: &str = "127.0.0.1:9901";

/// A control port and its credential.
#[derive(Debug)]
pub(super) struct Place {
    /// How to connect.
    pub(super) address: Address,
    /// What to present, if we have it.
    pub(super) credential: Option<Secret>,
}

/// How to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// `host:port`.
    Tcp(String),
    /// A socket's path.
    Unix(PathBuf),
}

// === impl Place ===

impl Place {
    /// `--control` before the configuration before the default; the environment's credential first.
    pub(super) fn find(reach: &Reach) -> Result<Self, Failure> {
        let table = read_table(&reach.config)?;
        let folder = reach.config.parent().unwrap_or_else(|| Path::new(""));
        let control = table.get("control").and_then(toml::Value::as_table);
        let configured = control.and_then(|control| control.get("address")?.as_str());
        let address = match (&reach.control, configured) {
            (Some(given), _) => Address::parse(given)?,
            (None, Some(configured)) => Address::parse(configured)?.seen_from(folder),
            (None, None) => Address::Tcp(DEFAULT.to_owned()),
        };
        let credential = match std::env::var(TOKEN_VARIABLE) {
            Ok(text) if !text.is_empty() => Some(Secret::new(text.into_bytes())),
            _ => credential(&table, folder)?,
        };
        Ok(Self { address, credential })
    }
}

// === impl Address ===

impl Address {
    fn parse(text: &str) -> Result<Self, Failure> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self::Unix(path.into()));
        }
        let authority = text.strip_prefix("http://").unwrap_or(text);
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let wrong = || Failure::Usage(format!("`{text}` is not http://HOST:PORT or unix:PATH"));
        let parsed: http::uri::Authority = authority.parse().map_err(|_invalid| wrong())?;
        if parsed.port_u16().is_none() || authority.contains('@') {
            return Err(wrong());
        }
        Ok(Self::Tcp(authority.to_owned()))
    }

    /// As the gateway means it: paths begin at its file's folder, "all addresses" includes loopback.
    fn seen_from(self, folder: &Path) -> Self {
        match self {
            Self::Unix(path) => Self::Unix(folder.join(path)),
            Self::Tcp(address) => match address.parse::<std::net::SocketAddr>() {
                Ok(all) if all.ip().is_unspecified() => {
                    Self::Tcp(format!("127.0.0.1:{}", all.port()))
                }
                _ => Self::Tcp(address),
            },
        }
    }
}

/// The file, or nothing where there is none.
fn read_table(path: &Path) -> Result<Table, Failure> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Table::new()),
        read => read.with_context(|| path.display().to_string())?,
    };
    let parsed = text.parse::<Table>();
    parsed.map_err(|error| Failure::Usage(format!("{}: {}", path.display(), error.message())))
}

/// The first configured credential that we can have; with none configured, the made one.
fn credential(table: &Table, folder: &Path) -> Result<Option<Secret>, Failure> {
    let at = |names: &[&str]| {
        let (first, rest) = names.split_first()?;
        rest.iter().try_fold(table.get(*first)?, |value, name| value.as_table()?.get(*name))
    };
    let configured = at(&["control", "credentials"]).and_then(toml::Value::as_array);
    if let Some(credentials) = configured.filter(|credentials| !credentials.is_empty()) {
        let secrets = credentials.iter().filter_map(|one| one.get("secret"));
        return Ok(secrets.filter_map(|secret| configured_secret(secret, folder)).next());
    }
    let named = |names| at(names).and_then(toml::Value::as_str).map(|path| folder.join(path));
    let store = named(&["revocation", "embedded", "path"])
        .unwrap_or_else(|| folder.join("revocations.redb"));
    let file = named(&["control", "credential_file"])
        .unwrap_or_else(|| store.with_file_name("portcullis.token"));
    if !file.exists() {
        return Ok(None);
    }
    read_credential(&file).map(Some).map_err(|error| Failure::Failed(error.into()))
}

fn configured_secret(secret: &toml::Value, folder: &Path) -> Option<Secret> {
    if let Some(name) = secret.get("env").and_then(toml::Value::as_str) {
        return std::env::var(name).ok().map(|text| Secret::new(text.into_bytes()));
    }
    let path = secret.get("file")?.as_str()?;
    let text = std::fs::read(folder.join(path)).ok()?;
    let text = text.strip_suffix(b"\n").unwrap_or(&text);
    Some(Secret::new(text.strip_suffix(b"\r").unwrap_or(text).to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_with_a_port_or_a_socket() {
        let tcp = |text: &str| Some(Address::Tcp(text.to_owned()));
        let table = [
            ("http://127.0.0.1:9901", tcp("127.0.0.1:9901")),
            ("http://127.0.0.1:9901/", tcp("127.0.0.1:9901")),
            ("localhost:9901", tcp("localhost:9901")),
            ("[::1]:9901", tcp("[::1]:9901")),
            ("unix:/run/p.sock", Some(Address::Unix("/run/p.sock".into()))),
            ("https://127.0.0.1:9901", None),
            ("127.0.0.1", None),
            ("http://user@host:9901", None),
            ("http://host:9901/path", None),
            ("", None),
        ];
        for (text, address) in table {
            assert_eq!(Address::parse(text).ok(), address, "{text}");
        }
    }

    #[test]
    fn an_address_of_the_file_is_seen_as_the_gateway_means_it() {
        let seen = |text| Address::parse(text).unwrap().seen_from(Path::new("/etc/p"));
        assert_eq!(seen("unix:c.sock"), Address::Unix("/etc/p/c.sock".into()));
        assert_eq!(seen("0.0.0.0:9901"), Address::Tcp("127.0.0.1:9901".into()));
        assert_eq!(seen("192.0.2.1:9901"), Address::Tcp("192.0.2.1:9901".into()));
    }

    #[test]
    fn the_credential_is_the_configured_one_or_the_made_one_beside_the_store() {
        let folder = tempfile::TempDir::new().unwrap();
        std::fs::write(folder.path().join("ops"), "of-the-file\n").unwrap();
        let table: Table = "[control]\ncredentials = [\
             { secret = { env = \"PORTCULLIS_TEST_THAT_IS_NOT_SET\" } }, { secret = { file = \"ops\" } }]"
            .parse()
            .unwrap();
        let found = credential(&table, folder.path()).unwrap().unwrap();
        assert_eq!(found.expose(), b"of-the-file");

        let table: Table = "[revocation]\nembedded = { path = \"store.redb\" }".parse().unwrap();
        assert!(credential(&table, folder.path()).unwrap().is_none());
        std::fs::write(folder.path().join("portcullis.token"), "x".repeat(40)).unwrap();
        let refused = credential(&table, folder.path()).unwrap_err().to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
    }
}
