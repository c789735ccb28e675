//! Real protocol stacks as clients and servers: the Python scripts in `peers/`, run inside the lab.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::lab::{DEADLINE, Host, Namespace, Process};

/// One request and its answer, as a client script reports it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Exchange {
    /// Its number, from 1.
    #[serde(rename = "exchange")]
    pub number: u32,
    /// Whether the answer came and was the right one.
    pub ok: bool,
    /// What was read.
    pub value: Option<serde_json::Value>,
    /// What went wrong.
    pub error: Option<String>,
    /// How long it took, in milliseconds.
    pub ms: f64,
}

/// A peer that does something when it is told to, as the script's own help says.
#[derive(Debug)]
pub struct Peer {
    process: Process,
}

impl Peer {
    /// Starts a script of `peers/` that takes commands; it is ready when this returns.
    ///
    /// # Errors
    /// If it does not start.
    pub fn new(host: &Namespace, script: &str, arguments: &[&str]) -> Result<Self> {
        let process = host.spawn_listening(command(script, arguments)?)?;
        process.wait_stdout(is_ready, DEADLINE)?;
        Ok(Self { process })
    }

    /// Has it do something, and returns what came of that.
    ///
    /// # Errors
    /// If it is not done in time.
    pub fn tell(&self, command: &str) -> Result<Exchange> {
        let from = self.lines();
        self.process.tell(command)?;
        let (_, line) =
            self.process.wait_stdout_from(from, |line| line.contains(r#""exchange": "#), DEADLINE)?;
        serde_json::from_str(&line).with_context(|| format!("a peer printed {line:?}"))
    }

    /// Has it do something that has to succeed.
    ///
    /// # Errors
    /// If it does not.
    pub fn succeed(&self, command: &str) -> Result<serde_json::Value> {
        let exchange = self.tell(command)?;
        ensure!(exchange.ok, "{command}: {exchange:?}");
        Ok(exchange.value.unwrap_or_default())
    }

    /// How many lines it has printed: a number for [`wait_from`](Self::wait_from).
    pub fn lines(&self) -> usize {
        self.process.stdout().len()
    }

    /// Waits for a line at or after number `from` that contains `text`.
    ///
    /// # Errors
    /// If it does not come in time.
    pub fn wait_from(&self, from: usize, text: &str) -> Result<()> {
        self.process.wait_stdout_from(from, |line| line.contains(text), DEADLINE).map(|_| ())
    }
}

/// A Modbus/TCP server (pymodbus) on port 502, which listens when this returns.
///
/// # Errors
/// If it does not start.
pub fn modbus_server(host: &Namespace, listen: &str) -> Result<Process> {
    server(host, "modbus_server.py", &["--listen", listen])
}

/// A Modbus/TCP client that does `count` exchanges; collect them with [`exchanges`].
///
/// # Errors
/// If it does not start.
pub fn modbus_client(host: &Namespace, server: &str, count: u32) -> Result<Process> {
    start(host, "modbus_client.py", &["--server", server, "--count", &count.to_string()])
}

/// A BACnet/IP device (bacpypes3) on UDP 47808, which listens when this returns. The address has its prefix.
///
/// # Errors
/// If it does not start.
pub fn bacnet_device(host: &Namespace, address: &str) -> Result<Process> {
    server(host, "bacnet_device.py", &["--address", address])
}

/// A BACnet/IP client, also on UDP 47808, that does `count` exchanges; collect them with [`exchanges`].
///
/// # Errors
/// If it does not start.
pub fn bacnet_client(host: &Namespace, address: &str, device: &str, count: u32) -> Result<Process> {
    let count = count.to_string();
    start(host, "bacnet_client.py", &["--address", address, "--device", device, "--count", &count])
}

/// A BACnet/IP station (bacpypes3) on UDP 47808 that answers and asks, with so many analog values; see
/// `bacnet_station.py` for its commands.
///
/// # Errors
/// If it does not start.
pub fn bacnet_station(host: &Host, instance: u32, objects: u32) -> Result<Peer> {
    let (address, instance, objects) = (host.ipv4_with_prefix(), instance.to_string(), objects.to_string());
    let arguments = ["--address", &address, "--instance", &instance, "--objects", &objects];
    Peer::new(host, "bacnet_station.py", &arguments)
}

/// An IEC 104 controlled station (c104) on TCP 2404, which listens when this returns.
///
/// # Errors
/// If it does not start.
pub fn iec104_station(host: &Host) -> Result<Peer> {
    Peer::new(host, "iec104_station.py", &["--listen", &host.ipv4().to_string()])
}

/// An IEC 104 controlling station (c104); its first interrogation is answered when this returns.
///
/// # Errors
/// If it does not start, or gets no answer.
pub fn iec104_master(host: &Namespace, server: &str) -> Result<Peer> {
    Peer::new(host, "iec104_master.py", &["--server", server])
}

/// An EtherNet/IP server (cpppo) on TCP 44818, which listens when this returns.
///
/// # Errors
/// If it does not start.
pub fn enip_server(host: &Namespace, listen: &str) -> Result<Process> {
    server(host, "enip_server.py", &["--listen", listen])
}

/// An EtherNet/IP client (pylogix) that does `count` exchanges; collect them with [`exchanges`].
///
/// # Errors
/// If it does not start.
pub fn enip_client(host: &Namespace, server: &str, count: u32) -> Result<Process> {
    start(host, "enip_client.py", &["--server", server, "--count", &count.to_string()])
}

/// Waits for a client's end and returns its exchanges, good and bad.
///
/// # Errors
/// If it is not done in time or crashes, so that there is less than it should have reported.
pub fn exchanges(client: Process, timeout: Duration) -> Result<Vec<Exchange>> {
    let output = client.finish(timeout)?;
    // 1 is for exchanges that failed, and also how Python ends after an exception: then lines are missing.
    let crashed = !matches!(output.status.code(), Some(0 | 1)) || output.stderr.contains("Traceback");
    ensure!(!crashed, "a peer crashed: {output}");
    let parse = |line: &str| serde_json::from_str(line).with_context(|| format!("a peer printed {line:?}"));
    output.stdout.lines().map(parse).collect()
}

/// The Python that has the stacks: `$BANCHI_PYTHON`, or that of the newest environment that `cargo xtask setup` made.
///
/// # Errors
/// If there is none. A test that needs it fails then; it is not skipped.
pub fn python() -> Result<PathBuf> {
    if let Some(python) = std::env::var_os("BANCHI_PYTHON") {
        return Ok(python.into());
    }
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache/banchi"));
    let cache = std::env::var_os("BANCHI_CACHE").map(PathBuf::from).or_else(home);
    let cache = cache.context("neither BANCHI_CACHE nor HOME is set")?;
    let environments = std::fs::read_dir(&cache).into_iter().flatten().flatten();
    let newest = environments
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("venv-"))
        .filter_map(|entry| {
            Some((entry.path().join("complete").metadata().ok()?.modified().ok()?, entry.path()))
        })
        .max();
    let (_, environment) = newest.with_context(|| {
        let cache = cache.display();
        format!("no Python with the real protocol stacks in {cache}: run `cargo xtask setup`, or set BANCHI_PYTHON")
    })?;
    Ok(environment.join("bin/python"))
}

/// Starts a script of `peers/` that ends by itself.
///
/// # Errors
/// If it does not start.
pub fn start(host: &Namespace, script: &str, arguments: &[&str]) -> Result<Process> {
    host.spawn(command(script, arguments)?)
}

fn server(host: &Namespace, script: &str, arguments: &[&str]) -> Result<Process> {
    let process = start(host, script, arguments)?;
    process.wait_stdout(is_ready, DEADLINE)?;
    Ok(process)
}

fn command(script: &str, arguments: &[&str]) -> Result<Command> {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
    let mut command = Command::new(python()?);
    command.arg(scripts.join(script)).args(arguments).env("PYTHONDONTWRITEBYTECODE", "1");
    // The stacks are those of the venv and nothing from the user's own Python.
    command.env_remove("PYTHONPATH").env("PYTHONNOUSERSITE", OsString::from("1"));
    Ok(command)
}

fn is_ready(line: &str) -> bool {
    line.contains(r#""ready": true"#)
}
