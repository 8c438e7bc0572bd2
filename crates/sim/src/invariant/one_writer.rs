//! Of two controllers the store takes only the newer one's events, and a proxy that has
//! heard the newer one obeys the older one no more.

use super::Rule;
use crate::fact::Fact;
use crate::outside::Outside;
use esclusa_model::Timestamp;

#[derive(Debug, Default)]
pub(super) struct OneWriter {
    /// The newest controller.
    newest: u64,
    /// The newest controller that the proxy has heard.
    heard: u64,
}

impl Rule for OneWriter {
    fn name(&self) -> &'static str {
        "one_writer"
    }

    fn see(&mut self, _: Timestamp, fact: &Fact, out: &Outside) -> Result<(), String> {
        match fact {
            Fact::Started { epoch } => {
                self.newest = self.newest.max(*epoch);
                Ok(())
            }
            Fact::Recorded { epoch, .. } | Fact::ServiceRecorded { epoch, .. }
                if *epoch < self.newest =>
            {
                Err(format!(
                    "the store took an event of epoch {epoch} in epoch {}",
                    self.newest
                ))
            }
            Fact::Turned {
                epoch,
                answer: Ok(()),
                ..
            } if out.command_dial.is_none() => {
                if *epoch < self.heard {
                    return Err(format!(
                        "the proxy obeyed epoch {epoch} after it had heard epoch {}",
                        self.heard
                    ));
                }
                self.heard = *epoch;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
