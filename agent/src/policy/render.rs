//! Diagnostics for people: the line, the underlined text, what was expected.

use std::fmt;

use miette::{
    Diagnostic as Report, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError,
    MietteSpanContents, SourceCode, SourceSpan, SpanContents,
};

use super::diagnostic::{Diagnostic, Severity};
use super::source::{Source, Span};

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Text only, for files, pipes and `NO_COLOR`.
    Plain,
    /// With colours, for a terminal.
    Colour,
}

/// Renders all of `diagnostics`, and a last line that counts them. Nothing where there are none.
pub fn render(name: &str, text: &str, diagnostics: &[Diagnostic], style: Style) -> String {
    if diagnostics.is_empty() {
        return String::new();
    }
    let source = Source::new(text);
    let theme = match style {
        Style::Plain => GraphicalTheme::unicode_nocolor(),
        Style::Colour => GraphicalTheme::unicode(),
    };
    let handler =
        GraphicalReportHandler::new_themed(theme).with_width(100).with_links(false).with_context_lines(1);
    let file = File { name, source: &source };
    let mut out = String::new();
    for diagnostic in diagnostics {
        let view = View { diagnostic, file: &file };
        if handler.render_report(&mut out, &view).is_err() {
            out.push_str(&diagnostic.message);
        }
        out.push('\n');
    }
    out.push_str(&summary(diagnostics));
    out.push('\n');
    out
}

/// "2 errors, 1 warning".
pub fn summary(diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|found| found.severity == Severity::Error).count();
    let warnings = diagnostics.len() - errors;
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    match (errors, warnings) {
        (0, 0) => "no errors".to_owned(),
        (0, _) => plural(warnings, "warning"),
        (_, 0) => plural(errors, "error"),
        _ => format!("{}, {}", plural(errors, "error"), plural(warnings, "warning")),
    }
}

/// The file as miette reads it. Finds lines by binary search, so that ten thousand diagnostics in one large
/// file do not each read it from the start.
#[derive(Debug)]
struct File<'t> {
    name: &'t str,
    source: &'t Source<'t>,
}

impl SourceCode for File<'_> {
    /// Without context, the span alone, from which miette takes line and column; with context, whole lines, of
    /// which one line of context means the line itself.
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let position = self.source.position(span.offset());
        let end = span.offset() + span.len();
        let (read, line, column) = match (before.checked_sub(1), after.checked_sub(1)) {
            (Some(before), Some(after)) => {
                let first = (position.line - 1).saturating_sub(before);
                let last = self.source.line_of(end) + after;
                (Span::new(self.source.line_start(first), self.source.line_start(last + 1)), first, 0)
            }
            _ => (Span::new(span.offset(), end), position.line - 1, position.column - 1),
        };
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.to_owned(),
            self.source.slice(read).as_bytes(),
            SourceSpan::from(read.range()),
            line,
            column,
            // Lines of this piece: miette joins pieces of one report that meet.
            (self.source.line_of(read.end.saturating_sub(1)) + 1).saturating_sub(line),
        )))
    }
}

/// A diagnostic as miette wants it.
struct View<'d> {
    diagnostic: &'d Diagnostic,
    file: &'d File<'d>,
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.diagnostic, f)
    }
}

impl fmt::Display for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.diagnostic.message)
    }
}

impl std::error::Error for View<'_> {}

impl Report for View<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let word = match self.diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        Some(Box::new(format!("{word}[{}]", self.diagnostic.code)))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.diagnostic.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.diagnostic.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self.file)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.diagnostic.labels.iter().enumerate().map(|(at, label)| {
            let note = (!label.note.is_empty()).then(|| label.note.clone());
            let span = SourceSpan::from(label.span.range());
            if at == 0 {
                LabeledSpan::new_primary_with_span(note, span)
            } else {
                LabeledSpan::new_with_span(note, span)
            }
        })))
    }
}
