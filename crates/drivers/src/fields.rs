//! Short forms for catalog entries, and reading a block that the catalog described.

use crate::error::DriverError;
use esclusa_plan::{Capability, DriverEntry, Field, FieldKind};
use serde::de::DeserializeOwned;

pub(crate) fn entry(
    name: &str,
    doc: &str,
    fields: Vec<Field>,
    capabilities: &[Capability],
) -> DriverEntry {
    DriverEntry {
        name: name.into(),
        doc: doc.into(),
        fields,
        capabilities: capabilities.to_vec(),
    }
}

pub(crate) fn required(name: &str, kind: FieldKind, doc: &str) -> Field {
    Field {
        name: name.into(),
        doc: doc.into(),
        kind,
        required: true,
    }
}

pub(crate) fn optional(name: &str, kind: FieldKind, doc: &str) -> Field {
    Field {
        required: false,
        ..required(name, kind, doc)
    }
}

pub(crate) fn choice(words: &[&str]) -> FieldKind {
    FieldKind::Choice(words.iter().map(|word| (*word).to_owned()).collect())
}

/// Reads a normalised block. The plan checked it; a stored plan of another version of
/// this program is the only way that this fails.
pub(crate) fn read<T: DeserializeOwned>(
    driver: &str,
    config: &serde_json::Value,
) -> Result<T, DriverError> {
    T::deserialize(config).map_err(|e| DriverError::config(format!("{driver}: {e}")))
}

#[cfg(test)]
pub(crate) mod samples {
    //! Blocks made from the catalog, to prove that it and the reader agree.

    use super::*;
    use serde_json::{Map, Value, json};

    fn sample(kind: &FieldKind) -> Value {
        match kind {
            FieldKind::Text | FieldKind::Template => json!("/text"),
            FieldKind::Switch => json!(true),
            FieldKind::Integer { min, .. } => json!(min),
            FieldKind::Duration => json!(1000),
            FieldKind::Share => json!(500),
            FieldKind::Command => json!(["/bin/sh", "-c", "true"]),
            FieldKind::Choice(words) => json!(words.first().expect("a choice")),
            FieldKind::List(item) => json!([sample(item)]),
            FieldKind::Free => json!(null),
            FieldKind::TemplateMap => json!({"name": "value"}),
            FieldKind::Block(fields) => block(fields, &|_| true),
        }
    }

    fn block(fields: &[Field], wanted: &dyn Fn(&Field) -> bool) -> Value {
        let members = fields.iter().filter(|f| wanted(f));
        Value::Object(
            members
                .map(|f| (f.name.clone(), sample(&f.kind)))
                .collect::<Map<_, _>>(),
        )
    }

    /// Every field that the catalog names is read, none more, and the optional ones
    /// may be left out.
    pub(crate) fn agrees<T: DeserializeOwned>(entry: &DriverEntry) {
        let full = block(&entry.fields, &|_| true);
        read::<T>(&entry.name, &full).expect("all fields are read");
        let least = block(&entry.fields, &|f| f.required);
        read::<T>(&entry.name, &least).expect("optional fields may be absent");
        for field in entry.fields.iter().filter(|f| f.required) {
            let without = block(&entry.fields, &|f| f.name != field.name);
            assert!(
                read::<T>(&entry.name, &without).is_err(),
                "{} is required",
                field.name
            );
        }
        let mut more = full;
        more["no-such-field"] = json!(1);
        assert!(read::<T>(&entry.name, &more).is_err(), "unknown is refused");
    }
}
