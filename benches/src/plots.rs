//! The results as pictures: one SVG per scenario, a dot at each median and a line from the least to the most, on a logarithmic axis.

use std::{error::Error, fs, path::Path};

use plotters::prelude::*;

use crate::{
    contenders::is_ours,
    results::{Results, Row, Table},
};

const WIDTH: u32 = 840;
const LINE: u32 = 24;
const ABOVE: u32 = 60;
const BELOW: u32 = 30;
/// Where the axis begins and ends; names are left of it, figures right.
const AXIS: (i32, i32) = (190, 730);
const OUR_COLOUR: RGBColor = RGBColor(0, 114, 178);
const PEER_COLOUR: RGBColor = RGBColor(110, 110, 110);
const GRID_COLOUR: RGBColor = RGBColor(225, 225, 225);

/// Draws every table into the directory, which is made if it is not there.
///
/// # Errors
/// Directory or file cannot be written.
pub(crate) fn draw(results: &Results, directory: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(directory)?;
    for table in &results.tables {
        picture(table, &directory.join(format!("{}.svg", table.scenario)))?;
    }
    Ok(())
}

fn picture(table: &Table, path: &Path) -> Result<(), Box<dyn Error>> {
    let lines = u32::try_from(table.rows.len())?;
    let root = SVGBackend::new(path, (WIDTH, ABOVE + lines * LINE + BELOW)).into_drawing_area();
    root.fill(&WHITE)?;
    let unit = table.unit.word();
    root.draw(&Text::new(table.scenario, (10, 8), ("sans-serif", 18)))?;
    let about = format!("{} ({unit}, logarithmic; median, least and most)", table.about);
    root.draw(&Text::new(about, (10, 32), ("sans-serif", 13)))?;
    let scale = Scale::of(table);
    for decade in scale.decades() {
        let x = scale.x(decade);
        let bottom = (ABOVE + lines * LINE).cast_signed();
        root.draw(&PathElement::new([(x, ABOVE.cast_signed() - 4), (x, bottom)], GRID_COLOUR))?;
        root.draw(&Text::new(figure(decade), (x - 8, bottom + 6), ("sans-serif", 12)))?;
    }
    for (row, number) in table.rows.iter().zip(0_u32..) {
        line(&root, &scale, row, (ABOVE + number * LINE + LINE / 2).cast_signed())?;
    }
    root.present()?;
    Ok(())
}

fn line<B: DrawingBackend>(
    root: &DrawingArea<B, plotters::coord::Shift>,
    scale: &Scale,
    row: &Row,
    y: i32,
) -> Result<(), Box<dyn Error>>
where
    B::ErrorType: 'static,
{
    let colour = if is_ours(row.contender) { OUR_COLOUR } else { PEER_COLOUR };
    let font = ("sans-serif", 14).into_font().color(&colour);
    root.draw(&Text::new(row.contender, (10, y - 7), font.clone()))?;
    let (from, to) = (scale.x(row.stats.min), scale.x(row.stats.max));
    root.draw(&PathElement::new([(from, y), (to, y)], colour.stroke_width(2)))?;
    root.draw(&Circle::new((scale.x(row.stats.median), y), 5, colour.filled()))?;
    root.draw(&Text::new(figure(row.stats.median), (AXIS.1 + 20, y - 7), font))?;
    Ok(())
}

/// Whole decades around what is drawn.
struct Scale {
    from: i32,
    to: i32,
}

impl Scale {
    fn of(table: &Table) -> Self {
        let all =
            || table.rows.iter().flat_map(|row| [row.stats.min, row.stats.max]).map(|value| value.max(1.0));
        let from = all().fold(f64::MAX, f64::min).log10().floor() as i32;
        let to = all().fold(1.0, f64::max).log10().ceil() as i32;
        Self { from, to: to.max(from + 1) }
    }

    fn decades(&self) -> impl Iterator<Item = f64> {
        (self.from..=self.to).map(|exponent| 10_f64.powi(exponent))
    }

    fn x(&self, value: f64) -> i32 {
        let part = (value.max(1.0).log10() - f64::from(self.from)) / f64::from(self.to - self.from);
        AXIS.0 + (f64::from(AXIS.1 - AXIS.0) * part.clamp(0.0, 1.0)) as i32
    }
}

fn figure(value: f64) -> String {
    match value {
        1e9.. => format!("{:.1} G", value / 1e9),
        1e6.. => format!("{:.1} M", value / 1e6),
        1e4.. => format!("{:.0} k", value / 1e3),
        1e3.. => format!("{:.1} k", value / 1e3),
        100.0.. => format!("{value:.0}"),
        _ => format!("{value:.1}"),
    }
}
