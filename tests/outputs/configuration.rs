//! The configuration file: what it may say, and what it says about mistakes.

use anyhow::{Context as _, Result, ensure};
use banchi::config::{self, Destination, Rotation};
use banchi::policy::render::Style;

#[test]
fn what_is_left_out_has_the_documented_value() -> Result<()> {
    let text = "version: 1
metrics: {}
outputs:
  packets: { kind: pcapng, path: /var/log/banchi/evidence.pcapng }
  siem: { kind: syslog, to: \"udp://siem.example\" }
  journal: { kind: journal }
";
    let config = config::load("agent.yaml", text).config.context("the configuration")?;
    ensure!(config.metrics.map(|at| at.to_string()) == Some("127.0.0.1:9477".to_owned()));
    let [packets, siem, journal] = config.outputs.as_slice() else { anyhow::bail!("{config:?}") };
    let Destination::Pcapng { rotation, .. } = &packets.to else { anyhow::bail!("{packets:?}") };
    ensure!(*rotation == Rotation { size: 16 << 20, keep: 7 } && packets.queue == 8_192);
    ensure!(siem.to.place() == "udp://siem.example:514");
    ensure!(journal.to.place() == "/run/systemd/journal/socket");
    Ok(())
}

/// Each mistake, the text that is underlined, and a piece of the help.
const MISTAKES: &[(&str, &str, &str, &str)] = &[
    ("eve: { kind: eve, paht: /a }", "unknown-key", "paht", "did you mean `path`?"),
    ("eve: { kind: eve }", "missing-key", "eve", "add `path:"),
    ("eve: { kind: evee, path: /a }", "invalid-value", "evee", "did you mean `eve`?"),
    ("eve: { kind: eve, path: eve.json }", "invalid-value", "eve.json", "absolute"),
    ("eve: { kind: eve, path: /a, keep: 3 }", "key-not-applicable", "3", "rotate_at"),
    (
        "eve: { kind: eve, path: /a, to: \"udp://a\" }",
        "key-not-applicable",
        "\"udp://a\"",
        "`syslog`, `mqtt`",
    ),
    ("j: { kind: journal, to: \"udp://a\" }", "key-not-applicable", "\"udp://a\"", "`syslog`, `mqtt`"),
    ("j: { kind: journal, spool_size: 1MiB }", "key-not-applicable", "1MiB", "spool"),
    ("j: { kind: journal, path: /a, keep: 3 }", "key-not-applicable", "3", "`pcapng`"),
    ("eve: { kind: eve, path: /a, rotate_at: 64MB }", "invalid-value", "64MB", "64MiB"),
    ("eve: { kind: eve, path: /a, queue: 3 }", "invalid-value", "3", "64 to 65535"),
    ("s: { kind: syslog, to: \"mqtt://a\" }", "invalid-value", "\"mqtt://a\"", "udp://"),
    ("s: { kind: syslog, to: \"tls://a\" }", "missing-key", "syslog", "ca"),
    ("s: { kind: syslog, to: \"tcp://a\", ca: /a }", "key-not-applicable", "/a", "tls://"),
    ("s: { kind: syslog, to: \"tcp://a:0\" }", "invalid-value", "\"tcp://a:0\"", "a port"),
    ("s: { kind: syslog, to: \"tcp://a\", spool_size: 1MiB }", "key-not-applicable", "1MiB", "spool"),
    ("s: { kind: syslog, to: \"tls://a\", ca: /a, cert: /b }", "missing-key", "syslog", "key"),
    ("m: { kind: mqtt, to: \"mqtt://a\", topic: \"a/#\" }", "invalid-value", "\"a/#\"", "no `#`"),
    ("m: { kind: mqtt, to: \"mqtt://a\", username: me }", "missing-key", "mqtt", "password_file"),
    ("a: { kind: eve, path: /a }, b: { kind: json, path: /a }", "conflicting-keys", "/a", "of its own"),
];

#[test]
fn every_mistake_is_shown_where_it_is_with_what_to_do() -> Result<()> {
    for (outputs, code, text, help) in MISTAKES {
        let yaml = format!("version: 1\noutputs: {{ {outputs} }}\n");
        let loaded = config::load("agent.yaml", &yaml);
        ensure!(loaded.config.is_none(), "{outputs} is taken");
        let [one] = loaded.diagnostics.as_slice() else {
            anyhow::bail!("{outputs}: {}", loaded.render(&yaml, Style::Plain));
        };
        let rendered = loaded.render(&yaml, Style::Plain);
        ensure!(one.code == *code, "{outputs}: {rendered}");
        ensure!(one.labels.first().is_some_and(|label| label.text == *text), "{outputs}: {rendered}");
        ensure!(one.help.as_ref().is_some_and(|found| found.contains(help)), "{outputs}: {rendered}");
        ensure!(rendered.contains("agent.yaml:2:"), "{rendered}");
    }
    Ok(())
}

#[test]
fn a_policy_is_no_configuration_and_the_other_way_round() {
    assert!(config::load("a", "version: 1\nzones: {}\n").config.is_none());
    assert!(config::load("a", "# nothing\n").config.is_none());
    assert!(config::load("a", "version: 2\n").config.is_none());
    let policy = banchi::policy::load("a", "version: 1\noutputs: {}\n");
    assert!(policy.diagnostics.iter().any(|one| one.message.contains("has no key `outputs`")));
}
