//! Where a second's cells belong: version, stratum, instance, stage.

use crate::evidence::Counts;
use crate::fast::Recent;
use crate::judge::Judge;
use crate::ledger::Sums;
use crate::second::{Comparable, ProxyCell};
use crate::side::Side;
use crate::slice::{Cell, OTHER_ROUTE};
use crate::stratum::{Stratum, StratumKey};
use std::collections::{BTreeMap, BTreeSet};

/// Routes that are told apart once the canary is exposed.
const JUDGED_ROUTES: usize = 16;
/// Canary instances that are told apart.
const MOST_INSTANCES: usize = 64;

/// Requests that no service of one machine serves in a second.
const MOST_A_SECOND: u64 = 1 << 32;

/// What one stratum did in one second: baseline, canary.
type Sides = [Side; 2];

impl Judge {
    /// Counts one second, wherever its counts belong.
    pub(crate) fn count(&mut self, t: i64, cells: &[ProxyCell]) {
        let sums = self.sort_cells(cells);
        let mut fast =
            [(); 2].map(|()| (Counts::default(), vec![Counts::default(); self.rails.len()]));
        let entries: Vec<_> = self.comparisons.iter().map(|c| c.entry).collect();
        let mut totals = vec![(Counts::default(), Sums::default(), 0); entries.len()];
        let delta = self.config.errors.delta.get();
        let mut burnt = vec![Counts::default(); self.burn.objectives().len()];
        let none = Sides::default();
        let times = self.judges_latency();
        for index in 0..self.strata.len() {
            let [baseline, canary] = sums.get(&index).unwrap_or(&none);
            let stratum = &self.strata[index];
            let organic = !stratum.key.synthetic;
            let (outage, rails) = &mut fast[usize::from(!organic)];
            outage.add(&stratum.outage_counts(baseline, canary));
            for (sum, rail) in rails.iter_mut().zip(&self.rails) {
                sum.add(&stratum.rail_counts(rail.edge_us, baseline, canary));
            }
            if organic {
                self.served[0] += baseline.requests;
                self.served[1] += canary.requests;
                for (sum, tracked) in burnt.iter_mut().zip(self.burn.objectives()) {
                    sum.add(&stratum.rail_counts(tracked.edge_us(), baseline, canary));
                }
                self.warm_up.observe(t, index, baseline, canary);
                // Where nobody compares latency, a slow baseline is no broken yardstick.
                let (slow, timed) = self
                    .witness
                    .edge(index)
                    .filter(|_| times)
                    .map_or((0, 0), |e| stratum.baseline_slower(e, baseline));
                self.witness
                    .observe(baseline.failures, baseline.requests, slow, timed);
                if let Some(stage) = &mut self.stage {
                    stage.count(t, self.strata[index].route, baseline, canary);
                }
            }
            let counted = self.strata[index].observe(&entries, baseline, canary, delta);
            for ((total, sums, steady), (more, against_before, steadily)) in
                totals.iter_mut().zip(&counted)
            {
                total.add(more);
                *steady += steadily;
                if organic {
                    sums.add(against_before);
                }
            }
        }
        for (comparison, (total, sums, steady)) in self.comparisons.iter_mut().zip(&totals) {
            comparison.count(total, sums, *steady);
        }
        if let Some(stage) = &self.stage
            && stage.info.comparable == Comparable::Random
            && !stage.info.chosen
        {
            let Counts {
                canary, baseline, ..
            } = fast[0].0;
            let share = stage.info.share.fraction();
            self.surplus.count(canary, canary + baseline, share);
        }
        for (index, counts) in burnt.iter().enumerate() {
            self.burn.add(index, t, counts);
        }
        let [organic, synthetic] = self.count_instances(cells);
        let [(outage, rails), (synthetic_outage, synthetic_rails)] = fast;
        self.organic.push(Recent {
            t,
            outage,
            rails,
            instances: organic,
        });
        self.synthetic.push(Recent {
            t,
            outage: synthetic_outage,
            rails: synthetic_rails,
            instances: synthetic,
        });
    }

    /// Whether any quantile of latency is compared.
    fn judges_latency(&self) -> bool {
        self.comparisons
            .iter()
            .any(|comparison| comparison.entry.metric.is_latency())
    }

