//! `deepring audit`: whether the copies that several hosts hold of the same blocks are equal.

use std::path::Path;
use std::sync::Arc;

use deepring::files::InLine;
use deepring::opening::OpenError;
use deepring::{AuthenticRing, Check, Host, OpeningKey, PublicKey, RingKind, SecretKey};
use deepring_infer::audit::{BlockAudit, compare_copies};
use deepring_infer::{RingHost, Rten};
use serde_json::json;

use crate::cli::AuditArgs;
use crate::error::{CliError, Exit};
use crate::output;
use crate::progress::Progress;
use crate::rings::{TrustPolicy, is_one_file};
use crate::secrets::Secrets;

/// A ring as one host holds it.
type Copy = (Arc<AuthenticRing>, SecretKey<Host>);

pub(crate) fn audit(args: &AuditArgs, trust: Option<&Path>) -> Result<(), CliError> {
    let copies = copies(args, trust)?;
    let Some((ring, _)) = copies.first() else { return Err(nothing_compared()) };
    // Copies answer from the memory that a query reads, and no query reads weights.
    if ring.kind() == RingKind::Weights {
        return Err(OpenError::OtherKind { kind: ring.kind() }.into());
    }
    let blocks = shared_blocks(&copies, &args.block)?;
    let total = blocks.iter().filter_map(|b| ring.headers().get(*b as usize)).map(|h| h.plain_len);
    let progress =
        Progress::bytes("opening", total.sum::<u64>().saturating_mul(copies.len() as u64));
    let hosts = copies.iter().map(|copy| open(copy, &blocks, &progress));
    let hosts = hosts.collect::<Result<Vec<_>, _>>()?;
    drop(progress);
    let audited = compare_copies(&hosts.iter().collect::<Vec<_>>(), &blocks)?;
    let agree = audited.iter().all(BlockAudit::agrees);
    if args.json {
        let blocks = audited.iter().map(|audit| {
            let name = ring.headers().get(audit.block as usize).map(|header| &header.name);
            json!({ "block": audit.block, "name": name, "agree": audit.agrees(), "groups": audit.groups })
        });
        let blocks: Vec<_> = blocks.collect();
        let (id, digest) = (ring.ring_id(), ring.digest());
        output::json(&json!({ "ring": id, "digest": digest, "agree": agree, "blocks": blocks }))?;
    } else {
        for audit in &audited {
            output::line(format_args!("{}", in_words(ring, audit)))?;
        }
    }
    match audited.iter().find(|audit| !audit.agrees()) {
        None => Ok(()),
        Some(audit) => Err(CliError::new(Exit::Tampered, in_words(ring, audit)).hint(
            "`deepring verify --key` tells of each file which copy is not what the owner sealed; \
             of memory, the host's own `--check run` does",
        )),
    }
}

/// The ring of each key: copies of one version.
fn copies(args: &AuditArgs, trust: Option<&Path>) -> Result<Vec<Copy>, CliError> {
    if args.rings.len() > 1 && args.rings.len() != args.key.len() {
        let (rings, keys) = (args.rings.len(), args.key.len());
        let message = format!("{rings} copies of the ring are given, and {keys} keys");
        return Err(CliError::usage(message)
            .hint("give one ring for all keys, or one for each, in the same order"));
    }
    let ways = args.rings.iter().map(|path| output::resolved_path(path));
    let ways = ways.collect::<Result<Vec<_>, _>>()?;
    for (number, way) in ways.iter().enumerate() {
        for other in ways.iter().take(number) {
            if is_one_file(way, other)? {
                let (one, other) = (way.given().display(), other.given().display());
                return Err(CliError::usage(format!("{one} and {other} are one file"))
                    .hint("give each host's own copy, or one ring for all keys"));
            }
        }
    }
    let mut policy = TrustPolicy::new(&args.owner, trust)?;
    let mut rings: Vec<Arc<AuthenticRing>> = Vec::new();
    for way in &ways {
        let ring = policy.authenticate(way)?;
        if let Some(first) = rings.first()
            && first.digest() != ring.digest()
        {
            let (one, other) = (first.model_version(), ring.model_version());
            let message =
                format!("the copies are not of one version of one ring: {one} and {other}");
            return Err(CliError::new(Exit::Stale, message));
        }
        rings.push(Arc::new(ring));
    }
    let secrets = Secrets::of(&args.passphrase);
    let mut copies: Vec<Copy> = Vec::new();
    for (number, path) in args.key.iter().enumerate() {
        let key = secrets.key::<Host>(path)?;
        if copies.iter().any(|(_, known)| known.public() == key.public()) {
            let message = format!("{} is given twice", key.public().short());
            return Err(CliError::usage(message).hint("a copy is compared with another host's"));
        }
        let ring = rings.get(number).or(rings.first());
        copies.extend(ring.map(|ring| (Arc::clone(ring), key)));
    }
    Ok(copies)
}

