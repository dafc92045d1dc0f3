//! Whose tokens a refresh has brought.

use super::keeper::Keeper;
use crate::{
    jwt::{IdClaims, IdTokenError},
    sentinel::TokenSet,
    session::{Identity, Session},
};

/// The id_token of a refresh is not this session's user's.
pub(super) struct ForeignIdentity;

impl Keeper {
    /// An id_token in the answer has to be this user's, correctly signed; if its keys can't be had,
    /// or only a clock is wrong, the new tokens and the old claims are kept.
    pub(super) async fn check_identity(
        &self,
        session: &Session,
        tokens: &TokenSet,
    ) -> Result<Option<IdClaims>, ForeignIdentity> {
        let Some(id_token) = &tokens.id_token else { return Ok(None) };
        let verdict = self.verify(&session.account, id_token, &tokens.access_token).await;
        match verdict {
            Ok(claims) if same_user(&claims, &session.identity) => Ok(Some(claims)),
            Ok(_) => Err(ForeignIdentity),
            Err(IdTokenError::Refused(refusal)) if !refusal.is_clock_skew() => {
                tracing::warn!(reason = refusal.as_str(), "refreshed id_token refused");
                Err(ForeignIdentity)
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "refreshed id_token not taken over"
                );
                Ok(None)
            }
        }
    }
}

fn same_user(claims: &IdClaims, identity: &Identity) -> bool {
    *claims.subject == *identity.subject && *claims.issuer == *identity.issuer
}
