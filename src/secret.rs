//! Secrets as types: wiped on drop, compared in constant time, never printed, never serialized.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

/// Declares a secret text: a type that has no `Display`, no `Serialize` and a blind `Debug`.
macro_rules! secret_text {
    ($(#[$doc:meta])* $vis:vis struct $name:ident;) => {
        $(#[$doc])*
        #[derive(Clone)]
        $vis struct $name(SecretString);

        impl $name {
            /// Wraps the text.
            #[allow(dead_code, reason = "not every secret is made from text everywhere")]
            $vis fn new(text: impl Into<String>) -> Self {
                Self(SecretString::from(text.into()))
            }

            /// The text itself, for the one place that has to send it.
            #[must_use]
            #[allow(dead_code, reason = "not every secret is read back")]
            $vis fn expose_secret(&self) -> &str {
                self.0.expose_secret()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }

        impl PartialEq for $name {
            /// Compares in constant time for texts of one length.
            fn eq(&self, other: &Self) -> bool {
                let (a, b) = (self.expose_secret(), other.expose_secret());
                verify_slices_are_equal(a.as_bytes(), b.as_bytes()).is_ok()
            }
        }

        impl Eq for $name {}
    };
}

secret_text! {
    /// The secret that LivePerson issued for the application's client id.
    pub struct ClientSecret;
}

secret_text! {
    /// An access token of Conversational Cloud: whoever holds it acts as the user.
    ///
    /// It goes into an `Authorization: Bearer` header (RFC 6750) of a call to LivePerson and
    /// nowhere else. `Debug` does not show it.
    ///
    /// # Examples
    ///
    /// ```
    /// use http::{HeaderValue, Request, header::AUTHORIZATION};
    /// use tower_lp_auth::AccessToken;
    ///
    /// fn as_the_user(token: &AccessToken, mut request: Request<()>) -> Request<()> {
    ///     request.headers_mut().insert(AUTHORIZATION, token.to_header());
    ///     request
    /// }
    /// # let request = as_the_user(&AccessToken::new("abc"), Request::new(()));
    /// # assert_eq!(request.headers()[AUTHORIZATION], "Bearer abc");
    /// # assert!(!format!("{:?}", request.headers()).contains("abc"));
    /// ```
    pub struct AccessToken;
}

impl AccessToken {
    /// The value of the `Authorization` header of a call to LivePerson (RFC 6750 §2.1), marked as
    /// sensitive.
    #[must_use]
    pub fn to_header(&self) -> HeaderValue {
        bearer(self.expose_secret())
    }
}

secret_text! {
    /// An App-JWT of LivePerson's: whoever holds it acts as the application in its account.
    ///
    /// It goes into an `Authorization: Bearer` header (RFC 6750). Send it over TLS to LivePerson, and to
    /// services of your own that accept it ([`Builder::allow_app`](crate::Builder::allow_app)), to nobody
    /// else: it opens LivePerson's APIs. `Debug` does not show it.
    /// [`AppTokenSource`](crate::AppTokenSource) has one at any time.
    ///
    /// # Examples
    ///
    /// ```
    /// use http::{HeaderValue, Request, header::AUTHORIZATION};
    /// use tower_lp_auth::AppToken;
    ///
    /// fn as_the_application(token: &AppToken, mut request: Request<()>) -> Request<()> {
    ///     request.headers_mut().insert(AUTHORIZATION, token.to_header());
    ///     request
    /// }
    /// # let request = as_the_application(&AppToken::new("abc"), Request::new(()));
    /// # assert_eq!(request.headers()[AUTHORIZATION], "Bearer abc");
    /// # assert!(!format!("{:?}", request.headers()).contains("abc"));
    /// ```
    pub struct AppToken;
}

impl AppToken {
    /// The value of the `Authorization` header of a call (RFC 6750 §2.1), marked as sensitive.
    #[must_use]
    pub fn to_header(&self) -> HeaderValue {
        bearer(self.expose_secret())
    }
}

/// The answer of the token endpoint calls an App-JWT an access token too (RFC 6749 §4.4.3).
pub(crate) fn app_token(token: AccessToken) -> AppToken {
    AppToken(token.0)
}

fn bearer(token: &str) -> HeaderValue {
    let value = Zeroizing::new(format!("Bearer {token}"));
    let mut header = HeaderValue::try_from(value.as_str()).unwrap_or(EMPTY);
    header.set_sensitive(true);
    header
}

/// In place of a token that no header can carry: LivePerson's are visible ASCII, others are refused
/// when they come.
const EMPTY: HeaderValue = HeaderValue::from_static("Bearer");

secret_text! {
    /// A session of this application as a token, for clients that keep no cookies: whoever holds it is
    /// signed in as the user.
    ///
    /// It is opaque, of at most 4,096 characters of base64url (RFC 4648 §5), and worth nothing to
    /// LivePerson or another application. `Debug` does not show it.
    ///
    /// # Examples
    ///
    /// ```
    /// use http::{HeaderValue, Request, header::AUTHORIZATION};
    /// use tower_lp_auth::SessionToken;
    ///
    /// let token = SessionToken::new("a token that the service has handed out");
    /// let mut request = Request::new(());
    /// request.headers_mut().insert(AUTHORIZATION, token.to_header());
    /// assert!(!format!("{:?}", request.headers()).contains("handed out"));
    /// ```
    pub struct SessionToken;
}

impl SessionToken {
    /// The value of the `Authorization` header of a request to the application (RFC 6750 §2.1),
    /// marked as sensitive.
    #[must_use]
    pub fn to_header(&self) -> HeaderValue {
        bearer(self.expose_secret())
    }
}

secret_text! {
    /// A refresh token (RFC 6749 §1.5).
    pub(crate) struct RefreshToken;
}

secret_text! {
    /// An authorization code (RFC 6749 §4.1.2), percent-decoded.
    pub(crate) struct AuthorizationCode;
}

secret_text! {
    /// A PKCE code verifier (RFC 7636 §4.1).
    pub(crate) struct CodeVerifier;
}

/// A key of 256 bits from which the keys that seal cookies are derived.
///
/// Make one with `openssl rand -base64 32 | tr '+/' '-_' | tr -d =`; keep it like a password. All
/// instances of a service share it.
///
/// # Examples
///
/// ```
/// use tower_lp_auth::SessionKey;
///
/// let key = SessionKey::from_base64("Vvo3gM1zqm1dIXoZgYzNNQf1sUcYS3xkU0GBVkGyJp8")?;
/// assert_eq!(format!("{key:?}"), "SessionKey(..)");
/// # Ok::<(), tower_lp_auth::InvalidSessionKey>(())
/// ```
#[derive(Clone)]
pub struct SessionKey(Zeroizing<[u8; 32]>);

/// Why a text or some bytes are no [`SessionKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSessionKey {
    /// The text is not base64url (RFC 4648 §5); standard base64 is accepted too.
    #[error("the session key is not base64url; make one with `openssl rand -base64 32`")]
    NotBase64,
    /// The key does not have 32 bytes.
    #[error("the session key has {0} bytes instead of 32; make one with `openssl rand -base64 32`")]
    Length(usize),
    /// The key is all zero, one repeated byte or printable text: nobody drew it at random.
    #[error("the session key is a placeholder; make one with `openssl rand -base64 32`")]
    Placeholder,
}

impl SessionKey {
    /// Reads a key from base64url of 32 bytes (RFC 4648 §5), with or without padding; the standard
    /// alphabet is accepted too.
    ///
    /// # Errors
    ///
    /// [`InvalidSessionKey`] says what is wrong with the text.
    pub fn from_base64(text: &str) -> Result<Self, InvalidSessionKey> {
        let plain: Zeroizing<String> = Zeroizing::new(
            text.trim_end_matches('=')
                .chars()
                .map(|c| match c {
                    '+' => '-',
                    '/' => '_',
                    other => other,
                })
                .collect(),
        );
        let bytes = base64_simd::URL_SAFE_NO_PAD
            .decode_to_vec(plain.as_bytes())
            .map_err(|_| InvalidSessionKey::NotBase64)?;
        Self::from_bytes(&Zeroizing::new(bytes))
    }

    /// Takes 32 random bytes as they are.
    ///
    /// # Errors
    ///
    /// [`InvalidSessionKey`] if there are not 32 of them, or if they were clearly not drawn at
    /// random.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidSessionKey> {
        let key: &[u8; 32] =
            bytes.try_into().map_err(|_| InvalidSessionKey::Length(bytes.len()))?;
        // 32 random bytes are all printable ASCII once in 10^13 keys.
        let repeated = key.iter().all(|b| *b == key[0]);
        let textual = key.iter().all(|b| (0x20..0x7f).contains(b));
        if repeated || textual {
            return Err(InvalidSessionKey::Placeholder);
        }
        Ok(Self(Zeroizing::new(*key)))
    }

    /// Draws a key at random: sessions end with the process.
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give.
    #[must_use]
    pub fn random() -> Self {
        Self(Zeroizing::new(random_bytes()))
    }

    pub(crate) fn expose_secret(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(..)")
    }
}

impl PartialEq for SessionKey {
    fn eq(&self, other: &Self) -> bool {
        verify_slices_are_equal(self.expose_secret(), other.expose_secret()).is_ok()
    }
}

impl Eq for SessionKey {}

/// Random bytes of the operating system's quality.
///
/// # Panics
///
/// If there is no randomness: nothing secure can be done then.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system provides randomness");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_prints_itself() {
        assert_eq!(format!("{:?}", ClientSecret::new("canary")), "ClientSecret(..)");
        assert_eq!(format!("{:?}", AccessToken::new("canary")), "AccessToken(..)");
        assert_eq!(format!("{:?}", AppToken::new("canary")), "AppToken(..)");
        assert_eq!(format!("{:?}", RefreshToken::new("canary")), "RefreshToken(..)");
        assert_eq!(format!("{:?}", SessionToken::new("canary")), "SessionToken(..)");
        assert_eq!(format!("{:?}", SessionKey::random()), "SessionKey(..)");
    }

    /// N01.
    #[test]
    fn a_weak_key_is_refused_with_its_reason() {
        use InvalidSessionKey::{Length, NotBase64, Placeholder};
        let encode = |bytes: &[u8]| base64_simd::URL_SAFE_NO_PAD.encode_to_string(bytes);
        let table = [
            (encode(&[7; 31]), Length(31)),
            (encode(&[7; 33]), Length(33)),
            (String::new(), Length(0)),
            ("not base64!".to_owned(), NotBase64),
            (encode(&[0; 32]), Placeholder),
            (encode(&[0xab; 32]), Placeholder),
            (encode(b"change-me-change-me-change-me-32"), Placeholder),
        ];
        for (text, expected) in table {
            assert_eq!(SessionKey::from_base64(&text), Err(expected), "for {text:?}");
        }
    }

    #[test]
    fn both_alphabets_and_padding_give_the_same_key() {
        let bytes: [u8; 32] = random_bytes();
        let url = base64_simd::URL_SAFE_NO_PAD.encode_to_string(bytes);
        let standard = base64_simd::STANDARD.encode_to_string(bytes);
        assert_eq!(SessionKey::from_base64(&url), SessionKey::from_base64(&standard));
    }
}
