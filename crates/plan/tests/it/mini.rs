//! As much of JSON Schema as the generated schema uses, to test it without a library.
//! Patterns are not evaluated; that a text is asked for is.

use serde_json::{Map, Value, json};

/// A YAML text as an editor's language server sees it.
pub(crate) fn yaml(text: &str) -> Value {
    // Placeholders in flow style are this language's own addition to YAML.
    let text = text.replace("./dist/${version}", "./dist/version");
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(&text, options).expect("valid YAML")
}

/// Everything in `value` that does not fit `schema`, by path.
pub(crate) fn misfits(root: &Value, schema: &Value, value: &Value, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    let empty = Map::new();
    for (keyword, rule) in schema.as_object().unwrap_or(&empty) {
        let fits = |rule: &Value| misfits(root, rule, value, path).is_empty();
        let each = || rule.as_array().into_iter().flatten();
        match keyword.as_str() {
            "$ref" => {
                let pointer = rule
                    .as_str()
                    .and_then(|r| r.strip_prefix('#'))
                    .expect("a reference");
                let target = root.pointer(pointer).expect("a definition");
                found.extend(misfits(root, target, value, path));
            }
            "type" if !type_fits(rule, value) => found.push(format!("{path}: not {rule}")),
            "enum" if !each().any(|word| word == value) => {
                found.push(format!("{path}: not one of {rule}"));
            }
            "const" if rule != value => found.push(format!("{path}: not {rule}")),
            "anyOf" if !each().any(fits) => found.push(format!("{path}: fits none")),
            "oneOf" if each().filter(|rule| fits(rule)).count() != 1 => {
                found.push(format!("{path}: not exactly one of {rule}"));
            }
            "allOf" => each().for_each(|rule| found.extend(misfits(root, rule, value, path))),
            "minimum" if value.as_f64() < rule.as_f64() && value.is_number() => {
                found.push(format!("{path}: too small"));
            }
            "maximum" if value.as_f64() > rule.as_f64() && value.is_number() => {
                found.push(format!("{path}: too large"));
            }
            "required" => {
                for key in each().filter_map(Value::as_str) {
                    if value.get(key).is_none() {
                        found.push(format!("{path}: no {key}"));
                    }
                }
            }
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    found.extend(misfits(root, rule, item, path));
                }
            }
            "additionalProperties" => {
                let known = schema.get("properties").cloned().unwrap_or(json!({}));
                for (key, item) in value.as_object().into_iter().flatten() {
                    let path = format!("{path}.{key}");
                    match known.get(key) {
                        Some(rule) => found.extend(misfits(root, rule, item, &path)),
                        None if *rule == json!(false) => found.push(format!("{path}: unknown")),
                        None => found.extend(misfits(root, rule, item, &path)),
                    }
                }
            }
            _ => {}
        }
    }
    found
}

fn type_fits(rule: &Value, value: &Value) -> bool {
    let one = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        other => panic!("unknown type {other}"),
    };
    match rule {
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(one),
        name => one(name.as_str().expect("a type")),
    }
}
