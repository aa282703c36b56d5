use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::dispatch::Isa;
use super::*;

/// Repeatable values in (-2, 2), about a tenth of them zero.
struct Values(u64);

impl Values {
    fn bits(&mut self) -> u64 {
        // An LCG; its upper bits are good enough for test data.
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.0 >> 33
    }

    fn take(&mut self, n: usize) -> Vec<f32> {
        let mut value = || match self.bits() {
            bits if bits % 10 == 0 => 0.0,
            bits => (bits as f64 / f64::from(1 << 29) - 2.0) as f32,
        };
        (0..n).map(|_| value()).collect()
    }
}

/// A reduction that owns its vectors.
#[derive(Clone)]
struct Own {
    relu: bool,
    planes: Vec<f32>,
    squares: Vec<f32>,
    sums: Vec<f32>,
    square_sums: Vec<f32>,
}

impl Own {
    /// The sums do not begin at zero: they are to be added to.
    fn new(values: &mut Values, relu: bool, t: usize, channels: usize, pixels: usize) -> Self {
        Self {
            relu,
            planes: values.take(t * channels),
            squares: values.take(channels),
            sums: values.take(t * pixels),
            square_sums: values.take(pixels),
        }
    }

    fn reduction(&mut self) -> Reduction<'_> {
        Reduction {
            relu: self.relu,
            planes: &self.planes,
            squares: &self.squares,
            sums: &mut self.sums,
            square_sums: &mut self.square_sums,
        }
    }

    /// All sums, squares last.
    fn all(&self) -> impl Iterator<Item = f32> {
        self.sums.iter().chain(&self.square_sums).copied()
    }
}

#[derive(Clone, Copy, Debug)]
enum Order {
    Columns,
    Rows,
}

const ORDERS: [Order; 2] = [Order::Columns, Order::Rows];

impl Order {
    fn at(self, c: usize, p: usize, channels: usize, pixels: usize) -> usize {
        match self {
            Self::Columns => c * pixels + p,
            Self::Rows => p * channels + c,
        }
    }

    fn run(
        self,
        (isa, threads): (Isa, usize),
        x: &[f32],
        (channels, pixels): (usize, usize),
        own: &[Own],
    ) -> Vec<Own> {
        let mut own = own.to_vec();
        let reductions = &mut own.iter_mut().map(Own::reduction).collect::<Vec<_>>();
        match self {
            Self::Columns => columns_with(isa, threads, x, channels, pixels, reductions),
            Self::Rows => rows_with(isa, threads, x, channels, pixels, reductions),
        }
        own
    }

    /// Each sum in f64, and how far from it a sum in f32 may be. A term takes part in at most two
    /// products, one addition per channel, one to the sum of another thread and one to what was there:
    /// channels + 4 roundings of at most 2^-24 each, in any order, fused or not.
    fn reference(self, x: &[f32], channels: usize, pixels: usize, own: &Own) -> Vec<(f64, f64)> {
        let planes = own.planes.chunks(channels).map(|plane| (plane, 1));
        let mut was = own.all();
        let mut out = Vec::new();
        for (plane, power) in planes.chain([(&*own.squares, 2)]) {
            for p in 0..pixels {
                let was = f64::from(was.next().unwrap());
                let (mut sum, mut size) = (was, was.abs());
                for (c, a) in plane.iter().enumerate() {
                    let x = f64::from(x[self.at(c, p, channels, pixels)]);
                    let x = if own.relu && x < 0.0 { 0.0 } else { x };
                    let term = f64::from(*a) * x.powi(power);
                    sum += term;
                    size += term.abs();
                }
                out.push((sum, (channels + 4) as f64 * size * 1.001 * 2f64.powi(-24)));
            }
        }
        out
    }

