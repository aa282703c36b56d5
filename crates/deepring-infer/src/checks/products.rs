//! Holding the values of a run against the projections: one pass over each value, then a comparison for each
//! operator.

use rayon::prelude::*;

use super::anatomy::{Form, Linear};
use super::direct;
use super::projection::Projection;
use super::watch::{Reading, Readings, Role};
use crate::engine::{Elements, View};
use crate::kernels::{self, columns, rows};

/// Below so many elements, starting threads costs more than they save.
const PARALLEL_FROM: usize = 1 << 16;

/// What was summed over one side of an operator.
#[derive(Debug, Default)]
struct Side {
    /// Pictures, and pixels of each, or 1 and rows.
    images: usize,
    /// Height and width of a picture.
    size: [usize; 2],
    planes: usize,
    /// For each picture, each plane, each pixel.
    sums: Vec<f32>,
    /// For each picture, each pixel.
    squares: Vec<f32>,
}

impl Side {
    fn pixels(&self) -> usize {
        self.size[0] * self.size[1]
    }
}

/// The sums of one run.
pub(crate) struct Products<'a> {
    linears: &'a [Linear],
    sides: Vec<[Side; 2]>,
    sizes: Vec<[usize; 2]>,
}

impl<'a> Products<'a> {
    pub(crate) fn new(linears: &'a [Linear]) -> Self {
        let sides = linears.iter().map(|_| Default::default()).collect();
        Self { linears, sides, sizes: vec![[0; 2]; linears.len()] }
    }

    /// Elements of input and output of each operator that was looked at.
    pub(super) fn sizes(self) -> Vec<[usize; 2]> {
        self.sizes
    }

    /// Height and width of an operator's output.
    pub(super) fn output_size(&self, i: usize) -> Option<[usize; 2]> {
        self.sides.get(i).map(|[_, y]| y.size)
    }

