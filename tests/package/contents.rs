//! What is in the package, and what Debian says about it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use banchi_tests::agent;
use banchi_tests::lab::{DEADLINE, Output, Process};

use super::built::{checkout, packages};

/// Runs a program to its end.
fn output(program: &str, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(program);
    command.args(arguments).env("LC_ALL", "C.UTF-8");
    Process::spawn(command)?.finish(6 * DEADLINE)
}

/// Runs one that has to succeed; yields what it printed.
fn check(program: &str, arguments: &[&str]) -> Result<String> {
    let output = output(program, arguments)?;
    ensure!(output.status.success(), "{program} {arguments:?}: {output}");
    Ok(output.stdout)
}

/// The verbs as `banchi help` lists them.
fn verbs() -> Result<Vec<String>> {
    let help = check(agent::binary()?.to_str().unwrap(), &["help"])?;
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    // What a verb does may take more lines than one, and those stand further in.
    let list = list.take_while(|line| !line.is_empty()).filter_map(|line| line.strip_prefix("  "));
    let list = list.filter(|line| !line.starts_with(' ')).filter_map(|line| line.split_whitespace().next());
    let verbs: Vec<_> = list.filter(|verb| *verb != "help").map(str::to_owned).collect();
    ensure!(verbs.len() > 20, "{help}");
    Ok(verbs)
}

#[test]
fn debian_has_nothing_to_say_against_it() -> Result<()> {
    let package = packages()?.this.to_str().unwrap();
    let mut command = Command::new("lintian");
    command.args(["--fail-on", "error,warning", "--allow-root", package]);
    let said = Process::spawn(command)?.finish(Duration::from_secs(120))?;
    ensure!(said.status.success() && said.stdout.is_empty(), "{said}");
    let fields = check("dpkg-deb", &["--field", package, "Depends", "Version"])?;
    ensure!(fields.contains("libc6 (>= ") && fields.contains("Version: 0.1.0-1"), "{fields}");
    Ok(())
}

#[test]
fn it_holds_what_a_gateway_needs_and_no_policy() -> Result<()> {
    let list = check("dpkg-deb", &["--contents", packages()?.this.to_str().unwrap()])?;
    let files: Vec<_> = list.lines().filter_map(|line| line.split(" .").nth(1)).collect();
    for file in [
        "/usr/bin/banchi",
        "/usr/lib/systemd/system/banchi.service",
        "/usr/lib/systemd/catalog/banchi.catalog",
        "/etc/banchi/agent.yaml",
        "/usr/share/banchi/prometheus/banchi.rules.yml",
        "/usr/share/banchi/grafana/banchi.json",
        "/usr/share/doc/banchi/copyright",
        "/usr/share/doc/banchi/crates.txt",
        "/usr/share/doc/banchi/docs/runbook.md",
        "/usr/share/doc/banchi/examples/plant.yaml",
    ] {
        ensure!(files.contains(&file), "{file} is missing:\n{list}");
    }
    let configuration: Vec<_> =
        files.iter().filter(|file| file.starts_with("/etc/") && !file.ends_with('/')).collect();
    ensure!(configuration == [&"/etc/banchi/agent.yaml"], "{configuration:?}");
    for verb in verbs()? {
        let page = format!("/usr/share/man/man1/banchi-{verb}.1.gz");
        ensure!(files.contains(&page.as_str()), "{verb} has no page");
    }
    for example in std::fs::read_dir(checkout().join("examples"))?.flatten() {
        let name = format!("/usr/share/doc/banchi/examples/{}", example.file_name().to_string_lossy());
        ensure!(files.contains(&name.as_str()), "{name} is missing");
    }
    Ok(())
}

#[test]
fn every_verb_has_a_page_and_the_shells_know_it() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().to_str().unwrap();
    check(agent::binary()?.to_str().unwrap(), &["pages", path])?;
    let mut verbs = verbs()?;
    let completed = completed(directory.path())?;
    for verb in &verbs {
        ensure!(completed.contains(verb), "bash does not complete {verb}: {completed:?}");
    }
    let more = completed.iter().find(|word| !word.starts_with('-') && !verbs.contains(word));
    ensure!(more.is_none(), "bash completes what the help does not have: {more:?}");
    check("zsh", &["--no-exec", &format!("{path}/completions/_banchi")])?;
    check("fish", &["--no-execute", &format!("{path}/completions/banchi.fish")])?;

    let pages = std::fs::read_dir(directory.path().join("man"))?.flatten();
    let mut pages: Vec<_> = pages.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    pages.sort();
    verbs.sort();
    let mut expected: Vec<_> = verbs.iter().map(|verb| format!("banchi-{verb}.1")).collect();
    expected.push("banchi.1".to_owned());
    ensure!(pages == expected, "{pages:?}");
    for page in pages {
        let shown = output("man", &["--warnings=all", "--local-file", &format!("{path}/man/{page}")])?;
        ensure!(shown.status.success() && shown.stderr.is_empty(), "{page}: {shown}");
        ensure!(shown.stdout.contains("SYNOPSIS"), "{page}: {shown}");
    }
    Ok(())
}

/// What bash offers behind `banchi `.
fn completed(directory: &Path) -> Result<Vec<String>> {
    let script = "source /usr/share/bash-completion/bash_completion; source \"$0\"; \
                  COMP_WORDS=(banchi ''); COMP_CWORD=1; _banchi banchi '' banchi; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let file = directory.join("completions/banchi.bash");
    let words = check("bash", &["-c", script, file.to_str().unwrap()])?;
    Ok(words.lines().map(str::to_owned).collect())
}
