//! Flags in the data plane: what requests are decided by.
//!
//! - `table`: the compiled flags, one snapshot an environment.
//! - `guards`: which requests flags stand before.
//! - `token`: claims of bearer tokens that say whose a request is.

pub(crate) mod guards;
pub(crate) mod table;
mod token;

use esclusa_flags::{AttributeValue, FlagSide, Kills, Units};
use esclusa_model::ReleaseId;
use esclusa_wire::FlagDocument;
use guards::GuardTable;
use std::sync::Arc;
use table::FlagTable;

/// How many of a document's problems are told.
const SHOWN_PROBLEMS: usize = 10;

/// Flags in force. A request reads it once, so that all its decisions are of one revision.
#[derive(Debug, Default, Clone)]
pub(crate) struct InForce {
    pub(crate) table: Arc<FlagTable>,
    pub(crate) guards: Arc<GuardTable>,
}

impl InForce {
    /// Compiles a document without the rollouts of `withheld`.
    ///
    /// # Errors
    /// Everything that is wrong, in one text.
    pub(crate) fn compile(document: &FlagDocument, withheld: &[ReleaseId]) -> Result<Self, String> {
        let hidden = |release: &ReleaseId| withheld.contains(release);
        let table = if document.rollouts.iter().any(|r| hidden(&r.release)) {
            let mut shown = document.clone();
            shown.rollouts.retain(|r| !hidden(&r.release));
            FlagTable::compile(&shown)
        } else {
            FlagTable::compile(document)
        };
        let guards = GuardTable::compile(&document.set);
        match (table, guards) {
            (Ok(table), Ok(guards)) => Ok(Self {
                table: Arc::new(table),
                guards: Arc::new(guards),
            }),
            (table, guards) => {
                let mut problems = table.err().unwrap_or_default();
                problems.extend(guards.err().unwrap_or_default());
                Err(told(&problems))
            }
        }
    }

    /// The same with whatever `kills` knows later; nothing is compiled again.
    pub(crate) fn with_kills(&self, kills: &Kills) -> Self {
        let mut table = FlagTable::clone(&self.table);
        table.merge_kills(kills);
        Self {
            table: Arc::new(table),
            guards: Arc::clone(&self.guards),
        }
    }

    /// Whether a flag serves a variant to a unit, and to whom the service's guards know it
    /// to be of. Without such a flag, nobody.
    pub(crate) fn serves(
        &self,
        side: &FlagSide,
        unit: Option<&str>,
        known: Option<&Units<'_>>,
    ) -> bool {
        let Some(snapshot) = self.table.environment(&side.environment) else {
            return false;
        };
        let mut context = snapshot.context();
        let tenant = known.and_then(|units| units.tenant.as_deref()).or(unit);
        let user = known.and_then(|units| units.user.as_deref());
        for (name, value) in [("targetingKey", unit), ("tenant", tenant), ("user", user)] {
            if let Some(value) = value {
                context.set(name, AttributeValue::Text(value));
            }
        }
        context.evaluate(&side.flag).variant == Some(&*side.variant)
    }
}

fn told(problems: &[esclusa_flags::Problem]) -> String {
    let mut text: Vec<String> = problems
        .iter()
        .take(SHOWN_PROBLEMS)
        .map(ToString::to_string)
        .collect();
    if problems.len() > SHOWN_PROBLEMS {
        text.push(format!("and {} more", problems.len() - SHOWN_PROBLEMS));
    }
    text.join("; ")
}
