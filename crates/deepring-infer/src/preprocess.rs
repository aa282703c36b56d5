//! How a picture becomes an input tensor: the `--preprocess` recipe, sealed in Genesis.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Largest side to which a picture may be resized.
const MAX_SIDE: u32 = 16_384;

/// A recipe: resize, scale, normalise, lay out. Its text form is canonical.
///
/// `resize=224` (or `HxW`), `crop=224` (or `HxW`; the centre), `color=rgb|bgr|gray`,
/// `scale=1/255` (a number or a quotient), `mean=a:b:c`, `std=a:b:c`, `layout=NCHW|NHWC`. Each value is
/// `(pixel · scale − mean) / std`.
#[derive(Debug, Clone, PartialEq)]
pub struct Preprocess {
    /// Height and width that the picture is resized to (bilinear).
    pub resize: Option<(u32, u32)>,
    /// Height and width of the centre that is kept.
    pub crop: Option<(u32, u32)>,
    /// Channels and their order.
    pub color: Color,
    /// Numerator and denominator of the factor that pixels (0 to 255) are multiplied with.
    pub scale: (f64, f64),
    /// Subtracted after scaling; one value a channel, or one for all; empty for none.
    pub mean: Vec<f64>,
    /// Divided by after subtracting; one value a channel, or one for all; empty for none.
    pub std: Vec<f64>,
    /// Order of dimensions.
    pub layout: TensorLayout,
}

/// Channels and their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
    /// One channel: the luma of BT.601, as Pillow's `convert("L")` computes it.
    Gray,
}

/// Order of a picture tensor's dimensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TensorLayout {
    /// Batch, channels, height, width.
    Nchw,
    /// Batch, height, width, channels.
    Nhwc,
}

/// Why a text is no recipe.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PreprocessError {
    /// Not of the form `key=value`.
    #[error("`{item}` is not of the form key=value")]
    NotAPair {
        /// The item.
        item: String,
    },
    /// No such key.
    #[error("no such step: `{key}`; there are resize, crop, color, scale, mean, std, layout")]
    UnknownKey {
        /// The key.
        key: String,
    },
    /// A key stands twice.
    #[error("`{key}` stands twice")]
    Twice {
        /// The key.
        key: String,
    },
    /// The value does not fit the key.
    #[error("`{value}` is no value for `{key}`: {expected}")]
    BadValue {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// The values that would fit.
        expected: &'static str,
    },
}

impl Color {
    /// Number of channels.
    #[must_use]
    pub fn channels(self) -> usize {
        match self {
            Self::Rgb | Self::Bgr => 3,
            Self::Gray => 1,
        }
    }
}

impl Default for Preprocess {
    fn default() -> Self {
        Self {
            resize: None,
            crop: None,
            color: Color::Rgb,
            scale: (1.0, 1.0),
            mean: Vec::new(),
            std: Vec::new(),
            layout: TensorLayout::Nchw,
        }
    }
}

impl FromStr for Preprocess {
    type Err = PreprocessError;

    fn from_str(text: &str) -> Result<Self, PreprocessError> {
        let mut out = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        for item in text.split(',').map(str::trim).filter(|i| !i.is_empty()) {
            let Some((key, value)) = item.split_once('=') else {
                return Err(PreprocessError::NotAPair { item: item.to_owned() });
            };
            if seen.contains(&key) {
                return Err(PreprocessError::Twice { key: key.to_owned() });
            }
            seen.push(key);
            out.set(key, value)?;
        }
        out.check()
    }
}

impl Preprocess {
    fn set(&mut self, key: &str, value: &str) -> Result<(), PreprocessError> {
        let bad = |expected| PreprocessError::BadValue {
            key: key.to_owned(),
            value: value.to_owned(),
            expected,
        };
        match key {
            "resize" => {
                self.resize = Some(size(value).ok_or_else(|| bad("a side, or HEIGHTxWIDTH"))?)
            }
            "crop" => self.crop = Some(size(value).ok_or_else(|| bad("a side, or HEIGHTxWIDTH"))?),
            "color" => {
                self.color = match value {
                    "rgb" => Color::Rgb,
                    "bgr" => Color::Bgr,
                    "gray" => Color::Gray,
                    _ => return Err(bad("rgb, bgr or gray")),
                }
            }
            "scale" => self.scale = quotient(value).ok_or_else(|| bad("a number, or a/b"))?,
            "mean" => self.mean = numbers(value).ok_or_else(|| bad("numbers with `:` between"))?,
            "std" => {
                let std = numbers(value).ok_or_else(|| bad("numbers with `:` between"))?;
                if std.contains(&0.0) {
                    return Err(bad("a divisor cannot be zero"));
                }
                self.std = std;
            }
            "layout" => {
                self.layout = match value {
                    "NCHW" => TensorLayout::Nchw,
                    "NHWC" => TensorLayout::Nhwc,
                    _ => return Err(bad("NCHW or NHWC")),
                }
            }
            _ => return Err(PreprocessError::UnknownKey { key: key.to_owned() }),
        }
        Ok(())
    }

