//! The banchi agent: from the text of a policy to verdicts on packets, and back to words for people.

pub mod datapath;
pub mod image;
pub mod policy;
