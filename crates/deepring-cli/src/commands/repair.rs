//! `deepring repair`: a damaged ring made whole from an intact copy, and that on the ledger.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use deepring::files::{Replacement, ResolvedPath, Turn};
use deepring::maintenance::{PreparedRepair, Repaired, ToRepair, prepare_repair};
use deepring::{AuthenticRing, Finding, Host, SecretKey, Section};
use serde_json::json;

use super::recording::{OtherCopy, Recorder};
use crate::cli::Repair;
use crate::error::{CliError, Exit};
use crate::ledgers::Wanted;
use crate::output;
use crate::progress::Progress;
use crate::rings::{self, TrustPolicy};
use crate::secrets::Secrets;

pub(crate) fn repair(args: &Repair, trust: Option<&Path>) -> Result<(), CliError> {
    // Walked once: who turns a link meanwhile must not have another file rewritten, bound or shown. A link stays one: what
    // it leads to is rewritten.
    let (target, from) = (output::resolved_path(&args.ring)?, output::resolved_path(&args.from)?);
    output::spare_descriptors(&target)?;
    let kept = rings::store_files(trust);
    output::keep_at(
        &target,
        args.key.as_deref().into_iter().chain(kept.iter().map(PathBuf::as_path)),
    )?;
    let is_itself = rings::is_one_file(&target, &from)?;
    if args.countersign.is_some() && is_itself {
        let message = "the copy is the ring itself: nobody would compare anything";
        return Err(CliError::usage(message).hint(
            "give the other host's own copy with `--from`, whose key `--countersign` names",
        ));
    }
    let _turn = rings::turn(&target)?;
    // Begun before anything is read, as the copy is opened once: another file that is put in the place of one of them meanwhile
    // is neither replaced nor read.
    let (file, copy) = (Replacement::of(target.place()), rings::open_as_it_is(&from));
    // What is put there is bound before another command's turn comes.
    let _turn_of_the_new = file.as_ref().ok().map(Turn::of_new);
    let mut policy = TrustPolicy::new(&args.owner, trust)?.binding();
    if let Ok(copy) = &copy {
        policy.belongs(&from, copy.claimed())?;
    }
    // Opened before anything is written: a repair that cannot be recorded is not begun.
    let secrets = Secrets::of(&args.passphrase);
    let hosts = secrets.keys::<Host>(&args.key)?;
    let countersigner = args.countersign.as_deref().map(|path| secrets.key::<Host>(path));
    let countersigner = countersigner.transpose()?;
    let wanted = Wanted::of(args.ledger.as_deref(), args.ledger_key.as_deref());
    let mut recorder = wanted.map(|ledger| Recorder::open(&ledger, &hosts, &policy)).transpose()?;
    recorder.iter().for_each(Recorder::note_unvouched);
    if let (Some(recorder), Ok(copy)) = (&recorder, &copy) {
        recorder.holds(&copy.claimed(), &policy)?;
        recorder.learn_of(&from, &mut policy);
        // What must not be used is not made whole. A copy that is not authentic the repair itself refuses.
        if let Ok(copy) = copy.clone().authenticate(&policy.trust_by(&target)) {
            recorder.admit_to_repair(&copy, &policy)?;
        }
    }
    let total = std::fs::metadata(from.place()).map_or(0, |m| m.len());
    let progress = Progress::bytes("repairing", total);
    let trust = policy.trust_by(&target);
    let step = |n| progress.add(n);
    let there = prepare_repair(target.place(), file, copy, &trust, &step)?;
    drop(progress);
    let (ring, done) = match there {
        ToRepair::Nothing(ring) => (*ring, None),
        ToRepair::Prepared(prepared) => {
            // Before the file is whole: killed in between, the alarm stands, and the next repair finds these blocks quarantined
            // and records theirs. After it, nobody would learn that the file was ever damaged.
            if let Some(recorder) = &mut recorder {
                let (ring, found) = (prepared.ring(), findings(&prepared));
                recorder.findings(ring.ring_id(), ring.digest(), &found)?;
            }
            let (ring, done) = prepared.commit()?;
            (ring, Some(done))
        }
    };
    policy.put_to_use(&target, &ring);
    let other = countersigner.map(|key| other_copy(&ring, (&policy, &from), key));
    let other = other.transpose()?;
    let recorded = recorder.as_mut().map(|recorder| {
        let recorded = record(recorder, &ring, done.as_ref(), (&args.from, other.as_ref()));
        recorder.remember(&ring, &mut policy);
        recorded
    });
    let entries = recorded.transpose()?.unwrap_or_default();
    if args.json {
        return output::json(&json!({
            "repaired": done.is_some(),
            "ring": ring.ring_id(),
            "digest": ring.digest(),
            "model_version": ring.model_version(),
            "revision": ring.revision(),
            "deal": ring.outline().deal_number(),
            "blocks": done.as_ref().map(|d| d.blocks.clone()).unwrap_or_default(),
            "front": done.as_ref().is_some_and(|d| d.front),
            "bytes": done.as_ref().map_or(0, |d| d.bytes),
            "entries": entries,
            "findings": done.map(|d| d.before.findings).unwrap_or_default(),
        }));
    }
    match done {
        None => output::line("intact: nothing to repair"),
        Some(done) => {
            print(&done)?;
            let deal = match ring.outline().deal_number() {
                0 => "not dealt".to_owned(),
                number => format!("deal {number}"),
            };
            let (version, revision) = (ring.model_version(), ring.revision());
            let ring = ring.ring_id();
            output::line(format_args!(
                "ring {ring}, version {version}, revision {revision}, {deal}"
            ))
        }
    }
}

