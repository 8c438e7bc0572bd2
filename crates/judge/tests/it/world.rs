//! A small service with hosts, routes, bursts and planted faults, for tests and
//! simulations. Deterministic: the same seed gives the same seconds.

use esclusa_judge::{
    Cell, Comparable, Decision, EventClass, Histogram, Judge, JudgeConfig, ProxyCell, Second,
    StageInfo,
};
use esclusa_model::{BasisPoints, Digest, InstanceId, ProxyId};
use std::collections::BTreeMap;

/// SplitMix64: small, fast, and good enough to simulate traffic.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5851_F42D_4C95_7F2D)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn happens(&mut self, chance: f64) -> bool {
        chance > 0.0 && self.unit() < chance
    }

    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.unit()));
        radius * libm::cos(core::f64::consts::TAU * self.unit())
    }

    fn poisson(&mut self, mean: f64) -> u64 {
        if mean > 30.0 {
            return libm::round(mean + libm::sqrt(mean) * self.normal()).max(0.0) as u64;
        }
        let (limit, mut product, mut count) = (libm::exp(-mean), self.unit(), 0);
        while product > limit {
            product *= self.unit();
            count += 1;
        }
        count
    }
}

/// Bursts of failures on single hosts, of either version alike.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bursts {
    /// Mean seconds between two bursts of one host.
    pub(crate) every_s: f64,
    pub(crate) seconds: (f64, f64),
    /// Part of the host's requests that fail meanwhile.
    pub(crate) rate: (f64, f64),
}

/// What is planted, and from which second of the stage on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Plant {
    /// The canary fails this part of its requests.
    Errors(f64),
    /// The same on one route only.
    ErrorsOn(usize, f64),
    /// The canary answers 404.
    NotFound(f64),
    /// The canary is so many times slower.
    Slow(f64),
    /// One route of it is.
    SlowOn(usize, f64),
    /// This part of its requests is so many times slower.
    Tail(f64, f64),
    /// It is so many times slower at first, and recovers with this time constant.
    Cold(f64, f64),
    /// It answers nothing any more.
    Hang,
    /// Both versions fail this part and are so many times slower.
    Shared(f64, f64),
    /// The canary's mix of routes differs.
    Mix,
    /// Nobody is sent to the canary.
    NoCanary,
    /// No proxy reports.
    Silence,
}

/// Whether slices name the host that served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Instances {
    Untold,
    Told,
}

#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) rps: f64,
    pub(crate) share: f64,
    pub(crate) next_share: f64,
    pub(crate) hosts: u32,
    pub(crate) pre_roll_s: i64,
    pub(crate) duration_s: i64,
    pub(crate) error_rate: f64,
    pub(crate) bursts: Option<Bursts>,
    pub(crate) plants: Vec<(i64, Plant)>,
    pub(crate) comparable: Comparable,
    pub(crate) instances: Instances,
}

impl Default for World {
    fn default() -> Self {
        Self {
            seed: 1,
            rps: 100.0,
            share: 0.25,
            next_share: 0.5,
            hosts: 20,
            pre_roll_s: 120,
            duration_s: 300,
            error_rate: 0.001,
            bursts: None,
            plants: Vec::new(),
            comparable: Comparable::Random,
            instances: Instances::Untold,
        }
    }
}

/// Route, part of the traffic, median in microseconds.
const ROUTES: [(&str, f64, f64); 4] = [
    ("GET /item", 0.55, 12_000.0),
    ("GET /search", 0.25, 45_000.0),
    ("POST /cart", 0.15, 80_000.0),
    ("GET /export", 0.05, 400_000.0),
];
const OTHER_MIX: [f64; 4] = [0.35, 0.25, 0.20, 0.20];

pub(crate) fn stable() -> Digest {
    Digest::of(b"stable")
}

pub(crate) fn canary() -> Digest {
    Digest::of(b"canary")
}

