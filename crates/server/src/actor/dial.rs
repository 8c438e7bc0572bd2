//! Makes the dial show what the state asks for, and reads it back.

use super::run::{Call, Wanted};
use super::{Message, ServiceActor};
use crate::clock;
use crate::rollouts::{FlagPlane, Turned, reached, turned, unknown_segments};
use crate::routing::service_route;
use crate::world::DriverDial;
use esclusa_engine::{DialReading, DialState, desired};
use esclusa_flags::FlagSet;
use esclusa_model::{BasisPoints, Millis, ReleaseId, ServiceName};
use esclusa_plan::FlagTurns;
use esclusa_release::Exposure;
use esclusa_wire::ServiceRoute;
use std::sync::Arc;

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
        let set = self.shared.flag_plane.set().unwrap_or_default();
        let wanted = Wanted {
            route: service_route(&service, Some(&release), exposure, &self.cookie_key),
            turned: turned(&release, exposure, &set),
        };
        let missing = unknown_segments(&release, exposure, &set);
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
        if run.dial.asking.as_ref() == Some(exposure) && run.dial.wanted == wanted {
            return;
        }
        let fresh = run.dial.reading.as_ref().is_some_and(|reading| {
            reading.asked == *exposure
                && reading.state == DialState::Converged
                && clock::now().since(reading.at) < read_every
                && reading.at >= run.release.phase_since
        });
        if fresh && run.dial.wanted == wanted {
            return;
        }
        // A dial that does not answer is not asked the same thing in a loop.
        let repeated = run.dial.wanted == wanted
            && run
                .dial
                .reading
                .as_ref()
                .is_some_and(|reading| reading.asked == *exposure);
        if repeated && clock::now().since(run.dial.asked_at) < ask_every {
            return;
        }
        run.dial.asking = Some(exposure.clone());
        run.dial.wanted = wanted.clone();
        run.dial.asked_at = clock::now();
        let release = run.id().clone();
        let (own, shared) = (self.own.clone(), self.shared.clone());
        let asked = exposure.clone();
        let turn = turns.give();
        let flags = FlagTurn {
            plane: self.shared.flag_plane.clone(),
            service: self.service.name.clone(),
            missing,
            flags: run.release.requested.plan.flags.clone(),
            // A service that turns nothing says so once.
            told: self.flags_told && run.release.requested.plan.flags.is_none(),
            turned: wanted.turned,
            set,
        };
        self.flags_told = true;
        let route = wanted.route;
        let no_split = route.is_none() && run.release.flags_alone().is_some();
        if no_split {
            tokio::spawn(async move {
                let Some(_turn) = turn.take().await else {
                    return;
                };
                let reading = flags.then(asked.clone(), async { nothing_to_split(asked) });
                let reading = reading.await;
                let _ = own.send(Message::Dialled(release, reading)).await;
            });
            return;
        }
        if built_in {
            let service = self.service.name.clone();
            tokio::spawn(async move {
                let Some(_turn) = turn.take().await else {
                    return;
                };
                let split = ask_proxy(&shared, &service, &release, route, asked.clone());
                let reading = flags.then(asked, split).await;
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
            let reading = flags.then(asked.clone(), ask.ask(asked)).await;
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

/// The flags' side of a dial.
struct FlagTurn {
    plane: Arc<dyn FlagPlane>,
    service: ServiceName,
    turned: Turned,
    set: Arc<FlagSet>,
    flags: Option<FlagTurns>,
    /// Segments that are to be exposed and are not there any more.
    missing: Vec<String>,
    /// Whether nothing is turned, and that was said.
    told: bool,
}

impl FlagTurn {
    /// Raising: flags serve it before requests are split by it. Lowering: both at once,
    /// neither waits for the other. It is read back where both are.
    async fn then(self, asked: Exposure, split: impl Future<Output = DialReading>) -> DialReading {
        if self.told {
            return split.await;
        }
        let turning = self.plane.turn(&self.service, self.turned.clone());
        if asked.is_nobody() {
            let (turned, reading) = tokio::join!(turning, split);
            return match turned {
                Ok(()) => reading,
                Err(why) => not_turned(asked, &why),
            };
        }
        if let Err(why) = turning.await {
            return not_turned(asked, &why);
        }
        let mut reading = split.await;
        if let Some(gone) = self.missing.first() {
            reading.state = DialState::Pending;
            reading.achieved = None;
            reading.detail = format!("the flag set has no segment {gone} any more");
        }
        let flags = self.flags.as_ref();
        reading.reached = flags.and_then(|flags| reached(flags, &self.set, &self.turned));
        reading
    }
}

/// Where no request of the service comes through our proxy, flags are the whole dial.
fn nothing_to_split(asked: Exposure) -> DialReading {
    DialReading {
        achieved: Some(asked.share),
        asked,
        state: DialState::Converged,
        generation: None,
        reached: None,
        detail: "the flags are in force; no request is split by them".to_owned(),
        at: clock::now(),
    }
}

fn not_turned(asked: Exposure, why: &str) -> DialReading {
    DialReading {
        asked,
        achieved: None,
        state: DialState::Unknown,
        generation: None,
        reached: None,
        detail: format!("the flags are not in force: {why}"),
        at: clock::now(),
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
