//! What stands for a client's key in the books: nobody can tell the key from it, not even by trying keys.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac;

/// Makes marks with a key of this installation; clones share it.
#[derive(Clone)]
pub struct Marker(Arc<hmac::Key>);

impl Marker {
    /// Marks with `key`, which must never leave this machine.
    pub fn new(key: &[u8]) -> Self {
        Self(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, key)))
    }

    /// The first eight bytes of HMAC-SHA256, in hexadecimal.
    pub fn mark(&self, secret: &[u8]) -> Arc<str> {
        let tag = hmac::sign(&self.0, secret);
        let digits: String = tag.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        digits.into()
    }
}

impl fmt::Debug for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Marker")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_the_beginning_of_the_hmac_and_differ_by_installation() {
        // RFC 4231, test case 2.
        assert_eq!(&*Marker::new(b"Jefe").mark(b"what do ya want for nothing?"), "5bdcc146bf60754e");
        let (one, other) = (Marker::new(&[1; 32]), Marker::new(&[2; 32]));
        assert_eq!(one.mark(b"sk-x"), Marker::new(&[1; 32]).mark(b"sk-x"));
        assert_ne!(one.mark(b"sk-x"), other.mark(b"sk-x"));
        assert_ne!(one.mark(b"sk-x"), one.mark(b"sk-y"));
        assert!(!format!("{one:?}").contains('1'));
    }
}
