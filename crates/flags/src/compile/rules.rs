//! Rules: what they ask, and what they serve.

use super::Compiler;
use super::flags::Variants;
use crate::definition::{DistributionDefinition, FlagDefinition, RuleDefinition, ShareDefinition};
use crate::population::floor_of_one;
use crate::problem::{Place, ProblemCode};
use crate::snapshot::{KnownEdge, Part, Rule, Serve, Share, TARGETING_KEY, TENANT};
use esclusa_model::BasisPoints;
use std::ops::Range;

type Keyed<'a> = (&'a str, &'a FlagDefinition);

impl<'a> Compiler<'a> {
    pub(super) fn rules(
        &mut self,
        place: &Place<'_>,
        flag: Keyed<'a>,
        rules: &'a [RuleDefinition],
        variants: &Variants<'_>,
    ) -> Range<u32> {
        let start = self.built.rules.len() as u32; // all stand in a definition
        let list = place.key("rules");
        if rules.len() > self.max_rules {
            let allowed = self.max_rules;
            let message = format!("there are {} rules, {allowed} are allowed", rules.len());
            self.problems.add(&list, ProblemCode::TooMany, message);
        }
        let (mut share_before, mut everybody_before) = (None, None);
        for (i, rule) in rules.iter().enumerate() {
            let place = list.index(i);
            let chosen = rule.when.is_some() || rule.segment.is_some();
            if let Some(before) = everybody_before {
                let message = format!("no context comes here: rule {before} takes everybody");
                self.problems.add(&place, ProblemCode::Order, message);
            } else if let (true, Some(before)) = (chosen, share_before) {
                let message = format!("rule {before} has a share alone and comes before this");
                let hint = "rules with a condition or segment stand before shares";
                self.problems
                    .add_hint(&place, ProblemCode::Order, message, hint);
            }
            if !chosen {
                let before = match rule.share {
                    Some(_) => &mut share_before,
                    None => &mut everybody_before,
                };
                before.get_or_insert(i + 1);
            }
            if let Some(rule) = self.rule(&place, flag, rule, variants) {
                self.built.rules.push(rule);
            }
        }
        start..self.built.rules.len() as u32
    }

    fn rule(
        &mut self,
        place: &Place<'_>,
        flag: Keyed<'a>,
        rule: &'a RuleDefinition,
        variants: &Variants<'_>,
    ) -> Option<Rule> {
        let when = rule.when.as_deref();
        let condition = when.map(|when| self.condition(&place.key("when"), when));
        let segment = rule.segment.as_deref();
        let segment = segment.map(|name| self.segment_id(&place.key("segment"), name));
        let share = rule.share.as_ref();
        let share = share.map(|share| self.share(&place.key("share"), flag, share));
        let serve = match (&rule.variant, &rule.distribution) {
            (Some(variant), None) => self
                .variant(&place.key("variant"), variants, variant)
                .map(Serve::Variant),
            (None, Some(parts)) => {
                let place = place.key("distribution");
                let outer = share.flatten().map(|share| share.order);
                self.distribution(&place, flag, parts, outer, variants)
            }
            _ => {
                let message = "a rule serves either a variant or a distribution";
                self.problems.add(place, ProblemCode::Serve, message);
                None
            }
        };
        // A part that is there but wrong is an error already; `Some(None)` is one.
        Some(Rule {
            name: rule.name.as_deref().map(Into::into),
            condition: transposed(condition)?,
            segment: transposed(segment)?,
            share: transposed(share)?,
            serve: serve?,
        })
    }

    fn unit(&mut self, place: &Place<'_>, of: Option<&String>) -> Option<u16> {
        match of {
            Some(of) => self.unit_slot(&place.key("of"), of),
            None => Some(TARGETING_KEY),
        }
    }

    fn share(
        &mut self,
        place: &Place<'_>,
        (key, flag): Keyed<'a>,
        share: &ShareDefinition,
    ) -> Option<Share> {
        let of = self.unit(place, share.of.as_ref());
        let salt = share.salt.as_deref().or(flag.salt.as_deref());
        let order = self.order(&place.key("salt"), salt.unwrap_or(key));
        let (of, order, share) = (of?, order?, share.basis_points);
        let known = (of == TENANT && share.is_partial() && !self.set.tenants.is_empty())
            .then(|| self.edge(order, share));
        Some(Share {
            of,
            order,
            share,
            known,
        })
    }

    /// The last of the known tenants that are exposed.
    fn edge(&mut self, order: u32, share: BasisPoints) -> KnownEdge {
        if let Some(edge) = self.edges.get(&(order, share)) {
            return *edge;
        }
        let buckets = &self.built.orders[order as usize];
        let ids = self.set.tenants.keys();
        let mut known: Vec<(u64, u32)> = ids.map(|id| buckets.bucket(id)).zip(0..).collect();
        // At least one by the floor of one, since the directory is not empty.
        let exposed = floor_of_one(known.len(), share).max(1);
        let (_, (bucket, tenant), _) = known.select_nth_unstable(exposed - 1);
        let edge = KnownEdge {
            bucket: *bucket,
            tenant: *tenant,
            exposed: exposed as u32, // as many as tenants, which are in memory
        };
        self.edges.insert((order, share), edge);
        edge
    }

    fn distribution(
        &mut self,
        place: &Place<'_>,
        (key, flag): Keyed<'a>,
        parts: &DistributionDefinition,
        outer: Option<u32>,
        variants: &Variants<'_>,
    ) -> Option<Serve> {
        let of = self.unit(place, parts.of.as_ref());
        let own = format!("{}/variants", flag.salt.as_deref().unwrap_or(key));
        let order = self.order(&place.key("salt"), parts.salt.as_deref().unwrap_or(&own));
        if order.is_some() && order == outer {
            let message = "the share and the distribution have one salt: whoever is in the share \
                           would get the first variants only";
            let place = place.key("salt");
            self.problems.add(&place, ProblemCode::Weights, message);
        }
        let first = self.built.weights.len() as u32; // all stand in a definition
        let list = place.key("weights");
        let mut below: u32 = 0;
        for (i, weight) in parts.weights.iter().enumerate() {
            below += u32::from(weight.basis_points.get());
            let place = list.index(i);
            let variant = self.variant(&place.key("variant"), variants, &weight.variant);
            let end = u16::try_from(below).ok().map(BasisPoints::new);
            if let (Some(variant), Some(Ok(below))) = (variant, end) {
                self.built.weights.push(Part { below, variant });
            }
        }
        if below != u32::from(BasisPoints::FULL.get()) {
            let message = format!("the weights are {below} basis points together, not 10000");
            self.problems.add(&list, ProblemCode::Weights, message);
        }
        Some(Serve::Distribution {
            of: of?,
            order: order?,
            parts: first..self.built.weights.len() as u32,
        })
    }
}

/// What is absent is fine, what is there and wrong is not.
fn transposed<T>(part: Option<Option<T>>) -> Option<Option<T>> {
    match part {
        None => Some(None),
        Some(None) => None,
        Some(Some(value)) => Some(Some(value)),
    }
}
