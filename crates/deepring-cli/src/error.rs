//! The report to a user when something did not work: a sentence, a hint, an exit code.

#[cfg(feature = "attacks")]
mod attack;
mod ledger;

use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;

use deepring::attestation::AttestationError;
use deepring::audit::AuditError;
use deepring::files::KeyFileError;
use deepring::files::{InLine, TurnError};
use deepring::keys::EncryptedKeyError;
use deepring::maintenance::{GrantError, RepairError};
use deepring::opening::OpenError;
use deepring::receipt::ReceiptError;
use deepring::seal::SealError;
use deepring::trust::{Contradiction, OwnedRing, Speaker, TrustError};
use deepring::{Finding, Report, RingError, RingKind, Verdict};
use deepring_infer::engine::EngineError;
use deepring_infer::exporting::ExportRingError;
use deepring_infer::inputs::{InputError, NpyError, PictureError};
use deepring_infer::sealing::SealModelError;
use deepring_infer::{PlainError, RunError};
use serde_json::{Value, json};

use crate::named::origin_of;

/// The exit codes, in the order of the help text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Failed = 1,
    Usage = 2,
    Tampered = 3,
    Untrusted = 4,
    Stale = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// `None` for an intact ring.
    pub(crate) fn of(verdict: Verdict) -> Option<Self> {
        match verdict {
            Verdict::Intact => None,
            Verdict::Tampered => Some(Self::Tampered),
            Verdict::Untrusted => Some(Self::Untrusted),
            Verdict::Stale => Some(Self::Stale),
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Tampered => "tampered",
            Self::Untrusted => "untrusted",
            Self::Stale => "stale",
        }
    }
}

#[derive(Debug)]
pub(crate) struct CliError {
    pub(crate) exit: Exit,
    /// One line.
    message: String,
    /// The lines after it, one each.
    more: Vec<String>,
    hint: Option<String>,
    /// The findings behind a refusal, for `--json`.
    pub(crate) findings: Vec<Finding>,
}

impl CliError {
    pub(crate) fn new(exit: Exit, message: impl Display) -> Self {
        let message = InLine(message).to_string();
        Self { exit, message, more: Vec::new(), hint: None, findings: Vec::new() }
    }

    /// A refusal in the words of a report: its verdict, and a line for each finding.
    fn of_report(exit: Exit, text: impl Display, findings: Vec<Finding>) -> Self {
        // A report's text has a line for each finding, and no finding has two.
        let text = text.to_string();
        let mut lines = text.lines().map(|line| InLine(line).to_string());
        let message = lines.next().unwrap_or_default();
        Self { findings, more: lines.collect(), ..Self::new(exit, message) }
    }

    /// The same, with more lines, indented.
    pub(crate) fn lines(mut self, more: impl IntoIterator<Item = impl Display>) -> Self {
        self.more.extend(more.into_iter().map(|line| format!("  {}", InLine(line))));
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint.get_or_insert(hint.into());
        self
    }

    pub(crate) fn usage(message: impl Display) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// A refusal with its findings.
    pub(crate) fn refused(what: impl Display, findings: Vec<Finding>) -> Self {
        let report = Report::of_findings(findings);
        let exit = Exit::of(report.verdict).unwrap_or(Exit::Tampered);
        Self { findings: report.findings, ..Self::new(exit, what) }
    }

    /// The verdict on a ring, receipt or ledger, where that is why the command failed.
    pub(crate) fn verdict(&self) -> Option<&'static str> {
        match self.exit {
            Exit::Failed | Exit::Usage => None,
            Exit::Tampered | Exit::Untrusted | Exit::Stale => Some(self.exit.word()),
        }
    }

    /// The error as `--json` shows it.
    pub(crate) fn json(&self) -> Value {
        json!({
            "kind": self.exit.word(),
            "exit": self.exit as u8,
            "message": self.message,
            "more": self.more.iter().map(|line| line.trim_start()).collect::<Vec<_>>(),
            "hint": self.hint.as_ref().map(|hint| InLine(hint).to_string()),
        })
    }

    /// All of it, for people: message, further lines, hint.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("error: {}\n", self.message);
        for line in &self.more {
            text.push_str(line);
            text.push('\n');
        }
        if let Some(hint) = &self.hint {
            text.push_str(&format!("\nhint: {}\n", InLine(hint)));
        }
        text
    }

    /// The refusal to put anything else where a ring is bound.
    pub(crate) fn bound(path: &Path, bound: OwnedRing) -> Self {
        let (ring, owner) = (bound.ring, bound.owner);
        let message = format!(
            "{} is bound to ring {ring} of owner {owner}: nothing else is put there",
            path.display()
        );
        Self::new(Exit::Untrusted, message).hint(
            "write to another file; seal a new version of that ring with `--previous`; or free the path with \
             `deepring trust remove --path RING`",
        )
    }
}

