//! What must hold of sealed values, whatever comes in.

#![allow(
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "to panic is what an oracle is for"
)]

use super::{Purpose, Scratch, Sealer};
use crate::{secret::SessionKey, session::Session};

const NAME: &str = "__Host-lp_session_abc123";

/// What the sealer has made, once: the only text that it may open.
const SEALED: &str = "AW0aJYExj3qs0vNkwLjHNi7-XrP78tmOXXSdpXW8H9Urfu-YDjkJxffSuCbVGrjyaztHnkrCp3Qxwm4WMCnG0en8gUv0hrNguKoIcGKVH89enSH1-ZsKuBFfmTPap2Dzu0faWcLn48vh7O8gnsleFeqJip-Ay6Qdz9qaBZ35X84SGfohSofcbE6DRt_7dHDKQISlc3RgJ14jhwIHg5EODTWw7gDtXKw";

/// Only what was sealed opens, and whatever is sealed comes back; accepted is what opens. A payload
/// is no session unless it is one to the last byte.
pub fn sealed_value(data: &[u8]) -> bool {
    let key = SessionKey::from_bytes(&std::array::from_fn::<_, 32, _>(|index| index as u8 + 200));
    let sealer = Sealer::new(&[key.expect("a key")], Purpose::Session, "https://rp.example");
    let sealed = sealer.seal(NAME, data);
    let mut scratch = Scratch::new();
    let opened = sealer.open(NAME, sealed.as_bytes(), &mut scratch).expect("it was just sealed");
    assert_eq!(opened.payload, data);
    if let Some(session) = Session::from_payload(data, "the-client", None) {
        let again = session.to_payload("the-client");
        let back = Session::from_payload(&again, "the-client", None).expect("it was just written");
        assert_eq!((back.id, back.pair, back.times), (session.id, session.pair, session.times));
        assert_eq!(back.identity, session.identity);
        assert!(back.tokens == session.tokens);
    }
    if sealer.open(NAME, data, &mut Scratch::new()).is_err() {
        return false;
    }
    assert_eq!(data, SEALED.as_bytes(), "somebody else's value opens");
    true
}
