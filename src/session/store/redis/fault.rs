//! Tells the server's and the connection's errors apart, and keeps secrets out of their texts.

use std::sync::Arc;

use ::redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::session::store::StoreError;

/// Why a command has brought no result.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{text}")]
pub(super) struct Fault {
    cause: Cause,
    text: Arc<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// The connection is of no use any more.
    Link,
    /// The server does not serve now: it loads, runs somebody's script, has no quorum, has given the slot
    /// away.
    NotReady,
    /// Credentials are wrong, or none were given: the next connection presents them again.
    Unauthenticated,
    /// The user may not do this.
    Forbidden,
    /// There is no memory left.
    Full,
    /// The server does not know the script.
    UnknownScript,
    /// The key holds a value of another type.
    WrongType,
    /// The server does not know the command, or not for keys of several nodes.
    Unsupported,
    /// The server cannot do what it was asked, for another reason.
    Other,
}

impl Fault {
    /// A fault of an established connection.
    pub(super) fn of_call(error: &RedisError) -> Self {
        let code = code(error);
        let text = match code {
            Some(code) => {
                let detail = error.detail().unwrap_or_default();
                // What follows may repeat what was sent.
                let detail = detail.split(", with args").next().unwrap_or_default();
                format!("{code} {detail}")
            }
            None => error.to_string(),
        };
        Self { cause: cause(error, code), text: text.into() }
    }

    /// A fault while connecting, when the password is sent: only the code of the server's answer is
    /// kept, since the rest may repeat what was sent.
    pub(super) fn of_connecting(error: &RedisError) -> Self {
        let code = code(error);
        let text = match code {
            Some(code) => format!("the server answers the greeting with {code}"),
            None => error.to_string(),
        };
        Self { cause: cause(error, code), text: text.into() }
    }

    pub(super) fn silent() -> Self {
        Self { cause: Cause::Link, text: "the server does not answer".into() }
    }

    pub(super) fn lost() -> Self {
        Self { cause: Cause::Link, text: "the connection has ended".into() }
    }

    pub(super) fn replica() -> Self {
        Self { cause: Cause::Link, text: "the server is a replica, not the primary".into() }
    }

    pub(super) fn unexpected_answer() -> Self {
        Self { cause: Cause::Other, text: "the server's answer is of an unexpected type".into() }
    }

    /// Whether a new connection is needed.
    pub(super) fn breaks_link(&self) -> bool {
        matches!(self.cause, Cause::Link | Cause::Unauthenticated)
    }

    /// Whether it would have hit any other command too.
    pub(super) fn is_outage(&self) -> bool {
        self.breaks_link() || self.cause == Cause::NotReady
    }

    pub(super) fn is_unknown_script(&self) -> bool {
        self.cause == Cause::UnknownScript
    }

    /// Whether the server will not take this command another time either: the user may not give it, or it
    /// is not known there, nor to a proxy in between.
    pub(super) fn refuses_command(&self) -> bool {
        matches!(self.cause, Cause::Forbidden | Cause::Unsupported)
    }

    pub(super) fn is_wrong_type(&self) -> bool {
        self.cause == Cause::WrongType
    }

    /// The kind as it stands in logs.
    pub(super) const fn kind(&self) -> &'static str {
        match self.cause {
            Cause::Unauthenticated | Cause::Forbidden => "refused",
            Cause::Full => "full",
            _ => "unavailable",
        }
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault.cause {
            Cause::Unauthenticated | Cause::Forbidden => Self::Refused(fault.into()),
            Cause::Full => Self::Full,
            _ => Self::Unavailable(fault.into()),
        }
    }
}

/// The first word of the server's answer. Redis before 7 wraps what a command inside a script says
/// in an error of its own.
fn code(error: &RedisError) -> Option<&str> {
    let code = error.code()?;
    let wrapped = error
        .detail()
        .filter(|_| code == "ERR")
        .and_then(|detail| detail.rsplit_once(": -"))
        .and_then(|(_, answer)| answer.split(' ').next())
        .filter(|word| word.bytes().all(|byte| byte.is_ascii_uppercase()));
    Some(wrapped.unwrap_or(code))
}

