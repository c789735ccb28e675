//! The walk itself: what is shown, asked and done about each change. What an answer does is in `decide`.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use super::super::super::table::{NARROW, paragraphs_within};
use super::super::decide::{Account, Known, Target, forbidden, note, pass, reopen, stays, wish};
use super::super::show::{short, state, words};
use super::super::{Failed, reason, visible};
use super::Walk;
use super::answer::Answer;
use super::keyboard::{Typed, Typist};
use super::outcome::{Asked, Became, End};
use crate::policy::{self, model::Policy};
use crate::review::memory::{Decision, Memory, Verdict};
use crate::review::{Change, Heap, changes, find};

/// How long a grant lasts unless somebody says so.
const TIME: &str = "1h";

/// What events are held against.
pub(super) enum Ground {
    /// The file that rules are written into.
    Into(Box<Target>),
    /// A policy that stays as it is.
    Policy(Box<Policy>),
}

impl Ground {
    pub(super) fn policy(&self) -> &Policy {
        match self {
            Self::Into(target) => &target.policy,
            Self::Policy(policy) => policy,
        }
    }
}

/// Where to go from a change.
enum Step {
    Next,
    /// To the one at this place.
    To(usize),
    End(End),
}

/// A walk from the first change to the last.
pub(super) struct Round<'a, I, W> {
    args: &'a Walk,
    ground: Ground,
    heap: Heap,
    changes: Vec<Change>,
    /// Identities, in the order in which they are shown.
    queue: Vec<String>,
    became: BTreeMap<String, Became>,
    /// The decision that is known of the change in question.
    known: Option<Box<Decision>>,
    /// A rule was written.
    written: bool,
    input: I,
    output: W,
}

impl<'a, I: Typist, W: Write> Round<'a, I, W> {
    pub(super) fn new(
        args: &'a Walk,
        ground: Ground,
        heap: Heap,
        input: I,
        output: W,
    ) -> Result<Self, Failed> {
        let changes = under(&heap, ground.policy())?;
        let queue = open(args, &changes)?;
        Ok(Self {
            args,
            ground,
            heap,
            changes,
            queue,
            became: BTreeMap::new(),
            known: None,
            written: false,
            input,
            output,
        })
    }

    /// Walks, and says at the end what became of all.
    pub(super) fn walk(&mut self, from: &str) -> Result<End, Failed> {
        if self.queue.is_empty() {
            self.say(&format!("there is nothing to decide about, from {from}\n"))?;
            return Ok(End::Done);
        }
        self.say(&format!(
            "{} change(s) to decide about, from {from}; ? tells the keys\n",
            self.queue.len()
        ))?;
        let (mut at, mut turned) = (0, false);
        let end = loop {
            if at >= self.queue.len() {
                break End::Done;
            }
            match self.change(at, turned) {
                Ok(Step::Next) => (at, turned) = (at + 1, false),
                Ok(Step::To(place)) => (at, turned) = (place, true),
                Ok(Step::End(end)) => break end,
                Err(error) => {
                    // Where the terminal is the trouble, that says so.
                    let _ = self.sum();
                    return Err(error);
                }
            }
        };
        if end != End::Done {
            self.say("\n")?;
        }
        self.sum()?;
        Ok(end)
    }

    /// One change: shown, asked about, decided. Who turned back to it sees it in any case.
    fn change(&mut self, at: usize, turned: bool) -> Result<Step, Failed> {
        let id = self.queue.get(at).cloned().unwrap_or_default();
        match self.refresh() {
            Ok(true) => {
                self.say("\nthe policy file was changed by somebody else; on with it as it is now\n")?
            }
            Ok(false) => {}
            Err(error) => self.say(&format!("\nbanchi: {}\n", error.why))?,
        }
        loop {
            let memory = self.args.sources.memory()?;
            let Some(change) = self.find(&id).cloned() else {
                return self.pass_by(&id, "is no change of its own any more", Became::Gone);
            };
            self.known = memory.of(&change).cloned().map(Box::new);
            if !turned && !self.args.all {
                if self.is_own(&id) {
                    return Ok(Step::Next);
                }
                if change.settled {
                    return self.pass_by(&id, "passes by the policy as it is now", Became::Settled);
                }
                if let Some(known) = memory.of(&change) {
                    let text = format!("was decided meanwhile: {} by {}", known.verdict.name(), known.by);
                    return self.pass_by(&id, &text, Became::Gone);
                }
            }
            let offered = self.show(&change, &memory, at)?;
            match self.ask(&change, &offered, at)? {
                Some(step) => return Ok(step),
                None => continue,
            }
        }
    }

