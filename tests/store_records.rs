//! What stands in a store: worthless by itself, bound to its place, gone in time.

mod support;

use std::time::Duration;

use http::Method;
use support::{AGENT, App, Browser, Cluster, Counters, Direct, Logs, RiggedStore, Verb, until};
use tower_lp_auth::{
    Builder, SessionKey, SessionStore,
    store::{StoredRecord, Version},
    test_kit::{Endpoint, ManualClock},
};

const HOUR: u64 = 3600;
const RECORD: &str = ":session:";

/// Everything that was ever written to a store, and the names it was written under.
fn everything(store: &RiggedStore) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> =
        store.everything_written().iter().map(StoredRecord::to_bytes).collect();
    all.extend(store.entries_written().iter().map(|entry| entry.content.to_vec()));
    all.extend(store.entries_written().into_iter().map(|entry| entry.record.into_bytes()));
    all.extend(store.lives().into_iter().map(|life| life.key.into_bytes()));
    all
}

/// A secret as it stands, and in the encodings that it might have been stored in.
fn spellings(secret: &str) -> Vec<Vec<u8>> {
    let bytes = secret.as_bytes();
    let mut all = vec![bytes.to_vec(), secret.to_ascii_uppercase().into_bytes()];
    let mut raw = vec![bytes.to_vec()];
    raw.extend(unhex(secret));
    raw.extend(base64_simd::URL_SAFE_NO_PAD.decode_to_vec(bytes));
    for raw in raw {
        all.push(base64_simd::STANDARD_NO_PAD.encode_to_string(&raw).into_bytes());
        all.push(base64_simd::URL_SAFE_NO_PAD.encode_to_string(&raw).into_bytes());
        all.push(raw.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect());
        all.push(raw);
    }
    all
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|it| u8::try_from(it).ok());
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

/// The first of these secrets that stands in what was written.
fn leak<'a>(written: &[Vec<u8>], secrets: &'a [String]) -> Option<&'a str> {
    let stands = |spelling: &Vec<u8>| {
        written.iter().any(|text| text.windows(spelling.len()).any(|part| part == spelling))
    };
    secrets.iter().map(String::as_str).find(|secret| spellings(secret).iter().any(stands))
}

/// D03: no token, claim, code, state or cookie stands in the store in any encoding, at any time of a
/// session's life.
#[tokio::test]
async fn whoever_reads_the_store_learns_nothing() {
    const USER_AGENT: &str = "Mozilla/5.0 (a browser that is easily recognised)";
    let cluster = Cluster::of(1).layer(|layer| layer.record_user_agent(true)).start().await;
    let (app, store) = (&cluster.instances[0], &cluster.stores[0]);
    let mut browser = Browser::new(app);
    let mut secrets: Vec<String> =
        [AGENT, USER_AGENT, app.sentinel.account_id(), app.sentinel.client_secret()]
            .map(str::to_owned)
            .into();
    let path = browser.reach_callback(app, "/me").await;
    secrets.extend(browser.jar.logins().iter().map(|(_, value)| (*value).to_owned()));
    let navigation = [support::NAVIGATE.to_vec(), vec![("user-agent", USER_AGENT)]].concat();
    let page = browser.send(Method::GET, &path, &navigation, None).await;
    assert_eq!(page.session_cookies().len(), 1, "{page:?}");
    secrets.push(browser.jar.session().expect("a session").1.to_owned());
    for after in [0, 120, 301, HOUR] {
        cluster.advance(after);
        browser.fetch("/token").await;
        secrets.push(browser.fetch("/token").await.body);
    }
    assert!(cluster.presented().0 >= 2 && store.count(Verb::IndexAdd) >= 2);
    assert_eq!(browser.post("/logout").await.status, 303);
    for call in app.sentinel.calls() {
        for field in ["code", "refresh_token"] {
            secrets.extend(call.field(field).map(str::to_owned));
        }
        if call.endpoint == Endpoint::Authorize {
            let pairs = url::form_urlencoded::parse(call.query.as_bytes());
            let state = pairs.into_iter().find(|(name, _)| name == "state");
            secrets.extend(state.map(|(_, value)| value.into_owned()));
        }
    }
    assert!(secrets.len() >= 12, "{} secrets collected", secrets.len());
    let written = everything(store);
    assert!(written.len() >= 12, "{} things written", written.len());
    assert_eq!(leak(&written, &secrets), None);

    // The search finds what is there to be found.
    for spelling in spellings(&secrets[6]) {
        let planted = [&b"in front "[..], &spelling, b" and behind"].concat();
        assert_eq!(leak(&[planted], &secrets), Some(&*secrets[6]), "{spelling:02x?}");
    }
}

