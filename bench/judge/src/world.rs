//! A simulated service: routes, hosts, users, and what goes wrong with them.

use crate::rng::Rng;
use esclusa_judge::{
    Cell, Comparable, EventClass, Histogram, MAX_BUCKET, ProxyCell, Second, StageInfo, bucket_of,
};
use esclusa_model::{BasisPoints, Digest, InstanceId, ProxyId};
use libm::{exp, pow, round, sin};
use std::collections::BTreeMap;

/// Requests of a group from which their latencies are sorted first.
const MANY: u64 = 40;

/// Whom something happens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The stable version.
    Baseline,
    /// The version that is judged.
    Canary,
    /// Both alike.
    Both,
}

impl Side {
    const fn hits(self, side: usize) -> bool {
        matches!(
            (self, side),
            (Self::Both, _) | (Self::Baseline, 0) | (Self::Canary, 1)
        )
    }
}

/// What happens.
#[derive(Debug, Clone, Copy)]
pub enum What {
    /// This part of the requests fails, beside those that fail anyway.
    Errors(f64),
    /// The same on one route.
    ErrorsOn(usize, f64),
    /// Responses take so many times longer.
    Slow(f64),
    /// The same on one route.
    SlowOn(usize, f64),
    /// This part of the responses takes so many times longer.
    Tail(f64, f64),
    /// So many times slower at first; the excess fades with this time constant.
    Cold(f64, f64),
    /// Slower by this part more every second.
    Leak(f64),
    /// Another mix of routes.
    Mix([f64; 4]),
    /// This part of the answers is of a class of its own.
    Class(EventClass, f64),
    /// This part of the requests is never answered.
    Hang(f64),
    /// Nobody is sent there.
    Pause,
    /// No proxy reports.
    Silence,
}

/// What happens, to whom, and when.
#[derive(Debug, Clone, Copy)]
pub struct Effect {
    /// To whom.
    pub side: Side,
    /// From which second of the release on.
    pub from: i64,
    /// Until which second, exclusive.
    pub to: i64,
    /// Repeats: so many seconds of every so many; always when nothing is given.
    pub of_every: Option<(i64, i64)>,
    /// What.
    pub what: What,
}

impl Effect {
    const fn acts(&self, t: i64) -> bool {
        let phase = match self.of_every {
            Some((seconds, period)) => (t - self.from).rem_euclid(period) < seconds,
            None => true,
        };
        t >= self.from && t < self.to && phase
    }
}

/// Bursts on single hosts of either version.
#[derive(Debug, Clone, Copy)]
pub struct Bursts {
    /// Mean seconds between two bursts of one host.
    pub every_s: f64,
    /// How long one lasts.
    pub seconds: (f64, f64),
    /// Part of the host's requests that fail meanwhile.
    pub rate: (f64, f64),
    /// How much slower its answers are meanwhile.
    pub slower: f64,
}

/// A user who stays where the split puts them.
#[derive(Debug, Clone, Copy)]
pub struct User {
    /// Part of the whole traffic.
    pub part: f64,
    /// Failure rate of this user's requests, on any version.
    pub fails: f64,
    /// How much slower this user's requests are, on any version.
    pub slower: f64,
    /// Failure rate on the canary beside that: a harm to this user alone.
    pub harmed: f64,
    /// Whether the split puts the user on the canary; drawn when nothing is given.
    pub on_canary: Option<bool>,
}

/// How load changes over time.
#[derive(Debug, Clone, Copy)]
pub enum Load {
    /// Constant.
    Even,
    /// Rises to so many times over this many seconds.
    Ramp(f64, f64),
    /// A wave of this period and relative height.
    Wave(f64, f64),
}

/// A service and its canary.
#[derive(Debug, Clone)]
pub struct World {
    /// Seed of the traffic.
    pub seed: u64,
    /// Requests a second.
    pub rps: f64,
    /// Changes of load.
    pub load: Load,
    /// Stages: from when, the canary's share, the share after it.
    pub stages: Vec<(i64, f64, f64)>,
    /// Hosts of the service.
    pub hosts: u32,
    /// Whether slices name hosts.
    pub told: bool,
    /// Seconds before the release.
    pub pre_roll_s: i64,
    /// Seconds of the release.
    pub duration_s: i64,
    /// Failure rate of both versions.
    pub error_rate: f64,
    /// Shape of the gamma distribution that failure rates follow in time, and whether
    /// both versions share it.
    pub uneven: Option<(f64, bool)>,
    /// A failed request is sent again, up to so often, with this chance to fail again.
    pub retries: Option<(u32, f64)>,
    /// Bursts on hosts.
    pub bursts: Option<Bursts>,
    /// Part of slow responses, and how much slower: a heavy tail or a cache that misses.
    pub slow_part: (f64, f64),
    /// Spread of the logarithm of latency.
    pub spread: f64,
    /// Users who stay where they are put.
    pub users: Vec<User>,
    /// Routes that only the canary has: part of its traffic, failure rate.
    pub new_route: Option<(f64, f64)>,
    /// What goes wrong.
    pub effects: Vec<Effect>,
    /// Whether the audience can be compared.
    pub comparable: Comparable,
}

