//! The banchi agent: from the text of a policy to verdicts on packets, and back to words for people.

pub mod agent;
pub mod audit;
pub mod backtest;
pub mod capture;
pub mod cli;
pub mod config;
pub mod control;
pub mod datapath;
pub mod diff;
pub mod doctor;
pub mod events;
pub mod explain;
pub mod grants;
pub mod image;
pub mod island;
pub mod learn;
pub mod logging;
pub mod metrics;
pub mod mud;
pub mod nftables;
pub mod outputs;
pub mod plane;
pub mod policy;
pub mod report;
