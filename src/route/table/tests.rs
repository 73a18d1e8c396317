//! The table against its stated precedence, and against a naive scan.

use proptest::prelude::*;

use super::*;

fn pattern(hosts: &[&str], path: &str, methods: &[&str]) -> RoutePattern {
    let methods = methods.iter().map(|name| name.parse().expect("a method"));
    RoutePattern {
        hosts: hosts.iter().map(|host| host.parse().expect("a host")).collect(),
        path: path.parse().expect("a path"),
        methods: (methods.len() > 0).then(|| methods.collect()),
    }
}

fn table(rows: &[(&[&str], &str, &[&str])]) -> RouteTable<usize> {
    let rows = rows.iter().enumerate();
    RouteTable::build(rows.map(|(place, row)| (pattern(row.0, row.1, row.2), place)))
        .expect("no conflict")
}

#[test]
fn the_most_telling_route_wins_whatever_the_order() {
    let table = table(&[
        (&[], "/", &[]),
        (&[], "/orders", &[]),
        (&[], "/orders/archive/", &[]),
        (&[], "=/orders/archive", &[]),
        (&["*.example.com"], "/orders", &[]),
        (&["*.eu.example.com"], "/orders", &[]),
        (&["api.example.com"], "/orders", &[]),
        (&["api.example.com"], "/orders", &["POST"]),
    ]);
    for (host, path, method, want) in [
        ("x", "/", "GET", 0),
        ("x", "/ordersx", "GET", 0),
        ("x", "/orders", "GET", 1),
        ("x", "/orders/", "GET", 1),
        ("x", "/orders/7", "GET", 1),
        ("x", "/orders/archive", "GET", 3),
        ("x", "/orders/archive/", "GET", 2),
        ("x", "/orders/archive/9", "GET", 2),
        ("shop.example.com", "/orders", "GET", 4),
        ("a.eu.example.com", "/orders", "GET", 5),
        ("a.b.eu.example.com", "/orders", "GET", 5),
        ("example.com", "/orders", "GET", 1),
        ("API.Example.com.", "/orders", "GET", 6),
        ("api.example.com", "/orders", "POST", 7),
        ("api.example.com", "/elsewhere", "POST", 0),
    ] {
        let found = table.find(host, path, &method.parse().expect("a method"));
        assert_eq!(found, Ok(&want), "{method} {host}{path}");
    }
}

#[test]
fn a_method_never_falls_through_to_a_wider_path() {
    let table = table(&[(&[], "/", &[]), (&[], "/admin", &["GET", "DELETE"])]);
    let refused = Err(RouteError::MethodNotAllowed("DELETE, GET".into()));
    assert_eq!(table.find("x", "/admin/users", &Method::POST), refused);
    assert_eq!(table.find("x", "/admin/users", &Method::HEAD), Ok(&1), "HEAD goes where GET goes");
}

#[test]
fn an_unknown_path_is_not_found() {
    let table = table(&[(&["a"], "/x", &[])]);
    assert!(table.asks_for_host());
    assert_eq!(table.find("b", "/x", &Method::GET), Err(RouteError::NotFound));
    assert_eq!(table.find("a", "/y", &Method::GET), Err(RouteError::NotFound));
}

#[test]
fn a_path_longer_than_every_prefix_still_finds_its_own() {
    let table = table(&[(&[], "/a", &[]), (&[], "/a/b", &[])]);
    assert!(!table.asks_for_host());
    let below = |start: &str| format!("{start}{}", "/c".repeat(4000));
    assert_eq!(table.find("", &below("/a/b"), &Method::GET), Ok(&1));
    assert_eq!(table.find("", &below("/a"), &Method::GET), Ok(&0));
    assert_eq!(table.find("", &below("/a/bb"), &Method::GET), Ok(&0));
    assert_eq!(table.find("", &below("/ab"), &Method::GET), Err(RouteError::NotFound));
}

#[test]
fn routes_that_take_the_same_request_are_refused() {
    let build = |rows: &[(&[&str], &str, &[&str])]| {
        let rows = rows.iter().map(|row| (pattern(row.0, row.1, row.2), ()));
        RouteTable::build(rows).err()
    };
    let conflict = Some(RouteConflict { first: 0, second: 1 });
    assert_eq!(build(&[(&[], "/a", &[]), (&[], "/a/", &[])]), conflict);
    assert_eq!(build(&[(&["a", "b"], "/", &[]), (&["b"], "/", &[])]), conflict);
    assert_eq!(build(&[(&[], "/a", &["GET", "PUT"]), (&[], "/a", &["PUT"])]), conflict);
    assert_eq!(build(&[(&[], "/a", &["GET"]), (&[], "/a", &["HEAD"])]), conflict);
    assert_eq!(build(&[(&[], "/a", &["GET"]), (&[], "/a", &["PUT"]), (&[], "/a", &[])]), None);
    assert_eq!(build(&[(&[], "/a", &[]), (&[], "=/a", &[]), (&["h"], "/a", &[])]), None);
}

proptest! {
    #[test]
    fn a_path_goes_where_a_naive_scan_sends_it(
        prefixes in prop::collection::btree_set("(/[ab]{1,2}){0,3}", 1..12),
        path in "(/[ab]{1,2}){1,4}",
    ) {
        let prefixes: Vec<String> = prefixes.into_iter().collect();
        let rows = prefixes.iter().enumerate();
        let table = RouteTable::build(rows.map(|(place, prefix)| (pattern(&[], &format!("{prefix}/"), &[]), place)))
            .expect("distinct prefixes do not conflict");
        let takes = |prefix: &&String| path == **prefix || path.starts_with(&format!("{prefix}/"));
        let longest = prefixes.iter().filter(takes).max_by_key(|prefix| prefix.len());
        let found = table.find("h", &path, &Method::GET).ok().map(|place| &prefixes[*place]);
        prop_assert_eq!(found, longest);
    }
}
