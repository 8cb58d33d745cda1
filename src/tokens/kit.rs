//! What is known about a custom model at one moment.

use std::sync::Arc;

use super::tokenizer::Tokenizer;
use crate::dialect::template::Template;

/// What is known about a custom model at one moment; a snapshot for one call.
#[derive(Clone, Debug, Default)]
pub struct Kit {
    /// Its tokenizer; `None` while it is not there.
    pub tokenizer: Option<Arc<Tokenizer>>,
    /// Its chat template; `None` where it has none or while it is not there.
    pub template: Option<Arc<Template>>,
    /// The most tokens that prompt and answer may have together.
    pub length: Option<u64>,
    /// Where the tokenizer comes from, fit to be shown.
    pub tokenizer_from: Option<Arc<str>>,
    /// Where the template comes from.
    pub template_from: Option<Arc<str>>,
    /// Where the length comes from.
    pub length_from: Option<Arc<str>>,
    /// Why something is missing, fit to be shown; `None` where everything is there.
    pub missing: Option<Arc<str>>,
}
