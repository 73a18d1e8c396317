//! A real browser: logs in with cookies and CSRF through the gateway, lists its tokens, and ends its
//! other session from there.

use serde_json::json;

use crate::support::browser::{Browser, Page};
use crate::support::flask::{self, FlaskSite};

const ROUTES: &str = r#"
[[routes]]
name = "page"
path = "=/"
upstream = "app"
auth = "none"
[[routes]]
name = "login"
path = "=/login"
methods = ["POST"]
upstream = "app"
auth = "none"
register_from_cookies = ["access_token_cookie"]
[[routes]]
name = "sessions"
path = "/auth/"
serve = "self-service"
auth = "required"
token_from = [ { cookie = "access_token_cookie" } ]
[[routes]]
name = "rest"
path = "/"
upstream = "app"
auth = "required"
token_from = [ { cookie = "access_token_cookie" } ]
"#;

/// A browser of its own, as far as cookies go, with alice logged in.
fn session(browser: &mut Browser, url: &str, name: &str) -> Page {
    let page = browser.open(url, "typeof login === 'function'");
    assert_eq!(browser.run(&page, &format!("login('{name}')")), 200);
    assert_eq!(browser.run(&page, "profile()"), json!([200, name]));
    page
}

#[test]
fn a_browser_ends_its_other_session_and_that_one_is_out() {
    let app = flask::app("browser_app", &[]);
    let text = flask::configuration(&app, "mode = \"allow-list\"", flask::HS256, ROUTES);
    let site = FlaskSite::start(app, &[], &text);
    let url = format!("http://{}/", site.gateway.data);

    let mut browser = Browser::start();
    let here = session(&mut browser, &url, "alice");
    let there = session(&mut browser, &url, "alice");
    let bob = session(&mut browser, &url, "bob");

    // The token is out of the page's reach, its CSRF twin is not.
    let cookies = browser.run(&here, "document.cookie");
    let cookies = cookies.as_str().expect("text");
    assert!(cookies.contains("csrf_access_token=") && !cookies.contains("access_token_cookie"));
    let tokens = browser.run(&here, "tokens()");
    assert_eq!(tokens.as_array().map(Vec::len), Some(2), "{tokens}");
    let other = "(await tokens()).find(token => !token.current).jti";
    // A page of another site could make the browser send the cookie, and no more.
    assert_eq!(browser.run(&here, &format!("(async () => end({other}, false))()")), 403);
    assert_eq!(browser.run(&there, "profile()"), json!([200, "alice"]));

    assert_eq!(browser.run(&here, &format!("(async () => end({other}, true))()")), 200);
    assert_eq!(browser.run(&there, "profile()"), json!([401, null]));
    assert_eq!(browser.run(&here, "profile()"), json!([200, "alice"]));
    assert_eq!(browser.run(&bob, "profile()"), json!([200, "bob"]));
    let left =
        "(async () => (await tokens()).map(token => [token.current, token.revoked]).sort())()";
    assert_eq!(browser.run(&here, left), json!([[false, true], [true, false]]));

    // Logging out takes the cookie away as well.
    assert_eq!(browser.run(&here, "logOut()"), 204);
    assert_eq!(browser.run(&here, "code()"), "token-missing");
    assert_eq!(browser.run(&there, "code()"), "token-revoked");
    assert_eq!(browser.run(&bob, "profile()"), json!([200, "bob"]));
}
