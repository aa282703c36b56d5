//! Operators of versions before 9: training that is not said, broadcasting by attributes, and attributes that are inputs now.

use deepring::{DType, Dim};

use super::Upgrade;
use crate::proto::NodeProto;
use crate::read::{ImportError, unsupported};

/// Since this version operands broadcast as numpy has it; before, by attributes.
const BROADCASTING: i64 = 7;

impl Upgrade<'_> {
    /// Writes a node of a version before 9 as that version has it, or refuses it.
    pub(super) fn before_nine(&mut self, node: &mut NodeProto) -> Result<(), ImportError> {
        node.take_attr("consumed_inputs");
        match node.op() {
            "BatchNormalization" => {
                self.refuse_training(node)?;
                if node.take_attr("spatial").is_some_and(|a| a.i == Some(0)) {
                    return Err(unsupported("normalisation per position", Some(&node.label())));
                }
            }
            "Dropout" => self.refuse_training(node)?,
            "Scan" => return Err(unsupported("Scan before opset 9", Some(&node.label()))),
            "LSTM" | "GRU" | "RNN" => {
                node.take_attr("output_sequence");
            }
            "Upsample" => {
                if let Some(scales) = node.take_attr("scales") {
                    let bytes = scales.floats.iter().flat_map(|v| v.to_le_bytes()).collect();
                    let (wish, len) = (node.label(), scales.floats.len() as u64);
                    let name = self.constant(&wish, DType::F32, &[len], bytes);
                    node.input.truncate(1);
                    node.input.push(name);
                }
            }
            "Gemm" => {
                node.take_attr("broadcast");
            }
            "PRelu" if self.opset < BROADCASTING => self.align(node, 1),
            "Add" | "Sub" | "Mul" | "Div" | "Pow" | "And" | "Or" | "Xor" | "Equal" | "Greater"
            | "Less" => {
                let broadcast = node.take_attr("broadcast").is_some_and(|a| a.i == Some(1));
                let axis = node.take_attr("axis").and_then(|a| a.i);
                if let Some(axis) = axis.filter(|_| broadcast) {
                    let rank = self.shapes.rank(node.arg(0)).and_then(|r| i64::try_from(r).ok());
                    let Some(rank) = rank else {
                        return Err(unsupported("broadcast along an axis", Some(&node.label())));
                    };
                    let axis = if axis < 0 { axis.saturating_add(rank) } else { axis };
                    self.align(node, usize::try_from(axis).unwrap_or(usize::MAX));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Refuses a node of version 6 that is not said to be one of tests: without a word, it trains.
    fn refuse_training(&self, node: &mut NodeProto) -> Result<(), ImportError> {
        let tests = node.take_attr("is_test").is_some_and(|a| a.i.unwrap_or(0) != 0);
        if self.opset < BROADCASTING && !tests {
            return Err(self.differs(node, "training mode"));
        }
        Ok(())
    }

    /// Gives the second operand trailing ones so that it starts at `axis` of the first.
    fn align(&mut self, node: &mut NodeProto, axis: usize) {
        let ranks = self.shapes.rank(node.arg(0)).zip(self.shapes.rank(node.arg(1)));
        let Some((a, b)) = ranks else { return };
        let single =
            self.shapes.of(node.arg(1)).is_some_and(|s| s.iter().all(|d| *d == Dim::Fixed(1)));
        let Some(missing) = a.checked_sub(axis.saturating_add(b)).filter(|&m| m > 0 && !single)
        else {
            return;
        };
        let (Some(operand), Some(output)) = (node.arg(1).map(str::to_owned), node.output.first())
        else {
            return;
        };
        let aligned = format!("{output}.aligned");
        let axes = (b..b + missing).filter_map(|a| i64::try_from(a).ok()).collect();
        self.push("Unsqueeze", &[&operand], &aligned).set_ints("axes", axes);
        if let Some(input) = node.input.get_mut(1) {
            *input = aligned;
        }
    }
}
