//! A policy of any text: diagnostics, or a policy that compiles or says why not.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let loaded = banchi::policy::load("fuzz.yaml", text);
    let _ = loaded.render(text, banchi::policy::render::Style::Plain);
    assert!(loaded.policy.is_some() || !loaded.diagnostics.is_empty());
    if let Some(policy) = &loaded.policy {
        let _ = banchi::image::compile(policy);
    }
});
