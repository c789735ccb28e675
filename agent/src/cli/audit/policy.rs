//! `banchi audit policy`: what of a policy is used?

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::super::pinned::{self, Seen as Answer};
use super::super::table::{NARROW, paragraphs_within, table_within};
use super::super::{Pins, Socket, fail, learn, load, print, progress};
use crate::capture::Captures;
use crate::control::Status;
use crate::events::time_of_day;
use crate::image::compile;
use crate::learn::{Traffic, flows};
use crate::plane::{policy_in_use, store_of};
use crate::policy::model::{Mode, Policy};
use crate::report::gather::{Gathered, gather};
use crate::usage::{RuleUsage, Seen, Share, State, Usage, usage};

/// Characters of a rule's name beside what it says.
const LABEL: usize = 23;

/// Shows what of a policy nothing uses: rules by the counters of the gateway, addresses and ports of rules by captures; and
/// how ready each conduit is to be enforced, as `banchi report` has it. Changes nothing.
///
/// The gateway counts over agents and policies until it is started anew. Who keeps what `banchi status --json` says can give
/// older ones with --status.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The policy file [default: the policy that decides]
    policy: Option<PathBuf>,
    /// Days without a packet after which a rule counts as unused
    #[arg(long, default_value_t = 30.0, value_name = "DAYS", value_parser = days)]
    unused: f64,
    /// pcap and pcapng files, plain, gzip or zstd: what they use of each rule is counted
    #[arg(long, value_name = "CAPTURE", num_args = 1..)]
    captures: Vec<PathBuf>,
    /// What `banchi status --json` said, oldest first [default: ask the gateway, unless there are captures]
    #[arg(long, value_name = "FILE", num_args = 1..)]
    status: Vec<PathBuf>,
    /// Ask the gateway also where captures or files are given
    #[arg(long)]
    live: bool,
    /// Most tuples that are kept apart; more are folded
    #[arg(long, default_value_t = 200_000, value_name = "NUMBER")]
    max_flows: usize,
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: Socket,
    #[command(flatten)]
    pins: Pins,
}

fn days(text: &str) -> Result<f64, String> {
    let days: f64 = text.parse().map_err(|e| format!("{e}"))?;
    if days.is_finite() && days >= 0.0 { Ok(days) } else { Err("a number of days".to_owned()) }
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> ExitCode {
    match look(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(code) => code,
    }
}

fn look(args: &Args) -> Result<(), ExitCode> {
    let policy = match &args.policy {
        Some(path) => load(path, true)?.0,
        None => {
            let store = store_of(&args.pins.pins, &args.socket.socket);
            policy_in_use(&store).map_err(|error| fail(error.exit_code(), error))?
        }
    };
    let mut statuses = args.status.iter().map(|path| status(path)).collect::<Result<Vec<_>, _>>()?;
    if args.live || args.status.is_empty() && args.captures.is_empty() {
        let (Answer::Agent(status) | Answer::Pins(status, _)) = pinned::status(&args.socket, &args.pins)?;
        statuses.push(*status);
    }
    let captured = if args.captures.is_empty() { None } else { Some(captured(args, &policy)?) };
    let now = time_of_day();
    let captures = captured.as_ref().map(|(gathered, traffic)| (gathered, traffic));
    let found = usage(&policy, &Seen { statuses: &statuses, captures, now: &now }, args.unused);
    if args.json {
        let text = serde_json::to_string_pretty(&found).map_err(|error| fail(1, error))?;
        print(&format!("{text}\n"));
    } else {
        print(&text(&found));
    }
    Ok(())
}

fn status(path: &Path) -> Result<Status, ExitCode> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|e| fail(2, format!("cannot read {name}: {e}")))?;
    serde_json::from_str(&text).map_err(|e| fail(2, format!("{name} is no status of banchi: {e}")))
}

fn captured(args: &Args, policy: &Policy) -> Result<(Gathered, Traffic), ExitCode> {
    let read = learn::read(&args.captures, args.max_flows).map_err(|error| fail(2, error))?;
    let image = compile(policy).map_err(|error| fail(1, error))?;
    let mut captures = Captures::open(&args.captures).map_err(|error| fail(2, error))?;
    let bar = progress::bar("holding the policy against it", captures.progress().0);
    let flows = flows(&read.traffic);
    let gathered = gather(&mut captures, policy, &image, flows, args.max_flows, |captures| {
        bar.set_position(captures.progress().1);
    });
    bar.finish_and_clear();
    Ok((gathered, read.traffic))
}

