//! The policy: text, syntax, resolved names, a valid [`model::Policy`].

pub mod model;