/// The copy that was repaired from, as another host's.
fn other_copy<'a>(
    repaired: &'a AuthenticRing,
    (policy, from): (&TrustPolicy, &ResolvedPath),
    key: SecretKey<Host>,
) -> Result<OtherCopy<'a>, CliError> {
    let ring = rings::open_at(from)?.authenticate(&policy.trust_by(from))?;
    if ring.digest() != repaired.digest() {
        let message = "the copy is of another version than the repaired ring";
        return Err(CliError::new(Exit::Stale, message));
    }
    Ok(OtherCopy { repaired, ring, key })
}

/// The findings for which the file was refused; and of each block for which the copy was needed and that no finding names (a
/// damaged closure hides what is behind it), that it was.
fn findings(prepared: &PreparedRepair) -> Vec<Finding> {
    let done = prepared.outcome();
    let mut findings = done.before.findings.clone();
    let named: BTreeSet<u32> = findings.iter().filter_map(|finding| finding.block).collect();
    for block in done.blocks.iter().filter(|block| !named.contains(block)) {
        let header = prepared.ring().headers().iter().find(|header| header.index == *block);
        let reason = "some of its bytes were not those that were sealed, as a copy has them";
        let finding = Finding::tampered(Section::File, reason);
        findings.push(finding.in_block(*block, header.map(|header| header.name.as_str())));
    }
    findings
}

/// Puts on the ledger that the host's copy is whole again: of what was repaired, and of what the host had called tampered before,
/// such as its memory, of which nothing is left in the file, or what a repair found that was killed before it came here. Gives the
/// indices of the repair's entries.
fn record(
    recorder: &mut Recorder,
    ring: &AuthenticRing,
    done: Option<&Repaired>,
    (from, other): (&Path, Option<&OtherCopy<'_>>),
) -> Result<Vec<u64>, CliError> {
    let mut blocks = Vec::new();
    if let Some(done) = done {
        blocks.clone_from(&done.blocks);
    }
    blocks.extend(recorder.own_quarantines(&ring.digest())?);
    blocks.sort_unstable();
    blocks.dedup();
    let recorded = recorder.repair((ring.ring_id(), ring.digest()), &blocks, from, other)?;
    let list = |blocks: &[u32]| blocks.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    if !recorded.uncountersigned.is_empty() {
        output::note(format_args!(
            "note: the file is whole, and the ledger does not say so of blocks {}: they have other hosts, one of which would have to countersign (`--countersign`). \
             Until then this host's copy stays quarantined, unless the ring's owner lifts that: `deepring revoke lift`",
            list(&recorded.uncountersigned)
        ));
    }
    if !recorded.of_others.is_empty() {
        output::note(format_args!(
            "note: the file is whole, and the ledger does not say so of blocks {}, whose host this key is not",
            list(&recorded.of_others)
        ));
    }
    Ok(recorded.entries)
}

fn print(done: &Repaired) -> Result<(), CliError> {
    for finding in &done.before.findings {
        output::line(format_args!("was: {finding}"))?;
    }
    let blocks: Vec<String> = done.blocks.iter().map(u32::to_string).collect();
    let mut what = Vec::new();
    if done.front {
        what.push("the closure and its preamble".to_owned());
    }
    if !blocks.is_empty() {
        let word = if blocks.len() == 1 { "block" } else { "blocks" };
        what.push(format!("{word} {}", blocks.join(", ")));
    }
    if what.is_empty() {
        what.push("the outline".to_owned());
    }
    output::line(format_args!(
        "repaired {}: {} from the copy; intact now",
        what.join(" and "),
        output::size(done.bytes)
    ))
}
