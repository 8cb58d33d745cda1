//! What a usage costs by the rates of one tariff: exact, and rounded once.

use crate::policy::pricing::kind::{Kind, Rates};
use crate::policy::pricing::rate::{Price, Rate};
use crate::units::{Cost, Usage};

/// The sum for one usage, rounded half up once; `None` where something that costs has no price or no count.
///
/// `spoken` says that output tokens are sound where the usage does not tell.
pub(crate) fn sum(rates: &Rates, usage: &Usage, spoken: bool) -> Option<Cost> {
    let measured = measured(rates, usage, spoken)?;
    let fees = [
        (Kind::Training, usage.trained),
        (Kind::WebSearch, usage.web_searches),
        (Kind::FileSearch, usage.file_searches),
        (Kind::CodeSession, usage.code_sessions),
    ];
    let per_request = rates.get(Kind::Request).map(|rate| times(usage.requests.unwrap_or(1), rate));
    let fees = fees.into_iter().map(|(kind, count)| charge(count.unwrap_or(0), rates.get(kind)));
    fees.chain(per_request.map(Some)).try_fold(measured, |sum, fee| Some(sum.saturating_add(fee?))).map(rounded)
}

/// The sum by a custom model's own price: all input costs the same, and so does all output.
pub(crate) fn own(price: &Price, usage: &Usage) -> Option<Cost> {
    if usage.input.is_none() && usage.output.is_none() {
        return None;
    }
    let input = times(known(usage.input, Some(price.input))?, price.input);
    let output = times(known(usage.output, Some(price.output))?, price.output);
    Some(rounded(input.saturating_add(output)))
}

/// What is charged by measure: by tokens where some are told and have a price, else by the first other measure.
fn measured(rates: &Rates, usage: &Usage, spoken: bool) -> Option<i128> {
    let by = |kind: Kind, count: Option<u64>| Some(times(count?, rates.get(kind)?));
    let others = || {
        by(Kind::Second, usage.seconds)
            .or_else(|| by(Kind::Character, usage.characters))
            .or_else(|| by(Kind::Image, usage.images))
    };
    let told = usage.input.is_some() || usage.output.is_some();
    if told && rates.price_tokens() {
        // Nothing in tokens and something in another measure is a usage in that measure.
        let in_tokens = (usage.total() == 0).then(others).flatten();
        return in_tokens.or_else(|| tokens(rates, usage, spoken));
    }
    if let Some(other) = others() {
        return Some(other);
    }
    let only_fees = !told && (usage.trained.is_some() || usage.code_sessions.is_some());
    (rates.are_free() || only_fees).then_some(0)
}

/// Tokens by their kinds. Subsets are held to what is left of their whole, so that no token is charged twice.
fn tokens(rates: &Rates, usage: &Usage, spoken: bool) -> Option<i128> {
    let rate = |kinds: &[Kind]| kinds.iter().find_map(|kind| rates.get(*kind));
    let count = |count: Option<u64>| count.unwrap_or(0);

    let fresh = rate(&[Kind::Input]);
    let input = known(usage.input, rate(&[Kind::Input, Kind::AudioInput, Kind::ImageInput]))?;
    let cached = count(usage.cached_input).min(input);
    let written = count(usage.cache_write).min(input - cached);
    let long_lived = count(usage.cache_write_12h).min(written);
    let cached_audio = count(usage.cached_audio).min(count(usage.audio_input)).min(cached);
    let cached_image = count(usage.cached_image).min(count(usage.image_input)).min(cached - cached_audio);
    let uncached = input - cached - written;
    let audio = (count(usage.audio_input) - cached_audio).min(uncached);
    let image = (count(usage.image_input) - cached_image).min(uncached - audio);

    // Pictures are often all that a model puts out.
    let plain = rate(&[Kind::Output, Kind::ImageOutput]);
    let output = known(usage.output, rate(&[Kind::Output, Kind::ImageOutput, Kind::AudioOutput]))?;
    let is_sound = spoken && usage.audio_output.is_none() && rates.get(Kind::AudioOutput).is_some();
    let audio_out = if is_sound { output } else { count(usage.audio_output).min(output) };
    let image_out = count(usage.image_output).min(output - audio_out);
    let reasoning = count(usage.reasoning).min(output - audio_out - image_out);

    let parts = [
        (uncached - audio - image, fresh),
        (audio, rate(&[Kind::AudioInput, Kind::Input])),
        (image, rate(&[Kind::ImageInput, Kind::Input])),
        (cached - cached_audio - cached_image, rate(&[Kind::CachedInput, Kind::Input])),
        (cached_audio, rate(&[Kind::CachedAudio, Kind::CachedInput, Kind::Input])),
        (cached_image, rate(&[Kind::CachedImage, Kind::CachedInput, Kind::Input])),
        (written - long_lived, rate(&[Kind::CacheWrite, Kind::Input])),
        (long_lived, rate(&[Kind::CacheWrite12h, Kind::CacheWrite, Kind::Input])),
        (output - audio_out - image_out - reasoning, plain),
        (reasoning, rate(&[Kind::Reasoning]).or(plain)),
        (audio_out, rate(&[Kind::AudioOutput]).or(plain)),
        (image_out, rate(&[Kind::ImageOutput]).or(plain)),
    ];
    parts.into_iter().try_fold(0, |sum: i128, (count, rate)| Some(sum.saturating_add(charge(count, rate)?)))
}

/// A count, where an unknown one does no harm because nothing is charged for it.
fn known(count: Option<u64>, rate: Option<Rate>) -> Option<u64> {
    if rate.is_none_or(|rate| rate == Rate(0)) { Some(count.unwrap_or(0)) } else { count }
}

/// What a count costs; `None` where there is something that has no price.
fn charge(count: u64, rate: Option<Rate>) -> Option<i128> {
    if count == 0 { Some(0) } else { rate.map(|rate| times(count, rate)) }
}

/// In thousandths of a pico-dollar; always in range: a count is below 2^64 and a rate below 2^63.
fn times(count: u64, rate: Rate) -> i128 {
    i128::from(count) * i128::from(rate.0)
}

fn rounded(thousandths: i128) -> Cost {
    Cost(thousandths.saturating_add(500).div_euclid(1000))
}