    /// Whether it was decided here, and nothing else since then.
    fn is_own(&self, id: &str) -> bool {
        let own = self.became.get(id).and_then(|became| became.verdict());
        own.is_some() && self.known.as_ref().is_none_or(|known| Some(known.verdict) == own)
    }

    /// Says why a change is not asked about.
    fn pass_by(&mut self, id: &str, why: &str, became: Became) -> Result<Step, Failed> {
        self.say(&format!("\n{} {why}\n", short(id)))?;
        // What was decided here is more to the point.
        self.became.entry(id.to_owned()).or_insert(became);
        Ok(Step::Next)
    }

    /// Shows a change with what would be written for it, and returns what may be answered.
    fn show(&mut self, change: &Change, memory: &Memory, at: usize) -> Result<Vec<Answer>, Failed> {
        let mut text = format!("\n{}", words(change, memory));
        let mut offered = vec![Answer::Malicious, Answer::Skip, Answer::Quit, Answer::Help];
        let may_pass = forbidden(memory, change).is_none();
        if let (Ground::Into(target), Some(_), false) = (&self.ground, &change.plan, change.settled) {
            match target.preview(change, &self.account("why")) {
                Ok(diff) => {
                    text += &format!("\n{diff}");
                    offered.extend(may_pass.then_some(Answer::Accept));
                }
                Err(error) => text += &format!("\n{}\n", error.why),
            }
        }
        let known = memory.of(change);
        let is_service = change.plan.as_ref().is_some_and(|plan| plan.grant_word().is_some());
        offered.extend((may_pass && is_service).then_some(Answer::Grant));
        offered.extend(known.is_none_or(|one| one.verdict != Verdict::Malicious).then_some(Answer::Dismiss));
        offered.extend(known.map(|_| Answer::Forget));
        offered.extend((!change.members.is_empty()).then_some(Answer::Parts));
        offered.extend((at > 0).then_some(Answer::Back));
        self.say(&text)?;
        Ok(offered)
    }

    /// Asks until something leads on; `None` where the change has to be looked at again.
    fn ask(&mut self, change: &Change, offered: &[Answer], at: usize) -> Result<Option<Step>, Failed> {
        loop {
            self.input.forget()?;
            let place = format!("({}/{})", at + 1, self.queue.len());
            let question =
                format!("\n{place} {}: what to do [{}]? ", short(&change.id), Answer::keys(offered));
            let line = match self.question(&question)? {
                Ok(line) => line,
                Err(end) => return Ok(Some(Step::End(end))),
            };
            let decided = match Answer::of(&line) {
                Some(Answer::Skip) => {
                    self.became.entry(change.id.clone()).or_insert(Became::Skipped);
                    return Ok(Some(Step::Next));
                }
                Some(Answer::Parts) => {
                    if self.parts(change, at)? {
                        return Ok(Some(Step::Next));
                    }
                    continue;
                }
                Some(Answer::Back) => match self.before(at) {
                    Some(place) => return Ok(Some(Step::To(place))),
                    None => {
                        self.say("there is no change before it\n")?;
                        continue;
                    }
                },
                Some(Answer::Quit) => return Ok(Some(Step::End(End::Done))),
                Some(Answer::Help) | None => {
                    self.say(&paragraphs_within(NARROW, &Answer::help(offered)))?;
                    continue;
                }
                Some(answer) => self.decide(answer, change)?,
            };
            match decided {
                Asked::Done(text, became) => {
                    self.became.insert(change.id.clone(), became);
                    self.say(&text)?;
                    // What was just written is no news. What is wrong with it is said at the next change.
                    self.written |= became == Became::Accepted;
                    let _ = self.refresh();
                    return Ok(Some(Step::Next));
                }
                Asked::Refused(error) => {
                    self.say(&format!("banchi: {}\n", error.why))?;
                    if self.refresh().unwrap_or(false) || self.is_overtaken(change) {
                        return Ok(None);
                    }
                }
                Asked::Nothing => self.say("nothing was decided\n")?,
                Asked::Ended(end) => return Ok(Some(Step::End(end))),
            }
        }
    }

