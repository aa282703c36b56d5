//! Gradients of a network's loss with respect to its linear layers' weights.
//!
//! The graph is built again from candle's tensors; differentiation is candle's (docs/adr/0014).

mod attributes;
mod elementwise;
mod graph;
mod products;
mod shaping;
mod spatial;
mod value;
mod windows;

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor, Var};
use rayon::prelude::*;

use crate::attack::context::AttackError;
use crate::network::{Layer, Network};
use crate::samples::Samples;

use graph::{GradientGraph, Weights};
use value::Value;

/// Samples that one piece of a pass has. Pieces run side by side, and are added up in their order, so that
/// the number of cores changes no bit.
const PIECE: usize = 32;

impl From<candle_core::Error> for AttackError {
    fn from(error: candle_core::Error) -> Self {
        // The first line says what; the rest is a stack.
        let text = error.to_string();
        Self::Gradient { reason: text.lines().next().unwrap_or_default().to_owned() }
    }
}

/// The objective of a network's answers: for each sample a class, and how much its cross-entropy counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Objective {
    /// The inputs.
    pub samples: Samples,
    /// The class of each.
    pub targets: Vec<usize>,
    /// The factor of each sample's cross-entropy (in nats) in the sum that is the loss.
    pub weights: Vec<f32>,
}

/// A network whose loss can be differentiated.
#[derive(Debug)]
pub struct Gradients {
    graph: GradientGraph,
    layers: Vec<Layer>,
    /// One for each layer, in their order: what its operator multiplies with.
    weights: Vec<Var>,
}

/// The values of a network's layers for an objective, for looking at changes of single layers.
#[derive(Debug)]
pub struct Pass {
    pieces: Vec<HashMap<String, Value>>,
}

impl Gradients {
    /// Builds the network.
    ///
    /// # Errors
    /// [`AttackError::NoGradient`] names the first node that has none here.
    pub fn new(network: &Network) -> Result<Self, AttackError> {
        let layers = network.layers();
        let graph = GradientGraph::new(network, &layers)?;
        let weights = layers
            .iter()
            .map(|l| Ok(Var::from_tensor(&graph::dequantised(network, l)?)?))
            .collect::<Result<_, AttackError>>()?;
        Ok(Self { graph, layers, weights })
    }

    /// The layers, in the order of the gradients.
    #[must_use]
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The weight of a layer as floats, row-major.
    ///
    /// # Errors
    /// [`AttackError`] where the network has no such layer, or its weights cannot be read.
    pub fn weight(&self, layer: usize) -> Result<Vec<f32>, AttackError> {
        let var = self.weights.get(layer).ok_or_else(|| absent(layer))?;
        Ok(var.as_detached_tensor().flatten_all()?.to_vec1::<f32>()?)
    }

    /// The gradient of the sum of all scores for one input of these values, with respect to each layer's weight.
    pub(crate) fn of_scores(&self, input: &[f32]) -> Result<Vec<Vec<f32>>, AttackError> {
        let dims = self.graph.dims().ok_or_else(|| AttackError::Gradient {
            reason: "the network's input has no fixed dimensions".to_owned(),
        })?;
        let input = Tensor::from_slice(input, [&[1], dims].concat(), &Device::Cpu)?;
        let mut values = self.graph.begin(&input);
        self.graph.run(&mut values, 0, &self.variable())?;
        let store = self.graph.logits(&values)?.sum_all()?.backward()?;
        let of = |var: &Var| match store.get(var.as_tensor()) {
            Some(gradient) => Ok(gradient.flatten_all()?.to_vec1::<f32>()?),
            None => Ok(vec![0.0; var.elem_count()]),
        };
        self.weights.iter().map(of).collect()
    }

    /// Elements of one input, where the network fixes their number.
    pub(crate) fn input_size(&self) -> Option<usize> {
        self.graph.dims()?.iter().try_fold(1usize, |n, d| n.checked_mul(*d))
    }

    /// Replaces the weight of a layer, given as floats (what a quantised one is dequantised to).
    ///
    /// # Errors
    /// [`AttackError`] where the network has no such layer, or `values` are not so many as its weights.
    pub fn set_weight(&self, layer: usize, values: &[f32]) -> Result<(), AttackError> {
        let var = self.weights.get(layer).ok_or_else(|| absent(layer))?;
        Ok(var.set(&Tensor::from_slice(values, var.dims(), &Device::Cpu)?)?)
    }

    /// The scores of each sample, before a softmax that ends the network.
    ///
    /// # Errors
    /// [`AttackError::NoGradient`] where an operator cannot be computed here.
    pub fn scores(&self, samples: &Samples) -> Result<Vec<Vec<f32>>, AttackError> {
        let weights = self.constant()?;
        let rows: Vec<Vec<Vec<f32>>> = pieces(samples.len())
            .into_par_iter()
            .map(|piece| {
                let mut values = self.graph.begin(&input(samples, piece)?);
                self.graph.run(&mut values, 0, &weights)?;
                Ok(self.graph.logits(&values)?.to_vec2::<f32>()?)
            })
            .collect::<Result<_, AttackError>>()?;
        Ok(rows.concat())
    }