    /// All instances on all ways of sharing out, against the reference and against the twin.
    fn verify(self, x: &[f32], channels: usize, pixels: usize, own: &[Own]) {
        let shape = (channels, pixels);
        let twin = Isa::all().next().unwrap();
        let twin = self.run((twin, 1), x, shape, own);
        for (isa, threads) in Isa::all().flat_map(|isa| [(isa, 1), (isa, 3)]) {
            let got = self.run((isa, threads), x, shape, own);
            for ((before, got), twin) in own.iter().zip(&got).zip(&twin) {
                let reference = self.reference(x, channels, pixels, before);
                for ((got, twin), (want, bound)) in got.all().zip(twin.all()).zip(reference) {
                    let context = format!("{self:?} {isa:?} {threads} {channels}x{pixels}");
                    let off = (f64::from(got) - want).abs();
                    assert!(off <= bound, "{context}: {got} for {want}, off by {off} > {bound}");
                    let off = (f64::from(got) - f64::from(twin)).abs();
                    assert!(off <= 2.0 * bound, "{context}: {got}, the twin {twin}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96,
        rng_seed: RngSeed::Fixed(20_261_124),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn instances_agree_with_the_reference_and_the_twin(
        seed: u64,
        channels in 1_usize..70,
        pixels in 1_usize..200,
        reductions in prop::collection::vec((any::<bool>(), 1_usize..10), 1..3),
    ) {
        let values = &mut Values(seed);
        let x = values.take(channels * pixels);
        let own: Vec<_> =
            reductions.iter().map(|&(relu, t)| Own::new(values, relu, t, channels, pixels)).collect();
        for order in ORDERS {
            order.verify(&x, channels, pixels, &own);
        }
    }

    #[test]
    fn coefficients_agree_with_the_reference(
        seed: u64,
        channels in 1_usize..70,
        pixels in 1_usize..200,
    ) {
        let values = &mut Values(seed);
        hold_projection(values, channels, pixels);
    }

    #[test]
    fn integers_wrap_exactly(
        seed: u64,
        channels in 1_usize..20,
        pixels in 1_usize..600,
        t in 1_usize..4,
    ) {
        let values = &mut Values(seed);
        let mut take = |n| (0..n).map(|_| (values.bits() << 33 | values.bits()) as i64).collect();
        let (planes, before): (Vec<i64>, Vec<i64>) = (take(t * channels), take(t * pixels));
        let x: Vec<i64> = take(channels * pixels);
        let small: Vec<i8> = x.iter().map(|x| *x as i8).collect();
        hold_integers(&x, (channels, pixels), &planes, &before);
        hold_integers(&small, (channels, pixels), &planes, &before);
    }
}

/// Wide enough for several runs of pixels, the last of them short, and tall enough for several shares.
#[test]
fn large_tensors_are_shared_out_without_a_gap() {
    let values = &mut Values(5);
    for (channels, pixels, t) in [(5, 3137, 9), (333, 49, 25), (3, 4001, 1), (40_001, 1, 2)] {
        let x = values.take(channels * pixels);
        let own = [false, true].map(|relu| Own::new(values, relu, t, channels, pixels));
        for order in ORDERS {
            order.verify(&x, channels, pixels, &own);
        }
    }
    hold_projection(values, 7, 3333);
    hold_projection(values, 3333, 7);
}

#[test]
fn what_is_not_finite_reaches_its_pixel_and_no_other() {
    let values = &mut Values(6);
    for (channels, pixels) in [(1, 1), (3, 2), (5, 15), (9, 17), (17, 33), (8, 49), (70, 3)] {
        let x: Vec<f32> = values.take(channels * pixels).iter().map(|x| x + 2.5).collect();
        let reductions = [(false, 1), (true, 1), (false, 4), (true, 3)];
        let mut own = reductions.map(|(relu, t)| Own::new(values, relu, t, channels, pixels));
        // Coefficients of zero too: zero times infinity is NaN.
        own[0].planes[0] = 0.0;
        own[1].squares[0] = 0.0;
        // Pairs that are read together, and one that is not.
        for own in [&own[..2], &own[1..3], &own[2..]] {
            for order in ORDERS {
                hold_odd(order, &x, (channels, pixels), own);
            }
        }
    }
}

/// Puts each odd value at each position.
fn hold_odd(order: Order, x: &[f32], (channels, pixels): (usize, usize), own: &[Own]) {
    for (c, p) in (0..channels).flat_map(|c| (0..pixels).map(move |p| (c, p))) {
        for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut x = x.to_vec();
            x[order.at(c, p, channels, pixels)] = odd;
            for how in Isa::all().flat_map(|isa| [(isa, 1), (isa, 2)]) {
                for got in order.run(how, &x, (channels, pixels), own) {
                    let rectified = got.relu && odd == f32::NEG_INFINITY;
                    for (i, sum) in got.all().enumerate() {
                        assert_eq!(
                            sum.is_finite(),
                            i % pixels != p || rectified,
                            "{order:?} {how:?} {channels}x{pixels}: {odd} at {c},{p}: sum {i}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn a_pixels_sum_does_not_depend_on_where_it_stands() {
    let values = &mut Values(7);
    let (channels, pixels, few, t) = (37, 1200, 17, 5);
    let x = values.take(channels * pixels);
    for first in [0, 31, 700, pixels - few] {
        let own = [false, true].map(|relu| Own::new(values, relu, t, channels, pixels));
        let cut = |all: &[f32]| -> Vec<f32> {
            all.chunks(pixels).flat_map(|row| &row[first..first + few]).copied().collect()
        };
        let cut_own = own.clone().map(|own| Own {
            sums: cut(&own.sums),
            square_sums: cut(&own.square_sums),
            ..own
        });
        for isa in Isa::all() {
            let all = Order::Columns.run((isa, 1), &x, (channels, pixels), &own);
            let part = Order::Columns.run((isa, 1), &cut(&x), (channels, few), &cut_own);
            for (all, part) in all.iter().zip(part) {
                assert_eq!(cut(&all.sums), part.sums);
                assert_eq!(cut(&all.square_sums), part.square_sums);
            }
        }
    }
}

#[test]
fn the_public_functions_read_what_they_say() {
    let x = [1.0, -2.0, 3.0, 4.0, 5.0, -6.0];
    for (order, sums, square_sums) in [
        (Order::Columns, vec![401.0, 500.0, 3.0], vec![49.0, 75.0, 9.0]),
        (Order::Rows, vec![1.0, 403.0, 5.0], vec![1.0, 57.0, 25.0]),
    ] {
        let mut own = Own {
            relu: true,
            planes: vec![1.0, 100.0],
            squares: vec![1.0, 3.0],
            sums: vec![0.0; 3],
            square_sums: vec![0.0; 3],
        };
        match order {
            Order::Columns => columns(&x, 2, 3, &mut [own.reduction()]),
            Order::Rows => rows(&x, 2, 3, &mut [own.reduction()]),
        }
        assert_eq!((own.sums, own.square_sums), (sums, square_sums));
    }
    let (mut out, mut out2) = ([0.0; 3], [0.0; 3]);
    project_columns(&x, 2, 3, &[1.0, 2.0], &mut out, &mut out2);
    assert_eq!((out, out2), ([9.0, 8.0, -9.0], [65.0, 104.0, 153.0]));
    (out, out2) = ([0.0; 3], [0.0; 3]);
    project_rows(&x, 3, 2, &[1.0, 2.0], &mut out, &mut out2);
    assert_eq!((out, out2), ([-3.0, 11.0, -7.0], [17.0, 73.0, 169.0]));
}

#[test]
fn lengths_that_disagree_are_noticed() {
    let good = Own::new(&mut Values(8), false, 2, 3, 5);
    let fits = |change: fn(&mut Own)| {
        let mut own = good.clone();
        change(&mut own);
        own.reduction().fits(3, 5)
    };
    assert!(fits(|_| ()));
    assert!(!fits(|own| own.planes.truncate(5)));
    assert!(!fits(|own| own.planes.clear()));
    assert!(!fits(|own| own.squares.truncate(2)));
    assert!(!fits(|own| own.sums.truncate(5)));
    assert!(!fits(|own| own.square_sums.push(0.0)));
}

#[test]
fn empty_tensors_add_nothing() {
    for (channels, pixels) in [(0, 3), (3, 0), (0, 0)] {
        let mut own = Own::new(&mut Values(9), false, 1, channels, pixels);
        let before = own.sums.clone();
        columns(&[], channels, pixels, &mut [own.reduction()]);
        rows(&[], channels, pixels, &mut [own.reduction()]);
        assert_eq!(own.sums, before);
        rows_int::<i32>(&[], channels, pixels, &vec![1; channels], &mut vec![1; pixels]);
        let (mut out, mut out2) = (vec![1.0; pixels], vec![1.0; pixels]);
        project_columns(&[], channels, pixels, &vec![1.0; channels], &mut out, &mut out2);
        project_rows(&[], pixels, channels, &vec![1.0; channels], &mut out, &mut out2);
        assert_eq!(out, vec![1.0; pixels]);
    }
}

/// A product of two f32 is exact in f64, so of a term's roundings only the sum's remain, and the square's.
fn hold_projection(values: &mut Values, channels: usize, pixels: usize) {
    let (w, r) = (values.take(channels * pixels), values.take(channels));
    for (order, isa, threads) in ORDERS
        .into_iter()
        .flat_map(|order| Isa::all().flat_map(move |isa| [(order, isa, 1), (order, isa, 3)]))
    {
        let (mut out, mut out2) = (vec![1.0; pixels], vec![2.0; pixels]);
        let columns = matches!(order, Order::Columns);
        project_with(isa, threads, columns, (&w, channels, pixels), &r, &mut out, &mut out2);
        for p in 0..pixels {
            let terms = || {
                (0..channels)
                    .map(|c| f64::from(r[c]) * f64::from(w[order.at(c, p, channels, pixels)]))
            };
            let slack = 2.0 * (channels + 4) as f64 * 2f64.powi(-53);
            let (want, size) = terms().fold((1.0, 1.0), |(s, n), t| (s + t, n + f64::abs(t)));
            assert!((out[p] - want).abs() <= slack * size, "{order:?} {isa:?} {channels}x{pixels}");
            let want = terms().fold(2.0, |s, t| s + t * t);
            assert!(
                (out2[p] - want).abs() <= slack * want,
                "{order:?} {isa:?} {channels}x{pixels}"
            );
        }
    }
}

/// Against sums in 128 bits.
fn hold_integers<T: Copy + Into<i64>>(
    x: &[T],
    (channels, pixels): (usize, usize),
    planes: &[i64],
    before: &[i64],
) {
    let mut sums = before.to_vec();
    rows_int(x, channels, pixels, planes, &mut sums);
    for (i, (sum, before)) in sums.iter().zip(before).enumerate() {
        let (plane, p) = (&planes[i / pixels * channels..], i % pixels);
        let wide = (0..channels).fold(i128::from(*before), |wide, c| {
            let x: i64 = x[Order::Rows.at(c, p, channels, pixels)].into();
            // At most 21 terms of less than 2^126 could overflow; modulo 2^128 is as good.
            wide.wrapping_add(i128::from(plane[c]) * i128::from(x))
        });
        assert_eq!(*sum, wide as i64, "{channels}x{pixels} at {i}");
    }
}

#[test]
fn weighted_lines_add_up_whatever_their_length() {
    for len in [0, 1, 15, 16, 17, 63, 64, 65, 112, 200] {
        let line =
            |l: usize| -> Vec<f32> { (0..len + l).map(|i| ((i * 7 + l) % 13) as f32).collect() };
        let owned: Vec<Vec<f32>> = (0..5).map(line).collect();
        let lines: Vec<&[f32]> = owned.iter().map(Vec::as_slice).collect();
        let a = [1.0, -2.0, 0.5, 4.0, -0.25];
        for isa in Isa::all() {
            let mut out = vec![3.0; len];
            dispatch::weighted(isa, &lines, &a, &mut out);
            for (i, found) in out.iter().enumerate() {
                // Small multiples of a quarter: exact in any order.
                let wanted = 3.0 + lines.iter().zip(a).map(|(l, a)| a * l[i]).sum::<f32>();
                assert_eq!(*found, wanted, "{isa:?}, {len}, {i}");
            }
        }
    }
}

/// Nearly equal terms round one way, each at a sum as large as all before it.
#[test]
fn the_error_of_many_equal_terms_does_not_grow_with_their_number() {
    // Short of 1 + 2^-k by an ulp or so at each step, in f32.
    let (channels, pixels, term) = (40_000, 16, 1.100_000_1_f32);
    let x = vec![1.0; channels * pixels];
    let exact = f64::from(term) * channels as f64;
    let within = |sums: &[f32], what: &str| {
        for sum in sums {
            let error = (f64::from(*sum) - exact).abs() / exact * 2f64.powi(24);
            assert!(error < (BLOCK + channels / BLOCK) as f64, "{what}: {error} units");
        }
    };
    for isa in Isa::all() {
        for order in ORDERS {
            let own = Own {
                relu: false,
                planes: vec![term; channels],
                squares: vec![term; channels],
                sums: vec![0.0; pixels],
                square_sums: vec![0.0; pixels],
            };
            let own = order.run((isa, 1), &x, (channels, pixels), &[own]);
            within(&own[0].all().collect::<Vec<_>>(), &format!("{order:?}"));
        }
        let lines = vec![&x[..pixels]; channels];
        let mut out = vec![0.0; pixels];
        dispatch::weighted(isa, &lines, &vec![term; channels], &mut out);
        within(&out, "weighted");
    }
}
