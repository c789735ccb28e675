//! Places in the text of a policy.

use std::ops::Range;

/// A piece of the text, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// Byte after the last.
    pub end: usize,
}

impl Span {
    /// The piece from `start` to before `end`.
    pub fn new(start: usize, end: usize) -> Self {
        Self { start, end: end.max(start) }
    }

    /// Bytes from the first to the last.
    pub fn range(self) -> Range<usize> {
        self.start..self.end
    }
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

/// The text with its line starts, so that a position costs a binary search.
#[derive(Debug)]
pub struct Source<'t> {
    text: &'t str,
    line_starts: Vec<usize>,
}

/// A position for people. Both count from 1; columns are characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column in characters.
    pub column: usize,
}

impl<'t> Source<'t> {
    /// Finds the lines of `text`.
    pub fn new(text: &'t str) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, line_starts }
    }

    /// The whole text.
    pub fn text(&self) -> &'t str {
        self.text
    }

    /// Line (from 0) that holds byte `at`.
    pub fn line_of(&self, at: usize) -> usize {
        self.line_starts.partition_point(|&start| start <= at).saturating_sub(1)
    }

    /// First byte of line `line` (from 0); the end of the text beyond the last.
    pub fn line_start(&self, line: usize) -> usize {
        self.line_starts.get(line).copied().unwrap_or(self.text.len())
    }

    /// Line and column of byte `at`.
    pub fn position(&self, at: usize) -> Position {
        let line = self.line_of(at);
        let before = self.slice(Span::new(self.line_start(line), at));
        Position { line: line + 1, column: before.chars().count() + 1 }
    }

    /// The text of `span`, empty where the span is not inside the text.
    pub fn slice(&self, span: Span) -> &'t str {
        self.text.get(span.range()).unwrap_or_default()
    }

    /// `span` without anything after its first line, and without trailing space.
    pub fn first_line(&self, span: Span) -> Span {
        let line = self.slice(span).lines().next().unwrap_or_default().trim_end();
        Span::new(span.start, span.start + line.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        let source = Source::new("ab\nčd: x\n");
        assert_eq!(source.position(0), Position { line: 1, column: 1 });
        assert_eq!(source.position(3), Position { line: 2, column: 1 });
        assert_eq!(source.position(5), Position { line: 2, column: 2 });
        assert_eq!(source.position(9), Position { line: 2, column: 6 });
        assert_eq!(source.position(100).line, 3);
    }

    #[test]
    fn first_line_drops_what_follows() {
        let source = Source::new("a: 1 \nb: 2\n");
        assert_eq!(source.slice(source.first_line(Span::new(0, 10))), "a: 1");
    }
}
