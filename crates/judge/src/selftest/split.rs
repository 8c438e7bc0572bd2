//! One second of traffic becomes a second of two versions.

use super::dice::{Dice, mixed};
use super::{Harm, SplitBy, Trial};
use crate::histogram::{Histogram, bucket_of, lower_edge, upper_edge};
use crate::second::{ProxyCell, Second};
use crate::slice::{Cell, EventClass};
use esclusa_model::{BasisPoints, Digest, InstanceId};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const STABLE: Digest = Digest::from_bytes([1; 32]);
pub(super) const CANARY: Digest = Digest::from_bytes([2; 32]);

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Split {
    share: BasisPoints,
    /// The canary's instances, where whole ones are split off.
    hosts: BTreeSet<InstanceId>,
    /// What decides which units are the canary's.
    salt: u64,
    by: SplitBy,
    harm: Option<Harm>,
}

impl Split {
    pub(super) fn new(trial: &Trial, hosts: &[InstanceId], salt: u64) -> Self {
        let mut ranked: Vec<&InstanceId> = hosts.iter().collect();
        ranked.sort_by_key(|host| (mixed(number(host) ^ salt), *host));
        let wanted = libm::round(trial.share.fraction() * hosts.len() as f64) as usize;
        let part = wanted.clamp(1, hosts.len().saturating_sub(1).max(1));
        let share = match trial.by {
            // At most all of them: in range.
            SplitBy::Host => BasisPoints::new((part * 10_000 / hosts.len().max(1)) as u16),
            SplitBy::Unit | SplitBy::Time => Ok(trial.share),
        };
        Self {
            share: share.unwrap_or(trial.share),
            hosts: ranked.into_iter().take(part).cloned().collect(),
            salt,
            by: trial.by,
            harm: trial.harm,
        }
    }

    /// The canary's share.
    pub(super) const fn share(&self) -> BasisPoints {
        self.share
    }

    /// Before the canary everybody is served by stable.
    pub(super) fn all_stable(&self, second: &mut Second) {
        for at in &mut second.cells {
            at.cell = self.plain(&at.cell, STABLE);
        }
    }

    /// Instances are kept where whole ones are split off: else both versions would have
    /// the same.
    fn plain(&self, cell: &Cell, version: Digest) -> Cell {
        Cell {
            instance: cell.instance.clone().filter(|_| self.by == SplitBy::Host),
            ..plain(cell, version)
        }
    }

    /// Turns the cells of a second into those of both versions; `other` is the second
    /// that a canary of another time has its requests from.
    pub(super) fn second(&self, second: &mut Second, other: &Second, dice: &mut Dice) {
        let mut cells = Vec::with_capacity(2 * second.cells.len());
        let of_canary = |part: Cell, dice: &mut Dice| match self.harm {
            Some(harm) => harmed(part, harm, dice),
            None => part,
        };
        for at in &second.cells {
            if self.by == SplitBy::Host {
                let host = at.cell.instance.as_ref();
                let goes = host.is_some_and(|host| self.hosts.contains(host));
                let whole = self.plain(&at.cell, if goes { CANARY } else { STABLE });
                let cell = if goes { of_canary(whole, dice) } else { whole };
                cells.push(with(at, cell));
                continue;
            }
            let (stays, goes) = self.parts(&at.cell, dice);
            cells.push(with(at, stays));
            if self.by == SplitBy::Unit {
                cells.push(with(at, of_canary(goes, dice)));
            }
        }
        if self.by == SplitBy::Time {
            for at in &other.cells {
                let (_, goes) = self.parts(&at.cell, dice);
                cells.push(with(at, of_canary(goes, dice)));
            }
        }
        second.cells = cells;
    }

    fn is_canarys(&self, unit: u64) -> bool {
        let place = mixed(unit ^ self.salt) >> 11;
        (place as f64) < self.share.fraction() * (1_u64 << 53) as f64
    }

