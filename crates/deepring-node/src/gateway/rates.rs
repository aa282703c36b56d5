//! How often a client may ask: for each a bucket that fills evenly, of which so many are kept.

use std::collections::HashMap;
use std::hash::Hash;
use std::mem;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::access::KnownKey;

/// Buckets of addresses and certificates in one generation; there are two.
const GENERATION: usize = 4096;
const SECOND: Duration = Duration::from_secs(1);

/// Whose bucket it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Payer {
    /// A key's.
    Key(KnownKey),
    /// A client certificate's, by its digest.
    Certificate([u8; 32]),
    /// An address's: of IPv6 the first half, as one client has all of the rest.
    Address(IpAddr),
    /// An address's that looks whether the node is up: what strangers there ask for besides keeps no monitoring from looking.
    Watcher(IpAddr),
}

impl Payer {
    pub(crate) fn address(ip: IpAddr) -> Self {
        Self::Address(of_one_client(ip))
    }

    pub(crate) fn watcher(ip: IpAddr) -> Self {
        Self::Watcher(of_one_client(ip))
    }
}

/// One address for all that a client has.
fn of_one_client(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => IpAddr::V4(ip),
            None => {
                let [a, b, c, d, ..] = ip.segments();
                IpAddr::from([a, b, c, d, 0, 0, 0, 0])
            }
        },
    }
}

/// The buckets. A full one holds a second's requests.
pub(crate) struct Rates {
    /// Time that one request pays for.
    interval: Duration,
    kept: Mutex<Kept>,
}

/// For each payer, when its bucket is full again.
#[derive(Default)]
struct Kept {
    /// Bounded by the number of keys.
    keys: HashMap<Payer, Instant>,
    /// Addresses and certificates that asked lately.
    young: HashMap<Payer, Instant>,
    /// Those before them, which are forgotten next: who comes from so many addresses has as many buckets in any case.
    old: HashMap<Payer, Instant>,
}

impl Kept {
    fn full_at(&mut self, payer: Payer, now: Instant) -> &mut Instant {
        if let Payer::Key(_) = payer {
            return self.keys.entry(payer).or_insert(now);
        }
        if !self.young.contains_key(&payer) {
            let known = self.old.remove(&payer).unwrap_or(now);
            if self.young.len() >= GENERATION {
                self.old = mem::take(&mut self.young);
            }
            self.young.insert(payer, known);
        }
        self.young.entry(payer).or_insert(now)
    }
}

impl Rates {
    /// So many requests a second, at least one.
    pub(crate) fn new(a_second: u32) -> Self {
        Self { interval: SECOND / a_second.max(1), kept: Mutex::default() }
    }

    /// Takes a request out of the payer's bucket; where there is none in it, says how many seconds to wait for one.
    pub(crate) fn take(&self, payer: Payer, now: Instant) -> Result<(), u64> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = kept.full_at(payer, now);
        let paid = (*full_at).max(now) + self.interval;
        match paid.duration_since(now) <= SECOND {
            true => {
                *full_at = paid;
                Ok(())
            }
            false => {
                let wait = paid.duration_since(now).saturating_sub(SECOND);
                Err(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(n: u32) -> Payer {
        Payer::address(IpAddr::from(n.to_be_bytes()))
    }

    #[test]
    fn a_bucket_holds_a_seconds_requests_and_fills_evenly() {
        let (rates, start) = (Rates::new(4), Instant::now());
        for _ in 0..4 {
            rates.take(v4(1), start).unwrap();
        }
        assert_eq!(rates.take(v4(1), start), Err(1));
        // Refused ones cost nothing.
        let later = start + Duration::from_millis(250);
        rates.take(v4(1), later).unwrap();
        assert_eq!(rates.take(v4(1), later), Err(1));
        rates.take(v4(2), start).unwrap();
        // However long it stood, it holds no more.
        let rested = start + Duration::from_secs(3600);
        for _ in 0..4 {
            rates.take(v4(1), rested).unwrap();
        }
        assert!(rates.take(v4(1), rested).is_err());
    }

    #[test]
    fn so_many_addresses_are_remembered_and_no_more() {
        let (rates, now) = (Rates::new(1), Instant::now());
        for n in 0..3 * GENERATION as u32 {
            rates.take(v4(n), now).unwrap();
        }
        let kept = rates.kept.lock().unwrap();
        assert_eq!((kept.young.len(), kept.old.len()), (GENERATION, GENERATION));
        drop(kept);
        // One that asked lately has paid.
        assert!(rates.take(v4(3 * GENERATION as u32 - 1), now).is_err());
        assert!(rates.take(v4(2 * GENERATION as u32 - 1), now).is_err());
    }

    #[test]
    fn a_client_has_one_bucket_for_all_its_addresses() {
        let payer = |text: &str| Payer::address(text.parse().unwrap());
        assert_eq!(payer("2001:db8:1:2::1"), payer("2001:db8:1:2:ffff::9"));
        assert_ne!(payer("2001:db8:1:2::1"), payer("2001:db8:1:3::1"));
        assert_eq!(payer("::ffff:10.0.0.1"), payer("10.0.0.1"));
    }
}
