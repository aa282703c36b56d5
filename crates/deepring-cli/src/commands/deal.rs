//! `deepring deal`: who hosts which leg of a ring, in how many copies.

use std::ffi::OsString;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use deepring::deal::{Copies, Deal, DealPlan, DealtLeg};
use deepring::files::Turn;
use deepring::seal::PlannedDeal;
use deepring::{Host, Owner, PublicKey};
use deepring_infer::sealing::Blocks;

use super::grant::not_the_owner;
use super::seal::parse_host;
use crate::cli::{CopiesArg, CopiesArgs, DealArgs};
use crate::error::{CliError, Exit};
use crate::ledgers::Wanted;
use crate::output;
use crate::rings::{self, TrustPolicy};
use crate::secrets::Secrets;

pub(crate) fn deal(args: &DealArgs, trust: Option<&Path>) -> Result<(), CliError> {
    let owner = Secrets::of(&args.passphrase).key::<Owner>(&args.owner_key)?;
    let (planned, mut read) = planned(&args.leg, &args.copies)?;
    read.push(args.owner_key.clone());
    read.extend(rings::store_files(trust));
    let ring_at = output::resolved_path(&args.ring)?;
    output::keep_at(&ring_at, read.iter().map(PathBuf::as_path))?;
    read.push(args.ring.clone());
    let record_at = output::resolved_path(&args.output)?;
    output::keep_at(&record_at, read.iter().map(PathBuf::as_path))?;
    let _turn = rings::turn(&ring_at)?;
    // Begun before anything is asked about what lies there: another file that is put there meanwhile stays.
    let file = output::begun_behind(&ring_at)?;
    let mut record = output::begun_at(&record_at)?;
    let _turn_of_the_new = Turn::of_new(&file);
    let mut policy = TrustPolicy::of(owner.public(), trust)?.binding();
    policy.spares(&record_at)?;
    let ring = policy.verify_to_use(&ring_at).map_err(|e| not_the_owner(e, &ring_at, &owner))?;
    policy.belongs(&ring_at, ring.owned())?;
    if let Some(ledger) = Wanted::of(args.ledger.as_deref(), args.ledger_key.as_deref()) {
        let hosts = planned.legs.iter().map(|(_, host)| *host);
        let hosts = hosts.chain(planned.plan.genesis.iter().copied());
        let vouched = ledger.admits(policy.store(), &ring, hosts)?;
        policy.remember_growth(&vouched);
    }
    let deal = deepring::maintenance::deal_in(file, &ring, &owner, &planned)?;
    // The ring as it is now: its deal is what an earlier file is held against.
    let dealt = rings::open_at(&ring_at)?.authenticate(&policy.trust_by(&ring_at))?;
    policy.put_to_use(&ring_at, &dealt);
    let failed = |e| {
        let (ring, record) = (args.ring.display(), args.output.display());
        CliError::new(
            Exit::Failed,
            format!("{ring} is dealt, and its record is not written: {record}: {e}"),
        )
        .hint(format!("`deepring inspect {ring} --deal FILE` writes the record"))
    };
    record.write_all(&deal.encode()).map_err(failed)?;
    record.commit().map_err(failed)?;
    for line in in_words(&deal) {
        output::line(line)?;
    }
    output::line(format_args!("deal    {}", deal.digest()))?;
    output::note(format_args!(
        "dealt {} as revision {}; the record is {}",
        args.ring.display(),
        deal.revision,
        args.output.display()
    ));
    Ok(())
}

/// The legs with their hosts, then the hosts of Genesis, a line each.
pub(super) fn in_words(deal: &Deal) -> Vec<String> {
    let list = |hosts: &[PublicKey<Host>]| {
        hosts.iter().map(PublicKey::short).collect::<Vec<_>>().join(", ")
    };
    let leg = |(number, leg): (usize, &DealtLeg)| {
        let last = leg.end.saturating_sub(1);
        format!("leg {number}: blocks {}-{last} by {}", leg.first, list(&leg.hosts))
    };
    let mut lines: Vec<String> = (1..).zip(&deal.legs).map(leg).collect();
    lines.push(format!("Genesis by {}", list(&deal.genesis)));
    lines
}

/// The deal that options ask for, and the files that they name.
pub(crate) fn planned(
    legs: &[OsString],
    copies: &CopiesArgs,
) -> Result<(PlannedDeal, Vec<PathBuf>), CliError> {
    let mut read: Vec<PathBuf> = Vec::new();
    let mut planned = Vec::with_capacity(legs.len());
    for leg in legs {
        let (blocks, host, file) = parse_host(leg)?;
        planned.push((one_range(&blocks)?, host));
        read.push(file.into());
    }
    let mut genesis: Vec<PublicKey<Host>> = Vec::new();
    for path in &copies.genesis {
        let host = PublicKey::read(path)?;
        if !genesis.contains(&host) {
            genesis.push(host);
        }
        read.push(path.clone());
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let plan = DealPlan {
        copies: match copies.copies {
            CopiesArg::Two => Copies::Two,
            CopiesArg::Three => Copies::Three,
        },
        eager: copies.eager,
        genesis,
        dealt_at: since.as_secs(),
    };
    Ok((PlannedDeal { legs: planned, plan }, read))
}

fn one_range(blocks: &Blocks) -> Result<Range<u32>, CliError> {
    match blocks {
        Blocks::Some(ranges) if ranges.len() == 1 => {
            let range = ranges.first().cloned().unwrap_or(1..=1);
            let end = range.end().checked_add(1);
            let end =
                end.ok_or_else(|| CliError::usage("no ring has as many blocks as a leg names"))?;
            Ok(*range.start()..end)
        }
        _ => Err(CliError::usage("a leg is consecutive blocks and a host: `--leg 1-4=host.pub`")),
    }
}
