//! Entries as rows of the journal, and back.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, Type, Value, ValueRef};
use rusqlite::{Result, Row, Statement, ToSql};
use serde_json::value::RawValue;

use crate::dialect::endpoint::Endpoint;
use crate::ledger::entry::{Client, Entry, Media, Model, Region, Repriced, Tier};
use crate::ledger::journal::words::Word;
use crate::policy::target::Route;
use crate::units::{Cost, Usage};

/// The columns of `entries` that an entry fills, in the order of [`bind`] and [`read`].
const COLUMNS: [&str; 64] = [
    "id",
    "session",
    "time_ms",
    "duration_ms",
    "first_byte_ms",
    "client_address",
    "client_process",
    "client_path",
    "client_agent",
    "client_label",
    "client_key",
    "ingress",
    "host",
    "endpoint",
    "stream",
    "model_asked",
    "model_sent",
    "model_served",
    "route_kind",
    "route_name",
    "attempt",
    "status",
    "outcome",
    "metered",
    "input",
    "cached_input",
    "cached_audio",
    "cached_image",
    "cache_write",
    "cache_write_12h",
    "audio_input",
    "image_input",
    "output",
    "reasoning",
    "audio_output",
    "image_output",
    "requests",
    "seconds",
    "characters",
    "images",
    "trained",
    "web_searches",
    "file_searches",
    "code_sessions",
    "basis",
    "raw_usage",
    "tier_asked",
    "tier_served",
    "region_asked",
    "region_served",
    "size",
    "quality",
    "cost_pico",
    "price_source",
    "rates",
    "repriced_ms",
    "repriced_pico",
    "repriced_source",
    "deferred",
    "after_close",
    "upstream_id",
    "bytes_up",
    "bytes_down",
    "error",
];

/// The statement that writes a row unless its id is there already: `seq`, then `cell`, then what [`bind`] fills.
pub(super) fn insertion() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let places = vec!["?"; COLUMNS.len() + 2].join(", ");
        format!("INSERT INTO entries (seq, cell, {}) VALUES ({places}) ON CONFLICT (id) DO NOTHING", COLUMNS.join(", "))
    });
    &TEXT
}

/// What to select, before `FROM`: `seq`, `cell`, then what [`read`] takes.
pub(super) fn selection() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| format!("SELECT seq, cell, {}", COLUMNS.join(", ")));
    &TEXT
}

/// Fills in a row for [`insertion`]; without `seq` the next free number is taken.
pub(super) fn bind(statement: &mut Statement<'_>, entry: &Entry, seq: Option<u64>, cell: i64) -> Result<()> {
    let Entry { client, model, route, tier, region, media, repriced, .. } = entry;
    let mut to = Places { statement, next: 1 };
    to.put(seq.map(whole))?;
    to.put(cell)?;
    to.put(&entry.id)?;
    to.put(&entry.session)?;
    to.put(entry.time.as_millisecond())?;
    to.put(whole(entry.duration_ms))?;
    to.put(entry.first_byte_ms.map(whole))?;
    to.put(client.address.to_string())?;
    for text in [&client.process, &client.path, &client.agent, &client.label, &client.key] {
        to.put(text)?;
    }
    to.put(entry.ingress.word())?;
    to.put(&entry.host)?;
    to.put(entry.endpoint.name())?;
    to.put(entry.stream)?;
    for name in [&model.asked, &model.sent, &model.served] {
        to.put(name)?;
    }
    to.put(route.as_ref().map(|route| route.kind.word()))?;
    to.put(route.as_ref().map(|route| &route.name))?;
    to.put(entry.attempt)?;
    to.put(entry.status)?;
    to.put(entry.outcome.word())?;
    to.put(entry.usage.is_some())?;
    for count in counts(&entry.usage.unwrap_or_default()) {
        to.put(count.map(whole))?;
    }
    to.put(entry.basis.word())?;
    to.put(entry.raw_usage.as_deref().map(RawValue::get))?;
    to.put(&tier.asked)?;
    to.put(&tier.served)?;
    to.put(&region.asked)?;
    to.put(&region.served)?;
    to.put(&media.size)?;
    to.put(&media.quality)?;
    to.put(entry.cost.map(Pico))?;
    to.put(&entry.price_source)?;
    to.put(entry.rates.as_deref().map(RawValue::get))?;
    to.put(repriced.as_ref().map(|before| before.time.as_millisecond()))?;
    to.put(repriced.as_ref().and_then(|before| before.cost).map(Pico))?;
    to.put(repriced.as_ref().and_then(|before| before.price_source.as_ref()))?;
    to.put(entry.deferred)?;
    to.put(entry.after_close.map(Word::word))?;
    to.put(&entry.upstream_id)?;
    to.put(whole(entry.bytes_up))?;
    to.put(whole(entry.bytes_down))?;
    to.put(&entry.error)
}

/// The entry of a row that was selected with [`selection`].
pub(super) fn read(row: &Row<'_>) -> Result<Entry> {
    let mut from = Columns { row, next: 2 };
    Ok(Entry {
        id: from.take()?,
        session: from.take()?,
        time: from.take::<Milliseconds>()?.0,
        duration_ms: from.take()?,
        first_byte_ms: from.take()?,
        client: Client {
            address: from.take::<Address>()?.0,
            process: from.take()?,
            path: from.take()?,
            agent: from.take()?,
            label: from.take()?,
            key: from.take()?,
        },
        ingress: from.word()?,
        host: from.take()?,
        endpoint: from.take::<Operation>()?.0,
        stream: from.take()?,
        model: Model { asked: from.take()?, sent: from.take()?, served: from.take()? },
        route: from.route()?,
        attempt: from.take()?,
        status: from.take()?,
        outcome: from.word()?,
        usage: from.usage()?,
        basis: from.word()?,
        raw_usage: from.json()?,
        tier: Tier { asked: from.take()?, served: from.take()? },
        region: Region { asked: from.take()?, served: from.take()? },
        media: Media { size: from.take()?, quality: from.take()? },
        cost: from.take::<Option<Pico>>()?.map(|pico| pico.0),
        price_source: from.take()?,
        rates: from.json()?.map(Into::into),
        repriced: from.repriced()?,
        deferred: from.take()?,
        after_close: from.word_or_null()?,
        upstream_id: from.take()?,
        bytes_up: from.take()?,
        bytes_down: from.take()?,
        error: from.take()?,
    })
}

