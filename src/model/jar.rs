//! Who deletes the session cookie, while another tab signs in.

use super::explore::{Model, Note, explore};
use crate::seal::Unopenable;

/// The request that runs beside a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    Fetch,
    /// A page that is opened, and itself goes on to a login.
    Page,
}

#[derive(Clone, Copy, Debug)]
struct Scenario {
    begins: Jar,
    beside: Beside,
    /// Jar rule 1: a refused fetch leaves the jar alone.
    spares: bool,
    /// Jar rule 2: so does a cookie under a key that is not known here.
    knows_of_keys: bool,
    /// Whether the process that gets the request knows the key of the login.
    knows_key: bool,
}

/// What the jar holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Jar {
    Empty,
    /// A session that is over.
    Old,
    /// The one of the login.
    New,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Request {
    Waiting,
    Sent(Jar),
    /// Whether the response deletes the cookie.
    Answered(bool),
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct State {
    jar: Jar,
    request: Request,
    login: Request,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    /// The login is done, nobody has logged out, and its cookie is gone.
    SignedOut,
}

impl Scenario {
    /// Whether the answer to a request with this cookie deletes it.
    fn deletes(&self, jar: Jar) -> bool {
        let is_final = match jar {
            Jar::Empty => false,
            Jar::Old => Unopenable::Broken.is_final(),
            Jar::New if self.knows_key => false,
            Jar::New => Unopenable::Foreign.is_final() || !self.knows_of_keys,
        };
        is_final && (self.beside == Beside::Page || !self.spares)
    }
}

impl Model for Scenario {
    type State = State;
    type Flaw = Flaw;

    fn start(&self) -> State {
        State { jar: self.begins, request: Request::Waiting, login: Request::Waiting }
    }

    fn moves(&self, state: &State, next: &mut Vec<(Note, State)>) {
        match state.request {
            Request::Waiting => {
                let request = Request::Sent(state.jar);
                next.push((Note(0, "is sent"), State { request, ..*state }));
            }
            Request::Sent(jar) => {
                let request = Request::Answered(self.deletes(jar));
                next.push((Note(0, "is answered"), State { request, ..*state }));
            }
            Request::Answered(deletes) => {
                let jar = if deletes { Jar::Empty } else { state.jar };
                next.push((
                    Note(0, "its response is received"),
                    State { jar, request: Request::Done, ..*state },
                ));
            }
            Request::Done => {}
        }
        match state.login {
            Request::Waiting => {
                let login = Request::Sent(state.jar);
                next.push((Note(1, "comes back from its login"), State { login, ..*state }));
            }
            Request::Sent(_) => {
                let login = Request::Done;
                next.push((Note(1, "has a session"), State { jar: Jar::New, login, ..*state }));
            }
            Request::Answered(_) | Request::Done => {}
        }
    }

    fn flaw(&self, state: &State) -> Option<Flaw> {
        let is_over = state.login == Request::Done && state.request == Request::Done;
        (is_over && state.jar != Jar::New).then_some(Flaw::SignedOut)
    }
}

const FETCH: Scenario = Scenario {
    begins: Jar::Old,
    beside: Beside::Fetch,
    spares: true,
    knows_of_keys: true,
    knows_key: true,
};

/// Jar rule 1.
#[test]
fn a_refusal_does_not_delete_what_a_login_in_another_tab_has_set() {
    explore(&FETCH).holds("a fetch beside a login");
    let careless = Scenario { spares: false, ..FETCH };
    explore(&careless).breaks("a fetch that deletes", Flaw::SignedOut);
}

/// Jar rule 2: a page is opened after the login, at a process that has not the new key yet.
#[test]
fn a_rolling_deployment_of_a_key_deletes_no_cookie() {
    let page = Scenario { begins: Jar::Empty, beside: Beside::Page, knows_key: false, ..FETCH };
    let explored = explore(&page);
    explored.holds("a page at a process without the new key");
    explored.comes_to("the new cookie", |state| state.request == Request::Sent(Jar::New));
    let careless = Scenario { knows_of_keys: false, ..page };
    explore(&careless).breaks("a page that deletes", Flaw::SignedOut);
}
