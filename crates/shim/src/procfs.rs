//! Which processes there are, as `/proc` tells it.
//!
//! A process number alone names nobody: it is given out again. Number, start and
//! boot together do.

use std::collections::BTreeSet;
use std::fs;

/// The parts of `/proc/<pid>/stat` that tell processes apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// The kernel's state letter; `Z` and `X` are dead.
    pub state: char,
    /// Its parent.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// Its session.
    pub session: i32,
    /// Clock ticks from boot to its start.
    pub start_ticks: u64,
}

impl Process {
    /// Whether it still runs anything.
    #[must_use]
    pub const fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X')
    }
}

/// One process, `None` when there is no such number.
#[must_use]
pub fn process(pid: i32) -> Option<Process> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// All processes that this user may see; those that end meanwhile are left out.
#[must_use]
pub fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(process)
        .collect()
}

/// Living members of a process group.
#[must_use]
pub fn group_members(group: i32) -> Vec<Process> {
    let mut all = processes();
    all.retain(|p| p.group == group && p.is_alive());
    all
}

/// Living processes below `ancestor`, at any depth, itself not included.
#[must_use]
pub fn descendants(ancestor: i32) -> Vec<Process> {
    let all = processes();
    let mut inside = BTreeSet::from([ancestor]);
    loop {
        let before = inside.len();
        for p in &all {
            if inside.contains(&p.parent) {
                inside.insert(p.pid);
            }
        }
        if inside.len() == before {
            break;
        }
    }
    inside.remove(&ancestor);
    all.into_iter()
        .filter(|p| inside.contains(&p.pid) && p.is_alive())
        .collect()
}

/// This boot's own name, empty where the system does not tell.
#[must_use]
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

/// Whether exactly this process still runs.
#[must_use]
pub fn is_same(pid: i32, start_ticks: u64, boot: &str) -> bool {
    boot == boot_id() && process(pid).is_some_and(|p| p.start_ticks == start_ticks && p.is_alive())
}

/// The command's name in parentheses may itself hold spaces and parentheses.
fn parse(stat: &str) -> Option<Process> {
    let (head, rest) = stat.rsplit_once(')')?;
    let pid = head.split_once(' ')?.0.parse().ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Process {
        pid,
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        start_ticks: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let line = "42 (a) b (c) S 7 40 41 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1 2 3";
        let expected = Process {
            pid: 42,
            state: 'S',
            parent: 7,
            group: 40,
            session: 41,
            start_ticks: 98765,
        };
        assert_eq!(parse(line), Some(expected));
        assert_eq!(parse("42 (x) S 1"), None);
    }

    #[test]
    fn this_process_is_itself_and_not_another() {
        let pid = i32::try_from(std::process::id()).expect("small");
        let me = process(pid).expect("runs");
        assert!(is_same(pid, me.start_ticks, &boot_id()));
        assert!(!is_same(pid, me.start_ticks + 1, &boot_id()));
        assert!(!is_same(pid, me.start_ticks, "another boot"));
    }
}
