//! `pricing`: further price tables, and what becomes of calls without a price.

use crate::config::field::{Field, Fields, shown};
use crate::config::files::read_text;
use crate::policy::Unpriced;
use crate::policy::pricing::PriceBook;

/// The section.
#[derive(Debug, Default)]
pub(super) struct Pricing {
    /// What becomes of calls without a price.
    pub(super) unpriced: Unpriced,
    /// The owner's tables in the order of the text: a later one is laid over those before.
    pub(super) tables: Vec<PriceBook>,
    /// What they are called, in the same order.
    pub(super) files: Vec<PriceFile>,
}

/// One of the owner's tables.
#[derive(Clone, Debug)]
pub struct PriceFile {
    /// As it is written.
    pub name: String,
    /// How many models it prices.
    pub models: usize,
}

impl Pricing {
    /// Reads the section and the files that it names.
    pub(super) fn read(top: &Fields<'_>) -> Self {
        let mut pricing = Self::default();
        let Some(fields) = top.find("pricing").and_then(|field| field.fields(&["files", "unknown"])) else {
            return pricing;
        };
        let words = [("unpriced", Unpriced::Book), ("refuse", Unpriced::Refuse)];
        pricing.unpriced = fields.find("unknown").and_then(|field| field.one_of(&words)).unwrap_or_default();
        for field in fields.find("files").map(|field| field.items()).unwrap_or_default() {
            let Some((file, table)) = read_file(&field) else { continue };
            pricing.files.push(file);
            pricing.tables.push(table);
        }
        pricing
    }
}

fn read_file(field: &Field<'_>) -> Option<(PriceFile, PriceBook)> {
    let name = field.filled_text()?;
    let text = match read_text(&field.resolve(name), LARGEST) {
        Ok(text) => text,
        Err(error) => {
            field.wrong(format!("names `{}`, which cannot be read: {error}", shown(name)));
            return None;
        }
    };
    // The books show the name of the file alone: entries are small, and folders say nothing about prices.
    let table = name.rsplit(['/', '\\']).next().unwrap_or(name);
    match PriceBook::parse(&text, table) {
        Ok((book, flaws)) => {
            for flaw in flaws {
                field.warn(&format!("names `{}`, in which {flaw}; it is not priced by it", shown(name)));
            }
            Some((PriceFile { name: name.into(), models: book.len() }, book))
        }
        Err(error) => {
            field.wrong_hint(&format!("names `{}`, {}", shown(name), error.what()), FORMS);
            None
        }
    }
}

/// Bytes of a price table; the largest public one is a tenth of it.
const LARGEST: u64 = 32 << 20;

const FORMS: &str = "LiteLLM's price map, genai-prices' data.json of version 2, or a table like config/prices.json5";
