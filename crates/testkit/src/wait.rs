//! Waiting for a value with a bound, instead of for time to pass.

use std::time::{Duration, Instant};

/// What was waited for did not come in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} did not happen within {bound:?}")]
pub struct WaitError {
    /// What was waited for.
    pub what: String,
    /// For how long.
    pub bound: Duration,
}

/// Asks `probe` again and again until it gives a value, at most for `bound`.
///
/// # Errors
/// [`WaitError`] when the bound passes first. A probe that hangs is given up too.
pub async fn wait_until<T>(
    what: &str,
    bound: Duration,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> Result<T, WaitError> {
    let late = || WaitError {
        what: what.to_owned(),
        bound,
    };
    let end = Instant::now() + bound;
    let mut pause = Duration::from_millis(2);
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let answer = tokio::time::timeout(left, probe()).await;
        match answer {
            Ok(Some(value)) => return Ok(value),
            Ok(None) if Instant::now() < end => tokio::time::sleep(pause).await,
            _ => return Err(late()),
        }
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn gives_the_value_or_says_what_did_not_come() {
        let mut asked = 0;
        let value = wait_until("the third time", Duration::from_secs(5), async || {
            asked += 1;
            (asked == 3).then_some(asked)
        });
        assert_eq!(value.await, Ok(3));
        let never = wait_until::<()>("rain", Duration::from_millis(20), async || None).await;
        assert_eq!(
            never.map_err(|error| error.to_string()),
            Err("rain did not happen within 20ms".into())
        );
        let hangs = wait_until::<()>("an answer", Duration::from_millis(20), async || {
            std::future::pending().await
        });
        assert!(hangs.await.is_err());
    }
}
