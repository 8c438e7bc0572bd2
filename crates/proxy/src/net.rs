//! Address ranges, as in `10.0.0.0/8`.

use std::net::IpAddr;

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cidr {
    base: u128,
    bits: u32,
    v6: bool,
}

impl Cidr {
    /// Reads `192.168.0.0/16`, `::1/128` or a single address.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let error = || format!("{text:?} is not an address range such as 10.0.0.0/8");
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| error())?;
        let (base, v6, width) = widen(address);
        let bits = match bits {
            None => width,
            Some(bits) => bits
                .parse()
                .ok()
                .filter(|b| *b <= width)
                .ok_or_else(error)?,
        };
        Ok(Self {
            base: cut(base, bits, width),
            bits,
            v6,
        })
    }

    /// Whether an address lies in the range. An IPv4 address written as IPv6 is IPv4.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let (value, v6, width) = widen(address.to_canonical());
        v6 == self.v6 && cut(value, self.bits, width) == self.base
    }
}

fn widen(address: IpAddr) -> (u128, bool, u32) {
    match address {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), false, 32),
        IpAddr::V6(v6) => (u128::from(v6), true, 128),
    }
}

fn cut(value: u128, bits: u32, width: u32) -> u128 {
    let drop = width - bits;
    if drop >= 128 {
        0
    } else {
        value >> drop << drop
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_what_they_say() {
        for (range, address, inside) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "::1", true),
            ("10.0.0.0/8", "::ffff:10.1.1.1", true),
            ("fd00::/8", "fd12::1", true),
        ] {
            let cidr = Cidr::parse(range).expect(range);
            assert_eq!(
                cidr.contains(address.parse().expect("address")),
                inside,
                "{range} {address}"
            );
        }
        for bad in ["", "10.0.0.0/33", "x", "10.0.0.0/", "10.0.0.0/-1"] {
            assert!(Cidr::parse(bad).is_err(), "{bad}");
        }
    }
}