    fn check(self) -> Result<Self, PreprocessError> {
        for (key, values) in [("mean", &self.mean), ("std", &self.std)] {
            if ![0, 1, self.color.channels()].contains(&values.len()) {
                return Err(PreprocessError::BadValue {
                    key: key.to_owned(),
                    value: join(values),
                    expected: "one number, or one for each channel",
                });
            }
        }
        if let (Some(resize), Some(crop)) = (self.resize, self.crop)
            && (crop.0 > resize.0 || crop.1 > resize.1)
        {
            return Err(PreprocessError::BadValue {
                key: "crop".to_owned(),
                value: format!("{}x{}", crop.0, crop.1),
                expected: "no more than resize leaves",
            });
        }
        Ok(self)
    }

    /// The value of `pixel` (0 to 255) in `channel`.
    pub fn value(&self, pixel: u8, channel: usize) -> f32 {
        let of = |values: &[f64], none: f64| {
            values.get(channel).or(values.first()).copied().unwrap_or(none)
        };
        let scaled = f64::from(pixel) * self.scale.0 / self.scale.1;
        ((scaled - of(&self.mean, 0.0)) / of(&self.std, 1.0)) as f32
    }
}

impl fmt::Display for Preprocess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut items = Vec::new();
        let mut size = |key: &str, size: Option<(u32, u32)>| {
            items.extend(size.map(|(h, w)| {
                if h == w { format!("{key}={h}") } else { format!("{key}={h}x{w}") }
            }));
        };
        size("resize", self.resize);
        size("crop", self.crop);
        items.push(format!(
            "color={}",
            match self.color {
                Color::Rgb => "rgb",
                Color::Bgr => "bgr",
                Color::Gray => "gray",
            }
        ));
        items.push(match self.scale {
            (a, 1.0) => format!("scale={a}"),
            (a, b) => format!("scale={a}/{b}"),
        });
        for (key, values) in [("mean", &self.mean), ("std", &self.std)] {
            if !values.is_empty() {
                items.push(format!("{key}={}", join(values)));
            }
        }
        items.push(format!(
            "layout={}",
            if self.layout == TensorLayout::Nchw { "NCHW" } else { "NHWC" }
        ));
        f.write_str(&items.join(","))
    }
}

fn join(values: &[f64]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(":")
}

fn size(text: &str) -> Option<(u32, u32)> {
    let side = |t: &str| t.parse().ok().filter(|n| (1..=MAX_SIDE).contains(n));
    match text.split_once('x') {
        Some((h, w)) => Some((side(h)?, side(w)?)),
        None => side(text).map(|s| (s, s)),
    }
}

fn quotient(text: &str) -> Option<(f64, f64)> {
    let number = |t: &str| t.parse().ok().filter(|n: &f64| n.is_finite());
    match text.split_once('/') {
        Some((a, b)) => Some((number(a)?, number(b).filter(|b| *b != 0.0)?)),
        None => Some((number(text)?, 1.0)),
    }
}

fn numbers(text: &str) -> Option<Vec<f64>> {
    text.split(':').map(|t| t.parse().ok().filter(|n: &f64| n.is_finite())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_survives_its_text_form() {
        for text in [
            "resize=224,color=rgb,scale=1/255,mean=0.485:0.456:0.406,std=0.229:0.224:0.225,layout=NCHW",
            "resize=32x48,crop=28,color=gray,scale=1,layout=NHWC",
            "",
        ] {
            let recipe: Preprocess = text.parse().unwrap();
            assert_eq!(recipe.to_string().parse::<Preprocess>().unwrap(), recipe);
        }
    }

    #[test]
    fn values_follow_the_formula() {
        let recipe: Preprocess = "scale=1/255,mean=0.5,std=0.25".parse().unwrap();
        assert_eq!(recipe.value(255, 2), 2.0);
        assert_eq!(recipe.value(0, 0), -2.0);
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        let err = |text: &str| text.parse::<Preprocess>().unwrap_err().to_string();
        assert!(err("resise=3").contains("no such step: `resise`"));
        assert!(err("std=0").contains("cannot be zero"));
        assert!(err("scale=1/0").contains("a/b"));
        assert!(err("mean=1:2").contains("one for each channel"));
        assert!(err("resize=2,resize=3").contains("twice"));
        assert!(err("resize=99999999").contains("a side"));
        assert!(err("crop=9,resize=8").contains("no more than"));
    }
}
