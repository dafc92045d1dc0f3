//! The people who can sign in.

/// A user of the mock's account, as the login page lists them.
///
/// # Examples
///
/// ```
/// use tower_lp_auth::test_kit::MockUser;
///
/// let user = MockUser::new("3552833799", "Robin Manager").admin(true);
/// assert_eq!(user.id(), "3552833799");
/// assert!(user.is_admin() && !user.is_lpa());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MockUser {
    id: String,
    name: String,
    admin: bool,
    lpa: bool,
}

impl MockUser {
    /// A plain agent; `id` becomes the `sub` claim of their id_tokens.
    #[must_use]
    pub fn new(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self { id: id.into(), name: name.into(), admin: false, lpa: false }
    }

    /// Whether they have the administrator's role (claim `is_admin`).
    #[must_use]
    pub fn admin(mut self, admin: bool) -> Self {
        self.admin = admin;
        self
    }

    /// Whether they are a LivePerson administrator, that is, staff (claim `is_lpa`).
    #[must_use]
    pub fn lpa(mut self, lpa: bool) -> Self {
        self.lpa = lpa;
        self
    }

    /// The `sub` of their id_tokens.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The name on the login page.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The claim `is_admin`.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.admin
    }

    /// The claim `is_lpa`.
    #[must_use]
    pub fn is_lpa(&self) -> bool {
        self.lpa
    }
}

/// One user of each kind.
pub(super) fn default_users() -> Vec<MockUser> {
    vec![
        MockUser::new("3552833710", "Dana Agent"),
        MockUser::new("3552833711", "Alex Admin").admin(true),
        MockUser::new("3552833712", "Lee LivePerson").admin(true).lpa(true),
    ]
}