impl Default for World {
    fn default() -> Self {
        Self {
            seed: 1,
            rps: 1_000.0,
            load: Load::Even,
            stages: vec![(0, 0.05, 0.25)],
            hosts: 20,
            told: false,
            pre_roll_s: 120,
            duration_s: 900,
            error_rate: 0.001,
            uneven: None,
            retries: None,
            bursts: None,
            slow_part: (0.0, 1.0),
            spread: 0.45,
            users: Vec::new(),
            new_route: None,
            effects: Vec::new(),
            comparable: Comparable::Random,
        }
    }
}

/// Route, part of the traffic, median in microseconds.
pub const ROUTES: [(&str, f64, f64); 5] = [
    ("GET /item", 0.55, 12_000.0),
    ("GET /search", 0.25, 35_000.0),
    ("POST /cart", 0.15, 80_000.0),
    ("GET /export", 0.05, 200_000.0),
    ("POST /next", 0.0, 40_000.0),
];

/// Digest of the stable version.
#[must_use]
pub fn stable() -> Digest {
    Digest::of(b"v1")
}

/// Digest of the canary.
#[must_use]
pub fn canary() -> Digest {
    Digest::of(b"v2")
}

#[derive(Debug, Clone, Copy)]
struct Host {
    until: f64,
    rate: f64,
    slower: f64,
}

/// A group of requests that are alike.
#[derive(Debug, Clone, Copy)]
struct Group {
    side: usize,
    route: usize,
    fails: f64,
    slower: f64,
}

/// What acts on one side and route at the moment.
#[derive(Debug, Clone, Copy)]
struct Weather {
    fails: f64,
    slower: f64,
    tail: (f64, f64),
    class: Option<(EventClass, f64)>,
    hangs: f64,
}

/// The world as it runs.
#[derive(Debug, Clone)]
pub struct Traffic {
    world: World,
    rng: Rng,
    hosts: Vec<Host>,
    users_on_canary: Vec<bool>,
    hanging: Vec<(usize, usize, i64)>,
    uneven: [f64; 2],
    /// Latencies of a group by bucket, before they are added to a cell.
    latencies: Vec<u64>,
    /// Quantiles of the spread of latency, so that one draw gives one latency.
    spread: Vec<f64>,
    proxy: ProxyId,
}

impl World {
    /// Its traffic from the first second of the pre-roll on.
    ///
    /// # Panics
    /// Never: the name of the proxy is a literal.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        let mut rng = Rng::new(self.seed);
        let first_share = self.stages.first().map_or(0.0, |s| s.1);
        let users_on_canary = self
            .users
            .iter()
            .map(|u| {
                let drawn = rng.happens(first_share);
                u.on_canary.unwrap_or(drawn)
            })
            .collect();
        let spread = (0..16_384)
            .map(|_| exp(self.spread * rng.normal()))
            .collect();
        Traffic {
            world: self.clone(),
            rng,
            hosts: vec![
                Host {
                    until: f64::NEG_INFINITY,
                    rate: 0.0,
                    slower: 1.0
                };
                2 * self.hosts as usize
            ],
            users_on_canary,
            hanging: Vec::new(),
            uneven: [1.0; 2],
            latencies: vec![0; usize::from(MAX_BUCKET) + 1],
            spread,
            #[expect(clippy::expect_used, reason = "a valid literal")]
            proxy: ProxyId::new("p1").expect("a valid id"),
        }
    }

    /// The stage that begins at `t`, if one does.
    #[must_use]
    pub fn stage_at(&self, t: i64) -> Option<StageInfo> {
        let (_, share, next) = self.stages.iter().find(|s| s.0 == t)?;
        Some(StageInfo {
            entered_at_s: t,
            share: basis_points(*share),
            next_share: basis_points(*next),
            min_watch_s: 60,
            comparable: self.comparable,
            chosen: false,
        })
    }

    /// The canary's share at `t`.
    #[must_use]
    pub fn share(&self, t: i64) -> f64 {
        let stage = self.stages.iter().rev().find(|s| s.0 <= t);
        stage.map_or(0.0, |s| s.1)
    }
}

