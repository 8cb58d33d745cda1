//! Reads the CSV exports of the provider's dashboard by their header, whatever other columns they have.

use std::path::Path;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::cli::reconcile::decimal::Decimal;
use crate::cli::reconcile::pages::model_of;
use crate::cli::reconcile::theirs::{Column, Family, Measure, Row, Theirs};

/// Reads one sheet, separated by commas, semicolons or tabs.
///
/// # Errors
/// A column that is missing, or a cell that cannot be what it should be, with its line.
pub(crate) fn read(file: &Path, text: &str, into: &mut Theirs<'_>) -> anyhow::Result<()> {
    let text = text.trim_start_matches('\u{feff}');
    let first = text.lines().next().unwrap_or_default();
    let often = |mark: &u8| first.bytes().filter(|byte| byte == mark).count();
    let delimiter = [b';', b'\t', b','].into_iter().max_by_key(often).unwrap_or(b',');
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(text.as_bytes());
    let name = file.display().to_string();
    let header: Vec<String> = reader.headers()?.iter().map(|cell| cell.trim().to_lowercase()).collect();
    let sheet = Sheet::of(&header, &name).map_err(|what| anyhow::anyhow!("`{name}`: {what}"))?;
    for record in reader.records() {
        let record = record.map_err(|error| anyhow::anyhow!("`{name}`: {error}"))?;
        let line = record.position().map_or(0, csv::Position::line);
        let wrong = |what: &str| anyhow::anyhow!("`{name}`, line {line}: {what}");
        let cells: Vec<&str> = record.iter().map(str::trim).collect();
        let (start, end) = sheet.time(&cells).map_err(|what| wrong(&what))?;
        into.bucket(start, end).map_err(wrong)?;
        let Some(numbers) = sheet.numbers(&cells).map_err(|what| wrong(&what))? else { continue };
        let cell = |at: Option<usize>| at.and_then(|at| cells.get(at)).filter(|text| !text.is_empty());
        let model = cell(sheet.model).map(|text| match sheet.family {
            Family::Costs => model_of(text).into(),
            _ => Box::from(*text),
        });
        let project = cell(sheet.project).map(|text| Box::from(*text));
        into.row(Row { family: sheet.family, start, end, model, project, numbers }, &cells.join("\t"))
            .map_err(wrong)?;
    }
    Ok(())
}

/// Which columns are used.
struct Sheet {
    family: Family,
    start: usize,
    end: Option<usize>,
    model: Option<usize>,
    project: Option<usize>,
    currency: Option<usize>,
    /// Measure, name and place.
    numbers: Vec<(Measure, String, usize)>,
}

impl Sheet {
    fn of(header: &[String], file: &str) -> Result<Self, String> {
        let find = |names: &[&str]| names.iter().find_map(|name| header.iter().position(|cell| cell == name));
        let family = family(&find, file);
        let Some(family) = family else {
            return Err(format!(
                "it has neither the column `input_tokens` of a usage export nor `amount_value` of a cost export; its \
                 columns are {}",
                header.join(", ")
            ));
        };
        let mut numbers = Vec::new();
        for (measure, needed, names) in family.columns() {
            match find(names) {
                Some(at) => numbers.push((*measure, header[at].clone(), at)),
                None if *needed => return Err(format!("it has no column `{}`", names[0])),
                None => {}
            }
        }
        let start = find(&["start_time", "start_time_iso", "date", "timestamp"]);
        Ok(Self {
            family,
            start: start.ok_or("it has no column `start_time`")?,
            end: find(&["end_time", "end_time_iso"]),
            model: if family == Family::Costs {
                find(&["line_item", "model"])
            } else {
                find(&["model", "snapshot_id"])
            },
            project: find(&["project_id"]),
            currency: find(&["amount_currency", "currency"]),
            numbers,
        })
    }

    /// The bucket of a row; a day where the sheet tells no end.
    fn time(&self, cells: &[&str]) -> Result<(Timestamp, Timestamp), String> {
        let at = |place: usize| instant(cells.get(place).copied().unwrap_or_default());
        let start = at(self.start)?;
        let end = match self.end {
            Some(place) => at(place)?,
            None => start.checked_add(SignedDuration::from_secs(1)).map_err(|_| "no such day".to_owned())?,
        };
        Ok((start, end))
    }

    /// The numbers of a row; `None` for a day of which it only says that there was nothing.
    fn numbers(&self, cells: &[&str]) -> Result<Option<Vec<(Measure, Decimal)>>, String> {
        let cell = |at: usize| cells.get(at).copied().unwrap_or_default();
        if self.numbers.iter().all(|(_, _, at)| cell(*at).is_empty()) {
            return Ok(None);
        }
        let currency = self.currency.map_or("usd", cell);
        if self.family == Family::Costs && !currency.eq_ignore_ascii_case("usd") {
            return Err(format!("the amount is in `{currency}`; books are in US dollars"));
        }
        let number = |(measure, name, at): &(Measure, String, usize)| {
            let text = if cell(*at).is_empty() { "0" } else { cell(*at) };
            let number = Decimal::parse(text).filter(|number| *measure == Measure::Cost || number.whole().is_some());
            number.map(|number| (*measure, number)).ok_or_else(|| format!("`{name}` is `{text}`, which is no number"))
        };
        self.numbers.iter().map(number).collect::<Result<Vec<_>, String>>().map(Some)
    }
}

/// What a sheet is about: it does not say so, but no two kinds have the same columns, or else not the same name.
fn family(find: &dyn Fn(&[&str]) -> Option<usize>, file: &str) -> Option<Family> {
    let told_by = |family: Family| {
        let own: &[Column] = family.columns();
        own.iter().all(|(measure, needed, names)| *measure == Measure::Requests || !needed || find(names).is_some())
    };
    let by_columns = [Family::Completions, Family::Images, Family::Speeches, Family::Transcriptions, Family::Costs];
    let by_columns = by_columns.into_iter().find(|family| told_by(*family));
    by_columns.or_else(|| {
        let by_name = if file.contains("moderation") { Family::Moderations } else { Family::Embeddings };
        told_by(by_name).then_some(by_name)
    })
}

/// Seconds since 1970, an instant, or a day of UTC.
fn instant(text: &str) -> Result<Timestamp, String> {
    let seconds = || Decimal::parse(text)?.whole().and_then(|whole| i64::try_from(whole).ok());
    let by_seconds = seconds().and_then(|seconds| Timestamp::from_second(seconds).ok());
    let by_day = || text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok().map(|day| day.timestamp());
    let found = by_seconds.or_else(|| text.parse().ok()).or_else(by_day);
    found.ok_or_else(|| format!("`{text}` is neither seconds since 1970 nor a day such as `2026-11-22`"))
}
