//! Kills that were left in the folder: in force before anything is served, and looked for
//! again and again, because whoever cannot reach a proxy that hangs leaves one too.

use super::state::{Control, Unpublished};
use super::take_back::take_back_in;
use crate::left::Left;
use esclusa_wire::{LeftKill, StateFile};
use std::path::PathBuf;
use std::time::Duration;

/// How often the folder is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long the disk has to keep what was taken, before that is looked at again.
const DISK_PATIENCE: Duration = Duration::from_secs(5);

impl Control {
    /// Takes what was left while nothing is served yet; gives the states as they are served
    /// then.
    pub(crate) async fn begin_with_left(
        &self,
        left: Vec<LeftKill>,
        mut states: Vec<(PathBuf, StateFile)>,
    ) -> Vec<(PathBuf, StateFile)> {
        for LeftKill { flags, take_back } in left {
            if let Some(kill) = flags
                && let Err(error) = self.kill_flags_here(kill).await
            {
                tracing::error!(?error, "a kill that was left here is not in force");
            }
            if let Some(asked) = take_back {
                let states = states.iter_mut();
                states.for_each(|(_, state)| take_back_in(state, &asked));
            }
        }
        states
    }

    /// Takes what is left later, as long as this proxy is in charge.
    pub(crate) async fn look_for_left(&self, mut left: Left) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            if self.is_away() {
                return;
            }
            // Beside this thread: a disk that hangs holds nobody up.
            let read = tokio::task::spawn_blocking(move || {
                let news = left.news();
                (left, news)
            });
            let Ok((read, news)) = read.await else {
                tracing::error!("looking for kills ended badly");
                return;
            };
            left = read;
            for kill in news {
                if let Err(error) = self.take_left(kill).await {
                    tracing::error!(?error, "a kill that was left here is not in force");
                }
            }
            if left.is_open() && self.is_kept().await {
                let removed = tokio::task::spawn_blocking(move || {
                    left.remove();
                    left
                });
                let Ok(removed) = removed.await else {
                    tracing::error!("looking for kills ended badly");
                    return;
                };
                left = removed;
            }
        }
    }

    async fn take_left(&self, left: LeftKill) -> Result<(), Unpublished> {
        if let Some(kill) = left.flags {
            self.kill_flags_here(kill).await?;
        }
        if let Some(asked) = left.take_back {
            self.take_back_here(asked).await?;
        }
        Ok(())
    }

    /// Whether the disk has everything that holds now.
    async fn is_kept(&self) -> bool {
        let (writings, expected) = {
            let Ok(mut inner) = self.in_charge().await else {
                return false;
            };
            let expected =
                usize::from(!inner.flags.is_empty()) + usize::from(inner.generation.is_some());
            let writings = [inner.save_flags(), inner.save()];
            (writings.into_iter().flatten(), expected)
        };
        let mut kept = 0;
        for writing in writings {
            kept += usize::from(writing.done_within(DISK_PATIENCE).await);
        }
        kept == expected
    }
}
