//! The entries that commands write to a ledger, in the ledger's terms.

#[cfg(all(test, feature = "attacks", unix))]
mod tests;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use deepring::audit::Challenge;
use deepring::files::ResolvedPath;
use deepring::keys::AuthorKey;
use deepring::outline::AuthenticOutline;
use deepring::replication::{CopyFault, Evidence, FailedCopy};
use deepring::{
    AuthenticRing, Decision, Digest, Finding, Host, OpeningKey, Owner, PublicKey, RingId, SecretKey,
};
use deepring_ledger::entry::Audit;
use deepring_ledger::policy::{AdmitError, Admitted, Refusal};
use deepring_ledger::state::{Cause, NoAuthority, Quarantined};
use deepring_ledger::{Binding, Ledger, LedgerError, State};

use crate::error::{CliError, Exit};
use crate::ledgers::{VouchedLedger, Voucher, Wanted};
use crate::output;
use crate::rings::TrustPolicy;

/// A ledger that a command appends to in the name of hosts.
pub(crate) struct Recorder {
    vouched: VouchedLedger,
    dir: PathBuf,
    hosts: Vec<SecretKey<Host>>,
    opened: Instant,
}

/// How long a command that goes on and on keeps other writers, such as its own revocation, from the ledger.
const LONGEST_HOLD: Duration = Duration::from_secs(1);
/// Longer than another writer sleeps between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// The entries of a repair, and what of it is none.
#[derive(Debug, Default)]
pub(crate) struct RepairEntries {
    pub(crate) entries: Vec<u64>,
    /// Blocks that have other hosts, one of which would have to countersign.
    pub(crate) uncountersigned: Vec<u32>,
    /// Blocks that none of these hosts has.
    pub(crate) of_others: Vec<u32>,
}

/// The copy of another host of repaired blocks, which can say that both are equal.
pub(crate) struct OtherCopy<'a> {
    /// The ring as it was repaired.
    pub(crate) repaired: &'a AuthenticRing,
    /// The other host's.
    pub(crate) ring: AuthenticRing,
    pub(crate) key: SecretKey<Host>,
}

impl OtherCopy<'_> {
    /// Compares the repaired host's copy of these blocks with this one, and signs that they are equal.
    fn audit(
        &self,
        repaired: &SecretKey<Host>,
        blocks: &[u32],
        binding: Binding,
    ) -> Result<Audit, CliError> {
        let challenge = Challenge::fresh(blocks)?;
        let host = repaired.public();
        let given = challenge.answer_from(&host, self.repaired, OpeningKey::Host(repaired))?;
        let expected = challenge.answer_from(&host, &self.ring, OpeningKey::Host(&self.key))?;
        if given != expected {
            let message =
                "the repaired copy is not equal to the one of the host that is to countersign";
            return Err(CliError::new(Exit::Tampered, message));
        }
        let mut audit = Audit { nonce: *challenge.nonce(), digest: given, countersignature: None };
        let signed = audit.countersign(binding, &self.ring.digest(), blocks, &host, &self.key);
        audit.countersignature = Some(signed);
        Ok(audit)
    }
}

impl Recorder {
    /// Opens the ledger. The hosts sign what goes on it.
    pub(crate) fn open(
        wanted: &Wanted<'_>,
        hosts: &[SecretKey<Host>],
        policy: &TrustPolicy,
    ) -> Result<Self, CliError> {
        let vouched = wanted.append(policy.store())?;
        let (dir, hosts) = (wanted.dir.to_owned(), hosts.to_vec());
        Ok(Self { vouched, dir, hosts, opened: Instant::now() })
    }

    /// Says so where nobody vouches for the ledger's key.
    pub(crate) fn note_unvouched(&self) {
        self.vouched.note_unvouched();
    }

    /// Returns whether it is time to [make way](Self::makes_way).
    pub(crate) fn holds_long(&self) -> bool {
        self.opened.elapsed() > LONGEST_HOLD
    }

    /// Closes the ledger for a moment, in which others can write, and opens it anew. What they wrote may refuse what was
    /// admitted before.
    pub(crate) fn makes_way(
        self,
        wanted: &Wanted<'_>,
        policy: &mut TrustPolicy,
    ) -> Result<Self, CliError> {
        self.remember_growth(policy);
        let Self { vouched, hosts, .. } = self;
        drop(vouched);
        std::thread::sleep(PAUSE);
        Self::open(wanted, &hosts, policy)
    }

