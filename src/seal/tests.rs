use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const NAME: &str = "__Host-lp_session_abc123";
const ORIGIN: &str = "https://app.example.com";

fn sealer(keys: &[SessionKey]) -> Sealer {
    Sealer::new(keys, Purpose::Session, ORIGIN)
}

fn payload(sealer: &Sealer, name: &str, text: &str) -> Result<Vec<u8>, Unopenable> {
    let mut scratch = Scratch::new();
    sealer.open(name, text.as_bytes(), &mut scratch).map(|opened| opened.payload.to_vec())
}

proptest! {
    /// C27: the length is the payload's and a constant, whatever the payload.
    #[test]
    fn what_is_sealed_opens_again(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
        let sealer = sealer(&[SessionKey::random()]);
        let text = sealer.seal(NAME, &bytes);
        prop_assert_eq!(text.len(), sealed_len(bytes.len()));
        prop_assert_eq!(payload(&sealer, NAME, &text), Ok(bytes));
    }

    #[test]
    fn nothing_else_opens(text in "[A-Za-z0-9_-]{0,200}") {
        prop_assert!(payload(&sealer(&[SessionKey::random()]), NAME, &text).is_err());
    }
}

/// C03.
#[test]
fn no_flipped_bit_cut_or_appended_byte_opens() {
    let sealer = sealer(&[SessionKey::random()]);
    let text = sealer.seal(NAME, b"the payload");
    for index in 0..text.len() {
        for bit in 0..8 {
            let mut forged = text.clone().into_bytes();
            forged[index] ^= 1 << bit;
            assert!(
                sealer.open(NAME, &forged, &mut Scratch::new()).is_err(),
                "byte {index}, bit {bit}"
            );
        }
        assert!(payload(&sealer, NAME, &text[..index]).is_err(), "cut at {index}");
    }
    for tail in ["A", "AA", "AAAA", "=", "=="] {
        assert!(payload(&sealer, NAME, &format!("{text}{tail}")).is_err(), "with {tail}");
    }
}

/// C03: the standard alphabet is not another spelling of the same cookie.
#[test]
fn the_other_base64_alphabet_does_not_open() {
    let sealer = sealer(&[SessionKey::random()]);
    let text = (0..100)
        .map(|_| sealer.seal(NAME, &[0xff; 64]))
        .find(|text| text.contains(['-', '_']))
        .unwrap();
    assert!(payload(&sealer, NAME, &text.replace('-', "+").replace('_', "/")).is_err());
}

/// C04.
#[test]
fn a_value_opens_only_where_it_belongs() {
    let key = SessionKey::random();
    let text = sealer(std::slice::from_ref(&key)).seal(NAME, b"x");
    let keys = [key];
    let broken = Err(Unopenable::Broken);
    assert_eq!(payload(&sealer(&keys), "__Host-lp_session_other", &text), broken);
    let login = Sealer::new(&keys, Purpose::Login, ORIGIN);
    assert_eq!(payload(&login, NAME, &text), broken);
    let elsewhere = Sealer::new(&keys, Purpose::Session, "https://other.example.com");
    assert_eq!(payload(&elsewhere, NAME, &text), broken);
    assert_eq!(payload(&sealer(&[SessionKey::random()]), NAME, &text), Err(Unopenable::Foreign));
}

/// C22, C23.
#[test]
fn a_previous_key_opens_and_a_removed_one_is_foreign() {
    let (old, new) = (SessionKey::random(), SessionKey::random());
    let text = sealer(std::slice::from_ref(&old)).seal(NAME, b"x");
    let both = sealer(&[new.clone(), old]);
    let current =
        |text: &str| both.open(NAME, text.as_bytes(), &mut Scratch::new()).unwrap().current_key;
    assert!(!current(&text));
    let fresh = both.seal(NAME, b"x");
    assert!(current(&fresh));
    assert_eq!(payload(&sealer(&[new]), NAME, &text), Err(Unopenable::Foreign));
}

/// C24: a newer version is foreign, an older one has no reader; neither label can be changed.
#[test]
fn the_version_in_front_decides_what_a_reader_may_delete() {
    let sealer = sealer(&[SessionKey::random()]);
    let text = sealer.seal(NAME, b"x");
    let mut bytes = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(&text).unwrap();
    for (version, expected) in [(0, Unopenable::Broken), (2, Unopenable::Foreign)] {
        bytes[0] = version;
        let relabelled = base64_simd::URL_SAFE_NO_PAD.encode_to_string(&bytes);
        assert_eq!(payload(&sealer, NAME, &relabelled), Err(expected));
    }
}

/// C06.
#[test]
fn two_seals_of_one_payload_differ() {
    let sealer = sealer(&[SessionKey::random()]);
    let seals: HashSet<_> = (0..10_000).map(|_| sealer.seal(NAME, b"same")).collect();
    assert_eq!(seals.len(), 10_000);
}
