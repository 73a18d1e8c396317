//! The table's name, and the names of what stands beside it.

use aws_lc_rs::digest::{SHA256, digest};

use crate::revocation::Audience;

/// The log's table; its other objects are named after it. Only characters that need no quoting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    schema: Option<String>,
    name: String,
}

/// Leaves room for the longest suffix within the server's 63 bytes.
const LONGEST: usize = 40;

// === impl Table ===

impl Table {
    /// `table` or `schema.table`, lower-case letters, digits and `_`; `None` for anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (schema, name) = match text.split_once('.') {
            Some((schema, name)) => (Some(schema), name),
            None => (None, text),
        };
        let fine = is_plain(name) && schema.is_none_or(is_plain);
        fine.then(|| Self { schema: schema.map(str::to_owned), name: name.to_owned() })
    }

    /// The schema that was configured, if one was.
    pub(super) fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// The log, as it stands in SQL.
    pub(super) fn log(&self) -> String {
        self.beside("")
    }

    /// The live entries.
    pub(super) fn live(&self) -> String {
        self.beside("_live")
    }

    /// One row about the store.
    pub(super) fn meta(&self) -> String {
        self.beside("_meta")
    }

    /// Which gateways follow.
    pub(super) fn nodes(&self) -> String {
        self.beside("_nodes")
    }

    /// What `NOTIFY` calls whoever is to hear something; within the server's 63 bytes.
    pub(super) fn ears(&self, to: Audience) -> String {
        match to {
            Audience::All => format!("{}_nodes", self.name),
            Audience::Node(id) => format!("{}_n_{:016x}", self.name, id.as_u64_pair().1),
        }
    }

    /// What `NOTIFY` calls the log.
    pub(super) fn channel(&self) -> String {
        format!("{}_added", self.name)
    }

    /// The number under which nodes take turns (advisory lock).
    pub(super) fn turn(&self) -> i64 {
        let hash = digest(&SHA256, format!("portcullis {}", self.log()).as_bytes());
        let first = hash.as_ref().first_chunk().expect("SHA-256 has 32 bytes");
        i64::from_le_bytes(*first)
    }

    /// SQL with `{log}`, `{live}`, `{meta}`, `{nodes}`, `{name}` and `{channel}` filled in.
    pub(super) fn sql(&self, text: &str) -> String {
        text.replace("{log}", &self.log())
            .replace("{live}", &self.live())
            .replace("{meta}", &self.meta())
            .replace("{nodes}", &self.nodes())
            .replace("{name}", &self.name)
            .replace("{channel}", &self.channel())
    }

    fn beside(&self, suffix: &str) -> String {
        match &self.schema {
            Some(schema) => format!("{schema}.{}{suffix}", self.name),
            None => format!("{}{suffix}", self.name),
        }
    }
}

fn is_plain(word: &str) -> bool {
    let starts = word.starts_with(|first: char| first.is_ascii_lowercase() || first == '_');
    let rest = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    starts && word.len() <= LONGEST && word.chars().all(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_names() {
        for good in ["revocations", "auth.revocations", "_r1", "a.b"] {
            assert_eq!(Table::parse(good).expect("a name").log(), good);
        }
        let long = "x".repeat(41);
        let bad =
            ["", ".", "a.", ".a", "a.b.c", "A", "1a", "a b", "a;drop", "\"a\"", "a-b", "é", &long];
        for bad in bad {
            assert_eq!(Table::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn what_stands_beside_the_table_is_in_its_schema() {
        let table = Table::parse("auth.r").expect("a name");
        let named = table.sql("{log} {live} {meta} {name} {channel}");
        assert_eq!(named, "auth.r auth.r_live auth.r_meta r r_added");
        assert_ne!(table.turn(), Table::parse("r").expect("a name").turn());
    }
}
