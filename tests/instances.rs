//! Several instances of one application, with sealed sessions and without a store: each test proves
//! the sentence of `docs/instances.md` that it quotes.

mod support;

use std::time::Duration;

use http::Method;
use support::{AGENT, Counters, Direct, Jar, Page, until};
use tower_lp_auth::{Builder, SessionKey, test_kit::ManualClock};

const HOUR: u64 = 3600;

/// Beyond what is due, with its jitter; before activity is re-sealed.
const DUE: u64 = 120;

/// Two layers with the same configuration, before one Sentinel.
struct Fleet {
    here: Direct,
    there: Direct,
    settings: Box<dyn Fn(Builder) -> Builder>,
}

impl Fleet {
    async fn start() -> Self {
        Self::with(|builder| builder).await
    }

    /// Tokens are due after 100 s and a tenth.
    async fn with(more: impl Fn(Builder) -> Builder + 'static) -> Self {
        let key = SessionKey::random();
        let settings = move |builder: Builder| {
            let due = Duration::from_secs(100);
            more(builder.session_key(key.clone()).refresh_after(due))
        };
        let here = Direct::with(ManualClock::new(), &settings).await;
        let there = here.beside(&settings);
        Self { here, there, settings: Box::new(settings) }
    }

    /// The same, and a user who has signed in at the first; returns the browser's cookies.
    async fn signed_in(more: impl Fn(Builder) -> Builder + 'static) -> (Self, Jar) {
        let mut fleet = Self::with(more).await;
        fleet.here.sign_in().await;
        let jar = fleet.here.jar.clone();
        (fleet, jar)
    }

    /// The first instance, started anew.
    fn restart(&mut self) {
        self.here = self.here.beside(&*self.settings);
    }
}

/// A fetch of the access token with these cookies, which take the response's in.
async fn token(instance: &mut Direct, jar: &mut Jar) -> Page {
    instance.jar = jar.clone();
    let page = instance.fetch("/token").await;
    *jar = instance.jar.clone();
    page
}

/// The first fetch refreshes beside the handler; the next is served with what that has brought.
async fn refreshed(instance: &mut Direct, jar: &mut Jar) -> String {
    let old = token(instance, jar).await.body;
    let page = token(instance, jar).await;
    assert_eq!(page.status, 200, "{page:?}");
    assert_ne!(page.body, old, "nothing has been refreshed");
    page.body
}

async fn log_out(instance: &mut Direct, jar: &mut Jar) {
    instance.jar = jar.clone();
    instance.log_out().await;
    *jar = instance.jar.clone();
}

#[track_caller]
fn assert_served(page: &Page) {
    assert_eq!(page.status, 200, "{page:?}");
}

/// Y08: "A `SessionKey` is all that instances have to share: what one has sealed, each of them opens."
#[tokio::test]
async fn a_session_opens_at_every_instance() {
    let (mut fleet, mut jar) = Fleet::signed_in(|builder| builder).await;
    let here = token(&mut fleet.here, &mut jar).await;
    let there = token(&mut fleet.there, &mut jar).await;
    assert_served(&here);
    assert_eq!((there.status, &there.body), (here.status, &here.body));
    fleet.here.clock.advance(Duration::from_secs(DUE));
    refreshed(&mut fleet.there, &mut jar).await;
    assert_served(&token(&mut fleet.here, &mut jar).await);
    assert_eq!(fleet.here.sentinel.counts().reuses, 0);
}

/// Y01, Y08: "A login may start at one instance and end at another."
#[tokio::test]
async fn a_login_ends_at_another_instance() {
    let mut fleet = Fleet::start().await;
    let start = fleet.here.navigate("/me").await;
    fleet.there.jar = fleet.here.jar.clone();
    let page = fleet.there.arrive(&start).await;
    assert_eq!((page.status.as_u16(), page.location().as_deref()), (303, Some("/me")), "{page:?}");
    let mut jar = fleet.there.jar.clone();
    assert_served(&token(&mut fleet.there, &mut jar).await);
    assert_served(&token(&mut fleet.here, &mut jar).await);
    assert_eq!(fleet.here.sentinel.counts().exchanges, 1);
}

