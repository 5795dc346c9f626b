//! Tables as Markdown, plots as SVG.

use std::fmt::Write;
use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};
use plotters::prelude::*;
use tests::machine;

use crate::Run;

/// A table with the command that makes it.
pub(crate) struct Report {
    name: &'static str,
    title: &'static str,
    table: Table,
    notes: Vec<String>,
}

impl Report {
    pub(crate) fn new(name: &'static str, title: &'static str, columns: &[&str]) -> Self {
        let mut table = Table::new();
        table
            .load_style(presets::ASCII_MARKDOWN)
            .set_header(columns);
        for (index, column) in table.column_iter_mut().enumerate() {
            if index > 0 {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        Report {
            name,
            title,
            table,
            notes: Vec::new(),
        }
    }

    pub(crate) fn row<T: ToString>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.table
            .add_row(cells.into_iter().map(|cell| cell.to_string()));
    }

    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Prints it, and writes it into the results folder.
    pub(crate) fn write(&self, run: &Run) -> Result<(), String> {
        let mut text = format!("# {}\n\n", self.title);
        let quick = run.pick("", " --quick");
        writeln!(
            text,
            "`tests/bench/run.sh {}{quick}`, {}.\n",
            self.name,
            machine()
        )
        .expect("a string takes it");
        if run.quick {
            writeln!(text, "Short and small: these are no readings.\n").expect("a string takes it");
        }
        writeln!(text, "{}", self.table).expect("a string takes it");
        for note in &self.notes {
            writeln!(text, "\n{note}").expect("a string takes it");
        }
        println!("{text}");
        let path = run.results.join(format!("{}.md", self.name));
        std::fs::write(&path, text)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))
    }
}

/// The value in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The value that this share of all is at or below.
pub(crate) fn percentile(sorted: &[f64], share: f64) -> f64 {
    let index = (sorted.len() as f64 * share).ceil() as usize;
    sorted
        .get(index.saturating_sub(1).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}

/// Thousands, as in `108.3k`.
pub(crate) fn thousands(value: f64) -> String {
    format!("{:.1}k", value / 1000.0)
}

/// A named line of a plot.
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

const SIZE: (u32, u32) = (860, 440);
const FONT: (&str, i32) = ("sans-serif", 15);

/// Horizontal bars.
pub(crate) fn bars(
    path: &Path,
    title: &str,
    unit: &str,
    bars: &[(String, f64)],
) -> Result<(), String> {
    let fault = |error: &dyn std::fmt::Display| format!("cannot draw {}: {error}", path.display());
    let height = 90 + 40 * bars.len() as u32;
    let root = SVGBackend::new(path, (SIZE.0, height)).into_drawing_area();
    root.fill(&WHITE).map_err(|error| fault(&error))?;
    let most = bars.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 19))
        .margin(12)
        .x_label_area_size(34)
        .y_label_area_size(150)
        .build_cartesian_2d(0.0..most * 1.15, 0..bars.len())
        .map_err(|error| fault(&error))?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_desc(unit)
        .x_label_formatter(&|value| format!("{value:.0}"))
        .label_style(FONT)
        .draw()
        .map_err(|error| fault(&error))?;
    for (index, (label, value)) in bars.iter().rev().enumerate() {
        let color = Palette99::pick(usize::from(!label.starts_with("nsd (this)")) * 2);
        let mut bar = Rectangle::new([(0.0, index), (*value, index + 1)], color.filled());
        bar.set_margin(6, 6, 0, 0);
        chart.draw_series([bar]).map_err(|error| fault(&error))?;
        let (x, y) = chart.backend_coord(&(0.0, index));
        let (end, above) = chart.backend_coord(&(*value, index + 1));
        let middle = (y + above) / 2 - 8;
        let text = FONT.into_text_style(&root);
        root.draw_text(label, &text, (x - 145, middle))
            .map_err(|error| fault(&error))?;
        root.draw_text(&format!("{value:.1}"), &text, (end + 5, middle))
            .map_err(|error| fault(&error))?;
    }
    root.present().map_err(|error| fault(&error))
}

/// Lines over a logarithmic or a plain axis.
pub(crate) fn lines(
    path: &Path,
    title: &str,
    axes: (&str, &str),
    series: &[Series],
) -> Result<(), String> {
    let fault = |error: &dyn std::fmt::Display| format!("cannot draw {}: {error}", path.display());
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE).map_err(|error| fault(&error))?;
    let all = || series.iter().flat_map(|series| &series.points);
    let right = all().map(|(x, _)| *x).fold(0.0, f64::max);
    let top = all().map(|(_, y)| *y).fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 19))
        .margin(14)
        .x_label_area_size(42)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..right * 1.03, 0.0..top * 1.1)
        .map_err(|error| fault(&error))?;
    chart
        .configure_mesh()
        .x_desc(axes.0)
        .y_desc(axes.1)
        .label_style(FONT)
        .draw()
        .map_err(|error| fault(&error))?;
    for (index, series) in series.iter().enumerate() {
        let color = Palette99::pick(index).to_rgba();
        chart
            .draw_series(LineSeries::new(
                series.points.iter().copied(),
                color.stroke_width(2),
            ))
            .map_err(|error| fault(&error))?
            .label(&series.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
        let dots = series
            .points
            .iter()
            .map(|point| Circle::new(*point, 3, color.filled()));
        chart.draw_series(dots).map_err(|error| fault(&error))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .label_font(FONT)
        .draw()
        .map_err(|error| fault(&error))?;
    root.present().map_err(|error| fault(&error))
}
