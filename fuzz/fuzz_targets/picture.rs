//! Picture files, by a recipe that takes every step.
#![no_main]

use std::sync::LazyLock;

use deepring_fuzz::file_of;
use deepring_infer::inputs::{Preprocess, read_picture};

static RECIPE: LazyLock<Preprocess> = LazyLock::new(|| {
    let text = "resize=8x6,crop=4,color=bgr,scale=1/255,mean=0.5:0.4:0.3,std=0.2,layout=NHWC";
    text.parse().expect("a recipe")
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(tensor) = read_picture(file_of(bytes), "x", &RECIPE) {
        assert_eq!(tensor.dims(), [1, 4, 4, 3]);
        let values = tensor.data().as_chunks::<4>().0;
        assert!(values.iter().all(|v| f32::from_le_bytes(*v).is_finite()));
    }
});
