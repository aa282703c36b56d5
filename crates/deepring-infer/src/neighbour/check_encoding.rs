//! The bytes of a check: what is known before parameters are read, then the secret numbers.

use deepring::codec::{DecodeError, Reader, Writer};
use zeroize::Zeroizing;

use super::public_subgraph::PublicSubgraph;
use crate::checks::{Arithmetic, Linear, LinearForm, Projection, Source, Window};

/// Version of this encoding.
const VERSION: u16 = 1;
/// Most operators or values that a check names.
const MAX_NAMES: usize = 1 << 16;
const MAX_REST: usize = u32::MAX as usize;
/// Longest name that can be written.
const MAX_NAME: usize = 4096;

/// A check as it is read.
#[derive(Debug)]
pub(super) struct NeighbourCheck {
    /// An ONNX model; empty if there is nothing to compute.
    pub(super) recomputed: Vec<u8>,
    pub(super) opaque: Vec<String>,
    /// `weight` is a part of the block that is checked; biases and scales are inside the projections.
    pub(super) linears: Vec<Linear>,
    pub(super) projections: Vec<Projection<'static>>,
}

/// All but the secret numbers, and how many of these follow. `None` if it cannot be written.
pub(super) fn head(subgraph: &PublicSubgraph, recomputed: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (linears, opaque) = (&subgraph.linears, &subgraph.opaque);
    let sources = linears.iter().map(|l| &l.x.value);
    let names = || opaque.iter().chain(linears.iter().map(|l| &l.y)).chain(sources.clone());
    if names().any(|n| n.len() > MAX_NAME) || linears.len().max(opaque.len()) > MAX_NAMES {
        return None;
    }
    let mut w = Writer::new();
    w.u16(VERSION).bytes(recomputed).count(opaque.len());
    opaque.iter().for_each(|name| _ = w.string(name));
    w.count(linears.len());
    let mut numbers = 0usize;
    for linear in linears {
        w.string(&linear.y).string(&linear.x.value).u8(u8::from(linear.x.relu));
        w.u32(u32::try_from(linear.weight).ok()?);
        match &linear.form {
            LinearForm::Rows { inner, outer, .. } => {
                w.u8(0).u32(u32::try_from(*inner).ok()?).u32(u32::try_from(*outer).ok()?);
            }
            LinearForm::Conv(window) => {
                w.u8(1);
                window.encode(&mut w)?;
            }
        }
        numbers = numbers.checked_add(Projection::sealed_len(&linear.form)?)?;
    }
    Some((w.finish(), numbers))
}

/// Decodes a check strictly.
pub(super) fn decode(bytes: &[u8]) -> Result<NeighbourCheck, DecodeError> {
    let mut r = Reader::new(bytes);
    let version = r.u16("version of the check")?;
    if version != VERSION {
        return Err(DecodeError::BadValue {
            field: "version of the check",
            found: u64::from(version),
        });
    }
    let recomputed = r.bytes("rest", MAX_REST)?.to_vec();
    let n = r.count("opaque values", MAX_NAMES, 2)?;
    let opaque = (0..n).map(|_| r.string("opaque value")).collect::<Result<_, _>>()?;
    let n = r.count("linear operators", MAX_NAMES, 18)?;
    let linears: Vec<Linear> = (0..n).map(|_| linear(&mut r)).collect::<Result<_, _>>()?;
    let projections =
        linears.iter().map(|l| projection(&l.form, &mut r)).collect::<Result<_, _>>()?;
    r.finish()?;
    Ok(NeighbourCheck { recomputed, opaque, linears, projections })
}

fn linear(r: &mut Reader<'_>) -> Result<Linear, DecodeError> {
    let (y, value) = (r.string("output")?, r.string("input")?);
    let relu = match r.u8("rectified")? {
        flag @ (0 | 1) => flag == 1,
        found => {
            return Err(DecodeError::BadValue { field: "rectified", found: u64::from(found) });
        }
    };
    let weight = r.u32("weight")? as usize;
    let form = match r.u8("form")? {
        0 => {
            let (inner, outer) = (r.u32("inner")? as usize, r.u32("outer")? as usize);
            LinearForm::Rows { inner, outer, transposed: false }
        }
        1 => LinearForm::Conv(Window::decode(r)?),
        found => return Err(DecodeError::BadValue { field: "form", found: u64::from(found) }),
    };
    Ok(Linear {
        x: Source { value, relu },
        y,
        weight,
        bias: None,
        form,
        arithmetic: Arithmetic::unscaled(),
    })
}

