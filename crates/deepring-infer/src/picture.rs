//! Picture files as input tensors, by the recipe that Genesis seals.

use std::io::{BufRead, BufReader, Cursor, Seek};
use std::path::{Path, PathBuf};

use deepring::files::open_plain;
use deepring::receipt::ValueError;
use deepring::{DType, TensorValue};
use image::imageops::{FilterType, crop_imm, resize};
use image::{DynamicImage, ImageFormat, ImageReader, Limits};
use thiserror::Error;

use crate::preprocess::{Color, Preprocess, TensorLayout};

/// Why a picture did not become a tensor.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PictureError {
    /// The file could not be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's message.
        source: std::io::Error,
    },
    /// The file is no picture that is understood (PNG, JPEG, BMP), or too large.
    #[error("{}: {reason}", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// The decoder's message.
        reason: String,
    },
    /// The picture is smaller than the part that is to be cut out of it.
    #[error("{}: {found:?} pixels are fewer than the crop of {crop:?}", path.display())]
    TooSmall {
        /// The file.
        path: PathBuf,
        /// Height and width.
        found: (u32, u32),
        /// Height and width wanted.
        crop: (u32, u32),
    },
    /// The tensor exceeds a limit of the format.
    #[error(transparent)]
    Value(#[from] ValueError),
}

/// Largest width and height, and most bytes of a decoded picture: a small file can claim to be vast.
const MAX_SIDE: u32 = 8192;
const MAX_BYTES: u64 = 256 << 20;

/// Reads a picture as the input `name` with a batch of one.
///
/// # Errors
/// [`PictureError::Io`] where the file cannot be read, [`PictureError::Decode`] where it is no picture or too large,
/// [`PictureError::TooSmall`] where the crop does not fit it.
pub fn read_picture(
    path: &Path,
    name: &str,
    recipe: &Preprocess,
) -> Result<TensorValue, PictureError> {
    let io = |source| PictureError::Io { path: path.into(), source };
    if std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() == 0) {
        let reason = "the file is empty, and no picture".to_owned();
        return Err(PictureError::Decode { path: path.into(), reason });
    }
    read_from(BufReader::new(open_plain(path).map_err(io)?), name, recipe, path)
}

/// The same of a file's bytes; errors say `name` for its path.
///
/// # Errors
/// As [`read_picture`].
pub fn decode_picture(
    bytes: &[u8],
    name: &str,
    recipe: &Preprocess,
) -> Result<TensorValue, PictureError> {
    read_from(Cursor::new(bytes), name, recipe, Path::new(name))
}

fn read_from(
    reader: impl BufRead + Seek,
    name: &str,
    recipe: &Preprocess,
    path: &Path,
) -> Result<TensorValue, PictureError> {
    let io = |source| PictureError::Io { path: path.into(), source };
    let mut reader = ImageReader::new(reader);
    if let Ok(format) = ImageFormat::from_path(path) {
        reader.set_format(format);
    }
    let mut reader = reader.with_guessed_format().map_err(io)?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    let picture = reader
        .decode()
        .map_err(|e| PictureError::Decode { path: path.into(), reason: e.to_string() })?;
    tensor_of(&picture, name, recipe, path)
}

fn tensor_of(
    picture: &DynamicImage,
    name: &str,
    recipe: &Preprocess,
    path: &Path,
) -> Result<TensorValue, PictureError> {
    let mut rgb = picture.to_rgb8();
    if let Some((height, width)) = recipe.resize
        && rgb.dimensions() != (width, height)
    {
        rgb = resize(&rgb, width, height, FilterType::Triangle);
    }
    if let Some((height, width)) = recipe.crop {
        let found = (rgb.height(), rgb.width());
        if height > found.0 || width > found.1 {
            return Err(PictureError::TooSmall { path: path.into(), found, crop: (height, width) });
        }
        let (x, y) = ((found.1 - width) / 2, (found.0 - height) / 2);
        rgb = crop_imm(&rgb, x, y, width, height).to_image();
    }
    let (width, height) = rgb.dimensions();
    let channels = recipe.color.channels();
    let pixel = |x: u32, y: u32, c: usize| match recipe.color {
        Color::Gray => luma(rgb.get_pixel(x, y).0),
        Color::Bgr => rgb.get_pixel(x, y).0[2 - c],
        Color::Rgb => rgb.get_pixel(x, y).0[c],
    };
    let mut data = Vec::with_capacity(4 * channels * (width as usize) * (height as usize));
    let mut push = |x, y, c| data.extend(recipe.value(pixel(x, y, c), c).to_le_bytes());
    let dims = match recipe.layout {
        TensorLayout::Nchw => {
            for c in 0..channels {
                (0..height).for_each(|y| (0..width).for_each(|x| push(x, y, c)));
            }
            [1, channels as u64, u64::from(height), u64::from(width)]
        }
        TensorLayout::Nhwc => {
            (0..height)
                .for_each(|y| (0..width).for_each(|x| (0..channels).for_each(|c| push(x, y, c))));
            [1, u64::from(height), u64::from(width), channels as u64]
        }
    };
    Ok(TensorValue::new(name, DType::F32, dims.to_vec(), data)?)
}