/// A share in its own type.
///
/// # Panics
/// Never: the number is held between 0 and 10 000.
#[must_use]
pub fn basis_points(part: f64) -> BasisPoints {
    #[expect(clippy::expect_used, reason = "clamped to what is valid")]
    BasisPoints::new(round(part * 10_000.0).clamp(0.0, 10_000.0) as u16).expect("a share")
}

impl Traffic {
    /// The next second; call with rising `t`.
    pub fn second(&mut self, t: i64) -> Second {
        self.roll_hosts(t);
        if t.rem_euclid(5) == 0
            && let Some((shape, shared)) = self.world.uneven
        {
            self.uneven[0] = self.rng.gamma(shape);
            self.uneven[1] = if shared {
                self.uneven[0]
            } else {
                self.rng.gamma(shape)
            };
        }
        let active: Vec<Effect> = self
            .world
            .effects
            .iter()
            .filter(|e| e.acts(t))
            .copied()
            .collect();
        let share = self.world.share(t);
        let rps = self.world.rps * self.load(t);
        let mut cells = Vec::new();
        for side in 0..2 {
            let paused = active
                .iter()
                .any(|e| e.side.hits(side) && matches!(e.what, What::Pause));
            let part = if side == 1 { share } else { 1.0 - share };
            if part > 0.0 && !paused {
                self.serve(t, side, part, rps, &active, &mut cells);
            }
        }
        let heard = !active.iter().any(|e| matches!(e.what, What::Silence));
        if !heard {
            cells.clear();
        }
        Second { t, cells, heard }
    }

    fn load(&self, t: i64) -> f64 {
        match self.world.load {
            Load::Even => 1.0,
            Load::Ramp(times, seconds) => {
                1.0 + (times - 1.0) * (t as f64 / seconds).clamp(0.0, 1.0)
            }
            Load::Wave(period, height) => {
                1.0 + height * sin(core::f64::consts::TAU * t as f64 / period)
            }
        }
    }

    fn serve(
        &mut self,
        t: i64,
        side: usize,
        part: f64,
        rps: f64,
        active: &[Effect],
        cells: &mut Vec<ProxyCell>,
    ) {
        let hosts = (round(f64::from(self.world.hosts) * part) as usize).max(1);
        let mix = active
            .iter()
            .rev()
            .find_map(|e| match e.what {
                What::Mix(mix) if e.side.hits(side) => Some(mix),
                _ => None,
            })
            .unwrap_or([ROUTES[0].1, ROUTES[1].1, ROUTES[2].1, ROUTES[3].1]);
        let heavy: f64 = self.world.users.iter().map(|u| u.part).sum();
        for route in 0..ROUTES.len() {
            // The new route, which is the last one, has no usual part.
            let usual = mix.get(route).copied().unwrap_or_default();
            let (weight, fails) = match (self.world.new_route, route) {
                (Some((part, fails)), 4) if side == 1 => (part, fails),
                (Some((part, _)), _) if side == 1 && route < 4 => (usual * (1.0 - part), 0.0),
                (_, 4) => continue,
                _ => (usual, 0.0),
            };
            let weather = weather(t, side, route, active);
            let mut on_hosts = vec![empty(side, route); if self.world.told { hosts } else { 1 }];
            let everybody = Group {
                side,
                route,
                fails,
                slower: 1.0,
            };
            let n = self.rng.poisson(rps * part * (1.0 - heavy) * weight);
            self.requests(t, n, everybody, &weather, &mut on_hosts, hosts);
            for index in 0..self.world.users.len() {
                let user = self.world.users[index];
                let there = usize::from(t >= 0 && self.users_on_canary[index]);
                if there == side {
                    let n = self.rng.poisson(rps * user.part * weight);
                    let harmed = if side == 1 { user.harmed } else { 0.0 };
                    let group = Group {
                        side,
                        route,
                        fails: user.fails + harmed + fails,
                        slower: user.slower,
                    };
                    self.requests(t, n, group, &weather, &mut on_hosts, hosts);
                }
            }
            let mut ages = Histogram::default();
            self.hanging.retain(|(s, r, since)| {
                let here = *s == side && *r == route;
                if here {
                    ages.record(((t - since) as u64) * 1_000_000 + 500_000);
                }
                !here || t - since < 30
            });
            on_hosts[0].pending = ages;
            for (number, mut cell) in on_hosts.into_iter().enumerate() {
                if cell.requests == 0 && cell.pending.total() == 0 {
                    continue;
                }
                cell.instance = self
                    .world
                    .told
                    .then(|| InstanceId::new(format!("v{}-{number}", side + 1)).ok())
                    .flatten();
                cells.push(ProxyCell {
                    proxy: self.proxy.clone(),
                    cell,
                });
            }
        }
    }

