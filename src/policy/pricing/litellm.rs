//! Reads LiteLLM's price map: one JSON object, a model a member, prices for one unit each.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::policy::pricing::draft::{Draft, Tier};
use crate::policy::pricing::kind::Kind;
use crate::policy::pricing::rate::{Factor, Rate};

/// What the map prices, and what of it cannot be used, each in a clause that begins with its name.
pub(crate) struct Read {
    pub(crate) models: BTreeMap<String, Draft>,
    pub(crate) flaws: Vec<String>,
}

/// Reads the map; `None` in the place of a model that has no price says nothing.
///
/// # Errors
/// No JSON object; what the parser says.
pub(crate) fn read(text: &str) -> Result<Read, serde_json::Error> {
    let members: Members<'_> = serde_json::from_str(text)?;
    let mut read = Read { models: BTreeMap::new(), flaws: Vec::new() };
    let mut sessions = BTreeMap::new();
    for (name, raw) in members.0.iter().filter(|(name, _)| name != SPECIMEN) {
        match Entry::read(raw) {
            Err(flaw) => read.flaws.push(format!("`{name}` {flaw}")),
            Ok(entry) => {
                if let Some(provider) = name.strip_suffix("/container") {
                    sessions
                        .extend(entry.draft.base.rates.get(Kind::CodeSession).map(|rate| (provider.to_owned(), rate)));
                }
                entry.place(name, &mut read.models);
            }
        }
    }
    share_sessions(&mut read.models, &sessions);
    share_resolutions(&mut read.models);
    read.models.retain(|_, draft| !draft.is_empty());
    Ok(read)
}

/// The price of a code interpreter's session stands apart, and holds for every model of its provider that writes.
fn share_sessions(models: &mut BTreeMap<String, Draft>, sessions: &BTreeMap<String, Rate>) {
    for (name, draft) in models.iter_mut().filter(|(_, draft)| draft.writes()) {
        let provider = if name.starts_with("azure/") { "azure" } else { "openai" };
        let is_of = provider == "azure" || !name.contains('/');
        if let Some(rate) = sessions.get(provider).filter(|_| is_of) {
            draft.base.rates.fill(Kind::CodeSession, *rate);
        }
    }
}

/// The high resolution of a video model stands as a model of its own.
fn share_resolutions(models: &mut BTreeMap<String, Draft>) {
    let of = |(name, draft): (&String, &Draft)| {
        let base = name.strip_suffix("-high-res")?;
        Some((base.to_owned(), draft.base.rates.get(Kind::Second)?))
    };
    let found: Vec<(String, Rate)> = models.iter().filter_map(of).collect();
    for (base, rate) in found {
        if let Some(draft) = models.get_mut(&base) {
            draft.videos.extend(HIGH_RESOLUTION.map(|size| (size.into(), rate)));
        }
    }
}

/// One member of the map.
#[derive(Default)]
struct Entry {
    draft: Draft,
    mode: String,
    provider: String,
    per_image: Option<Rate>,
    /// The text of a price for one pixel.
    per_pixel: Option<String>,
    /// What was said of seconds of input and of output.
    seconds: [Option<Rate>; 2],
    /// Cached sound, where it stands under the name of what is written to the cache.
    mislabelled: Option<Rate>,
}

impl Entry {
    fn read(raw: &RawValue) -> Result<Self, String> {
        let members: Members<'_> = serde_json::from_str(raw.get()).map_err(|_| "is no object".to_owned())?;
        let mut entry = Self::default();
        for (key, raw) in &members.0 {
            let text = number_text(raw.get());
            match &**key {
                "mode" => entry.mode = text.into(),
                "litellm_provider" => entry.provider = text.into(),
                "search_context_cost_per_query" => entry.searches(raw)?,
                key if text != "null" && (key.contains("_cost") || key.contains("_multiplier_")) => {
                    let wrong = || format!("has no price in `{key}`: `{}`", cut(raw.get()));
                    entry.price(key, text).ok_or_else(wrong)?;
                }
                _ => {}
            }
        }
        entry.settle();
        Ok(entry)
    }

