//! Makes the dial show what the state asks for, and reads it back.

use super::run::Call;
use super::{Message, ServiceActor};
use crate::clock;
use crate::routing::service_route;
use crate::world::DriverDial;
use esclusa_engine::{DialReading, DialState, desired};
use esclusa_model::{BasisPoints, Millis, ReleaseId};
use esclusa_release::Exposure;
use esclusa_wire::ServiceRoute;

/// Pause between two questions of the same content.
const ASK_EVERY: Millis = Millis(250);
/// How old a reading may grow before the dial is read again.
const READ_EVERY: Millis = Millis(1_000);
/// Both for a release that is over: nothing follows from what is read any more, it is
/// only kept so.
const REST_EVERY: Millis = Millis(10_000);

impl ServiceActor {
    /// Makes the world match the state: tasks, then the dial.
    pub(super) fn reconcile(&mut self) {
        let Some(run) = &mut self.run else { return };
        let wanted = desired(&run.release);
        run.cancel_unwanted(&wanted.running);
        self.turn_dial(&wanted.exposure);
        self.start_tasks(&wanted.running);
    }

    fn turn_dial(&mut self, exposure: &Exposure) {
        let Some(run) = &self.run else { return };
        let (service, release) = (self.placed_service(), self.placed_release(&run.release));
        let route = service_route(&service, Some(&release), exposure, &self.cookie_key);
        let built_in = run.release.requested.plan.traffic.driver == "proxy";
        let call = run.dial.next_call(exposure);
        let ask = if built_in {
            None
        } else {
            DriverDial::new(&service, &release, call == Call::Set)
        };
        let Some(run) = &mut self.run else { return };
        let turns = &mut self.turns;
        let (read_every, ask_every) = if run.is_at_rest() {
            (REST_EVERY, REST_EVERY)
        } else {
            (READ_EVERY, ASK_EVERY)
        };
        if run.dial.asking.as_ref() == Some(exposure) && run.dial.route == route {
            return;
        }
        let fresh = run.dial.reading.as_ref().is_some_and(|reading| {
            reading.asked == *exposure
                && reading.state == DialState::Converged
                && clock::now().since(reading.at) < read_every
                && reading.at >= run.release.phase_since
        });
        if fresh && run.dial.route == route {
            return;
        }
        // A dial that does not answer is not asked the same thing in a loop.
        let repeated = run.dial.route == route
            && run
                .dial
                .reading
                .as_ref()
                .is_some_and(|reading| reading.asked == *exposure);
        if repeated && clock::now().since(run.dial.asked_at) < ask_every {
            return;
        }
        run.dial.asking = Some(exposure.clone());
        run.dial.route.clone_from(&route);
        run.dial.asked_at = clock::now();
        let release = run.id().clone();
        let (own, shared) = (self.own.clone(), self.shared.clone());
        let asked = exposure.clone();
        let turn = turns.give();
        if built_in {
            let service = self.service.name.clone();
            tokio::spawn(async move {
                let Some(_turn) = turn.take().await else {
                    return;
                };
                let reading = ask_proxy(&shared, &service, &release, route, asked).await;
                let _ = own.send(Message::Dialled(release, reading)).await;
            });
            return;
        }
        let Some(ask) = ask else { return };
        run.dial.call = call;
        tokio::spawn(async move {
            let Some(_turn) = turn.take().await else {
                return;
            };
            let reading = ask.ask(asked).await;
            let _ = own.send(Message::Dialled(release, reading)).await;
        });
    }

    /// A dial's answer. One to an older question is only a sign that it answers.
    pub(super) fn dialled(&mut self, release: &ReleaseId, reading: DialReading) {
        let Some(run) = self.run.as_mut().filter(|run| run.id() == release) else {
            return;
        };
        if run.dial.asking.as_ref() == Some(&reading.asked) {
            run.dial.asking = None;
        }
        if reading.asked == run.release.exposure() {
            let known = run.dial.reading.as_ref();
            let same = known.is_some_and(|known| known.asked == reading.asked);
            run.dial.taken = match run.dial.call {
                Call::Set => reading.state != DialState::Unknown,
                Call::Read => same && run.dial.taken,
            };
            run.dial.reading = Some(reading);
        }
    }
}

async fn ask_proxy(
    shared: &crate::app::Shared,
    service: &esclusa_model::ServiceName,
    release: &ReleaseId,
    route: Option<ServiceRoute>,
    asked: Exposure,
) -> DialReading {
    let share = asked.share;
    let listen = route.as_ref().map(|route| route.listen.clone());
    let (achieved, state, generation, detail) = match shared.dataplane.publish(service, route).await
    {
        // Its own return is not undone by telling it the same again.
        Ok(_) | Err(_) if share.get() > 0 && shared.dataplane.returned(release) => {
            let detail = "the proxy has taken the share back by itself".to_owned();
            (Some(BasisPoints::ZERO), DialState::Pending, None, detail)
        }
        Ok(generation) => {
            let shut = listen.and_then(|listen| {
                let why = shared.dataplane.listen_error(&listen)?;
                Some(format!("the proxy cannot listen on {listen}: {why}"))
            });
            match shut {
                // Nobody is exposed there, and nobody is served either.
                Some(detail) if share.get() > 0 => {
                    (None, DialState::Pending, Some(generation), detail)
                }
                _ => {
                    let detail = format!("generation {generation} is in force");
                    (Some(share), DialState::Converged, Some(generation), detail)
                }
            }
        }
        Err(error) => (None, DialState::Unknown, None, error.to_string()),
    };
    DialReading {
        asked,
        achieved,
        state,
        generation,
        reached: None,
        detail,
        at: clock::now(),
    }
}
