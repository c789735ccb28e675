//! Is this machine fit to enforce a policy? Facts are gathered, a pure function makes findings of them, and what is
//! unsafe stands in the way of enforcing.

mod facts;
mod finding;
mod gate;
mod hook;
mod kernel;
mod sight;

pub use facts::{InterfaceFacts, KernelFacts, Wanted};
pub use finding::{Finding, Level};
pub use gate::{Modes, enforced_on, gate, modes_of, unsafe_on};

/// Everything that is to be said about the kernel.
pub fn examine_kernel(facts: &KernelFacts) -> Vec<Finding> {
    kernel::examine(facts)
}

/// Everything that is to be said about an interface.
pub fn examine_interface(facts: &InterfaceFacts, wanted: &Wanted) -> Vec<Finding> {
    let mut findings = hook::examine(facts, wanted);
    findings.extend(sight::examine(facts, wanted));
    findings
}

/// That an interface is not there.
pub fn missing(interface: &str, there: &[String]) -> Finding {
    let found = format!("It does not exist; there are: {}.", there.join(", "));
    let why = "Its zone is not attached, and banchi does not start.";
    Finding::new(Level::Unsafe, interface, "interface", found, why).remedy("ip -brief link")
}
