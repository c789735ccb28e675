//! A policy as loaded.

use std::path::PathBuf;

use banchi_common::abi::STATE_VERSION;
use sha2::{Digest as _, Sha256};

use crate::datapath::{Datapath, DatapathError, Interface, Options, Record, Store, object_hash};
use crate::image::{Image, compile};
use crate::policy::model::Policy;
use crate::policy::{self};

/// A policy as loaded.
pub struct Generation {
    /// What is known of it besides its policy.
    pub record: Record,
    /// The policy.
    pub policy: Policy,
    /// Its tables.
    pub image: Image,
    /// Program and maps.
    pub datapath: Datapath,
}

/// A policy on its way into the kernel.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its file, for people.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

impl Generation {
    /// Takes up a pinned generation. Its policy comes from its record, and its tables are checked against it.
    pub(super) fn adopt(store: &Store, id: u32) -> Result<Self, DatapathError> {
        let record = store.read(id)?;
        let source = Source { path: record.policy_path.clone(), text: record.policy_text.clone() };
        let (policy, image) = read(&source)?;
        let datapath = Datapath::adopt(store, &record, &image)?;
        Ok(Self { record, policy, image, datapath })
    }
}

pub(super) fn read(source: &Source) -> Result<(Policy, Image), DatapathError> {
    let name = source.path.display().to_string();
    let loaded = policy::load(&name, &source.text);
    let Some(policy) = loaded.policy else {
        let text = loaded.render(&source.text, policy::render::Style::Plain);
        return Err(DatapathError::other("read the policy", format!("{name} has errors\n{text}")));
    };
    let image = compile(&policy).map_err(|error| DatapathError::other("compile the policy", error))?;
    Ok((policy, image))
}

pub(super) fn record(
    id: u32,
    source: &Source,
    interfaces: &[Interface],
    datapath: &Datapath,
    options: &Options,
) -> Record {
    Record {
        version: STATE_VERSION,
        id,
        policy_path: source.path.clone(),
        policy_text: source.text.clone(),
        policy_hash: hash(&source.text),
        interfaces: named(interfaces),
        secret: datapath.secret(),
        suppress_ms: options.suppress_ms,
        object: object_hash(),
        loaded: crate::events::time_of_day(),
    }
}

/// Name of a conduit by number; 0, what belongs to none, has none.
pub(super) fn conduit_name(policy: &Policy, number: usize) -> Option<String> {
    number.checked_sub(1).and_then(|at| policy.conduits.get(at)).map(|conduit| conduit.name.clone())
}

/// Number of the conduit of a name in another policy.
pub(super) fn same_conduit(policy: &Policy, name: Option<&str>) -> Option<u32> {
    let Some(name) = name else { return Some(0) };
    policy.conduits.iter().position(|conduit| conduit.name == name).map(|at| at as u32 + 1)
}

pub(super) fn named(interfaces: &[Interface]) -> Vec<(String, u32)> {
    interfaces.iter().map(|interface| (interface.name.clone(), interface.index)).collect()
}

/// SHA-256, in hexadecimal.
pub fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
