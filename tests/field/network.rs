//! The network lives on when enforcement begins.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;

use anyhow::{Context, Result, ensure};
use banchi_tests::agent::{Agent, Mode};
use banchi_tests::lab::{DEADLINE, Gateway, Host, Lab};
use banchi_tests::plant;
use banchi_tests::traffic::{self, Outcome, TcpEcho, UdpEcho};

/// Nothing is allowed but Modbus from SCADA to the PLCs, and one service over UDP; everything else is dropped from
/// the first packet on.
const POLICY: &str = r#"
version: 1
defaults: { mode: enforce }
zones:
  control: { interfaces: [control], networks: [10.10.0.0/16, "fd00:10::/64"] }
  line-a:  { interfaces: [line-a], networks: [10.20.0.0/24, "fd00:20::/64"] }
assets:
  scada: { zone: control, addresses: [10.10.1.5, "fd00:10::1:5"] }
  plcs:  { zone: line-a, addresses: [10.20.0.11-10.20.0.13, "fd00:20::11-fd00:20::13"] }
  inner: { zone: line-a, addresses: [10.20.0.130, "fd00:20::1:130"] }
services:
  modbus: { transport: tcp, port: 502 }
  data:   { transport: udp, port: 9700 }
conduits:
  - between: [control, line-a]
    allow:
      - { client: scada, server: [plcs, inner], service: [modbus, data] }
"#;

fn both(host: &Host) -> [IpAddr; 2] {
    [host.ipv4().into(), host.ipv6().into()]
}

fn exchange(stream: &mut TcpStream, question: &[u8]) -> Result<()> {
    let mut answer = vec![0; question.len()];
    stream.write_all(question)?;
    stream.read_exact(&mut answer)?;
    ensure!(answer == question, "another answer");
    Ok(())
}

#[test]
fn connections_and_neighbours_outlive_every_change() -> Result<()> {
    let lab = Lab::new(Gateway::Routes, &plant::zones())?;
    let (scada, plc) = (lab.host("scada"), lab.host("plc-1"));
    let mut echoes = Vec::new();
    let mut streams = Vec::new();
    for (from, to) in both(scada).into_iter().zip(both(plc)) {
        echoes.push(TcpEcho::new(plc, (to, 502))?);
        streams.push(scada.tcp((from, 0), (to, 502), DEADLINE)?);
    }
    let mut all = |when: &str| {
        streams.iter_mut().try_for_each(|stream| exchange(stream, &[7; 4000])).context(when.to_owned())
    };
    all("before the agent")?;

    let agent = Agent::start(&lab, POLICY)?;
    let attached = super::attached(&lab)?;
    all("opened before the agent came, which enforces from its first packet on")?;
    for mode in [Mode::Alert, Mode::Enforce] {
        agent.set_mode(mode)?;
        all(mode.name())?;
    }
    // Every cache is empty: addresses must be resolved through the agent.
    for namespace in [scada, plc].map(|host| &**host).into_iter().chain([lab.gateway()]) {
        for family in ["-4", "-6"] {
            namespace.check(&["ip", family, "neighbour", "flush", "all"])?;
        }
    }
    all("after the caches were flushed")?;
    for (from, to) in both(scada).into_iter().zip(both(plc)) {
        let outcome = traffic::ask_tcp(scada, (from, 0), (to, 502), b"new", DEADLINE)?;
        ensure!(outcome == Outcome::Answered, "a new connection: {outcome:?}");
    }
    let status = agent.status()?;
    ensure!(super::packets_of(&status, "survival") > 0, "nobody asked for a neighbour: {status:#}");
    assert_eq!(super::attached(&lab)?, attached);
    agent.stop()?;
    all("after the agent")?;
    ensure!(super::attached(&lab)?.is_empty());
    Ok(())
}

