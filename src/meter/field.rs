//! The members of a document that are remembered, by their keys.

/// A member that is remembered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Field {
    /// `background`
    Background,
    /// `code`
    Code,
    /// `container_id`
    Container,
    /// `duration`
    Duration,
    /// `error`
    Error,
    /// `id`
    Id,
    /// `type`
    Kind,
    /// `model`
    Model,
    /// `object`
    Object,
    /// `quality`
    Quality,
    /// `seconds`
    Seconds,
    /// `size`
    Size,
    /// `status`
    Status,
    /// `service_tier`
    Tier,
    /// `tool_usage`
    Tools,
    /// `trained_tokens`
    Trained,
    /// `usage`
    Usage,
}

/// All of them with their keys.
pub(super) const FIELDS: [(&[u8], Field); 17] = [
    (b"background", Field::Background),
    (b"code", Field::Code),
    (b"container_id", Field::Container),
    (b"duration", Field::Duration),
    (b"error", Field::Error),
    (b"id", Field::Id),
    (b"type", Field::Kind),
    (b"model", Field::Model),
    (b"object", Field::Object),
    (b"quality", Field::Quality),
    (b"seconds", Field::Seconds),
    (b"size", Field::Size),
    (b"status", Field::Status),
    (b"service_tier", Field::Tier),
    (b"tool_usage", Field::Tools),
    (b"trained_tokens", Field::Trained),
    (b"usage", Field::Usage),
];
