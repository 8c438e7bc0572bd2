//! Who has to agree, and what is asked twice.

use super::{error, warning};
use crate::diagnostic as code;
use crate::model::{Plan, Requirement};
use crate::sink::{Sink, printable};
use crate::suggest::nearest;

/// Longest name of a role, as tokens have it.
const MAX_ROLE: usize = 40;

pub(super) fn check(plan: &Plan, sink: &mut Sink<'_>) {
    if sink.failed_below("requires") {
        return;
    }
    let mut seen: Vec<&str> = Vec::new();
    for (index, requirement) in plan.requires.iter().enumerate() {
        match requirement {
            Requirement::SignOff { roles, .. } => {
                for (n, role) in roles.iter().enumerate() {
                    let at = format!("requires[{index}].sign-off.roles[{n}]");
                    one_role(role, &seen, &at, sink);
                    seen.push(role);
                }
            }
            Requirement::Check { check, .. } => {
                let twice = plan.requires.iter().take(index).any(|other| {
                    matches!(other, Requirement::Check { check: other, .. } if other == check)
                });
                if twice {
                    warning(
                        sink,
                        code::ASKED_TWICE,
                        &format!("requires[{index}].{}", check.driver),
                        "the very same is asked above already",
                        "remove one of them, or ask what is different",
                    );
                }
            }
        }
    }
}

fn one_role(role: &str, seen: &[&str], at: &str, sink: &mut Sink<'_>) {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    if role.len() > MAX_ROLE || !role.chars().all(fits) {
        let plain: String = role
            .to_lowercase()
            .chars()
            .map(|c| if fits(c) { c } else { '-' })
            .take(MAX_ROLE)
            .collect();
        let plain = plain.trim_matches('-');
        error(
            sink,
            code::ROLE,
            at,
            &format!(
                "no token can have the role `{}`, so nobody could sign off",
                printable(role)
            ),
            &format!("write a-z, 0-9, `-` and `.` alone, such as `{plain}`"),
        );
    } else if seen.contains(&role) {
        warning(
            sink,
            code::ASKED_TWICE,
            at,
            &format!("another sign-off asks `{role}` already, and one answer counts for both"),
            "keep the role in one of them; `items` and `not-by-author` of both count",
        );
    } else if let Some(other) = nearest(role, seen.iter().copied()) {
        warning(
            sink,
            code::ROLE,
            at,
            &format!("`{role}` and `{other}` are two roles, and both have to agree"),
            &format!("did you mean `{other}`?"),
        );
    }
}
