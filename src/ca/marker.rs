//! The key of this installation with which clients' keys are marked in the books.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::ca::chain::random;
use crate::ca::error::CaError;
use crate::ca::store::{Store, check_mode, write_private};
use crate::net::mark::Marker;

/// Opens the key beside the authority in `dir`, or makes one if there is none. A new authority leaves it as it is, so
/// that old and new entries of one key stay together.
///
/// # Errors
/// A folder that cannot be written, or a key that is damaged or open to others.
pub fn open_marker(dir: &Path) -> Result<Marker, CaError> {
    let _alone = Store::claim(dir)?;
    let path = dir.join(NAME);
    let failed = |cause| CaError::Read { path: path.clone(), cause };
    match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = random::<LENGTH>()?;
            write_private(dir, NAME, &key)?;
            Ok(Marker::new(&key))
        }
        Err(cause) => Err(failed(cause)),
        Ok(file) => {
            check_mode(&file, &path)?;
            let mut key = Vec::new();
            file.take(LENGTH as u64 + 1).read_to_end(&mut key).map_err(failed)?;
            if key.len() != LENGTH {
                return Err(CaError::MarkerKey { path });
            }
            Ok(Marker::new(&key))
        }
    }
}

const NAME: &str = "marker-key";

/// Bytes: as many as HMAC-SHA256 puts out.
const LENGTH: usize = 32;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn the_key_is_made_once_for_its_owner_alone() {
        let folder = TempDir::new().unwrap();
        let dir = folder.path().join("certs");
        let mark = open_marker(&dir).unwrap().mark(b"sk-x");
        assert_eq!(open_marker(&dir).unwrap().mark(b"sk-x"), mark);
        let file = dir.join(NAME);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let other = TempDir::new().unwrap();
        assert_ne!(open_marker(other.path()).unwrap().mark(b"sk-x"), mark);

        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(open_marker(&dir), Err(CaError::KeyMode { .. })));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&file, "short").unwrap();
        let error = open_marker(&dir).unwrap_err();
        assert!(error.to_string().contains("marker-key"), "{error}");
        assert!(error.hint().unwrap().contains("remove"), "{:?}", error.hint());
    }
}
