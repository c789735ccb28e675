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
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut command, "banchi", &completions)?;
    }
    command.build();
    page(&command, "banchi", &man)?;
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    verbs.map(|verb| (verb, format!("banchi-{}", verb.get_name()))).try_for_each(|(verb, name)| {
        // Its name on the command line is that of its page, so that `man` finds one from the other.
        page(&verb.clone().display_name(&name), &name, &man)
    })
}

fn page(command: &Command, name: &str, directory: &Path) -> io::Result<()> {
    Man::new(command.clone()).render(&mut File::create(directory.join(format!("{name}.1")))?)
}
