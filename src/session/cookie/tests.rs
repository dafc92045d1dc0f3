use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn names() -> CookieNames {
    CookieNames::new(true, "abc123", None)
}

fn headers(fields: &[&[u8]]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for field in fields {
        headers.append(COOKIE, HeaderValue::from_bytes(field).unwrap());
    }
    headers
}

fn values(fields: &[&[u8]]) -> Vec<Vec<u8>> {
    let headers = headers(fields);
    let Candidates::Few(values) = names().session_candidates(&headers) else {
        panic!("too many");
    };
    values.iter().map(|value| value.to_vec()).collect()
}

fn stripped(fields: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut headers = headers(fields);
    names().strip(&mut headers);
    headers.get_all(COOKIE).iter().map(|field| field.as_bytes().to_vec()).collect()
}

/// C01, C21.
#[test]
fn lines_that_set_and_delete_have_the_same_attributes() {
    let names = names();
    let set = names.set(names.session(), "v", Duration::from_secs(60));
    assert_eq!(
        set,
        "__Host-lp_session_abc123=v; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=60"
    );
    let delete = names.delete(names.session());
    assert_eq!(
        delete,
        "__Host-lp_session_abc123=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0"
    );
    assert!(set.is_sensitive());
}

/// C31.
#[test]
fn plain_http_names_have_no_prefix_and_lines_no_secure() {
    let names = CookieNames::new(false, "abc123", Some("mine"));
    let set = names.set(names.session(), "v", Duration::ZERO);
    assert_eq!(set, "mine=v; HttpOnly; SameSite=Lax; Path=/; Max-Age=0");
    assert_eq!(names.login("00ff"), "lp_login_abc123_00ff");
}

/// C16, C17.
#[test]
fn only_the_exact_name_is_ours() {
    let table: [(&[&[u8]], &[&[u8]]); 12] = [
        (&[b"__Host-lp_session_abc123=v"], &[b"v"]),
        (&[b"a=b;__Host-lp_session_abc123=v;c=d"], &[b"v"]),
        (&[b"a=b; \t__Host-lp_session_abc123 = v ; c"], &[b"v"]),
        (&[b"a=b", b"__Host-lp_session_abc123=v", b"c=d"], &[b"v"]),
        (&[b"__Host-lp_session_abc123=1; __Host-lp_session_abc123=2"], &[b"1", b"2"]),
        (&[b"__Host-lp_session_abc123=\"v\""], &[b"\"v\""]),
        (&[b"__host-lp_session_abc123=v"], &[]),
        (&[b"\xc2\xa0__Host-lp_session_abc123=v"], &[]),
        (&[b"$Version=1, __Host-lp_session_abc123=v"], &[]),
        (&[b"__Host-lp_session_abc1234=v"], &[]),
        (&[b"__Host-lp_session_abc123"], &[]),
        (&[b"=__Host-lp_session_abc123=v"], &[]),
    ];
    for (fields, expected) in table {
        assert_eq!(values(fields), expected, "for {fields:?}");
    }
}

#[test]
fn a_fifth_session_cookie_refuses_all() {
    let field = "__Host-lp_session_abc123=v; ".repeat(5);
    let headers = headers(&[field.as_bytes()]);
    assert!(matches!(names().session_candidates(&headers), Candidates::TooMany));
}

/// C18.
#[test]
fn our_cookies_are_stripped_and_others_stay_byte_for_byte() {
    let table: [(&[&[u8]], &[&[u8]]); 13] = [
        (&[b"a=b; c=\"d\" ;e"], &[b"a=b; c=\"d\" ;e"]),
        (&[b"__Host-lp_session_abc123=v"], &[]),
        (&[b"__Host-lp_session_abc123=v; __Host-lp_login_abc123_00=w"], &[]),
        (&[b"a=b; __Host-lp_session_abc123=v; c=d"], &[b"a=b; c=d"]),
        (&[b"__Host-lp_session_abc123=v; a=b;  c=\xff"], &[b"a=b;  c=\xff"]),
        (&[b"a=b", b"__Host-lp_session_abc123=v", b"c=d"], &[b"a=b", b"", b"c=d"]),
        (&[b"a=b;__Host-lp_login_abc123_0=1", b"c=d"], &[b"a=b", b"c=d"]),
        (&[b"a=b", b" ;__Host-lp_session_abc123=v; "], &[b"a=b", b""]),
        (&[b" ;__Host-lp_session_abc123=v;\t"], &[]),
        (&[b" a=b;__Host-lp_session_abc123=v"], &[b"a=b"]),
        (&[b"__Host-lp_session_abc123=v;;a=b"], &[b";a=b"]),
        (&[b"__Host-lp_session_abc123=v; a=b", b"__Host-lp_session_abc123=w"], &[b"a=b", b""]),
        (
            &[b"lp_session_abc123=v; __Host-lp_session_zzz=1"],
            &[b"lp_session_abc123=v; __Host-lp_session_zzz=1"],
        ),
    ];
    for (fields, expected) in table {
        assert_eq!(stripped(fields), expected, "for {fields:?}");
    }
}

/// C18: however many fields there are.
#[test]
fn ours_are_stripped_from_many_fields() {
    let ours = &b"__Host-lp_session_abc123=v"[..];
    for at in [0, 30, 31, 32, 39] {
        for beside in [None, Some(5), Some(35)] {
            let mut fields = vec![&b" a=b"[..]; 40];
            let mut expected = fields.clone();
            for at in beside.into_iter().chain([at]) {
                (fields[at], expected[at]) = (ours, b"");
            }
            assert_eq!(stripped(&fields), expected, "{at} {beside:?}");
        }
    }
}