/// D03: nothing that stands in the store signs anybody in: no name, no content, no hash.
#[tokio::test]
async fn what_stands_in_the_store_is_no_cookie() {
    let cluster = Cluster::of(1).start().await;
    let browser = cluster.signed_in().await.remove(0);
    let name = browser.jar.session().expect("a session").0.to_owned();
    let mut tried = 0;
    for text in everything(&cluster.stores[0]) {
        let mut values = vec![base64_simd::URL_SAFE_NO_PAD.encode_to_string(&text)];
        if let Ok(text) = String::from_utf8(text) {
            values.extend(text.rsplit(':').next().map(str::to_owned));
            values.push(text);
        }
        for value in values {
            let mut thief = Browser::new(&cluster.instances[0]);
            thief.jar.insert(&name, &value);
            thief.fetch("/me").await.assert_unauthorized();
            tried += 1;
        }
    }
    assert!(tried >= 9, "{tried} values tried");
}

/// D04: a record under the key of another does not open. It counts as broken: it is removed, with one
/// warning; the session that it was taken from lives on.
#[tokio::test]
async fn a_record_opens_under_its_own_key_alone() {
    let (logs, _guard) = Logs::capture();
    let cluster = Cluster::of(1).start().await;
    let (app, store) = (&cluster.instances[0], &cluster.stores[0]);
    let mut first = Browser::signed_in(app).await;
    let keys: Vec<_> = store.keys().into_iter().filter(|key| key.contains(RECORD)).collect();
    let mut second = Browser::new(app);
    second.sign_in(app, "4711").await;
    let other = store.keys().into_iter().find(|key| key.contains(RECORD) && !keys.contains(key));
    let (own, other) = (&keys[0], &other.expect("a second session"));
    let beneath = store.beneath();
    let record = beneath.load(own).await.expect("memory answers").expect("a session");
    beneath.delete(other).await.expect("memory answers");
    let hour = Duration::from_secs(HOUR);
    beneath.create(other, record, hour).await.expect("memory answers");
    second.fetch("/me").await.assert_unauthorized();
    second.fetch("/me").await.assert_unauthorized();
    assert_eq!(first.fetch("/me").await.json()["user_id"], AGENT);
    assert_eq!(beneath.load(other).await.expect("memory answers"), None);
    assert_eq!(cluster.counters[0].get("lp_auth_broken_records_total"), 1);
    assert_eq!(logs.text().matches("session record cannot be read").count(), 1);
    second.navigate("/me").await.assert_login();
}

/// Applications at `https://app.example` with these session keys.
fn keyed(store: &RiggedStore, keys: &[&SessionKey]) -> impl FnOnce(Builder) -> Builder + use<> {
    let store = store.clone();
    let keys: Vec<SessionKey> = keys.iter().map(|key| (*key).clone()).collect();
    move |builder| keys.into_iter().fold(builder.store(store), Builder::session_key)
}

async fn put(store: &RiggedStore, key: &str, record: StoredRecord) {
    store.beneath().delete(key).await.expect("memory answers");
    let hour = Duration::from_secs(HOUR);
    store.beneath().create(key, record, hour).await.expect("memory answers");
}

/// D05, S10, jar rule 2, C24, Y12: a record cut off at any length or with any byte changed is removed
/// and nobody's; but one that a newer version or an unknown key has written is left alone.
#[tokio::test]
async fn a_broken_record_is_removed_and_a_foreign_one_left_alone() {
    let (store, key) = (RiggedStore::new(), SessionKey::random());
    let mut first = Direct::with(ManualClock::new(), keyed(&store, &[&key])).await;
    first.sign_in().await;
    let (name, record) = store.only(RECORD).await;
    let whole = record.expect("a session").to_bytes();
    let mut rows: Vec<(String, Vec<u8>)> =
        (0..whole.len()).map(|cut| (format!("cut at {cut}"), whole[..cut].to_vec())).collect();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0x40;
        rows.push((format!("changed at {at}"), changed));
    }
    let mut older = whole.clone();
    older[Version::LEN] = 0;
    rows.push(("an older format".into(), older));
    rows.push(("longer".into(), [&whole[..], b"x"].concat()));
    rows.push(("unreadable".into(), StoredRecord::unreadable().to_bytes()));
    for (row, bytes) in rows {
        put(&store, &name, StoredRecord::from_bytes(bytes.into())).await;
        // Each in a process of its own: one that has seen a session end remembers it.
        let mut app = first.beside(keyed(&store, &[&key]));
        let page = app.fetch("/me").await;
        page.assert_unauthorized();
        assert_eq!(app.calls(), 0, "{row}");
        let left = store.beneath().load(&name).await.expect("memory answers");
        // The format's version and the key's id, behind the record's version.
        let foreign = (16..21).any(|at| row == format!("changed at {at}"));
        assert_eq!(left.is_some(), foreign, "{row}");
        let login = app.navigate("/me").await;
        login.assert_login();
        assert_eq!(login.session_cookies().is_empty(), foreign, "{row}: {login:?}");
    }
}

