//! A table of any rows: which columns, in what order, filtered by what, with which row selected.

use std::cmp::Ordering;

/// How wide a column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// So many cells.
    Fixed(u16),
    /// What the others leave, and at least so many.
    Rest(u16),
}

/// A column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) width: Width,
    /// Numbers stand at the right.
    pub(super) right: bool,
    /// It is there in tables of at least this width.
    pub(super) from: u16,
}

/// How a row is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Tone {
    /// As any other.
    #[default]
    Plain,
    /// Worth a look.
    Warning,
    /// Something is stopped, or not as the policy has it.
    Alarm,
}

/// One value: what is shown, and what it is sorted by.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Cell {
    pub(super) text: String,
    number: Option<f64>,
}

/// A row that is the same one for as long as its id is.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Row {
    pub(super) id: u64,
    pub(super) cells: Vec<Cell>,
    pub(super) tone: Tone,
}

/// A table and what somebody looks at in it.
#[derive(Debug, Clone)]
pub(super) struct Pane {
    pub(super) title: &'static str,
    pub(super) columns: &'static [Column],
    rows: Vec<Row>,
    /// Indices of the rows that are shown.
    order: Vec<usize>,
    sort: Option<usize>,
    reversed: bool,
    filter: String,
    /// The row that stays selected wherever it goes; `None` is the first one, whichever that is.
    selected: Option<u64>,
}

impl Cell {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), number: None }
    }

    pub(super) fn count(count: u64) -> Self {
        Self { text: count.to_string(), number: Some(count as f64) }
    }

    /// Something a second; nothing before there are two counts to compare.
    pub(super) fn rate(rate: Option<f64>) -> Self {
        let text = match rate {
            None => String::new(),
            Some(rate) if rate < 0.05 => "0".to_owned(),
            Some(rate) if rate < 9.95 => format!("{rate:.1}"),
            Some(rate) if rate < 99_999.5 => format!("{rate:.0}"),
            Some(rate) if rate < 9_999_500.0 => format!("{:.0}k", rate / 1e3),
            Some(rate) => format!("{:.0}M", rate / 1e6),
        };
        Self { text, number: rate }
    }

    /// A text that is sorted by a number.
    pub(super) fn ranked(text: impl Into<String>, rank: u64) -> Self {
        Self { text: text.into(), number: Some(rank as f64) }
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self.number, other.number) {
            // The largest is what somebody looks for.
            (Some(one), Some(other)) => other.total_cmp(&one),
            (None, None) => self.text.cmp(&other.text),
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
        }
    }
}

impl Pane {
    pub(super) fn new(title: &'static str, columns: &'static [Column], sort: Option<usize>) -> Self {
        Self {
            title,
            columns,
            rows: Vec::new(),
            order: Vec::new(),
            sort,
            reversed: false,
            filter: String::new(),
            selected: None,
        }
    }

    /// Takes other rows. What is selected, sorted and filtered stays so.
    pub(super) fn fill(&mut self, rows: Vec<Row>) {
        self.rows = rows;
        self.arrange();
    }

    fn arrange(&mut self) {
        let words: Vec<String> = self.filter.split_whitespace().map(str::to_lowercase).collect();
        let holds = |row: &Row, word: &String| {
            row.cells.iter().any(|cell| cell.text.to_lowercase().contains(word.as_str()))
        };
        self.order = (0..self.rows.len())
            .filter(|at| self.rows.get(*at).is_some_and(|row| words.iter().all(|word| holds(row, word))))
            .collect();
        if let Some(column) = self.sort {
            let cell = |at: &usize| self.rows.get(*at).and_then(|row| row.cells.get(column));
            self.order.sort_by(|one, other| match (cell(one), cell(other)) {
                (Some(one), Some(other)) => one.compare(other),
                _ => Ordering::Equal,
            });
        }
        if self.reversed {
            self.order.reverse();
        }
        // A row that is there no more, or not shown, leaves the selection to the first one.
        if self.position_of_selected().is_none() {
            self.selected = None;
        }
    }

    /// Rows that are shown.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Rows that there are.
    pub(super) fn total(&self) -> usize {
        self.rows.len()
    }

    /// Those shown from one on.
    pub(super) fn window(&self, from: usize, rows: usize) -> impl Iterator<Item = &Row> {
        self.order.iter().skip(from).take(rows).filter_map(|at| self.rows.get(*at))
    }

    fn position_of_selected(&self) -> Option<usize> {
        let wanted = self.selected?;
        self.order.iter().position(|at| self.rows.get(*at).is_some_and(|row| row.id == wanted))
    }

    /// Where the selected row is among those shown.
    pub(super) fn position(&self) -> usize {
        self.position_of_selected().unwrap_or(0)
    }

