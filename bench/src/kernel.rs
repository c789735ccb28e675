//! Programs in the kernel: those of the benchmark, and others by their number.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use aya::maps::{HashMap, ProgramArray};
use aya::programs::{ProgramInfo, TestRun as _, TestRunOptions, Xdp, XdpMode, loaded_programs};
use aya::{Ebpf, EbpfLoader};
use aya_obj::programs::XdpAttachType;

use crate::traffic::{CLIENT, PORT, SERVER, Tuples};

/// Constants of the benchmark's programs: the words of `bench/ebpf/src/main.rs`, in that order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) tuples: Tuples,
    /// Offsets of the low words of the client's and the server's address.
    pub(crate) addresses_at: (u32, u32),
    /// Offset of a port that becomes a random one; 0 is none.
    pub(crate) port_at: u32,
    /// Of so many packets one is listed; 1 is all, 0 is none.
    pub(crate) one_of: u32,
    /// Index of the interface that frames leave by.
    pub(crate) out: u32,
    /// Sum of the words of the IP header without addresses and checksum.
    pub(crate) header_sum: u32,
    /// Ports of unlisted packets: the first, and how many.
    pub(crate) unlisted: (u32, u32),
    /// Whether gaps are noted.
    pub(crate) gaps: bool,
    /// What whoever routes changes, to be written anew: offset and bytes of the TTL, and the hardware address.
    pub(crate) anew: Option<(u32, [u8; 2], [u8; 6])>,
}

impl Plan {
    /// For UDP over IPv4, without tags.
    pub(crate) fn new(tuples: Tuples) -> Self {
        let (addresses_at, unlisted) = ((26, 30), (1024, 1));
        let (port_at, one_of, out, header_sum, gaps, anew) = (0, 1, 0, 0, false, None);
        Self { tuples, addresses_at, port_at, one_of, out, header_sum, unlisted, gaps, anew }
    }

    fn words(&self) -> [u32; 18] {
        let Tuples { clients, servers } = self.tuples;
        let (client_at, server_at) = self.addresses_at;
        let (unlisted, ports) = self.unlisted;
        let (ttl_at, ttl, [a, b, c, d, e, f]) = self.anew.unwrap_or_default();
        [
            clients,
            servers,
            CLIENT,
            SERVER,
            client_at,
            server_at,
            self.port_at,
            self.one_of,
            u32::from(PORT),
            self.out,
            self.header_sum,
            ports,
            unlisted,
            u32::from(self.gaps),
            ttl_at,
            u32::from(u16::from_ne_bytes(ttl)),
            u32::from_ne_bytes([a, b, c, d]),
            u32::from(u16::from_ne_bytes([e, f])),
        ]
    }
}

/// The benchmark's programs, loaded by one plan.
pub(crate) struct Kit {
    pub(crate) ebpf: Ebpf,
}

impl Kit {
    /// Reads the object and makes its maps. `rows` are those of the bare lookup.
    ///
    /// # Errors
    /// Where `BANCHI_BENCH_OBJECT` names no object, or the kernel refuses.
    pub(crate) fn load(plan: &Plan, rows: u32) -> Result<Self> {
        let path = std::env::var_os("BANCHI_BENCH_OBJECT").map(PathBuf::from);
        let path = path.context("no programs: run `cargo xtask bench`, which builds them")?;
        let object = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        let words = plan.words();
        let mut loader = EbpfLoader::new();
        loader.override_global("PLAN", words.as_slice(), true);
        loader.map_max_entries("TUPLES", rows.max(1));
        Ok(Self { ebpf: loader.load(&object).context("load the programs of the benchmark")? })
    }

    /// One of the programs; the kernel takes it at the first call.
    ///
    /// # Errors
    /// Where the kernel refuses it.
    pub(crate) fn program(&mut self, name: &str) -> Result<&mut Xdp> {
        let program = self.ebpf.program_mut(name).with_context(|| format!("there is no program {name}"))?;
        let program: &mut Xdp = program.try_into()?;
        if program.fd().is_err() {
            program.load().with_context(|| format!("load the program {name}"))?;
        }
        Ok(program)
    }

