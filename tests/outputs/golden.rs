//! What each format looks like, byte by byte, and that the tools it is for read it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use banchi::config;
use banchi::events::{Kind, Report};
use banchi::outputs::{Outputs, Syslog, alert};
use banchi_tests::lab::Process;
use serde_json::Value;

use super::{PATIENCE, reports, until};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("outputs/golden").join(name)
}

fn compare(name: &str, found: &str) {
    let path = golden(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, found).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert_eq!(found, expected, "{} is stale: see outputs/main.rs", path.display());
}

#[test]
fn golden_eve() -> Result<()> {
    let records: Vec<Value> = reports::samples().iter().map(|report| alert(report)).collect();
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(golden("eve.schema.json"))?)?;
    let validator = jsonschema::validator_for(&schema)?;
    for record in &records {
        let errors: Vec<String> = validator.iter_errors(record).map(|error| error.to_string()).collect();
        ensure!(errors.is_empty(), "{errors:?} in {record:#}");
    }
    // The schema does refuse.
    for (key, wrong) in [
        ("/alert/action", Value::from("drop")),
        ("/timestamp", Value::from("2026-03-04T05:06:08Z")),
        ("/dest_port", Value::from("502")),
        ("/community_id", Value::from("LQU9qZlK")),
        ("/verdict/action", Value::from("would-drop")),
    ] {
        let mut record = records[0].clone();
        *record.pointer_mut(key).context(key)? = wrong;
        ensure!(!validator.is_valid(&record), "{key} is not checked");
    }
    let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
    compare("eve.jsonl", &lines);
    Ok(())
}

#[test]
fn golden_syslog() {
    let syslog = Syslog::of(config::Facility(16), "gateway-7.plant.example", 4711);
    let lines: String = reports::samples().iter().map(|report| syslog.message(report) + "\n").collect();
    compare("syslog.txt", &lines);
}

/// Runs outputs of a configuration over events, to the end.
fn run(config: &str, events: &[Arc<Report>]) -> Result<Vec<banchi::outputs::OutputStatus>> {
    let loaded = config::load("agent.yaml", config);
    let config = loaded.config.with_context(|| format!("{:?}", loaded.diagnostics))?;
    let outputs = Outputs::start(&config)?;
    for event in events {
        outputs.publish(event);
    }
    until("everything is written", || Ok(outputs.status().iter().all(|one| one.waiting == 0)))?;
    Ok(outputs.end())
}

fn fields(file: &Path, fields: &[&str]) -> Result<Vec<Vec<String>>> {
    let mut command = Command::new("tshark");
    // tshark gives up privileges to read what only root may.
    command
        .args(["-n", "--enable-protocol", "communityid", "-T", "fields", "-E", "separator=\t", "-r"])
        .arg(file);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = Process::spawn(command)?.finish(PATIENCE)?;
    ensure!(output.status.success(), "tshark: {output}");
    Ok(output.stdout.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
}

#[test]
fn packets_open_in_tshark_with_verdict_reason_and_the_same_community_id() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("evidence.pcapng");
    let yaml = format!(
        "version: 1\noutputs:\n  packets: {{ kind: pcapng, path: {}, rotate_at: 64KiB, keep: 2 }}\n",
        file.display()
    );
    let samples = reports::samples();
    let status = run(&yaml, &samples)?;
    let packets: Vec<&Arc<Report>> = samples.iter().filter(|report| report.kind == Kind::Deviation).collect();
    ensure!((status[0].sent, status[0].lost, status[0].offered) == (5, 0, 5), "{status:?}");
    let names = [
        "frame.time_epoch",
        "frame.comment",
        "frame.interface_name",
        "frame.len",
        "frame.cap_len",
        "communityid",
        "frame.verdict.ebpf_xdp",
    ];
    let rows = fields(&file, &names)?;
    ensure!(rows.len() == packets.len(), "{rows:?}");
    for (row, report) in rows.iter().zip(&packets) {
        let (seconds, nanoseconds) = (report.unix_ns / 1_000_000_000, report.unix_ns % 1_000_000_000);
        ensure!(row[0] == format!("{seconds}.{nanoseconds:09}"), "{row:?}");
        let said = format!("reason={}", report.reason.about().name);
        ensure!(row[1].starts_with("banchi verdict=") && row[1].contains(&said), "{row:?}");
        ensure!(Some(row[2].as_str()) == report.interface.as_deref(), "{row:?}");
        ensure!(row[3] == report.length.to_string(), "{row:?}");
        ensure!(row[4] == report.frame.len().to_string(), "{row:?}");
        let own = alert(report);
        ensure!(row[5] == own["community_id"].as_str().unwrap_or(""), "{row:?} {own}");
        let xdp = if own["verdict"]["action"] == "drop" { "1" } else { "2" };
        ensure!(row[6] == xdp, "{row:?}");
    }
    // The next agent goes on in the same file, also where the last one was cut off within a block.
    let length = std::fs::metadata(&file)?.len();
    std::fs::OpenOptions::new().write(true).open(&file)?.set_len(length - 7)?;
    run(&yaml, &samples)?;
    ensure!(fields(&file, &["frame.number"])?.len() == 4 + 5);
    // Rotation: the size is a bound, and so is the number of files.
    let many: Vec<Arc<Report>> = (0..400).flat_map(|_| samples.clone()).collect();
    run(&yaml, &many)?;
    let mut files: Vec<_> = std::fs::read_dir(directory.path())?.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    ensure!(files.len() == 3, "{files:?}");
    for file in &files {
        ensure!(std::fs::metadata(file)?.len() <= 64 << 10, "{}", file.display());
        ensure!(!fields(file, &["frame.comment"])?.is_empty(), "{}", file.display());
    }
    Ok(())
}

#[test]
fn files_of_lines_are_renamed_at_their_size_and_lose_nothing() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let path = |name: &str| directory.path().join(name).display().to_string();
    let yaml = format!(
        "version: 1\noutputs:\n  eve: {{ kind: eve, path: {}, rotate_at: 512KiB, keep: 20 }}\n  json: {{ kind: json, path: {} }}\n",
        path("eve.json"),
        path("events.jsonl"),
    );
    let samples = reports::samples();
    let many: Vec<Arc<Report>> = (0..500).flat_map(|_| samples.clone()).collect();
    let status = run(&yaml, &many)?;
    ensure!(status.iter().all(|one| (one.sent, one.lost) == (3_000, 0)), "{status:?}");
    let (mut eve, mut json, mut renamed) = (0, 0, 0);
    for entry in std::fs::read_dir(directory.path())? {
        let path = entry?.path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path)?;
        ensure!(text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{name}");
        if name.starts_with("eve.json") {
            ensure!(text.len() <= 512 << 10, "{name} has {} bytes", text.len());
            eve += text.lines().count();
            renamed += usize::from(name != "eve.json");
        } else {
            json += text.lines().count();
        }
    }
    ensure!((eve, json) == (3_000, 3_000) && renamed > 3, "{eve} {json} {renamed}");
    Ok(())
}