    /// Whether every output is that of its operator; else the number of one whose is not.
    pub(crate) fn fit<'v, 'p>(
        &mut self,
        readings: &[Readings],
        products: &[usize],
        projection: &(impl Fn(usize) -> Option<&'p Projection> + Sync),
        value: &(dyn Fn(&str) -> Option<View<'v>> + Sync),
    ) -> Result<(), usize> {
        let read = |readings: &Readings| self.read(readings, projection, value);
        let elements = |r: &Readings| value(&r.value).map_or(0, |v| v.dims.iter().product());
        let much = readings.len() > 1
            && rayon::current_num_threads() > 1
            && readings.iter().map(elements).sum::<usize>() >= PARALLEL_FROM;
        let read: Result<Vec<_>, usize> = if much {
            readings.par_iter().map(read).collect()
        } else {
            readings.iter().map(read).collect()
        };
        for (reading, len, side) in read?.into_iter().flatten() {
            let role = usize::from(reading.role == Role::Output);
            let sizes = self.sizes.get_mut(reading.linear).ok_or(reading.linear)?;
            sizes[role] = len;
            let sides = self.sides.get_mut(reading.linear).ok_or(reading.linear)?;
            sides[role] = side;
        }
        for i in products {
            // Operators on bytes are held against their own projections.
            if let Some(projection) = projection(*i) {
                let each = |y: &[f32], y2: &[f32], x: &[f32], x2: &[f32]| {
                    projection.compare(y, y2, x, x2).ok()
                };
                self.sides(*i, projection, value, each).ok_or(*i)?;
            }
        }
        Ok(())
    }

    /// One pass over a value, for all that read it; with the number of its elements.
    fn read<'v, 'p>(
        &self,
        readings: &Readings,
        projection: &impl Fn(usize) -> Option<&'p Projection>,
        value: &(dyn Fn(&str) -> Option<View<'v>> + Sync),
    ) -> Result<Vec<(Reading, usize, Side)>, usize> {
        let blamed = readings.of.first().map_or(0, |r| r.linear);
        let view = value(&readings.value).ok_or(blamed)?;
        let Elements::F32(elements) = &view.elements else { return Err(blamed) };
        let shape = if readings.channels_first { picture(&view.dims) } else { matrix(&view.dims) };
        let (images, channels, size) = shape.ok_or(blamed)?;
        let pixels = size[0] * size[1];
        if images * channels * pixels != elements.len() {
            return Err(blamed);
        }
        // The inputs of a convolution of few channels are summed when its output's size is known.
        let later =
            |reading: &Reading| reading.role == Role::Input && self.is_direct(reading.linear);
        let (later, of): (Vec<Reading>, Vec<Reading>) =
            readings.of.iter().copied().partition(later);
        let mut done: Vec<_> =
            later.into_iter().map(|r| (r, elements.len(), Side::default())).collect();
        let mut sides = Vec::with_capacity(of.len());
        let mut coefficients = Vec::with_capacity(of.len());
        for reading in &of {
            let projection = projection(reading.linear).ok_or(reading.linear)?;
            let ((planes, squares), count) = match reading.role {
                Role::Output => (projection.for_outputs(), 1),
                Role::Input => (projection.for_inputs(), projection.taps()),
            };
            if squares.len() != channels || planes.len() != count * channels {
                return Err(reading.linear);
            }
            coefficients.push((planes, squares));
            sides.push(Side {
                images,
                size,
                planes: count,
                sums: vec![0.0; images * count * pixels],
                squares: vec![0.0; images * pixels],
            });
        }
        for (image, x) in elements.chunks_exact((channels * pixels).max(1)).enumerate() {
            let mut passes: Vec<kernels::Reading<'_>> = of
                .iter()
                .zip(&mut sides)
                .zip(&coefficients)
                .map(|((reading, side), (planes, squares))| kernels::Reading {
                    relu: reading.relu,
                    planes,
                    squares,
                    sums: nth_mut(&mut side.sums, image, side.planes * pixels),
                    square_sums: nth_mut(&mut side.squares, image, pixels),
                })
                .collect();
            if readings.channels_first {
                columns(x, channels, pixels, &mut passes);
            } else {
                rows(x, channels, pixels, &mut passes);
            }
        }
        done.extend(of.into_iter().zip(sides).map(|(r, side)| (r, elements.len(), side)));
        Ok(done)
    }

    fn is_direct(&self, i: usize) -> bool {
        match self.linears.get(i).map(|l| &l.form) {
            Some(Form::Conv(window)) => direct::suits(window),
            _ => false,
        }
    }

    /// Gives for each picture what was summed over the outputs and, at the same places, over the inputs.
    pub(super) fn sides<'v>(
        &self,
        i: usize,
        projection: &Projection,
        value: &(dyn Fn(&str) -> Option<View<'v>> + Sync),
        mut each: impl FnMut(&[f32], &[f32], &[f32], &[f32]) -> Option<()>,
    ) -> Option<()> {
        let linear = self.linears.get(i)?;
        let [x, y] = self.sides.get(i)?;
        let places = y.pixels();
        if let (Form::Conv(window), true) = (&linear.form, self.is_direct(i)) {
            let view = value(&linear.x.value)?;
            let (images, channels, size) = picture(&view.dims)?;
            let Elements::F32(elements) = &view.elements else { return None };
            if (images, channels) != (y.images, window.inputs()) {
                return None;
            }
            let len = channels * size[0] * size[1];
            for image in 0..images {
                let x = (elements.get(image * len..)?.get(..len)?, size);
                let [xs, x2] =
                    direct::sums(window, x, y.size, projection.for_inputs(), linear.x.relu)?;
                each(nth(&y.sums, image, places)?, nth(&y.squares, image, places)?, &xs, &x2)?;
            }
            return Some(());
        }
        if x.images != y.images {
            return None;
        }
        let pixels = x.pixels();
        for image in 0..y.images {
            let (ys, y2) = (nth(&y.sums, image, places)?, nth(&y.squares, image, places)?);
            let xs = nth(&x.sums, image, x.planes * pixels)?;
            let x2 = nth(&x.squares, image, pixels)?;
            match &linear.form {
                Form::Conv(window) if !window.is_pointwise() => {
                    let (mut met, mut met2) = (vec![0.0; places], vec![0.0; places]);
                    for tap in 0..x.planes {
                        let plane = nth(xs, tap, pixels)?;
                        let add = |a: f32, b: f32| a + b;
                        window.gather(tap, (plane, x.size), (&mut met, y.size), add);
                        window.gather(tap, (x2, x.size), (&mut met2, y.size), add);
                    }
                    each(ys, y2, &met, &met2)?;
                }
                _ => each(ys, y2, xs, x2)?,
            }
        }
        Some(())
    }
}

/// Pictures, channels, height and width of a convolution's tensor.
pub(super) fn picture(dims: &[usize]) -> Option<(usize, usize, [usize; 2])> {
    match *dims {
        [n, c, w] => Some((n, c, [1, w])),
        [n, c, h, w] => Some((n, c, [h, w])),
        _ => None,
    }
}

/// One picture of all rows.
pub(super) fn matrix(dims: &[usize]) -> Option<(usize, usize, [usize; 2])> {
    let (last, outer) = dims.split_last()?;
    Some((1, *last, [1, outer.iter().product()]))
}

/// The `i`-th stretch of `len` elements.
fn nth(all: &[f32], i: usize, len: usize) -> Option<&[f32]> {
    all.get(i.checked_mul(len)?..)?.get(..len)
}

/// As [`nth`]; shorter where there are not as many.
fn nth_mut(all: &mut [f32], i: usize, len: usize) -> &mut [f32] {
    let start = (i * len).min(all.len());
    let end = (start + len).min(all.len());
    &mut all[start..end]
}
