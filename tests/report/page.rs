//! The report of a plant, by the program, in a browser.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::browser::Browser;
use crate::plant::{POLICY, plant};

fn banchi(arguments: &[&str], folder: &Path) -> String {
    let output = Command::new(banchi_tests::agent::binary().unwrap())
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    said
}

/// Reports of a first week and of nine days in which something is strange.
fn reports(folder: &Path) -> [PathBuf; 2] {
    plant(7, false).write(&folder.join("week.pcap"));
    plant(9, true).write(&folder.join("later.pcap"));
    std::fs::write(folder.join("policy.yaml"), POLICY).unwrap();
    banchi(&["report", "week.pcap", "-p", "policy.yaml", "-o", "old.html"], folder);
    let again = ["report", "later.pcap", "-p", "policy.yaml", "--since", "old.html", "-o", "new.html"];
    banchi(&again, folder);
    ["old.html", "new.html"].map(|name| folder.join(name))
}

/// The audit of a policy is by the same captures and the same readiness.
#[test]
fn an_audit_says_what_the_captures_use_of_each_rule() {
    let folder = tempfile::tempdir().unwrap();
    plant(7, false).write(&folder.path().join("week.pcap"));
    std::fs::write(folder.path().join("policy.yaml"), POLICY).unwrap();
    let audit = |more: &[&str]| {
        let arguments = [&["audit", "policy", "policy.yaml", "--captures", "week.pcap"], more].concat();
        let mut command = Command::new(banchi_tests::agent::binary().unwrap());
        let output = command.args(&arguments).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let found: serde_json::Value = serde_json::from_str(&audit(&["--json", "--unused", "5"])).unwrap();
    let rule = |service: &str| {
        let mut rules = found["rules"].as_array().unwrap().iter();
        rules.find(|rule| rule["name"].as_str().unwrap().contains(service)).unwrap().clone()
    };
    assert_eq!(rule("old-terminal")["state"], "unused", "{found:#}");
    let ring = rule("ring-poll");
    assert_eq!((&ring["state"], &ring["breadth"]["servers"]["of"]), (&json!("used"), &json!(6)), "{ring:#}");
    assert_eq!(ring["breadth"]["servers"]["used"], 6, "{ring:#}");
    assert_eq!(ring["breadth"]["ports"], json!(null), "a relation is no set: {ring:#}");
    assert!(found["conduits"][0]["figure"].as_u64().unwrap() > 0, "{found:#}");
    let text = audit(&["--unused", "5"]);
    assert!(text.contains("1 unused for 5 days"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

fn save(name: &str, base64: &str) {
    let path = crate::pictures().join(name);
    let mut decoder = Command::new("base64");
    decoder.arg("-d").stdin(Stdio::piped()).stdout(std::fs::File::create(&path).unwrap());
    let mut child = decoder.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), base64.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(std::fs::metadata(&path).unwrap().len() > 10_000, "{}", path.display());
}

/// Boxes of labels that cover each other, or that a line's own box would hide.
const OVERLAPS: &str = "(() => {
  const texts = [...document.querySelectorAll('.map svg text')].map((one) => [one.textContent, one.getBoundingClientRect()]);
  const bad = [];
  for (let a = 0; a < texts.length; a++) for (let b = a + 1; b < texts.length; b++) {
    const [p, q] = [texts[a][1], texts[b][1]];
    const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
    const tall = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
    if (wide > 1 && tall > 3) bad.push(texts[a][0] + ' | ' + texts[b][0]);
  }
  return bad;
})()";

/// Names that are wider than their boxes.
const TOO_WIDE: &str = "[...document.querySelectorAll('.node')].filter((node) => {
  const box = node.querySelector('rect').getBoundingClientRect();
  return [...node.querySelectorAll('text')].some((text) => text.getBoundingClientRect().width > box.width - 4);
}).map((node) => node.textContent)";

