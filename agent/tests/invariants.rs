//! What `docs/ARCHITECTURE.md` says is deliberately absent, looked for in the sources; and what the documents repeat
//! from the code.
//!
//! `BLESS=1 cargo test -p banchi --test invariants` writes the table of `docs/reasons.md` anew: read the difference.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use banchi_common::reason::{Field, REASONS};

/// Lines that a source file may have.
const LONGEST_FILE: usize = 500;

/// Where `unsafe` is allowed, and in how many places. A new one is a decision: it belongs in this list.
const UNSAFE: &[(&str, usize)] = &[
    ("agent/src/agent/links.rs", 1),
    ("agent/src/datapath/ethtool.rs", 2),
    ("agent/src/datapath/counters.rs", 1),
    ("agent/src/control/peer.rs", 1),
    ("agent/src/datapath/load.rs", 1),
    ("agent/src/datapath/peek.rs", 4),
    ("agent/src/datapath/rehearse.rs", 1),
    ("agent/src/events/reader.rs", 1),
    ("ebpf/src/forward.rs", 3),
    ("ebpf/src/main.rs", 3),
    ("ebpf/src/maps.rs", 6),
    ("ebpf/src/observe.rs", 10),
    ("ebpf/src/packet.rs", 4),
    ("ebpf/src/report.rs", 7),
    ("ebpf/src/root.rs", 5),
    ("ebpf/src/route.rs", 4),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Files below a folder with an extension, as paths from the root, in order.
fn files(folder: &str, extension: &str) -> Vec<String> {
    fn walk(at: &Path, extension: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                walk(&path, extension, found);
            } else if path.extension().is_some_and(|known| known == extension) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), extension, &mut found);
    found.sort();
    found.iter().map(|path| path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned()).collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// Lines of code with their numbers: without comments, and without the module of unit tests at the end.
fn code(path: &str) -> Vec<(usize, String)> {
    let text = read(path);
    let lines = text.lines().take_while(|line| !line.trim_start().starts_with("#[cfg(test)]"));
    let lines = (1..).zip(lines).filter(|(_, line)| !line.trim_start().starts_with("//"));
    lines.map(|(number, line)| (number, line.split(" // ").next().unwrap_or(line).to_owned())).collect()
}

/// Fails with every place where a line of code has one of the words.
fn forbid(files: &[String], words: &[&str], because: &str) {
    let mut found = Vec::new();
    for file in files {
        for (number, line) in code(file) {
            found.extend(
                words
                    .iter()
                    .filter(|word| line.contains(**word))
                    .map(|word| format!("{file}:{number}: {word}")),
            );
        }
    }
    assert!(found.is_empty(), "{because}:\n{}", found.join("\n"));
}

fn except(files: Vec<String>, allowed: &[&str]) -> Vec<String> {
    files.into_iter().filter(|file| !allowed.iter().any(|prefix| file.starts_with(prefix))).collect()
}

#[test]
fn only_the_datapath_and_the_event_reader_name_aya() {
    let agent = except(files("agent/src", "rs"), &["agent/src/datapath/", "agent/src/events/reader.rs"]);
    assert!(agent.len() > 50);
    forbid(&agent, &["aya::", "aya_log::"], "aya is an affair of the datapath and the event reader");
    forbid(&files("common/src", "rs"), &["aya"], "what both sides share runs without a kernel");
}

#[test]
fn only_packet_rs_touches_packet_pointers() {
    let rest = except(files("ebpf/src", "rs"), &["ebpf/src/packet.rs"]);
    assert!(rest.len() >= 4);
    forbid(&rest, &[".data()", ".data_end()", "read_unaligned"], "packets are read in packet.rs");
    // The observer adds in one step, which the compiler offers for other targets only.
    forbid(&except(rest, &["ebpf/src/observe.rs"]), &["asm!"], "instructions are an affair of packets");
}

#[test]
fn common_has_no_std_and_no_unsafe() {
    assert!(read("common/src/lib.rs").contains("#![no_std]"));
    let common = except(files("common/src", "rs"), &["common/src/direction/tests.rs"]);
    forbid(&common, &["std::", "alloc::", "unsafe", "HashMap", "Vec<"], "the kernel runs this crate");
    let panics = [".unwrap()", ".expect(", "panic!", "unreachable!", "todo!"];
    // The digits of the samples are read while compiling, and the kernel gets none of them.
    let common = except(common, &["common/src/direction/sample.rs"]);
    forbid(&common, &panics, "nothing that the kernel runs may panic");
}