impl Display for CliError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// NumPy's name of an element type that ONNX calls so.
fn numpy(dtype: &str) -> String {
    match dtype.split_at_checked(1) {
        Some(("f", bits)) => format!("float{bits}"),
        Some(("i", bits)) => format!("int{bits}"),
        Some(("u", bits)) => format!("uint{bits}"),
        _ => dtype.to_owned(),
    }
}

/// An error's text with its causes, where the text does not tell them already.
fn with_causes(e: &dyn std::error::Error) -> String {
    let mut text = e.to_string();
    let mut cause = e.source();
    while let Some(e) = cause {
        let more = e.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = e.source();
    }
    text
}

fn failed(e: impl Display) -> CliError {
    CliError::new(Exit::Failed, e)
}

fn hint_of(exit: Exit, findings: &[Finding]) -> Option<String> {
    if findings.iter().any(Finding::is_against_binding) {
        let hint = "put back what was there; if this path is to hold another ring from now on: \
                    `deepring trust bind RING --owner owner.pub`";
        return Some(hint.to_owned());
    }
    if findings.iter().any(Finding::is_of_other_format) {
        let hint = "have the ring sealed again, or use the version of deepring that sealed it";
        return Some(hint.to_owned());
    }
    let hint = match exit {
        Exit::Tampered => Some(
            "do not use it; `deepring repair RING --from COPY` restores it from an intact copy",
        ),
        Exit::Untrusted => {
            Some("give the public key of the owner you trust with `--owner owner.pub`")
        }
        Exit::Stale => {
            Some("get the newest ring from its owner; an old one may have been put back")
        }
        Exit::Failed | Exit::Usage => None,
    };
    hint.map(str::to_owned)
}

impl From<RingError> for CliError {
    fn from(e: RingError) -> Self {
        let message = e.to_string();
        match e {
            RingError::Refused(report) => {
                let exit = Exit::of(report.verdict).unwrap_or(Exit::Tampered);
                let hint = hint_of(exit, &report.findings);
                Self { hint, ..Self::of_report(exit, message, report.findings) }
            }
            _ => failed(message),
        }
    }
}

impl From<OpenError> for CliError {
    fn from(e: OpenError) -> Self {
        let message = e.to_string();
        match e {
            OpenError::Tampered(finding) => Self::refused(message, vec![finding]),
            OpenError::NotForThisKey { .. } => Self::new(Exit::Untrusted, message)
                .hint("the owner can let a host in with `deepring grant`"),
            OpenError::Malformed { .. } => Self::new(Exit::Tampered, message),
            OpenError::OtherKind { kind: RingKind::Weights } => failed(message)
                .hint("`deepring verify` checks its bytes, and with `--key` what they hold"),
            _ => failed(message),
        }
    }
}

impl From<AuditError> for CliError {
    fn from(e: AuditError) -> Self {
        match e {
            AuditError::Open(e) => e.into(),
            e => failed(e),
        }
    }
}

impl From<RunError> for CliError {
    fn from(e: RunError) -> Self {
        let message = e.to_string();
        if let Some(finding) = e.finding() {
            let refused = Self::refused(message, vec![finding.clone()]);
            return refused.hint("nothing was decided; run again from an intact ring");
        }
        match e {
            RunError::Open(e) => e.into(),
            RunError::TooFewCopies { .. } => Self::new(Exit::Untrusted, message)
                .hint("give the keys of two copies of each leg with `--key`, or run it unvalidated with `--require none`"),
            RunError::Disputed { .. } => Self::new(Exit::Untrusted, message).hint(
                "`deepring audit` compares what the copies hold in memory; of two copies nobody can tell which is at fault, \
                 of three (`deal --copies 3`) two that agree name it",
            ),
            RunError::NoKey { .. } => Self::new(Exit::Untrusted, message)
                .hint("give more keys with `--key`, or ask the owner for `deepring grant`"),
            RunError::Input(InputError::DType { expected, .. }) => failed(message)
                .hint(format!("save it from NumPy with `.astype(\"{}\")`", numpy(expected))),
            _ => failed(message),
        }
    }
}

