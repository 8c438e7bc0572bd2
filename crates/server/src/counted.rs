//! Reads what was counted while a release ran, a piece at a time.

use crate::series::Span;
use esclusa_judge::Slice;
use esclusa_model::ServiceName;
use esclusa_store::Store;

/// Seconds read at a time: bounds the memory that a long release takes.
const CHUNK_S: i64 = 3_600;
/// Longest release whose traffic is summed up here; longer ones belong to a metrics store.
const MAX_S: i64 = 31 * 86_400;

/// Gives every slice of the span to `take`, oldest first.
///
/// # Errors
/// Why nothing is known. What was given before is then no whole and is not to be used.
pub(crate) async fn each_slice(
    store: &Store,
    service: &ServiceName,
    span: Span,
    mut take: impl FnMut(&Slice),
) -> Result<(), String> {
    if span.seconds() > MAX_S {
        let days = MAX_S / 86_400;
        return Err(format!("the release took longer than {days} days"));
    }
    let mut start = span.from;
    while start < span.to {
        let stop = (start + CHUNK_S).min(span.to);
        let slices = store.slices(service, start, stop).await;
        let slices = slices.map_err(|error| error.to_string())?;
        slices.iter().for_each(|(_, stamped)| take(&stamped.slice));
        start = stop;
    }
    Ok(())
}
