//! How much each layer's weights matter, for defences that cover only some.

use crate::attack::context::AttackError;
use crate::network::Network;
use crate::samples::Samples;

/// Samples of the batch from which sensitivities are computed.
#[cfg(feature = "gradients")]
const BATCH: usize = 128;

/// The sensitivity of each linear layer's weight tensor: the sum of `(w * dL/dw)^2` over its weights, with L the mean
/// cross-entropy of a seeded batch of the samples (HASHTAG: Javaheripi and Koushanfar, ICCAD 2021). In the order of
/// the network, by the name of the tensor.
///
/// # Errors
/// [`AttackError::NeedsGradients`] in a build without the feature `gradients`, with whatever kind; else as
/// [`Gradients`](crate::Gradients) fails.
#[cfg(feature = "gradients")]
pub fn sensitivities(
    network: &Network,
    samples: &Samples,
) -> Result<Vec<(String, f64)>, AttackError> {
    let samples = samples.choose(BATCH, 0);
    let gradients = crate::gradient::Gradients::new(network)?;
    let objective = crate::gradient::Objective {
        targets: samples.labels().to_vec(),
        weights: vec![1.0 / samples.len() as f32; samples.len()],
        samples,
    };
    let (_, slopes) = gradients.loss_and_gradients(&objective)?;
    let of = |(at, slope): (usize, &Vec<f32>)| {
        let weights = gradients.weight(at)?;
        let each = weights.iter().zip(slope).map(|(w, g)| (f64::from(*w) * f64::from(*g)).powi(2));
        let name = gradients.layers().get(at).map(|l| l.weight.clone()).unwrap_or_default();
        Ok((name, each.sum()))
    };
    slopes.iter().enumerate().map(of).collect()
}

/// The sensitivity of each linear layer's weight tensor. This build computes none.
///
/// # Errors
/// Always [`AttackError::NeedsGradients`]; the feature `gradients` is not built in.
#[cfg(not(feature = "gradients"))]
pub fn sensitivities(_: &Network, _: &Samples) -> Result<Vec<(String, f64)>, AttackError> {
    Err(AttackError::NeedsGradients { kind: "sensitivity" })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::Split;

    #[test]
    fn each_layer_has_its_sensitivity_or_the_build_has_none() {
        let zoo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../zoo");
        let network = Network::read(&zoo.join("fashion-lenet5.onnx")).unwrap();
        let samples = Samples::open(&zoo.join("fashion-sample"), Split::Train, None).unwrap();
        let found = sensitivities(&network, &samples);
        if cfg!(feature = "gradients") {
            let found = found.unwrap();
            let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(
                names,
                ["conv1.weight", "conv2.weight", "fc1.weight", "fc2.weight", "logits.weight"]
            );
            assert!(found.iter().all(|(_, s)| s.is_finite() && *s > 0.0));
        } else {
            assert!(matches!(found, Err(AttackError::NeedsGradients { .. })));
        }
    }
}
