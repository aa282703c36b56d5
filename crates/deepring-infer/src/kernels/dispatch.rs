//! The kernels compiled for each instruction set, and the choice among them when the program runs.
//!
//! `unsafe` is allowed here for one thing: to call a function that is compiled for instructions which
//! not every processor has. The functions themselves are safe code. [`Isa`] says which instructions the
//! processor was seen to have: its field is private to this file, where only [`Isa::all`] makes one of
//! more than the portable instructions, after asking the processor. So whoever holds an [`Isa`] may call.
#![allow(unsafe_code)]

use super::lanes::LaneBuffer;
use super::share::{PartialReduction, Span};

/// True if the instructions that every processor of this architecture has include a fused a·b + c.
const FUSED: bool = cfg!(any(target_feature = "fma", target_arch = "aarch64"));

/// An instruction set that this processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Isa(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Isa {
    /// The fastest.
    pub(super) fn detect() -> Self {
        Self::all().last().unwrap_or(Self(Kind::Portable))
    }

    /// Its name in receipts.
    pub(super) fn name(self) -> &'static str {
        match self.0 {
            Kind::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => "avx512",
        }
    }

    /// All that this processor has, slowest first.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let has = |kind: &Kind| match kind {
            Kind::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("fma")
            }
        };
        [
            Kind::Portable,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512,
        ]
        .into_iter()
        .filter(has)
        .map(Self)
    }
}

macro_rules! instances {
    ($(
        $name:ident($($arg:ident: $type:ty),*):
            portable $portable:expr, avx2 $avx2:expr, avx512 $avx512:expr;
    )*) => { $(
        pub(super) fn $name(isa: Isa, $($arg: $type),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $type),*) {
                $avx2($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,fma")]
            fn avx512($($arg: $type),*) {
                $avx512($($arg),*)
            }
            match isa.0 {
                Kind::Portable => $portable($($arg),*),
                #[cfg(target_arch = "x86_64")]
                // SAFETY: `Isa::all` makes a `Kind::Avx2` only where the processor has avx2 and fma.
                Kind::Avx2 => unsafe { avx2($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: `Isa::all` makes a `Kind::Avx512` only where the processor has every feature
                // that the function is compiled for.
                Kind::Avx512 => unsafe { avx512($($arg),*) },
            }
        }
    )* };
}

// The numbers: lanes, and for columns channels of a group. A vector holds 16 floats (avx512, of which there
// are 32 registers), 8 (avx2, 16 registers) or 4. Columns take one vector and as many channels as leave
// their coefficients in registers; rows take several vectors, to hide the latency of one.
instances! {
    columns(span: &Span<'_>, first: usize, parts: &mut [PartialReduction<'_>], scratch: &mut LaneBuffer):
        portable super::columns::run::<4, 4, FUSED>,
        avx2 super::columns::run::<8, 4, true>,
        avx512 super::columns::run::<16, 8, true>;
    rows(span: &Span<'_>, first: usize, parts: &mut [PartialReduction<'_>], scratch: &mut LaneBuffer):
        portable super::rows::run::<8, FUSED>,
        avx2 super::rows::run::<32, true>,
        avx512 super::rows::run::<64, true>;
    weighted(lines: &[&[f32]], a: &[f32], out: &mut [f32]):
        portable super::weighted::run::<16, FUSED>,
        avx2 super::weighted::run::<32, true>,
        avx512 super::weighted::run::<64, true>;
    project_columns(w: (&[f32], usize), first: usize, r: &[f32], out: &mut [f64], out2: &mut [f64]):
        portable super::project::columns::<2, 4, FUSED>,
        avx2 super::project::columns::<4, 4, true>,
        avx512 super::project::columns::<8, 8, true>;
    project_rows(w: &[f32], first: usize, r: &[f32], out: &mut [f64], out2: &mut [f64]):
        portable super::project::rows::<4, FUSED>,
        avx2 super::project::rows::<16, true>,
        avx512 super::project::rows::<16, true>;
}
