//! Tampering in the stored file: shown to a reader in each form that an attacker has, refused, repaired.

use std::path::Path;
use std::time::Instant;

use deepring::files::replace_file;
use deepring::maintenance::{RepairError, repair};
use deepring::opening::OpenError;
use deepring::{Finding, RingError, TensorValue, Trust, UnverifiedRing, Verdict};
use deepring_infer::{RunError, Session};

use super::super::edit::RingEdit;
use super::compare::Change;
use super::{
    Detection, Reported, RingTrial, RingTrialError, Scenario, TamperTarget, Tampered, answers,
    each_once, furthest, located,
};
use crate::ring::file::RingFile;
use crate::samples::Samples;

/// A file that an attacker puts in the ring's place.
struct Form {
    how: &'static str,
    bytes: Vec<u8>,
}

/// A reader's verdict on a form.
struct Reception {
    verdict: Verdict,
    findings: Vec<Finding>,
    given: usize,
    wrong: usize,
    off: f32,
}

impl RingTrial {
    pub(super) fn detect_stored(
        &mut self,
        change: &Change,
        samples: &Samples,
        clean: &[Vec<TensorValue>],
    ) -> Result<Detection, RingTrialError> {
        let (place, touched, forms) = self.forms(change)?;
        let target = self.path("presented.ring");
        let mut detection = Detection {
            place,
            touched,
            detected: !forms.is_empty(),
            named: Vec::new(),
            located: false,
            located_tensor: false,
            recovered: true,
            answers_given: 0,
            answers_wrong: 0,
            answers_off_by: 0.0,
            refusal: String::new(),
            presented: Vec::new(),
            repair_ms: 0.0,
        };
        for (at, form) in forms.iter().enumerate() {
            replace_file(&target, &form.bytes)?;
            let reception = self.receive(&target, samples, clean)?;
            let refusal = reception.findings.first().map(ToString::to_string).unwrap_or_default();
            detection.detected &= !reception.findings.is_empty();
            detection.answers_given += reception.given;
            detection.answers_wrong += reception.wrong;
            detection.answers_off_by = detection.answers_off_by.max(reception.off);
            // The first form leaves the closure alone, so it is the one in which a place can be named.
            if at == 0 {
                detection.refusal.clone_from(&refusal);
                detection.named = each_once(reception.findings.iter().map(Reported::of));
            }
            let (how, verdict) = (form.how, reception.verdict);
            detection.presented.push(Scenario { how, verdict, refusal });
            detection.repair_ms += self.restore(&target)?;
            detection.recovered &= self.answers_of(&target, samples)?.is_some_and(|a| a == clean);
        }
        (detection.located, detection.located_tensor) =
            located(&detection.touched, &detection.named);
        Ok(detection)
    }

    fn forms(
        &self,
        change: &Change,
    ) -> Result<(TamperTarget, Vec<Tampered>, Vec<Form>), RingTrialError> {
        let clean = &self.clean.file;
        Ok(match change {
            Change::Parameters(edits) => {
                let touched = each_once(edits.iter().map(RingEdit::touched));
                let mut forms = Vec::new();
                if !edits.is_empty() {
                    let bytes = self.flipped(edits)?.bytes().to_vec();
                    forms.push(Form { how: "bits of the ciphertext flipped", bytes });
                }
                (TamperTarget::AtRest, touched, forms)
            }
            Change::Blocks { touched, edits, rebuilt, theirs } => {
                let mut overwritten = self.flipped(edits)?;
                for block in rebuilt {
                    overwritten.overwrite(*block, theirs)?;
                }
                let all = each_once(touched.iter().map(|t| t.block));
                let transplanted = clean.transplant(&all, theirs)?;
                let forms = vec![
                    Form {
                        how: "the attacker's blocks in the place of the owner's",
                        bytes: overwritten.bytes().to_vec(),
                    },
                    Form {
                        how: "the attacker's blocks, lengths and digests made to agree with them",
                        bytes: transplanted.bytes().to_vec(),
                    },
                ];
                (TamperTarget::AtRest, touched.clone(), forms)
            }
            Change::Ring { touched, theirs } => {
                let forms = vec![
                    Form {
                        how: "the attacker's ring, signed by himself",
                        bytes: theirs.bytes().to_vec(),
                    },
                    Form {
                        how: "the attacker's ring under the owner's name and signature",
                        bytes: theirs.in_the_name_of(clean)?.bytes().to_vec(),
                    },
                    Form {
                        how: "the attacker's blocks behind the owner's closure",
                        bytes: theirs.behind(clean),
                    },
                ];
                (TamperTarget::WholeRing, touched.clone(), forms)
            }
        })
    }

