//! Reusable segments: keys, conditions, and other segments, never themselves.

use super::{Compiler, MAX_NESTING};
use crate::graph::survey;
use crate::problem::{Place, ProblemCode};
use crate::snapshot::{Segment, USER};

impl Compiler<'_> {
    pub(super) fn segments(&mut self) {
        let set = self.set;
        let above = Place::root("segments");
        let mut edges = Vec::with_capacity(set.segments.len());
        for (name, segment) in &set.segments {
            let place = above.key(name);
            if name.is_empty() || name.len() > 128 {
                let message = "a segment's name has 1 to 128 bytes";
                self.problems.add(&place, ProblemCode::BadName, message);
            }
            let of = match &segment.of {
                Some(of) => self.unit_slot(&place.key("of"), of),
                None => Some(USER),
            };
            let when = segment.when.as_deref();
            let condition = when.and_then(|when| self.condition(&place.key("when"), when));
            let start = self.built.inner_segments.len() as u32; // all stand in a definition
            for (i, inner) in segment.segments.iter().enumerate() {
                let list = place.key("segments");
                if let Some(id) = self.segment_id(&list.index(i), inner) {
                    self.built.inner_segments.push(id);
                }
            }
            let inner = start..self.built.inner_segments.len() as u32;
            edges.push(self.built.inner_segments[start as usize..].to_vec());
            self.built.segments.push(Segment {
                name: name.as_str().into(),
                keys: segment.keys.iter().map(String::as_str).collect(),
                of: of.unwrap_or(USER),
                condition,
                inner,
            });
        }
        let survey = survey(&edges);
        let names: Vec<&str> = set.segments.keys().map(String::as_str).collect();
        for cycle in &survey.cycles {
            self.cycle(&above, "segment", cycle, &names);
        }
        for (name, depth) in names.iter().zip(&survey.depth) {
            if survey.cycles.is_empty() && *depth == MAX_NESTING {
                let message = format!("more than {MAX_NESTING} segments stand inside each other");
                let place = above.key(name);
                self.problems.add(&place, ProblemCode::TooDeep, message);
            }
        }
    }

    pub(super) fn segment_id(&mut self, place: &Place<'_>, name: &str) -> Option<u32> {
        let found = self.segments.get(name).copied();
        if found.is_none() {
            let known = self.set.segments.keys().map(String::as_str);
            let code = ProblemCode::UnknownSegment;
            self.problems.unknown(place, code, ("segment", name), known);
        }
        found
    }

    pub(super) fn cycle(&mut self, above: &Place<'_>, what: &str, cycle: &[u32], names: &[&str]) {
        let path: Vec<&str> = cycle.iter().map(|id| names[*id as usize]).collect();
        let message = format!("the {what} needs itself: {}", path.join(" -> "));
        let place = above.key(path[0]);
        self.problems.add(&place, ProblemCode::Cycle, message);
    }
}