/// C22, Y11, Y12: "A new key that is first added behind the old one on every instance, and only then
/// put in front of it, signs nobody out at any step."
#[tokio::test]
async fn a_key_that_is_rolled_out_in_two_steps_signs_nobody_out() {
    let (old, new) = (SessionKey::random(), SessionKey::random());
    let steps = [vec![&old], vec![&old, &new], vec![&new, &old]];
    let mut first = Direct::with(ManualClock::new(), |it| it.session_key(old.clone())).await;
    first.sign_in().await;
    let mut jar = first.jar.clone();
    let instance = |step: usize| {
        let keys = steps[step].clone();
        first.beside(|it| keys.into_iter().fold(it, |it, key| it.session_key(key.clone())))
    };
    // While one instance has gone a step further than the other, a browser meets both, in any order.
    for step in 0..2 {
        let (mut behind, mut ahead) = (instance(step), instance(step + 1));
        for round in 0..2 {
            for (name, one) in [("ahead", &mut ahead), ("behind", &mut behind)] {
                let page = token(one, &mut jar).await;
                assert_eq!(page.status, 200, "step {step}, round {round}, {name}: {page:?}");
            }
        }
    }
}

/// C23, Y11, jar rule 2: "An instance that does not know a cookie's key treats the caller as not
/// signed in and leaves the cookie alone."
#[tokio::test]
async fn an_instance_without_the_key_leaves_the_cookie_alone() {
    let (mut fleet, mut jar) = Fleet::signed_in(|builder| builder).await;
    let mut other = fleet.here.beside(|it| it.session_key(SessionKey::random()));
    let session = jar.session().map(|(_, value)| value.to_owned());
    token(&mut other, &mut jar).await.assert_unauthorized();
    for path in ["/me", "/login"] {
        other.jar = jar.clone();
        other.navigate(path).await.assert_login();
        assert_eq!(other.jar.session().map(|(_, value)| value.to_owned()), session, "{path}");
    }
    assert_served(&token(&mut fleet.here, &mut jar).await);
}

/// Y11, B28: "Instances that have different keys by mistake show in
/// `lp_auth_unopenable_cookies_total` as `foreign`, and a browser that is sent from one to the other
/// ends at a page, not in a loop."
#[tokio::test]
async fn instances_with_different_keys_show_and_do_not_loop() {
    let counters = Counters::default();
    let (mut fleet, mut jar) = Fleet::signed_in(|builder| builder).await;
    let mut other = {
        let _listening = counters.listen();
        fleet.here.beside(|it| it.session_key(SessionKey::random()))
    };
    for seen in 1..=3 {
        token(&mut other, &mut jar).await.assert_unauthorized();
        assert_eq!(counters.get("lp_auth_unopenable_cookies_total{kind=foreign}"), seen);
    }
    assert_eq!(counters.get("lp_auth_unopenable_cookies_total{kind=broken}"), 0);
    // The page opens at the one, Sentinel sends the browser back to the other.
    let start = other.navigate("/me").await;
    start.assert_login();
    fleet.here.jar = Jar::default();
    for (name, value) in other.jar.logins() {
        fleet.here.jar.insert(name, value);
    }
    let page = fleet.here.arrive(&start).await;
    page.assert_refused();
    assert!(page.way_forward().starts_with("/login"), "{page:?}");
    assert_eq!(fleet.here.sentinel.counts().exchanges, 1, "a code without its login is presented");
}

/// Y08, F18: "Each instance may refresh a session once that another has refreshed before, and presents
/// a token that is spent."
#[tokio::test]
async fn each_instance_may_refresh_once() {
    let (mut fleet, mut jar) = Fleet::signed_in(|builder| builder).await;
    let mut copy = jar.clone();
    fleet.here.advance(DUE);
    refreshed(&mut fleet.here, &mut jar).await;
    for _ in 0..3 {
        token(&mut fleet.there, &mut copy).await;
    }
    let counts = fleet.here.sentinel.counts();
    assert_eq!((counts.refreshes, counts.reuses), (2, 1), "once at each instance");
}

/// Y08: "Where Sentinel does not rotate refresh tokens, both instances get new tokens, and the cookies
/// of both serve everywhere."
#[tokio::test]
async fn without_rotation_both_refreshes_succeed() {
    let (mut fleet, mut jar) = Fleet::signed_in(|builder| builder).await;
    fleet.here.sentinel.set_rotation(false);
    let mut other_jar = jar.clone();
    fleet.here.advance(DUE);
    let tokens = [
        refreshed(&mut fleet.here, &mut jar).await,
        refreshed(&mut fleet.there, &mut other_jar).await,
    ];
    assert_ne!(tokens[0], tokens[1]);
    for (cookies, token_of) in [(&mut jar, &tokens[0]), (&mut other_jar, &tokens[1])] {
        for (name, instance) in [("here", &mut fleet.here), ("there", &mut fleet.there)] {
            let page = token(instance, cookies).await;
            assert_eq!((page.status.as_u16(), &page.body), (200, token_of), "{name}");
            assert!(instance.sentinel.is_live_access_token(&page.body), "{name}");
        }
    }
    let counts = fleet.here.sentinel.counts();
    assert_eq!((counts.refreshes, counts.reuses), (2, 0));
}

