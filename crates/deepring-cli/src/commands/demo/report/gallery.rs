//! Test images with the right answer, the attacked answers and the restored one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::markup::esc;
use crate::commands::demo::answers::Answers;
use crate::commands::demo::data::SIDE;
use crate::commands::demo::show::Show;

pub(super) fn gallery(show: &Show) -> String {
    let sample = &show.sample;
    // The first image of each class, whatever any network makes of it.
    let first =
        (0..sample.labels.len()).filter_map(|class| sample.truth.iter().position(|t| *t == class));
    let tiles: String = first.map(|image| tile(show, image)).collect();
    format!(
        "<section>\n<h2>What a caller sees</h2>\n<p>The first test image of each class, and the answers of the plain network, \
         intact and after each attack. The last line is the ring's answer after all attacks and repairs.</p>\n\
         <div class=\"gallery\">\n{tiles}</div>\n</section>\n"
    )
}

fn tile(show: &Show, image: usize) -> String {
    let sample = &show.sample;
    let truth = sample.truth.get(image).copied().unwrap_or(0);
    let line = |what: &str, answers: Option<&Answers>| {
        let class = answers.and_then(|a| a.classes().get(image).copied().flatten());
        let (mark, style) = if class == Some(truth) { ("✓", "good") } else { ("✗", "bad") };
        let label = class.map_or("no answer", |class| sample.label(class));
        format!("<tr><td>{}</td><td class=\"{style}\">{} {mark}</td></tr>\n", esc(what), esc(label))
    };
    let mut rows = line("plain", Some(&show.comparison.plain));
    for p in &show.played {
        rows += &line(p.attack.short, p.plain.answers());
    }
    rows += &line("ring", Some(&show.certificate.answers));
    let name = sample.label(truth);
    format!(
        "<div class=\"pic\"><div class=\"pic-head\"><img alt=\"{}\" width=\"56\" height=\"56\" src=\"data:image/bmp;base64,{}\"><b>{}</b></div>\n\
         <table class=\"small\"><tbody>\n{rows}</tbody></table></div>\n",
        esc(name),
        STANDARD.encode(bitmap(sample.pixels.get(image).copied().unwrap_or_default())),
        esc(name),
    )
}

/// A grey picture as a Windows bitmap: header, a palette of 256 greys, the rows from the bottom up. A row of
/// 28 bytes needs no padding to a multiple of four.
fn bitmap(pixels: &[u8]) -> Vec<u8> {
    const HEAD: u32 = 14 + 40 + 4 * 256;
    let side = u32::try_from(SIDE).unwrap_or(0);
    let mut out = b"BM".to_vec();
    let numbers = |out: &mut Vec<u8>, list: &[u32]| {
        list.iter().for_each(|n| out.extend_from_slice(&n.to_le_bytes()));
    };
    // File: length, reserved, where the pixels are. Picture: header length, width, height, one plane of
    // 8 bits, no compression, its length, no resolution, 256 colours.
    numbers(
        &mut out,
        &[HEAD + side * side, 0, HEAD, 40, side, side, 1 | 8 << 16, 0, side * side, 0, 0, 256, 0],
    );
    out.extend((0..=255u8).flat_map(|grey| [grey, grey, grey, 0]));
    pixels.chunks(SIDE).rev().for_each(|row| out.extend_from_slice(row));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bitmap_says_its_own_length() {
        let pixels: Vec<u8> = (0..SIDE * SIDE).map(|i| (i % 256) as u8).collect();
        let bmp = bitmap(&pixels);
        assert_eq!(bmp[2..6], u32::try_from(bmp.len()).unwrap().to_le_bytes());
        assert_eq!(bmp.len(), 14 + 40 + 1024 + SIDE * SIDE);
        // The last row in the file is the first of the picture.
        assert_eq!(bmp[bmp.len() - SIDE..], pixels[..SIDE]);
    }
}
