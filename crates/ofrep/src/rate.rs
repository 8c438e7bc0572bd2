//! How often one address may ask: the generic cell rate algorithm, one time an address.

use crate::limits::Rate;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Most addresses that are remembered. Beyond it those who may ask again are forgotten, then
/// all: a flood of addresses is for a firewall.
const MOST_ADDRESSES: usize = 50_000;

/// When each address has used up nothing any more.
#[derive(Debug)]
pub(crate) struct Limiter {
    rate: Rate,
    free_at: Mutex<HashMap<IpAddr, Instant>>,
}

impl Limiter {
    pub(crate) fn new(rate: Rate) -> Self {
        Self {
            rate,
            free_at: Mutex::default(),
        }
    }

    /// Takes one of what the address may ask; else how long it has to wait.
    pub(crate) fn take(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let one = Duration::from_secs(1) / self.rate.per_second.max(1);
        let most = one.saturating_mul(self.rate.burst.max(1));
        let mut all = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST_ADDRESSES {
            all.retain(|_, free_at| *free_at > now);
            if all.len() >= MOST_ADDRESSES {
                all.clear();
            }
        }
        let free_at = all.entry(network(address)).or_insert(now);
        let next = (*free_at).max(now) + one;
        let ahead = next.saturating_duration_since(now);
        if ahead > most {
            return Err(ahead - most);
        }
        *free_at = next;
        Ok(())
    }
}

/// One customer of a provider has a whole /64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let mut octets = v6.octets();
            octets[8..].fill(0);
            IpAddr::from(octets)
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let limiter = Limiter::new(Rate {
            per_second: 10,
            burst: 5,
        });
        let now = Instant::now();
        let address = IpAddr::from([203, 0, 113, 7]);
        for _ in 0..5 {
            assert_eq!(limiter.take(address, now), Ok(()));
        }
        assert_eq!(limiter.take(address, now), Err(Duration::from_millis(100)));
        assert_eq!(limiter.take(IpAddr::from([203, 0, 113, 8]), now), Ok(()));
        let later = now + Duration::from_millis(100);
        assert_eq!(limiter.take(address, later), Ok(()));
        assert!(limiter.take(address, later).is_err());
    }

    #[test]
    fn neighbours_in_one_network_of_ipv6_share_a_rate() {
        let address = |text: &str| network(text.parse().expect("an address"));
        assert_eq!(address("2001:db8::1"), address("2001:db8::ffff:1"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
        assert_eq!(address("::ffff:203.0.113.7"), address("203.0.113.7"));
    }
}
