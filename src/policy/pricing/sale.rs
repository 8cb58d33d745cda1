//! What is known of an attempt that is to be priced, and what it costs.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::value::RawValue;

use crate::dialect::endpoint::{Dialect, Endpoint, Job, Socket};
use crate::policy::pricing::card::Terms;
use crate::policy::pricing::rate::Price;
use crate::units::{Cost, Usage};

/// What one attempt used, and under which names and terms it may be priced.
#[derive(Clone, Copy, Debug)]
pub struct Sale<'a> {
    /// Price of the custom model's own line; wins over every table.
    pub own: Option<&'a Price>,
    /// The base model that the owner configured for a deployment.
    pub base_model: Option<&'a str>,
    /// The model that the reply names.
    pub served: Option<&'a str>,
    /// The model that the client asked for.
    pub asked: Option<&'a str>,
    /// Where Azure served it: the deployment that was asked. Its name says nothing about the model behind it.
    pub deployment: Option<&'a str>,
    /// The operation.
    pub endpoint: &'a Endpoint,
    /// The service tier that the reply names.
    pub tier: Option<&'a str>,
    /// The region that served it; `None` is the global service.
    pub region: Option<&'a str>,
    /// The size of what was made, such as `1024x1536` or `720p`.
    pub size: Option<&'a str>,
    /// The quality of what was made, such as `low`.
    pub quality: Option<&'a str>,
    /// When it began: prices change.
    pub time: Timestamp,
    /// What was used.
    pub usage: &'a Usage,
}

impl Sale<'_> {
    /// The names that may be priced, in the order in which they are believed.
    pub(crate) fn names(&self) -> (Option<&str>, [Option<&str>; 2]) {
        // Azure's replies name the model, but those of its Responses the deployment, which may bear any name.
        let echoes = self.deployment.is_some() && self.served == self.deployment && self.is_responses();
        let served = self.served.filter(|_| !echoes);
        let asked = self.asked.filter(|_| self.deployment.is_none());
        (self.base_model, [served, asked])
    }

    /// Under which of a model's prices it falls.
    pub(crate) fn terms(&self) -> Terms<'_> {
        Terms {
            tier: self.tier,
            batch: *self.endpoint == Endpoint::Job(Job::Batch),
            decisions: self.endpoint.name().ends_with("/decisions"),
            // Azure's regions have names of their own in a table, and no uplift.
            region: self.region.filter(|_| self.deployment.is_none()),
        }
    }

    /// Whether what comes out is sound, also where the usage does not say so.
    pub(crate) fn is_spoken(&self) -> bool {
        *self.endpoint == Endpoint::Call(Dialect::Speech)
    }

    fn is_responses(&self) -> bool {
        matches!(
            self.endpoint,
            Endpoint::Call(Dialect::Responses) | Endpoint::Job(Job::Response) | Endpoint::Socket(Socket::Responses)
        )
    }
}

/// What a model costs, whatever will be used.
#[derive(Clone, Debug)]
pub struct Quote {
    /// `tokenPricing`, or `table:model`.
    pub source: Arc<str>,
    /// The rates of each tariff, as the books keep them; the usual one first.
    pub tariffs: Vec<Arc<RawValue>>,
}

/// An exact cost, and how it came about.
#[derive(Clone, Debug)]
pub struct Priced {
    /// The cost.
    pub cost: Cost,
    /// `tokenPricing`, or `table:model` with the name of the model found in the table.
    pub source: Arc<str>,
    /// The rates that it was reckoned with, as JSON; shared by all calls of one tariff.
    pub rates: Option<Arc<RawValue>>,
}
