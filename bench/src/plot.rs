//! The results as pictures: SVG, one file for each question.

use std::fmt::Display;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::report::{Report, Row, number, short};

/// Colours that people who see fewer of them can tell apart, too (Okabe and Ito).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(90, 90, 90),
];
const WIDTH: u32 = 900;
const FONT: &str = "sans-serif";

/// Draws what there are results for into a directory, which need not exist.
///
/// # Errors
/// Where a file cannot be written.
pub(crate) fn draw(report: &Report, directory: &Path) -> Result<()> {
    std::fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))?;
    let path = |name: &str| directory.join(format!("{name}.svg"));
    let of = |bench: &'static str| report.results.iter().filter(move |row| row.bench == bench);
    let cases = of("program").filter(|row| row.distribution == Some("hot") && row.subject != "generation");
    let cases = cases.filter(|row| row.tuples.is_none_or(|tuples| tuples == 1_000 || tuples == 1));
    bars(&path("program-cases"), "A packet in the program, 1,000 tuples, one of them used", cases, false)?;
    lines(
        &path("program-sizes"),
        "UDP from and to one port, by tuples of the policy",
        sizes(report),
        |row| {
            let all = if row.distribution == Some("uniform") { ", all" } else { "" };
            format!("{}{all}", row.subject)
        },
    )?;
    bars(&path("forward"), "A packet through a gateway on one CPU", of("forward"), false)?;
    bars(&path("latency"), "A question and its answer through a gateway", of("latency"), true)?;
    bars(&path("events"), "Until the first event is lost", of("events"), false)?;
    let control = of("control").filter(|row| row.unit == "ms").cloned().collect();
    lines(&path("control"), "A policy on its way, by its tuples", control, |row| row.case.clone())
}

/// One case at all sizes, with xdp-filter as it was beside each of them.
fn sizes(report: &Report) -> Vec<Row> {
    let (mut rows, mut filter) = (Vec::new(), None);
    for row in report.results.iter().filter(|row| row.case == "udp-same-port") {
        match row.subject.as_str() {
            "xdp-filter" => filter = Some(row),
            _ => rows.push(row.clone()),
        }
        if let (Some(filter), "lookup") = (filter, row.subject.as_str()) {
            rows.push(Row { tuples: row.tuples, ..filter.clone() });
        }
    }
    rows
}

fn failed(error: impl Display) -> anyhow::Error {
    anyhow!("draw: {error}")
}

/// One bar for each row, with its value behind it. The longest bar is that of the largest value; by factors, the shortest
/// one begins at a power of ten.
fn bars<'r>(path: &Path, title: &str, rows: impl Iterator<Item = &'r Row>, by_factors: bool) -> Result<()> {
    const LINE: i32 = 19;
    const LEFT: i32 = 380;
    const TOP: i32 = 44;
    let mut rows: Vec<&Row> = rows.collect();
    let Some(first) = rows.first().copied() else { return Ok(()) };
    let mut seen = Vec::new();
    // What is measured beside each size is drawn once.
    rows.retain(|row| {
        let key = (name(row), row.distribution);
        let is_new = !seen.contains(&key);
        seen.push(key);
        is_new
    });
    let least = rows.iter().map(|row| row.value).fold(f64::MAX, f64::min).log10().floor();
    let most = rows.iter().map(|row| row.value).fold(0.0, f64::max);
    let room = f64::from(WIDTH.cast_signed() - LEFT - 110);
    let height = TOP + LINE * i32::try_from(rows.len())? + 14;
    let area = SVGBackend::new(path, (WIDTH, height.cast_unsigned())).into_drawing_area();
    let scale = if by_factors { ", logarithmic" } else { "" };
    canvas(&area, &format!("{title} ({}{scale})", unit(first.unit)))?;
    let mut subjects: Vec<&str> = Vec::new();
    for (at, row) in (0i32..).zip(&rows) {
        let colour = subjects.iter().position(|known| *known == row.subject).unwrap_or_else(|| {
            subjects.push(&row.subject);
            subjects.len() - 1
        });
        let colour = COLOURS.get(colour % COLOURS.len()).copied().unwrap_or(BLACK);
        let y = TOP + LINE * at;
        let text = (FONT, 13).into_font().color(&BLACK);
        let label =
            Text::new(name(row), (LEFT - 8, y + LINE / 2), text.pos(Pos::new(HPos::Right, VPos::Center)));
        area.draw(&label).map_err(failed)?;
        let part = match by_factors {
            true => (row.value.log10() - least) / (most.log10() - least),
            false => row.value / most,
        };
        let length = (part * room).max(1.0) as i32;
        let bar = Rectangle::new([(LEFT, y + 2), (LEFT + length, y + LINE - 2)], colour.filled());
        area.draw(&bar).map_err(failed)?;
        let text = (FONT, 12).into_font().color(&BLACK).pos(Pos::new(HPos::Left, VPos::Center));
        let mut value = number(row.value);
        if let Some(loss) = row.loss.filter(|loss| *loss > 0.0) {
            value += &format!(" ({:.1}% lost)", loss * 100.0);
        }
        area.draw(&Text::new(value, (LEFT + length + 6, y + LINE / 2), text)).map_err(failed)?;
    }
    area.present().map_err(failed)
}

