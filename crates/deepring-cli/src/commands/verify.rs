//! `deepring verify`: every byte of a ring, and with a key its opened content.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use deepring::attestation::{AttestationKey, Svr};
use deepring::opening::OpenError;
use deepring::{Finding, Report, RingError, Verdict, VerifiedRing};

use crate::begun::Begun;
use crate::cli::Verify;
use crate::error::{CliError, Exit};
use crate::output;
use crate::rings::TrustPolicy;
use crate::secrets::{AnyKey, Secrets};

pub(crate) fn verify(args: &Verify, trust: Option<&Path>) -> Result<(), CliError> {
    let secrets = Secrets::of(&args.passphrase);
    let key = args.key.as_deref().map(|key| secrets.opening(key)).transpose()?;
    let attesting = Attesting::begin(args, trust)?;
    let mut policy = TrustPolicy::new(&args.owner, trust)?;
    let (report, opened, ring) = match policy.verify(&output::resolved_path(&args.ring)?) {
        Ok(ring) => match &key {
            Some(key) => {
                let (findings, opened) = open_all(&ring, key)?;
                let mut report = ring.report_with(findings);
                if opened == 0 {
                    // The ring is intact, and yet what was asked for was not checked.
                    report.verdict = Verdict::Untrusted;
                }
                (report, Some(opened), Some(ring))
            }
            None => (ring.report(), None, Some(ring)),
        },
        Err(RingError::Refused(report)) => (report, None, None),
        Err(e) => return Err(e.into()),
    };
    if args.json {
        output::json(&report)?;
    } else if report.verdict == Verdict::Intact {
        print_intact(&report, opened)?;
    }
    match Exit::of(report.verdict) {
        // Only now: of a ring about which anything was found, nothing is attested.
        None => attesting.zip(ring).map_or(Ok(()), |(attesting, ring)| attesting.attest(&ring)),
        Some(_) if opened == Some(0) => Err(not_for_this_key()),
        Some(_) => Err(RingError::Refused(report).into()),
    }
}

/// An attestation that is due if nothing is found: its key was read and its file begun before anything was checked.
struct Attesting<'a> {
    key: AttestationKey,
    begun: Begun,
    verifier: Option<&'a str>,
    output: &'a Path,
}

impl<'a> Attesting<'a> {
    fn begin(args: &'a Verify, trust: Option<&Path>) -> Result<Option<Self>, CliError> {
        let (Some(pem), Some(output)) = (&args.svr, &args.output) else { return Ok(None) };
        let read = [&args.ring, pem].into_iter().chain(&args.key).chain(&args.owner.owner);
        let begun = Begun::at(output, read.map(PathBuf::as_path), trust)?;
        let key = AttestationKey::read(pem)?;
        Ok(Some(Self { key, begun, verifier: args.verifier_id.as_deref(), output }))
    }

    fn attest(self, ring: &VerifiedRing) -> Result<(), CliError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let bundle = Svr::of(ring).sign(&self.key, self.verifier, now)?;
        self.begun.write(bundle.as_bytes())?;
        output::note(format_args!(
            "attested in {}; whoever trusts this key verifies it: {}",
            self.output.display(),
            self.key.name()
        ));
        Ok(())
    }
}

/// Opens every block that the key opens, and checks what comes out. Gives findings and the number opened.
fn open_all(ring: &VerifiedRing, key: &AnyKey) -> Result<(Vec<Finding>, usize), CliError> {
    let mut findings = Vec::new();
    let mut opened = 0;
    for header in ring.headers() {
        if !ring.is_for(header, key.opening()) {
            continue;
        }
        opened += 1;
        // Shared blocks are among the headers, and opened in their turn.
        match ring.verify_block(header.index, key.opening()) {
            Ok(()) => {}
            Err(OpenError::Tampered(finding)) => findings.push(finding),
            Err(e) => return Err(e.into()),
        }
    }
    if findings.is_empty() {
        findings.extend(ring.verify_manifest(key.opening())?);
    }
    Ok((findings, opened))
}

fn not_for_this_key() -> CliError {
    CliError::new(Exit::Untrusted, "no block is sealed for this key")
        .hint("the owner can let a host in with `deepring grant`")
}

fn print_intact(report: &Report, opened: Option<usize>) -> Result<(), CliError> {
    let blocks = report.blocks.unwrap_or(0);
    let ring = report.ring.map(|r| r.to_string()).unwrap_or_default();
    let version = report.model_version.unwrap_or(0);
    let layers = output::count(blocks.saturating_sub(1) as usize, "block", "blocks");
    output::line(format_args!("intact: ring {ring}, version {version}, {layers} and Genesis"))?;
    if let Some(n) = opened {
        output::line(format_args!("opened and checked the content of {n} of these {blocks}"))?;
    }
    Ok(())
}
