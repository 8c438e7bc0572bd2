//! What raises exposure is recorded before it is done: whoever finds users exposed finds
//! in the stream why.

use super::Rule;
use crate::fact::{Fact, exposure};
use crate::outside::Outside;
use esclusa_model::Timestamp;

#[derive(Debug)]
pub(super) struct RecordFirst;

impl Rule for RecordFirst {
    fn name(&self) -> &'static str {
        "record_first"
    }

    fn see(&mut self, _: Timestamp, fact: &Fact, _: &Outside) -> Result<(), String> {
        match fact {
            Fact::Turned {
                asked,
                was,
                durable,
                answer: Ok(()),
                ..
            } if !asked.is_within(was) && !asked.is_within(durable) => Err(format!(
                "the dial goes from {} to {} while the store knows of {}",
                exposure(was),
                exposure(asked),
                exposure(durable)
            )),
            _ => Ok(()),
        }
    }
}