    /// The loss, and its gradient with respect to each layer's weight, row-major as the weight.
    ///
    /// # Errors
    /// If the samples do not fit the network, or a target is no class of it.
    pub fn loss_and_gradients(
        &self,
        objective: &Objective,
    ) -> Result<(f64, Vec<Vec<f32>>), AttackError> {
        let samples = &objective.samples;
        let weights = self.variable();
        let parts: Vec<(f64, Vec<Vec<f32>>)> = pieces(samples.len())
            .into_par_iter()
            .map(|piece| {
                let mut values = self.graph.begin(&input(samples, piece.clone())?);
                self.graph.run(&mut values, 0, &weights)?;
                let logits = self.graph.logits(&values)?;
                drop(values);
                let loss = weighted_loss(&logits, objective, piece)?;
                let store = loss.backward()?;
                let of = |var: &Var| match store.get(var.as_tensor()) {
                    Some(gradient) => Ok(gradient.flatten_all()?.to_vec1::<f32>()?),
                    None => Ok(vec![0.0; var.elem_count()]),
                };
                let gradients = self.weights.iter().map(of).collect::<Result<_, AttackError>>()?;
                Ok((f64::from(loss.to_scalar::<f32>()?), gradients))
            })
            .collect::<Result<_, AttackError>>()?;
        let mut sums: Vec<Vec<f32>> =
            self.weights.iter().map(|v| vec![0.0; v.elem_count()]).collect();
        let mut total = 0.0;
        for (loss, gradients) in parts {
            total += loss;
            for (sum, gradient) in sums.iter_mut().zip(gradients) {
                sum.iter_mut().zip(gradient).for_each(|(s, g)| *s += g);
            }
        }
        Ok((total, sums))
    }

    /// Runs the network and keeps what it computed.
    ///
    /// # Errors
    /// As [`scores`](Self::scores).
    pub fn pass(&self, samples: &Samples) -> Result<Pass, AttackError> {
        let weights = self.constant()?;
        let pieces = pieces(samples.len())
            .into_par_iter()
            .map(|piece| {
                let mut values = self.graph.begin(&input(samples, piece)?);
                self.graph.run(&mut values, 0, &weights)?;
                Ok(values)
            })
            .collect::<Result<_, AttackError>>()?;
        Ok(Pass { pieces })
    }

    /// The loss if one layer had other weights. Only what comes after that layer is computed anew; `pass` is of the
    /// same samples.
    ///
    /// # Errors
    /// As [`scores`](Self::scores), and where `values` are not so many as the layer's weights.
    pub fn loss_with(
        &self,
        pass: &Pass,
        objective: &Objective,
        layer: usize,
        values: &[f32],
    ) -> Result<f64, AttackError> {
        let mut weights = self.constant()?;
        let (var, place) =
            self.weights.get(layer).zip(weights.get_mut(layer)).ok_or_else(|| absent(layer))?;
        *place = Tensor::from_slice(values, var.dims(), &Device::Cpu)?;
        let start = self.layers.get(layer).map_or(0, |l| l.node);
        let losses: Vec<f64> = pieces(objective.samples.len())
            .into_par_iter()
            .zip(&pass.pieces)
            .map(|(piece, values)| {
                // Tensors are shared, not copied.
                let mut values = values.clone();
                self.graph.run(&mut values, start, &weights)?;
                let logits = self.graph.logits(&values)?;
                Ok(f64::from(weighted_loss(&logits, objective, piece)?.to_scalar::<f32>()?))
            })
            .collect::<Result<_, AttackError>>()?;
        Ok(losses.into_iter().sum())
    }

    fn variable(&self) -> Weights {
        self.weights.iter().map(|v| v.as_tensor().clone()).collect()
    }

    fn constant(&self) -> Result<Weights, AttackError> {
        Ok(self.weights.iter().map(|v| v.as_detached_tensor()).collect())
    }
}

fn absent(layer: usize) -> AttackError {
    AttackError::Gradient { reason: format!("there is no layer {layer}") }
}

fn pieces(len: usize) -> Vec<std::ops::Range<usize>> {
    (0..len).step_by(PIECE).map(|start| start..(start + PIECE).min(len)).collect()
}

fn input(samples: &Samples, piece: std::ops::Range<usize>) -> Result<Tensor, AttackError> {
    let dims: Vec<usize> = std::iter::once(piece.len())
        .chain(samples.dims().iter().map(|d| usize::try_from(*d).unwrap_or(0)))
        .collect();
    Ok(Tensor::from_slice(samples.values(piece), dims, &Device::Cpu)?)
}

/// The sum of cross-entropies, each times its weight.
fn weighted_loss(
    logits: &Tensor,
    objective: &Objective,
    piece: std::ops::Range<usize>,
) -> Result<Tensor, AttackError> {
    let (rows, classes) = logits.dims2()?;
    let targets = objective.targets.get(piece.clone()).unwrap_or_default();
    let weights = objective.weights.get(piece).unwrap_or_default();
    if targets.len() != rows || weights.len() != rows || targets.iter().any(|t| *t >= classes) {
        let reason = format!("{rows} samples of {classes} classes need as many targets");
        return Err(AttackError::Gradient { reason });
    }
    let chosen =
        targets.iter().flat_map(|t| (0..classes).map(move |c| f32::from(u8::from(c == *t))));
    let chosen = Tensor::from_vec(chosen.collect::<Vec<f32>>(), (rows, classes), &Device::Cpu)?;
    let weights = Tensor::from_slice(weights, rows, &Device::Cpu)?;
    let top = logits.max_keepdim(1)?.detach();
    let above = logits.broadcast_sub(&top)?;
    let total = above.exp()?.sum(1)?.log()?;
    let losses = (total - (above * chosen)?.sum(1)?)?;
    Ok((losses * weights)?.sum_all()?.to_dtype(DType::F32)?)
}

#[cfg(test)]
mod tests;
