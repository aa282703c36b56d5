//! `deepring demo`: seals a network, asks it, attacks it, plain and as a ring, and reports.
//!
//! Everything happens: every number that is printed was measured, and every refusal and repair took place,
//! in the folder that is given. The attacks are the minimum that this needs.

mod answers;
mod attacks;
mod certificate;
mod compare;
mod data;
mod edits;
mod expectations;
mod exponent;
mod folder;
mod memory;
mod plain;
mod report;
mod setting;
mod show;
mod stored;
mod story;

use std::time::Instant;

use crate::cli::Demo;
use crate::error::{CliError, Exit};
use crate::progress::Progress;

use setting::Setting;
use show::{Played, Show};

/// Fails with exit code 1 whatever is at fault: an exit code for tampering would blame the visitor's files.
pub(crate) fn demo(args: &Demo) -> Result<(), CliError> {
    play(args).map_err(|mut e| {
        e.exit = Exit::Failed;
        e
    })
}

fn play(args: &Demo) -> Result<(), CliError> {
    let start = Instant::now();
    story::begin(&args.out)?;
    let mut setting = Setting::prepare(&args.out)?;
    story::sealed(&setting)?;

    let comparison = compare::compare(&mut setting)?;
    story::compared(&comparison, &setting.sample)?;

    let obstacle = memory::obstacle();
    story::attacks_begin(obstacle)?;
    let tensors = edits::parameters(&setting.ring, &setting.owner)?;
    let attacks = [
        attacks::label_swap(&tensors, &setting.sample.labels)?,
        attacks::noise_on_dense(&tensors),
        attacks::noise_on_all(&tensors),
        exponent::flip_one_bit(&setting, &tensors)?,
    ];
    let mut played = Vec::new();
    for attack in attacks {
        let progress = Progress::items("attacking", 3);
        let plain = plain::attack_plain(&setting, &attack)?;
        progress.add(1);
        let (stored, mut session) = stored::attack_stored(&mut setting, &attack)?;
        progress.add(1);
        let memory = match obstacle {
            None => Some(memory::attack_memory(&mut setting, &mut session, &attack)?),
            Some(_) => None,
        };
        drop(progress);
        let one = Played { attack, plain, stored, memory };
        story::played(&one, &comparison, &setting.sample)?;
        played.push(one);
    }

    let answers = certificate::decide(&mut setting)?;
    stored::leave_a_tampered_copy(&setting, played.first().map(|p| &p.attack))?;
    let blocks = show::blocks(&setting);
    // Closes the ledger, so that it is read back as anybody else would.
    drop(setting.recorder);
    let certificate = certificate::certify(&setting.folder, &setting.ring, answers)?;
    story::certified(&certificate)?;

    let show = Show {
        folder: setting.folder,
        sample: setting.sample,
        ring: setting.ring,
        hosts: setting.hosts.map(|host| host.public().short()),
        blocks,
        parameter_bytes: setting.sealed.parameter_bytes,
        comparison,
        obstacle,
        played,
        certificate,
        took: start.elapsed(),
    };
    show.folder.write("report.html", report::page(&show).as_bytes())?;
    story::end(&show)?;
    expectations::check(&show)
}
