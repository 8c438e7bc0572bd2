//! A release's own copy of everything that its plan requires, with what became of it
//! (CHK-12).

use super::when::rfc3339;
use crate::view::ReleaseView;
use esclusa_model::Timestamp;
use esclusa_plan::Requirement;
use esclusa_release::{Release, Task, TaskEnd};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What kind of requirement an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChecklistKind {
    /// Looked at by esclusa.
    Check,
    /// A person's agreement.
    SignOff,
    /// Something that a person confirms with their agreement.
    Item,
}

/// One requirement of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct ChecklistEntry {
    /// In the plan's words.
    pub item: String,
    /// What kind it is.
    pub kind: ChecklistKind,
    /// The role that confirms it; absent for checks.
    pub role: Option<String>,
    /// Whether it was met.
    pub done: bool,
    /// Who confirmed it; absent for checks and while nobody has.
    pub by: Option<String>,
    /// When it was met, or looked at last.
    pub at: Option<String>,
    /// What was seen or said.
    pub note: String,
}

/// Checks in the plan's order, then each role with its items.
pub(super) fn checklist(release: &Release, view: &ReleaseView) -> Vec<ChecklistEntry> {
    let mut all = checks(release);
    for agreed in &view.sign_offs {
        let at = agreed.at_us.map(|at| rfc3339(Timestamp(at)));
        let entry = |item: &str, kind, done: bool, note: &str| ChecklistEntry {
            item: item.to_owned(),
            kind,
            role: Some(agreed.role.clone()),
            done,
            by: agreed.by.clone().filter(|_| done),
            at: at.clone().filter(|_| done),
            note: note.to_owned(),
        };
        all.push(entry(
            &format!("sign-off of {}", agreed.role),
            ChecklistKind::SignOff,
            agreed.by.is_some(),
            &agreed.comment,
        ));
        for item in &agreed.items {
            all.push(entry(
                &item.item,
                ChecklistKind::Item,
                item.done,
                &item.note,
            ));
        }
    }
    all
}

fn checks(release: &Release) -> Vec<ChecklistEntry> {
    let requires = release.requested.plan.requires.iter().enumerate();
    let checks = requires.filter(|(_, required)| matches!(required, Requirement::Check { .. }));
    let entry = |index: usize| {
        let task = Task::Check(index);
        let state = release.tasks.get(&task);
        let end = state.and_then(|state| state.end.as_ref());
        ChecklistEntry {
            item: esclusa_engine::describe_task(release, task),
            kind: ChecklistKind::Check,
            role: None,
            done: end.is_some_and(TaskEnd::is_done),
            by: None,
            at: state.and_then(|state| state.ended_at).map(rfc3339),
            note: match (state, end) {
                (_, Some(end)) => end.to_string(),
                (Some(_), None) => "not answered yet".to_owned(),
                (None, _) => "not asked".to_owned(),
            },
        }
    };
    checks.map(|(index, _)| entry(index)).collect()
}
