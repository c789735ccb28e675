//! Checks of a resolved policy, one subject a file. Every check runs; none stops another.

mod addresses;
mod breadth;
mod ports;
mod rules;
mod usage;
mod wires;
mod zones;

use super::diagnostic::Diagnostics;
use super::resolve::Resolved;

/// Runs all checks.
pub(crate) fn validate(resolved: &Resolved, diagnostics: &mut Diagnostics) {
    zones::check(resolved, diagnostics);
    wires::check(resolved, diagnostics);
    addresses::check(resolved, diagnostics);
    rules::ends::check(resolved, diagnostics);
    ports::check(resolved, diagnostics);
    rules::order::check(resolved, diagnostics);
    breadth::check(resolved, diagnostics);
    // What a faulty part refers to is not known, so it may look unused.
    if !diagnostics.has_errors() {
        usage::check(resolved, diagnostics);
    }
}