/// Y08, sealed rule 6: "Where it rotates them, it refuses the second refresh: that instance has the
/// older cookie for ended, and serves the newer one."
#[tokio::test]
async fn with_rotation_the_second_refresh_is_refused() {
    let (mut fleet, mut jar) = Fleet::signed_in(|builder| builder).await;
    fleet.here.sentinel.set_reuse_detection(false);
    let mut older = jar.clone();
    fleet.here.advance(DUE);
    let newest = refreshed(&mut fleet.here, &mut jar).await;
    token(&mut fleet.there, &mut older).await;
    token(&mut fleet.there, &mut older).await.assert_unauthorized();
    let page = token(&mut fleet.there, &mut jar).await;
    assert_eq!((page.status.as_u16(), &page.body), (200, &newest));
    assert!(fleet.there.sentinel.is_live_access_token(&newest));
    assert_eq!(fleet.there.sentinel.counts().reuses, 1);
}

/// Y08: "Where it also ends all tokens of a login whose refresh token comes twice, the newer cookie is
/// served until its next refresh, with an access token that LivePerson refuses; then the session ends,
/// and the user signs in again."
#[tokio::test]
async fn with_reuse_detection_the_session_ends_at_the_next_refresh() {
    let (mut fleet, mut jar) = Fleet::signed_in(|builder| builder).await;
    let mut older = jar.clone();
    fleet.here.advance(DUE);
    let newest = refreshed(&mut fleet.here, &mut jar).await;
    assert!(fleet.here.sentinel.is_live_access_token(&newest));
    token(&mut fleet.there, &mut older).await;
    let page = token(&mut fleet.here, &mut jar).await;
    assert_eq!((page.status.as_u16(), &page.body), (200, &newest));
    assert!(!fleet.here.sentinel.is_live_access_token(&newest));
    fleet.here.advance(DUE);
    token(&mut fleet.here, &mut jar).await;
    token(&mut fleet.here, &mut jar).await.assert_unauthorized();
    assert_eq!(fleet.here.sentinel.counts().refreshes, 3);
    fleet.here.jar = jar;
    fleet.here.sign_in().await;
    let mut jar = fleet.here.jar.clone();
    assert_served(&token(&mut fleet.there, &mut jar).await);
}

/// F18, sealed rules 2 and 3: "Within one instance no refresh token is presented again once it has
/// brought new tokens, however late the older cookie comes."
#[tokio::test]
async fn one_instance_presents_no_token_twice() {
    let (mut fleet, mut jar) = Fleet::signed_in(|builder| builder).await;
    let older = jar.clone();
    for round in 1..=3 {
        fleet.here.advance(HOUR);
        refreshed(&mut fleet.here, &mut jar).await;
        fleet.here.advance(30);
        for _ in 0..2 {
            let page = token(&mut fleet.here, &mut older.clone()).await;
            assert_served(&page);
            assert!(fleet.here.sentinel.is_live_access_token(&page.body), "round {round}");
        }
        let counts = fleet.here.sentinel.counts();
        assert_eq!((counts.refreshes, counts.reuses), (round, 0));
    }
}

/// Y08: "A new cookie that no browser has received dies with its process; the older one is refused at
/// its next refresh, where Sentinel rotates."
#[tokio::test]
async fn an_undelivered_cookie_dies_with_its_process() {
    let (mut fleet, mut jar) = Fleet::signed_in(|builder| builder).await;
    fleet.here.advance(DUE);
    refreshed(&mut fleet.here, &mut jar.clone()).await;
    assert_served(&token(&mut fleet.here, &mut jar.clone()).await);
    fleet.restart();
    let page = token(&mut fleet.here, &mut jar).await;
    assert_served(&page); // its own access token lives beside the refresh
    until(|| fleet.here.sentinel.counts().reuses == 1).await;
    token(&mut fleet.here, &mut jar).await.assert_unauthorized();
}