#[test]
fn every_unsafe_is_listed_and_discharged() {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for folder in ["agent/src", "common/src", "ebpf/src"] {
        for file in files(folder, "rs") {
            let text = read(&file);
            let lines: Vec<&str> = text.lines().collect();
            for (number, line) in code(&file) {
                // Attributes such as `#[unsafe(no_mangle)]` are not code that runs.
                if !(line.contains("unsafe {") || line.contains("unsafe impl") || line.contains("unsafe fn"))
                {
                    continue;
                }
                *counts.entry(file.clone()).or_default() += 1;
                let before = &lines[number.saturating_sub(6)..number - 1];
                assert!(
                    before.iter().any(|line| line.contains("// SAFETY:")),
                    "{file}:{number} has no SAFETY comment"
                );
            }
        }
    }
    let listed: BTreeMap<String, usize> =
        UNSAFE.iter().map(|(file, count)| ((*file).to_owned(), *count)).collect();
    assert_eq!(counts, listed, "the inventory of unsafe code changed");
}

#[test]
fn the_engine_loops_over_prefix_lengths_relations_and_ways_only() {
    let mut loops = Vec::new();
    for file in files("common/src/engine", "rs") {
        for (number, line) in code(&file) {
            let line = line.trim();
            if line.starts_with("for ") || line.starts_with("while ") || line.starts_with("loop ") {
                let bounded = ["PREFIX_LENGTHS", "RELATIONS", "WAYS"]
                    .iter()
                    .any(|bound| line == format!("for at in 0..{bound} {{"));
                assert!(bounded, "{file}:{number}: {line}");
                loops.push(line.to_owned());
            }
        }
    }
    assert_eq!(loops.len(), 5, "{loops:?}");
    forbid(&files("ebpf/src", "rs"), &[" for at", "while "], "the data plane adds no loop to the engine's");
}

#[test]
fn the_data_plane_has_no_trie_and_hashes_only_what_it_learns() {
    let ebpf = files("ebpf/src", "rs");
    forbid(&ebpf, &["LpmTrie"], "prefixes are probed in the index");
    // Hash maps: fragments that were allowed, flows that were reported, and those that the observer saw, which decides
    // nothing. None of them is part of the policy.
    let maps = code("ebpf/src/maps.rs");
    let hashes = maps.iter().filter(|(_, line)| line.contains("HashMap::with_max_entries"));
    assert_eq!(hashes.count(), 3);
    let deciding = except(ebpf, &["ebpf/src/observe.rs"]);
    let inserts =
        deciding.iter().flat_map(|file| code(file)).filter(|(_, line)| line.contains(".insert(")).count();
    assert_eq!(
        inserts, 2,
        "a map gets a new entry for a first fragment and for a report, and at no other time"
    );
}

#[test]
fn the_compiler_is_pure() {
    let words = [
        "std::fs",
        "std::env",
        "std::time",
        "std::net::Tcp",
        "std::net::Udp",
        "std::process",
        "std::thread",
        "tokio",
        "async ",
        "rustix",
        "libc::",
        "HashMap",
        "HashSet",
        "rand",
        "Instant",
        "log::",
        "tracing::",
    ];
    forbid(
        &files("agent/src/image", "rs"),
        &words,
        "the same policy gives the same bytes, and nothing else happens",
    );
}

#[test]
fn there_is_one_decision() {
    let callers: Vec<String> = ["agent/src", "ebpf/src"]
        .into_iter()
        .flat_map(|folder| files(folder, "rs"))
        .filter(|file| {
            code(file).iter().any(|(_, line)| [" judge(", "set_out("].iter().any(|call| line.contains(call)))
        })
        .collect();
    assert_eq!(
        callers,
        [
            "agent/src/datapath/prove.rs",
            "agent/src/explain/mod.rs",
            "agent/src/learn/verify.rs",
            "ebpf/src/main.rs"
        ]
    );
}

#[test]
fn the_time_of_day_is_for_people_only() {
    let mut rest = except(files("agent/src", "rs"), &["agent/src/events/mod.rs"]);
    rest.extend(files("common/src", "rs"));
    rest.extend(files("ebpf/src", "rs"));
    let words = [
        "Timestamp::now",
        "Zoned::now",
        "SystemTime",
        "ClockId::Realtime",
        "CLOCK_REALTIME",
        "gettimeofday",
        "ktime_get_tai",
        "ktime_get_real",
    ];
    forbid(&rest, &words, "a clock that somebody may set decides nothing");
    let readers = code("agent/src/events/mod.rs").iter().filter(|(_, line)| line.contains("::now()")).count();
    assert_eq!(readers, 2, "`time_of_day` and `Clock::now`");
}

