//! Operators over windows, as products of matrices: each window becomes a row (im2col).

use candle_core::{Device, Tensor};
use deepring_onnx::proto::NodeProto;

use super::attributes::{float, input, int, ints};
use super::graph::Around;
use super::value::Value;
use super::windows::Windows;
use crate::attack::context::AttackError;

/// Channels-last rows of an input: `[samples * places, channels]`.
struct Rows {
    tensor: Tensor,
    samples: usize,
    inputs: Vec<usize>,
    channels: usize,
}

impl Rows {
    fn of(around: &Around<'_>, value: &Value) -> Result<Self, AttackError> {
        let tensor = value.with_channels_last()?;
        let (Some((samples, rest)), true) = (tensor.dims().split_first(), tensor.rank() >= 3)
        else {
            return Err(around.refused());
        };
        let (channels, inputs) = rest.split_last().ok_or_else(|| around.refused())?;
        let (samples, channels, inputs) = (*samples, *channels, inputs.to_vec());
        let tensor = tensor.reshape(((), channels))?;
        Ok(Self { tensor, samples, inputs, channels })
    }

    /// Back to a value, with the windows as places.
    fn value(&self, rows: Tensor, windows: &Windows) -> Result<Value, AttackError> {
        let channels = rows.dim(1)?;
        let mut dims = vec![self.samples];
        dims.extend(&windows.outputs);
        dims.push(channels);
        Ok(Value::last(rows.reshape(dims)?))
    }
}

/// With the normalisation after it, if one is joined.
pub(super) fn convolution(
    around: &Around<'_>,
    norm: Option<&NodeProto>,
) -> Result<Value, AttackError> {
    let refused = || around.refused();
    let x = Rows::of(around, &around.value(0)?)?;
    let mut weight = around.value(1)?.in_order()?;
    let mut bias = around.optional(2)?.map(|b| b.tensor);
    if let Some(norm) = norm {
        let (scale, shift) = affine(around, norm)?;
        let mut dims = vec![1; weight.rank()];
        *dims.first_mut().ok_or_else(refused)? = scale.elem_count();
        weight = weight.broadcast_mul(&scale.reshape(dims)?)?;
        bias = Some(match bias {
            Some(bias) => ((bias * &scale)? + shift)?,
            None => shift,
        });
    }
    let groups = usize::try_from(int(around.node, "group", 1)).map_err(|_| refused())?;
    let kernel = weight.dims().get(2..).ok_or_else(refused)?.to_vec();
    let windows = Windows::of(around.node, &x.inputs, &kernel).ok_or_else(refused)?;
    let (outputs, inputs) = (weight.dim(0)?, weight.dim(1)?);
    if groups == 0 || inputs * groups != x.channels || outputs % groups != 0 {
        return Err(refused());
    }
    // [outputs, taps, inputs of the group]
    let weight = weight.reshape((outputs, inputs, windows.taps()))?.transpose(1, 2)?;
    let out = if groups == 1 {
        group(around, &x, &x.tensor, &weight, &windows)?
    } else if inputs == 1 && outputs == groups {
        depthwise(around, &x, &weight, &windows)?
    } else {
        let each = outputs / groups;
        let parts: Vec<Tensor> = (0..groups)
            .map(|g| {
                let rows = x.tensor.narrow(1, g * inputs, inputs)?.contiguous()?;
                group(around, &x, &rows, &weight.narrow(0, g * each, each)?, &windows)
            })
            .collect::<Result<_, AttackError>>()?;
        Tensor::cat(&parts, 1)?
    };
    let out = match bias {
        Some(bias) => out.broadcast_add(&bias)?,
        None => out,
    };
    x.value(out, &windows)
}

fn group(
    around: &Around<'_>,
    x: &Rows,
    rows: &Tensor,
    weight: &Tensor,
    windows: &Windows,
) -> Result<Tensor, AttackError> {
    let (outputs, taps, inputs) = weight.dims3()?;
    let matrix = weight.contiguous()?.reshape((outputs, taps * inputs))?.t()?;
    let columns = if windows.is_identity() {
        rows.clone()
    } else {
        let table = around.graph.table(windows, x.samples, None)?;
        rows.index_select(&table, 0)?.reshape(((), taps * inputs))?
    };
    Ok(columns.matmul(&matrix)?)
}

fn depthwise(
    around: &Around<'_>,
    x: &Rows,
    weight: &Tensor,
    windows: &Windows,
) -> Result<Tensor, AttackError> {
    let mut sum: Option<Tensor> = None;
    for tap in 0..windows.taps() {
        let table = around.graph.table(windows, x.samples, Some(tap))?;
        let factor = weight.narrow(1, tap, 1)?.flatten_all()?;
        let part = x.tensor.index_select(&table, 0)?.broadcast_mul(&factor)?;
        sum = Some(match sum {
            Some(sum) => (sum + part)?,
            None => part,
        });
    }
    sum.ok_or_else(|| around.refused())
}

