//! A terminal that a test can read, by tmux.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::agent;
use crate::lab::{DEADLINE, Lab, Process};
use anyhow::{Context as _, Result, bail, ensure};

/// How often to look whether something has appeared.
const LOOK: Duration = Duration::from_millis(50);

/// A shell in a terminal; both end when dropped.
pub struct Screen {
    directory: PathBuf,
    _server: Process,
}

impl Screen {
    /// A terminal in the gateway of a lab, where `banchi` finds that lab's agent.
    pub fn in_lab(lab: &Lab, width: u16, height: u16) -> Result<Self> {
        let environment = [
            ("BANCHI_SOCKET", agent::socket(lab).display().to_string()),
            ("BANCHI_PINS", lab.pins().display().to_string()),
        ];
        Self::start(lab.directory(), &environment, (width, height), |server| lab.gateway().spawn(server))
    }

    /// A terminal where no lab is needed.
    pub fn at(directory: &Path, socket: &Path, width: u16, height: u16) -> Result<Self> {
        let environment = [
            ("BANCHI_SOCKET", socket.display().to_string()),
            ("BANCHI_PINS", directory.join("no-pins").display().to_string()),
        ];
        Self::start(directory, &environment, (width, height), Process::spawn)
    }

    fn start(
        directory: &Path,
        environment: &[(&str, String)],
        (width, height): (u16, u16),
        spawn: impl FnOnce(Command) -> Result<Process>,
    ) -> Result<Self> {
        let settings = directory.join("tmux.conf");
        std::fs::write(&settings, "set -g status off\nset -g default-shell /bin/sh\nset -s escape-time 0\n")?;
        let mut server = tmux(directory)?;
        // In the foreground, so that it ends with the test.
        server
            .arg("-f")
            .arg(&settings)
            .arg("-D")
            .envs(environment.iter().map(|(name, value)| (*name, value)));
        // A shell that says nothing of its own, and does not touch the terminal.
        server.env("PS1", "$ ").env("ENV", "").env_remove("NO_COLOR").env_remove("TMUX");
        let server = spawn(server).context("tmux: `cargo xtask setup` installs it")?;
        let screen = Self { directory: directory.to_owned(), _server: server };
        let size = [width.to_string(), height.to_string()];
        let begin = ["new-session", "-d", "-x", &size[0], "-y", &size[1], "/bin/sh"];
        until("tmux answers", || screen.tmux(&begin).ok(), String::new)?;
        screen.wait("$")?;
        Ok(screen)
    }

    fn tmux(&self, arguments: &[&str]) -> Result<String> {
        // Without its server it would start another one, which nobody ends.
        let output = tmux(&self.directory)?.arg("-N").args(arguments).output()?;
        ensure!(output.status.success(), "tmux {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Types a line into the shell.
    pub fn type_line(&self, line: &str) -> Result<()> {
        self.tmux(&["send-keys", "-l", line])?;
        self.press("Enter")
    }

    /// Sends several lines at once, as somebody pastes them.
    pub fn paste(&self, lines: &str) -> Result<()> {
        self.tmux(&["send-keys", "-l", lines]).map(|_| ())
    }

    /// Presses a key, by its name in tmux.
    pub fn press(&self, key: &str) -> Result<()> {
        self.tmux(&["send-keys", key]).map(|_| ())
    }

    pub fn resize(&self, width: u16, height: u16) -> Result<()> {
        let size = [width.to_string(), height.to_string()];
        self.tmux(&["resize-window", "-x", &size[0], "-y", &size[1]]).map(|_| ())
    }

    /// What stands on the terminal.
    pub fn shown(&self) -> String {
        self.tmux(&["capture-pane", "-p"]).unwrap_or_else(|error| format!("{error:#}"))
    }

    /// The same with the sequences of colours.
    pub fn coloured(&self) -> Result<String> {
        self.tmux(&["capture-pane", "-p", "-e"])
    }

    /// Returns what stands there when the text does.
    pub fn wait(&self, text: &str) -> Result<String> {
        self.wait_for(text, |shown| shown.contains(text))
    }

    /// Returns when the text stands there no more.
    pub fn wait_gone(&self, text: &str) -> Result<String> {
        self.wait_for(&format!("no {text}"), |shown| !shown.contains(text))
    }

    pub fn wait_for(&self, what: &str, wanted: impl Fn(&str) -> bool) -> Result<String> {
        until(what, || Some(self.shown()).filter(|shown| wanted(shown)), || self.shown())
    }

    /// Whether the terminal is as a shell wants it: its own page, a cursor, lines, echo.
    pub fn check_restored(&self) -> Result<()> {
        let flags = self.tmux(&["display-message", "-p", "#{alternate_on} #{cursor_flag}"])?;
        ensure!(flags.trim() == "0 1", "alternate page and cursor: {flags}");
        let name = self.tmux(&["display-message", "-p", "#{pane_tty}"])?;
        let modes = Command::new("stty").arg("-a").arg("-F").arg(name.trim()).output()?;
        let modes = String::from_utf8(modes.stdout)?;
        for mode in ["icanon", "echo", "isig", "icrnl", "opost"] {
            ensure!(modes.split([' ', ';', '\n']).any(|word| word == mode), "no {mode} in {modes}");
        }
        Ok(())
    }
}

fn tmux(directory: &Path) -> Result<Command> {
    let mut command = Command::new("tmux");
    command.arg("-u").arg("-S").arg(directory.join("tmux.sock")).env("LC_ALL", "C.UTF-8").env_remove("TMUX");
    // The shell gets the path of whoever asks for it, and not that of the server.
    let binary = agent::binary()?;
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", binary.parent().context("a folder")?.display()));
    Ok(command)
}

/// Asks until there is an answer.
pub fn until<T>(what: &str, ask: impl FnMut() -> Option<T>, otherwise: impl FnOnce() -> String) -> Result<T> {
    until_within(DEADLINE, what, ask, otherwise)
}

/// The same for what may take longer.
pub fn until_within<T>(
    time: Duration,
    what: &str,
    mut ask: impl FnMut() -> Option<T>,
    otherwise: impl FnOnce() -> String,
) -> Result<T> {
    let deadline = Instant::now() + time;
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        if Instant::now() > deadline {
            bail!("not within {time:?}: {what}\n{}", otherwise());
        }
        std::thread::sleep(LOOK);
    }
}
