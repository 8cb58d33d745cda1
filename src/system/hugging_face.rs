//! Where this machine keeps models of the Hugging Face hub, as the hub's own tools are told by the environment.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::net::secret::Secret;

/// What the environment says about the Hugging Face hub.
#[derive(Clone, Debug)]
pub struct HubSettings {
    /// `HF_ENDPOINT`, without a final slash.
    pub endpoint: String,
    /// `HF_HUB_CACHE`: the folder of the `models--org--name` folders.
    pub cache: PathBuf,
    /// `HF_TOKEN`, or what stands in the file that the hub's tools write; sent to the endpoint's host alone.
    pub token: Option<Secret>,
    /// `HF_HUB_OFFLINE`: nothing is downloaded.
    pub offline: bool,
    /// `HF_HUB_DOWNLOAD_TIMEOUT`: between two pieces of a download, and for the answer to a question.
    pub patience: Duration,
    /// Large downloads are shown on the terminal.
    pub shows_progress: bool,
}

impl HubSettings {
    /// Reads the variables that `huggingface_hub` reads, with its defaults.
    pub fn from_environment(variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let filled = |name: &str| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let folder = |name: &str| filled(name).map(PathBuf::from);
        let home = folder("HF_HOME").unwrap_or_else(|| {
            let cache = folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")));
            cache.unwrap_or_default().join("huggingface")
        });
        let token = filled("HF_TOKEN").or_else(|| {
            let file = folder("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token"));
            kept_token(&file)
        });
        let seconds =
            filled("HF_HUB_DOWNLOAD_TIMEOUT").and_then(|text| text.parse().ok()).filter(|seconds| *seconds > 0);
        Self {
            endpoint: filled("HF_ENDPOINT").map_or_else(|| ENDPOINT.into(), |url| url.trim_end_matches('/').into()),
            cache: folder("HF_HUB_CACHE").unwrap_or_else(|| home.join("hub")),
            token: token.map(Secret::new),
            offline: ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]
                .iter()
                .any(|name| filled(name).is_some_and(|value| is_true(&value))),
            patience: Duration::from_secs(seconds.unwrap_or(10)),
            shows_progress: false,
        }
    }
}

/// What stands in the file, which must be one: a pipe would be waited for.
fn kept_token(file: &Path) -> Option<String> {
    let mut text = String::new();
    let opened = fs::metadata(file).ok().filter(fs::Metadata::is_file).and_then(|_| File::open(file).ok())?;
    opened.take(LONGEST_TOKEN).read_to_string(&mut text).ok()?;
    Some(text.trim().to_owned()).filter(|token| !token.is_empty())
}

/// The spellings that the hub's tools take for yes.
fn is_true(value: &str) -> bool {
    ["1", "on", "yes", "true"].contains(&value.to_lowercase().as_str())
}

/// The hub itself.
pub const ENDPOINT: &str = "https://huggingface.co";

const LONGEST_TOKEN: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> HubSettings {
        HubSettings::from_environment(&|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_of_the_hubs_own_tools_holds_here_too() {
        let found = settings(&[("HOME", "/home/a")]);
        assert_eq!(found.cache, PathBuf::from("/home/a/.cache/huggingface/hub"));
        assert_eq!((found.endpoint.as_str(), found.offline, found.token), (ENDPOINT, false, None));
        assert_eq!(settings(&[("XDG_CACHE_HOME", "/c")]).cache, PathBuf::from("/c/huggingface/hub"));
        assert_eq!(settings(&[("HF_HOME", "/hf"), ("HOME", "/h")]).cache, PathBuf::from("/hf/hub"));
        let all = settings(&[
            ("HF_HOME", "/hf"),
            ("HF_HUB_CACHE", "/hub"),
            ("HF_ENDPOINT", "https://mirror.test/"),
            ("HF_TOKEN", " hf_x "),
            ("TRANSFORMERS_OFFLINE", "True"),
            ("HF_HUB_DOWNLOAD_TIMEOUT", "3"),
        ]);
        assert_eq!((all.cache, all.endpoint.as_str()), (PathBuf::from("/hub"), "https://mirror.test"));
        assert_eq!((all.token, all.offline, all.patience), (Some(Secret::new("hf_x")), true, Duration::from_secs(3)));
        assert!(!settings(&[("HF_HUB_OFFLINE", "0")]).offline);
    }

    #[test]
    fn a_token_that_the_hubs_tools_have_kept_is_found() {
        let folder = tempfile::TempDir::new().unwrap();
        fs::write(folder.path().join("token"), "hf_kept\n").unwrap();
        let found = settings(&[("HF_HOME", folder.path().to_str().unwrap())]);
        assert_eq!(found.token, Some(Secret::new("hf_kept")));
        assert!(!format!("{found:?}").contains("hf_kept"));
    }
}
