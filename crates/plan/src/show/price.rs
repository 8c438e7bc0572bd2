//! What a release costs: users who meet the new version before it is proved, and what has
//! to be seen for the proof. Computed from the plan; what is not known stays out.

use super::{Exposed, Exposure, Limit};
use crate::model::{Audience, Expose, HoldOrReturn, HoldThen, Plan, Requirement, Stage};
use crate::section::components::DEFAULT_TRAFFIC;
use esclusa_judge::{BlindThen, OnUnproven};
use esclusa_model::{BasisPoints, Millis};

/// Stages before 100 %, as a time in which everybody would have met the new version.
pub(super) fn exposure(plan: &Plan) -> Exposure {
    let (mut least, mut most) = (0, Some(0));
    for stage in &plan.stages {
        let Stage::Expose(expose) = stage else {
            continue;
        };
        let Audience::Share(share) = expose.to else {
            continue;
        };
        if !share.is_partial() {
            continue;
        }
        let part = |time: Millis| time.0.saturating_mul(u64::from(share.get())) / 10_000;
        least += part(shortest(expose, plan));
        let longest = match plan.hold.then {
            HoldThen::Rollback => Some(Millis(expose.for_.0.saturating_add(plan.hold.for_.0))),
            HoldThen::Hold => None,
        };
        most = most.zip(longest).map(|(sum, longest)| sum + part(longest));
    }
    Exposure {
        at_least: Millis(least),
        at_most: most.map(Millis),
    }
}

/// The shortest time that a stage may take.
pub(super) fn shortest(expose: &Expose, plan: &Plan) -> Millis {
    let proved = Millis::from_secs(u64::from(plan.judge.bake.min_s));
    if expose.early {
        proved.min(expose.for_)
    } else {
        expose.for_
    }
}

pub(super) fn exposed(expose: &Expose, plan: &Plan) -> Exposed {
    let Audience::Share(share) = expose.to else {
        return Exposed {
            share_bp: None,
            units: None,
            requests: None,
            needs_per_hour: None,
        };
    };
    let all = plan.population.len() as u64;
    let units = (all > 0).then(|| (all * u64::from(share.get())).div_ceil(10_000).max(1));
    let requests = requests(expose, plan);
    // All requests of an hour of which the share brings as many as are asked for.
    let needs_per_hour = requests.and_then(|requests| {
        let seen = u64::from(share.get()).checked_mul(expose.for_.0)?;
        let wanted = requests.checked_mul(10_000 * 3_600_000)?;
        (seen > 0).then(|| wanted.div_ceil(seen))
    });
    Exposed {
        share_bp: Some(share.get()),
        units,
        requests,
        needs_per_hour,
    }
}

/// Whether anything counts requests by version, so that the judge can see this stage.
fn is_seen(plan: &Plan) -> bool {
    plan.flags_alone().is_some() || plan.traffic.driver == DEFAULT_TRAFFIC && plan.web().is_some()
}

/// The fewest requests of the canary with which a random stage may go on by itself.
fn requests(expose: &Expose, plan: &Plan) -> Option<u64> {
    let partial = matches!(expose.to, Audience::Share(share) if share.is_partial());
    if !partial || !is_seen(plan) {
        return None;
    }
    let proof = plan.judge.bake.min_requests;
    Some(match plan.judge.on_unproven {
        OnUnproven::PromoteIfQuiet if !expose.early => proof.min(plan.judge.floor.min_requests),
        _ => proof,
    })
}

/// What a stage waits for.
pub(super) fn proof(expose: &Expose, plan: &Plan) -> Vec<String> {
    let mut all = vec![if expose.early {
        format!("{}, or proof after {}", expose.for_, shortest(expose, plan))
    } else {
        expose.for_.to_string()
    }];
    if !is_seen(plan) {
        all.push("a person: nothing here counts requests by version".to_owned());
        return all;
    }
    all.push("no suspicion".to_owned());
    match expose.to {
        Audience::Segment(_) | Audience::Share(BasisPoints::FULL) => {}
        Audience::Share(_) => {
            let floor = plan.judge.floor.min_requests;
            let proof = "proof that it is not worse".to_owned();
            all.push(match plan.judge.on_unproven {
                OnUnproven::PromoteIfQuiet => format!("{proof}, or {floor} quiet requests"),
                OnUnproven::Hold => format!("{proof}, or a person"),
                OnUnproven::Rollback => format!("{proof}, else everybody goes back"),
            });
        }
    }
    all
}

/// What a requirement waits for.
pub(super) fn answers(requirement: &Requirement) -> Vec<String> {
    match requirement {
        Requirement::Check { .. } => vec!["pass; unknown is not a pass".to_owned()],
        Requirement::SignOff { roles, items, .. } => {
            let people = roles.iter().map(|role| format!("somebody who is {role}"));
            let items = items.iter().map(|item| format!("each confirms: {item}"));
            people.chain(items).collect()
        }
    }
}

