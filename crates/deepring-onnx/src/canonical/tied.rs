//! A matrix that is used as it is and transposed, as tied embeddings are: kept once.
//!
//! Folded, its transpose would be a second parameter of the same elements. A `Gemm` reads the matrix itself
//! (`transB`), and has a product like any other.

use std::collections::{HashMap, HashSet};

use deepring::DType;

use super::graph::Graph;
use super::shapes::Shapes;
use crate::proto::NodeProto;
use crate::read::ImportError;

/// Shorter ones are worth their copy.
const WORTH: u64 = 4096;

impl Graph {
    /// Makes products with the transpose of a matrix that other nodes read as it is products with that matrix.
    pub(crate) fn keep_tied(&mut self) -> Result<(), ImportError> {
        let transposes = self.tied_transposes();
        if transposes.is_empty() {
            return Ok(());
        }
        let shapes = Shapes::infer(self)?;
        let mut nodes = Vec::with_capacity(self.nodes.len());
        // They stay here meanwhile: new names are none of theirs.
        for node in self.nodes.clone() {
            let matrix = node.arg(1).and_then(|name| transposes.get(name));
            match (node.onnx_op(), matrix, node.arg(0), node.output.first()) {
                ("MatMul", Some(matrix), Some(x), Some(y)) => {
                    let rank = shapes.rank(Some(x));
                    nodes.extend(self.product(&node, (x, matrix, y), rank));
                }
                _ => nodes.push(node),
            }
        }
        self.nodes = nodes;
        Ok(())
    }

    /// By the name of the transpose, the matrix; only of those whose matrix is read elsewhere, too.
    fn tied_transposes(&self) -> HashMap<String, String> {
        let is_transpose = |node: &&NodeProto| {
            let matrix = self.constant(node.arg(0));
            let fits = matrix.is_some_and(|t| {
                let len = self.source(t).map_or(0, crate::read::ParamSource::len);
                t.dtype() == Some(DType::F32) && t.dims.len() == 2 && len >= WORTH
            });
            let perm = node.attr_ints("perm");
            node.onnx_op() == "Transpose" && fits && perm.is_none_or(|perm| perm == [1, 0])
        };
        let found: Vec<&NodeProto> = self.nodes.iter().filter(is_transpose).collect();
        if found.is_empty() {
            return HashMap::new();
        }
        let transposes: HashSet<&str> =
            found.iter().filter_map(|n| n.output.first()).map(String::as_str).collect();
        let others = self
            .nodes
            .iter()
            .filter(|n| n.output.first().is_none_or(|o| !transposes.contains(o.as_str())));
        let read: HashSet<String> = others.flat_map(crate::scope::needs).collect();
        let tied = found.into_iter().filter_map(|n| Some((n.output.first()?, n.arg(0)?)));
        tied.filter(|(_, matrix)| read.contains(*matrix))
            .map(|(transpose, matrix)| (transpose.clone(), matrix.to_owned()))
            .collect()
    }

    fn product(
        &mut self,
        node: &NodeProto,
        (x, matrix, y): (&str, &str, &str),
        rank: Option<usize>,
    ) -> Vec<NodeProto> {
        let made = |op: &str, inputs: &[&str], output: &str| NodeProto {
            op_type: Some(op.to_owned()),
            input: inputs.iter().map(|s| (*s).to_owned()).collect(),
            output: vec![output.to_owned()],
            ..NodeProto::default()
        };
        let mut gemm = made("Gemm", &[x, matrix], y);
        gemm.name.clone_from(&node.name);
        gemm.set_int("transB", 1);
        if rank == Some(2) {
            return vec![gemm];
        }
        let dims = self.constant(Some(matrix)).map(|t| t.dims.clone()).unwrap_or_default();
        let (outer, inner) = (dims.first().copied(), dims.get(1).copied());
        let mut ints = |wish: &str, values: &[i64]| {
            let name = self.fresh(&format!("{y}/{wish}"));
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            let source = crate::read::ParamSource::owned(bytes);
            self.set_constant(&name, DType::I64, &[values.len() as u64], source);
            name
        };
        let (flat_shape, from, to, width) = (
            ints("flat_shape", &[-1, inner.unwrap_or_default()]),
            ints("from", &[0]),
            ints("to", &[-1]),
            ints("width", &[outer.unwrap_or_default()]),
        );
        let mut taken = HashSet::new();
        let mut value = |wish: &str| {
            let mut name = self.fresh(&format!("{y}/{wish}"));
            while !taken.insert(name.clone()) {
                name.push('_');
            }
            name
        };
        let (flat, product, shape, lead, whole) =
            (value("flat"), value("product"), value("shape"), value("lead"), value("whole"));
        gemm.input = vec![flat.clone(), matrix.to_owned()];
        gemm.output = vec![product.clone()];
        let mut concat = made("Concat", &[&lead, &width], &whole);
        concat.set_int("axis", 0);
        // Of an empty batch a zero is a zero.
        let mut shaped = made("Reshape", &[&product, &whole], y);
        shaped.set_int("allowzero", 1);
        vec![
            made("Shape", &[x], &shape),
            made("Slice", &[&shape, &from, &to], &lead),
            concat,
            made("Reshape", &[x, &flat_shape], &flat),
            gemm,
            shaped,
        ]
    }
}
