use super::*;

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn run(recipe: Recipe) -> Vec<f32> {
    let bytes = ParamSource::derived(recipe).read().unwrap();
    bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

#[test]
fn transposes_three_axes() {
    let of = ParamSource::owned(floats(&(0..24).map(|i| i as f32).collect::<Vec<_>>()));
    let out = run(Recipe::Transpose { of, dims: vec![2, 3, 4], perm: vec![2, 0, 1], width: 4 });
    // out[i][j][k] = in[j][k][i]
    let expected: Vec<f32> = (0..4)
        .flat_map(|i| (0..2).flat_map(move |j| (0..3).map(move |k| (j * 12 + k * 4 + i) as f32)))
        .collect();
    assert_eq!(out, expected);
}

#[test]
fn scales_each_channel() {
    let channels = ChannelIndex::along(&[2, 3, 1], 1).unwrap();
    let of = ParamSource::owned(floats(&[1., 1., 1., 2., 2., 2.]));
    let out = run(Recipe::Scale { of, channels, factors: vec![1., 10., 100.] });
    assert_eq!(out, [1., 10., 100., 2., 20., 200.]);
}

#[test]
fn dequantises_per_axis() {
    let of = ParamSource::owned(vec![0u8, 1, 255, 128]);
    let channels = ChannelIndex::along(&[2, 2], 0).unwrap();
    let (scale, zero) = (vec![0.5, 2.0], vec![1, 128]);
    let out = run(Recipe::Dequantize { of, from: DType::U8, channels, scale, zero });
    assert_eq!(out, [-0.5, 0.0, 254.0, 0.0]);
}

#[test]
fn a_region_of_another_length_is_refused() {
    let source = ParamSource::owned(vec![1u8; 8]);
    assert!(matches!(
        source.read_into(&mut [0; 7]),
        Err(ImportError::RegionLength { expected: 8, found: 7 })
    ));
}