/// The counts of a usage in the order of their columns.
fn counts(usage: &Usage) -> [Option<u64>; 20] {
    [
        usage.input,
        usage.cached_input,
        usage.cached_audio,
        usage.cached_image,
        usage.cache_write,
        usage.cache_write_12h,
        usage.audio_input,
        usage.image_input,
        usage.output,
        usage.reasoning,
        usage.audio_output,
        usage.image_output,
        usage.requests,
        usage.seconds,
        usage.characters,
        usage.images,
        usage.trained,
        usage.web_searches,
        usage.file_searches,
        usage.code_sessions,
    ]
}

/// A count as the file can hold it; what is beyond 2^63 - 1 is nothing that a meter lets through.
pub(super) fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Fills places one after the other.
struct Places<'a, 'c> {
    statement: &'a mut Statement<'c>,
    next: usize,
}

impl Places<'_, '_> {
    fn put(&mut self, value: impl ToSql) -> Result<()> {
        self.statement.raw_bind_parameter(self.next, value)?;
        self.next += 1;
        Ok(())
    }
}

/// Takes columns one after the other.
struct Columns<'a, 'r> {
    row: &'a Row<'r>,
    next: usize,
}

impl Columns<'_, '_> {
    fn take<T: FromSql>(&mut self) -> Result<T> {
        self.next += 1;
        self.row.get(self.next - 1)
    }

    fn word<T: Word>(&mut self) -> Result<T> {
        let at = self.next;
        self.word_or_null()?.ok_or_else(|| wrong(at))
    }

    fn word_or_null<T: Word>(&mut self) -> Result<Option<T>> {
        let at = self.next;
        self.next += 1;
        let Some(word) = self.row.get_ref(at)?.as_str_or_null()? else { return Ok(None) };
        T::read(word).map(Some).ok_or_else(|| wrong(at))
    }

    fn route(&mut self) -> Result<Option<Route>> {
        let (kind, name) = (self.word_or_null()?, self.take::<Option<Arc<str>>>()?);
        Ok(kind.zip(name).map(|(kind, name)| Route { kind, name }))
    }

    fn usage(&mut self) -> Result<Option<Usage>> {
        let metered: bool = self.take()?;
        let usage = Usage {
            input: self.take()?,
            cached_input: self.take()?,
            cached_audio: self.take()?,
            cached_image: self.take()?,
            cache_write: self.take()?,
            cache_write_12h: self.take()?,
            audio_input: self.take()?,
            image_input: self.take()?,
            output: self.take()?,
            reasoning: self.take()?,
            audio_output: self.take()?,
            image_output: self.take()?,
            requests: self.take()?,
            seconds: self.take()?,
            characters: self.take()?,
            images: self.take()?,
            trained: self.take()?,
            web_searches: self.take()?,
            file_searches: self.take()?,
            code_sessions: self.take()?,
        };
        Ok(metered.then_some(usage))
    }

    fn json(&mut self) -> Result<Option<Box<RawValue>>> {
        let at = self.next;
        let Some(text) = self.take::<Option<String>>()? else { return Ok(None) };
        RawValue::from_string(text).map(Some).map_err(|_| wrong(at))
    }

    fn repriced(&mut self) -> Result<Option<Repriced>> {
        let time = self.take::<Option<Milliseconds>>()?;
        let (cost, price_source) = (self.take::<Option<Pico>>()?, self.take()?);
        Ok(time.map(|time| Repriced { time: time.0, cost: cost.map(|pico| pico.0), price_source }))
    }
}

fn wrong(at: usize) -> rusqlite::Error {
    rusqlite::Error::InvalidColumnType(at, COLUMNS.get(at.wrapping_sub(2)).copied().unwrap_or("?").into(), Type::Text)
}

/// Pico-dollars: a whole number, or its digits where 64 bits do not hold it.
pub(super) struct Pico(pub(super) Cost);

impl ToSql for Pico {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        let Cost(pico) = self.0;
        let value = i64::try_from(pico).map_or_else(|_| Value::Text(pico.to_string()), Value::Integer);
        Ok(ToSqlOutput::Owned(value))
    }
}

impl FromSql for Pico {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value {
            ValueRef::Integer(pico) => Ok(Self(Cost(pico.into()))),
            text => text.as_str()?.parse().map(|pico| Self(Cost(pico))).map_err(|_| FromSqlError::InvalidType),
        }
    }
}

struct Milliseconds(Timestamp);

impl FromSql for Milliseconds {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let time = value.as_i64()?;
        Timestamp::from_millisecond(time).map(Self).map_err(|_| FromSqlError::OutOfRange(time))
    }
}

struct Address(IpAddr);

impl FromSql for Address {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map(Self).map_err(|_| FromSqlError::InvalidType)
    }
}

struct Operation(Endpoint);

impl FromSql for Operation {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Endpoint::named(value.as_str()?).map(Self).ok_or(FromSqlError::InvalidType)
    }
}
