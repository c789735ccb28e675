//! However it ends, the terminal is as before. Where there is none, it says what to use instead.

use anyhow::{Result, ensure};
use banchi_tests::agent;
use banchi_tests::lab::{DEADLINE, Process};
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::process::Command;

use super::flood::Pouring;
use banchi_tests::screen::{Screen, until};

/// Starts it in a terminal, and lets it end; it has to end with this code.
fn ends(command: &str, code: u8, end: impl FnOnce(&Screen, Pid) -> Result<()>) -> Result<()> {
    ends_in(tempfile::tempdir()?.path(), command, code, end).map(|_| ())
}

fn ends_in(
    directory: &Path,
    command: &str,
    code: u8,
    end: impl FnOnce(&Screen, Pid) -> Result<()>,
) -> Result<String> {
    let agent = Pouring::start(directory, false)?;
    let screen = Screen::at(directory, agent.socket(), 80, 24)?;
    let pid = directory.join("pid");
    screen.type_line(&format!(
        "sh -c 'echo $$ > {}; exec {command}'; echo ended with $? of it",
        pid.display()
    ))?;
    screen.wait("Anomalies")?;
    let pid = until("a process id", || std::fs::read_to_string(&pid).ok()?.trim().parse().ok(), String::new)?;
    end(&screen, Pid::from_raw(pid).unwrap())?;
    let shown = screen.wait(&format!("ended with {code} of it"))?;
    screen.check_restored()?;
    Ok(shown)
}

#[test]
fn by_a_key() -> Result<()> {
    ends("banchi top", 0, |screen, _| screen.press("q"))?;
    ends("banchi top", 0, |screen, _| screen.press("C-c"))
}

#[test]
fn by_a_signal() -> Result<()> {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 129)] {
        ends("banchi top", code, |_, pid| Ok(kill_process(pid, signal)?))?;
    }
    Ok(())
}

#[test]
fn by_a_terminal_that_is_gone() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let agent = Pouring::start(directory.path(), false)?;
    let screen = Screen::at(directory.path(), agent.socket(), 80, 24)?;
    let file = directory.path().join("pid");
    screen.type_line(&format!("sh -c 'echo $$ > {}; exec banchi top'", file.display()))?;
    screen.wait("Anomalies")?;
    let pid: i32 =
        until("a process id", || std::fs::read_to_string(&file).ok()?.trim().parse().ok(), String::new)?;
    let process = format!("/proc/{pid}/stat");
    ensure!(std::fs::read_to_string(&process)?.contains("(banchi)"));
    drop(screen);
    // Whoever inherits it may not have taken note of its end yet.
    let gone = || match std::fs::read_to_string(&process) {
        Ok(stat) if !stat.contains("(banchi) Z") => None,
        Ok(_) | Err(_) => Some(()),
    };
    until("banchi top to end", gone, || process.clone())
}

#[test]
fn by_a_panic() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("panic");
    let command = format!("{} {}", env!("CARGO_BIN_EXE_top_panics"), file.display());
    let shown = ends_in(directory.path(), &command, 101, |_, _| Ok(std::fs::write(&file, "")?))?;
    ensure!(shown.contains("on purpose"), "what went wrong can be read:\n{shown}");
    Ok(())
}

#[test]
fn without_colours_where_nobody_wants_them() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let agent = Pouring::start(directory.path(), false)?;
    let screen = Screen::at(directory.path(), agent.socket(), 80, 24)?;
    let coloured = |text: &str| {
        let codes = text.split("\u{1b}[").skip(1).filter_map(|rest| rest.split('m').next());
        let mut codes = codes.flat_map(|codes| codes.split(';')).filter_map(|code| code.parse::<u8>().ok());
        codes.any(|code| matches!(code, 30..=38 | 40..=48 | 90..=107))
    };
    screen.type_line("banchi top")?;
    screen.wait("Anomalies")?;
    ensure!(coloured(&screen.coloured()?), "{}", screen.coloured()?);
    screen.press("q")?;
    screen.wait_gone("Anomalies")?;
    screen.type_line("NO_COLOR=1 banchi top")?;
    screen.wait("Anomalies")?;
    ensure!(!coloured(&screen.coloured()?), "{}", screen.coloured()?);
    screen.press("q")?;
    screen.wait_gone("Anomalies").map(|_| ())
}

#[test]
fn where_there_is_no_terminal() -> Result<()> {
    let mut command = Command::new(agent::binary()?);
    command.arg("top");
    let output = Process::spawn(command)?.finish(DEADLINE)?;
    ensure!(output.status.code() == Some(2) && output.stdout.is_empty(), "{output}");
    ensure!(output.stderr.contains("banchi status --json"), "{output}");

    let directory = tempfile::tempdir()?;
    let screen = Screen::at(directory.path(), &directory.path().join("nobody.sock"), 100, 24)?;
    screen.type_line("TERM=dumb banchi top; echo ended with $? of it")?;
    let shown = screen.wait("ended with 2 of it")?;
    ensure!(shown.contains("TERM=dumb"), "{shown}");
    screen.type_line("clear; banchi top; echo ended with $? of it")?;
    let shown = screen.wait("ended with 20 of it")?;
    ensure!(shown.contains("no banchi runs"), "as any verb says it:\n{shown}");
    screen.check_restored()
}