    /// Stable's part and the canary's.
    fn parts(&self, cell: &Cell, dice: &mut Dice) -> (Cell, Cell) {
        let share = self.share.fraction();
        let whole = plain(cell, STABLE);
        let mut canary = plain(cell, CANARY);
        let failures = cell.failures().min(cell.requests);
        // Heavy units go as a whole: their failures come together, and so they stay.
        let (mut known, mut known_failed) = (0, 0);
        let (mut units, mut units_failed) = (0, 0);
        for unit in &cell.units {
            let n = unit.requests.min(cell.requests - known);
            let failed = unit.failures.min(n).min(failures - known_failed);
            (known, known_failed) = (known + n, known_failed + failed);
            if self.is_canarys(unit.unit) {
                (units, units_failed) = (units + n, units_failed + failed);
            }
        }
        let rest_failed = failures - known_failed;
        let rest_good = (cell.requests - known).saturating_sub(rest_failed);
        let failed = units_failed + dice.of(rest_failed, share);
        let good = units - units_failed + dice.of(rest_good, share);
        canary.requests = failed + good;
        canary.events = BTreeMap::new();
        if failed > 0 {
            canary.events.insert(EventClass::ServerError, failed);
        }
        let all_good = cell.requests - failures;
        for (class, n) in cell.events.iter().filter(|(class, _)| !class.is_failure()) {
            let n = dice.drawn(*n, all_good, good);
            if n > 0 {
                canary.events.insert(*class, n);
            }
        }
        canary.latency = drawn_from(&cell.latency, all_good, good, dice);
        let stable = without(whole, &canary);
        (stable, canary)
    }
}

/// A number for a name.
fn number(name: &InstanceId) -> u64 {
    let bytes = name.as_str().bytes();
    bytes.fold(0, |sum, byte| mixed(sum ^ u64::from(byte)))
}

/// The cell of one version, without what the two could not share.
fn plain(cell: &Cell, version: Digest) -> Cell {
    let mut events: BTreeMap<EventClass, u64> = cell
        .events
        .iter()
        .filter(|(class, _)| !class.is_failure())
        .map(|(class, n)| (*class, *n))
        .collect();
    let failures = cell.failures().min(cell.requests);
    if failures > 0 {
        events.insert(EventClass::ServerError, failures);
    }
    Cell {
        intended: version,
        served: Some(version),
        route: cell.route.clone(),
        instance: None,
        synthetic: false,
        requests: cell.requests,
        events,
        latency: cell.latency.clone(),
        pending: Histogram::default(),
        units: Vec::new(),
    }
}

fn with(at: &ProxyCell, cell: Cell) -> ProxyCell {
    ProxyCell {
        proxy: at.proxy.clone(),
        cell,
    }
}

/// `part` of the `all` values that stand in a histogram, drawn without putting any back.
fn drawn_from(histogram: &Histogram, all: u64, part: u64, dice: &mut Dice) -> Histogram {
    let (mut left, mut wanted) = (all.max(histogram.total()), part);
    let mut out = Histogram::default();
    for (bucket, n) in histogram.iter() {
        let here = dice.drawn(n, left, wanted);
        if here > 0 {
            out.add(bucket, here);
        }
        (left, wanted) = (left - n, wanted - here);
    }
    out
}

/// What is left of a cell without a part of it.
fn without(mut cell: Cell, part: &Cell) -> Cell {
    cell.requests -= part.requests;
    for (class, n) in &mut cell.events {
        *n -= part.events.get(class).copied().unwrap_or(0).min(*n);
    }
    cell.events.retain(|_, n| *n > 0);
    let taken: BTreeMap<u16, u64> = part.latency.iter().collect();
    let mut latency = Histogram::default();
    for (bucket, n) in cell.latency.iter() {
        let left = n - taken.get(&bucket).copied().unwrap_or(0).min(n);
        if left > 0 {
            latency.add(bucket, left);
        }
    }
    cell.latency = latency;
    cell
}

fn harmed(mut cell: Cell, harm: Harm, dice: &mut Dice) -> Cell {
    let failures = cell.failures();
    let good = cell.requests - failures;
    let more = match harm {
        Harm::Slower(factor) => {
            cell.latency = slower(&cell.latency, factor);
            return cell;
        }
        Harm::Errors(chance) => dice.of(good, chance.get()),
        Harm::Outage => good,
    };
    if more == 0 {
        return cell;
    }
    let lost = drawn_from(&cell.latency, good, more, dice);
    let failed = plain(
        &Cell {
            requests: 0,
            events: BTreeMap::new(),
            latency: lost,
            ..cell.clone()
        },
        CANARY,
    );
    let classes = cell.events.clone();
    let mut cell = without(cell, &failed);
    cell.events = classes
        .into_iter()
        .filter(|(class, _)| !class.is_failure())
        .map(|(class, n)| (class, dice.drawn(n, good, good - more)))
        .filter(|(_, n)| *n > 0)
        .collect();
    cell.events.insert(EventClass::ServerError, failures + more);
    cell
}