pub(crate) fn share(part: f64) -> BasisPoints {
    BasisPoints::new(libm::round(part * 10_000.0) as u16).expect("a share")
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) rollback: Option<(i64, String)>,
    pub(crate) label: Option<String>,
    pub(crate) proceed: Option<i64>,
    /// The first failed canary request.
    pub(crate) first_failure: Option<i64>,
    /// Codes of all reasons, with the seconds in which they stood.
    pub(crate) reasons: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Burst {
    until: f64,
    rate: f64,
}

/// When and where a request is served.
#[derive(Debug, Clone, Copy)]
struct Place {
    t: i64,
    age: i64,
    side: usize,
    route: usize,
    median: f64,
    host: usize,
}

/// The world as it runs.
#[derive(Debug, Clone)]
pub(crate) struct Traffic {
    world: World,
    rng: Rng,
    hosts: Vec<Burst>,
    hanging: Vec<(usize, i64)>,
    proxy: ProxyId,
}

impl World {
    pub(crate) fn traffic(&self) -> Traffic {
        Traffic {
            world: self.clone(),
            rng: Rng::new(self.seed),
            hosts: vec![
                Burst {
                    until: f64::NEG_INFINITY,
                    rate: 0.0
                };
                2 * self.hosts as usize
            ],
            hanging: Vec::new(),
            proxy: ProxyId::new("p1").expect("a valid id"),
        }
    }

    pub(crate) fn stage(&self) -> StageInfo {
        StageInfo {
            entered_at_s: 0,
            share: share(self.share),
            next_share: share(self.next_share),
            min_watch_s: 60,
            comparable: self.comparable,
            chosen: false,
        }
    }

    /// Runs to the end of the stage, or to a return.
    pub(crate) fn run(&self, config: &JudgeConfig) -> Outcome {
        let mut judge = Judge::new(config.clone(), stable(), canary());
        let mut traffic = self.traffic();
        let mut outcome = Outcome {
            rollback: None,
            label: None,
            proceed: None,
            first_failure: None,
            reasons: BTreeMap::new(),
        };
        for t in -self.pre_roll_s..self.duration_s {
            if t == 0 {
                judge.enter_stage(self.stage());
            }
            let second = traffic.second(t);
            let failed = second
                .cells
                .iter()
                .any(|c| c.cell.intended == canary() && c.cell.failures() > 0);
            if failed && self.harm_from().is_some_and(|from| t >= from) {
                outcome.first_failure.get_or_insert(t);
            }
            judge.tick(&second);
            let verdict = judge.verdict();
            if t >= 0 {
                *outcome.reasons.entry(verdict.reason.code()).or_default() += 1;
            }
            match verdict.decision {
                Decision::Rollback => {
                    outcome.label = verdict.causes.first().map(|c| format!("{:?}", c.label));
                    outcome.rollback = Some((t, verdict.reason.code()));
                    return outcome;
                }
                Decision::Proceed => {
                    outcome.proceed.get_or_insert(t);
                }
                Decision::Hold => {}
            }
        }
        outcome
    }

    pub(crate) fn harm_from(&self) -> Option<i64> {
        self.plants.iter().map(|(from, _)| *from).min()
    }
}