#[test]
fn top_draws_what_a_reader_may_ask() {
    let pure = except(files("agent/src/top", "rs"), &["agent/src/top/screen.rs"]);
    assert!(pure.len() > 10);
    let words = [
        "std::fs",
        "std::env",
        "std::thread",
        "Instant",
        "Request",
        "crate::plane",
        "crate::datapath",
        "crate::cli",
    ];
    forbid(&pure, &words, "what is drawn comes from messages");
    let verb = code("agent/src/cli/top.rs");
    let asked = verb.iter().flat_map(|(_, line)| line.split("Request::").skip(1));
    let asked: Vec<&str> = asked.filter_map(|rest| rest.split(|c: char| !c.is_alphabetic()).next()).collect();
    assert_eq!(asked, ["Events", "Status", "Policy"], "`top` changes nothing");
    assert!(!verb.iter().any(|(_, line)| line.contains("plane_mut") || line.contains("Plane::")));
}

#[test]
fn nothing_switches_the_survival_set_off() {
    let mut switches = files("agent/src/policy", "rs");
    switches.extend(files("agent/src/cli", "rs"));
    switches.push("common/src/abi/setting.rs".to_owned());
    forbid(
        &switches,
        &["survival", "Survival", "SURVIVAL"],
        "the protocols that keep a network alive always pass",
    );
}

#[test]
fn no_source_file_is_long() {
    for folder in ["agent", "bench", "common", "ebpf", "tests", "xtask"] {
        for file in files(folder, "rs") {
            let lines = read(&file).lines().count();
            assert!(lines <= LONGEST_FILE, "{file} has {lines} lines, and {LONGEST_FILE} are allowed");
        }
    }
}

#[test]
fn the_table_of_reasons_is_that_of_the_code() {
    const START: &str = "<!-- reasons: written by agent/tests/invariants.rs -->\n";
    const END: &str = "<!-- end of reasons -->\n";
    let mut table =
        "| number | name | what deviates | what happened | what to look at first |\n|---|---|---|---|---|\n"
            .to_owned();
    for about in REASONS {
        let field = match about.field {
            Field::None => String::new(),
            field => serde_json::to_value(field).unwrap().as_str().unwrap().to_owned(),
        };
        let advice = if about.advice.is_empty() { "Nothing: it passes." } else { about.advice };
        table +=
            &format!("| {} | `{}` | {field} | {} | {advice} |\n", about.reason as u8, about.name, about.text);
    }
    let path = root().join("docs/reasons.md");
    let text = fs::read_to_string(&path).unwrap();
    let (head, rest) = text.split_once(START).unwrap();
    let (found, tail) = rest.split_once(END).unwrap();
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, format!("{head}{START}{table}{END}{tail}")).unwrap();
    } else {
        assert_eq!(found, table, "docs/reasons.md is stale: BLESS=1 cargo test -p banchi --test invariants");
    }
}

#[test]
fn relative_links_of_documents_lead_somewhere() {
    let mut documents = files("docs", "md");
    documents.extend(["README.md", "CHANGELOG.md", "CONTRIBUTING.md"].map(str::to_owned));
    let mut wrong = Vec::new();
    for document in &documents {
        let text = read(document);
        for target in links(&text) {
            if target.contains("://") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let folder = Path::new(document).parent().unwrap();
            let file = if path.is_empty() { PathBuf::from(document) } else { folder.join(path) };
            let full = root().join(&file);
            if !full.exists() {
                wrong.push(format!("{document}: {target}"));
            } else if !anchor.is_empty()
                && !anchors(&fs::read_to_string(full).unwrap()).contains(&anchor.to_owned())
            {
                wrong.push(format!("{document}: {target}: no such heading"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Targets of `[text](target)` outside blocks of code.
fn links(text: &str) -> Vec<&str> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if !inside {
            found.extend(line.split("](").skip(1).filter_map(|rest| rest.split(')').next()));
        }
    }
    found
}

/// Anchors of the headings, as forges make them.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let slug = |heading: &str| {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        words
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
            .collect::<String>()
            .replace(' ', "-")
    };
    headings.map(slug).collect()
}