    /// A handle of one of the programs that lasts without this.
    ///
    /// # Errors
    /// As [`program`](Self::program).
    pub(crate) fn handle(&mut self, name: &str) -> Result<Xdp> {
        open(self.program(name)?.info()?)
    }

    /// Attaches one of the programs to an interface of the thread's namespace, as long as this lasts.
    ///
    /// # Errors
    /// Where the driver refuses.
    pub(crate) fn attach(&mut self, name: &str, interface: u32) -> Result<()> {
        self.program(name)?.attach_to_if_index(interface, XdpMode::Driver)?;
        Ok(())
    }

    /// What `vary` hands packets to.
    ///
    /// # Errors
    /// Where the kernel refuses the program there.
    pub(crate) fn then(&mut self, next: &Xdp) -> Result<()> {
        let map = self.ebpf.map_mut("NEXT").context("there is no map NEXT")?;
        Ok(ProgramArray::try_from(map)?.set(0, next.fd()?, 0)?)
    }

    /// Fills the table of the bare lookup with tuples of UDP from and to [`PORT`].
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub(crate) fn fill(&mut self, tuples: Tuples) -> Result<()> {
        let map = self.ebpf.map_mut("TUPLES").context("there is no map TUPLES")?;
        let mut map: HashMap<_, [u32; 4], u32> = HashMap::try_from(map)?;
        let port = u32::from(PORT.to_be());
        for (client, server) in tuples.all() {
            let word = |address: std::net::Ipv4Addr| u32::from_ne_bytes(address.octets());
            map.insert([word(client), word(server), port << 16 | port, 17], 1, 0)?;
        }
        Ok(())
    }
}

/// A program of the kernel by its number.
///
/// # Errors
/// Where there is none, or it is no XDP program.
pub(crate) fn by_id(id: u32) -> Result<Xdp> {
    let info = loaded_programs().filter_map(Result::ok).find(|program| program.id() == id);
    open(info.with_context(|| format!("there is no program {id}"))?)
}

/// Another handle of a program.
///
/// # Errors
/// Where the kernel does not give one.
pub(crate) fn same(program: &Xdp) -> Result<Xdp> {
    open(program.info()?)
}

fn open(info: ProgramInfo) -> Result<Xdp> {
    let name = info.name_as_str().unwrap_or("?").to_owned();
    Ok(Xdp::from_program_info(info, name.into(), XdpAttachType::Interface)?)
}

/// Runs a packet that comes in by an interface, and yields what the program said.
///
/// # Errors
/// Where the kernel refuses the run.
pub(crate) fn run(program: &Xdp, packet: &[u8], interface: u32, repeat: u32) -> Result<u32> {
    let context = context(packet, interface);
    let options =
        TestRunOptions { data_in: Some(packet), ctx_in: Some(&context), repeat, ..TestRunOptions::new() };
    Ok(program.test_run(options).context("run a packet through a program")?.return_value)
}

/// `struct xdp_md`: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
fn context(packet: &[u8], interface: u32) -> [u8; 24] {
    let mut context = [0; 24];
    let words = [0, packet.len() as u32, 0, interface, 0, 0];
    for (bytes, word) in context.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_ne_bytes());
    }
    context
}

/// The XDP programs on interfaces of the thread's namespace, by the interface's name.
///
/// # Errors
/// Where the kernel does not answer.
pub(crate) fn interfaces() -> Result<BTreeMap<String, (u32, Option<u32>)>> {
    let links = banchi::datapath::links()?;
    Ok(links.into_iter().map(|link| (link.name, (link.index, link.xdp.map(|xdp| xdp.program)))).collect())
}

/// Index of an interface of the thread's namespace.
///
/// # Errors
/// Where there is none of that name.
pub(crate) fn index(name: &str) -> Result<u32> {
    let Some((index, _)) = interfaces()?.get(name).copied() else { bail!("no interface {name}") };
    ensure!(index > 0);
    Ok(index)
}
