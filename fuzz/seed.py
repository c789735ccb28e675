"""Writes the first files of the corpus: small captures of every kind that the reader knows, frames, and policies.

    python3 fuzz/seed.py        from the root of the checkout; needs zstd for one of the files
"""
import gzip
import pathlib
import shutil
import socket
import struct
import subprocess

ROOT = pathlib.Path(__file__).parent
CORPUS = ROOT / "corpus"


def ip4(protocol, source, destination, body):
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 1, 0, 64, protocol, 0,
                       socket.inet_aton(source), socket.inet_aton(destination))
    return head + body


def ip6(protocol, body):
    ends = socket.inet_pton(socket.AF_INET6, "fd00:10::5") + socket.inet_pton(socket.AF_INET6, "fd00:20::11")
    return struct.pack(">IHBB", 6 << 28, len(body), protocol, 64) + ends + body


def udp(source, destination, payload):
    return struct.pack(">HHHH", source, destination, 8 + len(payload), 0) + payload


def tcp(source, destination, flags, payload=b""):
    return struct.pack(">HHIIBBHHH", source, destination, 1, 1, 0x50, flags, 1000, 0, 0) + payload


def ethernet(kind, body, tags=b""):
    return bytes.fromhex("0210000000020210000000aa") + tags + struct.pack(">H", kind) + body


BACNET = bytes.fromhex("810a0011010402750e0c0c023fffff194c")
MODBUS = bytes.fromhex("000100000006010300000002")
FRAMES = {
    "bacnet": ethernet(0x0800, ip4(17, "10.10.1.6", "10.30.0.21", udp(47808, 47808, BACNET))),
    "modbus": ethernet(0x0800, ip4(6, "10.10.1.9", "10.20.0.50", tcp(40000, 502, 0x18, MODBUS))),
    "syn": ethernet(0x0800, ip4(6, "10.10.1.9", "10.20.0.50", tcp(40000, 502, 0x02))),
    "vlan": ethernet(0x0800, ip4(17, "10.10.1.5", "10.20.0.11", udp(6000, 6011, b"\xe0" * 9)),
                     bytes.fromhex("8100000a")),
    "qinq": ethernet(0x0800, ip4(17, "10.10.1.5", "10.20.0.11", udp(6000, 6011, b"\xe0" * 9)),
                     bytes.fromhex("88a800648100000a")),
    "ipv6": ethernet(0x86DD, ip6(17, udp(5000, 5001, b"\xd0\x00\x00\xff\xff\x03\x00\x02\x00\x00\x00"))),
    "options": ethernet(0x86DD, ip6(0, bytes([17, 0, 1, 4, 0, 0, 0, 0]) + udp(5000, 5001, b"abc"))),
    "ping": ethernet(0x0800, ip4(1, "10.10.1.5", "10.20.0.11", bytes.fromhex("0800000000010001"))),
    "fragment": ethernet(0x0800, bytearray(ip4(17, "10.10.1.5", "10.20.0.11", b"\x00" * 24))[:6]
                         + b"\x20\x10" + bytearray(ip4(17, "10.10.1.5", "10.20.0.11", b"\x00" * 24))[8:]),
    "arp": ethernet(0x0806, bytes.fromhex("00010800060400010210000000aa0a0a0105000000000000" "0a14000b")),
    "goose": ethernet(0x88B8, b"\x00\x01\x00\x08\x00\x00\x00\x00"),
    "llc": bytes.fromhex("0180c20000000210000000aa0026424203") + b"\x00" * 35,
}


def pcap(frames, magic=0xA1B2C3D4, order="<", link=1):
    out = struct.pack(order + "IHHIIII", magic, 2, 4, 0, 0, 65535, link)
    for number, frame in enumerate(frames):
        out += struct.pack(order + "IIII", 1750075200 + number, number * 1000, len(frame), len(frame)) + frame
    return out


def block(kind, body, order="<"):
    body += b"\x00" * (-len(body) % 4)
    length = len(body) + 12
    return struct.pack(order + "II", kind, length) + body + struct.pack(order + "I", length)


def pcapng(frames, order="<"):
    out = block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)
    for name in (b"eth1", b"eth2"):
        option = struct.pack(order + "HH", 2, len(name)) + name + struct.pack(order + "HHB3xI", 9, 1, 9, 0)
        out += block(1, struct.pack(order + "HHI", 1, 0, 65535) + option, order)
    for number, frame in enumerate(frames):
        at = 1_750_075_200_000_000_000 + number
        head = struct.pack(order + "IIIII", number % 2, at >> 32, at & 0xFFFFFFFF, len(frame), len(frame))
        out += block(6, head + frame, order)
    return out


def main():
    frames = [bytes(frame) for frame in FRAMES.values()]
    inner = [frame[14:] for frame in frames if frame[12:14] == b"\x08\x00"]
    cooked = [struct.pack(">HHH8sH", 0, 1, 6, b"\x02" * 8, 0x0800) + packet for packet in inner]
    captures = {
        "plain.pcap": pcap(frames),
        "nanoseconds.pcap": pcap(frames, magic=0xA1B23C4D, order=">"),
        "raw.pcap": pcap(inner, link=101),
        "cooked.pcap": pcap(cooked, link=113),
        "empty.pcap": pcap([]),
        "little.pcapng": pcapng(frames),
        "big.pcapng": pcapng(frames, ">"),
        "plain.pcap.gz": gzip.compress(pcap(frames), mtime=0),
        "cut.pcap": pcap(frames)[:-7],
        "long.pcap": pcap(frames)[:24] + struct.pack("<IIII", 0, 0, 0xFFFFFFF0, 60),
    }
    if shutil.which("zstd"):
        zstd = subprocess.run(["zstd", "-q", "-c"], input=pcapng(frames), capture_output=True, check=True)
        captures["little.pcapng.zst"] = zstd.stdout
    for target, files in {"capture": captures, "packet": FRAMES}.items():
        (CORPUS / target).mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (CORPUS / target / name).write_bytes(bytes(data))
    (CORPUS / "policy").mkdir(exist_ok=True)
    for example in sorted((ROOT.parent / "examples").glob("*.yaml")):
        shutil.copy(example, CORPUS / "policy" / example.name)


if __name__ == "__main__":
    main()
