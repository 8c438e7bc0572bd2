//! When all that a proxy counted up to now is stored.
//!
//! Pure. Nobody can tell that from counts which stay as they are: a disk that stands
//! still for three seconds looks the same. The proxy itself knows which slices it
//! finished and which of them are stored.

use super::watcher::Telling;

/// The second under way when it was first looked at, and the next one: a proxy counts a
/// request a moment after its client has read the last byte.
const CUTS: u32 = 2;

/// Looks at a proxy until everything that had ended before the first look is stored.
#[derive(Debug, Default)]
pub(super) struct Told {
    newest: Option<Telling>,
    cuts: u32,
}

impl Told {
    /// Takes the next look; whether everything is stored.
    pub(super) fn look(&mut self, now: &Telling) -> bool {
        match &self.newest {
            Some(before) if before.boot == now.boot => {
                self.cuts += u32::from(now.finished > before.finished);
            }
            // What another start left is in its queue, and is looked at from here on.
            _ => self.cuts = 0,
        }
        self.newest = Some(now.clone());
        self.cuts >= CUTS && now.waiting == 0 && !now.expects
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn telling(boot: &str, finished: u64, waiting: u64) -> Telling {
        Telling {
            boot: boot.to_owned(),
            finished,
            waiting,
            expects: false,
        }
    }

    fn all(looks: &[Telling]) -> Vec<bool> {
        let mut told = Told::default();
        looks.iter().map(|look| told.look(look)).collect()
    }

    /// A proxy was killed, the next one serves; the load stops in the second of slice 15,
    /// and the disk of the store then stands still for more than two seconds. The
    /// report's counts do not change all that time, and are not the last ones.
    #[test]
    fn a_store_that_stands_still_is_waited_for() {
        let looks = [
            telling("b", 12, 0),
            telling("b", 15, 3),
            telling("b", 18, 6),
            telling("b", 21, 9),
            telling("b", 21, 6),
            telling("b", 21, 0),
        ];
        assert_eq!(all(&looks), [false, false, false, false, false, true]);
    }

    #[test]
    fn an_empty_queue_before_the_second_is_over_says_nothing() {
        let looks = [
            telling("b", 12, 0),
            telling("b", 12, 0),
            telling("b", 15, 0),
            telling("b", 15, 0),
            telling("b", 18, 0),
        ];
        assert_eq!(all(&looks), [false, false, false, false, true]);
    }

    #[test]
    fn another_start_is_looked_at_from_its_beginning() {
        let looks = [
            telling("a", 12, 0),
            telling("a", 15, 0),
            telling("b", 18, 3),
            telling("b", 21, 0),
            telling("b", 24, 0),
        ];
        assert_eq!(all(&looks), [false, false, false, false, true]);
    }

    #[test]
    fn those_that_drain_are_waited_for() {
        let mut looks = [1, 2, 3, 4].map(|n| telling("a", n, 0));
        looks[2].expects = true;
        assert_eq!(all(&looks), [false, false, false, true]);
    }
}
