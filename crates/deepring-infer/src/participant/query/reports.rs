//! How legs ended, as their copies report it to the host that opened the query.

use std::collections::BTreeSet;

use deepring::deal::Copies;
use deepring::replication::{CopyFault, FailedCopy};
use deepring::{Host, PublicKey};

use super::super::action::{Action, WhyFailed};
use super::super::host_message::{HostMessage, LegEnd, LegReport, evidence_of};
use super::super::not_accepted::NotAccepted;
use super::super::scene::Scene;
use super::{Query, QueryEnd, ReportedEnd};

impl<'r> Query<'r> {
    /// Tells the driver which copies failed in a leg, and the host that opened the query how the leg ended.
    pub(super) fn tell_ends(&mut self, scene: &mut Scene<'_, 'r>, leg: usize) {
        let query = self.key.0;
        let Some(part) = self.part_mut(leg) else { return };
        let new: Vec<FailedCopy> =
            part.machine.named().into_iter().filter(|n| !part.named.contains(n)).collect();
        let first_block = part.blocks.start;
        for failed in &new {
            part.named.push(failed.clone());
            scene.out.push(Action::Named { query, first_block, failed: failed.clone() });
        }
        let ended = part.settled.is_some() || part.disputed;
        if ended {
            part.tell_dispute(scene);
        }
        if !ended || part.told_end == (part.disputed, part.named.len()) {
            return;
        }
        part.told_end = (part.disputed, part.named.len());
        let end = if part.disputed { LegEnd::Disputed } else { LegEnd::Settled };
        let failed = part.machine.named();
        self.report(scene, leg, end, failed, &[]);
    }

    /// This host's own end of a leg that it cannot compute: the other copies need not wait for it.
    pub(super) fn cannot_compute(&mut self, scene: &mut Scene<'_, 'r>, leg: usize, end: LegEnd) {
        let Some(part) = self.part(leg) else { return };
        let me = scene.ground.me;
        let others: Vec<_> = part.hosts.iter().filter(|host| **host != me).copied().collect();
        self.report(scene, leg, end, Vec::new(), &others);
    }

    fn report(
        &mut self,
        scene: &mut Scene<'_, 'r>,
        leg: usize,
        end: LegEnd,
        failed: Vec<FailedCopy>,
        besides: &[PublicKey<Host>],
    ) {
        let (query, opener) = (self.key.0, self.opener);
        let Some(part) = self.part_mut(leg) else { return };
        let first_block = part.blocks.start;
        let again = end != LegEnd::Settled;
        let mut to = vec![opener];
        to.extend(besides.iter().filter(|host| **host != opener));
        to.retain(|host| *host != scene.ground.me);
        let report = LegReport { query, first_block, end, failed };
        part.report(scene, to, &HostMessage::Report(report.clone()), again);
        let me = scene.ground.me;
        self.note_end(scene, leg, me, report);
    }

    /// A report of another copy of a leg.
    pub(in super::super) fn was_reported(
        &mut self,
        scene: &mut Scene<'_, 'r>,
        from: PublicKey<Host>,
        report: LegReport,
    ) -> Result<(), NotAccepted> {
        let found = scene.ground.deal.leg_of(report.first_block);
        let (leg, dealt) = found.ok_or(NotAccepted::NoPart { who: "the sender" })?;
        if dealt.place_of(&from).is_none() || dealt.first != report.first_block {
            return Err(NotAccepted::NoPart { who: "the sender" });
        }
        for FailedCopy { host, fault } in &report.failed {
            if dealt.place_of(host).is_none() {
                return Err(NotAccepted::NoPart { who: "a copy that it names" });
            }
            if let Some(evidence) = evidence_of(fault) {
                evidence.verify(scene.ground.outline)?;
                let receipt = evidence.receipt();
                let fits = receipt.query == report.query
                    && receipt.first_block == report.first_block
                    && evidence.names().contains(host);
                if !fits {
                    return Err(NotAccepted::OtherEvidence);
                }
            }
        }
        if matches!(report.end, LegEnd::CannotCompute(_) | LegEnd::Rejected { .. })
            && let Some(part) = self.part_mut(leg)
        {
            let out = part.machine.absent(&from);
            part.say(scene, out);
            self.advance(scene, leg);
        }
        self.note_end(scene, leg, from, report);
        Ok(())
    }