    /// Makes a ledger in a folder of the caller's own, or goes on with it.
    pub(crate) fn begin(dir: &Path, hosts: &[SecretKey<Host>]) -> Result<Self, CliError> {
        let vouched =
            VouchedLedger { ledger: Ledger::open_or_create(dir)?, voucher: Voucher::Remembered };
        let (dir, hosts) = (dir.to_owned(), hosts.to_vec());
        Ok(Self { vouched, dir, hosts, opened: Instant::now() })
    }

    /// The ledger's public key, as text.
    #[cfg(feature = "attacks")]
    pub(crate) fn key(&self) -> &str {
        self.vouched.ledger.key().as_str()
    }

    /// Remembers that this ledger lies here and holds the ring, and how far it has grown.
    pub(crate) fn remember(&self, ring: &AuthenticRing, policy: &mut TrustPolicy) {
        policy.remember_ledger(&self.vouched, &self.dir, Some(ring.owned()));
    }

    /// Remembers how far the ledger has grown, if it is one that is remembered.
    pub(crate) fn remember_growth(&self, policy: &mut TrustPolicy) {
        policy.remember_growth(&self.vouched);
    }

    /// Remembers what the ledger says of the keys of the ring at a path, before that is authenticated.
    pub(crate) fn learn_of(&self, way: &ResolvedPath, policy: &mut TrustPolicy) {
        policy.learn_of(&self.vouched, way);
    }

    /// Refuses another ledger than the ring is known to be recorded in.
    pub(crate) fn holds(
        &self,
        ring: &deepring::trust::OwnedRing,
        policy: &TrustPolicy,
    ) -> Result<(), CliError> {
        self.vouched.holds(policy.store(), ring)
    }

    /// Refuses another ledger than the ring is known to be recorded in, what the ledger says must not be used, and hosts that it does
    /// not know as such: what they decide could not be recorded. Says whose other copies are quarantined.
    pub(crate) fn admit(&self, ring: &AuthenticRing, policy: &TrustPolicy) -> Result<(), CliError> {
        let hosts = self.hosts.iter().map(SecretKey::public);
        for copy in self.admitted(ring, hosts, policy)?.quarantined {
            output::note(format_args!(
                "note: block {} of host {} is quarantined by entry {} of the ledger",
                copy.block,
                copy.host.short(),
                copy.entry
            ));
        }
        let known = self.outline(&ring.digest())?;
        let genesis = ring.outline().genesis();
        let hosts = self.hosts.iter().map(SecretKey::public);
        match hosts.filter(|h| genesis.has_host(h)).find(|h| !known.genesis().has_host(h)) {
            None => Ok(()),
            Some(host) => Err(unknown_host(&host, ring.revision(), known.revision())),
        }
    }

    /// The refusals of [`admit`](Self::admit) for a ring that is to be made whole: no copy's quarantine stands in the way. A host that
    /// has no block of the ring has no copy of it.
    pub(crate) fn admit_to_repair(
        &self,
        ring: &AuthenticRing,
        policy: &TrustPolicy,
    ) -> Result<(), CliError> {
        self.admitted(ring, [], policy)?;
        match self.any_host_of(self.outline(&ring.digest())?) {
            Some(_) => Ok(()),
            None => Err(no_host()),
        }
    }

    fn admitted(
        &self,
        ring: &AuthenticRing,
        hosts: impl IntoIterator<Item = PublicKey<Host>>,
        policy: &TrustPolicy,
    ) -> Result<Admitted, CliError> {
        self.holds(&ring.owned(), policy)?;
        Ok(self.vouched.ledger.admit(ring.outline(), hosts)?)
    }

    /// Registers a ring in its owner's name, unless it is registered already.
    pub(crate) fn register(
        &mut self,
        ring: &AuthenticRing,
        owner: &SecretKey<Owner>,
    ) -> Result<Option<u64>, CliError> {
        Ok(self.vouched.ledger.register(ring.outline(), &owner.clone().into())?)
    }

    /// Records a decision in the name of the host that closed it.
    pub(crate) fn decision(
        &mut self,
        decision: &Decision,
        outline: &AuthenticOutline,
    ) -> Result<u64, CliError> {
        let closed_by = decision.closed_by();
        let host = self.hosts.iter().find(|h| h.public() == closed_by).cloned();
        let host = host.ok_or_else(no_host)?;
        Ok(self.vouched.ledger.record_decision(decision, outline, &host.into())?)
    }

    /// Records an alarm beside a refusal. Where that cannot be, it is a note: whoever fills the ledger's disk, or has a ring refused that
    /// the ledger does not know, must not turn the refusal, its findings and its exit code into an error of the ledger.
    pub(crate) fn alarm(&mut self, ring: RingId, digest: Digest, findings: &[Finding]) {
        self.alarm_of(None, (ring, digest), findings);
    }