fn text(found: &Usage) -> String {
    let days = found.unused_after_days;
    let count = |state: State| found.rules.iter().filter(|rule| rule.state == state).count();
    let mut text = format!(
        "{} rules: {} used, {} unused for {days} days",
        found.rules.len(),
        count(State::Used),
        count(State::Unused)
    );
    match count(State::Unknown) {
        0 => {}
        unknown => text += &format!(", {unknown} not known"),
    }
    text.push('\n');
    if let Some(since) = &found.counted_since {
        let day = since.get(..10).unwrap_or(since);
        text += &format!("the gateway has counted since {day}, for {:.1} days\n", found.counted_days);
    }
    let rows: Vec<Vec<String>> = found.rules.iter().filter(|rule| is_found(rule)).map(row).collect();
    if !rows.is_empty() {
        text.push('\n');
        let headings = ["line", "rule", "state", "last", "clients", "servers", "ports"];
        text += &table_within(NARROW, &headings, &rows);
    }
    let wide: Vec<(String, String)> = found.rules.iter().filter_map(wide).collect();
    let wide: Vec<(&str, String)> = wide.iter().map(|(name, words)| (name.as_str(), words.clone())).collect();
    if !wide.is_empty() {
        text += "\nnever used, by the captures\n";
        text += &paragraphs_within(NARROW, &wide);
    }
    if !found.unseen_assets.is_empty() {
        let names: Vec<&str> = found.unseen_assets.iter().map(|asset| asset.name.as_str()).collect();
        text.push('\n');
        text += &paragraphs_within(NARROW, &[("assets not seen", names.join(", "))]);
    }
    let rows: Vec<Vec<String>> = found
        .conduits
        .iter()
        .map(|conduit| {
            let ready = &conduit.readiness;
            let mode = if ready.mode == Mode::Enforce { "enforce" } else { "alert" };
            let stops = ready.stops.first().cloned().unwrap_or_default();
            vec![
                conduit.name.clone(),
                mode.to_owned(),
                ready.figure.to_string(),
                ready.verdict.text().to_owned(),
                stops,
            ]
        })
        .collect();
    if !rows.is_empty() {
        text.push('\n');
        text += &table_within(NARROW, &["conduit", "mode", "ready", "", "what stands in the way"], &rows);
    }
    text
}

/// Whether there is something to say of a rule.
fn is_found(rule: &RuleUsage) -> bool {
    rule.state != State::Used || rule.breadth.as_ref().is_some_and(|breadth| breadth.is_wide())
}

fn row(rule: &RuleUsage) -> Vec<String> {
    let share = |share: Option<&Share>| {
        share.map_or_else(|| "-".to_owned(), |one| format!("{}/{}", one.used, one.of))
    };
    let breadth = rule.breadth.as_ref();
    let day = |time: &String| time.get(..10).unwrap_or(time).to_owned();
    vec![
        rule.line.to_string(),
        rule.name.clone(),
        rule.state.name().to_owned(),
        rule.last.as_ref().map_or_else(|| "never".to_owned(), day),
        share(breadth.map(|breadth| &breadth.clients)),
        share(breadth.map(|breadth| &breadth.servers)),
        share(breadth.and_then(|breadth| breadth.ports.as_ref())),
    ]
}

/// What of a rule is not used, in words.
fn wide(rule: &RuleUsage) -> Option<(String, String)> {
    let breadth = rule.breadth.as_ref().filter(|breadth| breadth.is_wide())?;
    let parts = [
        ("clients", Some(&breadth.clients)),
        ("servers", Some(&breadth.servers)),
        ("ports", breadth.ports.as_ref()),
    ];
    let parts = parts.into_iter().filter_map(|(what, share)| Some((what, share?)));
    let words = parts.filter(|(_, share)| !share.unused.is_empty()).map(|(what, share)| {
        let more = if share.more > 0 { format!(" and {} more", share.more) } else { String::new() };
        format!("{what} {}{more}", share.unused.join(", "))
    });
    let name = match rule.name.char_indices().nth(LABEL) {
        Some((end, _)) => format!("{}…", rule.name.get(..end).unwrap_or_default()),
        None => rule.name.clone(),
    };
    Some((name, words.collect::<Vec<_>>().join("; ")))
}
