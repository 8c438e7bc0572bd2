//! Digests over texts: for versions that are only named, and for instances.

use super::{PrepareSpec, Prepared};
use crate::error::DriverError;
use esclusa_model::Digest;
use sha2::{Digest as _, Sha256};

/// A digest over texts, each counted with its length.
pub(super) fn digest_of(texts: &[&str]) -> Digest {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    Digest::from_bytes(hash.finalize().into())
}

/// A value as text with sorted keys, whatever map the JSON library was built with.
pub(super) fn canonical(value: &serde_json::Value) -> String {
    use serde_json::Value;
    match value {
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by_key(|(name, _)| *name);
            let members: Vec<String> = sorted
                .into_iter()
                .map(|(name, v)| format!("{}:{}", Value::from(name.as_str()), canonical(v)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        plain => plain.to_string(),
    }
}

/// What stands for a version that is only named (`verified` is false): the block with
/// the version's name in it, and the name itself.
pub(super) fn named_version(spec: &PrepareSpec) -> Result<Prepared, DriverError> {
    if spec.artifact.is_some() {
        return Err(DriverError::config(
            "this driver only names a version and takes no artifact",
        ));
    }
    let version = spec.version.as_str();
    let text = canonical(&spec.config).replace("${version}", version);
    Ok(Prepared {
        digest: digest_of(&["esclusa-named-version-v1", &text, version]),
        verified: false,
        dir: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_keys_does_not_change_a_version() {
        let read = |text: &str| serde_json::from_str(text).expect("json");
        let one = canonical(&read(r#"{"b":[1,"x"],"a":{"d":null,"c":true}}"#));
        assert_eq!(one, r#"{"a":{"c":true,"d":null},"b":[1,"x"]}"#);
    }
}
