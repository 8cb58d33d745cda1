//! The models of one price table, found by the names that calls give them.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use jiff::Timestamp;

use crate::policy::pricing::card::Card;
use crate::policy::pricing::dates::When;
use crate::policy::pricing::matching::Providers;
use crate::policy::pricing::names::Form;
use crate::policy::pricing::sale::Sale;

/// One table.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) models: Models,
}

/// How models are found in it.
#[derive(Debug)]
pub(crate) enum Models {
    /// By exact names.
    Named(HashMap<Arc<str>, Arc<Listing>, RandomState>),
    /// By clauses of several providers.
    Matched(Providers),
}

/// Prices of one model by when they hold.
pub(crate) type Dated = Vec<(Option<When>, Arc<Card>)>;

/// One model with the name that the books show.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) source: Arc<str>,
    /// The last whose time has come counts, else the first.
    pub(crate) dated: Dated,
}

impl Listing {
    /// Prices of this moment.
    pub(crate) fn at(&self, time: Timestamp) -> Option<&Card> {
        if let [(_, only)] = &*self.dated {
            return Some(only);
        }
        let in_force = self.dated.iter().rev().find(|(when, _)| when.as_ref().is_none_or(|when| when.has_come(time)));
        in_force.or(self.dated.first()).map(|(_, card)| &**card)
    }
}

impl Table {
    /// The owner's word first, then the reply's and the client's, each next form only when the closer ones failed.
    pub(crate) fn listing(&self, sale: &Sale<'_>) -> Option<&Listing> {
        let (base_model, others) = sale.names();
        let place = match sale.deployment {
            None => Place::Anywhere,
            Some(_) => Place::Azure(sale.region),
        };
        let find = |form: Form, name: &str| self.find(place, form, name);
        let owners = || Form::ALL.into_iter().find_map(|form| find(form, base_model?));
        let told = || Form::ALL.into_iter().find_map(|form| others.iter().flatten().find_map(|name| find(form, name)));
        owners().or_else(told)
    }

    /// How many models it prices.
    pub(crate) fn len(&self) -> usize {
        match &self.models {
            Models::Named(models) => models.len(),
            Models::Matched(providers) => providers.len(),
        }
    }

    fn find(&self, place: Place<'_>, form: Form, name: &str) -> Option<&Listing> {
        form.of(name).into_iter().flatten().find_map(|name| match &self.models {
            Models::Named(models) => place.keys(&name, |key| models.get(key)).map(Arc::as_ref),
            Models::Matched(providers) => providers.find(&name, matches!(place, Place::Azure(_))),
        })
    }
}

/// Who serves the model, as far as prices differ by it.
#[derive(Clone, Copy, Debug)]
enum Place<'a> {
    Anywhere,
    /// With the region that served, if it is known.
    Azure(Option<&'a str>),
}

impl Place<'_> {
    /// What `get` finds under the first key that it knows: Azure's own prices come before those of OpenAI.
    fn keys<T>(self, name: &str, get: impl Fn(&str) -> Option<T>) -> Option<T> {
        let Self::Azure(region) = self else { return get(name) };
        let in_region = || get(&format!("azure/{}/{name}", region?));
        in_region().or_else(|| get(&format!("azure/{name}"))).or_else(|| get(name))
    }
}
