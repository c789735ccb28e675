//! Colours, or what stands for them where there should be none.

use ratatui::style::{Color, Modifier, Style};

use crate::top::pane::Tone;

/// How things look.
#[derive(Debug, Clone, Copy)]
pub struct Theme {
    /// What nobody may overlook.
    pub(super) loud: Style,
    /// As it should be.
    pub(super) calm: Style,
    pub(super) warning: Style,
    pub(super) alarm: Style,
    pub(super) title: Style,
    /// The title of the table that keys are for.
    pub(super) focused: Style,
    pub(super) selected: Style,
    pub(super) label: Style,
    pub(super) key: Style,
    pub(super) bar: Style,
}

impl Theme {
    /// With colours or, as NO_COLOR asks for, without: then bold, underlined and reversed text does their work.
    pub fn new(colours: bool) -> Self {
        let plain = Style::new();
        let bold = plain.add_modifier(Modifier::BOLD);
        let reversed = bold.add_modifier(Modifier::REVERSED);
        if !colours {
            return Self {
                loud: reversed,
                calm: plain,
                warning: plain,
                alarm: bold,
                title: bold.add_modifier(Modifier::UNDERLINED),
                focused: reversed,
                selected: plain.add_modifier(Modifier::REVERSED),
                label: plain,
                key: bold,
                bar: reversed,
            };
        }
        Self {
            loud: bold.fg(Color::White).bg(Color::Red),
            calm: plain.fg(Color::Green),
            warning: plain.fg(Color::Yellow),
            alarm: bold.fg(Color::Red),
            title: bold.add_modifier(Modifier::UNDERLINED),
            focused: bold.fg(Color::Black).bg(Color::Cyan),
            selected: plain.add_modifier(Modifier::REVERSED),
            label: plain.fg(Color::Cyan),
            key: bold.fg(Color::Cyan),
            bar: bold.fg(Color::Black).bg(Color::Cyan),
        }
    }

    pub(super) fn tone(&self, tone: Tone) -> Style {
        match tone {
            Tone::Plain => Style::new(),
            Tone::Warning => self.warning,
            Tone::Alarm => self.alarm,
        }
    }
}