    /// The selected row.
    pub(super) fn selected(&self) -> Option<&Row> {
        self.window(self.position(), 1).next()
    }

    pub(super) fn move_by(&mut self, rows: isize) {
        self.move_to(self.position().saturating_add_signed(rows));
    }

    /// To a row by its place; the last one beyond the end.
    pub(super) fn move_to(&mut self, position: usize) {
        let last = self.len().saturating_sub(1);
        let row = self.window(position.min(last), 1).next().map(|row| row.id);
        self.selected = row;
    }

    /// To the first row, whichever it will be.
    pub(super) fn let_go(&mut self) {
        self.selected = None;
    }

    /// Sorts by the next column; after the last one as the rows come.
    pub(super) fn sort_by_next(&mut self) {
        self.sort = match self.sort {
            None => Some(0),
            Some(column) if column + 1 < self.columns.len() => Some(column + 1),
            Some(_) => None,
        };
        self.reversed = false;
        self.arrange();
    }

    pub(super) fn reverse(&mut self) {
        self.reversed = !self.reversed;
        self.arrange();
    }

    /// The column that it is sorted by, and whether the other way round.
    pub(super) fn sorted(&self) -> (Option<usize>, bool) {
        (self.sort, self.reversed)
    }

    pub(super) fn filter(&self) -> &str {
        &self.filter
    }

    /// Shows only rows that hold every one of these words.
    pub(super) fn set_filter(&mut self, filter: String) {
        self.filter = filter;
        self.arrange();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[
        Column { title: "name", width: Width::Rest(8), right: false, from: 0 },
        Column { title: "packets", width: Width::Fixed(8), right: true, from: 0 },
    ];

    fn pane(rows: &[(u64, &str, u64)]) -> Pane {
        let mut pane = Pane::new("Things", COLUMNS, None);
        pane.fill(filled(rows));
        pane
    }

    fn filled(rows: &[(u64, &str, u64)]) -> Vec<Row> {
        let row = |(id, name, count): &(u64, &str, u64)| Row {
            id: *id,
            cells: vec![Cell::text(*name), Cell::count(*count)],
            tone: Tone::Plain,
        };
        rows.iter().map(row).collect()
    }

    fn shown(pane: &Pane) -> Vec<u64> {
        pane.window(0, 100).map(|row| row.id).collect()
    }

    #[test]
    fn sorts_by_each_column_and_back() {
        let mut pane = pane(&[(1, "b", 5), (2, "a", 100), (3, "c", 20)]);
        assert_eq!(shown(&pane), [1, 2, 3]);
        pane.sort_by_next();
        assert_eq!(shown(&pane), [2, 1, 3]);
        pane.sort_by_next();
        assert_eq!(shown(&pane), [2, 3, 1], "the most first");
        pane.reverse();
        assert_eq!(shown(&pane), [1, 3, 2]);
        pane.sort_by_next();
        assert_eq!(shown(&pane), [1, 2, 3]);
    }

    #[test]
    fn a_filter_wants_every_word_and_looks_at_every_column() {
        let mut pane = pane(&[(1, "Polling", 5), (2, "polling", 77), (3, "ring", 77)]);
        pane.set_filter("POLL 77".to_owned());
        assert_eq!(shown(&pane), [2]);
        assert_eq!((pane.len(), pane.total()), (1, 3));
        pane.set_filter(String::new());
        assert_eq!(pane.len(), 3);
    }

    #[test]
    fn the_selected_row_stays_selected_wherever_it_goes() {
        let mut pane = pane(&[(1, "a", 1), (2, "b", 2), (3, "c", 3)]);
        assert_eq!(pane.selected().map(|row| row.id), Some(1));
        pane.move_by(1);
        pane.fill(filled(&[(9, "new", 9), (1, "a", 1), (2, "b", 2)]));
        assert_eq!((pane.position(), pane.selected().map(|row| row.id)), (2, Some(2)));
        pane.move_by(isize::MAX);
        assert_eq!(pane.position(), 2);
        pane.move_by(isize::MIN);
        assert_eq!(pane.position(), 0);
        pane.move_by(1);
        pane.fill(filled(&[(4, "d", 4)]));
        assert!(pane.selected.is_none(), "what is gone is selected no more");
        pane.fill(Vec::new());
        pane.move_by(1);
        assert!(pane.selected().is_none() && pane.selected.is_none());
    }

    #[test]
    fn rates_fit_six_columns() {
        for (rate, text) in [
            (0.0, "0"),
            (0.24, "0.2"),
            (9.96, "10"),
            (12_345.0, "12345"),
            (99_999.6, "100k"),
            (14_880_952.0, "15M"),
        ] {
            assert_eq!(Cell::rate(Some(rate)).text, text);
        }
        assert_eq!(Cell::rate(None).text, "");
    }
}
