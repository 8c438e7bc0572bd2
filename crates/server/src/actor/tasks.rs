//! Starts the tasks that the state asks for, and does those only the actor can do.

use super::journal::CommitError;
use super::{Message, ServiceActor};
use crate::actor::observe::system;
use crate::actor::run::Running;
use crate::actor::tend::moves_instances;
use crate::world::{TaskContext, deployed, done, end_cancelled, failed, perform};
use esclusa_engine::Completion;
use esclusa_release::{ServiceEvent, Task};

impl ServiceActor {
    /// Starts what should run and does not.
    pub(super) fn start_tasks(&mut self, wanted: &[(Task, u32)]) {
        for &(task, attempt) in wanted {
            let Some(run) = &mut self.run else { return };
            if is_record(task) || run.running.contains_key(&task) || run.cancelled.contains(&task) {
                continue;
            }
            // It is done, only not recorded: it must not be done twice for that.
            if run
                .finished
                .get(&task)
                .is_some_and(|(ended, _)| *ended == attempt)
            {
                continue;
            }
            // One start of an instance at a time, so that what stops it comes after.
            if moves_instances(task) && self.care.is_starting() {
                continue;
            }
            let mut release = run.release.clone();
            self.care.place(&mut release.instances);
            let mut service = self.service.clone();
            if let Some(stable) = &mut service.stable {
                self.care.place(&mut stable.instances);
            }
            let context = TaskContext {
                shared: self.shared.clone(),
                release,
                service,
                cookie_key: self.cookie_key.clone(),
            };
            let release = run.id().clone();
            let own = self.own.clone();
            let leftover = context.clone();
            let work = tokio::spawn(perform(context, task));
            run.running.insert(
                task,
                Running {
                    attempt,
                    abort: work.abort_handle(),
                },
            );
            tokio::spawn(async move {
                let message = match work.await {
                    Ok(completion) => Message::Completed(release, task, attempt, completion),
                    Err(error) if error.is_cancelled() => {
                        end_cancelled(&leftover, task, attempt).await;
                        Message::Gone(release, task)
                    }
                    Err(error) => {
                        let completion = failed(format!("a fault of esclusa itself: {error}"));
                        Message::Completed(release, task, attempt, completion)
                    }
                };
                // The actor lives as long as the program.
                let _ = own.send(message).await;
            });
        }
    }

    /// Records in the service's own stream, which nobody else may write.
    pub(super) async fn keep_records(&mut self) {
        let Some(run) = &self.run else { return };
        let wanted = esclusa_engine::desired(&run.release).running;
        let release = run.id().clone();
        for (task, attempt) in wanted.into_iter().filter(|(task, _)| is_record(*task)) {
            if self
                .run
                .as_ref()
                .is_some_and(|run| run.finished.contains_key(&task))
            {
                continue;
            }
            let completion = match task {
                Task::RecordStable => self.record_stable().await,
                Task::RestoreStable => self.restore_stable().await,
                Task::RecordFlags => self.record_flags().await,
                Task::RestoreFlags => self.restore_flags().await,
                _ => continue,
            };
            match completion {
                Ok(completion) => self.completed(&release, task, attempt, completion),
                // The store is asked again at the next turn.
                Err(error @ (CommitError::Store(_) | CommitError::Broken)) => {
                    self.not_stored(&error);
                }
                Err(error) => {
                    self.completed(&release, task, attempt, failed(error.to_string()));
                }
            }
        }
    }

    async fn record_stable(&mut self) -> Result<Completion, CommitError> {
        let Some(run) = &self.run else {
            return Ok(failed("no release is under way"));
        };
        let id = run.id().clone();
        let keep_warm = run.release.requested.plan.keep_warm;
        if self.service.stable_is_of(&id) {
            return Ok(done("recorded before"));
        }
        let Some(stable) = deployed(&self.placed_release(&run.release)) else {
            return Ok(failed("no version is stored"));
        };
        let event = ServiceEvent::StableChanged {
            release: id,
            stable: Box::new(stable),
            keep_warm,
        };
        self.commit_service(event, &system("engine")).await?;
        Ok(done(""))
    }

    async fn restore_stable(&mut self) -> Result<Completion, CommitError> {
        let Some(run) = &self.run else {
            return Ok(failed("no release is under way"));
        };
        let release = run.id().clone();
        if !self.service.stable_is_of(&release) {
            return Ok(done("was not recorded, or restored before"));
        }
        let event = if self.service.warm.is_some() {
            ServiceEvent::StableRestored { release }
        } else {
            ServiceEvent::StableWithdrawn { release }
        };
        self.commit_service(event, &system("engine")).await?;
        Ok(done(""))
    }
}

const fn is_record(task: Task) -> bool {
    matches!(
        task,
        Task::RecordStable | Task::RestoreStable | Task::RecordFlags | Task::RestoreFlags
    )
}
