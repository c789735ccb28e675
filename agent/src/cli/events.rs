//! `banchi events`: what deviates?

use std::io::Write as _;
use std::process::ExitCode;

use super::pinned::{Seen, ask_or_look};
use super::{Pins, Socket, fail, no_answer};
use crate::control::{ClientError, Request, follow};
use crate::plane::View;

/// Shows the last events of the running agent, and follows them with --follow. Where no agent runs it shows those that
/// wait in the kernel for the next one, which will report them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Go on with every event that comes
    #[arg(short, long)]
    follow: bool,
    /// How many of the last events to begin with; 0 begins with the next
    #[arg(long, default_value_t = 20, value_name = "N")]
    last: usize,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: Socket,
    #[command(flatten)]
    pins: Pins,
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> ExitCode {
    let request = Request::Events { last: args.last, follow: args.follow };
    let mut stdout = std::io::stdout();
    let mut show = |line: &str| {
        let written =
            if args.json { writeln!(stdout, "{line}") } else { writeln!(stdout, "{}", human(line)) };
        written.and_then(|()| stdout.flush()).is_ok()
    };
    let ask = || follow(&args.socket.socket, &request, &mut show).map(|()| Vec::new());
    let look = |view: &View| {
        Ok(view.events()?.iter().filter_map(|report| report.json().ok()).collect::<Vec<String>>())
    };
    match ask_or_look(&args.socket, &args.pins, ask, look) {
        Ok(Seen::Agent(_)) => ExitCode::SUCCESS,
        Ok(Seen::Pins(lines, error)) => {
            for line in lines.iter().skip(lines.len().saturating_sub(args.last)) {
                if !show(line) {
                    return ExitCode::SUCCESS;
                }
            }
            said(args, &error, lines.len())
        }
        Err(code) => code,
    }
}

/// What was shown, and what there is no more of. To follow takes an agent.
fn said(args: &Args, error: &ClientError, waiting: usize) -> ExitCode {
    let what = format!(
        "{}: {waiting} events wait in the kernel for the next one, which reports them; those that it has reported \
         before are in the file of `banchi run --events`",
        error.absence()
    );
    if !args.follow {
        return fail(0, what);
    }
    let _ = fail(0, what);
    no_answer(error)
}

/// The agent puts the line for people into each event.
fn human(line: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    if let Some(missed) = value.get("missed") {
        return format!("({missed} events came faster than they could be shown)");
    }
    value.get("line").and_then(serde_json::Value::as_str).unwrap_or(line).to_owned()
}
