//! Tests that need keys, and what they share: keys, tokens, a clock and a source of key sets.

mod apps;
mod bearer;
mod cache;
mod keys;
mod oracle;
mod tokens;
mod verdicts;
mod world;

use std::{
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    rsa::{KeyPair, KeySize, PublicKeyComponents},
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use rsa::{
    BoxedUint, PrivateKey,
    rand_core::{TryCryptoRng, TryRng},
    traits::{PrivateKeyParts as _, PublicKeyParts as _},
};
use serde_json::{Value, json};

use super::{
    AppClaims, BearerClaims, BearerRules, FetchKeys, IdClaims, IdTokenRules, IdTokenSignature,
    KeySetDocument, candidate::Candidate, error::Refusal, jwks::KeySet,
};
use crate::{
    clock::{Clock, Timestamp},
    error::{BoxError, BoxFuture},
    secret::random_bytes,
};

const NOW: u64 = 1_700_000_000;
const CLIENT: &str = "0d0b1f8e-6a39-4d3c-8f7f-0c8f6ad1a001";
const ACCOUNT: &str = "le81823118";
const APP: &str = "5f0a7c52-2f5e-4a3e-9d0c-6b0d3f6ad2b7";
const HOST: &str = "https://sentinel.example";

static KEY: LazyLock<SigningKey> = LazyLock::new(SigningKey::full);
static OTHER: LazyLock<SigningKey> = LazyLock::new(SigningKey::full);
static SMALL: LazyLock<SigningKey> = LazyLock::new(SigningKey::small);

struct SigningKey {
    modulus: Vec<u8>,
    exponent: Vec<u8>,
    private: Private,
}

enum Private {
    Full(KeyPair),
    Small(Box<PrivateKey>),
}

impl SigningKey {
    fn full() -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let public = PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
        Self { modulus: public.n, exponent: public.e, private: Private::Full(pair) }
    }

    fn small() -> Self {
        let key = PrivateKey::new(&mut SystemRng, 1024).unwrap();
        Self {
            modulus: key.n_bytes().into(),
            exponent: key.e_bytes().into(),
            private: Private::Small(Box::new(key)),
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.private {
            Private::Full(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let rng = SystemRandom::new();
                pair.sign(&RSA_PKCS1_SHA256, &rng, message, &mut signature).unwrap();
                signature
            }
            Private::Small(key) => sign_by_arithmetic(key, message),
        }
    }

    fn jwk(&self, id: &str) -> Value {
        json!({ "kty": "RSA", "kid": id, "n": base64(&self.modulus), "e": base64(&self.exponent) })
    }
}

/// RSASSA-PKCS1-v1_5 (RFC 8017 §8.2.1) by square and multiply: aws-lc-rs signs with no small keys.
fn sign_by_arithmetic(key: &PrivateKey, message: &[u8]) -> Vec<u8> {
    const DIGEST_INFO: &[u8] =
        b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
    let tail = [&[0], DIGEST_INFO, digest(&SHA256, message).as_ref()].concat();
    let padding = vec![0xff; key.size() - 2 - tail.len()];
    let base = BoxedUint::from_be_slice_vartime(&[&[0, 1][..], &padding, &tail].concat());
    let mut power = BoxedUint::one_with_precision(base.bits_precision());
    for bit in (0..key.d().bits_precision()).rev() {
        power = power.mul_mod(&power, key.n());
        if key.d().bit_vartime(bit) {
            power = power.mul_mod(&base, key.n());
        }
    }
    let bytes = power.to_be_bytes();
    bytes[bytes.len() - key.size()..].to_vec()
}

struct SystemRng;

impl TryRng for SystemRng {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(u32::from_ne_bytes(random_bytes()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(u64::from_ne_bytes(random_bytes()))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        bytes.fill_with(|| random_bytes::<1>()[0]);
        Ok(())
    }
}

impl TryCryptoRng for SystemRng {}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(bytes)
}

/// A token of any header and payload, signed by `key`.
fn sign(header: &str, payload: &str, key: &SigningKey) -> String {
    let signed = format!("{}.{}", base64(header), base64(payload));
    let signature = base64(key.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn header(id: &str) -> String {
    json!({ "kid": id, "typ": "JWT", "alg": "RS256" }).to_string()
}

/// The claims of the documented example, as of [`NOW`].
fn claims() -> Value {
    json!({
        "sub": "3552833710", "aud": CLIENT, "iss": "Sentinel", "is_admin": true, "is_lpa": false,
        "iat": NOW, "exp": NOW + 600,
    })
}

/// The claims of an App-JWT as they were seen in public, as of [`NOW`].
fn app_claims() -> Value {
    json!({
        "aud": ACCOUNT, "azp": APP, "scope": "users.read users.write", "iss": "Sentinel",
        "iat": NOW, "exp": NOW + 3_600, "permissions": [],
    })
}

/// Claims with one replaced.
fn with(mut claims: Value, name: &str, value: Value) -> String {
    claims[name] = value;
    claims.to_string()
}

fn without(mut claims: Value, name: &str) -> String {
    claims.as_object_mut().unwrap().remove(name);
    claims.to_string()
}

/// [`claims`] with one replaced.
fn claims_with(name: &str, value: Value) -> String {
    with(claims(), name, value)
}

fn claims_without(name: &str) -> String {
    without(claims(), name)
}

/// The perfect token of a key that calls itself `id`.
fn token(id: &str, key: &SigningKey) -> String {
    sign(&header(id), &claims().to_string(), key)
}

fn document(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

fn key_set(keys: &[Value]) -> KeySet {
    KeySet::parse(document(keys).as_bytes()).unwrap()
}

fn rules(signature: IdTokenSignature) -> IdTokenRules {
    IdTokenRules { client_id: CLIENT.into(), issuer: None, signature }
}

/// Rules by which both kinds of token are accepted from callers.
fn bearer_rules() -> BearerRules {
    BearerRules { account: ACCOUNT.parse().unwrap(), id_tokens: true, apps: [APP.into()].into() }
}

/// Who hands over an id_token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TokenSource {
    TokenEndpoint,
    Bearer,
}

/// The verdict on an id_token, given keys that have just been fetched.
fn judge(
    rules: &IdTokenRules,
    keys: &KeySet,
    token: &str,
    source: TokenSource,
) -> Result<IdClaims, Refusal> {
    match source {
        TokenSource::TokenEndpoint => {
            Candidate::id_token(rules, token, None, Timestamp::from_secs(NOW))?.decide(keys)
        }
        TokenSource::Bearer => match judge_bearer(rules, keys, token)? {
            BearerClaims::User(claims) => Ok(Arc::unwrap_or_clone(claims)),
            BearerClaims::App(claims) => panic!("no id_token: {claims:?}"),
        },
    }
}

/// The verdict on what a caller presents, given keys that have just been fetched.
fn judge_bearer(rules: &IdTokenRules, keys: &KeySet, token: &str) -> Result<BearerClaims, Refusal> {
    let now = Timestamp::from_secs(NOW);
    Candidate::bearer(&bearer_rules(), rules, token, now)?.decide(keys)
}

/// The verdict on an id_token under the strict policy, where `KEY` is published as `k`. It is the same
/// if a caller presents the token under the lenient policy: H09.
fn judge_strictly(token: &str) -> Result<IdClaims, Refusal> {
    let verdict =
        |signature, source| judge(&rules(signature), &key_set(&[KEY.jwk("k")]), token, source);
    let at_login = verdict(IdTokenSignature::Required, TokenSource::TokenEndpoint);
    let presented = verdict(IdTokenSignature::Published, TokenSource::Bearer);
    assert_eq!(presented, at_login, "presented by a caller: {token}");
    at_login
}

/// The verdict on an App-JWT, where `KEY` is published as `k`.
fn judge_app(token: &str) -> Result<AppClaims, Refusal> {
    let keys = key_set(&[KEY.jwk("k")]);
    match judge_bearer(&rules(IdTokenSignature::Published), &keys, token)? {
        BearerClaims::App(claims) => Ok(Arc::unwrap_or_clone(claims)),
        BearerClaims::User(claims) => panic!("no App-JWT: {claims:?}"),
    }
}

/// A kind of token, for tables of what has to hold of both.
struct Kind {
    name: &'static str,
    /// Claims that are right.
    claims: fn() -> Value,
    /// The verdict, where `KEY` is published as `k`; an id_token's by all ways it can come.
    judge: fn(&str) -> Result<(), Refusal>,
}

const KINDS: [Kind; 2] = [
    Kind { name: "id_token", claims, judge: |token| judge_strictly(token).map(drop) },
    Kind { name: "App-JWT", claims: app_claims, judge: |token| judge_app(token).map(drop) },
];

impl Kind {
    fn payload(&self) -> String {
        (self.claims)().to_string()
    }

    /// The perfect token of a key that calls itself `id`.
    fn token(&self, id: &str, key: &SigningKey) -> String {
        sign(&header(id), &self.payload(), key)
    }
}

/// A clock that stands still until it is told; both readings move together, unless the wall clock is
/// set back.
#[derive(Debug, Default)]
struct ManualClock {
    millis: AtomicU64,
    secs_behind: AtomicU64,
}

impl ManualClock {
    fn advance(&self, duration: Duration) {
        let millis = u64::try_from(duration.as_millis()).unwrap();
        self.millis.fetch_add(millis, Ordering::SeqCst);
    }

    fn set_back(&self, secs: u64) {
        self.secs_behind.fetch_add(secs, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        let behind = self.secs_behind.load(Ordering::SeqCst);
        UNIX_EPOCH + Duration::from_secs(NOW - behind) + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.millis.load(Ordering::SeqCst))
    }
}

/// What a host answers from now on.
#[derive(Clone, Debug)]
enum Answer {
    Keys(String),
    Missing,
    Fault,
    Panic,
    Never,
}

/// Answers as it is told, and counts how often it was asked.
struct Source {
    answer: Mutex<Answer>,
    asked: AtomicUsize,
}

impl Source {
    fn new(answer: Answer) -> Arc<Self> {
        Arc::new(Self { answer: Mutex::new(answer), asked: AtomicUsize::new(0) })
    }

    fn answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl FetchKeys for Source {
    fn fetch_keys<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<KeySetDocument, BoxError>> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            // Long enough for everybody who asks at once to find the fetch under way.
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
            let answer = self.answer.lock().unwrap().clone();
            match answer {
                Answer::Keys(document) => Ok(KeySetDocument::Found(document.into())),
                Answer::Missing => Ok(KeySetDocument::Missing),
                Answer::Fault => Err("connection reset".into()),
                Answer::Panic => panic!("a fetch that panics"),
                Answer::Never => std::future::pending().await,
            }
        })
    }
}
