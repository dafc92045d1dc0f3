//! The verbs that read and write in one step, as Lua scripts of one key each: in a cluster every
//! script runs where its key is.

use std::{fmt::Write as _, sync::LazyLock};

use ::redis::{Cmd, FromRedisValue, ParsingError, Value, cmd};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// A script and the hash that the server knows it by.
pub(super) struct Script {
    code: String,
    hash: String,
}

impl Script {
    fn new(parts: &[&str]) -> Self {
        let code = parts.concat();
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, code.as_bytes());
        let hash = hash.as_ref().iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}"); // writing to a string does not fail
            hex
        });
        Self { code, hash }
    }

    pub(super) fn by_hash(&self, key: &str, arguments: &[&[u8]]) -> Cmd {
        Self::command("EVALSHA", &self.hash, key, arguments)
    }

    pub(super) fn in_full(&self, key: &str, arguments: &[&[u8]]) -> Cmd {
        Self::command("EVAL", &self.code, key, arguments)
    }

    fn command(name: &str, script: &str, key: &str, arguments: &[&[u8]]) -> Cmd {
        let mut command = cmd(name);
        command.arg(script).arg(1).arg(key);
        for argument in arguments {
            command.arg(*argument);
        }
        command
    }
}

/// What the scripts that depend on a version answer.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    Absent,
    Changed,
    Done,
}

impl FromRedisValue for Answer {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        match value {
            Value::Int(0) => Ok(Self::Absent),
            Value::Int(1) => Ok(Self::Changed),
            Value::Int(2) => Ok(Self::Done),
            _ => Err("neither 0, 1 nor 2".into()),
        }
    }
}

/// `head(n)`: the first `n` bytes of the value, "" where there are none; `nil` and the server's
/// error where it cannot be read. A value of another type has no bytes.
const HEAD: &str = r"
local function head(n)
  local found = redis.pcall('GETRANGE', KEYS[1], 0, n - 1)
  if type(found) == 'string' then return found end
  if string.find(found.err, 'WRONGTYPE', 1, true) then return '' end
  return nil, found
end
";

/// Answers unless the record's version is the first argument. What is no record has the version that
/// `StoredRecord::unreadable` has: zeros.
const SAME_VERSION: &str = r"
local version, failed = head(16)
if failed then return failed end
if #version < 16 then
  if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
  version = string.rep('\0', 16)
end
if version ~= ARGV[1] then return 1 end
";

/// `now`: the server's clock in milliseconds. `whole(n)`: a number without exponent. `kind`: the
/// type of what is under the key.
const CLOCK: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function whole(n) return string.format('%.0f', n) end
local kind = redis.call('TYPE', KEYS[1])
kind = kind.ok or kind
";

/// Arguments: the version, the new record, its milliseconds to live.
pub(super) static UPDATE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&[
        HEAD,
        SAME_VERSION,
        r"
if ARGV[3] == '0' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return 2
",
    ])
});

/// Argument: the version.
pub(super) static DELETE_IF: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&[
        HEAD,
        SAME_VERSION,
        r"
redis.call('DEL', KEYS[1])
return 2
",
    ])
});

/// Arguments: owner, note, milliseconds. Answers nothing if the caller holds the lease now, else the
/// holder's note and the milliseconds that are left. What is no lease, or would never end, is free.
pub(super) static LEASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&[
        HEAD,
        r"
local held, failed = head(17)
if failed then return failed end
if #held == 17 and string.sub(held, 1, 16) ~= ARGV[1] then
  local left = redis.call('PTTL', KEYS[1])
  if left >= 0 then return {string.byte(held, 17), left} end
end
if ARGV[3] == '0' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2], 'PX', ARGV[3])
end
return false
",
    ])
});

/// Argument: the owner.
pub(super) static RELEASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&[
        HEAD,
        r"
local owner, failed = head(16)
if failed then return failed end
if owner == ARGV[1] then redis.call('DEL', KEYS[1]) end
return false
",
    ])
});

/// Arguments: the record's key, the content, milliseconds. The index is a hash from record to
/// `<expiry in milliseconds>:<content>`; it ends with its longest entry.
pub(super) static INDEX_ADD: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&[
        CLOCK,
        r"
if kind ~= 'hash' and kind ~= 'none' then redis.call('DEL', KEYS[1]) end
if ARGV[3] == '0' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], whole(now + ARGV[3]) .. ':' .. ARGV[2])
end
local last = 0
local entries = redis.call('HGETALL', KEYS[1])
for i = 1, #entries, 2 do
  local expiry = tonumber(string.match(entries[i + 1], '^(%d+):')) or 0
  if now > expiry then
    redis.call('HDEL', KEYS[1], entries[i])
  elseif expiry > last then
    last = expiry
  end
end
if last > 0 then redis.call('PEXPIREAT', KEYS[1], whole(last + 1)) end
return false
",
    ])
});

/// Answers pairs of record and content. Removing what is over is tried only: a server that takes no
/// writes now can still be asked.
pub(super) static INDEX: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&[
        CLOCK,
        r"
local live = {}
if kind ~= 'hash' then return live end
local entries = redis.call('HGETALL', KEYS[1])
for i = 1, #entries, 2 do
  local expiry, content = string.match(entries[i + 1], '^(%d+):(.*)$')
  if expiry and now <= tonumber(expiry) then
    live[#live + 1] = {entries[i], content}
  else
    redis.pcall('HDEL', KEYS[1], entries[i])
  end
end
return live
",
    ])
});

/// Argument: the record's key.
pub(super) static INDEX_REMOVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&[
        CLOCK,
        r"
if kind == 'hash' then
  redis.call('HDEL', KEYS[1], ARGV[1])
elseif kind ~= 'none' then
  redis.call('DEL', KEYS[1])
end
return false
",
    ])
});
