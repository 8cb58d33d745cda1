//! Price tables in the gate's own form: decimal texts, one line a model.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use crate::policy::pricing::card::Card;
use crate::policy::pricing::dates::When;
use crate::policy::pricing::draft::{Draft, Sheet, Tier};
use crate::policy::pricing::kind::Kind;
use crate::policy::pricing::problem::PriceError;
use crate::policy::pricing::rate::{Factor, Rate};
use crate::policy::pricing::table::Dated;

/// Reads a table; `name` stands in errors.
///
/// `openai/*` and `azure/*` are no models: what they say holds for each model of the one or the other that does not say
/// it itself.
pub(crate) fn read(text: &str, name: &str) -> Result<Vec<(String, Dated)>, PriceError> {
    let mut lines: BTreeMap<String, Line> = json5::from_str(text)
        .map_err(|error| PriceError::Shape { table: name.into(), problem: error.to_string().into() })?;
    let wrong =
        |model: &str, text: String| PriceError::Decimal { table: name.into(), model: model.into(), text: text.into() };
    let mut common = Vec::new();
    for who in ["openai/*", "azure/*"] {
        let drafts = lines.remove(who).map_or(Ok(Vec::new()), |line| drafts(line, &Draft::default()));
        let drafts = drafts.map_err(|NoDecimal(text)| wrong(who, text))?;
        common.push(drafts.into_iter().next().map(|(_, draft)| draft).unwrap_or_default());
    }
    let mut cards: BTreeMap<String, Dated> = BTreeMap::new();
    let mut aliases = Vec::new();
    for (model, line) in lines {
        if let Line::Same(other) = line {
            aliases.push((model, other));
            continue;
        }
        let common = &common[usize::from(model.starts_with("azure/"))];
        let drafts = drafts(line, common).map_err(|NoDecimal(text)| wrong(&model, text))?;
        let cards_of = drafts.into_iter().map(|(when, draft)| (when, Arc::new(Card::new(&draft)))).collect();
        cards.insert(model, cards_of);
    }
    for (model, other) in aliases {
        let Some(same) = cards.get(&other).cloned() else {
            let problem = format!("`{model}` is to cost what `{other}` costs, which has no price of its own here");
            return Err(PriceError::Shape { table: name.into(), problem: problem.into() });
        };
        cards.insert(model, same);
    }
    Ok(cards.into_iter().collect())
}

/// What stands for one model.
enum Line {
    /// The same as another model.
    Same(String),
    /// Prices, or several with the days from which they hold.
    Prices(Vec<Prices>),
}

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LineVisitor)
    }
}

struct LineVisitor;

impl<'de> Visitor<'de> for LineVisitor {
    type Value = Line;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("prices, a list of prices by date, or the name of a model that costs the same")
    }

    fn visit_str<E>(self, text: &str) -> Result<Line, E> {
        Ok(Line::Same(text.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Line, A::Error> {
        Prices::deserialize(MapAccessDeserializer::new(map)).map(|prices| Line::Prices(vec![prices]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Line, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(Line::Prices)
    }
}

/// The prices of one model.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Prices {
    from: Option<String>,
    long: Option<SheetLine>,
    flex: Option<SheetLine>,
    priority: Option<SheetLine>,
    balanced: Option<SheetLine>,
    ultrafast: Option<SheetLine>,
    batch: Option<SheetLine>,
    decisions: Option<SheetLine>,
    #[serde(default)]
    uplift: BTreeMap<String, String>,
    #[serde(default)]
    images: BTreeMap<String, String>,
    #[serde(default)]
    seconds: BTreeMap<String, String>,
    #[serde(flatten)]
    rates: RateLines,
}

/// The rates of one tier.
#[derive(Deserialize)]
struct SheetLine {
    above: Option<u64>,
    long: Option<Box<Self>>,
    #[serde(flatten)]
    rates: RateLines,
}

/// Rates by their kinds, and nothing else.
#[derive(Default)]
struct RateLines(Vec<(Kind, String)>);

impl<'de> Deserialize<'de> for RateLines {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = BTreeMap::<String, String>::deserialize(deserializer)?;
        let rate = |(key, text): (String, String)| match Kind::named(&key) {
            Some(kind) => Ok((kind, text)),
            None => Err(serde::de::Error::custom(format!("unknown key `{key}`"))),
        };
        texts.into_iter().map(rate).collect::<Result<_, _>>().map(Self)
    }
}

/// A text that should have been a price or a date.
struct NoDecimal(String);

fn drafts(line: Line, common: &Draft) -> Result<Vec<(Option<When>, Draft)>, NoDecimal> {
    let Line::Prices(prices) = line else { return Ok(Vec::new()) };
    prices.into_iter().map(|prices| prices.draft(common)).collect()
}

impl Prices {
    fn draft(self, common: &Draft) -> Result<(Option<When>, Draft), NoDecimal> {
        let when = self.from.map(|text| When::from_day(&text).ok_or(NoDecimal(text))).transpose()?;
        let mut draft = Draft::default();
        fill(&mut draft.base, SheetLine { above: None, long: self.long.map(Box::new), rates: self.rates })?;
        let writes = draft.writes();
        for (kind, rate) in common.base.rates.iter().filter(|_| writes) {
            draft.base.rates.fill(kind, rate);
        }
        let tiers = [
            (Tier::Flex, self.flex),
            (Tier::Priority, self.priority),
            (Tier::Balanced, self.balanced),
            (Tier::Ultrafast, self.ultrafast),
            (Tier::Batch, self.batch),
            (Tier::Decisions, self.decisions),
        ];
        for (tier, line) in tiers {
            line.map_or(Ok(()), |line| fill(draft.tier(tier), line))?;
        }
        for (region, text) in self.uplift {
            let factor = Factor::parse(&text).ok_or(NoDecimal(text))?;
            draft.uplifts.push((region.into(), factor));
        }
        draft.pictures = sized(self.images)?;
        draft.videos = sized(self.seconds)?;
        Ok((when, draft))
    }
}

fn fill(sheet: &mut Sheet, line: SheetLine) -> Result<(), NoDecimal> {
    for (kind, text) in line.rates.0 {
        sheet.rates.set(kind, rate(kind, text)?);
    }
    let Some(long) = line.long else { return Ok(()) };
    let above = long.above.ok_or_else(|| NoDecimal("long without above".into()))?;
    for (kind, text) in long.rates.0 {
        let rate = rate(kind, text)?;
        sheet.above(above).set(kind, rate);
    }
    long.long.map_or(Ok(()), |longer| {
        fill(sheet, SheetLine { above: None, long: Some(longer), rates: RateLines::default() })
    })
}

fn sized(texts: BTreeMap<String, String>) -> Result<Vec<(Box<str>, Rate)>, NoDecimal> {
    let one = |(size, text): (String, String)| match Rate::each(&text) {
        Some(rate) => Ok((size.into(), rate)),
        None => Err(NoDecimal(text)),
    };
    texts.into_iter().map(one).collect()
}

fn rate(kind: Kind, text: String) -> Result<Rate, NoDecimal> {
    let rate = match kind.power() {
        0 => Rate::each(&text),
        3 => Rate::per_thousand(&text),
        _ => Rate::per_million(&text),
    };
    rate.ok_or(NoDecimal(text))
}
