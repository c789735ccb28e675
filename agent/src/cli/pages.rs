//! `banchi pages`: man pages and completions for shells, from the command line as it is.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Cli, fail};

/// Writes a man page for each verb to `man/`, and completions for bash, zsh and fish to `completions/`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The directory for both; it is made where it is not there
    directory: PathBuf,
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> ExitCode {
    match write(&args.directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(2, format!("cannot write to {}: {error}", args.directory.display())),
    }
}

fn write(directory: &Path) -> io::Result<()> {
    let (man, completions) = (directory.join("man"), directory.join("completions"));
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    let mut command = Cli::command().disable_help_subcommand(true);
    let mut shown = shown(&command);
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut shown, "banchi", &completions)?;
    }
    command.build();
    page(&command, "banchi", &man)?;
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    verbs.map(|verb| (verb, format!("banchi-{}", verb.get_name()))).try_for_each(|(verb, name)| {
        // Its name on the command line is that of its page, so that `man` finds one from the other.
        page(&verb.clone().display_name(&name), &name, &man)
    })
}

/// The command line without hidden verbs, which bash would offer all the same.
fn shown(command: &Command) -> Command {
    Command::new("banchi")
        .version(env!("CARGO_PKG_VERSION"))
        .propagate_version(true)
        .disable_help_subcommand(true)
        .args(command.get_arguments().cloned())
        .subcommands(command.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned())
}

fn page(command: &Command, name: &str, directory: &Path) -> io::Result<()> {
    Man::new(command.clone()).render(&mut File::create(directory.join(format!("{name}.1")))?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn no_shell_offers_what_is_hidden_and_each_the_rest() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path()).unwrap();
        for file in ["banchi.bash", "_banchi", "banchi.fish"] {
            let text = fs::read_to_string(directory.path().join("completions").join(file)).unwrap();
            let says = |word: &str| text.split(|c: char| !c.is_ascii_alphanumeric()).any(|one| one == word);
            let (hidden, offered): (Vec<Command>, Vec<Command>) =
                Cli::command().get_subcommands().cloned().partition(Command::is_hide_set);
            assert!(!hidden.is_empty());
            assert!(hidden.iter().all(|verb| !says(verb.get_name())), "{file}");
            assert!(offered.iter().all(|verb| says(verb.get_name())), "{file}");
            assert!(says("walk") && says("malicious"), "{file}: verbs of verbs");
        }
    }
}
