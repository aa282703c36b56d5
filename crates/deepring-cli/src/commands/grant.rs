//! `deepring grant`: another host may open blocks.

use std::path::Path;

use deepring::{Owner, RingError, SecretKey, Verdict};

use super::seal::parse_host;
use crate::cli::Grant;
use crate::error::CliError;
use crate::output;
use crate::rings::{self, Trusting};

pub(crate) fn grant(args: &Grant, trust: Option<&Path>) -> Result<(), CliError> {
    let owner = SecretKey::<Owner>::read(&args.owner_key)?;
    let (blocks, host, host_file) = parse_host(&args.host)?;
    let named = args.output.as_deref().unwrap_or(&args.ring);
    output::keep(named, [args.owner_key.as_path(), host_file])?;
    // Links are followed once, here: who turns one meanwhile must not have another file read, locked or written. A link
    // stays one: what it leads to is rewritten.
    let (read, target) = (output::resolved_for(&args.ring)?, output::resolved_for(named)?);
    let elsewhere = output::place_of(&target)? != output::place_of(&read)?;
    let _turns = rings::turns(&read, &target)?;
    // Begun before anything is asked about what lies there: another file that is put there meanwhile stays.
    let file = output::begun(&target)?;
    let mut trusting = Trusting::of(owner.public(), trust)?.binding();
    let ring = trusting.verify(&read).map_err(|e| not_the_owner(e, &read, &owner))?;
    for path in [&args.ring, named, target.as_path()] {
        trusting.belongs(path, ring.owned())?;
    }
    trusting.put_to_use(&args.ring, &ring);
    let last = u32::try_from(ring.layers().len()).unwrap_or(u32::MAX);
    let indices = blocks.indices(last);
    if elsewhere {
        rings::spare_newer(
            &target,
            &ring,
            (ring.model_version(), ring.revision().saturating_add(1)),
        )?;
    }
    let granted = deepring::grant_in(file, &ring, &owner, &host, indices.as_deref())?;
    if granted > 0 && elsewhere {
        // What was written elsewhere is bound there, too.
        trusting.authenticate(named)?;
    }
    match granted {
        0 if elsewhere => output::line(format_args!(
            "nothing to do: the host can open these blocks already; {} is not written",
            named.display()
        )),
        0 => output::line("nothing to do: the host can open these blocks already"),
        n => {
            output::line(format_args!("granted {n} blocks (Genesis included) to {}", host.short()))
        }
    }
}

/// Whom this command trusts is whoever's secret key it was given.
fn not_the_owner(e: RingError, ring: &Path, key: &SecretKey<Owner>) -> CliError {
    let claimed = || rings::open(ring).map(|ring| ring.claimed_owner());
    match &e {
        RingError::Refused(report)
            if report.verdict == Verdict::Untrusted
                && claimed().is_ok_and(|owner| owner != key.public()) =>
        {
            deepring::GrantError::NotTheOwner.into()
        }
        _ => e.into(),
    }
}
