//! The most tokens that a model can take, from its configuration.

use serde_json::{Map, Number, Value};

/// The most tokens of input and answer together, from `config.json` and `tokenizer_config.json`; `None` where neither
/// says it in a way that makes sense.
///
/// Models spell it in many ways; where several are there the smallest counts, as vLLM does. A `sliding_window` is no
/// such bound. Scaled positions count where the kind of scaling is known to lengthen them.
pub fn length(config: Option<&Value>, tokenizer_config: Option<&Value>) -> Option<u64> {
    let of_model = config.and_then(Value::as_object).and_then(of_model);
    of_model.or_else(|| tokenizer_config.and_then(|config| whole(&config["model_max_length"])))
}

fn of_model(config: &Map<String, Value>) -> Option<u64> {
    let own = KEYS.iter().filter_map(|key| whole(config.get(*key)?)).min();
    let Some(own) = own else {
        // Models that see or hear keep the part that writes in an object of its own.
        return NESTED.iter().find_map(|key| of_model(config.get(*key)?.as_object()?));
    };
    let scaling = ["rope_scaling", "rope_parameters"].iter().find_map(|key| config.get(*key)?.as_object());
    Some(scaling.and_then(|scaling| scaled(own, scaling)).unwrap_or(own))
}

/// The length with its scaling; `None` where that changes nothing, as `llama3` and `longrope`, which count it in.
fn scaled(own: u64, scaling: &Map<String, Value>) -> Option<u64> {
    let kind = scaling.get("rope_type").or_else(|| scaling.get("type"))?.as_str()?;
    let factor = scaling.get("factor")?.as_number()?;
    let base = match kind {
        "linear" | "dynamic" => own,
        "yarn" => scaling.get("original_max_position_embeddings").and_then(whole).unwrap_or(own),
        _ => return None,
    };
    times(base, factor)
}

/// A number from 1 to what any model could mean; texts of digits and numbers such as `2048.0` are taken for what they
/// mean, and sentinels for "no bound" (`int(1e30)`), zero and negative ones for nothing.
fn whole(value: &Value) -> Option<u64> {
    let number = match value {
        Value::Number(number) => decimal(number)?,
        Value::String(text) => (text.trim().parse().ok()?, 0),
        _ => return None,
    };
    let (digits, places) = number;
    let scale = 10_u128.checked_pow(places)?;
    let length = u64::try_from(digits / scale).ok()?;
    (digits % scale == 0 && (1..=LARGEST).contains(&length)).then_some(length)
}

/// `base * factor`, rounded down, without a float.
fn times(base: u64, factor: &Number) -> Option<u64> {
    let (digits, places) = decimal(factor)?;
    let product = u128::from(base).checked_mul(digits)? / 10_u128.checked_pow(places)?;
    u64::try_from(product).ok().filter(|length| (1..=LARGEST).contains(length))
}

/// A number as its digits and how many of them stand behind the point; `None` for a negative or an enormous one.
fn decimal(number: &Number) -> Option<(u128, u32)> {
    let text = number.to_string();
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
    let exponent: i32 = exponent.trim_start_matches('+').parse().ok()?;
    let (before, behind) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let behind = behind.trim_end_matches('0');
    let digits: u128 = format!("{before}{behind}").parse().ok()?;
    let places = i32::try_from(behind.len()).ok()? - exponent;
    if places >= 0 {
        return Some((digits, u32::try_from(places).ok()?));
    }
    Some((digits.checked_mul(10_u128.checked_pow(places.unsigned_abs())?)?, 0))
}

/// As vLLM knows them, and a few more.
const KEYS: [&str; 12] = [
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "seq_length",
    "model_max_length",
    "max_sequence_length",
    "max_seq_length",
    "seq_len",
    "ctx_len",
    "n_ctx",
    "max_target_positions",
    "context_length",
];
const NESTED: [&str; 3] = ["text_config", "llm_config", "language_config"];
/// No model takes as much; sentinels are far beyond.
const LARGEST: u64 = 1 << 40;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(config: Value) -> Option<u64> {
        let config = Some(config);
        length(config.as_ref(), None)
    }

    #[test]
    fn every_familys_spelling_is_known_and_the_smallest_counts() {
        assert_eq!(of(json!({"n_positions": 1024})), Some(1024));
        assert_eq!(
            of(json!({"max_position_embeddings": 4096, "model_max_length": 2048, "sliding_window": 8})),
            Some(2048)
        );
        assert_eq!(of(json!({"ctx_len": 512, "context_length": 4096})), Some(512));
        assert_eq!(of(json!({"text_config": {"max_position_embeddings": 8192}})), Some(8192));
        assert_eq!(of(json!({"hidden_size": 8})), None);
        assert_eq!(length(None, Some(&json!({"model_max_length": 77}))), Some(77));
    }

    #[test]
    fn scaling_counts_where_it_lengthens() {
        let with = |scaling: Value| of(json!({"max_position_embeddings": 4096, "rope_scaling": scaling}));
        assert_eq!(with(json!({"type": "linear", "factor": 4.0})), Some(16384));
        assert_eq!(with(json!({"rope_type": "dynamic", "factor": 2.5})), Some(10240));
        assert_eq!(
            with(json!({"type": "yarn", "factor": 4, "original_max_position_embeddings": 32768})),
            Some(131_072)
        );
        for kind in ["llama3", "longrope", "su", "new"] {
            assert_eq!(with(json!({"rope_type": kind, "factor": 8.0})), Some(4096), "{kind}");
        }
        assert_eq!(with(Value::Null), Some(4096));
        assert_eq!(with(json!({"type": "linear"})), Some(4096));
    }

    #[test]
    fn nonsense_is_no_length() {
        for (value, expected) in [
            (json!(0), None),
            (json!(-1), None),
            (json!("2048"), Some(2048)),
            (json!("many"), None),
            (json!(2048.0), Some(2048)),
            (json!(2048.5), None),
            (json!(1e30), None),
            (json!(true), None),
            (json!(null), None),
            (json!([2048]), None),
            (serde_json::from_str("1000000000000000019884624838656").unwrap(), None),
            (serde_json::from_str("2.048e3").unwrap(), Some(2048)),
        ] {
            assert_eq!(of(json!({"n_positions": value})), expected, "{value}");
            assert_eq!(length(None, Some(&json!({"model_max_length": value}))), expected, "{value}");
        }
    }
}
