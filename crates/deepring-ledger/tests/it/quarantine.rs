//! Alarms, what they quarantine, and what lifts it.

use std::collections::VecDeque;

use deepring::Digest;
use deepring::keys::Author;
use deepring::receipt::Item;
use deepring::replication::{CopyFault, Evidence, LegCopy};
use deepring_ledger::Event;
use deepring_ledger::entry::Audit;
use deepring_ledger::state::{Cause, NoAuthority, Quarantined};

use crate::authority::{Fixture, by_owner, its};
use crate::rings::{Sealed, host, host_key};
use crate::sample::{by_host, with_evidence};

impl Fixture {
    fn quarantined(&self) -> Vec<Quarantined> {
        let state = self.ledger.state().unwrap();
        state.quarantined(&self.outline.ring_digest()).collect()
    }

    /// An audit of these blocks of host 0, countersigned by another host.
    fn audited(&self, blocks: &[u32], by: u8) -> Audit {
        let mut audit = Audit { nonce: [7; 32], digest: Digest([8; 32]), countersignature: None };
        let digest = self.outline.ring_digest();
        let bound = self.ledger.state().unwrap().binding(&by_host(0).public());
        let by = audit.countersign(bound, &digest, blocks, &host(0), &host_key(by));
        audit.countersignature = Some(by);
        audit
    }
}

#[test]
fn a_hosts_own_alarm_quarantines_its_copy_until_another_host_countersigns_its_repair() {
    let mut bench = Fixture::new(2);
    let entry = bench.allowed(&bench.alarm(0, Some(1)), &by_host(0));
    let own = Quarantined { host: host(0), block: 1, cause: Cause::OwnAlarm, entry };
    assert_eq!(bench.quarantined(), [own]);
    // The other copy is as good as before, and the ring as a whole quarantines nothing.
    bench.allowed(&bench.alarm(0, None), &by_host(0));
    assert_eq!(bench.quarantined(), [own]);

    let alone = bench.repair(&[1], Audit::none());
    let refused = bench.refused(&alone, &by_host(0));
    assert_eq!(refused, NoAuthority::NotCountersigned { block: 1 });
    let by_itself = bench.repair(&[1], bench.audited(&[1], 0));
    assert_eq!(bench.refused(&by_itself, &by_host(0)), NoAuthority::Countersigner { block: 1 });
    // Host 3 has block 6 and Genesis has it not.
    let by_a_stranger = bench.repair(&[1], bench.audited(&[1], 3));
    assert_eq!(bench.refused(&by_a_stranger, &by_host(0)), NoAuthority::Countersigner { block: 1 });
    let of_other_blocks = bench.repair(&[1], bench.audited(&[1, 2], 1));
    assert_eq!(bench.refused(&of_other_blocks, &by_host(0)), NoAuthority::Countersignature);
    assert_eq!(bench.quarantined(), [own]);
    bench.allowed(&bench.repair(&[1], bench.audited(&[1], 1)), &by_host(0));
    assert_eq!(bench.quarantined(), []);
}

#[test]
fn a_countersigner_whose_own_copy_is_quarantined_or_who_is_revoked_has_no_say() {
    let mut bench = Fixture::new(2);
    bench.allowed(&bench.alarm(0, Some(1)), &by_host(0));
    bench.allowed(&bench.alarm(1, Some(1)), &by_host(1));
    let repair = bench.repair(&[1], bench.audited(&[1], 1));
    assert_eq!(bench.refused(&repair, &by_host(0)), NoAuthority::Countersigner { block: 1 });
    // The owner opens the knot.
    bench.allowed(&bench.lift(1, &[1]), &by_owner(0));
    let ring_id = Some(bench.outline.ring_id());
    let revoked = Event::HostRevoked { host: host(1), ring_id, reason: String::new() };
    bench.allowed(&revoked, &by_owner(0));
    assert_eq!(bench.refused(&repair, &by_host(0)), NoAuthority::Countersigner { block: 1 });
    // The other host is gone, so that nobody is left to ask.
    bench.allowed(&bench.repair(&[1], Audit::none()), &by_host(0));
    assert_eq!(bench.quarantined(), []);
}

