//! The attacks on files that DeepRing wrote, as a command makes them: from files, into one.

use std::path::Path;

use deepring::files::{read_plain, replace_file};
use deepring::{Host, SecretKey};
use deepring_infer::inputs::read_npy;
use deepring_ledger::{Binding, Entry, Event, Ledger};

use super::{
    Claim, FlipOptions, ForkError, ResealForm, RingAttackError, RingChange, RingFileError,
    RingTampered, SwapForm, ledger_fork, output_swap, ring_flip, ring_relabel, ring_reseal,
    ring_rollback, ring_splice,
};
use crate::attack::context::Options;
use crate::network::Network;

/// Most bytes of a receipt that is read.
const MAX_RECEIPT: u64 = 256 << 20;

/// A ring, a receipt or a ledger that is to be attacked, and where what is made goes.
#[derive(Debug, Clone, Copy)]
pub struct RingFiles<'a> {
    /// The target: a file, or a ledger's folder.
    pub given: &'a Path,
    /// The other files that the attack needs, in its order.
    pub with: &'a [&'a Path],
    /// The file, or the ledger's folder, that is made.
    pub made: &'a Path,
}

/// The changes of an attack on files.
#[derive(Debug, Clone, PartialEq)]
pub struct FilesTampered {
    /// Its effect, in a sentence.
    pub what: String,
    /// The places in a ring's file; `None` where it was no ring.
    pub changed: Option<Vec<RingChange>>,
}

impl From<RingTampered> for FilesTampered {
    fn from(ring: RingTampered) -> Self {
        Self { what: ring.what, changed: Some(ring.changed) }
    }
}

type Made = Result<FilesTampered, RingAttackError>;

impl<'a> RingFiles<'a> {
    fn with(&self, at: usize, what: &'static str) -> Result<&'a Path, RingAttackError> {
        self.with.get(at).copied().ok_or(RingAttackError::NeedsFile { what })
    }

    fn older(&self) -> Result<&'a Path, RingAttackError> {
        self.with(0, "the older ring")
    }

    fn receipt(&self) -> Result<Vec<u8>, RingAttackError> {
        let io = |source| RingFileError::Io { path: self.given.into(), source };
        Ok(read_plain(self.given, MAX_RECEIPT).map_err(io)?)
    }

    fn write(&self, bytes: &[u8]) -> Result<(), RingAttackError> {
        let io = |source| RingFileError::Io { path: self.made.into(), source };
        Ok(replace_file(self.made, bytes).map_err(io)?)
    }
}

/// Which part is attacked is said as a layer is, and drawn otherwise.
pub(crate) fn flip(files: &RingFiles<'_>, options: &Options) -> Made {
    let (tensor, flips) = (options.layer.clone(), options.flips.unwrap_or(1));
    let flip = FlipOptions { block: None, tensor, flips, seed: options.seed };
    Ok(ring_flip(files.given, files.made, &flip)?.into())
}

pub(crate) fn reseal(files: &RingFiles<'_>, _: &Options) -> Made {
    let tampered = Network::read(files.with(0, "the tampered network")?)?;
    Ok(ring_reseal(files.given, &tampered, files.made, ResealForm::OwnSignature)?.into())
}

pub(crate) fn splice(files: &RingFiles<'_>, options: &Options) -> Made {
    Ok(ring_splice(files.given, files.older()?, files.made, None, options.seed)?.into())
}

pub(crate) fn rollback(files: &RingFiles<'_>, _: &Options) -> Made {
    Ok(ring_rollback(files.older()?, files.made)?.into())
}

pub(crate) fn relabel(files: &RingFiles<'_>, options: &Options) -> Made {
    Ok(ring_relabel(files.given, files.made, None, options.seed)?.into())
}

/// The receipt as it is: what is false is the question that it is shown for.
pub(crate) fn replay(files: &RingFiles<'_>, _: &Options) -> Made {
    files.write(&files.receipt()?)?;
    let what = "the receipt is the same; shown for another question it must be refused: \
                `deepring receipt verify --input OTHER.npy`";
    Ok(FilesTampered { what: what.to_owned(), changed: None })
}

/// With the honest output and the other one, as arrays whose files have the output's name.
pub(crate) fn swap(files: &RingFiles<'_>, _: &Options) -> Made {
    let (honest, other) = (files.with(0, "the honest output")?, files.with(1, "the other output")?);
    let name = honest.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let output = read_npy(honest, &name)?;
    // The other output has the name of the honest one, whatever its file is called.
    let swapped_in = read_npy(other, &name)?;
    let claim = Claim { receipt: files.receipt()?, inputs: Vec::new(), outputs: vec![output] };
    let swapped = output_swap(&claim, vec![swapped_in], SwapForm::Inside);
    if swapped.receipt == claim.receipt {
        return Err(RingAttackError::AnotherOutput { output: honest.into() });
    }
    files.write(&swapped.receipt)?;
    let what = "the digest of the other answer stands in the receipt".to_owned();
    Ok(FilesTampered { what, changed: None })
}

/// Two ledgers in the folder that is made.
pub(crate) fn fork(files: &RingFiles<'_>, _: &Options) -> Made {
    let ledger = Ledger::open_read(files.given, None).map_err(ForkError::from)?;
    let binding = Binding::new(ledger.key().origin(), 1);
    drop(ledger);
    // The holder has nobody's key; a key of his own may say of itself that it is revoked.
    let entry = || -> Result<Entry, RingAttackError> {
        let event = Event::KeyRevoked { reason: "never used".to_owned() };
        let signed = Entry::now(binding, &event, &SecretKey::<Host>::generate()?.into());
        Ok(signed.map_err(|e| ForkError::Ledger(e.into()))?)
    };
    let fork = ledger_fork(files.given, files.made, [&[entry()?], &[entry()?]])?;
    let what = format!(
        "two ledgers of one key with {} entries in common and different roots at height {}",
        fork.common, fork.sizes[0]
    );
    Ok(FilesTampered { what, changed: None })
}
