//! Answers of the token endpoint (RFC 6749 §5): tolerant where that costs nothing, strict where a
//! mistake would become somebody's session.

use std::{fmt, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use zeroize::Zeroizing;

use super::error::{MalformedAnswer, OAuthErrorCode};
use crate::secret::{AccessToken, RefreshToken};

/// The tokens of a successful answer (RFC 6749 §5.1).
pub(crate) struct TokenSet {
    pub access_token: AccessToken,
    pub token_type: Option<String>,
    /// Absent if the answer has none, or an empty one.
    pub refresh_token: Option<RefreshToken>,
    /// Not verified.
    pub id_token: Option<String>,
    /// The access token's lifetime, at most 400 days; zero if the server says that it is over.
    pub expires_in: Option<Duration>,
    pub scope: Option<String>,
}

impl fmt::Debug for TokenSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSet")
            .field("token_type", &self.token_type)
            .field("refresh_token", &self.refresh_token.is_some())
            .field("id_token", &self.id_token.is_some())
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}

/// Longer than any token that fits into a request's headers.
const MAX_TOKEN_LEN: usize = 8 * 1024;
/// A lifetime beyond this is no promise anybody keeps; it keeps sums of times small.
const MAX_LIFETIME: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// Reads the body of a success.
///
/// Members that are unknown are skipped; `token_type`, `id_token` and `scope` of a wrong type count
/// as absent, since a rotated token must not be lost for them. A member that appears twice makes the
/// answer malformed: which of two tokens counts is nothing to guess at.
pub(super) fn parse(body: &[u8]) -> Result<TokenSet, MalformedAnswer> {
    let answer = Answer::read(body).ok_or(MalformedAnswer::NotJson)?;
    match answer.error {
        Member::Absent => {}
        Member::Text(text) if text.is_empty() => {}
        _ => return Err(MalformedAnswer::Error),
    }
    Ok(TokenSet {
        access_token: access_token(answer.access_token)?,
        token_type: answer.token_type.into_text(),
        refresh_token: refresh_token(answer.refresh_token)?,
        id_token: answer.id_token.into_text(),
        expires_in: lifetime(&answer.expires_in),
        scope: answer.scope.into_text(),
    })
}

/// Reads the `error` of a refusal (RFC 6749 §5.2); a body that is no such answer has none.
pub(super) fn error_code(body: &[u8]) -> OAuthErrorCode {
    match Answer::read(body).map(|answer| answer.error) {
        Some(Member::Text(code)) => OAuthErrorCode::from_code(&code),
        _ => OAuthErrorCode::Missing,
    }
}

/// The members that have a meaning; serde refuses each of them if it comes twice.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    access_token: Member,
    token_type: Member,
    refresh_token: Member,
    id_token: Member,
    expires_in: Member,
    scope: Member,
    error: Member,
}

impl Answer {
    /// serde would take an array for the members in their order; only an object is an answer.
    fn read(body: &[u8]) -> Option<Self> {
        let is_object = body.trim_ascii_start().starts_with(b"{");
        is_object.then(|| serde_json::from_slice(body).ok())?
    }
}

/// A JSON value as far as an answer's members need it.
#[derive(Default)]
enum Member {
    /// Not there, or `null`.
    #[default]
    Absent,
    Text(Zeroizing<String>),
    Number(f64),
    Other,
}

impl Member {
    fn into_text(self) -> Option<String> {
        match self {
            Self::Text(mut text) if !text.is_empty() => Some(std::mem::take(&mut *text)),
            _ => None,
        }
    }
}

fn access_token(member: Member) -> Result<AccessToken, MalformedAnswer> {
    member
        .into_text()
        .filter(|text| text.len() <= MAX_TOKEN_LEN && text.bytes().all(|b| b.is_ascii_graphic()))
        .map(AccessToken::new)
        .ok_or(MalformedAnswer::AccessToken)
}

/// RFC 6749 appendix A.17: printable ASCII, spaces too.
fn refresh_token(member: Member) -> Result<Option<RefreshToken>, MalformedAnswer> {
    let printable = |b: u8| (b' '..=b'~').contains(&b);
    match member {
        Member::Absent => Ok(None),
        Member::Text(text) if text.len() <= MAX_TOKEN_LEN && text.bytes().all(printable) => {
            Ok(Member::Text(text).into_text().map(RefreshToken::new))
        }
        _ => Err(MalformedAnswer::RefreshToken),
    }
}

/// Reads `expires_in`: seconds as a number or as a string that holds one.
///
/// Zero and less mean that the token is over already, never that its life is unknown. Nonsense
/// counts as absent, with a warning: the tokens beside it are good.
fn lifetime(member: &Member) -> Option<Duration> {
    let secs = match member {
        Member::Absent => return None,
        Member::Number(secs) => Some(*secs),
        Member::Text(text) => seconds(text),
        Member::Other => None,
    };
    let Some(secs) = secs else {
        tracing::warn!("`expires_in` of the token answer is no number of seconds, and ignored");
        return None;
    };
    let secs = secs.clamp(0.0, MAX_LIFETIME.as_secs_f64());
    Some(Duration::from_secs_f64(secs))
}

/// Only the characters of numbers: `f64`'s parser would take `inf` and `NaN` too.
fn seconds(text: &str) -> Option<f64> {
    let text = text.trim();
    let numeric = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E');
    text.bytes().all(numeric).then(|| text.parse().ok())?
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MemberVisitor)
    }
}

struct MemberVisitor;

#[expect(clippy::cast_precision_loss, reason = "lifetimes are far below 2^52 s")]
impl<'de> Visitor<'de> for MemberVisitor {
    type Value = Member;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Member, E> {
        Ok(Member::Absent)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Member, E> {
        Ok(Member::Other)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Member, E> {
        Ok(Member::Number(number as f64))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Member, E> {
        Ok(Member::Number(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Member, E> {
        Ok(Member::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Member, E> {
        Ok(Member::Text(Zeroizing::new(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Member, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Member::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Member, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Member::Other)
    }
}

#[cfg(test)]
mod tests;
