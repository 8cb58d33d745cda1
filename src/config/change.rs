//! What of a new configuration is not in force before a restart.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::config::setup::Setup;

/// Sections that take effect for the calls after a reload; everything else is fixed while the gate runs.
pub const LIVE: [&str; 8] =
    ["auditing", "duplicates", "intercept", "metering", "models", "modelsFile", "pinned", "pricing"];

/// The keys that differ and are fixed, such as `listen.proxy`, in the order of their names. The views are as
/// `/config` shows them, and hide secrets, which are compared by the setups.
pub fn fixed((old, before): (&Setup, &Value), (new, after): (&Setup, &Value)) -> Vec<String> {
    let mut keys = BTreeSet::new();
    let nothing = Map::new();
    let (before, after) = (before.as_object().unwrap_or(&nothing), after.as_object().unwrap_or(&nothing));
    for key in before.keys().chain(after.keys()).filter(|key| !LIVE.contains(&key.as_str())) {
        match (before.get(key), after.get(key)) {
            (Some(Value::Object(before)), Some(Value::Object(after))) => {
                let names = before.keys().chain(after.keys()).filter(|name| before.get(*name) != after.get(*name));
                keys.extend(names.map(|name| format!("{key}.{name}")));
            }
            (before, after) if before != after => {
                keys.insert(key.clone());
            }
            _ => {}
        }
    }
    if old.admin_token != new.admin_token {
        keys.insert("admin.token".into());
    }
    let headers = |setup: &Setup| setup.collector.as_ref().map(|collector| collector.headers.clone());
    if headers(old) != headers(new) {
        keys.insert("telemetry.otlp".into());
    }
    if old.keepers != new.keepers {
        keys.insert("listen.users".into());
    }
    let login = |setup: &Setup| setup.upstream.outer.as_ref().map(|proxy| proxy.login.clone());
    if login(old) != login(new) {
        keys.insert("upstream.proxy".into());
    }
    keys.into_iter().collect()
}

/// What is in force after a reload: the live sections of the new view, everything else of the old one.
pub fn in_force(before: &Value, after: &Value) -> Value {
    let mut shown = before.clone();
    for key in LIVE {
        if let Some(value) = after.get(key) {
            shown[key] = value.clone();
        }
    }
    shown
}
