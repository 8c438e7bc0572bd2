//! The compiled flags of a document, one snapshot an environment.

use esclusa_flags::{Kills, Problem, Snapshot};
use esclusa_wire::FlagDocument;
use std::collections::BTreeMap;

/// All environments of one document, ready to be asked.
#[derive(Debug, Default, Clone)]
pub(crate) struct FlagTable {
    environments: BTreeMap<String, Snapshot>,
}

impl FlagTable {
    /// Compiles a document with its kills, and with what running releases turn.
    ///
    /// # Errors
    /// Everything that is wrong, with the places; never nothing.
    pub(crate) fn compile(document: &FlagDocument) -> Result<Self, Vec<Problem>> {
        let set = document.set.while_running(&document.rollouts);
        let mut environments = BTreeMap::new();
        let mut problems = Vec::new();
        for name in &set.environments {
            match Snapshot::compile_with(&set, name, &document.kills) {
                Ok(snapshot) => {
                    environments.insert(name.clone(), snapshot);
                }
                Err(wrong) => problems.extend(wrong),
            }
        }
        if problems.is_empty() {
            return Ok(Self { environments });
        }
        problems.sort();
        problems.dedup();
        Err(problems)
    }

    /// The flags of one environment; none when the document does not have it.
    pub(crate) fn environment(&self, name: &str) -> Option<&Snapshot> {
        self.environments.get(name)
    }

    /// Takes over whatever `kills` knows later; nothing is compiled again.
    pub(crate) fn merge_kills(&mut self, kills: &Kills) {
        for snapshot in self.environments.values_mut() {
            snapshot.merge_kills(kills);
        }
    }
}
