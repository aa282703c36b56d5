//! Network files: read, brought into canonical form, cut, parameters laid out.
#![no_main]

use std::num::NonZeroU32;

use deepring_fuzz::file_of;
use deepring_infer::CutPolicy;
use deepring_onnx::{CutBlock, ImportError, canonicalise, cut, read_onnx};

/// A file of a few bytes may ask for a gigabyte of zeros, and gets them; not here.
const MAX_REGION: u64 = 1 << 20;

fn lay_out(block: &CutBlock) {
    if block.params_len() <= MAX_REGION {
        let mut region = vec![0; block.params_len() as usize];
        match block.read_params(&mut region) {
            // Numbers are decoded as they are read, and may be malformed.
            Ok(()) | Err(ImportError::Malformed { .. } | ImportError::Truncated { .. }) => {}
            Err(e) => panic!("the parameters of a block can be read: {e}"),
        }
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(model) = read_onnx(file_of(bytes)) else { return };
    let Ok(model) = canonicalise(model) else { return };
    let policy = match bytes.len() % 3 {
        0 => CutPolicy::Auto,
        1 => CutPolicy::Op,
        _ => CutPolicy::Count(NonZeroU32::MIN.saturating_add(1)),
    };
    if let Ok(block) = model.whole() {
        lay_out(&block);
    }
    if let Ok(model) = cut(model, policy) {
        model.blocks.iter().for_each(lay_out);
    }
});
