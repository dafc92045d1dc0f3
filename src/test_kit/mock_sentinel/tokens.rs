//! Codes and tokens: who was given which, and what is still worth anything.
//!
//! All tokens that descend from one code are a family; they live and die together. Nothing here
//! does I/O or reads a clock.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use aws_lc_rs::digest::{SHA256, digest};
use base64_simd::URL_SAFE_NO_PAD;

use super::random;

/// The longest lifetime that RFC 6749 §4.1.2 recommends.
const CODE_LIFETIME: Duration = Duration::from_secs(600);

/// Both published access tokens have this many hexadecimal digits.
const ACCESS_TOKEN_DIGITS: usize = 64;

/// As many as a code needs to be unguessable.
const CODE_DIGITS: usize = 32;

/// What a user has allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grant {
    /// The number of the registered client.
    pub(super) client: usize,
    /// The `sub` of the user.
    pub(super) user: String,
}

/// An authorization request that was granted, until its code is redeemed.
#[derive(Debug, Clone)]
pub(super) struct Authorization {
    pub(super) grant: Grant,
    pub(super) redirect_uri: String,
    /// Whether the request named its redirect URI; then the exchange must too (RFC 6749 §4.1.3).
    pub(super) redirect_uri_named: bool,
    /// The S256 challenge (RFC 7636 §4.2).
    pub(super) code_challenge: Option<String>,
}

/// What a token request says about its code.
#[derive(Debug, Clone, Copy)]
pub(super) struct Redemption<'a> {
    pub(super) code: &'a str,
    pub(super) client: usize,
    pub(super) redirect_uri: Option<&'a str>,
    pub(super) code_verifier: Option<&'a str>,
}

/// Why a code or a refresh token is worth nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Unknown, expired, dead, or somebody else's.
    Invalid,
    /// It was good once.
    Spent,
}

/// The number of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FamilyId(usize);

#[derive(Debug)]
struct Family {
    grant: Grant,
    alive: bool,
}

#[derive(Debug)]
struct Code {
    authorization: Authorization,
    expires_at: SystemTime,
    redeemed: Option<FamilyId>,
}

#[derive(Debug)]
struct Access {
    family: FamilyId,
    expires_at: SystemTime,
}

#[derive(Debug)]
struct Refresh {
    family: FamilyId,
    spent: bool,
}

/// All codes and tokens ever issued.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    families: Vec<Family>,
    codes: HashMap<String, Code>,
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
}

impl Tokens {
    pub(super) fn issue_code(&mut self, authorization: Authorization, now: SystemTime) -> String {
        let code = random::hex(CODE_DIGITS);
        let entry = Code { authorization, expires_at: now + CODE_LIFETIME, redeemed: None };
        self.codes.insert(code.clone(), entry);
        code
    }

    /// Starts a family. A second use kills it again (RFC 6749 §4.1.2).
    pub(super) fn redeem(
        &mut self,
        redemption: Redemption<'_>,
        now: SystemTime,
    ) -> Result<FamilyId, Refused> {
        let code = self.codes.get_mut(redemption.code);
        let code = code.ok_or(Refused::Invalid)?;
        if code.authorization.grant.client != redemption.client {
            return Err(Refused::Invalid);
        }
        if let Some(family) = code.redeemed {
            self.kill(family);
            return Err(Refused::Spent);
        }
        if now >= code.expires_at || !code.authorization.admits(redemption) {
            return Err(Refused::Invalid);
        }
        let family = FamilyId(self.families.len());
        code.redeemed = Some(family);
        self.families.push(Family { grant: code.authorization.grant.clone(), alive: true });
        Ok(family)
    }

    pub(super) fn issue_access(&mut self, family: FamilyId, expires_at: SystemTime) -> String {
        let token = random::hex(ACCESS_TOKEN_DIGITS);
        let entry = Access { family, expires_at };
        self.access.insert(token.clone(), entry);
        token
    }

    pub(super) fn issue_refresh(&mut self, family: FamilyId, digits: usize) -> String {
        let token = random::hex(digits);
        let entry = Refresh { family, spent: false };
        self.refresh.insert(token.clone(), entry);
        token
    }

    /// The family that a refresh token speaks for; spends nothing.
    pub(super) fn refreshable(&self, token: &str, client: usize) -> Result<FamilyId, Refused> {
        let entry = self.refresh.get(token).ok_or(Refused::Invalid)?;
        let family = self.family(entry.family);
        if family.grant.client != client {
            return Err(Refused::Invalid);
        }
        match (entry.spent, family.alive) {
            (true, _) => Err(Refused::Spent),
            (false, false) => Err(Refused::Invalid),
            (false, true) => Ok(entry.family),
        }
    }

    /// Makes a refresh token worthless; its family lives on.
    pub(super) fn spend(&mut self, token: &str) {
        if let Some(entry) = self.refresh.get_mut(token) {
            entry.spent = true;
        }
    }

    /// Makes a family's access tokens worthless; the family lives on.
    pub(super) fn expire_access(&mut self, family: FamilyId) {
        self.access.retain(|_, entry| entry.family != family);
    }

    /// Makes all tokens of a family worthless.
    pub(super) fn kill(&mut self, family: FamilyId) {
        self.families[family.0].alive = false;
    }

    /// Makes all tokens of a user worthless.
    pub(super) fn kill_user(&mut self, user: &str) {
        let theirs = |family: &&mut Family| family.grant.user == user;
        for family in self.families.iter_mut().filter(theirs) {
            family.alive = false;
        }
    }

    /// The family of a token of either kind, alive or not.
    pub(super) fn family_of(&self, token: &str) -> Option<FamilyId> {
        let refresh = self.refresh.get(token).map(|entry| entry.family);
        refresh.or_else(|| self.access.get(token).map(|entry| entry.family))
    }

    pub(super) fn grant(&self, family: FamilyId) -> &Grant {
        &self.family(family).grant
    }

    /// Whom an access token speaks for, while it lives.
    pub(super) fn bearer(&self, access_token: &str, now: SystemTime) -> Option<&Grant> {
        let entry = self.access.get(access_token)?;
        let family = self.family(entry.family);
        (family.alive && now < entry.expires_at).then_some(&family.grant)
    }

    fn family(&self, id: FamilyId) -> &Family {
        &self.families[id.0]
    }
}

impl Authorization {
    fn admits(&self, redemption: Redemption<'_>) -> bool {
        let redirect_uri = match redemption.redirect_uri {
            Some(uri) => uri == self.redirect_uri,
            None => !self.redirect_uri_named,
        };
        let proof = match (&self.code_challenge, redemption.code_verifier) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(challenge), Some(verifier)) => *challenge == s256(verifier),
        };
        redirect_uri && proof
    }
}

/// The challenge of a verifier (RFC 7636 §4.2).
fn s256(code_verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode_to_string(digest(&SHA256, code_verifier.as_bytes()))
}

#[cfg(test)]
mod tests;