    /// Asks for what a decision takes, and decides.
    fn decide(&mut self, answer: Answer, change: &Change) -> Result<Asked, Failed> {
        if let Err(error) = self.may(answer, change) {
            return Ok(Asked::Refused(error));
        }
        match answer {
            Answer::Accept => self.accept(change),
            Answer::Grant => self.grant(change),
            Answer::Dismiss => self.note(change, Verdict::Dismissed),
            Answer::Malicious => self.note(change, Verdict::Malicious),
            Answer::Forget => self.forget(change),
            Answer::Skip | Answer::Parts | Answer::Back | Answer::Quit | Answer::Help => Ok(Asked::Nothing),
        }
    }

    /// Refuses what would be refused whatever the reason: nobody is asked for one in vain.
    fn may(&self, answer: Answer, change: &Change) -> Result<(), Failed> {
        let memory = self.args.sources.memory()?;
        let known = memory.of(change);
        let why = match answer {
            Answer::Accept | Answer::Grant => forbidden(&memory, change),
            Answer::Dismiss => stays(&memory, change),
            Answer::Forget if known.is_none() => Some(format!("nothing was decided about `{}`", change.id)),
            _ => None,
        };
        let account = self.account("why");
        if let Some(why) = why.or_else(|| account.known.overtaken(known)) {
            return Err(Failed::new(1, why));
        }
        match (answer, &self.ground) {
            (Answer::Accept, Ground::Into(target)) => target.preview(change, &account).map(drop),
            (Answer::Accept, Ground::Policy(_)) => Err(no_file()),
            (Answer::Grant, _) => wish(&self.in_use(change)?, Duration::ZERO, &account).map(drop),
            _ => Ok(()),
        }
    }

    /// Whether somebody else decided since the change was shown.
    fn is_overtaken(&self, change: &Change) -> bool {
        let memory = self.args.sources.memory();
        memory.is_ok_and(|memory| memory.of(change) != self.known.as_deref())
    }

    fn accept(&mut self, change: &Change) -> Result<Asked, Failed> {
        self.because(Became::Accepted, |round, account| match &round.ground {
            Ground::Into(target) => target.accept(change, account, &round.args.sources, false),
            Ground::Policy(_) => Err(no_file()),
        })
    }

    fn grant(&mut self, change: &Change) -> Result<Asked, Failed> {
        let line = match self.question(&format!("for how long, up to 24h [{TIME}]? "))? {
            Ok(line) => line,
            Err(end) => return Ok(Asked::Ended(end)),
        };
        let wish = if line.trim().is_empty() { TIME } else { line.trim() };
        let time = match policy::parse_time(wish) {
            Ok(time) => time,
            Err(why) => return Ok(Asked::Refused(Failed::new(2, why))),
        };
        self.because(Became::Granted, |round, account| round.let_pass(change, time, account))
    }

    fn let_pass(&mut self, change: &Change, time: Duration, account: &Account) -> Result<String, Failed> {
        let change = self.in_use(change)?;
        self.say("waiting for the agent (Ctrl-C twice: leave it; it may be granted all the same)\n")?;
        let sources = &self.args.sources;
        self.input.patiently(|| pass(&change, time, account, sources))?
    }

    /// A grant is in the words of the policy that decides, which need not be those of the file.
    fn in_use(&self, change: &Change) -> Result<Change, Failed> {
        if matches!(self.ground, Ground::Policy(_)) {
            return Ok(change.clone());
        }
        let found = under(&self.heap, &self.args.sources.policy_in_use()?)?;
        find(&found, &change.id).cloned().map_err(|error| Failed::new(1, error))
    }

    fn note(&mut self, change: &Change, verdict: Verdict) -> Result<Asked, Failed> {
        let became = if verdict == Verdict::Malicious { Became::Malicious } else { Became::Dismissed };
        self.because(became, |round, account| note(change, verdict, account, &round.args.sources))
    }

    fn forget(&mut self, change: &Change) -> Result<Asked, Failed> {
        self.because(Became::Reopened, |round, account| reopen(&change.id, account, &round.args.sources))
    }

    /// Asks for the reason, and decides.
    fn because(
        &mut self,
        became: Became,
        decide: impl FnOnce(&mut Self, &Account) -> Result<String, Failed>,
    ) -> Result<Asked, Failed> {
        let line = match self.question("why (an empty line: leave it)? ")? {
            Ok(line) => line,
            Err(end) => return Ok(Asked::Ended(end)),
        };
        let Ok(why) = reason(&line) else { return Ok(Asked::Nothing) };
        let account = self.account(&why);
        Ok(match decide(self, &account) {
            Ok(text) => Asked::Done(text, became),
            Err(error) if error.is_done => Asked::Done(format!("banchi: {}\n", error.why), became),
            Err(error) => Asked::Refused(error),
        })
    }