/// Ours, alone in it or among others, and what resembles them.
const FIELD: &str = "((__Host-lp_session_abc123=|__Host-lp_login_abc123_0=|[ a;]{0,2}|\
                     a_long_name_of_somebodys=)(x{50,70})?[ ;ab=]{0,4}){1,3}";

proptest! {
    /// C18, C28: whatever stands beside them, ours go and the others stay, in order.
    #[test]
    fn stripping_removes_ours_and_nothing_else(
        parts in proptest::collection::vec(
            prop_oneof![
                "[a-z]{1,4}=[!-:<-~]{0,8}",
                Just("__Host-lp_session_abc123=x".to_owned()),
                "__Host-lp_login_abc123_[0-9a-f]{2}=y",
            ],
            0..12,
        ),
    ) {
        let ours = |part: &String| part.starts_with("__Host-lp_");
        let expected: Vec<String> = parts.iter().filter(|part| !ours(part)).cloned().collect();
        let result = stripped(&[parts.join("; ").as_bytes()]);
        let text = result.first().map(|field| String::from_utf8(field.clone()).unwrap());
        if parts.is_empty() {
            prop_assert_eq!(text.as_deref(), Some(""));
        } else if expected.is_empty() {
            prop_assert_eq!(text, None);
        } else {
            prop_assert_eq!(text, Some(expected.join("; ")));
        }
    }

    /// The quick reading of a piece agrees with the plain one.
    #[test]
    fn a_piece_is_claimed_by_its_whole_name(
        piece in "[ \t=_]{0,2}(__Host-lp_session_abc123|__Host-lp_login_abc123_|x)[0a_ \t=]{0,4}",
    ) {
        let (name, value) = split_pair(piece.as_bytes());
        let owner = names().owner(name);
        let expected = if owner == Owner::Session { value } else { &[] };
        prop_assert_eq!(names().claim(piece.as_bytes()), (owner, expected));
    }

    /// C16, C17: whatever ours are called, what is found of them is what taking a field apart piece by piece
    /// finds.
    #[test]
    fn ours_are_found_where_they_stand(
        name in prop_oneof![
            Just(None), Just(Some("mine")), Just(Some("l")), Just(Some("lp_login")),
        ],
        secure in any::<bool>(),
        pieces in proptest::collection::vec((0..7u8, "[ \t]{0,2}", "[ \t=;a_]{0,3}"), 0..12),
    ) {
        let names = CookieNames::new(secure, "abc123", name);
        let login = names.login("");
        let field: String = pieces
            .iter()
            .map(|(kind, before, after)| match kind {
                0 => format!(";{before}{}={after}", names.session()),
                1 => format!(";{before}{login}0={after}"),
                2 => format!("{before}{}={after}", names.session()),
                3 => format!(";{before}{}{after}", names.session()),
                4 => format!(";{before}__Host-lp_{after}"),
                5 => format!(";{before}lp_{after}"),
                _ => format!(";{before}{after}"),
            })
            .collect();
        for field in [&field[..], field.trim_start_matches(';')] {
            let mut start = 0;
            let mut expected = Vec::new();
            for part in parts(field.as_bytes()) {
                let span = (start, start + part.len());
                match names.claim(part) {
                    (Owner::Foreign, _) => {}
                    (owner, value) => expected.push((owner, value, span)),
                }
                start = span.1 + 1;
            }
            let found: Vec<_> =
                names.pieces(field.as_bytes()).map(|it| (it.owner, it.value, it.span)).collect();
            prop_assert_eq!(found, expected, "in {:?}", field);
        }
    }

    /// Where a first look is enough, taking the fields apart finds the same.
    #[test]
    fn a_glance_sees_what_a_reading_finds(
        fields in prop_oneof![
            proptest::collection::vec(FIELD, 1),
            proptest::collection::vec(FIELD, 0..40),
        ],
    ) {
        let fields: Vec<_> = fields.iter().map(String::as_bytes).collect();
        let headers = headers(&fields);
        let mut traces = Traces::default();
        let glance = Glance::at(&names(), headers.get_all(COOKIE), &mut traces);
        if let Some(candidates) = glance.candidates() {
            let Candidates::Few(found) = candidates else { panic!("there is one at most") };
            prop_assert_eq!(values(&fields), found.to_vec());
            prop_assert_eq!(glance.sole_session(), found.first().copied());
            let (mut by_glance, mut by_reading) = (headers.clone(), headers);
            names().strip_traced(&mut by_glance, &traces);
            names().strip(&mut by_reading);
            prop_assert_eq!(by_glance, by_reading);
        }
    }

    #[test]
    fn the_scanner_takes_any_bytes(bytes in proptest::collection::vec(32u8..=255, 0..300)) {
        if let Ok(value) = HeaderValue::from_bytes(&bytes) {
            let mut headers = HeaderMap::new();
            headers.append(COOKIE, value);
            let _ = names().session_candidates(&headers);
            let logins = names().login_cookies(&headers).count();
            names().strip(&mut headers);
            prop_assert_eq!(names().login_cookies(&headers).count(), 0, "had {}", logins);
        }
    }
}