/// The blocks that two keys or more open, of those asked for.
fn shared_blocks(copies: &[Copy], asked: &[u32]) -> Result<Vec<u32>, CliError> {
    let holders = |index: u32| {
        let holds = |(ring, key): &&Copy| {
            let header = ring.headers().get(index as usize);
            // What shared blocks hold is compared with each block that uses it.
            header.is_some_and(|h| !h.is_shared() && ring.is_for(h, OpeningKey::Host(key)))
        };
        copies.iter().filter(holds).count()
    };
    let count = copies.first().map_or(0, |(ring, _)| ring.headers().len());
    let all = 0..u32::try_from(count).unwrap_or(u32::MAX);
    if let Some(alone) = asked.iter().find(|block| holders(**block) < 2) {
        let header = copies.first().and_then(|(ring, _)| ring.headers().get(*alone as usize));
        let message = match header {
            Some(header) if header.is_shared() => format!(
                "block {alone} holds what other blocks share: it is compared with each that uses it"
            ),
            Some(_) => format!("of block {alone} fewer than two of the keys hold a copy"),
            None => format!("there is no block {alone}: the ring has {count}"),
        };
        return Err(CliError::usage(message));
    }
    let mut blocks: Vec<u32> = match asked {
        [] => all.filter(|block| holders(*block) > 1).collect(),
        asked => asked.to_vec(),
    };
    blocks.sort_unstable();
    blocks.dedup();
    if blocks.is_empty() { Err(nothing_compared()) } else { Ok(blocks) }
}

fn open(
    (ring, key): &Copy,
    blocks: &[u32],
    progress: &Progress,
) -> Result<RingHost<Rten>, CliError> {
    let engine = Arc::new(Rten::new(None));
    let nothing = 1..1;
    let mut host =
        RingHost::open(Arc::clone(ring), engine, key.clone(), nothing, Check::Load, &|_| ())?;
    for block in blocks {
        let Some(header) = ring.headers().get(*block as usize) else { continue };
        if *block > 0 && ring.is_for(header, OpeningKey::Host(key)) {
            host.load_block(*block)?;
        }
        progress.add(header.plain_len);
    }
    Ok(host)
}

fn in_words(ring: &AuthenticRing, audit: &BlockAudit) -> String {
    let name = ring.headers().get(audit.block as usize).map_or("", |header| &header.name);
    let block = format!("block {} ({})", audit.block, InLine(name));
    let list = |group: &[PublicKey<Host>]| {
        group.iter().map(PublicKey::short).collect::<Vec<_>>().join(", ")
    };
    match audit.groups.as_slice() {
        [all] => format!("{block}: the copies of {} are equal", list(all)),
        groups => {
            let groups: Vec<String> = groups.iter().map(|group| list(group)).collect();
            format!("{block}: the copies differ: {}", groups.join(" | "))
        }
    }
}

fn nothing_compared() -> CliError {
    CliError::new(Exit::Untrusted, "no block is open to two of these keys: nothing was compared")
        .hint("give the keys of hosts that hold the same blocks, as `deepring deal` makes them")
}