/// Waits that end by themselves, also those that the plan leaves at their defaults.
pub(super) fn limits(plan: &Plan) -> Vec<Limit> {
    let mut all = Vec::new();
    let mut add = |what: &str, after: Millis, then: &str| {
        all.push(Limit {
            what: what.to_owned(),
            after,
            then: then.to_owned(),
        });
    };
    add(
        "a hold, for proof or a person",
        plan.hold.for_,
        match plan.hold.then {
            HoldThen::Rollback => "everybody goes back",
            HoldThen::Hold => "it goes on waiting, and says so",
        },
    );
    if is_seen(plan) {
        add(
            "no data about the versions",
            plan.judge.blind.hold,
            match plan.judge.blind.then {
                BlindThen::Rollback => "everybody goes back",
                BlindThen::Hold => "it holds for a person",
            },
        );
    }
    if let (Some(route), true) = (&plan.route, plan.traffic.driver == DEFAULT_TRAFFIC) {
        add(
            "proxies without a controller",
            route.lost_control.after,
            match route.lost_control.then {
                HoldOrReturn::Return => "they send everybody back",
                HoldOrReturn::Hold => "they keep the share",
            },
        );
    }
    if plan.flags_alone().is_none() {
        add(
            "instances that are not ready",
            plan.deploy_timeout,
            "nobody was exposed, and the release ends",
        );
    }
    add(
        "a dial that does not show what was asked",
        plan.dial_timeout,
        "everybody goes back, or a person is called",
    );
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(share: u16, minutes: u64) -> Expose {
        Expose {
            to: Audience::Share(BasisPoints::new(share).expect("a share")),
            for_: Millis::from_secs(minutes * 60),
            early: false,
            budget: None,
        }
    }

    fn plan() -> Plan {
        let text = "esclusa: 1\nservice: s\nroute: { listen: 127.0.0.1:1 }\naddress: { url: http://127.0.0.1:2 }\ntemplate: blue-green\n";
        let field = crate::catalog::Field {
            name: "url".to_owned(),
            doc: String::new(),
            kind: crate::catalog::FieldKind::Template,
            required: true,
        };
        let entry = |name: &str, fields| crate::catalog::DriverEntry {
            name: name.to_owned(),
            doc: String::new(),
            fields,
            capabilities: vec![
                crate::catalog::Capability::Observes,
                crate::catalog::Capability::Segments,
                crate::catalog::Capability::Sticky,
                crate::catalog::Capability::ExactShare,
            ],
        };
        let catalog = crate::catalog::Catalog {
            run: vec![entry("address", vec![field])],
            traffic: vec![entry("proxy", Vec::new())],
            check: Vec::new(),
            metric: Vec::new(),
        };
        let source = crate::SourceFile::new("s.yaml", text);
        crate::parse(&source, &catalog).expect("accepted").plan
    }

    #[test]
    fn the_price_follows_from_shares_and_times() {
        let mut plan = plan();
        plan.stages = vec![
            Stage::Expose(stage(500, 60)),
            Stage::Expose(stage(5_000, 60)),
            Stage::Expose(stage(10_000, 60)),
        ];
        // 5 % and 50 % of an hour; a day of hold for each at most.
        let price = exposure(&plan);
        assert_eq!(price.at_least, Millis::from_secs(33 * 60));
        assert_eq!(price.at_most, Some(Millis::from_secs(25 * 33 * 60)));
        plan.hold.then = HoldThen::Hold;
        assert_eq!(exposure(&plan).at_most, None, "no end, and no number");
    }

    #[test]
    fn a_stage_says_from_how_many_requests_it_can_go_on() {
        let mut plan = plan();
        plan.judge.floor.min_requests = 100;
        plan.judge.bake.min_requests = 400;
        let asked = exposed(&stage(500, 30), &plan);
        // 100 of 5 % in half an hour are 4000 of all in an hour.
        assert_eq!(
            (asked.requests, asked.needs_per_hour),
            (Some(100), Some(4_000))
        );
        plan.judge.on_unproven = OnUnproven::Hold;
        assert_eq!(exposed(&stage(500, 30), &plan).needs_per_hour, Some(16_000));
        assert_eq!(exposed(&stage(10_000, 30), &plan).requests, None);
        plan.population = vec!["a".into(), "b".into(), "c".into()];
        assert_eq!(
            exposed(&stage(500, 30), &plan).units,
            Some(1),
            "a floor of one"
        );
        // Trap 59: what nobody counts is not a number.
        plan.traffic.driver = "command".to_owned();
        assert_eq!(exposed(&stage(500, 30), &plan).needs_per_hour, None);
        assert!(
            proof(&stage(500, 30), &plan)
                .iter()
                .any(|w| w.contains("a person"))
        );
    }
}
