//! Why a valid policy does not compile.

use thiserror::Error;

/// A policy that does not fit the tables.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CompileError {
    /// More prefix lengths of one address family than the data plane tries.
    #[error(
        "the policy uses {found} different prefix lengths of one address family, and the data plane tries \
         {limit}: write some networks with a common length"
    )]
    PrefixLengths {
        /// Lengths found.
        found: usize,
        /// Lengths allowed.
        limit: usize,
    },
    /// More port relations on the same ports than the data plane checks.
    #[error(
        "the services {services} share ports and have {found} different relations between ports and \
         addresses; the data plane checks {limit} on one port: give them ports of their own"
    )]
    Relations {
        /// Names of the services.
        services: String,
        /// Relations found.
        found: usize,
        /// Relations allowed.
        limit: usize,
    },
    /// More classes of ports, rules or nodes than numbers.
    #[error("the policy has {found} {what}, and the tables hold {limit}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// Number found.
        found: usize,
        /// Number allowed.
        limit: usize,
    },
    /// An index beyond the limit.
    #[error(
        "the policy needs {entries} entries, and {limit} are allowed: rules between large sets overlap in \
         too many ways; use fewer, larger assets"
    )]
    TooLarge {
        /// Entries needed, at least.
        entries: usize,
        /// Entries allowed.
        limit: usize,
    },
}
