//! Servers to send to: one of our own that counts, and those of Debian.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, ensure};
use banchi_tests::lab::{Lab, Process};

use super::PATIENCE;

/// A syslog server over TCP that reads octet counting, in a thread.
pub(crate) struct Counting {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    count: AtomicU64,
    keep: bool,
    messages: Mutex<Vec<String>>,
    wrong: AtomicU64,
    connections: Mutex<Vec<TcpStream>>,
}

impl Counting {
    pub(crate) fn start(at: SocketAddr, keep: bool) -> Result<Self> {
        let listener = TcpListener::bind(at)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { keep, ..Shared::default() });
        let thread = {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || {
                while let Ok((stream, _)) = listener.accept() {
                    if shared.stop.load(Ordering::Acquire) {
                        return;
                    }
                    shared.connections.lock().unwrap().push(stream.try_clone().unwrap());
                    let shared = Arc::clone(&shared);
                    std::thread::spawn(move || serve(stream, &shared));
                }
            })
        };
        Ok(Self { address, shared, thread: Some(thread) })
    }

    pub(crate) fn count(&self) -> u64 {
        self.shared.count.load(Ordering::Acquire)
    }

    /// Bytes that were no frame.
    pub(crate) fn wrong(&self) -> u64 {
        self.shared.wrong.load(Ordering::Acquire)
    }

    pub(crate) fn messages(&self) -> Vec<String> {
        self.shared.messages.lock().unwrap().clone()
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        for connection in self.shared.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
        // Wakes the thread.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(stream: TcpStream, shared: &Shared) {
    let mut reader = BufReader::with_capacity(1 << 18, stream);
    let mut word = Vec::new();
    let mut message = Vec::new();
    loop {
        word.clear();
        match reader.read_until(b' ', &mut word) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let length = std::str::from_utf8(&word).ok().and_then(|word| word.trim_end().parse::<usize>().ok());
        let Some(length) = length.filter(|length| (1..100_000).contains(length)) else {
            shared.wrong.fetch_add(1, Ordering::AcqRel);
            return;
        };
        message.resize(length, 0);
        if reader.read_exact(&mut message).is_err() {
            return;
        }
        if !message.starts_with(b"<") {
            shared.wrong.fetch_add(1, Ordering::AcqRel);
        }
        if shared.keep {
            shared.messages.lock().unwrap().push(String::from_utf8(message.clone()).unwrap());
        }
        shared.count.fetch_add(1, Ordering::AcqRel);
    }
}

/// Any free port of this machine.
pub(crate) fn anywhere() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// A port that nobody listens at.
pub(crate) fn nowhere() -> Result<SocketAddr> {
    Ok(TcpListener::bind(anywhere())?.local_addr()?)
}

/// A certificate authority, and certificates of a server at 127.0.0.1 and of a client, made by openssl.
pub(crate) struct Certificates(PathBuf);

impl Certificates {
    pub(crate) fn make(directory: &Path) -> Result<Self> {
        let openssl = |arguments: &str| -> Result<()> {
            let mut command = Command::new("openssl");
            command.args(arguments.split_whitespace()).current_dir(directory);
            let output = Process::spawn(command)?.finish(PATIENCE)?;
            ensure!(output.status.success(), "openssl {arguments}: {output}");
            Ok(())
        };
        let curve = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
        openssl(&format!("req -x509 {curve} -keyout ca.key -out ca.pem -subj /CN=banchi-test-ca"))?;
        for (name, extension) in [
            ("server", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n"),
            ("client", "extendedKeyUsage=clientAuth\n"),
        ] {
            std::fs::write(directory.join(format!("{name}.ext")), extension)?;
            openssl(&format!("req {curve} -keyout {name}.key -out {name}.csr -subj /CN=banchi-{name}"))?;
            openssl(&format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out {name}.pem -extfile {name}.ext"
            ))?;
        }
        Ok(Self(directory.to_owned()))
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

/// What rsyslog takes a message apart into, one line each, separated by `|~|`.
const TEMPLATE: &str = r#"template(name="parts" type="string" string="%timereported:::date-rfc3339%|~|%syslogseverity%|~|%app-name%|~|%msgid%|~|%structured-data%|~|%msg%\n")"#;

/// Debian's rsyslog in the gateway of a lab: UDP and TCP at port 5514, or TLS with client certificates at 6514. It writes
/// to a file, and what came in datagrams to one beside it with `.udp`.
pub(crate) fn rsyslog(lab: &Lab, name: &str, tls: Option<&Certificates>) -> Result<(Process, PathBuf)> {
    let directory = lab.directory().join(name);
    std::fs::create_dir_all(&directory)?;
    let out = directory.join("messages");
    let input = match tls {
        None => r#"module(load="imtcp")
module(load="imudp")
input(type="imtcp" address="127.0.0.1" port="5514" ruleset="keep")
input(type="imudp" address="127.0.0.1" port="5514" ruleset="datagrams" rcvbufSize="4m")
"#
        .to_owned(),
        Some(certificates) => format!(
            r#"global(defaultNetstreamDriver="gtls" defaultNetstreamDriverCAFile="{}"
       defaultNetstreamDriverCertFile="{}" defaultNetstreamDriverKeyFile="{}")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="x509/certvalid")
input(type="imtcp" address="127.0.0.1" port="6514" ruleset="keep")
"#,
            certificates.file("ca.pem"),
            certificates.file("server.pem"),
            certificates.file("server.key"),
        ),
    };
    let text = format!(
        "global(workDirectory=\"{}\" maxMessageSize=\"16k\")\n{TEMPLATE}\nruleset(name=\"keep\") {{ action(type=\"omfile\" file=\"{}\" template=\"parts\") }}\nruleset(name=\"datagrams\") {{ action(type=\"omfile\" file=\"{}.udp\" template=\"parts\") }}\n{input}",
        directory.display(),
        out.display(),
        out.display(),
    );
    let file = directory.join("rsyslog.conf");
    std::fs::write(&file, text)?;
    let mut command = Command::new("rsyslogd");
    command.arg("-n").arg("-f").arg(&file).arg("-i").arg(directory.join("pid"));
    let process = lab.gateway().spawn(command).context("rsyslog is not there: cargo xtask setup")?;
    Ok((process, out))
}

/// Debian's mosquitto in the gateway of a lab: port 1883 without, 8883 with client certificates.
pub(crate) fn mosquitto(lab: &Lab, certificates: &Certificates) -> Result<Process> {
    let text = format!(
        "user root\nper_listener_settings true\nlistener 1883 127.0.0.1\nallow_anonymous true\nlistener 8883 127.0.0.1\nallow_anonymous true\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n",
        certificates.file("ca.pem"),
        certificates.file("server.pem"),
        certificates.file("server.key"),
    );
    let file = lab.directory().join("mosquitto.conf");
    std::fs::write(&file, text)?;
    let mut command = Command::new("mosquitto");
    command.arg("-c").arg(&file);
    let process = lab.gateway().spawn(command).context("mosquitto is not there: cargo xtask setup")?;
    process.wait_stderr(|line| line.contains("running"), PATIENCE)?;
    Ok(process)
}

/// Whoever listens to a topic of it.
pub(crate) fn subscriber(lab: &Lab, topic: &str) -> Result<Process> {
    let mut command = Command::new("stdbuf");
    // What it does is among its lines: that it listens is one of them.
    command.args(["-oL", "mosquitto_sub", "-h", "127.0.0.1", "-q", "1", "-t", topic, "-d"]);
    let process = lab.gateway().spawn(command)?;
    process.wait_stdout(|line| line.contains("Subscribed"), PATIENCE)?;
    Ok(process)
}
