//! `deepring inspect`: what a ring says of itself, checked against its own signature only.

use std::path::Path;

use deepring::block::RecipientRole;
use deepring::files::InLine;
use deepring::trust::TrustError;
use deepring::{AuthenticRing, Header, RingKind, Trust};
use serde_json::json;

use super::deal;
use crate::begun::Begun;
use crate::cli::Inspect;
use crate::error::{CliError, Exit};
use crate::output;
use crate::rings;

pub(crate) fn inspect(args: &Inspect, trust: Option<&Path>) -> Result<(), CliError> {
    let ring = rings::open(&args.ring)?;
    let claimed = ring.claimed_owner();
    let ring = ring.authenticate(&Trust::owner(claimed))?;
    let bound = rings::glance(&args.ring, &ring, trust);
    if let Some(path) = &args.deal {
        let deal = ring.outline().deal().ok_or_else(|| {
            CliError::new(Exit::Failed, format!("{} is not dealt", args.ring.display()))
                .hint("`deepring deal` deals it")
        })?;
        Begun::at(path, [args.ring.as_path()], trust)?.write(&deal.encode())?;
        output::note(format_args!("wrote the deal to {}", path.display()));
    }
    if args.json { print_json(&ring) } else { print_text(&ring) }?;
    // Shown, since that is how its user finds out what lies there; and not with the exit code of what belongs there.
    bound.map_or(Ok(()), |bound| {
        let (path, found) = (args.ring.clone(), ring.owned());
        Err(TrustError::BoundToAnother { path, bound: bound.into(), found: found.into() }.into())
    })
}

fn print_json(ring: &AuthenticRing) -> Result<(), CliError> {
    let block = |h: &Header| {
        json!({
            "block": h.index,
            "name": h.name,
            "bytes": h.plain_len,
            "own_bytes": h.own_len(),
            "shared": h.is_shared(),
            "uses_shared": h.shared_blocks().collect::<Vec<_>>(),
            "parameter_bytes": h.parameter_bytes(),
            "body_digest": h.body_digest,
            "content_digest": h.content_digest,
            "previous": h.previous_body,
            "next": h.next_body,
            "inputs": h.inputs,
            "outputs": h.outputs,
            "parts": h.parts,
            "recipients": h.recipients.iter().map(|r| r.role).collect::<Vec<_>>(),
        })
    };
    output::json(&json!({
        "ring": ring.ring_id(),
        "kind": ring.kind(),
        "digest": ring.digest(),
        "model_version": ring.model_version(),
        "previous": ring.previous(),
        "revision": ring.revision(),
        "sealed_at": ring.sealed_at(),
        "claimed_owner": ring.owner(),
        "deal": ring.outline().deal(),
        "blocks": ring.headers().iter().map(block).collect::<Vec<_>>(),
    }))
}

fn print_text(ring: &AuthenticRing) -> Result<(), CliError> {
    output::line(format_args!("ring     {}", ring.ring_id()))?;
    output::line(format_args!("digest   {}", ring.digest()))?;
    output::line(format_args!("version  {}, revision {}", ring.model_version(), ring.revision()))?;
    if let Some(previous) = ring.previous() {
        output::line(format_args!("previous {previous}"))?;
    }
    output::line(format_args!(
        "owner    {} (claimed; `deepring verify --owner` checks)",
        ring.owner()
    ))?;
    let list = |specs: &[deepring::TensorSpec]| {
        specs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    match ring.kind() {
        RingKind::Network => {
            output::line(format_args!("inputs   {}", list(ring.inputs())))?;
            output::line(format_args!("outputs  {}", list(ring.outputs())))?;
        }
        RingKind::Weights => output::line("kind     weights: files, and no graph")?,
    }
    for line in ring.outline().deal().map(deal::in_words).unwrap_or_default() {
        output::line(line)?;
    }
    output::line("")?;
    for header in ring.headers() {
        let hosts = header
            .recipients
            .iter()
            .filter_map(|r| match r.role {
                RecipientRole::Host(key) => Some(key.short()),
                RecipientRole::Owner(_) => None,
            })
            .collect::<Vec<_>>()
            .join(" ");
        let used: Vec<String> = header.shared_blocks().map(|i| i.to_string()).collect();
        let uses = match used.as_slice() {
            [] => String::new(),
            used => format!("  uses shared {}", used.join(", ")),
        };
        output::line(format_args!(
            "{:>4}  {:<28} {:>9}  {}…  {hosts}{uses}",
            header.index,
            InLine(&header.name),
            output::size(header.own_len()),
            header.body_digest.to_hex().get(..12).unwrap_or_default(),
        ))?;
    }
    Ok(())
}