/// Behind plc-1 is a link with a smaller MTU. The kernel of plc-1 says so to the sender, across the gateway.
#[test]
fn a_smaller_mtu_behind_the_gateway_reaches_the_sender() -> Result<()> {
    let lab = Lab::new(Gateway::Routes, &plant::zones())?;
    let (scada, plc) = (lab.host("scada"), lab.host("plc-1"));
    plc.sysctl(&[("net/ipv4/ip_forward", "1"), ("net/ipv6/conf/all/forwarding", "1")])?;
    for command in [
        "ip link add name inner type veth peer name inner-end",
        "ip link set dev inner mtu 1280 up",
        "ip link set dev inner-end up",
        "ip route add 10.20.0.130 dev inner",
        "ip route add fd00:20::1:130 dev inner",
    ] {
        plc.check(&command.split(' ').collect::<Vec<_>>())?;
    }
    for command in ["ip route add 10.20.0.130 via 10.20.0.11", "ip route add fd00:20::1:130 via fd00:20::11"]
    {
        lab.gateway().check(&command.split(' ').collect::<Vec<_>>())?;
    }
    let agent = Agent::start(&lab, POLICY)?;
    for (from, to) in both(scada).into_iter().zip(["10.20.0.130", "fd00:20::1:130"]) {
        let socket = scada.udp((from, 0))?;
        let to: IpAddr = to.parse()?;
        socket.connect(SocketAddr::from((to, 9700)))?;
        discover(&socket, from.is_ipv4())?;
        socket.send(&[1; 1400])?;
        // The socket hears of the error in place of an answer.
        let error = socket.recv(&mut [0; 16]).map(|_| ()).unwrap_err();
        ensure!(error.raw_os_error() == Some(libc::EMSGSIZE), "{from}: {error}");
        ensure!(mtu(&socket, from.is_ipv4())? == 1280, "{from}: the MTU of the path");
        ensure!(socket.send(&[1; 1400]).is_err(), "{from}: larger packets are not even sent now");
        socket.send(&[1; 1200])?;
    }
    let status = agent.status()?;
    assert_eq!(super::packets_of(&status, "related"), 2, "{status:#}");
    agent.stop()
}

/// Errors about packets that are allowed also tell a client at once that nobody listens.
#[test]
fn a_closed_port_is_refused_and_not_silent() -> Result<()> {
    let lab = Lab::new(Gateway::Routes, &plant::zones())?;
    let (scada, plc) = (lab.host("scada"), lab.host("plc-1"));
    let agent = Agent::start(&lab, POLICY)?;
    for (from, to) in both(scada).into_iter().zip(both(plc)) {
        let outcome = traffic::ask_udp(scada, (from, 0), (to, 9700), b"?", DEADLINE)?;
        ensure!(outcome == Outcome::Refused, "UDP from {from}: {outcome:?}");
        let outcome = traffic::ask_tcp(scada, (from, 0), (to, 502), b"?", DEADLINE)?;
        ensure!(outcome == Outcome::Refused, "TCP from {from}: {outcome:?}");
        let _echo = UdpEcho::new(plc, to, &[9700])?;
        let outcome = traffic::ask_udp(scada, (from, 0), (to, 9700), &[3; 1400], DEADLINE)?;
        ensure!(outcome == Outcome::Answered, "UDP from {from}: {outcome:?}");
        // In fragments, of which only the first has ports.
        let outcome = traffic::ask_udp(scada, (from, 0), (to, 9700), &[4; 2000], DEADLINE)?;
        ensure!(outcome == Outcome::Answered, "UDP in fragments from {from}: {outcome:?}");
    }
    agent.stop()
}

/// Never fragments on the way, and hears of packets that are too large.
fn discover(socket: &UdpSocket, v4: bool) -> Result<()> {
    let (level, option, value) = if v4 {
        (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DO)
    } else {
        (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DO)
    };
    let length = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the pointer is to a value of exactly this length, which lives until the call returns.
    let set =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), length) };
    if set < 0 { Err(std::io::Error::last_os_error()).context("path MTU discovery") } else { Ok(()) }
}

/// What the kernel knows of the path's MTU.
fn mtu(socket: &UdpSocket, v4: bool) -> Result<i32> {
    let (level, option) =
        if v4 { (libc::IPPROTO_IP, libc::IP_MTU) } else { (libc::IPPROTO_IPV6, libc::IPV6_MTU) };
    let mut value: libc::c_int = 0;
    let mut length = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the pointers are to a value and its length, which live until the call returns.
    let got = unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, option, (&raw mut value).cast(), &raw mut length)
    };
    if got < 0 { Err(std::io::Error::last_os_error()).context("the MTU of the path") } else { Ok(value) }
}
