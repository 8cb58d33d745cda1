//! The counts of the books as one message of metrics, all of them sums since the start.

use jiff::Timestamp;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

use crate::ledger::measures::{Labels, Measure, Points, nearest_dollars};
use crate::ledger::spread::{Scale, Spread};
use crate::otlp::attributes::{Attributes, SCHEMA, scope};
use crate::otlp::spans::nanos;
use crate::units::Cost;

/// The period that all numbers are sums over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Period {
    /// When the books were opened.
    pub(crate) since: Timestamp,
    /// Now.
    pub(crate) until: Timestamp,
}

/// The request that carries them.
pub(crate) fn request(resource: Resource, measures: Vec<Measure>, period: Period) -> ExportMetricsServiceRequest {
    let some = measures.into_iter().filter(|measure| !measure.points.is_empty());
    let metrics = some.map(|measure| metric(measure, period)).collect();
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope()), metrics, schema_url: SCHEMA.into() }];
    let all = ResourceMetrics { resource: Some(resource), scope_metrics, schema_url: SCHEMA.into() };
    ExportMetricsServiceRequest { resource_metrics: vec![all] }
}

fn metric(measure: Measure, period: Period) -> Metric {
    let Measure { name, unit, help, points } = measure;
    let data = match points {
        Points::Counts(points) => sum(counted(points, period)),
        Points::Money(points) => sum(priced(points, period)),
        Points::Levels(points) => Data::Gauge(Gauge { data_points: counted(points, period) }),
        Points::Amounts(points) => Data::Gauge(Gauge { data_points: priced(points, period) }),
        Points::Spreads(scale, points) => Data::Histogram(Histogram {
            data_points: points.into_iter().map(|(labels, point)| spread(labels, scale, &point, period)).collect(),
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
        }),
    };
    Metric { name: name.into(), description: help.into(), unit: unit.into(), data: Some(data), ..Metric::default() }
}

fn counted(points: Vec<(Labels, u64)>, period: Period) -> Vec<NumberDataPoint> {
    let value = |count| Value::AsInt(i64::try_from(count).unwrap_or(i64::MAX));
    points.into_iter().map(|(labels, count)| number(labels, value(count), period)).collect()
}

fn priced(points: Vec<(Labels, Cost)>, period: Period) -> Vec<NumberDataPoint> {
    let value = |cost| Value::AsDouble(nearest_dollars(cost));
    points.into_iter().map(|(labels, cost)| number(labels, value(cost), period)).collect()
}

fn sum(data_points: Vec<NumberDataPoint>) -> Data {
    let cumulative = AggregationTemporality::Cumulative.into();
    Data::Sum(Sum { data_points, aggregation_temporality: cumulative, is_monotonic: true })
}

fn number(labels: Labels, value: Value, period: Period) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: nanos(period.since),
        time_unix_nano: nanos(period.until),
        value: Some(value),
        ..NumberDataPoint::default()
    }
}

fn spread(labels: Labels, scale: &Scale, point: &Spread, period: Period) -> HistogramDataPoint {
    HistogramDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: nanos(period.since),
        time_unix_nano: nanos(period.until),
        count: point.count(),
        sum: Some(scale.shown(point.sum)),
        bucket_counts: point.between(scale).to_vec(),
        explicit_bounds: scale.bounds.iter().map(|bound| scale.shown(*bound)).collect(),
        ..HistogramDataPoint::default()
    }
}

fn attributes(labels: Labels) -> Vec<KeyValue> {
    let mut all = Attributes::default();
    labels.into_iter().for_each(|(name, value)| all.text(name, value));
    all.done()
}