#[test]
fn of_a_block_without_another_host_its_own_repair_suffices() {
    let mut bench = Fixture::new(1);
    bench.allowed(&bench.alarm(0, Some(1)), &by_host(0));
    bench.allowed(&bench.alarm(0, Some(2)), &by_host(0));
    let refused = bench.refused(&bench.repair(&[1, 6], Audit::none()), &by_host(0));
    assert_eq!(refused, NoAuthority::NotAHost { host: host(0), block: Some(6) });
    let refused = bench.refused(&bench.repair(&[9], Audit::none()), &by_host(0));
    assert_eq!(refused, NoAuthority::NoSuchBlock { block: 9 });
    bench.allowed(&bench.repair(&[2], Audit::none()), &by_host(0));
    assert_eq!(bench.quarantined().iter().map(|q| q.block).collect::<Vec<_>>(), [1]);
}

#[test]
fn an_alarm_is_by_a_host_of_the_ring_about_a_host_of_the_block() {
    let mut bench = Fixture::new(2);
    let refused = bench.refused(&bench.alarm(9, Some(1)), &by_host(9));
    assert_eq!(refused, NoAuthority::NotAHost { host: host(9), block: None });
    let refused = bench.refused(&bench.alarm(9, None), &by_host(0));
    assert_eq!(refused, NoAuthority::NotAHost { host: host(9), block: None });
    let refused = bench.refused(&bench.alarm(3, Some(1)), &by_host(0));
    assert_eq!(refused, NoAuthority::NotAHost { host: host(3), block: Some(1) });
    let refused = bench.refused(&bench.alarm(0, Some(7)), &by_host(0));
    assert_eq!(refused, NoAuthority::NoSuchBlock { block: 7 });
    let refused = bench.refused(&bench.alarm(0, Some(1)), &by_owner(0));
    assert!(matches!(refused, NoAuthority::WrongRole { needed: "host", .. }), "{refused}");
}

#[test]
fn a_bare_accusation_and_a_contradiction_are_kept_and_quarantine_nobody() {
    let mut bench = Fixture::new(2);
    bench.allowed(&bench.alarm(0, Some(1)), &by_host(1));
    let contradiction = bench.ring.contradiction();
    assert!(!contradiction.is_proof());
    let newest =
        bench.allowed(&with_evidence(bench.alarm(0, Some(1)), &contradiction), &by_host(1));
    assert_eq!(bench.quarantined(), []);
    let state = bench.ledger.state().unwrap();
    let kept: Vec<_> = state.accusations(&bench.outline.ring_digest()).collect();
    assert_eq!(kept.len(), 1);
    let kept = kept[0];
    assert_eq!((kept.accused, kept.author), (host(0), host(1)));
    assert_eq!((kept.count, kept.newest), (2, newest));
}