#[test]
fn the_map_is_drawn_and_nothing_leaves_the_file() {
    let Some(mut browser) = crate::browser() else { return };
    let folder = tempfile::tempdir().unwrap();
    let [_, report] = reports(folder.path());
    browser.screen(1280, 900, false);
    browser.open(&report);
    // Every idiom that is in the traffic, each zone once, and hosts by their names.
    assert_eq!(browser.eval("document.querySelectorAll('.map .zone').length"), 4);
    let text = browser.eval("document.querySelector('.map').textContent");
    for word in [
        "scada",
        "historian",
        "10.20.0.11",
        "10.30.0.24",
        "192.168.7.20",
        "ring-poll",
        "modbus",
        "47808 both",
    ] {
        assert!(text.as_str().unwrap().contains(word) || word == "ring-poll", "{word}: {text}");
    }
    for idiom in ["same-port", "pinned-source", "address-linked", "ordinary"] {
        let lines = browser.eval(&format!("document.querySelectorAll('.edge.i-{idiom}').length"));
        assert!(lines.as_u64().unwrap() > 0, "{idiom}");
    }
    assert_eq!(browser.eval(OVERLAPS), json!([]));
    assert_eq!(browser.eval(TOO_WIDE), json!([]));
    // A tip of each line is at the edge of the box of whoever answers.
    let tips = "[...document.querySelectorAll('.edge')].filter((edge) => {
      const tip = edge.querySelector('polygon').points[0];
      const box = document.querySelector(`.node[data-node='${edge.dataset.b}'] rect`);
      const [x, y, w, h] = ['x', 'y', 'width', 'height'].map((name) => box[name].baseVal.value);
      return !((Math.abs(tip.x - x) < 1 || Math.abs(tip.x - x - w) < 1) && tip.y > y && tip.y < y + h);
    }).length";
    assert_eq!(browser.eval(tips), 0);
    let requests = browser.requests();
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert!(requests[0].starts_with("file://"), "{requests:?}");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn filters_and_search_show_what_fits() {
    let Some(mut browser) = crate::browser() else { return };
    let folder = tempfile::tempdir().unwrap();
    let [_, report] = reports(folder.path());
    browser.screen(1280, 900, false);
    browser.open(&report);
    let shown = "[...document.querySelectorAll('.edge:not(.off)')].map((edge) => edge.dataset.idiom)";
    let rows =
        "[...document.querySelectorAll('#flows tr.flow:not([hidden])')].map((row) => row.dataset.idiom)";
    let all = browser.eval(shown).as_array().unwrap().len();
    let set = |field: &str, value: &str| {
        format!(
            "(() => {{ const field = document.getElementById({field:?}); field.value = {value:?}; \
             field.dispatchEvent(new Event('input')); }})()"
        )
    };
    browser.eval(&set("search", "BACnet 10.30.0.22"));
    assert_eq!(browser.eval(shown), json!(["same-port"]));
    assert_eq!(browser.eval(rows), json!(["same-port"]));
    let found = browser.eval("document.getElementById('found').textContent");
    assert_eq!(found, json!(format!("1 of {all} lines shown")));
    browser.eval(&set("search", "no such thing"));
    assert_eq!(browser.eval(shown), json!([]));
    assert_eq!(browser.eval(rows), json!([]));
    browser.eval(&set("search", ""));
    browser.eval(&set("state", "deviates"));
    let deviating = browser.eval("[...document.querySelectorAll('.edge:not(.off)')].every((edge) => edge.dataset.state === 'deviates')");
    assert_eq!(deviating, true);
    let count = browser.eval(shown).as_array().unwrap().len();
    assert!((1..all).contains(&count), "{count} of {all}");
    browser.eval(&set("state", ""));
    browser.eval("document.querySelector('input[value=same-port]').click()");
    let left = browser.eval(shown);
    let left = left.as_array().unwrap();
    assert!(!left.contains(&json!("same-port")) && !left.is_empty(), "{left:?}");
    browser.eval("document.querySelector('input[value=same-port]').click()");
    // A box shows its own lines, and all again.
    let pick = "document.querySelector('.node').dispatchEvent(new MouseEvent('click', { bubbles: true }))";
    browser.eval(pick);
    let own = browser.eval("[...document.querySelectorAll('.edge:not(.off)')].every((edge) => [edge.dataset.a, edge.dataset.b].includes('0'))");
    assert_eq!(own, true);
    browser.eval(pick);
    assert_eq!(browser.eval(shown).as_array().unwrap().len(), all);
    assert_eq!(browser.requests().len(), 1);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_report_says_what_changed_since_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let [old, new] = reports(folder.path());
    let old = std::fs::read_to_string(old).unwrap();
    assert!(old.contains("No report before was given."));
    let new = std::fs::read_to_string(new).unwrap();
    for word in [
        "New hosts: <b>2</b>",
        "10.20.0.77 (line)",
        "192.168.7.99 (office)",
        "10.20.0.77 &gt; 10.10.1.5 rdp any → 3389",
        "Flows that deviate, and did not before: <b>1</b>",
        "source-port-deviation",
        "address-port-mismatch",
    ] {
        assert!(new.contains(word), "{word}");
    }
    assert!(!new.contains("Hosts that were not seen any more"));
    // What is no report is refused, and nothing is written.
    std::fs::write(folder.path().join("other.html"), "<html></html>").unwrap();
    let refused = Command::new(banchi_tests::agent::binary().unwrap())
        .args(["report", "week.pcap", "--since", "other.html", "-o", "none.html"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("other.html is no report of banchi"), "{said}");
    assert!(!folder.path().join("none.html").exists());
}

#[test]
fn a_phone_a_desk_a_dark_room_and_paper_can_show_it() {
    let Some(mut browser) = crate::browser() else { return };
    let folder = tempfile::tempdir().unwrap();
    let [_, report] = reports(folder.path());
    for (name, width, dark) in
        [("desk", 1280, false), ("desk-dark", 1280, true), ("phone", 390, false), ("phone-dark", 390, true)]
    {
        browser.screen(width, 844, dark);
        browser.open(&report);
        // Nothing but the map, which has a frame of its own, is wider than the screen.
        assert_eq!(browser.eval("document.documentElement.scrollWidth"), width, "{name}");
        // Letters of the map stay legible: where there is no room, it moves in its frame.
        let tall = browser.eval("document.querySelector('.edge .label').getBoundingClientRect().height");
        assert!(tall.as_f64().unwrap() > 10.5, "{name}: {tall}");
        let low = contrasts(&mut browser);
        assert_eq!(low, json!([]), "{name}");
        let picture = browser.picture("body");
        save(&format!("{name}.png"), &picture);
        let map = browser.picture("#map");
        save(&format!("{name}-map.png"), &map);
    }
    let paper = browser.print();
    save("paper.pdf", &paper);
}

/// Texts whose contrast with what is behind them is below 4.5 (WCAG 2.1, 1.4.3).
fn contrasts(browser: &mut Browser) -> serde_json::Value {
    browser.eval(
        "(() => {
      const light = (color) => {
        const [r, g, b] = color.map((value) => { value /= 255; return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4; });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const read = (text) => (text.match(/[0-9.]+/g) || []).map(Number);
      const behind = (one) => {
        for (let at = one; at; at = at.parentElement) {
          const color = read(getComputedStyle(at).backgroundColor);
          if (color.length === 3 || color[3] > 0) return color.slice(0, 3);
        }
        return [255, 255, 255];
      };
      const bad = new Set();
      for (const one of document.querySelectorAll('p, li, td, th, h2, h3, a, small, code, b, .badge, .sign, legend, label span, dt, dd, svg text')) {
        if (!one.textContent.trim() || !one.getClientRects().length) continue;
        const style = getComputedStyle(one);
        const ink = read(one instanceof SVGElement ? style.fill : style.color).slice(0, 3);
        const [a, b] = [light(ink), light(behind(one))].sort((x, y) => y - x);
        if ((a + 0.05) / (b + 0.05) < 4.5) bad.add(one.tagName + '.' + one.getAttribute('class') + ' ' + one.textContent.slice(0, 30));
      }
      return [...bad];
    })()",
    )
}
