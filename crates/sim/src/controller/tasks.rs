//! Starts the tasks that the state asks for, and cancels those that it does not.

use super::Controller;
use crate::fact::{Fact, Point};
use crate::outside::{Died, Due, Outside};
use crate::plans::literal;
use crate::work::lasting_end;
use esclusa_engine::{Completion, desired};
use esclusa_flags::{Change, Patch};
use esclusa_model::{ReleaseId, VersionRef};
use esclusa_release::{Deployed, DeployedComponent, Event, Release, ServiceEvent, Task, TaskEnd};

impl Controller {
    /// Starts what should run and does not.
    pub(super) fn start_tasks(
        &mut self,
        out: &mut Outside,
        wanted: &[(Task, u32)],
    ) -> Result<(), Died> {
        for &(task, attempt) in wanted {
            let Some(run) = &mut self.run else {
                return Ok(());
            };
            if is_record(task) || run.running.contains_key(&task) || run.cancelled.contains(&task) {
                continue;
            }
            let release = run.id().clone();
            out.boundary(self.epoch, Point::BeforeTask(task, attempt))?;
            run.running.insert(task, attempt);
            let work = out.work.begin(&release, task, attempt, self.epoch, out.now);
            out.fact(Fact::Began {
                epoch: self.epoch,
                release: release.clone(),
                task,
                attempt,
            });
            if let Some(ends_at) = lasting_end(&work, out.now) {
                out.at(ends_at, Due::WorkEnds(release, task, work.number));
            }
            out.boundary(self.epoch, Point::AfterTask(task, attempt))?;
        }
        Ok(())
    }

    /// Cancels every task that the state does not ask for any more.
    pub(super) fn cancel_unwanted(
        &mut self,
        out: &mut Outside,
        wanted: &[(Task, u32)],
    ) -> Result<(), Died> {
        let Some(run) = &mut self.run else {
            return Ok(());
        };
        let unwanted: Vec<Task> = run
            .running
            .iter()
            .filter(|(task, attempt)| !wanted.contains(&(**task, **attempt)))
            .map(|(task, _)| *task)
            .collect();
        for task in unwanted {
            out.boundary(self.epoch, Point::BeforeCancel(task))?;
            run.running.remove(&task);
            run.cancelled.insert(task);
            let release = run.release.requested.release.clone();
            out.work.cancel(&release, task);
            out.fact(Fact::Cancelled(task));
            if let Some(takes) = out.work.cancel_takes {
                let due = Due::Gone {
                    epoch: self.epoch,
                    release,
                    task,
                };
                out.soon(takes, due);
            }
            out.boundary(self.epoch, Point::AfterCancel(task))?;
        }
        Ok(())
    }

    /// Records in the service's own stream, which nobody else may write.
    pub(super) fn keep_records(&mut self, out: &mut Outside) -> Result<(), Died> {
        let Some(run) = &self.run else { return Ok(()) };
        let wanted = desired(&run.release).running;
        let release = run.id().clone();
        for (task, attempt) in wanted.into_iter().filter(|(task, _)| is_record(*task)) {
            let completion = match task {
                Task::RecordStable => self.record_stable(out)?,
                Task::RestoreStable => self.restore_stable(out)?,
                Task::RecordFlags => self.record_flags(out)?,
                Task::RestoreFlags => self.restore_flags(out)?,
                _ => continue,
            };
            self.completed(out, &release, task, attempt, completion)?;
        }
        Ok(())
    }

    fn record_stable(&mut self, out: &mut Outside) -> Result<Completion, Died> {
        let Some(run) = &self.run else {
            return Ok(failed("no release is under way".into()));
        };
        let id = run.id().clone();
        if self.service.stable_is_of(&id) {
            return Ok(done());
        }
        let Some(stable) = deployed(&run.release) else {
            return Ok(failed("no version is stored".into()));
        };
        let event = ServiceEvent::StableChanged {
            release: id,
            stable: Box::new(stable),
            keep_warm: run.release.requested.plan.keep_warm,
        };
        self.record(out, event)
    }

