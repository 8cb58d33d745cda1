//! `modelUrl` taken apart: which repository, at which host, in which revision.

use std::path::PathBuf;

use crate::system::hugging_face::{ENDPOINT, HubSettings};
use crate::tokens::hub::trouble::HubError;

/// Where the files of a model are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// In a folder of this machine.
    Folder(PathBuf),
    /// In a repository of a hub.
    Repository(Repository),
}

/// A repository of a hub.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Repository {
    /// Scheme, host and whatever stands before the repository's id; no final slash.
    pub endpoint: String,
    /// `org/name`, or a name alone.
    pub id: String,
    /// A branch, a tag or a commit, decoded.
    pub revision: String,
    /// Whether it is the endpoint that the environment names, which alone gets its token and shares its cache.
    pub is_usual: bool,
}

impl Source {
    /// Reads a `modelUrl`: a page of a hub or mirror, also with `/tree/REV`, or a `file://` folder.
    ///
    /// # Errors
    /// It names neither.
    pub fn parse(url: &str, settings: &HubSettings) -> Result<Self, HubError> {
        let wrong = |what: &str| HubError::Address(format!("{what}; https://huggingface.co/ORG/NAME would do"));
        if let Some(path) = url.strip_prefix("file://") {
            let path = path.strip_prefix("localhost").unwrap_or(path);
            let path = decoded(path).filter(|path| path.starts_with('/'));
            return path.map(|path| Self::Folder(path.into())).ok_or_else(|| wrong("is no absolute file:// address"));
        }
        let usual = &settings.endpoint;
        let below = |endpoint: &str| url.strip_prefix(endpoint)?.strip_prefix('/');
        let (endpoint, path) = match below(usual).or_else(|| below(ENDPOINT)).or_else(|| below("https://hf.co")) {
            Some(path) => (usual.clone(), path),
            None => {
                let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("is no address"))?;
                let (host, path) = rest.split_once('/').ok_or_else(|| wrong("names a host and no model"))?;
                (format!("{scheme}://{host}"), path)
            }
        };
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let marker =
            parts.iter().position(|part| ["tree", "resolve", "blob", "raw"].contains(part)).filter(|at| *at > 0);
        let revision = match marker {
            None => "main".to_owned(),
            Some(at) => {
                let tail = parts.split_off(at);
                let revision = tail.get(1).and_then(|revision| decoded(revision));
                revision
                    .filter(|revision| is_revision(revision))
                    .ok_or_else(|| wrong("has no revision that could be asked"))?
            }
        };
        if parts.is_empty() || parts.len() > 2 || !parts.iter().all(|part| is_name(part)) {
            return Err(wrong("does not end in the name of a model"));
        }
        let is_usual = endpoint == *usual;
        Ok(Self::Repository(Repository { endpoint, id: parts.join("/"), revision, is_usual }))
    }
}

impl Repository {
    /// The address of one of its files.
    pub fn url(&self, file: &str) -> String {
        let revision = self.revision.replace('%', "%25").replace('/', "%2F");
        format!("{}/{}/resolve/{revision}/{file}", self.endpoint, self.id)
    }
}

/// A part of an id, as the hub allows them; nothing that a path could be led astray by.
fn is_name(part: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    part.bytes().all(fits) && !part.starts_with('.') && !part.contains("..") && !part.contains("--")
}

/// A revision whose file below `refs` stays there.
pub fn is_revision(revision: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/+@".contains(&byte);
    let parts = || revision.split('/');
    !revision.is_empty() && revision.bytes().all(fits) && parts().all(|part| !part.is_empty() && !part.starts_with('.'))
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(first);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(endpoint: &str) -> HubSettings {
        HubSettings::from_environment(&|name| (name == "HF_ENDPOINT").then(|| endpoint.to_owned()))
    }

    fn repository(url: &str, endpoint: &str) -> (String, String, String, bool) {
        match Source::parse(url, &settings(endpoint)).unwrap() {
            Source::Repository(found) => (found.endpoint, found.id, found.revision, found.is_usual),
            Source::Folder(folder) => panic!("{folder:?}"),
        }
    }

    #[test]
    fn pages_mirrors_and_revisions_are_told_apart() {
        let own = |id: &str, revision: &str| (ENDPOINT.to_owned(), id.to_owned(), revision.to_owned(), true);
        for (url, expected) in [
            ("https://huggingface.co/org/name", own("org/name", "main")),
            ("https://huggingface.co/gpt2", own("gpt2", "main")),
            ("https://hf.co/org/name/", own("org/name", "main")),
            ("https://huggingface.co/org/name/tree/v1.0", own("org/name", "v1.0")),
            ("https://huggingface.co/org/name/tree/refs%2Fpr%2F1?x=1", own("org/name", "refs/pr/1")),
        ] {
            assert_eq!(repository(url, ENDPOINT), expected, "{url}");
        }
        let mirror = repository("http://mirror.test:81/org/name", ENDPOINT);
        assert_eq!((mirror.0.as_str(), mirror.3), ("http://mirror.test:81", false));
        // The hub's own address is asked where the environment says so.
        let moved = repository("https://huggingface.co/org/name", "https://mirror.test/base");
        assert_eq!((moved.0.as_str(), moved.3), ("https://mirror.test/base", true));
        let found = Source::parse("https://mirror.test/base/org/name", &settings("https://mirror.test/base")).unwrap();
        let Source::Repository(found) = found else { panic!("a folder") };
        assert_eq!((found.id.as_str(), found.is_usual), ("org/name", true));
        assert_eq!(found.url("config.json"), "https://mirror.test/base/org/name/resolve/main/config.json");
    }

    #[test]
    fn a_folder_of_this_machine_is_used_as_it_is() {
        let found = Source::parse("file:///models/my%20model", &settings(ENDPOINT)).unwrap();
        assert_eq!(found, Source::Folder("/models/my model".into()));
    }

    #[test]
    fn what_could_lead_astray_is_refused() {
        for url in [
            "https://huggingface.co/",
            "https://huggingface.co/a/b/c",
            "https://huggingface.co/../etc",
            "https://huggingface.co/org/..",
            "https://huggingface.co/org/name/tree/",
            "https://huggingface.co/org/name/tree/..%2F..%2Fetc",
            "https://huggingface.co/org/na%2Fme",
            "https://mirror.test",
            "file://relative",
            "nothing",
        ] {
            assert!(matches!(Source::parse(url, &settings(ENDPOINT)), Err(HubError::Address(_))), "{url}");
        }
    }
}