impl From<ReceiptError> for CliError {
    fn from(e: ReceiptError) -> Self {
        let message = e.to_string();
        match e {
            ReceiptError::Refused(finding) => {
                let refused = Self::refused(message, vec![finding]);
                match refused.exit {
                    Exit::Stale => refused.hint(
                        "give the ring that decided with `--ring`: the same version, in its newest revision",
                    ),
                    Exit::Untrusted => refused.hint(
                        "where it is less validated than you ask for, state with `--require` what you ask; else it is not a decision \
                         of this ring",
                    ),
                    _ => refused.hint("the receipt is not that of a decision of this ring"),
                }
            }
            ReceiptError::Malformed(_) => {
                let finding = Finding::tampered(deepring::Section::File, &message);
                Self::refused(message, vec![finding])
            }
            _ => failed(message),
        }
    }
}

impl From<RepairError> for CliError {
    fn from(e: RepairError) -> Self {
        let message = e.to_string();
        match e {
            RepairError::Copy(RingError::Refused(report))
            | RepairError::StillBad(RingError::Refused(report))
            | RepairError::NotRepairable(report) => {
                let exit = Exit::of(report.verdict).unwrap_or(Exit::Tampered);
                let hint = match exit {
                    Exit::Tampered => Some("look for another copy that is intact".to_owned()),
                    _ => hint_of(exit, &report.findings),
                };
                Self { hint, ..Self::of_report(exit, message, report.findings) }
            }
            RepairError::NothingInCommon => Self::new(Exit::Tampered, message)
                .hint("if the copy is what you want, put it there yourself"),
            RepairError::AnotherRing { .. } => {
                Self::new(Exit::Stale, message).hint("repair needs a copy of the very same version")
            }
            _ => failed(message),
        }
    }
}

impl From<GrantError> for CliError {
    fn from(e: GrantError) -> Self {
        let message = e.to_string();
        match e {
            GrantError::NotTheOwner => Self::new(Exit::Untrusted, message)
                .hint("give the secret key of the ring's owner with `--owner-key owner.key`"),
            GrantError::NoSuchBlock { .. } | GrantError::Deal(_) => Self::usage(message),
            GrantError::Ring(e) => e.into(),
            GrantError::NoBlockKey { .. } => Self::new(Exit::Tampered, message),
            _ => failed(message),
        }
    }
}

impl From<ExportRingError> for CliError {
    fn from(e: ExportRingError) -> Self {
        match e {
            ExportRingError::Open(e) => e.into(),
            other => failed(with_causes(&other)),
        }
    }
}

impl From<SealModelError> for CliError {
    fn from(e: SealModelError) -> Self {
        let message = with_causes(&e);
        match e {
            SealModelError::NoHost { .. } | SealModelError::NoSuchBlock { .. } => {
                Self::usage(message).hint("`--host FILE` grants all blocks, `--host 1-4=FILE` some")
            }
            SealModelError::Version { .. } => Self::usage(message)
                .hint("leave `--model-version` out to number on from the previous ring"),
            SealModelError::ForeignPrevious => Self::new(Exit::Untrusted, message),
            SealModelError::Cut(_)
            | SealModelError::Seal(SealError::Deal(_) | SealError::OtherKind { .. }) => {
                Self::usage(message)
            }
            _ => failed(message),
        }
    }
}

