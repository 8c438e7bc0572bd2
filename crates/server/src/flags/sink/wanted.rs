//! What a table's rows have to be: what the evaluator answers for each tenant. Pure.

use esclusa_drivers::sink::{
    Cell, Form, KeyColumn, KeyForm, KeySource, Layout, SinkConfig, TenantKey, ValueForm, Wanted,
    WantedRow,
};
use esclusa_flags::{
    Answer, AttributeValue, ContextBuffer, Detail, FlagDefinition, FlagSet, FlagValue, Snapshot,
};
use std::collections::{BTreeMap, BTreeSet};

/// Rows, and what of them is not as the file says.
#[derive(Debug)]
pub(super) struct Desired {
    pub wanted: Wanted,
    /// Flags that the file names and nobody has defined.
    pub unknown: Vec<String>,
    /// What else keeps a flag or tenant out of the table, or from being decided.
    pub notes: Vec<String>,
}

/// A flag of the table.
struct Kept<'c> {
    key: String,
    /// Its column, or its name in the rows.
    called: &'c str,
    values: BTreeMap<String, String>,
}

/// What is found on the way.
#[derive(Default)]
struct Found {
    unknown: Vec<String>,
    notes: Vec<String>,
    /// Flags whose answer is the safe value, because a tenant is not enough to decide.
    undecided: BTreeSet<String>,
}

/// The rows of a table, as the flags are in `snapshot`.
pub(super) fn desired(config: &SinkConfig, set: &FlagSet, snapshot: &Snapshot) -> Desired {
    let mut found = Found::default();
    let wanted = match &config.layout {
        Layout::Columns {
            table,
            tenant,
            fixed,
            flags,
        } => {
            let pairs = flags.iter().map(|(key, column)| (key.as_str(), &**column));
            let kept = found.kept(pairs, set, &config.values);
            let tenants = found.tenants(tenant, set);
            let mut rows = Vec::new();
            if !kept.is_empty() {
                let mut each = Each::new(snapshot);
                for (key, id) in tenants {
                    let cells = each.cells(Some(id), &kept, &mut found.undecided);
                    rows.push(WantedRow {
                        key: vec![key],
                        cells,
                    });
                }
            }
            Wanted {
                table: table.clone(),
                keys: vec![key_column(tenant)],
                fixed: fixed.clone(),
                columns: kept.iter().map(|flag| flag.called.to_owned()).collect(),
                form: config.values.form,
                rows,
                rules: config.rules,
            }
        }
        Layout::Rows {
            table,
            name,
            value,
            tenant,
            fixed,
            flags,
            names,
        } => {
            let all = || set.flags.keys().map(String::as_str).collect();
            let listed = flags.as_ref();
            let keys: Vec<&str> =
                listed.map_or_else(all, |some| some.iter().map(String::as_str).collect());
            let called = |key| names.get(key).map_or(key, String::as_str);
            let pairs = keys.into_iter().map(|key| (key, called(key)));
            let kept = found.kept(pairs, set, &config.values);
            let kept = found.named_once(kept);
            let units: Vec<(Option<String>, Option<&str>)> = match tenant {
                None => vec![(None, None)],
                Some(tenant) => {
                    let tenants = found.tenants(tenant, set).into_iter();
                    tenants.map(|(key, id)| (Some(key), Some(id))).collect()
                }
            };
            let mut keys = vec![KeyColumn {
                column: name.clone(),
                form: KeyForm::Text,
            }];
            keys.extend(tenant.as_ref().map(key_column));
            let mut each = Each::new(snapshot);
            let mut rows = Vec::new();
            for (key, id) in units {
                let cells = each.cells(id, &kept, &mut found.undecided);
                rows.extend(kept.iter().zip(cells).map(|(flag, cell)| {
                    WantedRow {
                        key: std::iter::once(flag.called.to_owned())
                            .chain(key.clone())
                            .collect(),
                        cells: vec![cell],
                    }
                }));
            }
            Wanted {
                table: table.clone(),
                keys,
                fixed: fixed.clone(),
                columns: vec![value.clone()],
                form: config.values.form,
                rows,
                rules: config.rules,
            }
        }
    };
    for flag in found.undecided {
        found.notes.push(format!(
            "{flag} cannot be decided by a tenant alone: where it depends on more, the safe \
             variant is written"
        ));
    }
    Desired {
        wanted,
        unknown: found.unknown,
        notes: found.notes,
    }
}

fn key_column(tenant: &TenantKey) -> KeyColumn {
    KeyColumn {
        column: tenant.column.clone(),
        form: tenant.form,
    }
}