    /// The same, about the copy of one of these hosts.
    pub(crate) fn alarm_of(
        &mut self,
        whose: Option<PublicKey<Host>>,
        ring: (RingId, Digest),
        findings: &[Finding],
    ) {
        if let Err(e) = self.findings_of(whose, ring, findings) {
            output::note(format_args!("warning: the alarm is not on the ledger: {e}"));
        }
    }

    /// Records findings in the name of the hosts whose copies they are about; the entries' indices.
    pub(crate) fn findings(
        &mut self,
        ring: RingId,
        digest: Digest,
        findings: &[Finding],
    ) -> Result<Vec<u64>, CliError> {
        self.findings_of(None, (ring, digest), findings)
    }

    fn findings_of(
        &mut self,
        whose: Option<PublicKey<Host>>,
        (ring, digest): (RingId, Digest),
        findings: &[Finding],
    ) -> Result<Vec<u64>, CliError> {
        let outline = self.outline(&digest)?;
        // Of several hosts of a block, the one whose copy it is.
        let own = |block: u32| {
            let block = outline.blocks().get(block as usize)?;
            let of = |host: &&SecretKey<Host>| whose == Some(host.public());
            self.hosts.iter().find(of).filter(|host| block.has_host(&host.public()))
        };
        // Those of one host in one transaction.
        let mut by_host: Vec<(SecretKey<Host>, Vec<Finding>)> = Vec::new();
        for finding in findings {
            let host = finding.block.and_then(|b| own(b).or_else(|| self.host_of(outline, b)));
            let (host, finding) = match host {
                Some(host) => (host, finding.clone()),
                None => (self.any_host_of(outline).ok_or_else(no_host)?, of_the_whole(finding)),
            };
            match by_host.iter_mut().find(|(known, _)| known.public() == host.public()) {
                Some((_, all)) => all.push(finding),
                None => by_host.push((host.clone(), vec![finding])),
            }
        }
        let mut entries = Vec::new();
        for (host, findings) in by_host {
            let accused = host.public();
            let ledger = &mut self.vouched.ledger;
            entries.extend(ledger.record_findings(
                (ring, digest),
                accused,
                &findings,
                &host.into(),
            )?);
        }
        Ok(entries)
    }

    /// Records the evidence against copies that failed; where that cannot be, it is a note, as for an [`alarm`](Self::alarm).
    pub(crate) fn evidence(&mut self, ring: RingId, failed: &[FailedCopy]) {
        let mut all: Vec<(&Evidence, &str)> = Vec::new();
        for one in failed {
            let (CopyFault::Disputed(evidence)
            | CopyFault::Outvoted(evidence)
            | CopyFault::Equivocated(evidence)) = &one.fault
            else {
                continue;
            };
            // A contradiction names two, and is evidence against both: that each of them objects to the other says no more.
            let repeats = |known: &Evidence| {
                !evidence.is_proof()
                    && !known.is_proof()
                    && known.names().iter().all(|host| evidence.names().contains(host))
            };
            if !all.iter().any(|(known, _)| *known == evidence || repeats(known)) {
                all.push((evidence, evidence.reason()));
            }
        }
        for (evidence, reason) in all {
            if let Err(e) = self.one_evidence(ring, evidence, reason) {
                output::note(format_args!("warning: the evidence is not on the ledger: {e}"));
            }
        }
    }

    fn one_evidence(
        &mut self,
        ring: RingId,
        evidence: &Evidence,
        reason: &str,
    ) -> Result<(), CliError> {
        // What is not registered is refused as such.
        self.outline(&evidence.receipt().ring_digest)?;
        let ledger = &mut self.vouched.ledger;
        match ledger.record_evidence(ring, evidence, reason, &self.hosts)? {
            Some(_) => Ok(()),
            None => Err(no_host()),
        }
    }

