//! What a plan asks of the people who sign off, by role.

use crate::model::{Plan, Requirement};

impl Plan {
    /// The roles that have to sign off, each once, in the plan's order.
    #[must_use]
    pub fn sign_off_roles(&self) -> Vec<&str> {
        let mut found: Vec<&str> = Vec::new();
        for requirement in &self.requires {
            if let Requirement::SignOff { roles, .. } = requirement {
                for role in roles {
                    if !found.contains(&role.as_str()) {
                        found.push(role);
                    }
                }
            }
        }
        found
    }

    /// What whoever signs off in this role has to confirm: the items of every requirement
    /// that names it.
    #[must_use]
    pub fn items_of(&self, role: &str) -> Vec<&str> {
        let mut found: Vec<&str> = Vec::new();
        for requirement in self.asking(role) {
            if let Requirement::SignOff { items, .. } = requirement {
                for item in items {
                    if !found.contains(&item.as_str()) {
                        found.push(item);
                    }
                }
            }
        }
        found
    }

    /// Whether whoever asked for the release may not sign off in this role.
    #[must_use]
    pub fn not_by_author(&self, role: &str) -> bool {
        self.asking(role).iter().any(|requirement| {
            matches!(
                requirement,
                Requirement::SignOff {
                    not_by_author: true,
                    ..
                }
            )
        })
    }

    /// The requirements that name this role.
    fn asking(&self, role: &str) -> Vec<&Requirement> {
        let named = |requirement: &&Requirement| match requirement {
            Requirement::SignOff { roles, .. } => roles.iter().any(|one| one == role),
            Requirement::Check { .. } => false,
        };
        self.requires.iter().filter(named).collect()
    }
}
