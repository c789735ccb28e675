//! Files of packets, with verdict and reason as comments.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use banchi_common::reason::Verdict;

use super::lines::{is_at, open, rotate};
use crate::capture::{PcapngWriter, whole_blocks};
use crate::config::Rotation;
use crate::events::Report;

/// Answers of an XDP program.
const XDP_DROP: u64 = 1;
const XDP_PASS: u64 = 2;

/// A file of packets that makes room for the next when it is full.
pub(super) struct Evidence {
    path: PathBuf,
    rotation: Rotation,
    file: Option<File>,
    /// Bytes of whole blocks.
    length: u64,
    /// Numbers of the interfaces of the section; none of them where the next packet begins a section.
    interfaces: Option<BTreeMap<String, u32>>,
}

impl Evidence {
    pub(super) fn new(path: &Path, rotation: Rotation) -> Self {
        Self { path: path.to_owned(), rotation, file: None, length: 0, interfaces: None }
    }

    /// Writes packets: how many are in the file, and what was in the way of the rest. Without packets it finds out whether
    /// the file was renamed.
    pub(super) fn write(&mut self, reports: &[Arc<Report>]) -> (u64, io::Result<()>) {
        let mut written = 0;
        let mut result = self.follow();
        for part in reports.chunks(64) {
            if result.is_err() {
                break;
            }
            result = self.write_part(part);
            if result.is_ok() {
                written += part.len() as u64;
            }
        }
        (written, result)
    }

    fn write_part(&mut self, reports: &[Arc<Report>]) -> io::Result<()> {
        let mut interfaces = self.interfaces.take();
        let mut blocks = encode(reports, &mut interfaces)?;
        if self.length > 0 && self.length + blocks.len() as u64 > self.rotation.size {
            rotate(&self.path, self.rotation.keep)?;
            self.follow()?;
            interfaces = None;
            blocks = encode(reports, &mut interfaces)?;
        }
        let Some(file) = &mut self.file else { return Err(io::ErrorKind::NotFound.into()) };
        match file.write_all(&blocks) {
            Ok(()) => {
                self.length += blocks.len() as u64;
                self.interfaces = interfaces;
                Ok(())
            }
            Err(error) => {
                // Part of a block would spoil all that follows. The next packet begins a section.
                if file.set_len(self.length).is_err() {
                    self.file = None;
                }
                Err(error)
            }
        }
    }

    /// Goes on in a new file where the old one was renamed or removed.
    fn follow(&mut self) -> io::Result<()> {
        if self.file.as_ref().is_some_and(|file| is_at(file, &self.path)) {
            return Ok(());
        }
        self.file = None;
        self.interfaces = None;
        let file = open(&self.path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("this is no regular file"));
        }
        // An agent, or its machine, may have ended within a block.
        self.length = whole_blocks(File::open(&self.path)?)?;
        file.set_len(self.length)?;
        self.file = Some(file);
        Ok(())
    }
}

/// Blocks of packets, and of what they need before them.
fn encode(reports: &[Arc<Report>], interfaces: &mut Option<BTreeMap<String, u32>>) -> io::Result<Vec<u8>> {
    let (mut writer, known) = match interfaces {
        Some(known) => (PcapngWriter::resume(Vec::new()), known),
        None => (PcapngWriter::section(Vec::new())?, interfaces.insert(BTreeMap::new())),
    };
    for report in reports {
        let name = report.interface.as_deref().unwrap_or("unknown");
        let next = known.len() as u32;
        let interface = match known.get(name) {
            Some(number) => *number,
            None => {
                writer.interface(Some(name))?;
                known.insert(name.to_owned(), next);
                next
            }
        };
        let verdict = if report.verdict == Verdict::Drop { XDP_DROP } else { XDP_PASS };
        let length = (report.length as usize).max(report.frame.len());
        writer.judged(interface, report.unix_ns, &report.frame, length, &comment(report), Some(verdict))?;
    }
    Ok(writer.into_inner())
}

/// What is known of a packet besides its bytes.
fn comment(report: &Report) -> String {
    let mut text = format!(
        "banchi verdict={} reason={} mode={}",
        super::meaning::verdict_word(report.verdict),
        report.reason.about().name,
        super::meaning::mode_word(report.mode),
    );
    let words = [
        ("conduit", report.conduit.as_deref()),
        ("zone", report.zone.as_deref()),
        ("destination_zone", report.destination_zone.as_deref()),
        ("class", report.class.map(|class| class.name())),
    ];
    for (key, value) in words {
        if let Some(value) = value {
            text.push_str(&format!(" {key}={value}"));
        }
    }
    if let Some(rule) = &report.rule {
        text.push_str(&format!(" rule={rule:?}"));
    }
    if report.repeats > 0 {
        text.push_str(&format!(" repeats={}", report.repeats));
    }
    format!("{text}: {}", report.text)
}
