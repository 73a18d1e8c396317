//! A Flask application of the fixtures behind a gateway that verifies its tokens.

use serde_json::json;
use tempfile::TempDir;

use super::client::ask;
use super::gateway::{Running, bare, folder};
use super::issuer::SECRET;
use super::python::PythonApp;

/// The application, and the gateway before it.
pub struct FlaskSite {
    pub gateway: Running,
    _app: PythonApp,
    _folder: TempDir,
}

/// How the issuer's signatures are verified where the application has [`SECRET`].
pub const HS256: &str = "algorithms = [\"HS256\"]\nkeys = { secret = { file = \"jwt.secret\" } }";

// === impl FlaskSite ===

impl FlaskSite {
    /// Starts the gateway with this configuration, and these files beside it.
    pub fn start(app: PythonApp, files: &[(&str, &str)], configuration: &str) -> Self {
        let folder = folder(&[&[("jwt.secret", SECRET)][..], files].concat());
        let gateway = Running::start(folder.path(), configuration);
        Self { gateway, _app: app, _folder: folder }
    }

    /// Logs alice in; her access and her refresh token.
    pub fn log_in(&self) -> (String, String) {
        let body = json!({ "username": "alice" });
        let answer = ask(self.gateway.data, "POST", "/login").json(&body).send();
        let tokens = answer.expect_forwarded().json();
        let text = |name: &str| tokens[name].as_str().expect("a token").to_owned();
        (text("access_token"), text("refresh_token"))
    }
}

/// Starts an application of the fixtures, which signs with [`SECRET`] unless a variable says otherwise.
pub fn app(name: &str, variables: &[(&str, &str)]) -> PythonApp {
    let file = format!("tests/fixtures/flask/{name}.py");
    PythonApp::start(&file, &[&[("APP_SECRET", SECRET)][..], variables].concat())
}

/// The issuer `flask` with more of its keys, the upstream `app`, and these routes.
pub fn configuration(app: &PythonApp, revocation: &str, issuer: &str, routes: &str) -> String {
    let app = app.address;
    let tables = format!(
        r#"
[[issuers]]
name = "flask"
tokens_without_issuer = true
any_audience = true
{issuer}
[upstreams.app]
endpoints = ["http://{app}"]
{routes}"#
    );
    bare(revocation, &tables)
}
