//! The witnesses that a command line asks for (`--witness-policy`), and those that cosigned.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use deepring_ledger::Checkpoint;
use deepring_ledger::witness::{
    Cosignature, CosignatureError, NotWitnessed, WitnessPolicy, Witnessed,
};
use serde_json::{Value, json};

use crate::error::{CliError, Exit};
use crate::output;

/// Most bytes of a policy file.
const MAX_POLICY: u64 = 1 << 18;
/// The last second that is told as a date: that of the year 9999. A witness may say any.
const LAST_YEAR: u64 = 253_402_300_799;

/// Requirements on a checkpoint; none where no policy is given.
#[derive(Debug)]
pub(crate) struct RequiredWitnesses(Option<WitnessPolicy>);

/// The witnesses by which a checkpoint meets a policy; none where no policy was given.
#[derive(Debug, Default)]
pub(crate) struct Witnesses(Option<Witnessed>);

impl RequiredWitnesses {
    /// Reads the policy file, strictly.
    pub(crate) fn of(path: Option<&Path>) -> Result<Self, CliError> {
        let Some(path) = path else { return Ok(Self(None)) };
        let failed = |e: &dyn std::fmt::Display| {
            CliError::new(Exit::Failed, format!("{}: {e}", path.display()))
        };
        let file = match deepring::files::read_plain(path, MAX_POLICY) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::FileTooLarge => {
                return Err(failed(&"is no policy: too long"));
            }
            Err(e) => return Err(failed(&e)),
        };
        let policy = WitnessPolicy::parse(&file).map_err(|e| failed(&e))?;
        Ok(Self(Some(policy)))
    }

    /// Refuses a checkpoint that does not meet the policy.
    pub(crate) fn check(&self, checkpoint: &Checkpoint) -> Result<Witnesses, CliError> {
        let Some(policy) = &self.0 else { return Ok(Witnesses(None)) };
        match policy.check(checkpoint) {
            Ok(witnessed) => Ok(Witnesses(Some(witnessed))),
            Err(e) => Err(refused(&e)),
        }
    }
}

impl Witnesses {
    /// A line for each witness.
    pub(crate) fn print(&self) -> Result<(), CliError> {
        let Some(witnessed) = &self.0 else { return Ok(()) };
        if witnessed.cosignatures().is_empty() {
            return output::line("witnessed by nobody: the policy asks for nobody");
        }
        witnessed.cosignatures().iter().try_for_each(|cosignature| {
            output::line(format_args!("witnessed by {}", said(cosignature)))
        })
    }

    /// The cosignatures by which the policy is met; `None` where no policy was given.
    pub(crate) fn cosignatures(&self) -> Option<&[Cosignature]> {
        self.0.as_ref().map(Witnessed::cosignatures)
    }

    /// A list of names and times; null where no policy was given.
    pub(crate) fn json(&self) -> Value {
        let Some(witnessed) = &self.0 else { return Value::Null };
        let cosignatures = witnessed.cosignatures().iter();
        cosignatures.map(|c| json!({ "name": c.witness().name(), "at": c.timestamp() })).collect()
    }
}

/// Who cosigned, and when that was by its clock.
pub(crate) fn said(cosignature: &Cosignature) -> String {
    let (name, second) = (cosignature.witness().name(), cosignature.timestamp());
    match second <= LAST_YEAR {
        true => format!("{name} at {} by its clock", output::date(Duration::from_secs(second))),
        false => format!("{name} at second {second} of its clock"),
    }
}

fn refused(e: &NotWitnessed) -> CliError {
    let exit = match e {
        NotWitnessed::Cosignature(CosignatureError::Wrong { .. }) => Exit::Tampered,
        _ => Exit::Untrusted,
    };
    CliError::new(exit, format!("not witnessed: {e}")).hint(
        "the ledger's keeper asks witnesses with `deepring ledger witness`, and makes the proof again",
    )
}
