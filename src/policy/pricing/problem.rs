//! Why a price table cannot be used.

/// Why a price table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PriceError {
    /// A price is not a plain decimal of dollars with at most nine places.
    #[error("price table `{table}`: `{text}` for `{model}` is not a plain decimal price")]
    Decimal {
        /// The table.
        table: Box<str>,
        /// The model.
        model: Box<str>,
        /// What stands there.
        text: Box<str>,
    },
    /// The file is no such table.
    #[error("price table `{table}`: {problem}")]
    Shape {
        /// The table.
        table: Box<str>,
        /// What the reader says, with line and column.
        problem: Box<str>,
    },
}

impl PriceError {
    /// What is wrong, for a place that names the table itself.
    pub fn what(&self) -> String {
        match self {
            Self::Decimal { model, text, .. } => format!("where `{text}` for `{model}` is not a plain decimal price"),
            Self::Shape { problem, .. } => format!("which is no price table: {problem}"),
        }
    }
}