/// D05: a broken record that cannot be removed is no absence: 503, and the cookie stays.
#[tokio::test]
async fn a_broken_record_that_cannot_be_removed_is_unavailable() {
    let cluster = Cluster::of(1).start().await;
    let mut browser = cluster.signed_in().await.remove(0);
    let store = &cluster.stores[0];
    let (name, _) = store.only(RECORD).await;
    put(store, &name, StoredRecord::unreadable()).await;
    store.plan_always(Verb::Delete, support::Mishap::Fail);
    browser.fetch("/me").await.assert_unavailable();
    let login = browser.navigate("/login").await;
    login.assert_login();
    assert!(login.session_cookies().is_empty(), "{login:?}");
    store.mend();
    browser.fetch("/me").await.assert_unauthorized();
}

/// C22, C23, Y11: under a rotated key cookie and record are sealed anew by the next request, and from then
/// on the old key is not needed.
#[tokio::test]
async fn a_rotated_key_seals_cookie_and_record_anew() {
    let (store, old, new) = (RiggedStore::new(), SessionKey::random(), SessionKey::random());
    let mut before = Direct::with(ManualClock::new(), keyed(&store, &[&old])).await;
    before.sign_in().await;
    let cookie = before.jar.session().expect("a session").1.to_owned();
    let mut both = before.beside(keyed(&store, &[&new, &old]));
    let page = both.fetch("/me").await;
    assert_eq!((page.status.as_u16(), page.session_cookies().len()), (200, 1), "{page:?}");
    assert_ne!(both.jar.session().expect("a session").1, cookie);
    until(|| store.history_of(RECORD).len() == 2).await;
    let page = both.fetch("/me").await;
    assert!(page.session_cookies().is_empty(), "once is enough: {page:?}");
    let mut after = both.beside(keyed(&store, &[&new]));
    assert_eq!(after.fetch("/me").await.json()["user_id"], AGENT);

    // An instance that has only the old key yet: not logged in, and nothing is deleted.
    let mut behind = before.beside(keyed(&store, &[&old]));
    behind.fetch("/me").await.assert_unauthorized();
    let login = behind.navigate("/me").await;
    login.assert_login();
    assert!(login.session_cookies().is_empty(), "{login:?}");
    assert_eq!(after.fetch("/me").await.status, 200, "its record is gone");
    // And one that has only the new key, with the old cookie.
    let mut ahead = before.beside(keyed(&store, &[&new]));
    ahead.fetch("/me").await.assert_unauthorized();
    assert_eq!(after.fetch("/me").await.status, 200);
}

/// D08, C30, S12: whatever is written of a session lives no longer than the session may, and the end
/// inside decides, whatever the store thinks.
#[tokio::test]
async fn nothing_is_stored_for_longer_than_the_session_may_last() {
    let cluster = Cluster::of(1).access_token_lifetime(8 * HOUR).start().await;
    let mut browser = cluster.signed_in().await.remove(0);
    let store = &cluster.stores[0];
    let (mut age, mut seen) = (0, 0);
    let mut writes = 0;
    for step in [0, 301, 2000, 7 * HOUR, 7 * HOUR, 7 * HOUR, 2 * HOUR, HOUR - 2601 + 200] {
        cluster.advance(step);
        age += step;
        assert_eq!(browser.fetch("/token").await.status, 200, "after {age} s");
        // What was due is written before the clock goes on.
        let leases = || store.lives().iter().filter(|life| life.verb == Verb::Lease).count();
        until(|| store.count(Verb::Release) == leases()).await;
        let lives = store.lives();
        for life in &lives[seen..] {
            let most = match life.verb {
                Verb::Lease => 12,
                _ if life.key.contains(":login:") => 600,
                Verb::IndexAdd => 24 * HOUR - age,
                _ => (8 * HOUR).min(24 * HOUR - age),
            };
            assert!(life.ttl <= Duration::from_secs(most), "after {age} s: {life:?}");
            assert!(life.ttl > Duration::ZERO, "after {age} s: {life:?}");
            writes += 1;
        }
        seen = lives.len();
    }
    assert!(writes > 20, "{writes} writes looked at");
    // A store that keeps it for longer revives nothing.
    let (name, record) = store.only(RECORD).await;
    let record = record.expect("a session");
    cluster.advance(24 * HOUR - age);
    put(store, &name, record).await;
    browser.fetch("/token").await.assert_unauthorized();
}

