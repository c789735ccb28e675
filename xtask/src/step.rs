//! Running other programs: long steps that show progress and keep a log, and an environment without traces of
//! the cargo that runs us.

use std::{
    env, fs,
    fs::File,
    io::{IsTerminal as _, Write as _},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::paths;

const POLL: Duration = Duration::from_millis(50);
/// How often a log that is not a terminal hears that a step is alive.
const REMINDER: Duration = Duration::from_secs(20);
const TAIL: usize = 40;

/// Says on stderr what happens: stdout belongs to results.
pub(crate) fn say(text: &str) {
    eprintln!("==> {text}");
}

/// Runs a command whose output matters only when it fails. `name` names the log.
pub(crate) fn run(name: &str, text: &str, command: &mut Command) -> Result<()> {
    say(text);
    let log = paths::logs().join(format!("{name}.log"));
    fs::create_dir_all(paths::logs())?;
    let file = File::create(&log).with_context(|| format!("create {}", log.display()))?;
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    let began = Instant::now();
    let mut child = command.spawn().with_context(|| format!("start {}", describe(command)))?;
    let status = wait(&mut child, began)?;
    let seconds = began.elapsed().as_secs_f32();
    if status.success() {
        eprintln!("    done in {seconds:.1} s");
        return Ok(());
    }
    let output = fs::read(&log).unwrap_or_default();
    let output = String::from_utf8_lossy(&output);
    let lines: Vec<_> = output.lines().collect();
    for line in lines.iter().skip(lines.len().saturating_sub(TAIL)) {
        eprintln!("    | {line}");
    }
    bail!(
        "{} failed after {seconds:.1} s ({status}); all of its output: {}",
        describe(command),
        log.display()
    )
}

fn wait(child: &mut Child, began: Instant) -> Result<ExitStatus> {
    let terminal = std::io::stderr().is_terminal();
    let interval = if terminal { Duration::from_secs(1) } else { REMINDER };
    let mut next = interval;
    loop {
        if let Some(status) = child.try_wait()? {
            if terminal {
                eprint!("\r\x1b[K");
            }
            return Ok(status);
        }
        let elapsed = began.elapsed();
        if elapsed >= next {
            next += interval;
            match terminal {
                true => eprint!("\r    {} s", elapsed.as_secs()),
                false => eprintln!("    running for {} s", elapsed.as_secs()),
            }
            std::io::stderr().flush()?;
        }
        thread::sleep(POLL);
    }
}

/// Runs a command that speaks for itself (cargo), with its stdout on our stderr.
pub(crate) fn show(command: &mut Command) -> Result<()> {
    command.stdin(Stdio::null()).stdout(std::io::stderr());
    let status = command.status().with_context(|| format!("start {}", describe(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", describe(command));
    }
    Ok(())
}

/// The standard output of a command that succeeds, or nothing.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Whether a command succeeds; its output is of no interest.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    output(command).is_some()
}

/// The program and its arguments, without the environment.
pub(crate) fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// The cargo that runs us, for user space.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    scrub(&mut command, &["CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"]);
    command.current_dir(paths::root());
    command
}

/// Another compiler's cargo: nothing of the one that runs us may reach it.
pub(crate) fn foreign_cargo(program: &std::path::Path) -> Command {
    let mut command = Command::new(program);
    scrub(
        &mut command,
        &[
            "CARGO_BUILD_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
            "CARGO_ENCODED_",
            "CARGO_MANIFEST_",
            "CARGO_PKG_",
            "CARGO_PRIMARY_",
            "CARGO_PROFILE_",
            "CARGO_TARGET_",
            "CARGO_UNSTABLE_",
            "RUSTC",
            "RUSTDOC",
            "RUSTFLAGS",
            "RUSTUP_TOOLCHAIN",
        ],
    );
    // Cargo points the loader at its own compiler's libraries.
    for name in ["CARGO", "LD_LIBRARY_PATH"] {
        command.env_remove(name);
    }
    command
}

fn scrub(command: &mut Command, prefixes: &[&str]) {
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if prefixes.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
}
