//! `banchi events`: what deviates?

use std::io::Write as _;
use std::process::ExitCode;

use super::{Socket, no_answer};
use crate::control::{Request, follow};

/// Shows the last events of the running agent, and follows them with --follow.
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
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> ExitCode {
    let request = Request::Events { last: args.last, follow: args.follow };
    let mut stdout = std::io::stdout();
    let result = follow(&args.socket.socket, &request, |line| {
        let written =
            if args.json { writeln!(stdout, "{line}") } else { writeln!(stdout, "{}", human(line)) };
        written.and_then(|()| stdout.flush()).is_ok()
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => no_answer(&error),
    }
}

/// The agent puts the line for people into each event.
fn human(line: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    if let Some(missed) = value.get("missed") {
        return format!("({missed} events came faster than they could be shown)");
    }
    value.get("line").and_then(serde_json::Value::as_str).unwrap_or(line).to_owned()
}