    /// The stored ring with these edits, made without a key.
    fn flipped(&self, edits: &[RingEdit]) -> Result<RingFile, RingTrialError> {
        let mut file = self.clean.file.clone();
        for edit in edits {
            edit.flip_stored(self.ring(), file.bytes_mut())?;
        }
        Ok(file)
    }

    /// The verdict of `verify` on a file, and the answers of a session that opens it without verifying.
    fn receive(
        &self,
        target: &Path,
        samples: &Samples,
        clean: &[Vec<TensorValue>],
    ) -> Result<Reception, RingTrialError> {
        let trust = Trust::owner(self.owner.public());
        let verified = UnverifiedRing::open(target).and_then(|r| r.verify(&trust, &|_| ()));
        let (verdict, findings) = match verified {
            Ok(_) => (Verdict::Intact, Vec::new()),
            Err(RingError::Refused(report)) => (report.verdict, report.findings),
            Err(e) => return Err(e.into()),
        };
        let (mut given, mut wrong, mut off) = (0, 0, 0f32);
        if let Some(answers) = self.answers_of(target, samples)? {
            given = answers.len();
            wrong = answers.iter().zip(clean).filter(|(a, b)| a != b).count();
            off = answers.iter().zip(clean).map(|(a, b)| furthest(a, b)).fold(0.0, f32::max);
        }
        Ok(Reception { verdict, findings, given, wrong, off })
    }

    /// The answers of a session; `None` if the ring or a query is refused.
    fn answers_of(
        &self,
        target: &Path,
        samples: &Samples,
    ) -> Result<Option<Vec<Vec<TensorValue>>>, RingTrialError> {
        let trust = Trust::owner(self.owner.public());
        let ring = match UnverifiedRing::open(target).and_then(|r| r.authenticate(&trust)) {
            Ok(ring) => ring,
            Err(RingError::Refused(_)) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let keys = std::slice::from_ref(&self.host);
        let session = match Session::open(ring, keys, self.options) {
            Ok(session) => session,
            Err(RunError::Open(OpenError::Tampered(_))) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        match answers(&session, self.queries(samples)?) {
            Ok(answers) => Ok(Some(answers)),
            Err(e) if e.finding().is_some() => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Makes the file whole again, and says how many milliseconds it took. What shares nothing with the ring is no
    /// damaged ring, and a repair refuses to overwrite it: then the copy takes its place, as a person would have it.
    #[allow(
        clippy::disallowed_methods,
        reason = "in a folder of the trial's own, and timed as what a user would do"
    )]
    fn restore(&self, target: &Path) -> Result<f64, RingTrialError> {
        let (copy, trust) = (self.path("intact.ring"), Trust::owner(self.owner.public()));
        let start = Instant::now();
        match repair(target, &copy, &trust, &|_| ()) {
            Ok(_) => {}
            Err(
                RepairError::NotRepairable(_)
                | RepairError::NothingInCommon
                | RepairError::AnotherRing { .. },
            ) => {
                std::fs::copy(&copy, target)?;
            }
            Err(e) => return Err(e.into()),
        }
        Ok(start.elapsed().as_secs_f64() * 1e3)
    }
}