/// Factor and summand of a normalisation, for each channel.
fn affine(around: &Around<'_>, norm: &NodeProto) -> Result<(Tensor, Tensor), AttackError> {
    let of = |at: usize| {
        let value = input(norm, at).and_then(|name| around.named(name));
        value.map(|v| v.tensor).ok_or_else(|| super::graph::no_gradient(norm))
    };
    let (scale, shift, mean, variance) = (of(1)?, of(2)?, of(3)?, of(4)?);
    let epsilon = f64::from(float(norm, "epsilon", 1e-5));
    let factor = (scale / (variance + epsilon)?.sqrt()?)?;
    let summand = (shift - (mean * &factor)?)?;
    Ok((factor, summand))
}

pub(super) fn normalisation(around: &Around<'_>) -> Result<Value, AttackError> {
    let x = around.value(0)?;
    let (factor, summand) = affine(around, around.node)?;
    let tensor = x.with_channels_last()?;
    let out = tensor.broadcast_mul(&factor)?.broadcast_add(&summand)?;
    Ok(if out.rank() < 3 { Value::plain(out) } else { Value::last(out) })
}

fn pooled(around: &Around<'_>) -> Result<(Rows, Windows), AttackError> {
    let x = Rows::of(around, &around.value(0)?)?;
    let kernel = ints(around.node, "kernel_shape").ok_or_else(|| around.refused())?;
    let kernel: Option<Vec<usize>> = kernel.iter().map(|k| usize::try_from(*k).ok()).collect();
    let windows = kernel.and_then(|k| Windows::of(around.node, &x.inputs, &k));
    let windows = windows.ok_or_else(|| around.refused())?;
    Ok((x, windows))
}

pub(super) fn max_pool(around: &Around<'_>) -> Result<Value, AttackError> {
    let (x, windows) = pooled(around)?;
    let places: usize = windows.outputs.iter().product();
    let inside = windows.inside();
    let whole = inside.iter().all(|n| *n as usize == windows.taps());
    let mut most: Option<Tensor> = None;
    for tap in 0..windows.taps() {
        let table = around.graph.table(&windows, x.samples, Some(tap))?;
        let mut part = x.tensor.index_select(&table, 0)?;
        if !whole {
            // What is read outside as zero must lose against everything.
            let low = |row: &u32| if *row == super::windows::OUTSIDE { f32::MIN } else { 0.0 };
            let lowest: Vec<f32> = table.to_vec1::<u32>()?.iter().map(low).collect();
            let lowest = Tensor::from_vec(lowest, (x.samples * places, 1), &Device::Cpu)?;
            part = part.broadcast_add(&lowest)?;
        }
        most = Some(match most {
            Some(most) => most.maximum(&part)?,
            None => part,
        });
    }
    x.value(most.ok_or_else(|| around.refused())?, &windows)
}

pub(super) fn average_pool(around: &Around<'_>) -> Result<Value, AttackError> {
    let (x, windows) = pooled(around)?;
    let counted = int(around.node, "count_include_pad", 0) != 0;
    if counted && int(around.node, "ceil_mode", 0) != 0 {
        return Err(around.refused());
    }
    let mut sum: Option<Tensor> = None;
    for tap in 0..windows.taps() {
        let table = around.graph.table(&windows, x.samples, Some(tap))?;
        let part = x.tensor.index_select(&table, 0)?;
        sum = Some(match sum {
            Some(sum) => (sum + part)?,
            None => part,
        });
    }
    let sum = sum.ok_or_else(|| around.refused())?;
    let whole = windows.taps() as f32;
    let share = |n: f32| 1.0 / if counted { whole } else { n.max(1.0) };
    let one: Vec<f32> = windows.inside().into_iter().map(share).collect();
    let shares = Tensor::from_vec(one.repeat(x.samples), (sum.dim(0)?, 1), &Device::Cpu)?;
    let out = sum.broadcast_mul(&shares)?;
    x.value(out, &windows)
}

pub(super) fn global_average_pool(around: &Around<'_>) -> Result<Value, AttackError> {
    let x = Rows::of(around, &around.value(0)?)?;
    let places: usize = x.inputs.iter().product();
    let mean = x.tensor.reshape((x.samples, places, x.channels))?.mean(1)?;
    let mut dims = vec![x.samples];
    dims.extend(x.inputs.iter().map(|_| 1));
    dims.push(x.channels);
    Ok(Value::last(mean.reshape(dims)?))
}
