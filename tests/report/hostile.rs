//! Names and words that would be markup, if anything took them for it.

use banchi::report::data::Data;
use banchi::report::{Source, render};

use crate::plant::{POLICY, plant};

/// What stands in every place that a report shows.
const EVIL: &str =
    "</script><script>window.pwned=1</script><img src=x onerror=\"window.pwned=1\">'\"><b>x&amp;";

/// A report in which everything that can be named is named so.
fn page() -> String {
    let recorded = plant(2, true);
    let mut policy = crate::policy(POLICY);
    policy.zones.iter_mut().for_each(|zone| zone.name = format!("{EVIL} zone {}", zone.name));
    policy.assets.iter_mut().for_each(|asset| asset.name = format!("{EVIL} asset {}", asset.name));
    policy.conduits.iter_mut().for_each(|one| one.name = format!("{EVIL} conduit {}", one.name));
    policy.rules.iter_mut().for_each(|rule| rule.name = format!("{EVIL} rule {}", rule.name));
    policy.services.iter_mut().for_each(|one| one.name = format!("{EVIL} service {}", one.name));
    let (traffic, mut gathered) = crate::held(&recorded, &policy);
    for line in &mut gathered.lines {
        line.flow.service = Some(format!("{EVIL} payload"));
        line.flow.evidence = vec![format!("{EVIL} evidence")];
    }
    let mut status = status();
    status.counts_since = EVIL.to_owned();
    status.xdp_mode = "generic".to_owned();
    for (row, rule) in status.rules.iter_mut().zip(&policy.rules) {
        row.name.clone_from(&rule.name);
        row.last = Some(EVIL.to_owned());
    }
    let old = Data {
        version: 1,
        made: EVIL.to_owned(),
        from: EVIL.to_owned(),
        to: EVIL.to_owned(),
        policy: Some(EVIL.to_owned()),
        hosts: [(EVIL.to_owned(), Some(EVIL.to_owned()))].into(),
        flows: [].into(),
        more_flows: 1,
        conduits: [].into(),
        rules: [(EVIL.to_owned(), 1)].into(),
    };
    render(Source {
        policy: &policy,
        policy_name: Some(format!("{EVIL} policy")),
        gathered,
        traffic: &traffic,
        captures: vec![(format!("{EVIL} capture"), 7)],
        status: Some((status, false)),
        old: Some(old),
        made: EVIL.to_owned(),
    })
}

fn status() -> banchi::control::Status {
    let rule = serde_json::json!({
        "name": "", "line": 1, "conduit": "", "forward_packets": 1, "forward_bytes": 1,
        "return_packets": 1, "return_bytes": 1, "last": null
    });
    let finding = serde_json::json!({
        "level": "unsafe", "subject": EVIL, "check": "x", "found": EVIL, "why": EVIL, "remedy": EVIL
    });
    let status = serde_json::json!({
        "version": "0", "running": true, "pid": 1, "since": null, "last_seen": null, "last_seen_ms_ago": null,
        "counts_since": "", "policy": EVIL, "policy_hash": "", "generation": 1, "previous": null,
        "confirm_until": null, "fell_back_at": null, "bypass": true, "bypassed": 0, "island": false, "losses": 0,
        "fell_back": 0, "forwarding": "stack", "wires": [], "forwarded": [], "outputs": [], "xdp_mode": "", "interfaces": [], "links": [], "enforced_unsafe": [finding],
        "kernel_bytes": 0, "grace_until": null, "conduits": [], "rules": vec![rule; 20], "reports": [],
        "events_unwritten": 0, "audit_unwritten": 0
    });
    serde_json::from_value(status).unwrap()
}

#[test]
fn a_name_is_a_name_whatever_stands_in_it() {
    let page = page();
    // The program's own two, and no other.
    assert_eq!(page.matches("<script").count(), 2);
    assert_eq!(page.matches("</script>").count(), 2);
    assert!(!page.contains("<img") && !page.contains("<b>x"));
    for place in ["zone", "asset", "conduit", "rule", "service", "payload", "evidence", "policy", "capture"] {
        assert!(page.contains(&format!("&lt;b&gt;x&amp;amp; {place}")), "{place} is not in the report");
    }
    // The next report reads it as it was.
    let data = Data::read(&page).unwrap();
    assert_eq!(data.policy, Some(format!("{EVIL} policy")));
    assert_eq!(data.made, EVIL);
    assert!(data.flows.values().all(|flow| flow.service == format!("{EVIL} payload")));
}

#[test]
fn a_browser_runs_none_of_it() {
    let Some(mut browser) = crate::browser() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.html");
    std::fs::write(&path, page()).unwrap();
    browser.screen(1280, 900, false);
    browser.open(&path);
    assert_eq!(browser.eval("window.pwned === undefined"), true);
    assert_eq!(browser.eval("document.querySelectorAll('script').length"), 2);
    assert_eq!(browser.eval("document.querySelectorAll('img, iframe, object, embed, link, base').length"), 0);
    assert_eq!(browser.requests().len(), 1);
    assert_eq!(browser.complaints(), Vec::<String>::new());
    // What somebody adds is not run either: only the program's own script is named by its hash.
    browser.eval(
        "(() => { const one = document.createElement('script'); one.textContent = 'window.pwned = 1'; \
         document.body.append(one); const two = document.createElement('img'); two.src = 'http://127.0.0.1:9/x.png'; \
         document.body.append(two); })()",
    );
    assert_eq!(browser.eval("window.pwned === undefined"), true);
    let complaints = browser.complaints().join("\n");
    assert!(complaints.contains("Content Security Policy"), "{complaints}");
}
