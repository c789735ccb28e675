//! Learning again: new rules go into the policy that somebody approved, and nothing else of it changes.

use std::path::Path;
use std::process::{Command, Output};

use banchi_tests::packet::Packet;

use crate::recorded::{MS, Recorded, SECOND, noise};

/// As a person writes it: comments, blank lines, an order of its own, and names that the draft would like to have.
const APPROVED: &str = "\
# The bottling hall. Approved by K. Sato on 2026-03-02.
version: 1

defaults: { mode: alert }   # until the summer stop

zones:
  control: { interfaces: [eth1], networks: [10.10.0.0/16] }
  line:    { interfaces: [eth2], networks: [10.20.0.0/24] }
  office:  { interfaces: [eth0], networks: [192.168.7.0/24] }

# Hosts, by building.
assets:
  scada:    { zone: control, address: 10.10.1.5 }
  # The old name of this set is on the doors.
  modbus-servers:
    zone: line
    addresses: [10.20.0.50, 10.20.0.51]

  # Do not touch: audited.
services:
  # Our own: the maker's port, not the usual one.
  modbus: { transport: tcp, port: 1502 }   # see ticket 4711

conduits:
  - between: [control, line]
    allow:
      # The fillers, first thing that was connected.
      - { client: scada, server: modbus-servers, service: modbus }

      - client: scada          # a long one
        server: modbus-servers
        service: fins-udp
    # end of the hall
  - from: office
    to: control
    allow: []
";

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let binary = banchi_tests::agent::binary().unwrap();
    Command::new(binary).args(arguments).current_dir(folder).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What is approved, and beside it: the usual Modbus, a pinned port, and an unknown host that is asked.
fn plant() -> Recorded {
    let mut plant = Recorded::default();
    for n in 0..20 {
        plant.connect(n * 10 * SECOND, &format!("10.10.1.5:{}", 40_000 + n), "10.20.0.50:1502", 3);
        plant.connect(n * 10 * SECOND, &format!("10.10.1.5:{}", 41_000 + n), "10.20.0.60:502", 3);
        plant.connect(n * 10 * SECOND, &format!("10.10.1.5:{}", 42_000 + n), "10.20.0.61:502", 3);
    }
    plant.poll("10.20.0.70:6000", "192.168.7.9:6100", 40, SECOND, 5 * MS);
    plant.add(7, &Packet::udp("172.31.0.1:7000", "10.10.1.5:7000").payload(noise(3)));
    plant.sorted()
}

#[test]
fn what_is_new_goes_into_the_approved_policy_and_no_other_byte_changes() {
    let folder = tempfile::tempdir().unwrap();
    let approved = APPROVED.replace(
        "    allow: []\n",
        "    allow:\n      - { client: office-pc, server: scada, service: opc-ua }\n",
    );
    let approved = approved.replace(
        "  # The old name",
        "  office-pc: { zone: office, address: 192.168.7.20 }\n  # The old name",
    );
    for (name, approved) in [("unix", approved.clone()), ("dos", approved.replace('\n', "\r\n"))] {
        std::fs::write(folder.path().join("approved.yaml"), &approved).unwrap();
        plant().write(&folder.path().join("plant.pcap"));
        let learn = ["learn", "plant.pcap", "--approved", "approved.yaml", "-o", "merged.yaml"];
        let output = run(folder.path(), &learn);
        assert!(output.status.success(), "{name}: {}", said(&output));
        let merged = std::fs::read_to_string(folder.path().join("merged.yaml")).unwrap();

        // Every line of the approved file is there, in its order; the others are new.
        let mut old = approved.split_inclusive('\n').peekable();
        let mut added = String::new();
        for line in merged.split_inclusive('\n') {
            if old.peek() == Some(&line) {
                old.next();
            } else {
                added += line;
            }
        }
        assert_eq!(old.next(), None, "{name}: {merged}");
        // Another port than the policy's own Modbus has, and other servers: both get a number.
        assert!(added.contains("modbus-2: { transport: tcp, port: 502 }"), "{name}: {added}");
        assert!(
            added.contains("modbus-servers-2: { zone: line, address: 10.20.0.60-10.20.0.61 }"),
            "{name}: {added}"
        );
        assert!(
            added.contains("- { client: scada, server: modbus-servers-2, service: modbus-2 }"),
            "{name}: {added}"
        );
        assert!(added.contains("between: [line, office]"), "{name}: {added}");
        // Nothing that passes already is proposed again.
        assert!(!added.contains("1502") && !added.contains("10.20.0.50"), "{name}: {added}");
        assert_eq!(added.matches("- { client").count(), 2, "{name}: {added}");
        assert_eq!(approved.contains("\r\n"), added.contains("\r\n"), "{name}");

        // It loads, and lets what was new pass; a second time there is nothing to add.
        assert!(run(folder.path(), &["check", "merged.yaml"]).status.success());
        let again = ["learn", "plant.pcap", "--approved", "merged.yaml", "-o", "again.yaml"];
        let output = run(folder.path(), &again);
        assert!(!folder.path().join("again.yaml").exists(), "{name}: {}", said(&output));
    }
}

#[test]
fn a_policy_in_brackets_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let approved = APPROVED.replace("  - from: office\n    to: control\n    allow: []\n", "").replace(
        "    allow:\n      # The fillers, first thing that was connected.\n      - { client: scada, server: modbus-servers, service: modbus }\n\n      - client: scada          # a long one\n        server: modbus-servers\n        service: fins-udp\n",
        "    allow: [{ client: scada, server: modbus-servers, service: [modbus, fins-udp] }]\n",
    );
    std::fs::write(folder.path().join("approved.yaml"), &approved).unwrap();
    plant().write(&folder.path().join("plant.pcap"));
    let learn = ["learn", "plant.pcap", "--approved", "approved.yaml", "-o", "merged.yaml"];
    let output = run(folder.path(), &learn);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("`allow` is written in brackets"), "{}", said(&output));
    assert!(!folder.path().join("merged.yaml").exists());
}