#[test]
fn whose_evidence_it_is_accuses_and_nobody_admits_what_is_not_proven() {
    let mut bench = Fixture::new(2);
    let ring = bench.outline.ring_id();
    let contradiction = bench.ring.contradiction();
    let equivocation = bench.ring.equivocation();
    assert!(contradiction.names().contains(&host(0)) && contradiction.names().contains(&host(1)));
    assert_eq!(equivocation.names(), [host(0)]);
    for (evidence, signers, due) in [
        (&contradiction, vec![0, 2, 1], vec![(2, 0), (2, 1)]),
        (&contradiction, vec![0, 1], vec![(0, 1), (1, 0)]),
        (&contradiction, vec![9, 1], vec![(1, 0)]),
        (&equivocation, vec![0, 2], vec![(2, 0)]),
        (&equivocation, vec![0], vec![(0, 0)]),
    ] {
        let keys: Vec<_> = signers.iter().map(|n| host_key(*n)).collect();
        let entries = bench.ledger.record_evidence(ring, evidence, "why", &keys).unwrap();
        let said = entries.unwrap().into_iter().map(|index| {
            let entry = bench.ledger.entry(index).unwrap();
            let Event::Alarm { accused, .. } = entry.event() else { panic!("{entry:?}") };
            (*entry.author(), *accused)
        });
        let said: Vec<_> = said.collect();
        assert_eq!(said.len(), due.len(), "{signers:?}");
        for (author, accused) in due {
            let due = (Author::Host(host(author)), host(accused));
            assert!(said.contains(&due), "{signers:?}: {author} of {accused}");
        }
    }
    // Who has no block of the ring has no say, nor has anyone about a ring that is not registered.
    let before = bench.ledger.len();
    let of_another = Sealed::new(0, 2).contradiction();
    for (evidence, n) in [(&contradiction, 9), (&of_another, 2)] {
        let said = bench.ledger.record_evidence(ring, evidence, "why", &[host_key(n)]).unwrap();
        assert_eq!(said, None);
    }
    assert_eq!(bench.ledger.len(), before);
}

#[test]
fn what_evidence_proves_only_the_owner_lifts() {
    let mut bench = Fixture::new(2);
    let evidence = bench.ring.equivocation();
    let receipt = evidence.receipt().clone();
    let own = bench.allowed(&bench.alarm(0, Some(1)), &by_host(0));
    assert_eq!(bench.quarantined()[0].entry, own);
    let indices = bench
        .ledger
        .record_evidence(bench.outline.ring_id(), &evidence, "two receipts", &[host_key(1)])
        .unwrap();
    let entry = indices.unwrap()[0];
    let proven = |block| Quarantined { host: host(0), block, cause: Cause::Evidence, entry };
    assert_eq!((receipt.first_block, receipt.end_block()), (1, 3));
    assert_eq!(bench.quarantined(), [proven(1), proven(2)]);
    // A repair is recorded, and lifts nothing of this.
    bench.allowed(&bench.repair(&[1], bench.audited(&[1], 1)), &by_host(0));
    assert_eq!(bench.quarantined(), [proven(1), proven(2)]);
    let refused = bench.refused(&bench.lift(0, &[1, 3]), &by_owner(0));
    assert_eq!(refused, NoAuthority::NotQuarantined { block: 3 });
    let refused = bench.refused(&bench.lift(0, &[1]), &by_host(1));
    assert!(matches!(refused, NoAuthority::WrongRole { needed: "owner", .. }), "{refused}");
    bench.allowed(&bench.lift(0, &[1, 2]), &by_owner(0));
    assert_eq!(bench.quarantined(), []);
}

#[test]
fn evidence_of_something_else_is_refused() {
    let mut bench = Fixture::new(2);
    let evidence = bench.ring.equivocation();
    for (accused, block) in [(1, Some(1)), (0, Some(0)), (1, None)] {
        let event = with_evidence(bench.alarm(accused, block), &evidence);
        let refused = bench.refused(&event, &by_host(1));
        assert_eq!(refused, NoAuthority::EvidenceOfAnother, "{accused} {block:?}");
    }
    let of_another_ring = crate::rings::Sealed::new(0, 2).equivocation();
    let event = with_evidence(bench.alarm(0, Some(1)), &of_another_ring);
    let refused = bench.refused(&event, &by_host(1));
    assert!(matches!(refused, NoAuthority::Evidence(_)), "{refused}");
    let Evidence::Equivocation { first, .. } = evidence else { panic!() };
    let twice = Evidence::Equivocation { second: first.clone(), first };
    let refused = bench.refused(&with_evidence(bench.alarm(0, Some(1)), &twice), &by_host(1));
    assert!(matches!(refused, NoAuthority::Evidence(_)), "{refused}");
}

