//! A policy as loaded.

use std::path::PathBuf;

use banchi_common::abi::STATE_VERSION;
use sha2::{Digest as _, Sha256};

use crate::datapath::{Datapath, DatapathError, Interface, Options, Record, Store, object_hash};
use crate::grants::{Grant, overlay};
use crate::image::{Image, compile};
use crate::policy::model::Policy;
use crate::policy::render::{self, Style};
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
    /// Whether it may enforce where that is unsafe.
    pub accepts_unsafe: bool,
    /// Whether it may have no rule.
    pub allow_empty: bool,
}

impl Generation {
    /// Takes up a pinned generation. Its policy comes from its record, and its tables are checked against it.
    pub(super) fn adopt(store: &Store, id: u32) -> Result<Self, DatapathError> {
        let record = store.read(id)?;
        let (policy, image) = read(&source_of(&record), &record.grants)?;
        let datapath = Datapath::adopt(store, &record, &image)?;
        Ok(Self { record, policy, image, datapath })
    }
}

/// The policy of a record. What it may be was said when it was loaded.
pub(super) fn source_of(record: &Record) -> Source {
    let (path, text) = (record.policy_path.clone(), record.policy_text.clone());
    Source { path, text, accepts_unsafe: true, allow_empty: true }
}

/// The policy of a record as it was written.
pub(super) fn written_policy(record: &Record) -> Result<Policy, DatapathError> {
    parse(&source_of(record))
}

/// The policy of a record with its grants, as it was compiled.
pub(super) fn policy_of(record: &Record) -> Result<Policy, DatapathError> {
    let mut policy = written_policy(record)?;
    overlay(&mut policy, &record.grants);
    Ok(policy)
}

fn parse(source: &Source) -> Result<Policy, DatapathError> {
    let name = source.path.display().to_string();
    let loaded = policy::load_for(&name, &source.text, source.allow_empty);
    loaded.policy.ok_or_else(|| {
        let text = render::render(&name, &source.text, &loaded.diagnostics, Style::Plain);
        DatapathError::other("read the policy", format!("{name} has errors\n{text}"))
    })
}

/// Reads and compiles a policy with grants beside it. Grants that do not fit it are left out.
pub(super) fn read(source: &Source, grants: &[Grant]) -> Result<(Policy, Image), DatapathError> {
    let mut policy = parse(source)?;
    for (id, error) in overlay(&mut policy, grants) {
        tracing::warn!("grant {id} does not fit this policy, and lets nothing pass: {error}");
    }
    let image = compile(&policy).map_err(|error| DatapathError::other("compile the policy", error))?;
    Ok((policy, image))
}

pub(super) fn record(
    id: u32,
    source: &Source,
    interfaces: &[Interface],
    datapath: &Datapath,
    options: &Options,
    grants: &[Grant],
) -> Record {
    Record {
        version: STATE_VERSION,
        id,
        policy_path: source.path.clone(),
        policy_text: source.text.clone(),
        policy_hash: hash(&source.text),
        interfaces: named(interfaces),
        moving: Vec::new(),
        secret: datapath.secret(),
        suppress_ms: options.suppress_ms,
        object: object_hash(),
        grants: grants.to_vec(),
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
