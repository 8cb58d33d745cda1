//! The users that may come in from other machines, by name and password.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Digest, SHA256, digest};

use crate::net::secret::Secret;

/// The users of `listen.users`; cheap to clone. A user's name is the label of all its calls.
#[derive(Clone, Debug, Default)]
pub struct Keepers(Arc<[Keeper]>);

/// One user.
struct Keeper {
    name: Arc<str>,
    /// What is kept of name and password: enough to compare.
    name_digest: Digest,
    password_digest: Digest,
}

impl Keepers {
    /// Lets these in.
    pub fn new(users: impl IntoIterator<Item = (Arc<str>, Secret)>) -> Self {
        let keeper = |(name, password): (Arc<str>, Secret)| Keeper {
            name_digest: digest(&SHA256, name.as_bytes()),
            password_digest: digest(&SHA256, password.reveal().as_bytes()),
            name,
        };
        Self(users.into_iter().map(keeper).collect())
    }

    /// The user's name, which is the label of all its calls, if that is its password; `None` lets nobody in.
    ///
    /// Takes as long for a name that is none, and for a password that is nearly right: digests of one length are
    /// compared, those of every user.
    pub fn admits(&self, user: &[u8], password: &[u8]) -> Option<Arc<str>> {
        let (user, password) = (digest(&SHA256, user), digest(&SHA256, password));
        let same = |one: &Digest, other: &Digest| verify_slices_are_equal(one.as_ref(), other.as_ref()).is_ok();
        let mut admitted = None;
        for keeper in &*self.0 {
            // Both are compared, whatever the first says.
            if same(&keeper.name_digest, &user) & same(&keeper.password_digest, &password) {
                admitted = Some(&keeper.name);
            }
        }
        admitted.map(Arc::clone)
    }

    /// The names of all users, in the order of the configuration.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|keeper| &*keeper.name)
    }
}

impl PartialEq for Keepers {
    fn eq(&self, other: &Self) -> bool {
        let same = |(one, other): (&Keeper, &Keeper)| {
            one.name == other.name && one.password_digest.as_ref() == other.password_digest.as_ref()
        };
        self.0.len() == other.0.len() && self.0.iter().zip(&*other.0).all(same)
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keeper").field(&self.name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_user_with_its_own_whole_password_is_let_in() {
        let keepers = Keepers::new(
            [("team-a", "alpha"), ("team-b", "beta:x")]
                .map(|(name, password)| (Arc::from(name), Secret::new(password))),
        );
        for (user, password, admitted) in [
            ("team-a", "alpha", Some("team-a")),
            ("team-b", "beta:x", Some("team-b")),
            ("team-a", "beta:x", None),
            ("team-a", "alph", None),
            ("team-a", "alphaa", None),
            ("team-a", "", None),
            ("Team-a", "alpha", None),
            ("", "alpha", None),
            ("", "", None),
        ] {
            assert_eq!(keepers.admits(user.as_bytes(), password.as_bytes()).as_deref(), admitted, "{user}:{password}");
        }
        assert_eq!(Keepers::default().admits(b"", b""), None);
        assert!(!format!("{keepers:?}").contains("alpha"));
    }
}
