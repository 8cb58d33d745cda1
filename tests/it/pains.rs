//! What users of other gateways complain of most, each with the tests that hold this one to the opposite.

use std::fs;
use std::path::Path;

/// The complaint, and tests that would fail if it applied here.
const PAINS: [(&str, &[&str]); 25] = [
    (
        "usage of streams is missing or zero",
        &["mixed_traffic_of_many_clients_is_booked_as_it_is_billed", "recorded_usage_is_read_exactly"],
    ),
    (
        "a client that hangs up is charged too little or too much",
        &[
            "a_fifth_of_the_clients_hangs_up_and_the_books_are_exact",
            "a_fifth_of_the_clients_is_cancelled_and_every_one_of_them_is_an_estimate",
        ],
    ),
    ("cached tokens are charged twice", &["sound_and_pictures_cost_their_own_rates_cached_or_not"]),
    (
        "an unknown model costs nothing",
        &[
            "only_calls_that_may_have_cost_something_are_counted_as_unpriced",
            "a_call_without_a_known_price_is_refused_before_anything_is_sent",
        ],
    ),
    (
        "the tier that was asked for is charged, and not the one that served",
        &["the_last_tier_is_the_one_that_was_served", "a_tier_costs_what_the_table_says_or_is_unpriced"],
    ),
    (
        "Azure's deployment names have no price",
        &[
            "azure_is_priced_by_its_own_keys_and_never_by_a_deployments_name",
            "azure_tells_its_region_and_a_deployments_name_proves_nothing",
        ],
    ),
    (
        "realtime and WebSockets are not metered",
        &[
            "every_turn_is_booked_as_it_is_billed_by_every_way_in",
            "what_is_written_down_of_speech_is_booked_apart_and_by_its_own_model",
        ],
    ),
    ("parallel calls run through a budget", &["of_fifty_calls_at_once_only_the_one_is_sent_that_there_is_room_for"]),
    ("the database is in the way of the calls", &["a_database_that_somebody_else_holds_delays_no_call"]),
    (
        "calls are counted twice",
        &[
            "a_background_response_is_booked_once_by_the_first_reply_that_shows_its_usage",
            "the_usage_of_an_object_is_not_given_twice_across_a_restart",
        ],
    ),
    (
        "what is built in is not what was reviewed",
        &["every_library_is_pinned_by_its_checksum_and_comes_from_one_place"],
    ),
    (
        "clients do not trust the authority",
        &["openai_python_3_cannot_tell_the_gate", "stolen_issuer_is_refused_by_every_verifier"],
    ),
    (
        "the usage chunk that was asked for breaks the client",
        &[
            "a_client_that_did_not_ask_for_usage_sees_none",
            "a_stream_reaches_the_client_without_a_trace_of_the_usage_that_the_gate_asked_for",
        ],
    ),
    (
        "compression hides the usage",
        &[
            "a_compressed_body_is_passed_on_as_it_came_or_decoded_where_it_is_edited",
            "bombs_and_broken_codings_are_refused",
        ],
    ),
    ("a key goes to another host", &["the_key_of_one_host_never_reaches_another"]),
    ("events are held back", &["no_event_waits_for_the_next_one"]),
    (
        "memory grows",
        &[
            "a_million_labels_take_no_more_room_than_a_thousand_and_none_gets_out_of_the_total",
            "an_event_beyond_all_bounds_passes_or_is_told_and_is_never_held",
        ],
    ),
    (
        "Azure's first chunk breaks the client",
        &["a_stream_reaches_the_client_without_azures_first_chunk_and_without_the_usage"],
    ),
    (
        "Azure's forms are confused",
        &[
            "azures_forms_of_every_endpoint_are_metered_alike",
            "the_dated_form_puts_the_deployment_into_the_path_of_its_operations",
        ],
    ),
    (
        "usage that is told several times is summed, or its first telling counts",
        &["the_last_usage_that_counts_something_wins_and_is_never_summed"],
    ),
    ("the books do not agree with the invoice", &["exports_of_the_bill_equal_the_books_and_a_changed_number_is_found"]),
    (
        "batches are charged wrongly or late",
        &["each_batch_is_booked_once_when_its_object_shows_its_usage", "a_batch_costs_its_own_rates_else_half"],
    ),
    (
        "pictures, sound and seconds are charged wrongly",
        &[
            "pictures_are_paid_by_their_tokens_else_apiece_by_size_and_quality",
            "speech_that_tells_no_tokens_is_counted_in_characters_and_nothing_is_read_from_its_sound",
        ],
    ),
    (
        "keys and prompts are in the logs",
        &["what_was_said_is_nowhere_in_the_books", "a_collector_learns_neither_what_was_said_nor_any_key"],
    ),
    (
        "nobody knows whose call it was",
        &["the_program_is_found_once_for_all_calls_of_a_connection", "the_calls_of_curl_bear_the_label_and_its_name"],
    ),
];

#[test]
fn every_complaint_about_others_has_its_test_here() {
    let mut sources = String::new();
    for folder in ["src", "tests"] {
        gather(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut sources);
    }
    for (complaint, tests) in PAINS {
        for test in tests {
            assert!(sources.contains(&format!("fn {test}(")), "no test `{test}` about: {complaint}");
        }
    }
}

#[test]
fn every_library_is_pinned_by_its_checksum_and_comes_from_one_place() {
    let lock = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock")).unwrap();
    let packages: Vec<&str> = lock.split("[[package]]").skip(1).collect();
    let field = |package: &str, name: &str| {
        let line = package.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
        line.map(str::to_owned)
    };
    let mut sources: Vec<String> = Vec::new();
    for package in packages {
        if field(package, "name").as_deref() == Some("\"tollgate\"") {
            continue;
        }
        assert!(field(package, "checksum").is_some_and(|sum| sum.len() == 66), "not pinned: {package}");
        sources.extend(field(package, "source"));
    }
    sources.sort();
    sources.dedup();
    assert_eq!(sources.len(), 1, "{sources:?}");
}

fn gather(folder: &Path, sources: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            gather(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}