    /// Records that these blocks are whole again, each in the name of a host that has it.
    pub(crate) fn repair(
        &mut self,
        (ring, digest): (RingId, Digest),
        blocks: &[u32],
        source: &Path,
        other: Option<&OtherCopy<'_>>,
    ) -> Result<RepairEntries, CliError> {
        let outline = self.outline(&digest)?;
        let mut out = RepairEntries::default();
        let mut by_host: Vec<(SecretKey<Host>, Vec<u32>)> = Vec::new();
        for block in blocks {
            match self.host_of(outline, *block) {
                None => out.of_others.push(*block),
                Some(host) => {
                    match by_host.iter_mut().find(|(known, _)| known.public() == host.public()) {
                        Some((_, all)) => all.push(*block),
                        None => by_host.push((host.clone(), vec![*block])),
                    }
                }
            }
        }
        let audited = |host: &PublicKey<Host>, block: u32| {
            let block = outline.blocks().get(block as usize);
            other.is_some_and(|o| {
                o.key.public() != *host && block.is_some_and(|b| b.has_host(&o.key.public()))
            })
        };
        let mut repairs: Vec<(SecretKey<Host>, Vec<u32>, bool)> = Vec::new();
        for (host, blocks) in by_host {
            let (both, alone): (Vec<u32>, Vec<u32>) =
                blocks.into_iter().partition(|block| audited(&host.public(), *block));
            repairs.push((host.clone(), both, true));
            repairs.push((host, alone, false));
        }
        let ledger = &mut self.vouched.ledger;
        for (host, mut blocks, is_audited) in repairs {
            let binding = ledger.state()?.binding(&AuthorKey::from(host.clone()).public());
            let audit = match other.filter(|_| is_audited && !blocks.is_empty()) {
                Some(other) => other.audit(&host, &blocks, binding)?,
                None => Audit::none(),
            };
            let host = host.into();
            while !blocks.is_empty() {
                let (whose, from) = ((ring, digest), source.display().to_string());
                match ledger.record_repair(whose, blocks.clone(), from, audit.clone(), &host) {
                    Ok(entry) => {
                        out.entries.push(entry);
                        break;
                    }
                    Err(LedgerError::NoAuthority {
                        source: NoAuthority::NotCountersigned { block },
                        ..
                    }) if blocks.contains(&block) && audit.countersignature.is_none() => {
                        blocks.retain(|b| *b != block);
                        out.uncountersigned.push(block);
                    }
                    Err(e) => return Err(e.into()),
                }
            }
        }
        Ok(out)
    }

    /// The copies of these hosts that are quarantined because they said so themselves: what a repair lifts.
    pub(crate) fn own_quarantines(&self, digest: &Digest) -> Result<Vec<u32>, CliError> {
        let own = |q: &Quarantined| self.hosts.iter().any(|h| h.public() == q.host);
        let all = self.state()?.quarantined(digest);
        let mut blocks: Vec<u32> =
            all.filter(|q| q.cause == Cause::OwnAlarm && own(q)).map(|q| q.block).collect();
        blocks.sort_unstable();
        blocks.dedup();
        Ok(blocks)
    }

    fn state(&self) -> Result<&State, CliError> {
        Ok(self.vouched.ledger.state()?)
    }

    /// A version of a ring as the ledger knows it, by which it says who may say what.
    fn outline(&self, digest: &Digest) -> Result<&AuthenticOutline, CliError> {
        let known = self.state()?.outlines(digest).next();
        known.ok_or_else(|| AdmitError::from(Refusal::NotRegistered).into())
    }

    fn host_of(&self, outline: &AuthenticOutline, block: u32) -> Option<&SecretKey<Host>> {
        let block = outline.blocks().get(block as usize)?;
        self.hosts.iter().find(|host| block.has_host(&host.public()))
    }

    fn any_host_of(&self, outline: &AuthenticOutline) -> Option<&SecretKey<Host>> {
        self.hosts.iter().find(|host| is_host(outline, &host.public()))
    }
}

fn is_host(outline: &AuthenticOutline, host: &PublicKey<Host>) -> bool {
    outline.blocks().iter().any(|block| block.has_host(host))
}

/// The finding as one about the whole ring, for a host that has not the block: it can speak of no copy but its own.
fn of_the_whole(finding: &Finding) -> Finding {
    let mut whole = finding.clone();
    if let Some(block) = whole.block.take() {
        whole.reason = format!("block {block}: {}", whole.reason);
    }
    whole
}

fn no_host() -> CliError {
    CliError::new(Exit::Untrusted, "none of the keys given is of a host of this ring")
        .hint("give the secret key of the host whose copy this is with `--key host.key`")
}

fn unknown_host(host: &PublicKey<Host>, revision: u32, known: u32) -> CliError {
    let host = host.short();
    let message = format!(
        "host {host} is no host of this ring in revision {known}, which the ledger knows, and is one in revision {revision}"
    );
    let hint = match revision > known {
        true => "have the ring's owner register this revision: `deepring ledger register`",
        false => "get the newest revision of the ring from its owner",
    };
    CliError::new(Exit::Untrusted, message).hint(hint)
}
