use std::time::UNIX_EPOCH;

use super::*;

const REDIRECT_URI: &str = "https://app.example/callback";

fn authorization() -> Authorization {
    Authorization {
        grant: Grant { client: 0, user: "7".to_owned() },
        redirect_uri: REDIRECT_URI.to_owned(),
        redirect_uri_named: true,
        code_challenge: None,
    }
}

fn redemption(code: &str) -> Redemption<'_> {
    Redemption { code, client: 0, redirect_uri: Some(REDIRECT_URI), code_verifier: None }
}

fn family(tokens: &mut Tokens) -> FamilyId {
    let code = tokens.issue_code(authorization(), UNIX_EPOCH);
    tokens.redeem(redemption(&code), UNIX_EPOCH).unwrap()
}

#[test]
fn a_code_works_once_and_a_second_use_kills_what_it_gave() {
    let mut tokens = Tokens::default();
    let code = tokens.issue_code(authorization(), UNIX_EPOCH);
    let family = tokens.redeem(redemption(&code), UNIX_EPOCH).unwrap();
    let access = tokens.issue_access(family, UNIX_EPOCH + Duration::from_secs(9));
    assert!(tokens.bearer(&access, UNIX_EPOCH).is_some());

    let second = tokens.redeem(redemption(&code), UNIX_EPOCH);
    assert_eq!(second, Err(Refused::Spent));
    assert!(tokens.bearer(&access, UNIX_EPOCH).is_none());
}

#[test]
fn a_code_is_bound_to_its_client_its_redirect_uri_and_its_ten_minutes() {
    let mut tokens = Tokens::default();
    let code = tokens.issue_code(authorization(), UNIX_EPOCH);
    let good = redemption(&code);
    let rows = [
        ("client", Redemption { client: 1, ..good }, 0),
        (
            "another redirect URI",
            Redemption { redirect_uri: Some("https://app.example/Callback"), ..good },
            0,
        ),
        ("no redirect URI", Redemption { redirect_uri: None, ..good }, 0),
        ("too late", good, 600),
    ];
    for (row, redemption, age) in rows {
        let now = UNIX_EPOCH + Duration::from_secs(age);
        let outcome = tokens.redeem(redemption, now);
        assert_eq!(outcome, Err(Refused::Invalid), "{row}");
    }
    let now = UNIX_EPOCH + Duration::from_secs(599);
    assert!(tokens.redeem(good, now).is_ok());
}

/// RFC 7636, appendix B.
#[test]
fn a_challenge_asks_for_its_verifier() {
    let mut tokens = Tokens::default();
    let challenged = Authorization {
        code_challenge: Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".to_owned()),
        ..authorization()
    };
    let code = tokens.issue_code(challenged, UNIX_EPOCH);
    let mut attempt = |code_verifier| {
        let redemption = Redemption { code_verifier, ..redemption(&code) };
        tokens.redeem(redemption, UNIX_EPOCH).is_ok()
    };
    assert!(!attempt(None));
    assert!(!attempt(Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")));
    assert!(attempt(Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")));
}

#[test]
fn a_spent_refresh_token_stays_known_as_spent() {
    let mut tokens = Tokens::default();
    let family = family(&mut tokens);
    let first = tokens.issue_refresh(family, 288);
    assert_eq!(first.len(), 288);
    assert_eq!(tokens.refreshable(&first, 0), Ok(family));
    assert_eq!(tokens.refreshable(&first, 1), Err(Refused::Invalid));

    tokens.spend(&first);
    assert_eq!(tokens.refreshable(&first, 0), Err(Refused::Spent));
    tokens.kill(family);
    assert_eq!(tokens.refreshable(&first, 0), Err(Refused::Spent));
    assert_eq!(tokens.refreshable("beef", 0), Err(Refused::Invalid));
}

#[test]
fn a_family_lives_and_dies_together() {
    let mut tokens = Tokens::default();
    let (ours, other) = (family(&mut tokens), family(&mut tokens));
    let end = UNIX_EPOCH + Duration::from_secs(9);
    let access = tokens.issue_access(ours, end);
    let refresh = tokens.issue_refresh(ours, 5);
    let others = tokens.issue_access(other, end);
    assert_eq!(tokens.family_of(&access), Some(ours));
    assert_eq!(tokens.family_of(&refresh), Some(ours));
    assert!(tokens.bearer(&access, end).is_none());

    tokens.kill(ours);
    assert_eq!(tokens.refreshable(&refresh, 0), Err(Refused::Invalid));
    assert!(tokens.bearer(&access, UNIX_EPOCH).is_none());
    assert!(tokens.bearer(&others, UNIX_EPOCH).is_some());
    tokens.kill_user("7");
    assert!(tokens.bearer(&others, UNIX_EPOCH).is_none());
}

#[test]
fn old_access_tokens_can_die_before_their_family() {
    let mut tokens = Tokens::default();
    let family = family(&mut tokens);
    let end = UNIX_EPOCH + Duration::from_secs(9);
    let old = tokens.issue_access(family, end);
    tokens.expire_access(family);
    let new = tokens.issue_access(family, end);
    assert!(tokens.bearer(&old, UNIX_EPOCH).is_none());
    assert!(tokens.bearer(&new, UNIX_EPOCH).is_some());
}
