//! What must hold whatever happens, looked at after every step: one file a rule.
//!
//! | file | rule |
//! |---|---|
//! | `no_raise` | once a return is decided, nothing exposes anybody in that release |
//! | `whole_way_back` | a release that went back left nothing behind, or says what |
//! | `fold` | the state is the fold of the stream, everywhere |
//! | `one_writer` | of two controllers the older one moves nothing |
//! | `in_time` | nothing lasts longer than its limit, a hold neither |
//! | `evidence` | nothing goes forward without what its gate asks for |
//! | `record_first` | what raises exposure is recorded before it is done |
//! | `lower_first` | what lowers it waits for nothing |
//! | `executable` | nothing of an accepted plan is looked up in vain |

mod evidence;
mod executable;
mod fold;
mod in_time;
mod lower_first;
mod no_raise;
mod one_writer;
mod record_first;
mod whole_way_back;

use crate::controller::Controller;
use crate::fact::Fact;
use crate::outside::Outside;
use esclusa_model::Timestamp;

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    pub rule: &'static str,
    pub what: String,
}

impl Broken {
    pub(crate) fn circles() -> Self {
        Self {
            rule: "in_time",
            what: "the same things happen again and again".into(),
        }
    }

    pub(crate) fn no_end(what: String) -> Self {
        Self {
            rule: "in_time",
            what,
        }
    }
}

/// A rule.
trait Rule: std::fmt::Debug {
    fn name(&self) -> &'static str;

    /// One fact, in order. The world is already past it.
    fn see(&mut self, at: Timestamp, fact: &Fact, out: &Outside) -> Result<(), String>;

    /// The world as it is after a step.
    fn after(&mut self, out: &Outside, controller: Option<&Controller>) -> Result<(), String> {
        let _ = (out, controller);
        Ok(())
    }
}

/// All rules, and how far they have looked.
#[derive(Debug)]
pub(crate) struct Invariants {
    rules: Vec<Box<dyn Rule>>,
    seen: usize,
}

impl Invariants {
    pub(crate) fn new() -> Self {
        Self {
            rules: vec![
                Box::new(no_raise::NoRaise::default()),
                Box::new(whole_way_back::WholeWayBack::default()),
                Box::new(fold::Fold::default()),
                Box::new(one_writer::OneWriter::default()),
                Box::new(in_time::InTime::default()),
                Box::new(evidence::Evidence::default()),
                Box::new(record_first::RecordFirst),
                Box::new(lower_first::LowerFirst::default()),
                Box::new(executable::Executable),
            ],
            seen: 0,
        }
    }

    /// Looks at what is new.
    pub(crate) fn check(
        &mut self,
        out: &Outside,
        controller: Option<&Controller>,
    ) -> Result<(), Broken> {
        let new = out.facts.0.get(self.seen..).unwrap_or_default();
        self.seen = out.facts.0.len();
        for rule in &mut self.rules {
            let name = rule.name();
            for (at, fact) in new {
                rule.see(*at, fact, out)
                    .map_err(|what| Broken { rule: name, what })?;
            }
            rule.after(out, controller)
                .map_err(|what| Broken { rule: name, what })?;
        }
        Ok(())
    }
}
