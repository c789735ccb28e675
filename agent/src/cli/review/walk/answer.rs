//! What may be answered.

/// What to do with a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Accept,
    Grant,
    Dismiss,
    Malicious,
    Forget,
    Skip,
    Parts,
    Back,
    Quit,
    Help,
}

/// Its key, its word, and what it does.
struct About(Answer, &'static str, &'static str, &'static str);

const ANSWERS: [About; 10] = [
    About(Answer::Accept, "a", "accept", "write the rule that is shown into the policy file; it asks why"),
    About(Answer::Grant, "g", "grant", "let it pass for a time, from now on; it asks for how long, and why"),
    About(Answer::Dismiss, "d", "dismiss", "do not show it again; it asks why"),
    About(
        Answer::Malicious,
        "m",
        "malicious",
        "keep it flagged: neither it nor anything else of its host is accepted or granted then; it asks why",
    ),
    About(
        Answer::Forget,
        "f",
        "forget",
        "take back what was decided about it; a rule that was written stays",
    ),
    About(Answer::Skip, "s", "skip", "leave it as it is, and go on"),
    About(Answer::Parts, "p", "parts", "leave it as it is, and go through its parts"),
    About(Answer::Back, "b", "back", "to the change before"),
    About(Answer::Quit, "q", "quit", "end here; what was decided is kept, and the rest stays open"),
    About(Answer::Help, "?", "help", "this list"),
];

impl Answer {
    /// The answer that a line is: its key, or its word.
    pub(super) fn of(line: &str) -> Option<Self> {
        let line = line.trim();
        let is_it = |About(_, key, word, _): &&About| line == *word || line == *key;
        ANSWERS.iter().find(is_it).map(|about| about.0)
    }

    /// Keys as a question lists them.
    pub(super) fn keys(offered: &[Self]) -> String {
        let offered = ANSWERS.iter().filter(|about| offered.contains(&about.0));
        offered.map(|about| about.1).collect::<Vec<_>>().join(",")
    }

    /// What the keys mean, line by line.
    pub(super) fn help(offered: &[Self]) -> Vec<(&'static str, String)> {
        let offered = ANSWERS.iter().filter(|about| offered.contains(&about.0));
        offered.map(|About(_, key, word, text)| (*key, format!("{word}: {text}"))).collect()
    }
}
