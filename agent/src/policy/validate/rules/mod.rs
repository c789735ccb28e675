//! Checks of rules: [`ends`] for each on its own, [`order`] for each against those before it.

mod cover;
pub(super) mod ends;
pub(super) mod order;