fn slower(histogram: &Histogram, factor: f64) -> Histogram {
    let mut out = Histogram::default();
    for (bucket, n) in histogram.iter() {
        let middle = 0.5 * (lower_edge(bucket) + upper_edge(bucket)) as f64;
        out.add(bucket_of((middle * factor) as u64), n);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slice::UnitCount;
    use esclusa_model::Fraction;

    fn cell() -> Cell {
        Cell {
            intended: STABLE,
            served: Some(STABLE),
            route: "GET /".into(),
            instance: None,
            synthetic: false,
            requests: 120,
            events: BTreeMap::from([
                (EventClass::Timeout, 8),
                (EventClass::ServerError, 4),
                (EventClass::ClientError, 20),
            ]),
            latency: Histogram::try_from(vec![300, 60, 340, 48]).expect("pairs"),
            pending: Histogram::try_from(vec![550, 3]).expect("pairs"),
            units: vec![
                UnitCount {
                    unit: 1,
                    requests: 30,
                    failures: 6,
                },
                UnitCount {
                    unit: 2,
                    requests: 10,
                    failures: 0,
                },
            ],
        }
    }

    fn split(salt: u64, by: SplitBy, harm: Option<Harm>) -> Split {
        let share = BasisPoints::new(2_500).expect("a share");
        let trial = Trial {
            seed: 0,
            share,
            next_share: BasisPoints::FULL,
            for_s: 60,
            by,
            harm,
        };
        Split::new(&trial, &[], salt)
    }

    #[test]
    fn nothing_is_lost_or_made_by_a_split() {
        let mut dice = Dice::new(3);
        let (mut requests, mut heavy) = (0, 0);
        for salt in 0..2_000 {
            let (stable, canary) = split(salt, SplitBy::Unit, None).parts(&cell(), &mut dice);
            assert_eq!(stable.requests + canary.requests, 120);
            assert_eq!(stable.failures() + canary.failures(), 12);
            for part in [&stable, &canary] {
                assert_eq!(part.latency.total(), part.requests - part.failures());
                assert_eq!(part.pending.total(), 0);
            }
            let mut both = stable.latency.clone();
            both.merge(&canary.latency);
            assert_eq!(both, cell().latency);
            let not_found = |part: &Cell| part.events.get(&EventClass::ClientError).copied();
            let both = not_found(&stable).unwrap_or(0) + not_found(&canary).unwrap_or(0);
            assert_eq!(both, 20);
            requests += canary.requests;
            heavy += u64::from(canary.failures() >= 6);
        }
        let mean = requests as f64 / 2_000.0;
        assert!((29.0..31.0).contains(&mean), "{mean}");
        // The heavy unit is there or not, a quarter of the time.
        assert!((400..620).contains(&heavy), "{heavy}");
    }

    #[test]
    fn planted_harm_is_what_it_says() {
        let mut dice = Dice::new(3);
        let (_, good) = split(5, SplitBy::Unit, None).parts(&cell(), &mut dice);
        let outage = harmed(good.clone(), Harm::Outage, &mut dice);
        assert_eq!(
            (outage.failures(), outage.latency.total()),
            (good.requests, 0)
        );
        let mut more = 0;
        for _ in 0..1_000 {
            let tenth = Harm::Errors(Fraction::from_per_100k(10_000));
            let worse = harmed(good.clone(), tenth, &mut dice);
            assert_eq!(worse.requests, good.requests);
            assert_eq!(worse.latency.total(), worse.requests - worse.failures());
            more += worse.failures() - good.failures();
        }
        let expected = 100.0 * (good.requests - good.failures()) as f64;
        assert!((0.9..1.1).contains(&(more as f64 / expected)), "{more}");
        let slow = harmed(good.clone(), Harm::Slower(1.5), &mut dice);
        let median = |cell: &Cell| lower_edge(cell.latency.quantile_bucket(0.5).expect("some"));
        let factor = median(&slow) as f64 / median(&good) as f64;
        assert!((1.4..1.6).contains(&factor), "{factor}");
    }

    #[test]
    fn a_canary_of_another_time_has_that_times_requests() {
        let at = |requests| Second {
            t: 0,
            cells: vec![ProxyCell {
                proxy: esclusa_model::ProxyId::new("p").expect("valid"),
                cell: Cell {
                    requests,
                    events: BTreeMap::new(),
                    latency: Histogram::default(),
                    units: Vec::new(),
                    ..cell()
                },
            }],
            heard: true,
        };
        let (mut second, other) = (at(1_000), at(0));
        split(1, SplitBy::Time, None).second(&mut second, &other, &mut Dice::new(1));
        let requests: Vec<u64> = second.cells.iter().map(|at| at.cell.requests).collect();
        assert!(requests[0] < 1_000 && requests[1] == 0, "{requests:?}");
    }
}