    /// At the host that opened the query: what the ends of a leg come to.
    fn note_end(
        &mut self,
        scene: &mut Scene<'_, 'r>,
        leg: usize,
        from: PublicKey<Host>,
        report: LegReport,
    ) {
        if !self.opened_here || self.end.is_some() {
            return;
        }
        let LegReport { first_block, end, failed, .. } = report;
        let contradicted = failed.iter().any(|failed| failed.fault != CopyFault::Absent);
        let limit = scene.ground.legs().saturating_mul(8);
        // Of two that contradict each other one lies, and neither is believed against the other.
        let both = failed.iter().filter_map(|copy| match &copy.fault {
            CopyFault::Disputed(evidence) => Some((evidence.names(), copy.fault.clone())),
            _ => None,
        });
        let both: Vec<FailedCopy> = both
            .flat_map(|(hosts, fault)| {
                hosts.into_iter().map(move |host| FailedCopy { host, fault: fault.clone() })
            })
            .collect();
        for failed in failed.into_iter().chain(both) {
            let by_it = self.told.iter().filter(|(by, _)| *by == from).count();
            if by_it < limit && !self.told.contains(&(from, failed.clone())) {
                self.told.push((from, failed));
            }
        }
        let ends = self.ends.entry(leg).or_default();
        let reported = ReportedEnd { by: from, end, contradicted };
        match ends.iter_mut().find(|known| known.by == from) {
            Some(known) => *known = reported,
            None => ends.push(reported),
        }
        // With three copies one that lies cannot end a query; with two nothing goes on without it. That nobody can compute is the word
        // of two, however many there are, and so is a rejection.
        let enough = match scene.ground.deal.copies() {
            Copies::Two => 1,
            Copies::Three => 2,
        };
        let disputed = ends.iter().filter(|known| known.end == LegEnd::Disputed).count();
        let unable: Vec<PublicKey<Host>> = ends
            .iter()
            .filter(|known| matches!(known.end, LegEnd::CannotCompute(_)))
            .map(|known| known.by)
            .collect();
        let why = match rejected_by_two(ends) {
            Some(rejected) => Some(rejected),
            None if disputed >= enough || disputed + unable.len() >= 2 => {
                let open = ends.iter().filter(|known| known.end != LegEnd::Settled);
                let by = open.clone().map(|known| known.by).collect();
                Some(match open.clone().any(|known| known.contradicted) {
                    true => WhyFailed::Disputed { first_block, by },
                    false => WhyFailed::TooFew { first_block, by },
                })
            }
            None => None,
        };
        if let Some(why) = why {
            let me = scene.ground.me;
            let absent = |host| (me, FailedCopy { host, fault: CopyFault::Absent });
            self.told.extend(unable.into_iter().map(absent));
            self.fail(scene, why);
        }
    }

    /// The copies that failed: as this host saw it, as evidence proves it, and as two others say; of two copies, as either does.
    pub(super) fn named(&self, scene: &Scene<'_, 'r>) -> Vec<FailedCopy> {
        let two = scene.ground.deal.copies() == Copies::Two;
        let others = |host: &PublicKey<Host>| {
            let about = self.told.iter().filter(|(by, failed)| failed.host == *host && by != host);
            about.map(|(by, _)| *by.as_bytes()).collect::<BTreeSet<_>>().len()
        };
        let mut named: Vec<FailedCopy> = Vec::new();
        for (by, failed) in &self.told {
            let proven = evidence_of(&failed.fault).is_some_and(|evidence| evidence.is_proof());
            let stands = two || proven || *by == scene.ground.me || others(&failed.host) >= 2;
            if stands && !named.contains(failed) {
                named.push(failed.clone());
            }
        }
        named
    }

    /// The query ends here without an answer.
    pub(super) fn fail(&mut self, scene: &mut Scene<'_, 'r>, why: WhyFailed) {
        let named = self.named(scene);
        scene.out.push(Action::Failed { query: self.key.0, why, named });
        self.end = Some(QueryEnd::Gone);
    }
}

/// The queries that two copies of a leg reject.
fn rejected_by_two(ends: &[ReportedEnd]) -> Option<WhyFailed> {
    let rejected: Vec<_> = ends
        .iter()
        .filter_map(|known| match &known.end {
            LegEnd::Rejected { queries, why } => Some((queries, why)),
            _ => None,
        })
        .collect();
    rejected.iter().enumerate().find_map(|(n, (one, why))| {
        rejected.iter().skip(n + 1).find_map(|(other, _)| {
            let both = one.iter().filter(|query| other.binary_search(query).is_ok());
            let queries: Vec<u32> = both.copied().collect();
            let why = (*why).clone();
            (!queries.is_empty()).then_some(WhyFailed::Rejected { queries, why })
        })
    })
}
