//! Files that are broken, and traffic that wants to fill the memory: an error or a bounded result, never a crash.

use std::path::PathBuf;

use banchi::capture::{Captures, Frame};
use banchi::learn::{Table, flows};
use banchi_tests::packet::{Packet, flags};

use crate::recorded::{MS, Recorded, SECOND};

fn capture() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.pcap");
    let mut plant = Recorded::default();
    plant.poll("10.10.1.5:6000", "10.20.0.11:6011", 20, SECOND, 5 * MS);
    plant.connect(0, "10.10.1.5:40000", "10.20.0.12:502", 5);
    plant.write(&path);
    let bytes = std::fs::read(&path).unwrap();
    (folder, path, bytes)
}

/// Reads a file to its end, and gives the number of frames; `None` is an error.
fn read(path: &PathBuf) -> Option<u64> {
    let mut captures = Captures::open(std::slice::from_ref(path)).ok()?;
    let (mut table, mut frame, mut count) = (Table::new(1_000), Frame::default(), 0);
    while captures.next(&mut frame) {
        table.packet(&frame);
        count += 1;
    }
    let _ = flows(&table.finish());
    Some(count)
}

#[test]
fn a_file_may_end_anywhere() {
    let (_folder, path, bytes) = capture();
    let mut last = 0;
    for end in (0..bytes.len()).step_by(7) {
        std::fs::write(&path, &bytes[..end]).unwrap();
        let frames = read(&path).unwrap_or(0);
        assert!(frames >= last, "{end} bytes: {frames} frames");
        last = frames;
    }
    assert!(last > 40);
}

#[test]
fn any_byte_may_be_wrong() {
    let (_folder, path, bytes) = capture();
    let mut random = fastrand::Rng::with_seed(6);
    for _ in 0..3_000 {
        let mut broken = bytes.clone();
        for _ in 0..random.usize(1..6) {
            let at = random.usize(..broken.len());
            broken[at] = random.u8(..);
        }
        std::fs::write(&path, &broken).unwrap();
        let _ = read(&path);
    }
}

#[test]
fn a_gigantic_length_ends_the_file() {
    let (_folder, path, mut bytes) = capture();
    // The captured length of the third frame.
    let at = 24 + 2 * (16 + 60) + 8;
    bytes[at..at + 4].copy_from_slice(&0xffff_fff0_u32.to_be_bytes());
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(read(&path), Some(2));
    let captures = Captures::open(&[path]);
    let mut captures = captures.unwrap();
    let mut frame = Frame::default();
    while captures.next(&mut frame) {}
    let trouble = captures.troubles().next().unwrap().1.broken.clone();
    assert!(trouble.is_some_and(|why| why.starts_with("after 2 frames")));
}

#[test]
fn what_is_no_capture_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in [
        ("text", b"a text that is long enough to be a header".to_vec()),
        ("empty", vec![]),
        ("gzip", vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3, 4, 5]),
        ("zstd", vec![0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3, 4, 5]),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        assert!(Captures::open(&[path]).is_err(), "{name}");
    }
    assert!(Captures::open(&[folder.path().join("nothing")]).is_err());
}

#[test]
fn compressed_captures_say_the_same() {
    let (folder, path, bytes) = capture();
    let plain = read(&path);
    let gzip = folder.path().join("some.pcap.gz");
    let mut encoder =
        flate2::write::GzEncoder::new(std::fs::File::create(&gzip).unwrap(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, &bytes).unwrap();
    encoder.finish().unwrap();
    assert_eq!(read(&gzip), plain);
    let zstd = folder.path().join("some.pcap.zst");
    let packed = ruzstd::encoding::compress_to_vec(&bytes[..], ruzstd::encoding::CompressionLevel::Fastest);
    std::fs::write(&zstd, packed).unwrap();
    assert_eq!(read(&zstd), plain);
    assert!(plain.is_some_and(|frames| frames > 40));
}

#[test]
fn several_files_are_one_in_the_order_of_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut plant = Recorded::default();
    plant.poll("10.10.1.5:9700", "10.20.0.7:9700", 30, SECOND, 4 * MS);
    let (mut questions, mut answers) = (Recorded::default(), Recorded::default());
    for (n, frame) in plant.frames.iter().enumerate() {
        if n % 2 == 0 { questions.frames.push(frame.clone()) } else { answers.frames.push(frame.clone()) }
    }
    let paths = [folder.path().join("a.pcap"), folder.path().join("b.pcap")];
    answers.write(&paths[0]);
    questions.write(&paths[1]);
    let mut captures = Captures::open(&paths).unwrap();
    let (mut frame, mut last, mut count) = (Frame::default(), 0, 0);
    while captures.next(&mut frame) {
        assert!(frame.at >= last);
        (last, count) = (frame.at, count + 1);
    }
    assert_eq!(count, plant.frames.len());
}

#[test]
fn time_may_go_backwards() {
    let mut plant = Recorded::default();
    plant.poll("10.10.1.5:9700", "10.20.0.7:9700", 30, SECOND, 4 * MS);
    plant.frames.reverse();
    let flows = plant.flows();
    assert_eq!(flows.iter().map(|flow| flow.packets).sum::<u64>(), 60);
}

#[test]
fn a_flood_of_ports_and_addresses_stays_within_its_bounds() {
    let mut table = Table::new(2_000);
    let mut random = fastrand::Rng::with_seed(6);
    let packets = 60_000;
    for n in 0..packets {
        let client = format!("10.10.1.5:{}", random.u16(1024..));
        let packet = match n % 3 {
            // A client that takes a new port for each question.
            0 => Packet::tcp(client.as_str(), "10.20.0.7:502", flags::SYN),
            1 => Packet::tcp(client.as_str(), "10.20.0.8:502", flags::ACK),
            // Addresses that do not exist.
            _ => {
                let from = format!(
                    "{}.{}.{}.{}:9",
                    random.u8(1..224),
                    random.u8(..),
                    random.u8(..),
                    random.u8(1..255)
                );
                Packet::udp(from.as_str(), "10.20.0.7:9").payload([1])
            }
        };
        let frame =
            Frame { at: n * MS, file: 0, number: n, interface: None, bytes: packet.build(), missing: 0 };
        table.packet(&frame);
    }
    let traffic = table.finish();
    assert!(traffic.tuples.len() <= 2_000, "{}", traffic.tuples.len());
    let counted: u64 = traffic.tuples.iter().flat_map(|tuple| &tuple.sides).map(|side| side.packets).sum();
    assert_eq!(counted + traffic.left_out, packets);
    let flows = flows(&traffic);
    let modbus = flows
        .iter()
        .find(|flow| flow.server.to_string() == "10.20.0.7" && flow.service.as_deref() == Some("modbus"));
    assert!(
        modbus.is_some_and(|flow| flow.client.to_string() == "10.10.1.5" && flow.packets > 10_000),
        "{modbus:#?}"
    );
}