    /// The canary's requests and failures by instance: organic, synthetic.
    fn count_instances(&mut self, cells: &[ProxyCell]) -> [BTreeMap<u32, (u64, u64)>; 2] {
        let mut sums = [BTreeMap::new(), BTreeMap::new()];
        for ProxyCell { cell, .. } in cells.iter().filter(|c| is_possible(&c.cell)) {
            let Some(instance) = cell
                .instance
                .as_ref()
                .filter(|_| self.side_of(cell) == Some(1))
            else {
                continue;
            };
            let index = match self.instances.iter().position(|known| known == instance) {
                Some(index) => index,
                None if self.instances.len() < MOST_INSTANCES => {
                    self.instances.push(instance.clone());
                    self.instances.len() - 1
                }
                None => continue,
            };
            let sum: &mut (u64, u64) = sums[usize::from(cell.synthetic)]
                .entry(index as u32)
                .or_default();
            sum.0 += cell.telling_requests();
            sum.1 += cell.failures();
        }
        sums
    }

    /// Sums cells by stratum and version; unknown versions take no part.
    fn sort_cells(&mut self, cells: &[ProxyCell]) -> BTreeMap<usize, Sides> {
        let mut sums: BTreeMap<usize, Sides> = BTreeMap::new();
        for ProxyCell { proxy, cell } in cells {
            if !is_possible(cell) {
                continue;
            }
            let misrouted = self.is_misrouted(cell) && !cell.synthetic;
            if let Some(stage) = self.stage.as_mut().filter(|_| misrouted) {
                stage.misrouted += cell.requests;
            }
            let Some(side) = self.side_of(cell) else {
                continue;
            };
            let key = StratumKey {
                route: self.route_of(cell),
                synthetic: cell.synthetic,
                proxy: proxy.clone(),
            };
            let index = self.stratum(key);
            sums.entry(index).or_default()[side].add(cell);
        }
        sums
    }

    /// 0 for the baseline, 1 for the canary. The version that answered is the one that
    /// is observed; where none did, the one that should have.
    fn side_of(&self, cell: &Cell) -> Option<usize> {
        let version = cell.served.as_ref().unwrap_or(&cell.intended);
        if self.is_misrouted(cell) {
            None
        } else if *version == self.canary {
            Some(1)
        } else {
            (*version == self.baseline).then_some(0)
        }
    }

    fn is_misrouted(&self, cell: &Cell) -> bool {
        cell.intended == self.canary && cell.served.is_some_and(|served| served != self.canary)
    }

    fn route_of(&mut self, cell: &Cell) -> String {
        if let Some(routes) = &mut self.routes {
            if routes.len() < JUDGED_ROUTES {
                routes.insert(cell.route.clone());
            }
            if !routes.contains(&cell.route) {
                return OTHER_ROUTE.to_owned();
            }
        }
        cell.route.clone()
    }

    fn route_number(&mut self, name: &str) -> u32 {
        let at = self.route_names.iter().position(|known| known == name);
        at.unwrap_or_else(|| {
            self.route_names.push(name.to_owned());
            self.route_names.len() - 1
        }) as u32
    }

    fn stratum(&mut self, key: StratumKey) -> usize {
        match self.strata.iter().position(|s| s.key == key) {
            Some(index) => index,
            None => {
                let route = self.route_number(&key.route);
                self.strata
                    .push(Stratum::new(key, route, self.comparisons.len()));
                self.strata.len() - 1
            }
        }
    }

    /// From the first stage on the busiest routes are told apart, the rest pooled.
    pub(crate) fn choose_routes(&mut self) {
        let mut traffic: BTreeMap<&str, u64> = BTreeMap::new();
        for stratum in &self.strata {
            *traffic.entry(&stratum.key.route).or_default() += stratum.past_requests();
        }
        let mut routes: Vec<(&str, u64)> = traffic.into_iter().collect();
        routes.sort_by_key(|(name, requests)| (std::cmp::Reverse(*requests), *name));
        let kept: BTreeSet<String> = routes
            .iter()
            .take(JUDGED_ROUTES)
            .map(|(name, _)| (*name).to_owned())
            .collect();
        self.route_names.clear();
        for stratum in std::mem::take(&mut self.strata) {
            let mut key = stratum.key.clone();
            if !kept.contains(&key.route) {
                OTHER_ROUTE.clone_into(&mut key.route);
            }
            let index = self.stratum(key);
            self.strata[index].absorb(stratum);
        }
        self.routes = Some(kept);
    }
}

/// Whether a second can hold these counts at all; others are no measurement, and would
/// overflow the sums of a release.
fn is_possible(cell: &Cell) -> bool {
    let within = |n: u64| n <= MOST_A_SECOND;
    within(cell.requests)
        && cell.events.values().all(|n| *n <= cell.requests)
        && within(cell.latency.total())
        && within(cell.pending.total())
}
