//! Picture files as input tensors, by the recipe that Genesis seals.

use std::io::BufReader;
use std::path::{Path, PathBuf};

use deepring::{DType, TensorValue, ValueError, open_plain};
use image::imageops::{FilterType, crop_imm, resize};
use image::{DynamicImage, ImageFormat, ImageReader, Limits};
use thiserror::Error;

use crate::preprocess::{Color, Layout, Preprocess};

/// Why a picture did not become a tensor.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PictureError {
    /// The file could not be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no picture that is understood (PNG, JPEG, BMP), or too large.
    #[error("{}: {reason}", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
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
pub fn read_picture(
    path: &Path,
    name: &str,
    recipe: &Preprocess,
) -> Result<TensorValue, PictureError> {
    let io = |source| PictureError::Io { path: path.into(), source };
    let mut reader = ImageReader::new(BufReader::new(open_plain(path).map_err(io)?));
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
    let gray =
        (recipe.color == Color::Gray).then(|| DynamicImage::ImageRgb8(rgb.clone()).to_luma8());
    let channels = recipe.color.channels();
    let pixel = |x: u32, y: u32, c: usize| match (&gray, recipe.color) {
        (Some(gray), _) => gray.get_pixel(x, y).0[0],
        (None, Color::Bgr) => rgb.get_pixel(x, y).0[2 - c],
        (None, _) => rgb.get_pixel(x, y).0[c],
    };
    let mut data = Vec::with_capacity(4 * channels * (width as usize) * (height as usize));
    let mut push = |x, y, c| data.extend(recipe.value(pixel(x, y, c), c).to_le_bytes());
    let dims = match recipe.layout {
        Layout::Nchw => {
            for c in 0..channels {
                (0..height).for_each(|y| (0..width).for_each(|x| push(x, y, c)));
            }
            [1, channels as u64, u64::from(height), u64::from(width)]
        }
        Layout::Nhwc => {
            (0..height)
                .for_each(|y| (0..width).for_each(|x| (0..channels).for_each(|c| push(x, y, c))));
            [1, u64::from(height), u64::from(width), channels as u64]
        }
    };
    Ok(TensorValue::new(name, DType::F32, dims.to_vec(), data)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgb, RgbImage};

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

    #[test]
    fn a_crop_larger_than_the_picture_is_refused() {
        let recipe = "crop=2".parse().unwrap();
        let err = tensor_of(&two_pixels(), "x", &recipe, Path::new("x.png")).unwrap_err();
        assert!(matches!(err, PictureError::TooSmall { found: (1, 2), crop: (2, 2), .. }));
    }
}
