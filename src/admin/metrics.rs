//! `/metrics`: the counts of the books in the text that Prometheus reads.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::header::ACCEPT;
use http::{HeaderMap, StatusCode};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::admin::answer::{of_type, refusal};
use crate::admin::surface::Surface;
use crate::ledger::measures::{Labels, Measure, Points, nearest_dollars};
use crate::ledger::spread::{Scale, Spread};

/// The counts: as OpenMetrics where the reader asks for it, else in Prometheus' own older form.
pub(crate) async fn metrics(State(surface): State<Arc<Surface>>, headers: HeaderMap) -> Response {
    let Ok(text) = written(surface.ledger.measures(&surface.policy.now())) else {
        return refusal(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written");
    };
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    if accepted.into_iter().any(|accepted| accepted.contains("application/openmetrics-text")) {
        return of_type("application/openmetrics-text; version=1.0.0; charset=utf-8", text);
    }
    of_type("text/plain; version=0.0.4; charset=utf-8", older(&text))
}

/// The text in OpenMetrics.
fn written(measures: Vec<Measure>) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(All(measures)));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// The same in the older form, in which a counter is called as its numbers are, and nothing but comments is new.
fn older(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let counter = |line| str::strip_prefix(line, "# TYPE ").and_then(|rest| rest.strip_suffix(" counter"));
    let counters: HashSet<&str> = text.lines().filter_map(counter).collect();
    for line in text.lines().filter(|line| !line.starts_with("# UNIT ") && *line != "# EOF") {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(what), Some(name), Some(rest)) if counters.contains(name) => {
                out.push_str(&format!("# {what} {name}_total {rest}"));
            }
            _ => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

/// Everything that is measured, at one moment.
#[derive(Debug)]
struct All(Vec<Measure>);

impl Collector for All {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for measure in self.0.iter().filter(|measure| !measure.points.is_empty()) {
            let name = spelled(measure.name);
            let unit = unit(measure.unit);
            let kind = match &measure.points {
                Points::Counts(_) | Points::Money(_) => MetricType::Counter,
                Points::Levels(_) | Points::Amounts(_) => MetricType::Gauge,
                Points::Spreads(..) => MetricType::Histogram,
            };
            let mut family = encoder.encode_descriptor(&name, measure.help, unit.as_ref(), kind)?;
            match &measure.points {
                Points::Counts(points) => each(&mut family, points, |to, count| ConstCounter::new(*count).encode(to))?,
                Points::Money(points) => {
                    each(&mut family, points, |to, cost| ConstCounter::new(nearest_dollars(*cost)).encode(to))?;
                }
                Points::Levels(points) => each(&mut family, points, |to, level| ConstGauge::new(*level).encode(to))?,
                Points::Amounts(points) => {
                    each(&mut family, points, |to, cost| ConstGauge::new(nearest_dollars(*cost)).encode(to))?;
                }
                Points::Spreads(scale, points) => each(&mut family, points, |to, point| spread(to, scale, point))?,
            }
        }
        Ok(())
    }
}

/// Writes each point with its labels.
fn each<T>(
    family: &mut MetricEncoder<'_>,
    points: &[(Labels, T)],
    write: impl Fn(MetricEncoder<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (labels, point) in points {
        let labels: Vec<(String, &str)> = labels.iter().map(|(name, value)| (spelled(name), &**value)).collect();
        write(family.encode_family(&labels)?, point)?;
    }
    Ok(())
}

fn spread(mut to: MetricEncoder<'_>, scale: &Scale, point: &Spread) -> fmt::Result {
    let bounds = scale.bounds.iter().map(|bound| scale.shown(*bound)).chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(point.between(scale).iter().copied()).collect();
    to.encode_histogram::<NoLabelSet>(scale.shown(point.sum), point.count(), &buckets, None)
}

/// A name of OpenTelemetry's as Prometheus spells it.
fn spelled(name: &str) -> String {
    name.replace('.', "_")
}

/// The unit that is part of a name; what stands in braces only says what is counted.
fn unit(unit: &str) -> Option<Unit> {
    match unit {
        "s" => Some(Unit::Seconds),
        "By" => Some(Unit::Bytes),
        "USD" => Some(Unit::Other("usd".into())),
        _ => None,
    }
}
