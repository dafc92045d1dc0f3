//! Proof Key for Code Exchange (RFC 7636), for servers that check it.

use aws_lc_rs::digest::{SHA256, digest};

use crate::secret::{CodeVerifier, random_bytes};

/// Draws a verifier of 256 bits, in base64url.
pub(crate) fn code_verifier() -> CodeVerifier {
    CodeVerifier::new(base64_simd::URL_SAFE_NO_PAD.encode_to_string(random_bytes::<32>()))
}

/// The S256 challenge of a verifier (RFC 7636 §4.2).
pub(crate) fn code_challenge(verifier: &CodeVerifier) -> String {
    let hash = digest(&SHA256, verifier.expose_secret().as_bytes());
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636 Appendix B.
    #[test]
    fn the_challenge_is_the_rfcs() {
        let verifier = CodeVerifier::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(code_challenge(&verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn verifiers_have_43_characters() {
        assert_eq!(code_verifier().expose_secret().len(), 43);
        assert_ne!(code_verifier(), code_verifier());
    }
}