    /// Puts the parts of a change behind it, where it has any.
    fn parts(&mut self, change: &Change, at: usize) -> Result<bool, Failed> {
        let parts = change.members.iter().map(|part| part.id.clone());
        let parts: Vec<String> = parts.filter(|id| !self.queue.contains(id)).collect();
        if parts.is_empty() {
            self.say("it has no parts that are not in the list\n")?;
            return Ok(false);
        }
        self.became.entry(change.id.clone()).or_insert(Became::Skipped);
        self.queue.splice(at + 1..at + 1, parts);
        Ok(true)
    }

    /// The place of the last one before that is still a change.
    fn before(&self, at: usize) -> Option<usize> {
        (0..at).rev().find(|place| self.queue.get(*place).is_some_and(|id| self.find(id).is_some()))
    }

    /// Reads the policy file again, and whether it is another one than before. Under that the same packets may be other
    /// changes: they are asked about at the end.
    fn refresh(&mut self) -> Result<bool, Failed> {
        let Ground::Into(target) = &self.ground else { return Ok(false) };
        let Some(now) = target.again()? else { return Ok(false) };
        let changes = under(&self.heap, &now.policy)?;
        let open = open(self.args, &changes)?;
        (self.changes, self.ground) = (changes, Ground::Into(Box::new(now)));
        let new: Vec<String> = open.into_iter().filter(|id| !self.queue.contains(id)).collect();
        if !new.is_empty() {
            self.say(&format!("{} more to decide about, by the policy as it is now\n", new.len()))?;
            self.queue.extend(new);
        }
        Ok(true)
    }

    fn find(&self, id: &str) -> Option<&Change> {
        find(&self.changes, id).ok()
    }

    fn account(&self, why: &str) -> Account {
        Account { reason: why.to_owned(), by: self.args.by.clone(), known: Known::Shown(self.known.clone()) }
    }

    /// What became of all, and what comes next.
    fn sum(&mut self) -> Result<(), Failed> {
        let mut counts: BTreeMap<Became, usize> = BTreeMap::new();
        for became in self.became.values() {
            *counts.entry(*became).or_default() += 1;
        }
        let mut parts: Vec<String> =
            counts.iter().map(|(became, count)| format!("{count} {}", became.words())).collect();
        let unseen = self.queue.iter().filter(|id| !self.became.contains_key(*id)).count();
        parts.extend((unseen > 0).then(|| format!("{unseen} left open")));
        let mut lines = vec![("all", format!("{}: {}", self.queue.len(), parts.join(", ")))];
        let skipped = self.queue.iter().filter(|id| self.became.get(*id) == Some(&Became::Skipped));
        let skipped: Vec<String> = skipped.map(|id| short(id)).collect();
        if !skipped.is_empty() {
            lines.push(("skipped", format!("{}: `banchi review show ID`", skipped.join(", "))));
        }
        if let (Ground::Into(target), true) = (&self.ground, self.written) {
            let name = &target.name;
            lines.push(("next", format!("nothing decides differently until `banchi apply {name}`")));
        }
        self.say(&format!("\n{}", paragraphs_within(NARROW, &lines)))
    }

    fn say(&mut self, text: &str) -> Result<(), Failed> {
        self.output.write_all(visible(text).as_bytes())?;
        Ok(self.output.flush()?)
    }

    /// Asks, and returns the line, or how it ended instead.
    fn question(&mut self, text: &str) -> Result<Result<String, End>, Failed> {
        self.say(text)?;
        Ok(match self.input.line()? {
            Typed::Line(line) => Ok(line),
            Typed::Interrupted => Err(End::Interrupted),
            Typed::Closed => Err(End::Closed),
        })
    }
}

fn no_file() -> Failed {
    Failed::new(1, "no rule can be written without `--into POLICY`")
}

/// Identities of the changes to ask about, in their order.
fn open(args: &Walk, changes: &[Change]) -> Result<Vec<String>, Failed> {
    let memory = args.sources.memory()?;
    let is_asked = |change: &&Change| args.all || state(change, memory.of(change)) == "open";
    Ok(changes.iter().filter(is_asked).map(|change| change.id.clone()).collect())
}

fn under(heap: &Heap, policy: &Policy) -> Result<Vec<Change>, Failed> {
    changes(heap.clone(), policy).map_err(|error| Failed::new(1, error))
}
