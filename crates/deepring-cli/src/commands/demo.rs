//! `deepring demo`: seals a network, asks it, attacks it, plain and as a ring, and reports.
//!
//! Everything happens: every number that is printed was measured, and every refusal and repair took place,
//! in the folder that is given. The attacks are those of `deepring attack`.

mod attacks;
mod certificate;
mod comparison;
mod fixture;
mod folder;
mod outcome;
mod report;
mod runs;
mod transcript;

use std::path::Path;
use std::time::Instant;

use crate::cli::Demo;
use crate::error::{CliError, Exit};

use attacks::ATTACKS;
use fixture::Fixture;
use outcome::DemoReport;
use runs::AttackRun;

/// Fails with exit code 1 whatever is at fault: an exit code for tampering would blame the visitor's files.
pub(crate) fn demo(args: &Demo, trust: Option<&Path>) -> Result<(), CliError> {
    run_demo(args, trust).map_err(|mut e| {
        e.exit = Exit::Failed;
        e
    })
}

fn run_demo(args: &Demo, trust: Option<&Path>) -> Result<(), CliError> {
    let start = Instant::now();
    transcript::begin(&args.out)?;
    let mut fixture = Fixture::prepare(&args.out, trust)?;
    transcript::sealed(&fixture)?;

    let comparison = comparison::compare(&mut fixture)?;
    transcript::compared(&comparison)?;

    let obstacle = runs::obstacle();
    transcript::attacks_begin(obstacle)?;
    let mut runs = Vec::new();
    for listed in &ATTACKS {
        let run = AttackRun::of(&mut fixture, listed)?;
        transcript::attacked(&run, &comparison)?;
        runs.push(run);
    }

    let answers = certificate::decide(&mut fixture)?;
    runs::leave_a_tampered_copy(&fixture, runs.first())?;
    let blocks = outcome::blocks(&fixture);
    // Closes the ledger, so that it is read back as anybody else would.
    drop(fixture.recorder);
    let certificate = certificate::certify(&fixture.folder, &fixture.ring, answers)?;
    transcript::certified(&certificate)?;

    let report = DemoReport {
        folder: fixture.folder,
        sample: fixture.sample,
        ring: fixture.ring,
        hosts: fixture.hosts.map(|host| host.public().short()),
        blocks,
        parameter_bytes: fixture.sealed.parameter_bytes,
        comparison,
        obstacle,
        runs,
        certificate,
        took: start.elapsed(),
    };
    report.folder.write("report.html", report::page(&report).as_bytes())?;
    transcript::end(&report)?;
    outcome::check(&report)
}