fn cause(error: &RedisError, code: Option<&str>) -> Cause {
    match code {
        Some("NOAUTH" | "WRONGPASS") => return Cause::Unauthenticated,
        Some("NOPERM") => return Cause::Forbidden,
        Some("OOM") => return Cause::Full,
        Some("WRONGTYPE") => return Cause::WrongType,
        Some("READONLY" | "MASTERDOWN") => return Cause::Link,
        Some("BUSY") => return Cause::NotReady,
        Some("ERR") if is_about_the_command(error) => return Cause::Unsupported,
        _ => {}
    }
    match error.kind() {
        ErrorKind::AuthenticationFailed => Cause::Unauthenticated,
        ErrorKind::Io | ErrorKind::Parse => Cause::Link,
        ErrorKind::Server(ServerErrorKind::NoScript) => Cause::UnknownScript,
        ErrorKind::Server(ServerErrorKind::CrossSlot) => Cause::Unsupported,
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::TryAgain
            | ServerErrorKind::Moved
            | ServerErrorKind::Ask,
        )
        | ErrorKind::ClusterConnectionNotFound => Cause::NotReady,
        _ => Cause::Other,
    }
}

/// Whether the server does not know what it was asked to do.
fn is_about_the_command(error: &RedisError) -> bool {
    let detail = error.detail().unwrap_or_default().to_ascii_lowercase();
    ["unknown command", "unsupported command"].iter().any(|it| detail.starts_with(it))
}

#[cfg(test)]
mod tests {
    use ::redis::parse_redis_value;

    use super::*;

    fn answered(answer: &str) -> RedisError {
        parse_redis_value(format!("-{answer}\r\n").as_bytes())
            .and_then(::redis::Value::extract_error)
            .unwrap_err()
    }

    /// S04, S07, S09.
    #[test]
    fn what_the_server_says_decides_the_kind_of_error_and_the_life_of_the_connection() {
        for (answer, kind, breaks_link, outage) in [
            ("NOAUTH Authentication required.", "refused", true, true),
            ("WRONGPASS invalid username-password pair", "refused", true, true),
            ("NOPERM this user has no permissions to run 'get'", "refused", false, false),
            ("OOM command not allowed when used memory > 'maxmemory'.", "full", false, false),
            // As Redis 6.2 says it of a script.
            (
                "ERR Error running script (call to f_1): @user_script:1: @user_script: 1: -OOM command not allowed",
                "full",
                false,
                false,
            ),
            ("READONLY You can't write against a read only replica.", "unavailable", true, true),
            ("MASTERDOWN Link with MASTER is down", "unavailable", true, true),
            ("LOADING Redis is loading the dataset in memory", "unavailable", false, true),
            ("CLUSTERDOWN The cluster is down", "unavailable", false, true),
            ("MOVED 1 127.0.0.1:7000", "unavailable", false, true),
            ("BUSY Redis is busy running a script.", "unavailable", false, true),
            ("MISCONF Redis is configured to save", "unavailable", false, false),
        ] {
            let fault = Fault::of_call(&answered(answer));
            assert_eq!(
                (fault.kind(), fault.breaks_link(), fault.is_outage()),
                (kind, breaks_link, outage),
                "{answer}"
            );
        }
    }

    #[test]
    fn a_command_that_fails_in_passing_is_not_refused_for_good() {
        for (answer, expected) in [
            ("NOPERM this user has no permissions to run the 'mget' command", true),
            ("ERR unknown command 'MGET', with args beginning with: 'a'", true),
            ("CROSSSLOT Keys in request don't hash to the same slot", true),
            ("ERR unsupported command", true),
            ("ERR Connection timed out", false),
            ("BUSY Redis is busy running a script.", false),
            ("LOADING Redis is loading the dataset in memory", false),
            ("CLUSTERDOWN The cluster is down", false),
            ("NOAUTH Authentication required.", false),
            ("MASTERDOWN Link with MASTER is down", false),
        ] {
            let fault = Fault::of_call(&answered(answer));
            assert_eq!(fault.refuses_command(), expected, "{answer}");
        }
    }

    /// D19.
    #[test]
    fn an_answer_that_repeats_what_was_sent_is_not_repeated() {
        let answer =
            "ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'u' 'canary'";
        for fault in [Fault::of_call(&answered(answer)), Fault::of_connecting(&answered(answer))] {
            assert!(!format!("{fault} {fault:?}").contains("canary"), "{fault}");
        }
    }
}