/// Y08: "A session token is the session once more: where Sentinel rotates refresh tokens, a cookie used
/// at one instance and a token used at another are refreshed apart, and whichever comes second has
/// ended there."
#[tokio::test]
async fn cookie_and_token_are_refreshed_apart() {
    for cookie_first in [true, false] {
        let (mut fleet, mut jar) = Fleet::signed_in(|builder| builder).await;
        let handed_out = fleet.here.fetch("/session-token").await.json();
        let session_token = handed_out["session_token"].as_str().expect("a token").to_owned();
        let bearer = format!("Bearer {session_token}");
        let headers = [("authorization", &*bearer)];
        fleet.here.advance(DUE);
        fleet.there.jar = Jar::default();
        if cookie_first {
            refreshed(&mut fleet.here, &mut jar).await;
            fleet.there.send(Method::GET, "/token", &headers).await;
            until(|| fleet.here.sentinel.counts().reuses == 1).await;
            fleet.there.send(Method::GET, "/token", &headers).await.assert_unauthorized();
        } else {
            let old = fleet.there.send(Method::GET, "/token", &headers).await;
            let page = fleet.there.send(Method::GET, "/token", &headers).await;
            assert_served(&page);
            assert_ne!(page.body, old.body, "nothing has been refreshed");
            token(&mut fleet.here, &mut jar).await;
            until(|| fleet.here.sentinel.counts().reuses == 1).await;
            token(&mut fleet.here, &mut jar).await.assert_unauthorized();
        }
        assert_eq!(fleet.here.sentinel.counts().refreshes, 2);
    }
}

/// G04, Y08: "A logout is final at the instance that has seen it; another one accepts a copy of the
/// cookie until the session's end."
#[tokio::test]
async fn a_logout_is_unknown_elsewhere() {
    let (mut fleet, mut jar) =
        Fleet::signed_in(|builder| builder.idle_lifetime(Duration::from_secs(24 * HOUR))).await;
    let mut copy = jar.clone();
    log_out(&mut fleet.here, &mut jar).await;
    token(&mut fleet.here, &mut copy).await.assert_unauthorized();
    assert_served(&token(&mut fleet.there, &mut copy).await);
    fleet.there.advance(24 * HOUR - 1);
    // The newest copy, refreshed there, is no better here.
    token(&mut fleet.here, &mut copy).await.assert_unauthorized();
    assert_served(&token(&mut fleet.there, &mut copy).await);
    fleet.there.advance(1);
    token(&mut fleet.there, &mut copy).await.assert_unauthorized();
}

/// G04: "The instance that has seen it accepts the copy too, once it has been restarted."
#[tokio::test]
async fn a_logout_is_unknown_after_a_restart() {
    let (mut fleet, mut jar) = Fleet::signed_in(|builder| builder).await;
    let mut copy = jar.clone();
    log_out(&mut fleet.here, &mut jar).await;
    token(&mut fleet.here, &mut copy).await.assert_unauthorized();
    fleet.restart();
    assert_served(&token(&mut fleet.here, &mut copy).await);
}

/// G04, sealed rule 7: "A response that the logout has overtaken may put the cookie back into an
/// honest browser: the instance that has seen the logout goes on refusing it, another one, or the same
/// after a restart, has the user signed in again."
#[tokio::test]
async fn an_overtaken_response_may_bring_a_session_back() {
    for from_there in [false, true] {
        let (mut fleet, mut jar) = Fleet::signed_in(|builder| builder).await;
        fleet.here.advance(DUE);
        let instance = if from_there { &mut fleet.there } else { &mut fleet.here };
        instance.jar = jar.clone();
        let slow = instance.fetch("/token").await;
        assert_eq!(slow.session_cookies().len(), 1, "from there: {from_there}: {slow:?}");
        log_out(&mut fleet.here, &mut jar).await;
        jar.set(&slow.session_cookies()[0]);
        token(&mut fleet.here, &mut jar).await.assert_unauthorized();
        assert_served(&token(&mut fleet.there, &mut jar).await);
        fleet.restart();
        assert_served(&token(&mut fleet.here, &mut jar).await);
    }
}

