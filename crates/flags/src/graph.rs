//! What needs what: cycles, depth, and who depends on a flag or segment.

use crate::definition::{FlagSet, Prerequisite};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What a look at all nodes found. Edges go from a node to what it needs.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// Each from a node back to itself.
    pub(crate) cycles: Vec<Vec<u32>>,
    /// How many nodes stand under each, at most; of no meaning inside cycles.
    pub(crate) depth: Vec<usize>,
}

/// Depth first, with a stack of its own: a chain may be as long as the set is large.
pub(crate) fn survey(edges: &[Vec<u32>]) -> Survey {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        Open,
        Done,
    }
    let mut state = vec![State::New; edges.len()];
    let mut survey = Survey {
        cycles: Vec::new(),
        depth: vec![0; edges.len()],
    };
    for root in 0..edges.len() {
        let mut path: Vec<(u32, usize)> = Vec::new();
        if state[root] == State::New {
            state[root] = State::Open;
            path.push((root as u32, 0));
        }
        while let Some((node, next)) = path.last_mut() {
            let node = *node;
            let Some(&target) = edges[node as usize].get(*next) else {
                state[node as usize] = State::Done;
                path.pop();
                if let Some((above, _)) = path.last() {
                    let depth = survey.depth[node as usize] + 1;
                    let above = &mut survey.depth[*above as usize];
                    *above = depth.max(*above);
                }
                continue;
            };
            *next += 1;
            match state[target as usize] {
                State::New => {
                    state[target as usize] = State::Open;
                    path.push((target, 0));
                }
                State::Open => {
                    let inside = path.iter().skip_while(|(n, _)| *n != target);
                    let mut cycle: Vec<u32> = inside.map(|(n, _)| *n).collect();
                    cycle.push(target);
                    survey.cycles.push(cycle);
                }
                State::Done => {
                    let depth = survey.depth[target as usize] + 1;
                    let mine = &mut survey.depth[node as usize];
                    *mine = depth.max(*mine);
                }
            }
        }
    }
    survey
}

/// A flag that another one's answer changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Dependent {
    /// The flag.
    pub flag: String,
    /// The flags from it to the one it depends on, both ends included.
    pub path: Vec<String>,
}

/// Every flag that needs `flag`, directly or through others, the nearest first.
#[must_use]
pub fn dependents(set: &FlagSet, flag: &str) -> Vec<Dependent> {
    let mut needed_by: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (key, definition) in &set.flags {
        for needed in &definition.prerequisites {
            needed_by.entry(&needed.flag).or_default().push(key);
        }
    }
    let mut seen = BTreeSet::from([flag]);
    let mut found = Vec::new();
    let mut ring = vec![vec![flag]];
    while !ring.is_empty() {
        let mut next = Vec::new();
        for path in ring {
            for &child in needed_by.get(path[0]).into_iter().flatten() {
                if seen.insert(child) {
                    let path: Vec<&str> = std::iter::once(child).chain(path.clone()).collect();
                    found.push(Dependent {
                        flag: child.to_owned(),
                        path: path.iter().map(|key| (*key).to_owned()).collect(),
                    });
                    next.push(path);
                }
            }
        }
        ring = next;
    }
    found
}

/// These flags and every one that they need, directly or through others.
#[must_use]
pub fn prerequisites<'s>(
    set: &'s FlagSet,
    flags: impl IntoIterator<Item = &'s str>,
) -> BTreeSet<&'s str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = flags.into_iter().collect();
    while let Some(key) = open.pop() {
        if found.insert(key)
            && let Some(flag) = set.flags.get(key)
        {
            open.extend(flag.prerequisites.iter().map(|needed| needed.flag.as_str()));
        }
    }
    found
}

/// The flags that go off with these: each needs another variant than the off one, of one of
/// them or of one that goes off with them.
#[must_use]
pub fn off_with(set: &FlagSet, flags: &[String]) -> Vec<String> {
    let mut off: BTreeSet<&str> = flags.iter().map(String::as_str).collect();
    loop {
        let unmet = |needed: &Prerequisite| {
            let other = set.flags.get(&needed.flag);
            off.contains(needed.flag.as_str())
                && other.is_some_and(|other| other.off != needed.variant)
        };
        let more = set.flags.iter().filter(|(key, definition)| {
            !off.contains(key.as_str()) && definition.prerequisites.iter().any(unmet)
        });
        let more: Vec<&str> = more.map(|(key, _)| key.as_str()).collect();
        if more.is_empty() {
            break;
        }
        off.extend(more);
    }
    let all = off.into_iter().map(str::to_owned);
    all.filter(|key| !flags.contains(key)).collect()
}

/// Who uses a segment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SegmentUse {
    /// Segments that contain it, directly or through others.
    pub segments: BTreeSet<String>,
    /// Flags and environments with a rule for it or for one of those segments.
    pub flags: BTreeMap<String, BTreeSet<String>>,
}

/// Every segment and flag that a change of this segment reaches.
#[must_use]
pub fn segment_use(set: &FlagSet, segment: &str) -> SegmentUse {
    let mut reached = BTreeSet::from([segment.to_owned()]);
    loop {
        let contains = |inner: &[String]| inner.iter().any(|name| reached.contains(name));
        let more: Vec<String> = set
            .segments
            .iter()
            .filter(|(name, outer)| !reached.contains(*name) && contains(&outer.segments))
            .map(|(name, _)| name.clone())
            .collect();
        if more.is_empty() {
            break;
        }
        reached.extend(more);
    }
    let mut found = SegmentUse::default();
    for (key, flag) in &set.flags {
        for (environment, settings) in &flag.environments {
            let mut named = settings
                .rules
                .iter()
                .filter_map(|rule| rule.segment.as_ref());
            if named.any(|name| reached.contains(name)) {
                let places = found.flags.entry(key.clone()).or_default();
                places.insert(environment.clone());
            }
        }
    }
    reached.remove(segment);
    found.segments = reached;
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_are_found_with_their_path() {
        let found = survey(&[vec![1], vec![2], vec![0, 3], vec![], vec![4]]);
        assert_eq!(found.cycles, [vec![0, 1, 2, 0], vec![4, 4]]);
        let chain: Vec<Vec<u32>> = (1..100_000u32)
            .map(|i| vec![i])
            .chain([Vec::new()])
            .collect();
        let found = survey(&chain);
        assert!(found.cycles.is_empty());
        assert_eq!(found.depth[0], 99_999);
    }

    #[test]
    fn depth_counts_the_longest_way() {
        let found = survey(&[vec![1, 2], vec![3], vec![1], vec![]]);
        assert_eq!(found.depth, [3, 1, 2, 0]);
    }
}