/// The luma of ITU-R BT.601, which networks for grey pictures are trained with: Pillow's `convert("L")` to the bit; OpenCV
/// and torchvision differ by rounding at most. (`image` weighs by BT.709, up to 32 of 255 apart.)
fn luma([red, green, blue]: [u8; 3]) -> u8 {
    let [red, green, blue] = [red, green, blue].map(u32::from);
    // The weights add up to 65536, so the quotient fits, and a grey pixel stays as it is.
    ((19_595 * red + 38_470 * green + 7_471 * blue + 0x8000) >> 16) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageBuffer, Rgb, RgbImage, Rgba};

    fn two_pixels() -> DynamicImage {
        let mut image = RgbImage::new(2, 1);
        image.put_pixel(0, 0, Rgb([10, 20, 30]));
        image.put_pixel(1, 0, Rgb([40, 50, 60]));
        DynamicImage::ImageRgb8(image)
    }

    fn floats(recipe: &str) -> (Vec<u64>, Vec<f32>) {
        let recipe = recipe.parse().unwrap();
        let t = tensor_of(&two_pixels(), "x", &recipe, Path::new("x.png")).unwrap();
        let data = t.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        (t.dims().to_vec(), data)
    }

    #[test]
    fn layouts_and_channel_orders() {
        let (dims, data) = floats("layout=NCHW");
        assert_eq!(dims, [1, 3, 1, 2]);
        assert_eq!(data, [10.0, 40.0, 20.0, 50.0, 30.0, 60.0]);
        let (dims, data) = floats("layout=NHWC,color=bgr");
        assert_eq!(dims, [1, 1, 2, 3]);
        assert_eq!(data, [30.0, 20.0, 10.0, 60.0, 50.0, 40.0]);
    }

    fn grey_of(picture: &DynamicImage) -> Vec<f32> {
        let t = tensor_of(picture, "x", &"color=gray".parse().unwrap(), Path::new("x.png"));
        t.unwrap().data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
    }

    /// Pixels, and what Pillow's `convert("L")` makes of them.
    const LUMAS: [([u8; 3], u8); 8] = [
        ([255, 0, 0], 76),
        ([0, 255, 0], 150),
        ([0, 0, 255], 29),
        ([200, 30, 30], 81),
        ([128, 128, 128], 128),
        ([255, 255, 0], 226),
        ([255, 255, 255], 255),
        ([1, 2, 3], 2),
    ];

    #[test]
    fn grey_is_the_luma_that_pillow_computes() {
        let mut picture = RgbImage::new(LUMAS.len() as u32, 1);
        LUMAS.iter().zip(0..).for_each(|((rgb, _), x)| picture.put_pixel(x, 0, Rgb(*rgb)));
        let due: Vec<f32> = LUMAS.iter().map(|(_, luma)| f32::from(*luma)).collect();
        assert_eq!(grey_of(&DynamicImage::ImageRgb8(picture)), due);
        assert!((0..=255).all(|grey| luma([grey; 3]) == grey));
    }

    #[test]
    fn alpha_is_left_out_of_grey_and_16_bits_become_8_first() {
        let clear = ImageBuffer::from_fn(LUMAS.len() as u32, 1, |x, _| {
            let [r, g, b] = LUMAS[x as usize].0;
            Rgba([r, g, b, (x * 30) as u8])
        });
        let deep = ImageBuffer::from_fn(LUMAS.len() as u32, 1, |x, _| {
            Rgb(LUMAS[x as usize].0.map(|v| u16::from(v) * 257))
        });
        let due: Vec<f32> = LUMAS.iter().map(|(_, luma)| f32::from(*luma)).collect();
        assert_eq!(grey_of(&DynamicImage::ImageRgba8(clear)), due);
        assert_eq!(grey_of(&DynamicImage::ImageRgb16(deep)), due);
    }

    #[test]
    fn a_crop_larger_than_the_picture_is_refused() {
        let recipe = "crop=2".parse().unwrap();
        let err = tensor_of(&two_pixels(), "x", &recipe, Path::new("x.png")).unwrap_err();
        assert!(matches!(err, PictureError::TooSmall { found: (1, 2), crop: (2, 2), .. }));
    }
}
