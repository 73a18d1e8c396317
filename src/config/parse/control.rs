//! `[control]`: where operators and programs connect, and as whom.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::listener::socket_address;
use super::{refuse_twice, secret};
use crate::config::raw::{Node, Table};
use crate::config::{ControlAddress, ControlConfig, CredentialConfig, Role};

/// `sun_path` of a Unix socket's address, its final NUL not counted.
const LONGEST_SOCKET_PATH: usize = 107;

/// `store` is the embedded store, beside which the made credential is kept.
pub(super) fn control(table: &Table<'_>, store: &Path) -> Option<ControlConfig> {
    let allow_remote = table.read("allow_remote", Node::flag).unwrap_or(false);
    let address = table.read("address", |node| address(node, allow_remote));
    let credentials = credentials(&table.rows("credentials"));
    let beside = || -> PathBuf { store.with_file_name("portcullis.token") };
    let credential_file = table.read("credential_file", Node::file).unwrap_or_else(beside);
    Some(ControlConfig {
        address: address.unwrap_or_else(|| ControlAddress::Tcp(([127, 0, 0, 1], 9901).into())),
        credentials: credentials?,
        credential_file,
    })
}

fn address(node: &Node<'_>, allow_remote: bool) -> Option<ControlAddress> {
    if let Some(path) = node.text()?.strip_prefix("unix:") {
        let path = node.resolved(path);
        if path.as_os_str().len() > LONGEST_SOCKET_PATH {
            return node.wrong(format!("a socket's path has at most {LONGEST_SOCKET_PATH} bytes"));
        }
        return Some(ControlAddress::Unix(path));
    }
    let address = socket_address(node)?;
    if !address.ip().to_canonical().is_loopback() && !allow_remote {
        let problem = "other machines would reach the control port, which is not encrypted";
        let help = "listen on 127.0.0.1 or \"unix:/path\", or say `allow_remote = true`";
        return node.wrong_but(problem, help);
    }
    Some(ControlAddress::Tcp(address))
}

fn credentials(rows: &[Node<'_>]) -> Option<Vec<CredentialConfig>> {
    let mut names = HashSet::new();
    let mut made: Vec<CredentialConfig> = Vec::new();
    let mut sound = true;
    for row in rows {
        match credential(row, &mut names) {
            Some(new) if made.iter().any(|old| secret::same(&old.secret, &new.secret)) => {
                sound = false;
                let _: Option<()> = row.wrong("has the secret of another: it names its bearer");
            }
            Some(new) => made.push(new),
            None => sound = false,
        }
    }
    sound.then_some(made)
}

fn credential(row: &Node<'_>, names: &mut HashSet<String>) -> Option<CredentialConfig> {
    const ROLES: [(&str, Role); 3] =
        [("admin", Role::Admin), ("revoke", Role::Revoke), ("read", Role::Read)];
    const LEAST: usize = 32;
    let table = row.table()?;
    let name = table.require("name", "who uses it, for the audit trail", |node| {
        let name = node.label()?;
        refuse_twice(names, name, node)?;
        Some(Arc::from(name))
    });
    let secret = table.require("secret", "{ env = \"NAME\" } or { file = \"path\" }", |node| {
        secret::secret(node, LEAST, "a control credential has 32 or more")
    });
    let role = table.require("role", "admin, revoke or read", |node| node.word(&ROLES));
    Some(CredentialConfig { name: name?, secret: secret?, role: role? })
}
