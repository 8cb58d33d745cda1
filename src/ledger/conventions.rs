//! The names of OpenTelemetry's conventions for generative AI, schema 1.42.
//!
//! They are written down here because the crate with all names has these as deprecated: they are to move to another
//! one, which is not there yet.

/// Which operation: `chat`, `embeddings`, ...
pub const OPERATION: &str = "gen_ai.operation.name";
/// Who answers: `openai`, `azure.ai.openai`.
pub const PROVIDER: &str = "gen_ai.provider.name";
/// The model that was asked for.
pub const REQUEST_MODEL: &str = "gen_ai.request.model";
/// The model that answered.
pub const RESPONSE_MODEL: &str = "gen_ai.response.model";
/// The upstream's id of the reply.
pub const RESPONSE_ID: &str = "gen_ai.response.id";
/// `input` or `output`.
pub const TOKEN_TYPE: &str = "gen_ai.token.type";
/// All input tokens.
pub const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
/// All output tokens.
pub const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
/// Input tokens from the cache.
pub const CACHE_READ_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
/// Input tokens written to the cache.
pub const CACHE_WRITE_TOKENS: &str = "gen_ai.usage.cache_creation.input_tokens";
/// Output tokens spent on reasoning.
pub const REASONING_TOKENS: &str = "gen_ai.usage.reasoning.output_tokens";
/// Whether a stream was asked for.
pub const REQUEST_STREAM: &str = "gen_ai.request.stream";
/// Seconds to the first piece of a stream.
pub const TIME_TO_FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";
/// The service tier that was asked for.
pub const REQUEST_TIER: &str = "openai.request.service_tier";
/// The service tier that the reply names.
pub const RESPONSE_TIER: &str = "openai.response.service_tier";
/// What went wrong.
pub const ERROR_TYPE: &str = "error.type";
/// The host that was called.
pub const SERVER_ADDRESS: &str = "server.address";
/// The status of the reply.
pub const HTTP_STATUS: &str = "http.response.status_code";

/// Tokens of each call.
pub const TOKEN_USAGE: &str = "gen_ai.client.token.usage";
/// Duration of each call.
pub const OPERATION_DURATION: &str = "gen_ai.client.operation.duration";
/// Time to the first piece of each stream.
pub const OPERATION_TIME_TO_FIRST_CHUNK: &str = "gen_ai.client.operation.time_to_first_chunk";
/// The same, as the conventions name it for a server.
pub const SERVER_TIME_TO_FIRST_TOKEN: &str = "gen_ai.server.time_to_first_token";

#[cfg(test)]
mod tests {
    use opentelemetry_semantic_conventions::{attribute, metric};

    use super::*;

    #[test]
    #[expect(deprecated, reason = "the crate's own names are what is compared with")]
    fn the_names_are_those_of_the_crate_of_names() {
        for (ours, theirs) in [
            (OPERATION, attribute::GEN_AI_OPERATION_NAME),
            (PROVIDER, attribute::GEN_AI_PROVIDER_NAME),
            (REQUEST_MODEL, attribute::GEN_AI_REQUEST_MODEL),
            (RESPONSE_MODEL, attribute::GEN_AI_RESPONSE_MODEL),
            (RESPONSE_ID, attribute::GEN_AI_RESPONSE_ID),
            (TOKEN_TYPE, attribute::GEN_AI_TOKEN_TYPE),
            (INPUT_TOKENS, attribute::GEN_AI_USAGE_INPUT_TOKENS),
            (OUTPUT_TOKENS, attribute::GEN_AI_USAGE_OUTPUT_TOKENS),
            (CACHE_READ_TOKENS, attribute::GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS),
            (CACHE_WRITE_TOKENS, attribute::GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS),
            (REASONING_TOKENS, attribute::GEN_AI_USAGE_REASONING_OUTPUT_TOKENS),
            (REQUEST_STREAM, attribute::GEN_AI_REQUEST_STREAM),
            (TIME_TO_FIRST_CHUNK, attribute::GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK),
            (REQUEST_TIER, attribute::OPENAI_REQUEST_SERVICE_TIER),
            (RESPONSE_TIER, attribute::OPENAI_RESPONSE_SERVICE_TIER),
            (ERROR_TYPE, attribute::ERROR_TYPE),
            (SERVER_ADDRESS, attribute::SERVER_ADDRESS),
            (HTTP_STATUS, attribute::HTTP_RESPONSE_STATUS_CODE),
            (TOKEN_USAGE, metric::GEN_AI_CLIENT_TOKEN_USAGE),
            (OPERATION_DURATION, metric::GEN_AI_CLIENT_OPERATION_DURATION),
            (OPERATION_TIME_TO_FIRST_CHUNK, metric::GEN_AI_CLIENT_OPERATION_TIME_TO_FIRST_CHUNK),
            (SERVER_TIME_TO_FIRST_TOKEN, metric::GEN_AI_SERVER_TIME_TO_FIRST_TOKEN),
        ] {
            assert_eq!(ours, theirs);
        }
    }
}
