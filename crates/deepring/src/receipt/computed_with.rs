//! Engine, library, processor kind and threads that a host computed with.

use std::io::{self, Read};
use std::path::Path;

use serde::Serialize;
use thiserror::Error;

use crate::crypto::{Digest, label};
use crate::encoding::{DecodeError, Reader, Writer};
use crate::plain_file::open_plain;

/// Longest name of an engine or a processor kind, in bytes.
const MAX_NAME: usize = 64;

/// A host's statement of what it computed with. Two hosts that state the same are expected to give the
/// same bits; where they state something else, their outputs are compared within bounds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct ComputedWith {
    engine: String,
    library: Digest,
    processor: String,
    threads: u16,
}

/// A name is empty, longer than 64 bytes, or holds something else than printable ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "names of engine and processor are 1 to {MAX_NAME} printable ASCII characters, and threads at least one"
)]
pub struct UnusableName;

impl ComputedWith {
    /// Engine with its version (`rten 0.27.0`); digest of the library file that was loaded, or of the results
    /// of the libraries that a compiled-in engine calls ([`Digest::NONE`] where it calls none); processor kind, as far as the engine
    /// distinguishes kinds (`x86_64 avx512`); threads of the engine.
    ///
    /// # Errors
    /// [`UnusableName`].
    pub fn new(
        engine: &str,
        library: Digest,
        processor: &str,
        threads: u16,
    ) -> Result<Self, UnusableName> {
        if !is_name(engine) || !is_name(processor) || threads == 0 {
            return Err(UnusableName);
        }
        Ok(Self { engine: engine.to_owned(), library, processor: processor.to_owned(), threads })
    }

    /// As [`new`](Self::new), of any names: what is not printable ASCII is left out, what is longer than
    /// 64 bytes cut, and an empty name is `unknown`.
    #[must_use]
    pub fn clipped(engine: &str, library: Digest, processor: &str, threads: u16) -> Self {
        let clip = |name: &str| {
            let kept = name.chars().filter(|c| (' '..='~').contains(c)).take(MAX_NAME);
            let kept: String = kept.collect();
            if kept.is_empty() { "unknown".to_owned() } else { kept }
        };
        let (engine, processor) = (clip(engine), clip(processor));
        Self { engine, library, processor, threads: threads.max(1) }
    }

    /// Digest of a library file that an engine loads:
    /// `BLAKE3.derive_key["deepring v1 library digest"](bytes)`.
    ///
    /// # Errors
    /// The system's error where the file cannot be read.
    pub fn library_digest(path: &Path) -> io::Result<Digest> {
        let mut bytes = Vec::new();
        open_plain(path)?.read_to_end(&mut bytes)?;
        Ok(Digest::of(label::LIBRARY, &[&bytes]))
    }

    /// Digest that stands for the libraries which an engine that is compiled in calls: over the results that they give
    /// for fixed arguments, `BLAKE3.derive_key["deepring v1 results digest"](results)`.
    #[must_use]
    pub fn results_digest(results: &[u8]) -> Digest {
        Digest::of(label::RESULTS, &[results])
    }

    /// Engine and version.
    #[must_use]
    pub fn engine(&self) -> &str {
        &self.engine
    }

    /// Digest of the loaded library; [`Digest::NONE`] for an engine that is compiled in.
    #[must_use]
    pub fn library(&self) -> Digest {
        self.library
    }

    /// Processor kind.
    #[must_use]
    pub fn processor(&self) -> &str {
        &self.processor
    }

    /// Threads of the engine.
    #[must_use]
    pub fn threads(&self) -> u16 {
        self.threads
    }

    /// `engine: string | library 32 | processor: string | threads 2`
    pub(super) fn encode(&self, w: &mut Writer) {
        w.string(&self.engine).raw(&self.library.0).string(&self.processor).u16(self.threads);
    }

    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let engine = r.string("engine")?;
        let library = Digest(r.array("library")?);
        let processor = r.string("processor")?;
        let threads = r.u16("threads")?;
        let bad = |_| DecodeError::BadValue { field: "computed with", found: u64::from(threads) };
        Self::new(&engine, library, &processor, threads).map_err(bad)
    }
}

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(|b| (b' '..=b'~').contains(&b))
}