impl Found {
    /// The flags that are defined and whose every variant has a value of the table's kind.
    fn kept<'c>(
        &mut self,
        flags: impl Iterator<Item = (&'c str, &'c str)>,
        set: &FlagSet,
        form: &ValueForm,
    ) -> Vec<Kept<'c>> {
        let mut kept = Vec::new();
        for (key, called) in flags {
            let Some(flag) = set.flags.get(key) else {
                self.unknown.push(key.to_owned());
                continue;
            };
            match values(flag, form) {
                Ok(values) => kept.push(Kept {
                    key: key.to_owned(),
                    called,
                    values,
                }),
                Err(variant) => self.notes.push(format!(
                    "{key} is left out: its variant {variant} has no value here, name one under \
                     `values.variants`"
                )),
            }
        }
        kept
    }

    /// Flags without those whose name in the table another one has too.
    fn named_once<'c>(&mut self, kept: Vec<Kept<'c>>) -> Vec<Kept<'c>> {
        let mut times = BTreeMap::<&str, usize>::new();
        for flag in &kept {
            *times.entry(flag.called).or_default() += 1;
        }
        let (once, more): (Vec<_>, Vec<_>) = kept
            .into_iter()
            .partition(|flag| times.get(flag.called) == Some(&1));
        self.notes.extend(more.iter().map(|flag| {
            let (key, called) = (&flag.key, flag.called);
            format!("{key} is left out: another flag is called {called} in the table too")
        }));
        once
    }

    /// The directory's tenants, each with its key in the table, which no other has.
    fn tenants<'s>(&mut self, key: &TenantKey, set: &'s FlagSet) -> Vec<(String, &'s str)> {
        let mut keys = BTreeMap::<String, Vec<&str>>::new();
        for (id, tenant) in &set.tenants {
            let value = match &key.source {
                KeySource::Id => Some(id.clone()),
                KeySource::Attribute(name) => match tenant.attributes.get(name) {
                    Some(serde_json::Value::String(text)) => Some(text.clone()),
                    Some(serde_json::Value::Number(number)) => Some(number.to_string()),
                    Some(_) | None => None,
                },
            };
            let value = value.and_then(|text| match key.form {
                KeyForm::Text => Some(text),
                KeyForm::Integer => text.parse::<i64>().ok().map(|number| number.to_string()),
            });
            match value {
                Some(value) => keys.entry(value).or_default().push(id),
                None => self.notes.push(match (&key.source, key.form) {
                    (KeySource::Attribute(name), KeyForm::Text) => {
                        format!("tenant {id} is left out: its {name:?} is neither text nor number")
                    }
                    (KeySource::Attribute(name), KeyForm::Integer) => {
                        format!("tenant {id} is left out: its {name:?} is no whole number")
                    }
                    (KeySource::Id, _) => {
                        format!("tenant {id} is left out: its id is no whole number")
                    }
                }),
            }
        }
        let mut tenants = Vec::new();
        for (key, ids) in keys {
            match ids.as_slice() {
                [id] => tenants.push((key, *id)),
                several => self.notes.push(format!(
                    "tenants {} are left out: all of them are {key} in the table",
                    several.join(", ")
                )),
            }
        }
        tenants
    }
}

/// The value of each variant, or the variant that has none.
fn values(flag: &FlagDefinition, form: &ValueForm) -> Result<BTreeMap<String, String>, String> {
    let variants = flag.effective_variants().into_iter();
    let value = |(variant, json): (String, serde_json::Value)| {
        let named = form.variants.get(&variant).cloned();
        let own = || {
            let value = FlagValue::from_json(flag.ty, &json).ok()?;
            own_value(&value, form.form)
        };
        match named.or_else(own) {
            Some(value) => Ok((variant, value)),
            None => Err(variant),
        }
    };
    variants.map(value).collect()
}

/// A flag's own value as the table holds it.
fn own_value(value: &FlagValue, form: Form) -> Option<String> {
    match (form, value) {
        (Form::Boolean | Form::Text, FlagValue::Boolean(on)) => Some(on.to_string()),
        (Form::Integer, FlagValue::Boolean(on)) => Some(u8::from(*on).to_string()),
        (Form::Integer | Form::Text, FlagValue::Integer(number)) => Some(number.to_string()),
        (Form::Text, FlagValue::String(text)) => Some(text.clone()),
        (
            Form::Boolean | Form::Integer,
            FlagValue::String(_) | FlagValue::Float(_) | FlagValue::Object(_),
        )
        | (Form::Boolean, FlagValue::Integer(_))
        | (Form::Text, FlagValue::Float(_) | FlagValue::Object(_)) => None,
    }
}

/// Evaluates one unit after the other in the same memory.
struct Each<'s> {
    snapshot: &'s Snapshot,
    buffer: ContextBuffer,
}

impl<'s> Each<'s> {
    fn new(snapshot: &'s Snapshot) -> Self {
        Self {
            snapshot,
            buffer: ContextBuffer::default(),
        }
    }

    fn cells(
        &mut self,
        tenant: Option<&str>,
        kept: &[Kept<'_>],
        undecided: &mut BTreeSet<String>,
    ) -> Vec<Cell> {
        let mut context = self.snapshot.context_in(std::mem::take(&mut self.buffer));
        if let Some(id) = tenant {
            context.set("tenant", AttributeValue::Text(id));
        }
        let cell = |flag: &Kept<'_>| {
            let answer = context.evaluate(&flag.key);
            if answer.error().is_some() {
                undecided.insert(flag.key.clone());
            }
            let value = answer.variant.and_then(|variant| flag.values.get(variant));
            Cell {
                // Cannot be absent: every variant of the flag has a value.
                value: value.cloned().unwrap_or_default(),
                always: is_lowered(&answer),
            }
        };
        let cells = kept.iter().map(cell).collect();
        self.buffer = context.into_buffer();
        cells
    }
}

/// Whether a kill may be why: that is written whatever somebody else wrote there.
fn is_lowered(answer: &Answer<'_>) -> bool {
    matches!(
        answer.detail,
        Detail::Killed { .. } | Detail::Prerequisite { .. }
    )
}
