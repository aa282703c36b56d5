//! A stack of dense layers, as deep and as wide as asked: a ring of any size.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use deepring::TensorValue;
use prost::Message as _;

use super::builder::{FLOAT, gain, int, model, normal, value};
use crate::proto::{EXTERNAL, GraphProto, NodeProto, StringStringEntryProto, TensorProto};

/// `layers` dense layers of `width` by `width` with ReLU in between; input `x`, output `y`, each a row.
///
/// Its weights stand in a file beside the model and are written as they are drawn, so that neither memory
/// nor the 2 GB that one protocol buffer can hold is a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stack {
    /// Layers, at least one.
    pub layers: u32,
    /// Numbers in a row.
    pub width: u32,
}

impl Stack {
    /// The stack of about so many bytes of parameters in layers of 4 MiB each; a smaller one has a single
    /// smaller layer.
    #[must_use]
    pub fn of_bytes(bytes: u64) -> Self {
        const WIDTH: u32 = 1024;
        let layer = 4 * u64::from(WIDTH) * u64::from(WIDTH);
        if bytes >= layer {
            let layers = u32::try_from((bytes + layer / 2) / layer).unwrap_or(u32::MAX);
            return Self { layers, width: WIDTH };
        }
        let width = u32::try_from((bytes / 4).isqrt()).unwrap_or(WIDTH);
        Self { layers: 1, width: width.max(1) }
    }

    /// Bytes of all parameters.
    #[must_use]
    pub fn bytes(self) -> u64 {
        4 * u64::from(self.layers) * u64::from(self.width) * (u64::from(self.width) + 1)
    }

    /// A random query.
    #[must_use]
    pub fn query(self, seed: u64) -> Vec<TensorValue> {
        let mut random = fastrand::Rng::with_seed(seed);
        super::floats(&mut random, "x", vec![1, self.width.into()]).into_iter().collect()
    }

    /// Writes the model to `path` and its weights beside it, with the extension `data`.
    ///
    /// # Errors
    /// If a file cannot be written.
    #[allow(
        clippy::disallowed_methods,
        reason = "a folder of its caller's own; syncing gigabytes would be measured too"
    )]
    pub fn write(self, path: &Path, seed: u64) -> io::Result<()> {
        let data = path.with_extension("data");
        let location = data.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut weights = Weights { random: fastrand::Rng::with_seed(seed), location, end: 0 };
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&data)?);
        let mut graph = GraphProto { name: Some("stack".to_owned()), ..GraphProto::default() };
        graph.input.push(value("x", FLOAT, Some(&[1, self.width])));
        graph.output.push(value("y", FLOAT, None));
        let mut x = "x".to_owned();
        for layer in 0..self.layers {
            let last = layer + 1 == self.layers;
            let y = if last { "y".to_owned() } else { format!("layer{layer}") };
            let (weight, bias) = (format!("layer{layer}.weight"), format!("layer{layer}.bias"));
            // Half of the mean square is lost in each ReLU but the one that is not there before the first.
            let gain = if layer == 0 { gain::LINEAR } else { gain::RELU };
            let scale = (gain / self.width as f32).sqrt();
            let square = [self.width, self.width];
            graph.initializer.push(weights.draw(&mut file, &weight, &square, scale)?);
            graph.initializer.push(weights.draw(&mut file, &bias, &[self.width], 0.01)?);
            graph.node.push(node("Gemm", &[&x, &weight, &bias], &y));
            x = y;
            if !last {
                let relu = format!("{x}.relu");
                graph.node.push(node("Relu", &[&x], &relu));
                x = relu;
            }
        }
        file.flush()?;
        std::fs::write(path, model(graph).encode_to_vec())
    }
}

fn node(op: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        op_type: Some(op.to_owned()),
        name: Some(output.to_owned()),
        input: inputs.iter().map(|s| (*s).to_owned()).collect(),
        output: vec![output.to_owned()],
        attribute: if op == "Gemm" { vec![int("transB", 1)] } else { Vec::new() },
        ..NodeProto::default()
    }
}

/// The file of weights, as far as it is written.
struct Weights {
    random: fastrand::Rng,
    location: String,
    end: u64,
}

impl Weights {
    fn draw(
        &mut self,
        file: &mut impl io::Write,
        name: &str,
        dims: &[u32],
        scale: f32,
    ) -> io::Result<TensorProto> {
        let count: u64 = dims.iter().map(|d| u64::from(*d)).product();
        for _ in 0..count {
            file.write_all(&(normal(&mut self.random) * scale).to_le_bytes())?;
        }
        let entry = |key: &str, value: String| StringStringEntryProto {
            key: Some(key.to_owned()),
            value: Some(value),
        };
        let tensor = TensorProto {
            name: Some(name.to_owned()),
            dims: dims.iter().map(|d| i64::from(*d)).collect(),
            data_type: Some(FLOAT),
            data_location: Some(EXTERNAL),
            external_data: vec![
                entry("location", self.location.clone()),
                entry("offset", self.end.to_string()),
                entry("length", (4 * count).to_string()),
            ],
            ..TensorProto::default()
        };
        self.end += 4 * count;
        Ok(tensor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_is_about_as_large_as_asked() {
        for bytes in [1 << 20, 8 << 20, 64 << 20, 1 << 30, 8u64 << 30] {
            let stack = Stack::of_bytes(bytes);
            let off = stack.bytes().abs_diff(bytes) as f64 / bytes as f64;
            assert!(off < 0.01, "{stack:?}: {} for {bytes}", stack.bytes());
        }
        assert_eq!(Stack::of_bytes(0), Stack { layers: 1, width: 1 });
    }
}
