//! Which operation a path below `/v1` stands for.

use http::Method;

use super::endpoint::{Dialect, Job, Opening};

/// The call that is posted to this path.
pub fn dialect(below: &str) -> Option<Dialect> {
    if let Some(found) = Dialect::ALL.into_iter().find(|dialect| dialect.path() == below) {
        return Some(found);
    }
    match segments(below)[..] {
        ["videos", "edits"] | ["videos", _, "remix"] => Some(Dialect::Video),
        _ => None,
    }
}

/// What a request to this path makes, shows or ends, and lists of such things.
///
/// Steps of a run repeat parts of its usage, events of a training have none, and what is deleted tells nothing: these
/// are none of it.
pub fn job(method: &Method, below: &str) -> Option<Job> {
    let posted = *method == Method::POST;
    if !posted && *method != Method::GET {
        return None;
    }
    match segments(below)[..] {
        ["batches"] => Some(Job::Batch),
        ["batches", _] if !posted => Some(Job::Batch),
        ["batches", _, "cancel"] if posted => Some(Job::Batch),
        ["fine_tuning", "jobs"] => Some(Job::FineTuning),
        ["fine_tuning", "jobs", _] if !posted => Some(Job::FineTuning),
        ["fine_tuning", "jobs", _, "cancel" | "pause" | "resume"] if posted => Some(Job::FineTuning),
        ["responses", _] if !posted => Some(Job::Response),
        ["responses", _, "cancel"] if posted => Some(Job::Response),
        ["threads", "runs"] if posted => Some(Job::Run),
        ["threads", _, "runs"] | ["threads", _, "runs", _] => Some(Job::Run),
        ["threads", _, "runs", _, "cancel" | "submit_tool_outputs"] if posted => Some(Job::Run),
        ["videos"] if !posted => Some(Job::Video),
        ["videos", _] if !posted => Some(Job::Video),
        _ => None,
    }
}

/// Whether a request to the path of a [`Job`] begins one, or lets it go on, whose usage is told later.
pub fn begins(method: &Method, path: &str) -> bool {
    let last = segments(path).pop().unwrap_or_default();
    *method == Method::POST && ["batches", "jobs", "runs", "submit_tool_outputs"].contains(&last)
}

/// What leads to a realtime conversation.
pub fn opening(below: &str) -> Option<Opening> {
    match segments(below)[..] {
        ["realtime", "calls"] | ["realtime", "calls", _, "accept" | "refer" | "reject" | "hangup"] => {
            Some(Opening::Call)
        }
        ["realtime", "client_secrets"] => Some(Opening::Secret),
        ["realtime", "sessions" | "transcription_sessions"] => Some(Opening::Session),
        _ => None,
    }
}

/// The parts of a path; none of those that matter here has an escape in it.
fn segments(path: &str) -> Vec<&str> {
    path.trim_matches('/').split('/').collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::endpoint::Endpoint;

    fn of(method: &str, path: &str) -> Endpoint {
        Endpoint::recognise(&method.parse().unwrap(), path)
    }

    #[test]
    fn every_post_that_costs_money_is_recognised() {
        for dialect in Dialect::ALL {
            assert_eq!(of("POST", &format!("/v1{}", dialect.path())), Endpoint::Call(dialect));
            assert_eq!(of("POST", &format!("/v1{}/", dialect.path())), Endpoint::Call(dialect));
        }
        for path in ["/v1/videos/edits", "/v1/videos/video_1/remix"] {
            assert_eq!(of("POST", path), Endpoint::Call(Dialect::Video), "{path}");
        }
        for (path, job) in [
            ("/v1/batches", Job::Batch),
            ("/v1/fine_tuning/jobs", Job::FineTuning),
            ("/v1/threads/runs", Job::Run),
            ("/v1/threads/thread_1/runs", Job::Run),
            ("/v1/threads/thread_1/runs/run_1/submit_tool_outputs", Job::Run),
        ] {
            assert_eq!(of("POST", path), Endpoint::Job(job), "{path}");
            assert!(begins(&Method::POST, path), "{path}");
            assert!(!begins(&Method::GET, path), "{path}");
        }
    }

    #[test]
    fn what_an_earlier_call_began_is_recognised_where_its_usage_can_show() {
        for (method, path, job) in [
            ("GET", "/v1/responses/resp_1", Job::Response),
            ("POST", "/v1/responses/resp_1/cancel", Job::Response),
            ("GET", "/v1/batches", Job::Batch),
            ("GET", "/v1/batches/batch_1", Job::Batch),
            ("POST", "/v1/batches/batch_1/cancel", Job::Batch),
            ("GET", "/v1/fine_tuning/jobs", Job::FineTuning),
            ("GET", "/v1/fine_tuning/jobs/ftjob-1", Job::FineTuning),
            ("POST", "/v1/fine_tuning/jobs/ftjob-1/cancel", Job::FineTuning),
            ("GET", "/v1/threads/thread_1/runs", Job::Run),
            ("GET", "/v1/threads/thread_1/runs/run_1", Job::Run),
            ("POST", "/v1/threads/thread_1/runs/run_1/cancel", Job::Run),
            ("GET", "/v1/videos", Job::Video),
            ("GET", "/v1/videos/video_1", Job::Video),
        ] {
            assert_eq!(of(method, path), Endpoint::Job(job), "{method} {path}");
            assert!(!begins(&method.parse().unwrap(), path), "{method} {path}");
        }
    }

    #[test]
    fn what_repeats_the_usage_of_others_is_never_metered() {
        for (method, path) in [
            ("GET", "/v1/chat/completions"),
            ("GET", "/v1/chat/completions/chatcmpl-1"),
            ("POST", "/v1/chat/completions/chatcmpl-1"),
            ("GET", "/v1/responses/resp_1/input_items"),
            ("DELETE", "/v1/responses/resp_1"),
            ("GET", "/v1/responses"),
            ("GET", "/v1/threads/thread_1/runs/run_1/steps"),
            ("GET", "/v1/threads/thread_1/runs/run_1/steps/step_1"),
            ("GET", "/v1/fine_tuning/jobs/ftjob-1/events"),
            ("GET", "/v1/videos/video_1/content"),
            ("GET", "/v1/evals/eval_1/runs"),
            ("GET", "/v1/organization/usage/completions"),
            ("GET", "/v1/organization/costs"),
            ("POST", "/v1/files"),
            ("PUT", "/v1/batches/batch_1"),
        ] {
            assert_eq!(of(method, path), Endpoint::Other, "{method} {path}");
        }
    }

    #[test]
    fn the_ways_to_a_realtime_conversation_are_no_calls() {
        for (path, opening) in [
            ("/v1/realtime/calls", Opening::Call),
            ("/v1/realtime/calls/rtc_1/accept", Opening::Call),
            ("/v1/realtime/client_secrets", Opening::Secret),
            ("/v1/realtime/sessions", Opening::Session),
            ("/v1/realtime/transcription_sessions", Opening::Session),
        ] {
            assert_eq!(of("POST", path), Endpoint::Opening(opening), "{path}");
            assert_eq!(of("GET", path), Endpoint::Other, "{path}");
        }
    }
}
