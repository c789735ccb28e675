//! The commands of `docs/runbook.md`.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Result, bail, ensure};

use super::built::checkout;

/// Those that nobody has run yet, with their lines in the page.
#[derive(Debug)]
pub(crate) struct Runbook {
    all: BTreeMap<String, usize>,
    left: BTreeMap<String, usize>,
}

impl Runbook {
    pub(crate) fn read() -> Result<Self> {
        let all = commands(&fs::read_to_string(checkout().join("docs/runbook.md"))?);
        ensure!(all.len() > 40, "the runbook has {} commands", all.len());
        Ok(Self { left: all.clone(), all })
    }

    /// Notes that a command is run; what the page does not have is not the newcomer's path.
    pub(crate) fn take(&mut self, command: &str) -> Result<()> {
        if !self.all.contains_key(command) {
            bail!("docs/runbook.md has no command `{command}`");
        }
        self.left.remove(command);
        Ok(())
    }

    /// Fails with every command that was not run.
    pub(crate) fn finish(self) -> Result<()> {
        let left: Vec<_> =
            self.left.iter().map(|(command, line)| format!("docs/runbook.md:{line}: {command}")).collect();
        ensure!(left.is_empty(), "commands of the runbook that nothing runs:\n{}", left.join("\n"));
        println!("{} commands of the runbook", self.all.len());
        Ok(())
    }
}

/// The lines of all blocks `sh` and `console` (there those with a prompt), without comments.
fn commands(text: &str) -> BTreeMap<String, usize> {
    let mut block = None;
    let mut found = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if let Some(language) = line.strip_prefix("```") {
            block = if block.is_none() { Some(language) } else { None };
            continue;
        }
        let command = match block {
            Some("sh") => line,
            Some("console") => line.strip_prefix("$ ").unwrap_or_default(),
            _ => continue,
        };
        let command = command.split(" #").next().unwrap_or_default().trim();
        if !command.is_empty() && !command.starts_with('#') {
            found.entry(command.to_owned()).or_insert(number);
        }
    }
    found
}

#[test]
fn commands_are_lines_of_shell_blocks() {
    let text = "prose\n```sh\n# a remark\nsudo one --all   # why\ntwo\n```\n```yaml\nthree: 3\n```\n\
                1. item\n\n   ```console\n   $ four\n   output\n   ```\n`five`\n";
    let found: Vec<_> = commands(text).into_iter().collect();
    let expected = [("four", 13), ("sudo one --all", 4), ("two", 5)];
    assert_eq!(found, expected.map(|(command, line)| (command.to_owned(), line)));
}
