//! A37: the cache is bounded, exact, and forgets with the keys.

use std::sync::Arc;

use super::*;

#[test]
fn only_the_very_same_token_hits() {
    let cache = TokenCache::new(100, 1 << 20);
    let token = crate::token::tests::token();
    cache.insert(&token, 1, Arc::new(7), 0);
    assert_eq!(cache.find(&token, 1).as_deref(), Some(&7));
    let (signed, _) = token.rsplit_once('.').unwrap();
    for index in 0..token.len() {
        let mut near = token.clone().into_bytes();
        near[index] ^= 1;
        assert_eq!(cache.find(std::str::from_utf8(&near).unwrap(), 1), None);
    }
    for near in [format!("{token}="), format!(" {token}"), format!("{signed}."), String::new()] {
        assert_eq!(cache.find(&near, 1), None, "{near}");
    }
}

#[test]
fn tokens_with_the_same_end_are_kept_apart() {
    let cache = TokenCache::new(100, 1 << 20);
    let end = "x".repeat(2 * HASHED);
    let tokens: Vec<String> = (0..20).map(|number| format!("{number}{end}")).collect();
    for (number, token) in tokens.iter().enumerate() {
        cache.insert(token, 1, number, 0);
    }
    for (number, token) in tokens.iter().enumerate() {
        assert_eq!(cache.find(token, 1), Some(number));
    }
    assert_eq!(cache.find(&end, 1), None);
}

#[test]
fn another_key_generation_misses() {
    let cache = TokenCache::new(100, 1 << 20);
    cache.insert("a", 1, 7, 0);
    assert_eq!(cache.find("a", 1), Some(7));
    assert_eq!(cache.find("a", 2), None);
    assert_eq!(cache.find("a", 0), None);
    cache.insert("a", 2, 8, 0);
    assert_eq!((cache.find("a", 1), cache.find("a", 2)), (None, Some(8)));
}

#[test]
fn entries_and_bytes_are_bounded() {
    let by_entries = TokenCache::new(100, 1 << 30);
    let by_bytes = TokenCache::new(1_000_000, 200 * (PLACE + 1000));
    for number in 0..5000 {
        by_entries.insert(&number.to_string(), 1, number, 0);
        by_bytes.insert(&format!("{number:01000}"), 1, number, 0);
    }
    assert!((1..=100).contains(&by_entries.len()), "{}", by_entries.len());
    assert!((1..=200).contains(&by_bytes.len()), "{}", by_bytes.len());
    by_bytes.insert(&"x".repeat(MAX_TOKEN + 1), 1, 0, 0);
    assert_eq!(by_bytes.find("x".repeat(MAX_TOKEN + 1), 1), None);
}

#[test]
fn what_a_value_occupies_counts() {
    let cache = TokenCache::new(1_000_000, 1 << 20);
    for number in 0..5000 {
        cache.insert(&number.to_string(), 1, number, 10_000);
    }
    assert!((1..=104).contains(&cache.len()), "{}", cache.len());
}

#[test]
fn tokens_seen_once_leave_those_in_use_where_they_are() {
    let cache = TokenCache::sparing(1000, 1 << 20);
    let used: Vec<String> = (0..200).map(|number| format!("used {number}")).collect();
    for token in &used {
        cache.insert(token, 1, 7, 0);
    }
    for number in 0..100_000 {
        let token = &used[number % used.len()];
        assert_eq!(cache.find(token, 1), Some(7), "{token}, after {number} others");
        cache.insert(&format!("once {number}"), 1, 8, 0);
    }
    // Half of it, and what the door let in between two looks.
    assert!((400..=600).contains(&cache.len()), "{}", cache.len());
}

#[test]
fn a_full_cache_still_takes_who_comes_twice() {
    let cache = TokenCache::sparing(1000, 1 << 20);
    for number in 0..5000 {
        cache.insert(&format!("once {number}"), 1, 7, 0);
    }
    cache.insert("twice", 1, 8, 0);
    cache.insert("twice", 1, 8, 0);
    assert_eq!(cache.find("twice", 1), Some(8));
}

#[test]
fn nothing_is_shown_when_printed() {
    let cache = TokenCache::new(10, 1 << 20);
    cache.insert("secret", 1, 7, 0);
    assert_eq!(format!("{cache:?}"), "TokenCache(..)");
}
