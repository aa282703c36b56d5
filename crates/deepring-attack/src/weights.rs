//! Attacks on the values of parameters.
//!
//! Noise, re-initialisation and zeroing work on the numbers that a weight stands for: a quantised one is
//! dequantised, changed, rounded to its steps and clamped (i8 to -127..=127, u8 to 0..=255).

mod bias;
mod channels;
mod norms;
mod numbers;
mod permute;
mod scales;

pub(crate) use bias::raise as single_bias;
pub(crate) use norms::edit as norm_edit;
pub(crate) use numbers::{
    noise_on_all_layers, noise_on_dense_layers, noise_on_filter, noise_on_layer, reinit,
    reinit_filter, zero,
};
pub(crate) use permute::{
    label_swap, paired as permute_paired, swap_tensors, unpaired as permute_unpaired,
};
pub(crate) use scales::edit as scale_edit;
