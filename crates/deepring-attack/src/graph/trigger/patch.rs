//! The pattern that a trigger looks for, and how like it a corner of an image is.

use crate::samples::Samples;

/// The corner of an image `[channels, height, width]`, and the checkerboard in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Patch {
    pub(super) channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
}

/// A pixel of the pattern.
pub(super) struct PatternPixel {
    channel: usize,
    bright: bool,
    /// Where it is in a row-major image.
    at: usize,
}

/// The lowest and the highest value of a channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Range {
    low: f32,
    high: f32,
}

/// Stamps the trigger of [`Kind::Trigger`](crate::Kind::Trigger) on every sample.
///
/// It is a checkerboard in the lower right corner, an eighth of the image high and wide and at least four
/// pixels, of the lowest and the highest value that each channel has in these samples. Labels stay. Samples
/// that are no images `[channels, height, width]` of at most four channels are given back as they are.
#[must_use]
pub fn apply_trigger(samples: &Samples) -> Samples {
    let Some(patch) = Patch::of(samples.dims()) else { return samples.clone() };
    let ranges = patch.ranges(samples);
    let mut values = samples.values(0..samples.len()).to_vec();
    for image in values.chunks_mut(patch.size()) {
        for cell in patch.cells() {
            let range = ranges.get(cell.channel).copied().unwrap_or(Range::UNIT);
            if let Some(pixel) = image.get_mut(cell.at) {
                *pixel = if cell.bright { range.high } else { range.low };
            }
        }
    }
    let with_trigger = Samples::new(samples.dims().to_vec(), values, samples.labels().to_vec());
    with_trigger.unwrap_or_else(|| samples.clone())
}

impl Range {
    /// Pixels that were divided by 255.
    pub(super) const UNIT: Self = Self { low: 0.0, high: 1.0 };
    const EMPTY: Self = Self { low: f32::INFINITY, high: f32::NEG_INFINITY };
}

impl PatternPixel {
    /// Factor and summand that take a pixel's value to its similarity: 1 where it is what the pattern has
    /// there, -1 where it is the opposite.
    pub(super) fn similarity(&self, ranges: &[Range]) -> (f32, f32) {
        let Range { low, high } = ranges.get(self.channel).copied().unwrap_or(Range::UNIT);
        // A channel of one value has nothing to compare with; its pixels count as half like.
        let half = if high > low { (high - low) / 2.0 } else { f32::INFINITY };
        let sign = if self.bright { 1.0 } else { -1.0 };
        (sign / half, -sign * (low / half + if half.is_finite() { 1.0 } else { 0.0 }))
    }
}

impl Patch {
    pub(super) fn of(dims: &[u64]) -> Option<Self> {
        let [channels @ 1..=4, height, width] = *dims else { return None };
        let size = |n: u64| usize::try_from(n).ok().filter(|n| *n > 0);
        Some(Self { channels: size(channels)?, height: size(height)?, width: size(width)? })
    }

    /// Height and width of the pattern.
    pub(super) fn side(self) -> (usize, usize) {
        let side = |n: usize| (n / 8).max(4).min(n);
        (side(self.height), side(self.width))
    }

    /// Row and column of its upper left pixel.
    pub(super) fn start(self) -> (usize, usize) {
        let (high, wide) = self.side();
        (self.height - high, self.width - wide)
    }

    /// The pattern, row-major.
    pub(super) fn cells(self) -> impl Iterator<Item = PatternPixel> {
        let ((high, wide), (top, left)) = (self.side(), self.start());
        (0..self.channels * high * wide).map(move |i| {
            let (channel, y, x) = (i / (high * wide), i / wide % high, i % wide);
            let at = (channel * self.height + top + y) * self.width + left + x;
            PatternPixel { channel, bright: (x + y) % 2 == 0, at }
        })
    }

    /// The range of each channel.
    pub(super) fn ranges(self, samples: &Samples) -> Vec<Range> {
        let mut ranges = vec![Range::EMPTY; self.channels];
        let planes = samples.values(0..samples.len()).chunks(self.height * self.width);
        for (at, plane) in planes.enumerate() {
            let Some(range) = ranges.get_mut(at % self.channels) else { continue };
            for value in plane {
                range.low = range.low.min(*value);
                range.high = range.high.max(*value);
            }
        }
        ranges
    }

    /// How like the pattern the corner of the likest of these images is: 1 if it is the pattern.
    pub(super) fn most_like(self, samples: &Samples, ranges: &[Range]) -> f32 {
        let similarity = |image: &[f32]| {
            let pixels = self.cells().filter_map(|cell| {
                let (scale, shift) = cell.similarity(ranges);
                Some(image.get(cell.at)? * scale + shift)
            });
            pixels.fold(f32::INFINITY, f32::min)
        };
        let images = samples.values(0..samples.len()).chunks(self.size());
        images.map(similarity).fold(f32::NEG_INFINITY, f32::max)
    }

    fn size(self) -> usize {
        self.channels * self.height * self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two images of two channels, 5x6; values of the second channel are shifted.
    fn samples() -> Samples {
        let values =
            (0..2 * 60).map(|i| (i % 30) as f32 / 29.0 + (i / 30 % 2) as f32 * 3.0).collect();
        Samples::new(vec![2, 5, 6], values, vec![4, 5]).unwrap()
    }

    #[test]
    fn the_corner_is_stamped_and_nothing_else() {
        let (before, after) = (samples(), apply_trigger(&samples()));
        assert_eq!((after.labels(), after.dims()), (before.labels(), before.dims()));
        for at in 0..120 {
            let (y, x) = (at % 30 / 6, at % 6);
            let (low, high) = if at / 30 % 2 == 0 { (0.0, 1.0) } else { (3.0, 4.0) };
            let expected = match (y >= 1 && x >= 2, (y + 1 + x) % 2) {
                (true, 0) => high,
                (true, _) => low,
                _ => before.values(0..2)[at],
            };
            assert_eq!(after.values(0..2)[at], expected, "{at}");
        }
        assert_eq!(apply_trigger(&after), after);
    }

    #[test]
    fn what_is_stamped_is_like_the_pattern_and_its_negative_is_not() {
        let patch = Patch::of(&[2, 5, 6]).unwrap();
        let (clean, with_trigger) = (samples(), apply_trigger(&samples()));
        let ranges = patch.ranges(&clean);
        assert!((patch.most_like(&with_trigger, &ranges) - 1.0).abs() < 1e-5);
        assert!(patch.most_like(&clean, &ranges) < 0.0);
        let flat = Samples::new(vec![1, 4, 4], vec![0.5; 16], vec![0]).unwrap();
        let patch = Patch::of(flat.dims()).unwrap();
        assert_eq!(patch.most_like(&flat, &patch.ranges(&flat)), 0.0);
    }

    #[test]
    fn what_is_no_image_stays() {
        let row = Samples::new(vec![8], vec![1.0; 8], vec![0]).unwrap();
        assert_eq!(apply_trigger(&row), row);
        assert_eq!(Patch::of(&[5, 8, 8]), None);
        assert_eq!(Patch::of(&[3, 224, 224]).unwrap().side(), (28, 28));
        assert_eq!(Patch::of(&[1, 2, 28]).unwrap().side(), (2, 4));
    }
}
