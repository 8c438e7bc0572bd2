//! Who may agree, and to what.

use crate::plans::{MINUTE, requested, short};
use esclusa_engine::{Command, Refusal, command};
use esclusa_model::{Actor, Timestamp};
use esclusa_plan::Requirement;
use esclusa_release::{Event, ItemDone, Phase, Release, Requested};

/// A release that `ana` asked for, by a plan whose sign-off is hers to leave to others.
fn guarded() -> Release {
    let mut plan = short();
    plan.requires = vec![
        Requirement::SignOff {
            roles: vec!["dba".into(), "security".into()],
            within: MINUTE,
            not_by_author: true,
            items: vec!["restore rehearsed".into(), "on-call knows".into()],
        },
        Requirement::SignOff {
            roles: vec!["dba".into(), "owner".into()],
            within: MINUTE,
            not_by_author: false,
            items: vec!["index built".into()],
        },
    ];
    let asked = Requested {
        person: Some("ana maria".into()),
        ..requested(plan)
    };
    let by = Actor::new("ana").expect("a name");
    let mut release = Release::begin(asked, by, Timestamp(1));
    (release.phase, release.phase_since) = (Phase::Preflight, Timestamp(1));
    release
}

fn signs(role: &str, hands: &[&str], items: &[&str]) -> Command {
    Command::SignOff {
        role: role.into(),
        comment: String::new(),
        items: items
            .iter()
            .map(|item| ItemDone {
                item: (*item).into(),
                note: String::new(),
            })
            .collect(),
        hands: hands.iter().map(|hand| (*hand).to_owned()).collect(),
    }
}

// CHK-10: whoever asked does not agree to it, by whatever name.
#[test]
fn who_asked_does_not_sign_off_where_the_plan_says_so() {
    let release = guarded();
    let all = ["restore rehearsed", "on-call knows", "index built"];
    for hands in [
        &["ana"][..],
        &["ana-phone", "ana maria"],
        &["link.ben", "ben", "ana"],
    ] {
        let refused = command(&release, &signs("dba", hands, &all)).expect_err("refused");
        assert_eq!(refused.kind, Refusal::Author, "{hands:?}");
    }
    assert!(command(&release, &signs("dba", &["ben"], &all)).is_ok());
    // The other requirement has no such wish.
    assert!(command(&release, &signs("owner", &["ana"], &["index built"])).is_ok());
}

// CHK-12: every item, by name, and nothing else.
#[test]
fn a_checklist_is_confirmed_whole() {
    let release = guarded();
    let two = ["restore rehearsed", "on-call knows"];
    let refused = |items: &[&str]| {
        let refused = command(&release, &signs("security", &["ben"], items)).expect_err("refused");
        assert_eq!(refused.kind, Refusal::Items);
        refused.message
    };
    let missing = refused(&["on-call knows"]);
    assert!(missing.contains("\"restore rehearsed\""), "{missing}");
    assert!(!missing.contains("on-call"), "{missing}");
    let unknown = refused(&[two[0], two[1], "index built"]);
    assert!(unknown.contains("\"index built\" is no item"), "{unknown}");
    assert!(refused(&[two[0], two[1], two[1]]).contains("twice"));
    let events = command(&release, &signs("security", &["ben"], &two)).expect("granted");
    let [Event::SignedOff(agreed)] = events.as_slice() else {
        panic!("{events:?}");
    };
    let said: Vec<&str> = agreed.items.iter().map(|done| done.item.as_str()).collect();
    assert_eq!(said, two);
}