    /// Takes one price; `None` where it should be one and is not.
    fn price(&mut self, key: &str, text: &str) -> Option<()> {
        if let Some(region) = key.strip_prefix("regional_processing_uplift_multiplier_") {
            self.draft.uplifts.push((region.into(), Factor::parse(text)?));
            return Some(());
        }
        if let Some(size) = key.strip_prefix("output_cost_per_second_").filter(|size| !size.contains('_')) {
            self.draft.videos.push((size.into(), Rate::number(text, 0)?));
            return Some(());
        }
        let (tier, key) = tier_of(key);
        let (above, key) = above_of(key);
        // Some names have the tier before the length.
        let (tier, key) = if tier == Tier::Base { tier_of(key) } else { (tier, key) };
        let Some((kind, power)) = kind_of(key) else { return self.other(key, text) };
        let rate = Rate::number(text, power)?;
        let sheet = self.draft.tier(tier);
        let rates = if above > 0 { sheet.above(above) } else { &mut sheet.rates };
        rates.set(kind, rate);
        Some(())
    }

    fn other(&mut self, key: &str, text: &str) -> Option<()> {
        match key {
            "input_cost_per_image" | "output_cost_per_image" => {
                let rate = Rate::number(text, 0)?;
                self.per_image = self.per_image.filter(|known| *known != Rate(0)).or(Some(rate));
            }
            "input_cost_per_pixel" => self.per_pixel = Rate::number(text, 0).map(|_| text.to_owned()),
            "input_cost_per_second" => self.seconds[0] = Some(Rate::number(text, 0)?),
            "output_cost_per_second" | "output_cost_per_video_per_second" => {
                self.seconds[1] = Some(Rate::number(text, 0)?);
            }
            "cache_creation_input_audio_token_cost" => self.mislabelled = Some(Rate::number(text, 0)?),
            _ => {}
        }
        Some(())
    }

    /// The price of a search depends on how much it looks at, which no reply tells: it is one only where it does not.
    fn searches(&mut self, raw: &RawValue) -> Result<(), String> {
        let Ok(sizes) = serde_json::from_str::<Members<'_>>(raw.get()) else { return Ok(()) };
        let rates: Option<Vec<Rate>> = sizes.0.iter().map(|(_, raw)| Rate::number(number_text(raw.get()), 0)).collect();
        let rates = rates.ok_or("has no price in `search_context_cost_per_query`")?;
        if let [first, rest @ ..] = &*rates
            && rest.iter().all(|rate| rate == first)
        {
            self.draft.base.rates.set(Kind::WebSearch, *first);
        }
        Ok(())
    }

    /// Brings together what the map says in several ways.
    fn settle(&mut self) {
        // Both directions of a transcription are the same seconds.
        let [input, output] = self.seconds;
        let per_image = self.per_image.filter(|_| self.makes_images());
        let rates = &mut self.draft.base.rates;
        if let Some(rate) = input.filter(|rate| *rate != Rate(0)).or(output).or(input) {
            rates.set(Kind::Second, rate);
        }
        if let Some(rate) = self.mislabelled.filter(|_| self.mode == "realtime") {
            rates.fill(Kind::CachedAudio, rate);
        }
        if let Some(rate) = per_image {
            rates.set(Kind::Image, rate);
        }
    }

    /// Puts it under its name, and the price of pictures of one form to the model that makes them.
    fn place(self, name: &str, models: &mut BTreeMap<String, Draft>) {
        let Some((model, form, pixels)) = self.picture(name) else {
            let pictures = models.get(name).map(|known| known.pictures.clone()).unwrap_or_default();
            models.insert(name.into(), Draft { pictures, ..self.draft });
            return;
        };
        let by_pixels = || Rate::number_times(self.per_pixel.as_deref()?, pixels);
        if let Some(rate) = self.per_image.or_else(by_pixels) {
            models.entry(model).or_default().pictures.push((form.into(), rate));
        }
    }