/// Evidence holds under the deal that its query ran under, whatever was granted since.
#[test]
fn evidence_of_an_earlier_revision_still_holds() {
    let mut bench = Fixture::new(2);
    let evidence = bench.ring.equivocation();
    let granted = bench.ring.granted(9);
    bench.allowed(&Event::Deal { outline: its(&granted) }, &by_owner(0));
    bench.allowed(&with_evidence(bench.alarm(0, Some(1)), &evidence), &by_host(1));
    assert_eq!(bench.quarantined().len(), 2);
}

#[test]
fn a_countersignature_is_of_one_repair() {
    let mut bench = Fixture::new(2);
    bench.allowed(&bench.alarm(0, Some(1)), &by_host(0));
    let repaired = bench.repair(&[1], bench.audited(&[1], 1));
    bench.allowed(&repaired, &by_host(0));
    bench.allowed(&bench.alarm(0, Some(1)), &by_host(0));
    // The host signs a new entry, and shows what the other one signed for the last.
    assert_eq!(bench.refused(&repaired, &by_host(0)), NoAuthority::Countersignature);
    assert_eq!(bench.quarantined().len(), 1);
}

/// Evidence of a majority against host 0, by hosts 1 and 2, that states one engine: a proof.
fn majority(bench: &Fixture) -> Evidence {
    let item = Item { inputs: Digest([1; 32]), outputs: Digest([2; 32]) };
    let (chain, _) = bench.ring.begin(&[item], None);
    let outline = bench.ring.outline();
    let verified = chain.verify(&outline).unwrap();
    let mut copies = [0, 1, 2].map(|n| LegCopy::new(&verified, host_key(n)).unwrap());
    let mut sent = VecDeque::new();
    for (place, outputs) in [3, 4, 4].into_iter().enumerate() {
        let result = bench.ring.result(0, Digest([outputs; 32]));
        let out = copies[place].computed(result, [7 + place as u8; 32]);
        sent.extend(out.into_iter().map(|out| (host(place as u8), out)));
    }
    while let Some((from, out)) = sent.pop_front() {
        let to = [0, 1, 2].into_iter().position(|n| host(n) == out.to).unwrap();
        if let Ok(more) = copies[to].receive(&from, &out.bytes) {
            sent.extend(more.into_iter().map(|more| (out.to, more)));
        }
    }
    let named = copies.iter().flat_map(LegCopy::named);
    let outvoted = named.filter_map(|n| match n.fault {
        CopyFault::Outvoted(evidence) => Some(evidence),
        _ => None,
    });
    outvoted.into_iter().next().unwrap()
}

#[test]
fn objections_of_revoked_hosts_prove_nothing() {
    let told = |bench: &mut Fixture| {
        let evidence = majority(bench);
        assert!(evidence.is_proof() && evidence.names() == [host(0)]);
        let ring = bench.outline.ring_id();
        bench.ledger.record_evidence(ring, &evidence, "outvoted", &[host_key(3)]).unwrap();
        bench.quarantined().len()
    };
    assert!(told(&mut Fixture::new(3)) > 0, "of hosts in good standing it is a proof");
    for nth in 0..3 {
        let mut bench = Fixture::new(3);
        let (reason, here) = ("stolen".to_owned(), Some(bench.outline.ring_id()));
        let (revocation, author) = match nth {
            0 => (Event::HostRevoked { host: host(1), ring_id: here, reason }, by_owner(0)),
            1 => (Event::HostRevoked { host: host(2), ring_id: None, reason }, by_owner(0)),
            _ => (Event::KeyRevoked { reason }, by_host(2)),
        };
        bench.allowed(&revocation, &author);
        assert_eq!(told(&mut bench), 0);
        let state = bench.ledger.state().unwrap();
        assert_eq!(state.accusations(&bench.outline.ring_digest()).count(), 1, "and is kept");
        assert!(bench.ledger.verify().unwrap().is_intact());
    }
}
