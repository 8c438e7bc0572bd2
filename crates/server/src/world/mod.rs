//! Runs what the engine asks for, through the drivers. Decides nothing.

mod checks;
mod deploy;
mod dial;
mod hand_over;
mod instances;
mod kept;
mod logs;
mod quiet;
mod series;
mod steps;
mod warm_up;

pub(crate) use deploy::join_all;
pub(crate) use dial::DriverDial;
pub(crate) use instances::{deployed, stop_deployed};
pub(crate) use kept::{Kept, Role, kept};
pub(crate) use logs::{Log, Writer, logs};
pub(crate) use series::SeriesQuestion;

use crate::app::Shared;
use esclusa_drivers::run::{RunDriver, RunSettings};
use esclusa_engine::Completion;
use esclusa_release::{Release, Service, Task, TaskEnd};
use esclusa_shim::ShimCommand;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

pub(crate) use steps::end_cancelled;

/// One of each driver for the program's life: they serialise what must not overlap.
pub(crate) struct Drivers {
    run: BTreeMap<String, Arc<dyn RunDriver>>,
    shim: ShimCommand,
}

impl Drivers {
    pub(crate) fn new(settings: &RunSettings) -> Self {
        let run = esclusa_drivers::catalog()
            .run
            .iter()
            .filter_map(|entry| {
                let driver = esclusa_drivers::run::driver(&entry.name, settings)?;
                Some((entry.name.clone(), driver))
            })
            .collect();
        Self {
            run,
            shim: settings.shim.clone(),
        }
    }

    /// How supervisors are started.
    pub(crate) const fn shim(&self) -> &ShimCommand {
        &self.shim
    }

    pub(crate) fn run(&self, name: &str) -> Option<&Arc<dyn RunDriver>> {
        self.run.get(name)
    }
}

/// Everything a task may look at: copies, so that it runs beside the actor.
#[derive(Clone)]
pub(crate) struct TaskContext {
    pub shared: Arc<Shared>,
    pub release: Release,
    pub service: Service,
    pub cookie_key: String,
}

impl TaskContext {
    pub(crate) fn base_dir(&self) -> PathBuf {
        PathBuf::from(&self.release.requested.base_dir)
    }
}

/// Runs a task to its end. Dropping the future cancels it.
pub(crate) async fn perform(context: TaskContext, task: Task) -> Completion {
    match task {
        Task::Prepare => deploy::prepare(&context).await,
        Task::Deploy => deploy::deploy(&context).await,
        Task::StopCanary => deploy::stop_canary(&context).await,
        Task::Check(index) => checks::check(&context, index).await,
        Task::Before(_) | Task::After(_) | Task::UndoBefore(_) | Task::UndoAfter(_) => {
            steps::step(&context, task).await
        }
        Task::WarmUp(index) => warm_up::warm_up(&context, index).await,
        Task::HandOver => hand_over::hand_over(&context).await,
        Task::HandBack => hand_over::hand_back(&context).await,
        // The actor does these itself, because it alone writes the service's stream.
        Task::RecordStable | Task::RestoreStable | Task::RecordFlags | Task::RestoreFlags => {
            failed("records are made by the service's actor")
        }
    }
}

pub(crate) fn done(note: impl Into<String>) -> Completion {
    Completion::Ended(TaskEnd::Done { note: note.into() })
}

pub(crate) fn failed(reason: impl Into<String>) -> Completion {
    Completion::Ended(TaskEnd::Failed {
        reason: reason.into(),
    })
}

/// A driver's error with the last lines it said.
pub(crate) fn driver_reason(error: &esclusa_drivers::DriverError) -> String {
    if error.output.is_empty() {
        error.message.clone()
    } else {
        format!(
            "{}; its last lines: {}",
            error.message,
            error.output.trim_end()
        )
    }
}
