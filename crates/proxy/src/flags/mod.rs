//! Flags in the data plane: what requests are decided by. The compiled form is the flag
//! server's, so that a guard here and an answer there can never differ.

pub(crate) mod counts;

use esclusa_flags::{AttributeValue, FlagSide, Units};
use esclusa_model::ReleaseId;
use esclusa_ofrep::FlagTable;
use esclusa_wire::FlagDocument;

/// How many of a document's problems are told.
const SHOWN_PROBLEMS: usize = 10;

/// Compiles a document without the rollouts of `withheld`. Reads the keys that its guards
/// verify claims with.
///
/// # Errors
/// Everything that is wrong, in one text.
pub(crate) fn compile(
    document: &FlagDocument,
    withheld: &[ReleaseId],
) -> Result<FlagTable, String> {
    let hidden = |release: &ReleaseId| withheld.contains(release);
    let table = if document.rollouts.iter().any(|r| hidden(&r.release)) {
        let mut shown = document.clone();
        shown.rollouts.retain(|r| !hidden(&r.release));
        FlagTable::compile(&shown)
    } else {
        FlagTable::compile(document)
    };
    table.map_err(|problems| {
        let shown = problems.iter().take(SHOWN_PROBLEMS);
        let mut text: Vec<String> = shown.map(ToString::to_string).collect();
        if problems.len() > SHOWN_PROBLEMS {
            text.push(format!("and {} more", problems.len() - SHOWN_PROBLEMS));
        }
        text.join("; ")
    })
}

/// Whether a flag serves a variant to a unit, and to whom the service's guards know it to
/// be of. Without such a flag, nobody.
pub(crate) fn serves(
    table: &FlagTable,
    side: &FlagSide,
    unit: Option<&str>,
    known: Option<&Units<'_>>,
) -> bool {
    let Some(snapshot) = table.environment(&side.environment) else {
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
    for (flag, variant) in known.into_iter().flat_map(|units| &units.grants) {
        context.grant(flag, variant);
    }
    context.evaluate(&side.flag).variant == Some(&*side.variant)
}
