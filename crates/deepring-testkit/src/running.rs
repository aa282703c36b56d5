//! Running of blocks with the bare engine, as a session does with checks around it.

use std::collections::HashMap;

use deepring_onnx::{CutBlock, PARAMS_FILE};
use rten::{ModelOptions, Value, ValueOrView};
use rten_tensor::AsView;

/// Tensors by name.
pub type NamedValues = HashMap<String, Value>;

/// Loads a block over its own parameter region, which is leaked.
pub fn load(block: &CutBlock) -> Result<rten::Model, String> {
    let mut region = vec![0u8; usize::try_from(block.params_len()).unwrap()];
    block.read_params(&mut region).map_err(|e| e.to_string())?;
    let mut options = ModelOptions::with_all_ops();
    options.prepack_weights(false).external_data_static(PARAMS_FILE, region.leak());
    options.load(block.graph.clone()).map_err(|e| format!("{}: {e}", block.name))
}

/// Runs blocks one after another; all values that any of them made.
pub fn run(blocks: &[CutBlock], inputs: &NamedValues) -> Result<NamedValues, String> {
    let mut values: NamedValues = inputs.clone();
    for block in blocks {
        let model = load(block)?;
        let id = |name: &str| {
            model.find_node(name).ok_or_else(|| format!("{}: no `{name}`", block.name))
        };
        let mut given: Vec<(rten::NodeId, ValueOrView<'_>)> = Vec::new();
        for spec in &block.inputs {
            let value = values
                .get(&spec.name)
                .ok_or_else(|| format!("{}: nothing made `{}`", block.name, spec.name))?;
            given.push((id(&spec.name)?, ValueOrView::View(value.as_view())));
        }
        let wanted: Vec<_> = block.outputs.iter().map(|s| id(&s.name)).collect::<Result<_, _>>()?;
        let made = model.run(given, &wanted, None).map_err(|e| format!("{}: {e}", block.name))?;
        for (spec, value) in block.outputs.iter().zip(made) {
            values.insert(spec.name.clone(), value);
        }
    }
    Ok(values)
}

/// Elements as floats, for comparison.
pub fn floats(value: &Value) -> Vec<f32> {
    match value {
        Value::FloatTensor(t) => t.to_vec(),
        Value::Int32Tensor(t) => t.to_vec().into_iter().map(|v| v as f32).collect(),
        Value::Int8Tensor(t) => t.to_vec().into_iter().map(f32::from).collect(),
        Value::UInt8Tensor(t) => t.to_vec().into_iter().map(f32::from).collect(),
        _ => Vec::new(),
    }
}

/// The network as the file has it, nothing folded, run by the bare engine.
pub fn run_file(path: &std::path::Path, inputs: &NamedValues, output: &str) -> Vec<f32> {
    let mut options = ModelOptions::with_all_ops();
    let model = options.prepack_weights(false).load_file(path).unwrap();
    let id = |name: &str| model.find_node(name).unwrap();
    let given = model.input_ids().iter().map(|&input| {
        let name = model.node_info(input).unwrap().name().unwrap().to_owned();
        (input, ValueOrView::View(inputs.get(&name).unwrap().as_view()))
    });
    let made = model.run(given.collect(), &[id(output)], None).unwrap();
    floats(&made[0])
}

/// Greatest difference, relative to the peak.
pub fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let peak = a.iter().fold(f32::MIN_POSITIVE, |m, v| m.max(v.abs()));
    a.iter().zip(b).fold(0.0, |m, (a, b)| m.max((a - b).abs() / peak))
}