/// Values by tuples, both growing by factors; one line for each name.
fn lines(path: &Path, title: &str, rows: Vec<Row>, name: impl Fn(&Row) -> String) -> Result<()> {
    /// Where the names stand, right of the lines.
    const NAMES: i32 = 620;
    let Some(first) = rows.first() else { return Ok(()) };
    let mut series: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
    for row in &rows {
        let (name, by) = (name(row), by(row));
        let name = if by.is_empty() { name } else { format!("{name} ({by})") };
        let point = (f64::from(row.tuples.unwrap_or(1)), row.value);
        match series.iter_mut().find(|(known, _)| *known == name) {
            Some((_, points)) => points.push(point),
            None => series.push((name, vec![point])),
        }
    }
    let span = |values: &dyn Fn(&(f64, f64)) -> f64, (low, high): (f64, f64)| {
        let all = || series.iter().flat_map(|(_, points)| points).map(values);
        (all().fold(f64::MAX, f64::min) * low)..(all().fold(0.0, f64::max) * high)
    };
    let (x, y) = (span(&|point| point.0, (0.9, 1.15)), span(&|point| point.1, (0.7, 1.5)));
    let area = SVGBackend::new(path, (WIDTH, 480)).into_drawing_area();
    canvas(&area, title)?;
    let mut chart = ChartBuilder::on(&area.margin(40, 8, 8, WIDTH.cast_signed() - NAMES + 20))
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(x.log_scale(), y.log_scale())
        .map_err(failed)?;
    let is_power = |value: f64| (value.log10() - value.log10().round()).abs() < 1e-9;
    chart
        .configure_mesh()
        .x_desc("tuples")
        .y_desc(unit(first.unit))
        .x_labels(8)
        .x_label_formatter(&|tuples| if is_power(*tuples) { short(*tuples as u32) } else { String::new() })
        .y_label_formatter(&|value| number(*value))
        .label_style((FONT, 13))
        .disable_x_mesh()
        .light_line_style(RGBColor(236, 236, 236))
        .draw()
        .map_err(failed)?;
    // The names in the order of the ends of their lines.
    series.sort_by(|(_, a), (_, b)| {
        let end = |points: &[(f64, f64)]| points.last().map_or(0.0, |point| point.1);
        end(b).total_cmp(&end(a))
    });
    for (at, ((name, points), colour)) in (0i32..).zip(series.into_iter().zip(COLOURS.iter().cycle())) {
        let style = colour.stroke_width(2);
        let dots = points.iter().map(|point| Circle::new(*point, 3, colour.filled())).collect::<Vec<_>>();
        chart.draw_series(LineSeries::new(points, style)).map_err(failed)?;
        chart.draw_series(dots).map_err(failed)?;
        let y = 60 + 20 * at;
        area.draw(&PathElement::new(vec![(NAMES, y), (NAMES + 18, y)], style)).map_err(failed)?;
        let text = (FONT, 13).into_font().color(&BLACK).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw(&Text::new(name, (NAMES + 26, y), text)).map_err(failed)?;
    }
    area.present().map_err(failed)
}

fn canvas(area: &DrawingArea<SVGBackend<'_>, Shift>, title: &str) -> Result<()> {
    area.fill(&WHITE).map_err(failed)?;
    area.draw(&Text::new(title.to_owned(), (12, 14), (FONT, 18).into_font().color(&BLACK))).map_err(failed)
}

fn unit(unit: &str) -> &str {
    match unit {
        "ns" => "nanoseconds",
        "us" => "microseconds",
        "ms" => "milliseconds",
        "/s" => "a second",
        other => other,
    }
}

fn by(row: &Row) -> String {
    [row.forwarding, row.mode].into_iter().flatten().collect::<Vec<_>>().join("/")
}

/// What a bar is called.
fn name(row: &Row) -> String {
    let by = by(row);
    let tuples = row.tuples.filter(|_| row.bench != "program").map(|tuples| format!(" {}", short(tuples)));
    let own = if by.is_empty() { row.subject.clone() } else { format!("{} {by}", row.subject) };
    format!("{}: {own}{}", row.case, tuples.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_have_every_subject_and_value() -> Result<()> {
        let mut report = Report::new(true);
        for (subject, tuples, value) in [
            ("xdp-filter", 1, 66.0),
            ("lookup", 1_000, 47.0),
            ("banchi", 1_000, 131.0),
            ("xdp-filter", 1, 67.0),
            ("lookup", 65_536, 48.0),
            ("banchi", 65_536, 207.0),
        ] {
            let row = Row::new("program", subject, "udp-same-port").tuples(tuples);
            report.results.push(Row { value, unit: "ns", distribution: Some("hot"), ..row });
        }
        for (case, value) in [("idle-p50", 20.0), ("idle-max", 2_000.0)] {
            report.results.push(Row { value, unit: "us", ..Row::new("latency", "kernel", case) });
        }
        let directory = std::env::temp_dir().join(format!("banchi-bench-plots-{}", std::process::id()));
        let drawn = draw(&report, &directory);
        let read = |name: &str| std::fs::read_to_string(directory.join(name));
        let (cases, sizes) = (read("program-cases.svg"), read("program-sizes.svg"));
        let (latency, others) = (read("latency.svg"), read("forward.svg"));
        std::fs::remove_dir_all(&directory)?;
        drawn?;
        let (cases, sizes, latency) = (cases?, sizes?, latency?);
        for word in ["udp-same-port: xdp-filter", "udp-same-port: banchi", "131", "nanoseconds"] {
            assert!(cases.contains(word), "{word} is missing in {cases}");
        }
        assert_eq!(cases.matches("xdp-filter").count(), 1, "what is measured twice is drawn once");
        for word in ["lookup", "banchi", "xdp-filter", "tuples"] {
            assert!(sizes.contains(word), "{word} is missing in {sizes}");
        }
        assert!(latency.contains("logarithmic") && latency.contains("2000"));
        assert!(others.is_err(), "there is nothing to draw of it");
        Ok(())
    }
}
