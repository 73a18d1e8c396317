//! What Redis does in one step, as scripts, and the keys that they are for.

use redis::Cmd;
use uuid::Uuid;

use crate::revocation::Audience;

/// The store's keys. The braces keep all of them in one slot of a Redis cluster.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    pub(super) stream: String,
    pub(super) meta: String,
    pub(super) live: String,
    pub(super) nodes: String,
    expiry: String,
}

/// A script with its arguments.
pub(super) struct Script {
    text: &'static str,
    arguments: Vec<Vec<u8>>,
}

/// `epoch()`: the epoch of a memory that is whole, else a new one (`ARGV[1]`), of which a marker in the
/// stream tells every reader. What is left of the stream is then folded again, from its beginning.
macro_rules! with_epoch {
    ($text:literal) => {
        concat!(
            "local function epoch() \
               local known = redis.call('HGET', KEYS[2], 'epoch') \
               local folded = redis.call('HGET', KEYS[2], 'folded') \
               if known and folded and redis.call('ZSCORE', KEYS[3], '') \
                 and redis.call('XRANGE', KEYS[1], folded, folded)[1] then return known end \
               local id = redis.call('XADD', KEYS[1], '*', 'e', ARGV[1]) \
               local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1][1] \
               redis.call('HSET', KEYS[2], 'epoch', ARGV[1]) \
               redis.call('HDEL', KEYS[2], 'first') \
               redis.call('ZADD', KEYS[3], 0, '') \
               if first == id then redis.call('HSET', KEYS[2], 'folded', id) \
               else redis.call('HSET', KEYS[2], 'folded', '0-0') end \
               return ARGV[1] \
             end ",
            $text
        )
    };
}

/// Adds records, several times a number and as many of them; answers with the id of the last of each.
const APPEND: &str = with_epoch!(
    "epoch() \
     local ids, i = {}, 2 \
     while i <= #ARGV do \
       local id \
       for n = i + 1, i + ARGV[i] do id = redis.call('XADD', KEYS[1], '*', 'r', ARGV[n]) end \
       ids[#ids + 1] = id \
       i = i + 1 + ARGV[i] \
     end \
     return ids"
);

/// What is not folded yet: epoch, `folded`, up to `ARGV[2]` entries after it.
const TAIL: &str = with_epoch!(
    "local known = epoch() \
     local folded = redis.call('HGET', KEYS[2], 'folded') \
     return {known, folded, redis.call('XRANGE', KEYS[1], '(' .. folded, '+', 'COUNT', ARGV[2])}"
);

/// Moves `folded` from `ARGV[2]` to `ARGV[3]`, if it is still there in the epoch `ARGV[1]`, with what changes
/// on the way: name, old member, new member (empty: none), expiry.
const FOLD: &str = "if redis.call('HGET', KEYS[2], 'epoch') ~= ARGV[1] \
       or redis.call('HGET', KEYS[2], 'folded') ~= ARGV[2] then return 0 end \
     for i = 4, #ARGV, 4 do \
       if ARGV[i + 1] ~= '' then redis.call('ZREM', KEYS[3], ARGV[i + 1]) end \
       if ARGV[i + 2] ~= '' then \
         redis.call('ZADD', KEYS[3], 0, ARGV[i + 2]) \
         redis.call('ZADD', KEYS[4], ARGV[i + 3], ARGV[i]) \
       else redis.call('ZREM', KEYS[4], ARGV[i]) end \
     end \
     redis.call('HSET', KEYS[2], 'folded', ARGV[3]) \
     return 1";

/// Forgets up to `ARGV[2]` entries that expired before `ARGV[1]`; how many.
const FORGET: &str = "local names = redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', '(' .. ARGV[1], 'LIMIT', 0, ARGV[2]) \
     for _, name in ipairs(names) do \
       local range = {'[' .. name .. '\\0', '(' .. name .. '\\1'} \
       for _, member in ipairs(redis.call('ZRANGEBYLEX', KEYS[3], range[1], range[2])) do \
         redis.call('ZREM', KEYS[3], member) \
       end \
       redis.call('ZREM', KEYS[4], name) \
     end \
     return #names";

/// Trims the stream to about `ARGV[1]` entries when fewer than 1000 are not folded; how many went.
const TRIM: &str = "local folded = redis.call('HGET', KEYS[2], 'folded') \
     if not folded or redis.call('XLEN', KEYS[1]) <= tonumber(ARGV[1]) then return 0 end \
     if #redis.call('XRANGE', KEYS[1], '(' .. folded, '+', 'COUNT', 1000) >= 1000 then return 0 end \
     local gone = redis.call('XTRIM', KEYS[1], 'MAXLEN', '~', ARGV[1]) \
     redis.call('HSET', KEYS[2], 'first', redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1][1]) \
     return gone";

/// Gives the store a new epoch, `ARGV[1]`, if it still has `ARGV[2]`.
const RENEW: &str = "if redis.call('HGET', KEYS[2], 'epoch') ~= ARGV[2] then return 0 end \
     redis.call('HSET', KEYS[2], 'epoch', ARGV[1]) \
     redis.call('XADD', KEYS[1], '*', 'e', ARGV[1]) \
     return 1";

// === impl Keys ===

impl Keys {
    pub(super) fn of(stream: &str) -> Self {
        Self {
            stream: stream.to_owned(),
            meta: format!("{{{stream}}}:meta"),
            live: format!("{{{stream}}}:live"),
            nodes: format!("{{{stream}}}:nodes"),
            expiry: format!("{{{stream}}}:expiry"),
        }
    }

    /// The channel on which they hear what is said.
    pub(super) fn channel(&self, to: Audience) -> String {
        match to {
            Audience::All => self.nodes.clone(),
            Audience::Node(id) => format!("{}:{id}", self.nodes),
        }
    }
}

// === impl Script ===

impl Script {
    /// Of several who append, the records of each.
    pub(super) fn append<'r>(groups: impl IntoIterator<Item = &'r [Vec<u8>]>) -> Self {
        let mut script = Self::new(APPEND, [candidate()]);
        for records in groups {
            script.arguments.push(records.len().to_string().into_bytes());
            script.arguments.extend_from_slice(records);
        }
        script
    }

    pub(super) fn tail(count: usize) -> Self {
        Self::new(TAIL, [candidate(), count.to_string()])
    }

    pub(super) fn fold(epoch: &str, from: &str, to: &str, changes: Vec<Vec<u8>>) -> Self {
        let mut script = Self::new(FOLD, [epoch, from, to].map(str::to_owned));
        script.arguments.extend(changes);
        script
    }

    pub(super) fn forget(before: u64, count: usize) -> Self {
        Self::new(FORGET, [before.to_string(), count.to_string()])
    }

    pub(super) fn trim(kept: usize) -> Self {
        Self::new(TRIM, [kept.to_string()])
    }

    pub(super) fn renew(known: &str) -> Self {
        Self::new(RENEW, [candidate(), known.to_owned()])
    }

    fn new<const N: usize>(text: &'static str, arguments: [String; N]) -> Self {
        Self { text, arguments: arguments.map(String::into_bytes).into() }
    }

    /// The command that runs it; sent whole, so that a server that was restarted knows it.
    pub(super) fn command(&self, keys: &Keys) -> Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg(self.text).arg(4);
        command.arg(&[&keys.stream, &keys.meta, &keys.live, &keys.expiry]);
        for argument in &self.arguments {
            command.arg(argument.as_slice());
        }
        command
    }
}

/// The epoch that the store gets if it has none.
fn candidate() -> String {
    Uuid::new_v4().to_string()
}