    fn restore_stable(&mut self, out: &mut Outside) -> Result<Completion, Died> {
        let Some(run) = &self.run else {
            return Ok(failed("no release is under way".into()));
        };
        let release = run.id().clone();
        if !self.service.stable_is_of(&release) {
            return Ok(done());
        }
        let event = if self.service.warm.is_some() {
            ServiceEvent::StableRestored { release }
        } else {
            ServiceEvent::StableWithdrawn { release }
        };
        self.record(out, event)
    }

    /// What is going to be changed is recorded first, so that it can be taken back.
    fn record_flags(&mut self, out: &mut Outside) -> Result<Completion, Died> {
        let Some(run) = &self.run else {
            return Ok(failed("no release is under way".into()));
        };
        let id = run.id().clone();
        if out.store.flags.as_ref() == Some(&id) {
            return Ok(done());
        }
        if run.release.flags_change.is_none() {
            let event = Event::FlagsChange { patch: change() };
            if let Err(why) = self.commit(out, vec![event], &literal("engine"))? {
                return Ok(failed(why));
            }
        }
        self.keep_flags(out, id, true)
    }

    fn restore_flags(&mut self, out: &mut Outside) -> Result<Completion, Died> {
        let Some(run) = &self.run else {
            return Ok(failed("no release is under way".into()));
        };
        let id = run.id().clone();
        if out.store.flags.as_ref() != Some(&id) {
            return Ok(done());
        }
        self.keep_flags(out, id, false)
    }

    fn keep_flags(
        &self,
        out: &mut Outside,
        release: ReleaseId,
        kept: bool,
    ) -> Result<Completion, Died> {
        let what = if kept {
            "the flags"
        } else {
            "the flags as they were"
        }
        .to_owned();
        out.boundary(self.epoch, Point::BeforeRecord(what.clone()))?;
        let flags = kept.then(|| release.clone());
        if let Err(why) = out.store.keep_flags(self.epoch, flags) {
            return Ok(failed(why.to_string()));
        }
        out.fact(Fact::FlagsKept {
            epoch: self.epoch,
            release,
            kept,
        });
        out.boundary(self.epoch, Point::AfterRecord(what))?;
        Ok(done())
    }

    fn record(&mut self, out: &mut Outside, event: ServiceEvent) -> Result<Completion, Died> {
        Ok(match self.commit_service(out, event, &literal("engine"))? {
            Ok(()) => done(),
            Err(why) => failed(why),
        })
    }
}

const fn is_record(task: Task) -> bool {
    matches!(
        task,
        Task::RecordStable | Task::RestoreStable | Task::RecordFlags | Task::RestoreFlags
    )
}

const fn done() -> Completion {
    Completion::Ended(TaskEnd::Done {
        note: String::new(),
    })
}

const fn failed(reason: String) -> Completion {
    Completion::Ended(TaskEnd::Failed { reason })
}

/// What the end of a release changes in the flag set.
fn change() -> Patch {
    let on = serde_json::json!({ "default": "on" });
    Patch {
        revision: 1,
        changes: vec![Change {
            path: "/flags/exec-reports/environments".into(),
            before: None,
            after: Some(serde_json::json!({ "production": on })),
        }],
    }
}

/// A release's version as it runs once it is stable.
fn deployed(release: &Release) -> Option<Deployed> {
    let version: VersionRef = release.version.clone()?;
    Some(Deployed {
        version,
        release: Some(release.requested.release.clone()),
        plan: release.requested.plan.clone(),
        base_dir: release.requested.base_dir.clone(),
        components: release
            .components
            .iter()
            .map(|(name, digest)| (name.clone(), DeployedComponent { digest: *digest }))
            .collect(),
        instances: release.instances.clone(),
    })
}