    /// `azure/low/1024-x-1536/gpt-image-1`: the model, `low/1024x1536`, and the pixels of such a picture.
    fn picture(&self, name: &str) -> Option<(String, String, u64)> {
        if !self.makes_images() || !["azure", "openai"].contains(&&*self.provider) {
            return None;
        }
        let (prefix, rest) = match name.strip_prefix("azure/") {
            Some(rest) => ("azure/", rest),
            None => ("", name),
        };
        let (form, model) = rest.rsplit_once('/')?;
        let (quality, size) = form.rsplit_once('/').map_or((None, form), |(quality, size)| (Some(quality), size));
        let (width, height) = size.split_once("-x-")?;
        let pixels = width.parse::<u64>().ok()?.checked_mul(height.parse().ok()?)?;
        let size = format!("{width}x{height}");
        let form = quality.map_or_else(|| size.clone(), |quality| format!("{quality}/{size}"));
        Some((format!("{prefix}{model}"), form, pixels))
    }

    fn makes_images(&self) -> bool {
        matches!(&*self.mode, "image_generation" | "image_edit")
    }
}

/// Which tier a key ends with, and what stands before.
fn tier_of(key: &str) -> (Tier, &str) {
    let of = |(suffix, tier): &(&str, Tier)| key.strip_suffix(suffix).map(|rest| (*tier, rest));
    TIERS.iter().find_map(of).unwrap_or((Tier::Base, key))
}

/// The length of input above which a key holds, 0 for any, and what stands before.
fn above_of(key: &str) -> (u64, &str) {
    let of = || {
        let (rest, length) = key.strip_suffix("_tokens")?.rsplit_once("_above_")?;
        let (digits, thousand) = length.strip_suffix('k').map_or((length, 1), |digits| (digits, 1000));
        Some((digits.parse::<u64>().ok()?.checked_mul(thousand)?, rest))
    };
    of().unwrap_or((0, key))
}

/// What a key prices, and for how many of it, as a power of ten.
fn kind_of(key: &str) -> Option<(Kind, u8)> {
    KINDS.iter().find(|(known, _, _)| *known == key).map(|(_, kind, power)| (*kind, *power))
}

/// The text of a number, also of one that was written as a text.
fn number_text(raw: &str) -> &str {
    raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')).unwrap_or(raw).trim()
}

fn cut(text: &str) -> String {
    text.chars().take(40).collect()
}

/// The members of an object in their order, each with its value's text.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Members<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(key) = members.next_key::<String>()? {
            list.push((Cow::Owned(key), members.next_value()?));
        }
        Ok(Members(list))
    }
}

/// Explains the map's fields in the form of a model.
const SPECIMEN: &str = "sample_spec";

const TIERS: [(&str, Tier); 6] = [
    ("_balanced", Tier::Balanced),
    ("_batches", Tier::Batch),
    ("_decisions", Tier::Decisions),
    ("_flex", Tier::Flex),
    ("_priority", Tier::Priority),
    ("_ultrafast", Tier::Ultrafast),
];

const KINDS: [(&str, Kind, u8); 16] = [
    ("input_cost_per_token", Kind::Input, 0),
    ("output_cost_per_token", Kind::Output, 0),
    ("cache_read_input_token_cost", Kind::CachedInput, 0),
    ("cache_creation_input_token_cost", Kind::CacheWrite, 0),
    ("cache_creation_input_token_cost_above_12hr", Kind::CacheWrite12h, 0),
    ("input_cost_per_audio_token", Kind::AudioInput, 0),
    ("output_cost_per_audio_token", Kind::AudioOutput, 0),
    ("cache_read_input_audio_token_cost", Kind::CachedAudio, 0),
    ("input_cost_per_image_token", Kind::ImageInput, 0),
    ("output_cost_per_image_token", Kind::ImageOutput, 0),
    ("cache_read_input_image_token_cost", Kind::CachedImage, 0),
    ("output_cost_per_reasoning_token", Kind::Reasoning, 0),
    ("input_cost_per_character", Kind::Character, 0),
    ("input_cost_per_request", Kind::Request, 0),
    ("code_interpreter_cost_per_session", Kind::CodeSession, 0),
    ("file_search_cost_per_1k_calls", Kind::FileSearch, 3),
];

/// The sizes of OpenAI's videos in high resolution.
const HIGH_RESOLUTION: [&str; 2] = ["1024x1792", "1792x1024"];
