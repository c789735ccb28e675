//! What the output of the test harness says.

use std::fmt;

/// The results of one or more test executables.
#[derive(Default)]
pub(crate) struct Report {
    suites: Vec<Suite>,
    failures: Vec<String>,
    skipped: Vec<String>,
    current: String,
}

struct Suite {
    name: String,
    passed: u32,
    failed: u32,
    ignored: u32,
}

impl Report {
    /// Reads one line of output.
    pub(crate) fn read(&mut self, line: &str) {
        let line = line.trim();
        if let Some(name) = line.strip_prefix("Running ").or_else(|| line.strip_prefix("Doc-tests ")) {
            self.current = name.split(" (").next().unwrap_or(name).to_owned();
            if let Some(binary) = name.rsplit('/').next().and_then(|path| path.split('-').next()) {
                self.current = format!("{binary}: {}", self.current);
            }
        } else if let Some(result) = line.strip_prefix("test result: ") {
            let count = |what| {
                let mut words = result.split(['.', ';']).map(str::trim);
                words.find_map(|words| words.strip_suffix(what)?.trim().parse().ok()).unwrap_or(0)
            };
            let (passed, failed, ignored) = (count("passed"), count("failed"), count("ignored"));
            self.suites.push(Suite { name: self.current.clone(), passed, failed, ignored });
        } else if let Some(what) = line.strip_prefix("NOT RUN: ") {
            self.skipped.push(format!("{what} ({})", self.current));
        } else if let Some(test) = line.strip_prefix("test ").and_then(|test| test.strip_suffix("... FAILED"))
        {
            self.failures.push(format!("{} ({})", test.trim(), self.current));
        }
    }

    /// Tests that passed.
    pub(crate) fn passed(&self) -> u32 {
        self.suites.iter().map(|suite| suite.passed).sum()
    }

    /// Whether something passed and nothing failed.
    pub(crate) fn success(&self) -> bool {
        self.passed() > 0 && self.failures.is_empty() && self.suites.iter().all(|suite| suite.failed == 0)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "==> summary: passed, failed, ignored")?;
        for Suite { name, passed, failed, ignored } in &self.suites {
            if passed + failed + ignored > 0 {
                writeln!(formatter, "    {passed:>5} {failed:>4} {ignored:>4}  {name}")?;
            }
        }
        for failure in &self.failures {
            writeln!(formatter, "    FAILED: {failure}")?;
        }
        for skipped in &self.skipped {
            writeln!(formatter, "    NOT RUN: {skipped}")?;
        }
        let sum = |count: fn(&Suite) -> u32| self.suites.iter().map(count).sum::<u32>();
        let (failed, ignored) = (sum(|suite| suite.failed), sum(|suite| suite.ignored));
        writeln!(formatter, "    {:>5} {failed:>4} {ignored:>4}  in all", self.passed())
    }
}

#[cfg(test)]
mod tests {
    use super::Report;

    fn report(text: &str) -> Report {
        let mut report = Report::default();
        text.lines().for_each(|line| report.read(line));
        report
    }

    #[test]
    fn success_is_a_test_that_passed() {
        let one = report("test result: ok. 1 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out");
        assert!(one.success());
        assert_eq!(one.passed(), 1);
    }

    #[test]
    fn no_test_is_no_success() {
        assert!(!report("").success());
        assert!(
            !report("test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out").success()
        );
    }

    #[test]
    fn what_did_not_run_is_in_the_summary() {
        let text = "Running captures/main.rs (target/debug/deps/captures-0123)\n\
                    NOT RUN: no captures\n\
                    test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out";
        let report = report(text);
        assert!(report.success());
        assert!(report.to_string().contains("NOT RUN: no captures (captures: captures/main.rs)"), "{report}");
    }

    #[test]
    fn a_failure_outweighs_what_passed() {
        let text = "Running unittests src/lib.rs (target/debug/deps/banchi-0123)\n\
                    test policy::parses ... FAILED\n\
                    test result: FAILED. 7 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out";
        let report = report(text);
        assert!(!report.success());
        assert!(
            report.to_string().contains("FAILED: policy::parses (banchi: unittests src/lib.rs)"),
            "{report}"
        );
    }
}
