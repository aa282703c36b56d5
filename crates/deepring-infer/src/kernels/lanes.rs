//! Arithmetic on arrays of lanes, shaped so that each array becomes vector registers.

/// a·b + c. `FUSED` says that the machine has the instruction; without it `mul_add` is a library call.
#[inline(always)]
pub(super) fn fma<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

#[inline(always)]
pub(super) fn fma64<const FUSED: bool>(a: f64, b: f64, c: f64) -> f64 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// max(x, 0), but NaN stays NaN.
#[inline(always)]
pub(super) fn rectified<const RELU: bool>(x: f32) -> f32 {
    if RELU && x < 0.0 { 0.0 } else { x }
}

/// The first `N` values of `from`, zeros after its end.
#[inline(always)]
pub(super) fn padded<const N: usize>(from: &[f32]) -> [f32; N] {
    match from.first_chunk() {
        Some(all) => *all,
        None => {
            let mut out = [0.0; N];
            out[..from.len()].copy_from_slice(from);
            out
        }
    }
}

/// The sum of all lanes, in halves.
#[inline(always)]
pub(super) fn total<const L: usize>(mut lanes: [f32; L]) -> f32 {
    let mut n = L;
    while n > 1 {
        n /= 2;
        for i in 0..n {
            lanes[i] += lanes[i + n];
        }
    }
    lanes[0]
}

/// Working memory that a thread keeps from one share to the next.
#[derive(Default)]
pub(super) struct LaneBuffer(Vec<f32>);

impl LaneBuffer {
    /// `blocks` zeroed arrays, aligned for the widest vector.
    #[inline(always)]
    pub(super) fn blocks<const L: usize>(&mut self, blocks: usize) -> &mut [[f32; L]] {
        const LINE: usize = 64;
        let values = blocks * L;
        self.0.clear();
        self.0.resize(values + LINE / size_of::<f32>(), 0.0);
        // Alignment is for speed alone; `align_offset` may say that it cannot tell.
        let skip = self.0.as_ptr().align_offset(LINE).min(LINE / size_of::<f32>());
        self.0[skip..skip + values].as_chunks_mut().0
    }
}
