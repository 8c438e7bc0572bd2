//! A service's own stream: what is stable, warm, on its way and in line.

use crate::samples::{AT, deployed, name, release, version};
use esclusa_model::{Millis, Outcome};
use esclusa_release::{Service, ServiceEvent};

const WARM: Millis = Millis(48 * 3_600_000);

fn service() -> Service {
    Service::new(name("checkout"))
}

fn changed(text: &str, by: &str) -> ServiceEvent {
    ServiceEvent::StableChanged {
        release: release(by),
        stable: Box::new(deployed(text, Some(by))),
        keep_warm: WARM,
    }
}

fn admitted(by: &str) -> ServiceEvent {
    ServiceEvent::ReleaseAdmitted {
        release: release(by),
    }
}

fn queued(by: &str) -> ServiceEvent {
    ServiceEvent::ReleaseQueued {
        release: release(by),
    }
}

fn ended(by: &str) -> ServiceEvent {
    ServiceEvent::ReleaseEnded {
        release: release(by),
        outcome: Outcome::Promoted,
    }
}

fn restored(by: &str) -> ServiceEvent {
    ServiceEvent::StableRestored {
        release: release(by),
    }
}

fn withdrawn(by: &str) -> ServiceEvent {
    ServiceEvent::StableWithdrawn {
        release: release(by),
    }
}

fn fold(service: &mut Service, events: &[ServiceEvent]) {
    for event in events {
        service.apply(event, AT).expect("it may follow");
    }
}

/// Refused, and nothing has changed.
fn refused(service: &mut Service, event: &ServiceEvent) {
    let before = service.clone();
    let refusal = service.apply(event, AT).expect_err("it may not follow");
    assert_eq!(*service, before, "{refusal}");
}

fn stable(service: &Service) -> Option<&str> {
    service
        .stable
        .as_ref()
        .map(|stable| stable.version.name.as_str())
}

fn warm(service: &Service) -> Option<&str> {
    service
        .warm
        .as_ref()
        .map(|warm| warm.deployed.version.name.as_str())
}

// TRF-09
#[test]
fn the_version_before_stays_warm() {
    let mut service = service();
    fold(
        &mut service,
        &[ServiceEvent::TakenOver(Box::new(deployed("1", None)))],
    );
    refused(
        &mut service,
        &ServiceEvent::TakenOver(Box::new(deployed("0", None))),
    );
    fold(&mut service, &[changed("2", "r-2")]);
    assert_eq!((stable(&service), warm(&service)), (Some("2"), Some("1")));
    let kept = service.warm.as_ref().expect("warm");
    assert_eq!(kept.until, AT.plus(WARM));
    assert_eq!(kept.release, release("r-2"));
}

#[test]
fn a_repeated_record_does_not_make_a_version_its_own_predecessor() {
    let mut service = service();
    fold(&mut service, &[changed("1", "r-1"), changed("2", "r-2")]);
    refused(&mut service, &changed("2", "r-2"));
    assert!(service.stable_is_of(&release("r-2")));
    assert!(!service.stable_is_of(&release("r-1")));
}

// TRF-07
#[test]
fn a_return_makes_the_warm_version_stable_again() {
    let mut service = service();
    fold(&mut service, &[changed("1", "r-1"), changed("2", "r-2")]);
    refused(&mut service, &restored("r-1"));
    fold(&mut service, &[restored("r-2")]);
    assert_eq!((stable(&service), warm(&service)), (Some("1"), None));
    refused(&mut service, &restored("r-2"));
}

#[test]
fn a_first_deployment_can_be_withdrawn() {
    let mut service = service();
    refused(&mut service, &withdrawn("r-1"));
    fold(&mut service, &[changed("1", "r-1")]);
    assert_eq!(warm(&service), None);
    refused(&mut service, &restored("r-1"));
    refused(&mut service, &withdrawn("r-9"));
    fold(&mut service, &[withdrawn("r-1")]);
    assert_eq!(stable(&service), None);

    fold(&mut service, &[changed("1", "r-1"), changed("2", "r-2")]);
    refused(&mut service, &withdrawn("r-2"));
}

#[test]
fn a_version_that_nothing_returns_to_is_still_to_be_stopped() {
    let mut service = service();
    fold(
        &mut service,
        &[
            changed("1", "r-1"),
            changed("2", "r-2"),
            changed("3", "r-3"),
        ],
    );
    assert_eq!((stable(&service), warm(&service)), (Some("3"), Some("2")));
    let retiring: Vec<&str> = service
        .retiring
        .iter()
        .map(|d| d.version.name.as_str())
        .collect();
    assert_eq!(retiring, ["1"]);
    let retired = |text: &str| ServiceEvent::WarmRetired {
        version: version(text).digest,
    };
    fold(&mut service, &[retired("1")]);
    assert!(service.retiring.is_empty());
    fold(&mut service, &[retired("9")]);
    assert_eq!(warm(&service), Some("2"));
    fold(&mut service, &[retired("2")]);
    assert_eq!((stable(&service), warm(&service)), (Some("3"), None));
}

#[test]
fn one_release_is_on_its_way_and_others_wait_in_line() {
    let mut service = service();
    fold(
        &mut service,
        &[admitted("r-1"), queued("r-2"), queued("r-3")],
    );
    for event in [
        admitted("r-2"),
        admitted("r-1"),
        queued("r-2"),
        queued("r-1"),
    ] {
        refused(&mut service, &event);
    }
    assert_eq!(service.queue, [release("r-2"), release("r-3")]);
    // Taken out of the line, the one on its way stays.
    fold(&mut service, &[ended("r-2")]);
    assert_eq!(service.active, Some(release("r-1")));
    assert_eq!(service.queue, [release("r-3")]);
    fold(&mut service, &[ended("r-1"), admitted("r-3")]);
    assert_eq!(
        (service.active.clone(), service.queue.len()),
        (Some(release("r-3")), 0)
    );
    // An end that is known already changes nothing.
    fold(&mut service, &[ended("r-1")]);
    assert_eq!(service.active, Some(release("r-3")));
}
