//! Memory over time, both sides in one picture.

use std::{error::Error, path::Path, time::Duration};

use plotters::prelude::*;

use super::{
    CAP,
    side::{Seen, Side},
};

const SIZE: (u32, u32) = (840, 360);
const OUR_COLOUR: RGBColor = RGBColor(0, 114, 178);
const PEER_COLOUR: RGBColor = RGBColor(213, 94, 0);
const CAP_COLOUR: RGBColor = RGBColor(150, 150, 150);
const MIB: f64 = 1_048_576.0;
/// The picture, in pixels: left, right, top, bottom.
const FRAME: (i32, i32, i32, i32) = (70, 820, 50, 320);

/// Draws it.
pub(super) fn draw(sides: &[Seen], length: Duration, path: &Path) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let seen_last = sides.iter().filter_map(|seen| seen.memory.last()).map(|(at, _)| *at);
    let seconds = seen_last.fold(length.as_secs_f64(), f64::max);
    let top = CAP as f64 * 1.15;
    let (left, right, above, below) = FRAME;
    let x = |at: f64| left + (f64::from(right - left) * at / seconds) as i32;
    let y = |bytes: f64| below - (f64::from(below - above) * bytes / top) as i32;
    let small = ("sans-serif", 13);
    root.draw(&Text::new(
        "resident memory of leaking workers, all processes of a side together",
        (10, 8),
        ("sans-serif", 17),
    ))?;
    for mib in [0_i32, 256, 512, 768, 1024] {
        let height = y(f64::from(mib) * MIB);
        root.draw(&PathElement::new([(left, height), (right, height)], RGBColor(225, 225, 225)))?;
        root.draw(&Text::new(format!("{mib} MiB"), (8, height - 7), small))?;
    }
    for part in 0..=4_i32 {
        let at = seconds * f64::from(part) / 4.0;
        root.draw(&Text::new(format!("{at:.0} s"), (x(at) - 10, below + 8), small))?;
    }
    root.draw(&PathElement::new(
        [(left, y(CAP as f64)), (right, y(CAP as f64))],
        CAP_COLOUR.stroke_width(2),
    ))?;
    for (seen, line) in sides.iter().zip(0_i32..) {
        let (name, colour) = match seen.side {
            Side::Ours => ("ebbtide", OUR_COLOUR),
            Side::Piscina => ("piscina", PEER_COLOUR),
        };
        let points: Vec<_> = seen.memory.iter().map(|(at, bytes)| (x(*at), y(*bytes as f64))).collect();
        root.draw(&Text::new(name, (right - 70, 26 + 16 * line), small.into_font().color(&colour)))?;
        if let (Some((at, how)), Some((px, py))) = (&seen.died, points.last().copied()) {
            root.draw(&Circle::new((px, py), 4, colour.filled()))?;
            let text = format!("died after {at:.1} s ({how})");
            root.draw(&Text::new(text, (px + 8, py - 6), small.into_font().color(&colour)))?;
        }
        root.draw(&PathElement::new(points, colour.stroke_width(2)))?;
    }
    root.present()?;
    Ok(())
}
