//! A plan that was accepted can be carried out: every task that begins is one that the
//! plan has, with a limit of its own.

use super::Rule;
use crate::fact::Fact;
use crate::outside::Outside;
use esclusa_engine::task_limit;
use esclusa_model::{Millis, Timestamp};

#[derive(Debug)]
pub(super) struct Executable;

impl Rule for Executable {
    fn name(&self) -> &'static str {
        "executable"
    }

    fn see(&mut self, _: Timestamp, fact: &Fact, out: &Outside) -> Result<(), String> {
        let Fact::Began { release, task, .. } = fact else {
            return Ok(());
        };
        let Some(stream) = out.store.streams.get(release) else {
            return Err(format!(
                "{task} of {release} begins, which nobody asked for"
            ));
        };
        match task_limit(&stream.fold, *task) {
            None | Some(Millis::ZERO) => Err(format!("the plan has no {task}")),
            Some(_) => Ok(()),
        }
    }
}
