//! How the verbs speak with a running agent: a Unix socket, one JSON request a connection, JSON lines back.

mod client;
mod history;
mod protocol;
mod server;
mod status;

pub use client::{ClientError, follow, request};
pub use history::History;
pub use protocol::{DEFAULT_SOCKET, Reply, Request, Target};
pub(crate) use server::Question;
pub use server::{Server, bind};
pub use status::{
    ConduitStatus, GrantState, GrantStatus, LinkStatus, PreviousStatus, ReasonStatus, ReportStatus,
    RuleStatus, Status,
};
