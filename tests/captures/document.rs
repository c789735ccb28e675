//! The parts of `docs/direction.md` that this test writes.

use std::path::Path;

/// Writes a part with `BLESS=1`, and compares it without.
pub(crate) fn check(name: &str, part: &str) {
    let start = format!("<!-- {name}: written by tests/captures -->\n");
    let end = format!("<!-- end of {name} -->\n");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/direction.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = text.split_once(&start).unwrap_or_else(|| panic!("no {start}"));
    let (found, tail) = rest.split_once(&end).unwrap_or_else(|| panic!("no {end}"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, format!("{head}{start}{part}{end}{tail}")).unwrap();
    } else {
        assert_eq!(
            found, part,
            "docs/direction.md is stale: BLESS=1 cargo test -p banchi-tests --test captures"
        );
    }
}
