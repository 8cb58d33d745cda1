//! What shall go wrong in one exchange, and the words that ask for it.

use std::time::Duration;

use super::coding::Coding;

/// The deviations of one exchange; none by default.
///
/// Written as words parted by commas: `status=429`, `cut-after=2, gzip`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Fault {
    /// `status=N`: an error in OpenAI's shape; 429 carries `retry-after`.
    pub status: Option<u16>,
    /// `html-error`: a page of the network in front, not JSON (502 unless `status` says otherwise).
    pub html_error: bool,
    /// `cut-after=N`: the connection is reset after N pieces of the body.
    pub cut_after: Option<usize>,
    /// `reset-stream=N`: after N pieces the reply breaks off; with HTTP/2 only this stream.
    pub reset_stream: Option<usize>,
    /// `error-after=N`: after N pieces an error frame, then the end.
    pub error_after: Option<usize>,
    /// `cut-head`: closes before the head of the reply.
    pub cut_head: bool,
    /// `short-body`: a content-length longer than the body.
    pub short_body: bool,
    /// `stall`: no answer until everything is released.
    pub stall: bool,
    /// `pace=MS`: waits before each piece.
    pub pace: Option<Duration>,
    /// `gzip`, `br` or `zstd`: compresses, where the request accepts it.
    pub coding: Option<Coding>,
    /// `insist`: compresses also where the request does not accept it.
    pub insist: bool,
    /// `redirect=URL`: 307 to there.
    pub redirect: Option<String>,
    /// `crlf`: lines of a stream end in CRLF.
    pub crlf: bool,
    /// `no-usage`: the reply does not say what it counted.
    pub no_usage: bool,
    /// `under-way`: what is shown once more has not come to its end yet.
    pub under_way: bool,
    /// `hell=N`: the reply's usage is the Nth of [`HELL`].
    pub hell: Option<usize>,
    /// `early-answer`: answers (413 unless `status` says otherwise) before reading the body.
    pub early_answer: bool,
    /// `close`: `connection: close` with HTTP/1.
    pub close: bool,
    /// `goaway`: the connection takes no further requests; GOAWAY with HTTP/2.
    pub goaway: bool,
    /// `echo-key`: an error (401 unless `status` says otherwise) that shows the key it got, plain and escaped, cut
    /// in the middle, and in a header.
    pub echo_key: bool,
    /// `chunked`: a whole reply without a content-length.
    pub chunked: bool,
    /// `no-switch`: a request for a WebSocket is answered with 200.
    pub no_switch: bool,
    /// `tokens`: counts with the model's own tokenizer and OpenAI's rule for prompts; else a word is a token.
    pub tokens: bool,
    /// `input=N`, `cached=N`, `output=N`, `reasoning=N`: the counts to report and charge.
    pub counts: Counts,
}

/// Token counts that replace those of the text.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Input tokens.
    pub input: Option<u64>,
    /// Cached input tokens.
    pub cached: Option<u64>,
    /// Output tokens.
    pub output: Option<u64>,
    /// Reasoning tokens.
    pub reasoning: Option<u64>,
}

impl Fault {
    /// Reads the words; the error names the one that is not known.
    pub fn parse(words: &str) -> Result<Self, String> {
        let mut fault = Self::default();
        for word in words.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            fault.add(word).ok_or_else(|| format!("unknown fault `{word}`"))?;
        }
        Ok(fault)
    }

    fn add(&mut self, word: &str) -> Option<()> {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        match name {
            "status" => self.status = Some(value.parse().ok()?),
            "html-error" => self.html_error = true,
            "cut-after" => self.cut_after = Some(value.parse().ok()?),
            "reset-stream" => self.reset_stream = Some(value.parse().ok()?),
            "error-after" => self.error_after = Some(value.parse().ok()?),
            "cut-head" => self.cut_head = true,
            "short-body" => self.short_body = true,
            "stall" => self.stall = true,
            "pace" => self.pace = Some(Duration::from_millis(value.parse().ok()?)),
            "insist" => self.insist = true,
            "redirect" => self.redirect = Some(value.to_owned()),
            "crlf" => self.crlf = true,
            "no-usage" => self.no_usage = true,
            "under-way" => self.under_way = true,
            "hell" => self.hell = Some(value.parse().ok()?),
            "early-answer" => self.early_answer = true,
            "close" => self.close = true,
            "goaway" => self.goaway = true,
            "echo-key" => self.echo_key = true,
            "chunked" => self.chunked = true,
            "no-switch" => self.no_switch = true,
            "tokens" => self.tokens = true,
            "input" => self.counts.input = Some(value.parse().ok()?),
            "cached" => self.counts.cached = Some(value.parse().ok()?),
            "output" => self.counts.output = Some(value.parse().ok()?),
            "reasoning" => self.counts.reasoning = Some(value.parse().ok()?),
            other => self.coding = Some(Coding::named(other)?),
        }
        Some(())
    }
}

/// Usage objects that no meter should believe.
pub const HELL: [&str; 9] = [
    r#"{"prompt_tokens":-5,"completion_tokens":7,"input_tokens":-5,"output_tokens":7}"#,
    r#"{"prompt_tokens":1.5,"completion_tokens":7,"input_tokens":1.5,"output_tokens":7}"#,
    r#"{"prompt_tokens":"5","completion_tokens":7,"input_tokens":"5","output_tokens":7}"#,
    r#"{"prompt_tokens":9223372036854775808,"input_tokens":9223372036854775808}"#,
    r#"{"prompt_tokens":1e400,"input_tokens":1e400}"#,
    r#"{"prompt_tokens":5,"prompt_tokens":6,"input_tokens":5,"input_tokens":6}"#,
    r#"{"prompt_tokens":5,"prompt_tokens_details":{"cached_tokens":-1},"input_tokens":5,"input_tokens_details":{"cached_tokens":-1}}"#,
    r#"{"prompt_tokens":[[[[[[[[7]]]]]]]],"input_tokens":[[[[[[[[7]]]]]]]]}"#,
    r#""many""#,
];