/// D16, S13: two applications in one store never meet, pattern characters in a prefix or not; what is
/// moved from one to the other does not open.
#[tokio::test]
async fn two_applications_share_a_store_and_nothing_else() {
    let store = RiggedStore::new();
    let (one, two) = (store.clone(), store.clone());
    let first = App::builder().layer(move |layer| layer.store(one)).start().await;
    let prefix = "*?[a-z]{x}:";
    let second = App::builder()
        .beside(&first) // the same keys, Sentinel and user, but another redirect URI
        .layer(move |layer| layer.store(two).key_prefix(prefix))
        .start()
        .await;
    let mut at_first = Browser::signed_in(&first).await;
    let own: Vec<_> = store.keys();
    let mut at_second = Browser::signed_in(&second).await;
    let others: Vec<_> = store.keys().into_iter().filter(|key| !own.contains(key)).collect();
    let tag = |key: &str| key.split(':').next().expect("a prefix").to_owned();
    assert!(own.iter().all(|key| tag(key) == tag(&own[0])), "{own:?}");
    for key in &others {
        let rest = key.strip_prefix(prefix).unwrap_or_else(|| panic!("no prefix: {key}"));
        assert_ne!(tag(rest), tag(&own[0]));
    }
    // A cookie of the one is nobody's at the other, under whichever name.
    let name = at_second.jar.session().expect("a session").0.to_owned();
    let value = at_first.jar.session().expect("a session").1.to_owned();
    let mut stray = Browser::new(&second);
    stray.jar.insert(&name, &value);
    stray.fetch("/me").await.assert_unauthorized();
    // A record of the one under the other's key.
    let of = |keys: &[String]| keys.iter().find(|key| key.contains(RECORD)).expect("one").clone();
    let record = store.beneath().load(&of(&own)).await.expect("memory answers").expect("a session");
    put(&store, &of(&others), record).await;
    at_second.fetch("/me").await.assert_unauthorized();
    assert_eq!(at_first.fetch("/me").await.status, 200);
    assert_eq!(at_first.post("/logout").await.status, 303);
    assert_eq!(store.count(Verb::Index), 0, "nothing is searched for");
}

/// D02: absence and failure are told apart in metrics.
#[tokio::test]
async fn a_store_that_fails_counts_and_an_absent_record_does_not() {
    let store = RiggedStore::new();
    let own = store.clone();
    let (app, counted) = Counters::of(App::builder().layer(move |layer| layer.store(own))).await;
    let mut browser = Browser::signed_in(&app).await;
    store.plan(Verb::Load, support::Mishap::Fail);
    browser.fetch("/me").await.assert_unavailable();
    store.plan(Verb::Load, support::Mishap::Refuse);
    browser.fetch("/me").await.assert_unavailable();
    let errors = |kind: &str| counted.get(&format!("lp_auth_store_errors_total{{kind={kind}}}"));
    assert_eq!((errors("unavailable"), errors("refused")), (1, 1));
    let (name, _) = store.only(RECORD).await;
    store.beneath().delete(&name).await.expect("memory answers");
    browser.fetch("/me").await.assert_unauthorized();
    assert_eq!(counted.sum_of("lp_auth_store_errors_total"), 2);
    assert_eq!(counted.get("lp_auth_broken_records_total"), 0);
}

/// D09: each login has a new key in the store, and a cookie of its own.
#[tokio::test]
async fn every_login_is_a_new_session() {
    let cluster = Cluster::of(1).start().await;
    let mut values = std::collections::HashSet::new();
    for _ in 0..20 {
        let browser = cluster.signed_in().await.remove(0);
        values.insert(browser.jar.session().expect("a session").1.to_owned());
    }
    let keys = cluster.stores[0].keys();
    let records: Vec<_> = keys.iter().filter(|key| key.contains(RECORD)).collect();
    assert_eq!((values.len(), records.len()), (20, 20));
    for key in records {
        let hash = key.rsplit(':').next().expect("a hash");
        let bytes = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(hash).expect("base64url");
        assert_eq!(bytes.len(), 32, "{key}");
    }
}
