//! What is always in sight: which policy decides, and all that is not as it should be.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::{cut, theme::Theme};
use crate::control::{Loudness, span};
use crate::explain::wrapped;
use crate::top::model::Model;
use crate::top::sight::Sight;

/// A sight that is older than this, and twice the time between two, is said to be old; in milliseconds. An agent may
/// take four seconds to answer.
const OLD: u64 = 6_000;

/// More lines than these are enough for all there is to say.
const ROOMY: usize = 4;

/// A word or two.
struct Badge {
    text: String,
    weight: Weight,
}

/// Who has to see it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// Everybody, from afar.
    Loud,
    /// Everybody.
    Always,
    /// Whoever has room for it.
    Calm,
}

/// At most so many lines; the loudest first where there are more.
pub(super) fn lines(model: &Model, theme: &Theme, width: u16, most: usize) -> Vec<Line<'static>> {
    let width = usize::from(width);
    let mut lines = badges(model, theme, width);
    if most > 1 && width > 30 {
        lines.insert(0, title(model, theme, width));
    }
    let room = most.saturating_sub(lines.len());
    lines.extend(sentences(model, theme, width, room));
    lines
}

fn title(model: &Model, theme: &Theme, width: usize) -> Line<'static> {
    let mut left = "banchi top".to_owned();
    let mut right = String::new();
    if let Some(sight) = &model.sight {
        let status = &sight.status;
        let hash = status.policy_hash.get(..8).unwrap_or_default();
        let name = status.policy.rsplit('/').next().unwrap_or_default();
        left = format!("{left}  {name} ({hash}…) generation {}", status.generation);
        if status.is_attached() {
            left = format!("{left}  {}", status.attached());
        }
        let clock = sight.clock(model.age());
        right = clock.map_or_else(String::new, |time| time.strftime("%H:%M:%SZ").to_string());
    }
    let room = width.saturating_sub(right.chars().count() + 1);
    Line::styled(format!("{:<room$} {right}", cut(&left, room)), theme.key)
}

/// The state, a badge each. Where they do not fit into one line, those that are loud get another one.
fn badges(model: &Model, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let mut badges = state(model);
    badges.sort_by_key(|badge| badge.weight);
    let mut lines = vec![Line::default()];
    for Badge { text, weight } in badges {
        let text = format!(" {text} ");
        let Some(line) = lines.last_mut() else { break };
        let fits = line.width() + text.chars().count() <= width;
        if !fits && weight == Weight::Calm {
            continue;
        }
        let style = if weight == Weight::Loud { theme.loud } else { theme.calm };
        let span = Span::styled(cut(&text, width), style);
        if fits || line.spans.is_empty() {
            line.spans.push(span);
        } else {
            lines.push(Line::from(span));
        }
        if let Some(line) = lines.last_mut()
            && line.width() < width
        {
            line.spans.push(Span::raw(" "));
        }
    }
    lines
}

fn state(model: &Model) -> Vec<Badge> {
    let mut badges = Vec::new();
    let mut say = |weight, text: String| badges.push(Badge { text, weight });
    if model.blind.is_some() {
        say(Weight::Loud, "NOTHING TO SEE".to_owned());
    }
    if model.is_paused {
        say(Weight::Loud, "PAUSED".to_owned());
    }
    let Some(sight) = &model.sight else {
        say(Weight::Always, "looking".to_owned());
        return badges;
    };
    if model.blind.is_none() && model.age() > OLD + 2 * model.interval_ms {
        say(Weight::Loud, format!("SEEN {} AGO", span(model.age())));
    }
    let status = &sight.status;
    match sight.enforcing() {
        (0, _) => say(Weight::Always, "ALERT".to_owned()),
        (enforcing, all) if enforcing == all => say(Weight::Always, "ENFORCE".to_owned()),
        (enforcing, all) => say(Weight::Always, format!("ENFORCE {enforcing} of {all}")),
    }
    match (sight.absence.is_some(), status.pid) {
        (true, _) => say(Weight::Loud, "NO AGENT".to_owned()),
        (false, Some(pid)) => say(Weight::Calm, format!("agent {pid}")),
        (false, None) => {}
    }
    for (is_on, name) in [(status.bypass, "bypass"), (status.island, "island")] {
        match is_on {
            true => say(Weight::Loud, name.to_uppercase()),
            false => say(Weight::Calm, format!("{name} off")),
        }
    }
    match sight.trial(model.age()) {
        Some(left) => say(Weight::Loud, format!("TRIAL {}:{:02}", left / 60, left % 60)),
        None => say(Weight::Calm, "no trial".to_owned()),
    }
    match sight.deadman() {
        (0, 0) => say(Weight::Calm, "deadman quiet".to_owned()),
        (open, 0) => say(Weight::Loud, format!("DEADMAN {open} OPEN")),
        (0, closed) => say(Weight::Loud, format!("DEADMAN {closed} CLOSED")),
        (open, closed) => say(Weight::Loud, format!("DEADMAN {open} OPEN, {closed} CLOSED")),
    }
    badges
}

/// What is not normal, in the sentences of `banchi status`.
fn sentences(model: &Model, theme: &Theme, width: usize, room: usize) -> Vec<Line<'static>> {
    let mut found: Vec<(Style, String)> = Vec::new();
    if let Some(why) = &model.blind {
        found.push((theme.alarm, format!("what is shown was seen {} ago: {why}", span(model.age()))));
    }
    if model.is_paused {
        let more = if model.held() > 0 { format!(", {} events wait", model.held()) } else { String::new() };
        found.push((theme.warning, format!("the tables stand still{more}; p lets them go on")));
    }
    // What is only good to know has room in a tall terminal.
    let least = if room > ROOMY { Loudness::Note } else { Loudness::Amiss };
    let conditions = model.sight.iter().flat_map(Sight::conditions);
    for condition in conditions.filter(|condition| condition.loudness >= least) {
        let style = match condition.loudness {
            Loudness::Urgent => theme.alarm,
            Loudness::Amiss => theme.warning,
            Loudness::Note => Style::new(),
        };
        found.push((style, condition.text));
    }
    let whole: Vec<Line<'static>> = found
        .iter()
        .flat_map(|(style, text)| {
            wrapped(text, width.max(1)).into_iter().map(|part| Line::styled(part, *style))
        })
        .collect();
    if whole.len() <= room {
        return whole;
    }
    // One line each, and how many there are no lines for.
    let left = found.len().saturating_sub(room);
    let last = room.saturating_sub(1);
    let line = |(at, (style, text)): (usize, (Style, String))| {
        let more = match at == last && left > 0 {
            true => format!(" (+{left}: `banchi status`)"),
            false => String::new(),
        };
        let room = width.saturating_sub(more.chars().count());
        Line::styled(format!("{}{more}", cut(&text, room)), style)
    };
    found.into_iter().take(room).enumerate().map(line).collect()
}
