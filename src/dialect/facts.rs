//! What a request says that decides about its price and that its reply does not repeat.

use super::endpoint::Dialect;
use super::json::{self, JsonError, Members};
use super::multipart;
use super::sound::{self, Sound};

/// What a request says of what it wants to have made; `None` is "it does not say".
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Facts {
    /// Unicode characters of the text that is to be spoken.
    pub characters: Option<u64>,
    /// `n`: how many pictures.
    pub pictures: Option<u64>,
    /// `size` of a picture or a video.
    pub size: Option<Box<str>>,
    /// `quality` of a picture.
    pub quality: Option<Box<str>>,
    /// `seconds` of a video.
    pub seconds: Option<u64>,
    /// How long the sound is that was sent.
    pub sound: Option<Sound>,
    /// The request begins something whose usage a later one may tell.
    pub begins: bool,
}

impl Facts {
    /// Reads a JSON body.
    pub fn of_json(dialect: Dialect, doc: &[u8]) -> Self {
        let mut facts = Self::default();
        // What is told twice is told by neither.
        let Ok(members) = members(dialect, doc) else { return facts };
        for (name, member) in WANTED.into_iter().zip(members) {
            if let Some(member) = member {
                facts.learn(dialect, name, &doc[member.value]);
            }
        }
        facts
    }

    /// Reads a form, whose fields may come in any order.
    pub fn of_form(dialect: Dialect, form: &[u8], boundary: &[u8]) -> Self {
        let mut facts = Self::default();
        if !is_priced_by_request(dialect) {
            return facts;
        }
        for part in multipart::parts(form, boundary) {
            let value = &form[part.value];
            match (std::str::from_utf8(&part.name), part.is_file) {
                (Ok("file"), true) if hears(dialect) => facts.sound = sound::length(value),
                (Ok(name), false) if value.len() <= LONGEST => {
                    let text = std::str::from_utf8(value).unwrap_or_default();
                    facts.learn(dialect, name, serde_json::Value::from(text).to_string().as_bytes());
                }
                _ => {}
            }
        }
        facts
    }

    /// Takes one member, as JSON.
    fn learn(&mut self, dialect: Dialect, name: &str, value: &[u8]) {
        let text = || json::text(value);
        let short = || text().filter(|text| !text.is_empty() && text.len() <= LONGEST).map(Into::into);
        // A form has no numbers, and an API that takes `"8"` takes 8 as well.
        let number = || match text() {
            Some(text) => text.parse().ok(),
            None => std::str::from_utf8(value).ok()?.parse().ok(),
        };
        match (name, dialect) {
            ("input", Dialect::Speech) => self.characters = text().map(|text| text.chars().count() as u64),
            ("n", _) if draws(dialect) => self.pictures = number(),
            ("quality", _) if draws(dialect) => self.quality = short(),
            ("size", _) if draws(dialect) || films(dialect) => self.size = short(),
            ("seconds", _) if films(dialect) => self.seconds = number(),
            _ => {}
        }
    }
}

/// Whether it makes pictures.
pub fn draws(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::ImageEdit | Dialect::ImageGeneration | Dialect::ImageVariation)
}

/// Whether it makes videos.
pub fn films(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::Video | Dialect::VideoExtension)
}

/// Whether it is sent sound.
pub fn hears(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::Transcription | Dialect::Translation)
}

fn is_priced_by_request(dialect: Dialect) -> bool {
    dialect == Dialect::Speech || draws(dialect) || films(dialect) || hears(dialect)
}

fn members(dialect: Dialect, doc: &[u8]) -> Result<Members<5>, JsonError> {
    if is_priced_by_request(dialect) { json::members(doc, &WANTED) } else { Ok([const { None }; 5]) }
}

const WANTED: [&str; 5] = ["input", "n", "quality", "seconds", "size"];

/// The most bytes of a value that are kept.
const LONGEST: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::sound::tests::wave_file;

    #[test]
    fn a_text_to_be_spoken_is_counted_in_characters_and_not_in_bytes_or_escapes() {
        let of = |body: &str| Facts::of_json(Dialect::Speech, body.as_bytes()).characters;
        assert_eq!(of(r#"{"model":"tts-1","input":"naïve 日本 🎈"}"#), Some(10));
        assert_eq!(of(r#"{"input":"\u65e5\n\ud83c\udf88","model":"tts-1"}"#), Some(3));
        assert_eq!(of(r#"{"input":""}"#), Some(0));
        assert_eq!(of(r#"{"input":7}"#), None);
        assert_eq!(of(r#"{"input":"a","input":"b"}"#), None);
        assert_eq!(Facts::of_json(Dialect::Responses, br#"{"input":"abc"}"#), Facts::default());
    }

    #[test]
    fn pictures_and_videos_are_described_in_either_notation() {
        let picture = Facts {
            pictures: Some(2),
            size: Some("1024x1536".into()),
            quality: Some("low".into()),
            ..Facts::default()
        };
        let body = br#"{"size":"1024x1536","quality":"low","n":2,"seconds":9,"prompt":"x"}"#;
        assert_eq!(Facts::of_json(Dialect::ImageGeneration, body), picture);
        let video = Facts { seconds: Some(8), size: Some("720x1280".into()), ..Facts::default() };
        for body in [r#"{"seconds":"8","size":"720x1280"}"#, r#"{"seconds":8,"size":"720x1280","n":3}"#] {
            assert_eq!(Facts::of_json(Dialect::Video, body.as_bytes()), video, "{body}");
        }
        let form = b"--b\r\nContent-Disposition: form-data; name=\"size\"\r\n\r\n720x1280\r\n\
                     --b\r\nContent-Disposition: form-data; name=\"seconds\"\r\n\r\n8\r\n--b--\r\n";
        assert_eq!(Facts::of_form(Dialect::Video, form, b"b"), video);
        let auto = Facts::of_json(Dialect::ImageGeneration, br#"{"n":-1,"size":null,"quality":3}"#);
        assert_eq!(auto, Facts::default());
    }

    #[test]
    fn the_sound_of_an_upload_is_measured_wherever_the_file_stands() {
        let file = [
            b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n".as_slice(),
            &wave_file(16_000, 40_000, 40_000),
            b"\r\n",
        ]
        .concat();
        let model = b"--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n".to_vec();
        for order in [[&file, &model], [&model, &file]] {
            let form = [order[0].as_slice(), order[1], b"--b--\r\n"].concat();
            let facts = Facts::of_form(Dialect::Translation, &form, b"b");
            assert_eq!(facts.sound, Some(Sound { seconds: 3, exact: true }));
        }
    }
}