/// Y08, B11, B27: "A code is presented once per process: a callback that is repeated at another
/// instance presents it again, Sentinel refuses it, and the browser sees a page with a way forward."
#[tokio::test]
async fn a_code_is_presented_once_per_process() {
    let mut fleet = Fleet::start().await;
    let start = fleet.here.navigate("/me").await;
    let callback = fleet.here.reach_callback_as(&start, AGENT).await;
    let waiting = fleet.here.jar.clone();
    for (instance, exchanges) in [(&mut fleet.here, 1), (&mut fleet.there, 2)] {
        for repeated in [false, true] {
            instance.jar = waiting.clone();
            let page = instance.navigate(&callback).await;
            assert_eq!(instance.sentinel.counts().exchanges, exchanges, "repeated: {repeated}");
            if exchanges == 1 && !repeated {
                assert_eq!(page.location().as_deref(), Some("/me"), "{page:?}");
            } else {
                // 400 where the state is spent, 502 where Sentinel has refused the code.
                let status = if repeated { 400 } else { 502 };
                assert_eq!(page.status.as_u16(), status, "{page:?}");
                assert!(page.way_forward().starts_with("/login"), "{page:?}");
            }
        }
    }
}

/// Y08: "A Sentinel that goes by RFC 6749, section 4.1.2, then revokes the tokens that the code has
/// brought to the first instance."
#[tokio::test]
async fn a_code_that_comes_twice_may_cost_the_first_session_its_tokens() {
    let mut fleet = Fleet::start().await;
    let start = fleet.here.navigate("/me").await;
    let callback = fleet.here.reach_callback_as(&start, AGENT).await;
    fleet.there.jar = fleet.here.jar.clone();
    fleet.here.navigate(&callback).await;
    let mut jar = fleet.here.jar.clone();
    let first = token(&mut fleet.here, &mut jar).await;
    assert!(fleet.here.sentinel.is_live_access_token(&first.body));
    fleet.there.navigate(&callback).await;
    assert_eq!(fleet.there.jar.session(), None);
    assert!(!fleet.here.sentinel.is_live_access_token(&first.body));
    assert_served(&token(&mut fleet.here, &mut jar).await);
}

/// Y08: "Sticky sessions: where all requests of a browser go to one instance, a refresh token is
/// presented once."
#[tokio::test]
async fn sticky_sessions_refresh_once() {
    let mut fleet = Fleet::start().await;
    let mut jars = Vec::new();
    for instance in [&mut fleet.here, &mut fleet.there] {
        instance.sign_in().await;
        jars.push(instance.jar.clone());
    }
    for _ in 0..4 {
        fleet.here.advance(HOUR);
        for (instance, jar) in [&mut fleet.here, &mut fleet.there].into_iter().zip(&mut jars) {
            let older = jar.clone();
            refreshed(instance, jar).await;
            assert_served(&token(instance, &mut older.clone()).await);
        }
    }
    let counts = fleet.here.sentinel.counts();
    assert_eq!((counts.refreshes, counts.reuses), (8, 0));
}

/// G04, C30: "A short `absolute_lifetime` ends a copied cookie at every instance."
#[tokio::test]
async fn a_short_lifetime_bounds_what_a_copy_is_worth() {
    let short = Duration::from_secs(HOUR);
    let (mut fleet, mut jar) =
        Fleet::signed_in(move |builder| builder.absolute_lifetime(short).idle_lifetime(short))
            .await;
    let mut copy = jar.clone();
    log_out(&mut fleet.here, &mut jar).await;
    fleet.there.advance(HOUR - 1);
    assert_served(&token(&mut fleet.there, &mut copy).await);
    fleet.there.advance(1);
    for instance in [&mut fleet.here, &mut fleet.there] {
        token(instance, &mut copy).await.assert_unauthorized();
    }
    fleet.restart();
    token(&mut fleet.here, &mut copy).await.assert_unauthorized();
}

/// G04, G05: "With `revoke_on_logout` a copied cookie's access token is worthless at LivePerson at once,
/// and its next refresh ends the session at every instance."
#[tokio::test]
async fn a_revocation_makes_a_copy_worthless() {
    let (mut fleet, mut jar) = Fleet::signed_in(|builder| builder.revoke_on_logout(true)).await;
    let mut copy = jar.clone();
    log_out(&mut fleet.here, &mut jar).await;
    let page = token(&mut fleet.there, &mut copy).await;
    assert_served(&page);
    assert!(!fleet.there.sentinel.is_live_access_token(&page.body));
    fleet.there.advance(DUE);
    fleet.restart();
    for (name, instance) in [("here", &mut fleet.here), ("there", &mut fleet.there)] {
        assert_eq!(token(instance, &mut copy).await.status, 200, "{name}: beside the refresh");
        let page = token(instance, &mut copy).await;
        assert_eq!(page.status, 401, "{name}: {page:?}");
    }
}