impl Traffic {
    /// The next second; call with rising `t`.
    pub(crate) fn second(&mut self, t: i64) -> Second {
        let plants: Vec<Plant> = self
            .world
            .plants
            .iter()
            .filter(|(from, _)| t >= *from)
            .map(|(_, p)| *p)
            .collect();
        let started: i64 = self.world.harm_from().unwrap_or(0);
        self.roll_bursts(t);
        let share = if t < 0 || plants.iter().any(|p| matches!(p, Plant::NoCanary)) {
            0.0
        } else {
            self.world.share
        };
        let mut cells = Vec::new();
        for (side, version, part) in [(0, stable(), 1.0 - share), (1, canary(), share)] {
            if part == 0.0 {
                continue;
            }
            // Hosts serve in proportion to the share; at least one.
            let hosts = (libm::round(f64::from(self.world.hosts) * part) as usize).max(1);
            for (route, (name, weight, median)) in ROUTES.iter().enumerate() {
                let mixed = side == 1 && plants.iter().any(|p| matches!(p, Plant::Mix));
                let weight = if mixed { OTHER_MIX[route] } else { *weight };
                let n = self.rng.poisson(self.world.rps * part * weight);
                let mut on_hosts = vec![empty(version, name); if self.told() { hosts } else { 1 }];
                for _ in 0..n {
                    let number = (self.rng.unit() * hosts as f64) as usize;
                    let place = Place {
                        t,
                        age: t - started,
                        side,
                        route,
                        median: *median,
                        host: side * self.world.hosts as usize + number,
                    };
                    let told = if self.told() { number } else { 0 };
                    self.request(&mut on_hosts[told], place, &plants);
                }
                self.hanging.retain(|(r, since)| {
                    let here = side == 1 && *r == route;
                    if here {
                        let age_us = ((t - since) as u64) * 1_000_000 + 500_000;
                        on_hosts[0].pending.record(age_us);
                    }
                    !here || t - since < 30
                });
                for (number, mut cell) in on_hosts.into_iter().enumerate() {
                    let name = format!("v{side}-{number}");
                    cell.instance = self
                        .told()
                        .then(|| InstanceId::new(name).expect("a valid id"));
                    cells.push(ProxyCell {
                        proxy: self.proxy.clone(),
                        cell,
                    });
                }
            }
        }
        let heard = !plants.iter().any(|p| matches!(p, Plant::Silence));
        if !heard {
            cells.clear();
        }
        Second { t, cells, heard }
    }

    fn told(&self) -> bool {
        self.world.instances == Instances::Told
    }

    fn request(&mut self, cell: &mut Cell, place: Place, plants: &[Plant]) {
        let Place {
            t,
            age,
            side,
            route,
            median,
            host,
        } = place;
        let mut fails = self.world.error_rate;
        let mut factor = 1.0;
        for plant in plants {
            match plant {
                Plant::Shared(rate, slower) => {
                    fails += rate;
                    factor *= slower;
                }
                _ if side == 0 => {}
                Plant::Errors(rate) => fails += rate,
                Plant::ErrorsOn(on, rate) if *on == route => fails += rate,
                Plant::Slow(slower) => factor *= slower,
                Plant::SlowOn(on, slower) if *on == route => factor *= slower,
                Plant::Tail(part, slower) if self.rng.happens(*part) => factor *= slower,
                Plant::Cold(slower, fades_s) => {
                    factor *= 1.0 + (slower - 1.0) * libm::exp(-(age.max(0) as f64) / fades_s);
                }
                Plant::NotFound(rate) if self.rng.happens(*rate) => {
                    *cell.events.entry(EventClass::ClientError).or_default() += 1;
                }
                Plant::Hang => {
                    self.hanging.push((route, t));
                    return;
                }
                _ => {}
            }
        }
        cell.requests += 1;
        let burst = self.hosts[host].rate;
        if self.rng.happens(fails.min(1.0)) || self.rng.happens(burst) {
            *cell.events.entry(EventClass::ServerError).or_default() += 1;
            return;
        }
        let slow = if self.rng.happens(0.02) { 3.0 } else { 1.0 };
        let spread = libm::exp(0.35 * self.rng.normal());
        cell.latency
            .record((median * spread * slow * factor) as u64);
    }

    fn roll_bursts(&mut self, t: i64) {
        let Some(bursts) = self.world.bursts else {
            return;
        };
        for host in &mut self.hosts {
            if host.until <= t as f64 {
                host.rate = 0.0;
                if self.rng.happens(1.0 / bursts.every_s) {
                    host.until = t as f64 + self.rng.between(bursts.seconds.0, bursts.seconds.1);
                    host.rate = self.rng.between(bursts.rate.0, bursts.rate.1);
                }
            }
        }
    }
}

pub(crate) fn empty(version: Digest, route: &str) -> Cell {
    Cell {
        intended: version,
        served: Some(version),
        route: route.to_owned(),
        instance: None,
        synthetic: false,
        requests: 0,
        events: BTreeMap::new(),
        latency: Histogram::default(),
        pending: Histogram::default(),
        units: Vec::new(),
    }
}