fn projection(form: &LinearForm, r: &mut Reader<'_>) -> Result<Projection<'static>, DecodeError> {
    let too_long =
        || DecodeError::TooLong { field: "numbers", found: u64::MAX, limit: bytes_left(r) / 4 };
    let len = Projection::sealed_len(form).and_then(|n| n.checked_mul(4)).ok_or_else(too_long)?;
    let bytes = r.raw("numbers", len)?;
    let numbers: Zeroizing<Vec<f32>> =
        Zeroizing::new(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect());
    Projection::from_sealed(form, &numbers)
        .ok_or(DecodeError::BadValue { field: "numbers", found: len as u64 })
}

fn bytes_left(r: &Reader<'_>) -> u64 {
    r.left() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::Operators;
    use deepring::{DType, Dim, Part, PartKind, TensorSpec};
    use deepring_onnx::proto::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};
    use prost::Message as _;

    fn spec(name: &str, dims: &[u64]) -> TensorSpec {
        let dims = Some(dims.iter().copied().map(Dim::Fixed).collect());
        TensorSpec { name: name.into(), dtype: DType::F32, dims }
    }

    fn node(op: &str, inputs: &[&str], output: &str) -> NodeProto {
        NodeProto {
            op_type: Some(op.into()),
            input: inputs.iter().map(|s| (*s).to_owned()).collect(),
            output: vec![output.into()],
            ..NodeProto::default()
        }
    }

    /// x → Conv → Relu → MatMul → y, with parameters of these dimensions.
    fn check() -> (Vec<u8>, Vec<Linear>) {
        let mut end = 0;
        let (mut parts, mut initializer) = (Vec::new(), Vec::new());
        for (name, dims) in [("w", vec![4u64, 2, 3, 3]), ("v", vec![5, 3])] {
            let len = dims.iter().product::<u64>() * 4;
            parts.push(Part {
                kind: PartKind::Parameter(spec(name, &dims)),
                offset: end,
                len,
                shared: None,
            });
            let entry = |key: &str, value: u64| deepring_onnx::proto::StringStringEntryProto {
                key: Some(key.into()),
                value: Some(value.to_string()),
            };
            initializer.push(TensorProto {
                name: Some(name.into()),
                data_location: Some(deepring_onnx::proto::EXTERNAL),
                external_data: vec![entry("offset", end), entry("length", len)],
                ..TensorProto::default()
            });
            end = (end + len).next_multiple_of(64);
        }
        let mut conv = node("Conv", &["x", "w"], "a");
        conv.attribute = vec![AttributeProto {
            name: Some("pads".into()),
            ints: vec![1, 1, 1, 1],
            ..AttributeProto::default()
        }];
        let graph = GraphProto {
            node: vec![conv, node("Relu", &["a"], "b"), node("MatMul", &["b", "v"], "y")],
            initializer,
            ..GraphProto::default()
        };
        let model = ModelProto { graph: Some(graph), ..ModelProto::default() }.encode_to_vec();
        let (inputs, outputs) = ([spec("x", &[1, 2, 5, 5])], [spec("y", &[1, 4, 5, 3])]);
        let subgraph = PublicSubgraph::of(&model, &parts, &inputs, &outputs).unwrap();
        assert!(subgraph.opaque.is_empty());
        let recomputed = subgraph.recomputed(|_| None).unwrap();
        let (mut bytes, numbers) = head(&subgraph, &recomputed).unwrap();
        assert_eq!(numbers, (4 + 10 * 2 + 2) + (3 + 2 * 5 + 2));
        bytes.extend((0..numbers).flat_map(|i| (i as f32).to_le_bytes()));
        (bytes, Operators::of(&model, &parts).linears)
    }

    #[test]
    fn a_check_survives_its_encoding_without_the_weights_layout() {
        let (bytes, wanted) = check();
        let check = decode(&bytes).unwrap();
        assert_eq!((check.linears.len(), wanted.len()), (2, 2));
        for (found, wanted) in check.linears.iter().zip(&wanted) {
            assert_eq!((&found.x, &found.y, found.weight), (&wanted.x, &wanted.y, wanted.weight));
            assert_eq!(found.form, wanted.form);
        }
        // What was drawn is numbered through: r of the convolution, then its planes.
        let (r, _) = check.projections[0].for_outputs();
        assert_eq!(r, [0.0, 1.0, 2.0, 3.0]);
        let (planes, _) = check.projections[0].for_inputs();
        assert_eq!((planes.len(), planes[0]), (18, 4.0));
    }

    /// As FORMAT.md has it, section 11. Whoever changes this approves of a new version of the encoding.
    #[test]
    fn the_encoding_is_frozen() {
        let (bytes, _) = check();
        // Nothing between the two operators is computed anew: the second reads through the rectifier.
        let mut wanted = Writer::new();
        wanted.u16(1).bytes(&[]).u32(0).u32(2);
        wanted.raw(b"\x01\0a\x01\0x\0").u32(0).u8(1);
        for n in [4, 2, 1, 3, 3, 1, 1, 1, 1] {
            wanted.u32(n);
        }
        wanted.u8(0).u32(1).u32(1).u32(1).u32(1);
        wanted.raw(b"\x01\0y\x01\0a\x01").u32(1).u8(0).u32(5).u32(3);
        let wanted = wanted.finish();
        assert_eq!(bytes[..wanted.len()], wanted);
        assert_eq!(bytes.len(), wanted.len() + 4 * 41);
    }

    #[test]
    fn a_check_of_another_version_length_or_form_is_refused() {
        let (bytes, _) = check();
        for len in 0..bytes.len() {
            assert!(decode(&bytes[..len]).is_err(), "{len}");
        }
        assert!(decode(&[bytes.as_slice(), &[0]].concat()).is_err());
        assert!(decode(&[&[2], &bytes[1..]].concat()).is_err());
    }

    #[test]
    fn no_damaged_check_makes_the_decoder_panic() {
        let (bytes, _) = check();
        let described = bytes.len() - 4 * 40;
        for at in 0..described {
            for with in [0, 1, 0x7f, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] = with;
                let _ = decode(&damaged);
            }
            let mut damaged = bytes.clone();
            damaged[at..(at + 4).min(described)].fill(0xff);
            let _ = decode(&damaged);
        }
    }
}