    fn requests(
        &mut self,
        t: i64,
        n: u64,
        group: Group,
        weather: &Weather,
        on_hosts: &mut [Cell],
        hosts: usize,
    ) {
        let median = ROUTES[group.route].2 * group.slower * weather.slower;
        let (slow_part, slow) = self.world.slow_part;
        let alone = on_hosts.len() == 1 && n > MANY;
        let base = self.world.error_rate * self.uneven[group.side] + group.fails + weather.fails;
        for _ in 0..n {
            let number = (self.rng.unit() * hosts as f64) as usize;
            let host = self.hosts[group.side * self.world.hosts as usize + number];
            let cell = &mut on_hosts[if self.world.told { number } else { 0 }];
            if self.rng.happens(weather.hangs) {
                self.hanging.push((group.side, group.route, t));
                continue;
            }
            let mut chance = base + host.rate;
            let mut tries = 0;
            loop {
                cell.requests += 1;
                let failed = self.rng.happens(chance);
                if !failed {
                    break;
                }
                *cell.events.entry(EventClass::ServerError).or_default() += 1;
                match self.world.retries {
                    Some((most, again)) if tries < most => {
                        tries += 1;
                        chance = again;
                    }
                    _ => {
                        tries = u32::MAX;
                        break;
                    }
                }
            }
            if tries == u32::MAX {
                continue;
            }
            if let Some((class, part)) = weather.class
                && self.rng.happens(part)
            {
                *cell.events.entry(class).or_default() += 1;
            }
            let mut us = median * host.slower * self.spread[(self.rng.bits() >> 50) as usize];
            if self.rng.happens(slow_part) {
                us *= slow;
            }
            if self.rng.happens(weather.tail.0) {
                us *= weather.tail.1;
            }
            if alone {
                self.latencies[usize::from(bucket_of(us as u64))] += 1;
            } else {
                cell.latency.add(bucket_of(us as u64), 1);
            }
        }
        if alone {
            // Adding in order is many times faster than one by one.
            for (bucket, count) in (0..).zip(&mut self.latencies) {
                on_hosts[0].latency.add(bucket, std::mem::take(count));
            }
        }
    }

    fn roll_hosts(&mut self, t: i64) {
        let Some(bursts) = self.world.bursts else {
            return;
        };
        for host in &mut self.hosts {
            if host.until <= t as f64 {
                (host.rate, host.slower) = (0.0, 1.0);
                if self.rng.happens(1.0 / bursts.every_s) {
                    host.until = t as f64 + self.rng.between(bursts.seconds);
                    host.rate = self.rng.between(bursts.rate);
                    host.slower = bursts.slower;
                }
            }
        }
    }
}

fn weather(t: i64, side: usize, route: usize, active: &[Effect]) -> Weather {
    let mut weather = Weather {
        fails: 0.0,
        slower: 1.0,
        tail: (0.0, 1.0),
        class: None,
        hangs: 0.0,
    };
    for effect in active.iter().filter(|e| e.side.hits(side)) {
        let age = (t - effect.from) as f64;
        match effect.what {
            What::Errors(rate) => weather.fails += rate,
            What::ErrorsOn(on, rate) if on == route => weather.fails += rate,
            What::Slow(times) => weather.slower *= times,
            What::SlowOn(on, times) if on == route => weather.slower *= times,
            What::Tail(part, times) => weather.tail = (part, times),
            What::Cold(times, fades_s) => {
                weather.slower *= 1.0 + (times - 1.0) * exp(-age / fades_s);
            }
            What::Leak(rate) => weather.slower *= pow(1.0 + rate, age),
            What::Class(class, part) => weather.class = Some((class, part)),
            What::Hang(part) => weather.hangs = part,
            What::ErrorsOn(..) | What::SlowOn(..) | What::Mix(_) | What::Pause | What::Silence => {}
        }
    }
    weather
}

fn empty(side: usize, route: usize) -> Cell {
    let version = if side == 1 { canary() } else { stable() };
    Cell {
        intended: version,
        served: Some(version),
        route: ROUTES[route].0.to_owned(),
        instance: None,
        synthetic: false,
        requests: 0,
        events: BTreeMap::new(),
        latency: Histogram::default(),
        pending: Histogram::default(),
        units: Vec::new(),
    }
}
