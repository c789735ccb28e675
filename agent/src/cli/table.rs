//! Tables that fit a terminal.

use std::fmt::Write as _;

/// Widest line where the terminal does not say.
const WIDTH: usize = 100;
/// That of a terminal as it comes.
pub(super) const NARROW: usize = 80;

/// Lines of columns, each as wide as its longest cell; the widest text column gives way first.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    table_within(WIDTH, headings, rows)
}

/// The same within another width, where the terminal does not say.
pub(super) fn table_within(width: usize, headings: &[&str], rows: &[Vec<String>]) -> String {
    let width = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).unwrap_or(width);
    let mut widths: Vec<usize> = headings.iter().map(|heading| heading.chars().count()).collect();
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(cell.chars().count());
        }
    }
    let gaps = 2 * widths.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > width {
        match widths.iter_mut().max() {
            Some(widest) if *widest > 12 => *widest -= 1,
            _ => break,
        }
    }
    let mut text = String::new();
    let headings: Vec<String> = headings.iter().map(|heading| (*heading).to_owned()).collect();
    for row in std::iter::once(&headings).chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let shown = if cell.chars().count() > *width {
                cell.chars().take(width.saturating_sub(1)).chain(['…']).collect()
            } else {
                cell.clone()
            };
            let numeric = shown.chars().next().is_some_and(|c| c.is_ascii_digit())
                && shown.chars().all(|c| c.is_ascii_digit() || c == '.' || c == ',');
            let _ =
                if numeric { write!(line, "{shown:>width$}  ") } else { write!(line, "{shown:<width$}  ") };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Labelled paragraphs, broken between words and set in behind the labels.
pub(super) fn paragraphs(lines: &[(&str, String)]) -> String {
    paragraphs_within(WIDTH, lines)
}

/// The same within another width.
pub(super) fn paragraphs_within(width: usize, lines: &[(&str, String)]) -> String {
    let label_width = lines.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (label, value) in lines {
        let mut line = format!("{label:<label_width$}");
        for word in value.split_whitespace() {
            if line.chars().count() + 2 + word.chars().count() > width && line.len() > label_width {
                let _ = writeln!(text, "{line}");
                line = " ".repeat(label_width);
            }
            // Two blanks stand behind the label, and one between words.
            line.push_str(if line.chars().count() == label_width { "  " } else { " " });
            line.push_str(word);
        }
        let _ = writeln!(text, "{line}");
    }
    text
}

/// Bytes in a unit that people read.
pub(super) fn bytes(count: u64) -> String {
    match count {
        0..10_000 => format!("{count} B"),
        10_000..10_000_000 => format!("{:.0} kB", count as f64 / 1e3),
        _ => format!("{:.1} MB", count as f64 / 1e6),
    }
}
