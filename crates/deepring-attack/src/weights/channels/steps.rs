//! The effect of one node on the channels that come to it.

use deepring_onnx::proto::NodeProto;

use crate::network::Parameter;

use super::{Place, Run, Walk, group, meets, number};

/// Operators that treat every element alike; other inputs are broadcast.
const ELEMENT_WISE: &[&str] = &[
    "Abs",
    "Add",
    "Cast",
    "Ceil",
    "Celu",
    "Clip",
    "Div",
    "Dropout",
    "Elu",
    "Erf",
    "Exp",
    "Floor",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LeakyRelu",
    "Log",
    "Max",
    "Mean",
    "Min",
    "Mish",
    "Mul",
    "Neg",
    "PRelu",
    "Pow",
    "Reciprocal",
    "Relu",
    "Round",
    "Selu",
    "Sigmoid",
    "Sign",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Sub",
    "Sum",
    "Swish",
    "Tanh",
    "ThresholdedRelu",
];
/// Operators that give permuted values for permuted values, whatever the axis.
const EQUIVARIANT: &[&str] = &["Softmax", "LogSoftmax"];
/// Operators that work on each channel by itself.
const POOLS: &[&str] = &["MaxPool", "AveragePool", "LpPool"];
const GLOBAL_POOLS: &[&str] = &["GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"];

impl Walk<'_> {
    pub(super) fn step(&mut self, node: &NodeProto) -> Result<(), String> {
        if !matches!(node.domain.as_deref(), None | Some("" | "ai.onnx")) {
            return Err(meets(node));
        }
        let first = node.input.first().and_then(|i| self.places.get(i)).copied();
        let op = node.op_type.as_deref().unwrap_or_default();
        if ELEMENT_WISE.contains(&op) {
            return self.element_wise(node);
        }
        if op == "MatMul" {
            return self.product(node, first);
        }
        let place = first.ok_or_else(|| meets(node))?;
        if node.input.iter().skip(1).any(|i| self.places.contains_key(i)) {
            return Err(meets(node));
        }
        // Images: batch, channels, and what each channel has.
        let second = place.rank.is_some_and(|rank| rank == place.from_end + 1);
        match op {
            "Conv" | "ConvTranspose" if second => self.convolution(node, place),
            "Gemm" if place.from_end == 1 && number(node, "transA").unwrap_or(0) == 0 => {
                let weight = self.parameter(node, 1)?;
                let axis = usize::from(number(node, "transB").unwrap_or(0) != 0);
                self.edit(weight, axis, place)?;
                self.found.consumers += 1;
                Ok(())
            }
            "BatchNormalization" | "InstanceNormalization" if second => {
                for at in 1..node.input.len() {
                    let vector = self.parameter(node, at)?;
                    self.edit(vector, 0, place)?;
                }
                self.put(node, place)
            }
            "QuantizeLinear" | "DequantizeLinear" => {
                for at in 1..node.input.len() {
                    if self.parameter(node, at)?.len() != 1 {
                        return Err(meets(node));
                    }
                }
                self.put(node, place)
            }
            _ if POOLS.contains(&op) && second && place.from_end > 1 => self.put(node, place),
            _ if GLOBAL_POOLS.contains(&op) && second && place.from_end > 1 => {
                self.put(node, Place { single: true, ..place })
            }
            _ if EQUIVARIANT.contains(&op) => self.put(node, place),
            _ => {
                let moved = self.moved(node, op, place).ok_or_else(|| meets(node))?;
                self.put(node, moved)
            }
        }
    }

    /// All inputs have the channels in one place, or are parameters.
    fn element_wise(&mut self, node: &NodeProto) -> Result<(), String> {
        let mut places = node.input.iter().filter_map(|i| self.places.get(i)).copied();
        let place = places.next().ok_or_else(|| meets(node))?;
        if places.any(|p| p != place) {
            return Err(meets(node));
        }
        for input in node.input.iter().filter(|i| !i.is_empty()) {
            if self.places.contains_key(input) {
                continue;
            }
            let constant = self.constant(input, place, node)?;
            if node.op_type.as_deref() == Some("Add") && self.found.bias.is_none() {
                self.found.bias = constant;
            }
        }
        self.put(node, place)
    }

    fn product(&mut self, node: &NodeProto, first: Option<Place>) -> Result<(), String> {
        let second = node.input.get(1).and_then(|i| self.places.get(i)).copied();
        let (place, at) = match (first, second) {
            (Some(place), None) if place.from_end == 1 => (place, 1),
            (None, Some(place)) if place.from_end == 2 => (place, 0),
            _ => return Err(meets(node)),
        };
        let weight = self.parameter(node, at)?;
        let axis = weight.dims.len().checked_sub(1 + at).filter(|_| weight.dims.len() > 1);
        self.edit(weight, axis.ok_or_else(|| meets(node))?, place)?;
        self.found.consumers += 1;
        Ok(())
    }

    /// A full convolution takes the channels in; one with a group for each channel passes them on.
    fn convolution(&mut self, node: &NodeProto, place: Place) -> Result<(), String> {
        let Run::Known(run) = place.run else { return Err(meets(node)) };
        let weight = self.parameter(node, 1)?;
        let taken_in = usize::from(node.op_type.as_deref() == Some("Conv"));
        if group(node) == 1 {
            self.edit(weight, taken_in, place)?;
            self.found.consumers += 1;
            return Ok(());
        }
        let inputs = self.found.count * run;
        let filters = weight.dims.first().copied().unwrap_or(0);
        let depthwise = usize::try_from(group(node)) == Ok(inputs)
            && filters.is_multiple_of(inputs.max(1))
            && taken_in == 1;
        if !depthwise {
            return Err(meets(node));
        }
        let run = Run::Known(run * (filters / inputs.max(1)));
        let after = Place { run, ..place };
        self.edit(weight, 0, after)?;
        if node.input.get(2).is_some_and(|n| !n.is_empty()) {
            let bias = self.parameter(node, 2)?;
            self.edit(bias, 0, after)?;
        }
        self.put(node, Place { single: false, ..after })
    }

    fn parameter(&self, node: &NodeProto, at: usize) -> Result<Parameter, String> {
        let name = node.input.get(at).ok_or_else(|| meets(node))?;
        Parameter::find(self.network, name).ok_or_else(|| meets(node))
    }
}
