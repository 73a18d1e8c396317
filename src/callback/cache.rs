//! Verdicts kept for a while: bounded in number and bytes, by the whole token's text, never longer than
//! the token lives.

use std::time::Duration;

use tokio::time::Instant;

use crate::access::Verdict;
use crate::config::CallbackCache;
use crate::token::TokenCache;

/// The verdicts of one callback.
#[derive(Debug)]
pub(super) struct VerdictCache {
    tokens: TokenCache<Kept>,
    ttl: Duration,
    refused_ttl: Duration,
}

/// From when on, and for how long at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Term {
    pub(super) from: Instant,
    pub(super) most: Duration,
}

#[derive(Clone, Copy)]
struct Kept {
    verdict: Verdict,
    until: Instant,
}

// === impl VerdictCache ===

impl VerdictCache {
    pub(super) fn new(config: &CallbackCache) -> Self {
        let tokens = TokenCache::new(config.entries, config.bytes);
        Self { tokens, ttl: config.ttl, refused_ttl: config.refused_ttl }
    }

    /// The verdict on exactly this token, verified under this generation, while it counts.
    pub(super) fn find(&self, token: &str, generation: u64, now: Instant) -> Option<Verdict> {
        let kept = self.tokens.find(token, generation)?;
        (now < kept.until).then_some(kept.verdict)
    }

    /// Keeps a verdict, no longer than the term.
    pub(super) fn keep(&self, token: &str, generation: u64, verdict: Verdict, term: Term) {
        let ttl = match verdict {
            Verdict::Allow => self.ttl,
            Verdict::Deny | Verdict::Inactive => self.refused_ttl,
        };
        let ttl = ttl.min(term.most);
        if !ttl.is_zero() {
            let until = term.from + ttl;
            self.tokens.insert(token, generation, Kept { verdict, until }, 0);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(from: Instant, seconds: u64) -> Term {
        Term { from, most: Duration::from_secs(seconds) }
    }

    fn cache(entries: usize) -> VerdictCache {
        let (ttl, refused_ttl) = (Duration::from_secs(10), Duration::from_secs(5));
        VerdictCache::new(&CallbackCache { ttl, refused_ttl, entries, bytes: 1 << 20 })
    }

    #[test]
    fn a_verdict_counts_for_its_time_and_a_refusal_for_its_own() {
        let (cache, now) = (cache(100), Instant::now());
        let after = |seconds| now + Duration::from_secs(seconds);
        for (token, verdict, seconds) in
            [("a", Verdict::Allow, 10), ("b", Verdict::Deny, 5), ("c", Verdict::Inactive, 5)]
        {
            cache.keep(token, 1, verdict, term(now, 3600));
            assert_eq!(cache.find(token, 1, now), Some(verdict));
            assert_eq!(cache.find(token, 1, after(seconds - 1)), Some(verdict));
            assert_eq!(cache.find(token, 1, after(seconds)), None);
        }
    }

    #[test]
    fn no_verdict_outlives_its_token() {
        let (cache, now) = (cache(100), Instant::now());
        cache.keep("short", 1, Verdict::Allow, term(now, 3));
        assert_eq!(cache.find("short", 1, now + Duration::from_secs(2)), Some(Verdict::Allow));
        assert_eq!(cache.find("short", 1, now + Duration::from_secs(3)), None);
        cache.keep("ended", 1, Verdict::Allow, term(now, 0));
        assert_eq!(cache.find("ended", 1, now), None);
    }

    #[test]
    fn another_token_or_generation_never_hits() {
        let (cache, now) = (cache(100), Instant::now());
        cache.keep("header.payload.signature", 1, Verdict::Allow, term(now, 3600));
        for token in ["header.payload.signaturf", "header.payload.signatur", "", "header.payload"] {
            assert_eq!(cache.find(token, 1, now), None, "{token}");
        }
        assert_eq!(cache.find("header.payload.signature", 2, now), None);
    }

    #[test]
    fn a_flood_of_tokens_stays_within_the_bounds() {
        let now = Instant::now();
        for entries in [1, 10, 500] {
            let cache = cache(entries);
            for token in 0..20_000 {
                cache.keep(&format!("{token}"), 1, Verdict::Allow, term(now, 3600));
                assert!(cache.len() <= entries, "{} of {entries}", cache.len());
            }
        }
        // The bytes bind first when the tokens are long.
        let cache = cache(1_000_000);
        for token in 0..5_000 {
            cache.keep(&format!("{token:04000}"), 1, Verdict::Allow, term(now, 3600));
        }
        assert!(cache.len() <= (1 << 20) / 4_000, "{}", cache.len());
    }
}