impl From<TrustError> for CliError {
    fn from(e: TrustError) -> Self {
        let message = e.to_string();
        match e {
            TrustError::OldFormat { .. } => failed(message).hint(
                "move it away, and name the owners whom you trust with `deepring trust add owner.pub`",
            ),
            TrustError::Loose { path, .. } => failed(message).hint(format!(
                "`chmod 600 {}`, and then look with `deepring trust list` for what you did not add",
                path.display()
            )),
            TrustError::Foreign { .. } => failed(message).hint(
                "keep one of your own: name another file with `--trust`, and the owners whom you trust with `deepring trust add`",
            ),
            TrustError::LooseFolder { mode, .. } if mode & 0o022 == 0 => failed(message).hint(
                "its owner can change it at any time: name a file with `--trust` whose folders are all yours or root's",
            ),
            TrustError::LooseFolder { folder, .. } => failed(message).hint(format!(
                "`chmod go-w {}` where it is yours, and then look with `deepring trust list` for what you did not add; \
                 or name a file in a folder of your own with `--trust`",
                folder.display()
            )),
            TrustError::Damaged { .. } => failed(message).hint(
                "it may be the only memory of the versions seen: restore it, or move it away and begin with `deepring trust add`",
            ),
            TrustError::Busy { lock, .. } => failed(message).hint(format!(
                "`fuser {}` says which process holds it; wait for that one, or end it",
                lock.display()
            )),
            TrustError::OtherSuccessor(found) => {
                Self::new(Exit::Untrusted, message).hint(contradiction_hint(&found))
            }
            TrustError::BoundToAnother { .. } => Self::new(Exit::Untrusted, message)
                .hint("`deepring trust bind RING --owner owner.pub` binds the path to another ring"),
            _ => failed(message),
        }
    }
}

/// How the reader decides between two words about a key.
fn contradiction_hint(found: &Contradiction) -> String {
    let own = format!(
        "`deepring trust remove --successor-of {}` takes your own word back",
        match found.known == found.key {
            true => found.said,
            false => found.key,
        }
    );
    match (&found.speaker, &found.by) {
        (Speaker::Reader, _) => own,
        (Speaker::Ledger(_), Speaker::Reader) => {
            format!("another ledger is the right one, or else {own}")
        }
        (Speaker::Ledger(said), Speaker::Ledger(known)) => format!(
            "ask the owner, by another way than these ledgers; then `deepring trust add NEW.pub --successor-of {}` says which key is \
             the right one, or `deepring trust remove --ledger {}` forgets that ledger, if {} is the right one",
            found.key,
            origin_of(known),
            origin_of(said)
        ),
    }
}

impl From<TurnError> for CliError {
    fn from(e: TurnError) -> Self {
        let message = e.to_string();
        match e {
            TurnError::Busy { path, .. } => failed(message).hint(format!(
                "`fuser {}` says which process holds it; wait for that one, or end it",
                path.display()
            )),
            _ => failed(message),
        }
    }
}

impl From<KeyFileError> for CliError {
    fn from(e: KeyFileError) -> Self {
        let message = with_causes(&e);
        match e {
            KeyFileError::Loose { path, .. } => {
                failed(message).hint(format!("chmod 600 {}", path.display()))
            }
            KeyFileError::Passphrase { source: EncryptedKeyError::WrongPassphrase, .. } => {
                failed(message).hint("it is taken as it is, blanks at its ends included")
            }
            KeyFileError::Passphrase { source: EncryptedKeyError::TooMuchWork { .. }, .. } => {
                failed(message).hint(
                    "decrypt it with the program that made it, where you trust who did, and encrypt it with `deepring key passphrase`",
                )
            }
            KeyFileError::NotEncrypted { .. } => {
                failed(message).hint("leave `--passphrase-fd` out")
            }
            KeyFileError::Turn(e) => e.into(),
            KeyFileError::LeftBehind { .. } => failed(message)
                .hint("remove that file: whoever reads it can act with the key"),
            _ => failed(message),
        }
    }
}

impl From<AttestationError> for CliError {
    fn from(e: AttestationError) -> Self {
        let message = with_causes(&e);
        match e {
            AttestationError::File(e) => e.into(),
            AttestationError::VerifierId => Self::usage(message),
            AttestationError::NoKey { .. } => failed(message).hint(
                "`openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out KEY.pem` makes one; \
                 `openssl pkcs8 -topk8 -nocrypt` brings another form of one into this",
            ),
            _ => failed(message),
        }
    }
}

macro_rules! plain_failures {
    ($($error:ty),*) => {
        $(impl From<$error> for CliError {
            fn from(e: $error) -> Self {
                failed(with_causes(&e))
            }
        })*
    };
}

plain_failures!(EngineError, NpyError, PictureError, PlainError, deepring::keys::NoRandomness);
