//! What every session holds, whoever keeps it: the user, and tokens as long as LivePerson's.

use serde::{Deserialize, Serialize};

/// The user's id, which is also what every handler answers: MockSentinel's agent.
pub const USER: &str = "3552833710";

const ACCESS_DIGITS: usize = 64;
const REFRESH_DIGITS: usize = 288;

/// Whose session it is, and the tokens to act for them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    pub user: String,
    pub tokens: Tokens,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tokens {
    pub access: String,
    pub refresh: String,
    /// Seconds since the epoch.
    pub expires_at: u64,
}

impl Session {
    /// The session with this number; no two have the same tokens.
    pub fn number(number: usize) -> Self {
        Self { user: USER.to_owned(), tokens: Tokens::number(number) }
    }
}

impl Tokens {
    pub fn number(number: usize) -> Self {
        Self {
            access: digits(number, ACCESS_DIGITS),
            refresh: digits(number, REFRESH_DIGITS),
            expires_at: 4_102_444_800, // 2100
        }
    }
}

/// Hexadecimal digits that look like a token's.
fn digits(seed: usize, count: usize) -> String {
    let mut random = crate::random::Random::seeded(seed as u64);
    (0..count).filter_map(|_| char::from_digit((random.draw() >> 32) as u32 % 16, 16)).collect()
}
