//! How the verbs speak with a running agent: a Unix socket, one JSON request a connection, JSON lines back.

mod accounts;
mod client;
mod condition;
mod history;
mod peer;
mod protocol;
mod roles;
mod server;
mod status;

pub(crate) use accounts::user_name;
pub use client::{ClientError, follow, request};
pub use condition::{Condition, Loudness, span};
pub use history::History;
pub use peer::Peer;
pub use protocol::{DEFAULT_SOCKET, Reply, Request, Target};
pub use roles::{Access, Role};
pub(crate) use server::{Answer, Desk, Question};
pub use server::{Server, bind};
pub use status::{
    ConduitStatus, ForwardedStatus, GrantState, GrantStatus, LinkStatus, PreviousStatus, ReasonStatus,
    ReportStatus, RuleStatus, Status,
};
