//! What programs that no one here wrote say of the same segments.

mod strategies;

use etherparse::{TcpHeader, TcpOptionElement};
use ip_header::{Addresses, Protocol, ipv4, ipv6};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use smoltcp::wire::{IpAddress, TcpPacket};
use strategies::{Parts, addresses, header, list};
use tcp_segment::option::{MAX_OPTIONS_LEN, SackBlock};
use tcp_segment::{Flags, Header, Options, Segment, TcpOption};
use testkit::{Program, peer};

/// How many random segments tshark is asked about.
const SEGMENTS: usize = 300;

/// Option kinds that IANA has given to nobody, so that no one looks into them.
fn unassigned() -> Vec<u8> {
    (40..=68).collect()
}

prop_compose! {
    /// A segment with options of these kinds beside those that have a name.
    fn segment(other_kinds: Vec<u8>)(
        header in header(), list in list(other_kinds), data in vec(any::<u8>(), 0..64),
        addresses in addresses(),
    ) -> (Vec<u8>, Addresses) {
        let list: Vec<TcpOption> = list.iter().map(Parts::option).collect();
        let mut room = [0; MAX_OPTIONS_LEN];
        let header = Header { options: Options::emit(&list, &mut room).unwrap(), ..header };
        let mut bytes = vec![0; header.header_len()];
        bytes.extend(&data);
        header.emit(&mut bytes, addresses).unwrap();
        (bytes, addresses)
    }
}

fn edges(block: &SackBlock) -> (u32, u32) {
    (block.left.0, block.right.0)
}

fn same_as_etherparse(bytes: &[u8], addresses: Addresses) {
    let ours = Segment::parse(bytes, addresses).unwrap();
    let (theirs, behind) = TcpHeader::from_slice(bytes).unwrap();
    let header = ours.header();
    assert_eq!(header.source_port, theirs.source_port);
    assert_eq!(header.destination_port, theirs.destination_port);
    assert_eq!(header.sequence_number.0, theirs.sequence_number);
    assert_eq!(header.acknowledgment_number.0, theirs.acknowledgment_number);
    assert_eq!(ours.data_offset(), theirs.data_offset());
    for (flag, theirs) in [
        (Flags::AE, theirs.ns),
        (Flags::CWR, theirs.cwr),
        (Flags::ECE, theirs.ece),
        (Flags::URG, theirs.urg),
        (Flags::ACK, theirs.ack),
        (Flags::PSH, theirs.psh),
        (Flags::RST, theirs.rst),
        (Flags::SYN, theirs.syn),
        (Flags::FIN, theirs.fin),
    ] {
        assert_eq!(header.flags.contains(flag), theirs, "{flag}");
    }
    assert_eq!(header.window, theirs.window_size);
    assert_eq!(ours.checksum(), theirs.checksum);
    assert_eq!(header.urgent_pointer, theirs.urgent_pointer);
    assert_eq!(header.options.as_bytes(), &theirs.options[..]);
    assert_eq!(ours.payload(), behind);
    // etherparse keeps no reserved bits, so it can only sum up what has none.
    if header.flags.reserved() & !1 == 0 {
        let computed = match addresses {
            Addresses::V4 {
                source,
                destination,
            } => theirs.calc_checksum_ipv4_raw(source.octets(), destination.octets(), behind),
            Addresses::V6 {
                source,
                destination,
            } => theirs.calc_checksum_ipv6_raw(source.octets(), destination.octets(), behind),
        };
        // Of the two forms of zero, Linux sends the one that nobody computes.
        let found = match ours.checksum() {
            0xffff => 0,
            found => found,
        };
        assert_eq!(found, computed.unwrap());
    }

    let mut options = header.options.iter();
    for theirs in theirs.options_iterator() {
        let Ok(theirs) = theirs else { break }; // a kind that etherparse does not know
        let ours = match options.next().expect("an option").unwrap() {
            TcpOption::NoOperation => TcpOptionElement::Noop,
            TcpOption::MaximumSegmentSize(size) => TcpOptionElement::MaximumSegmentSize(size),
            TcpOption::WindowScale(shift) => TcpOptionElement::WindowScale(shift),
            TcpOption::SackPermitted => TcpOptionElement::SelectiveAcknowledgementPermitted,
            TcpOption::Sack(blocks) => {
                let mut edges = blocks.as_slice().iter().map(edges);
                let first = edges.next().expect("at least one block");
                let rest = [(); 3].map(|()| edges.next());
                TcpOptionElement::SelectiveAcknowledgement(first, rest)
            }
            TcpOption::Timestamps { value, echo_reply } => {
                TcpOptionElement::Timestamp(value, echo_reply)
            }
            other => panic!("etherparse takes {other:?} for {theirs:?}"),
        };
        assert_eq!(ours, theirs);
    }
}

fn same_as_smoltcp(bytes: &[u8], addresses: Addresses) {
    let ours = Segment::parse(bytes, addresses).unwrap();
    let theirs = TcpPacket::new_checked(bytes).unwrap();
    let [source, destination]: [IpAddress; 2] = match addresses {
        Addresses::V4 {
            source,
            destination,
        } => [source.into(), destination.into()],
        Addresses::V6 {
            source,
            destination,
        } => [source.into(), destination.into()],
    };
    assert!(theirs.verify_checksum(&source, &destination));
    let header = ours.header();
    assert_eq!(header.source_port, theirs.src_port());
    assert_eq!(header.destination_port, theirs.dst_port());
    assert_eq!(header.sequence_number.0 as i32, theirs.seq_number().0);
    assert_eq!(header.acknowledgment_number.0 as i32, theirs.ack_number().0);
    assert_eq!(header.header_len(), usize::from(theirs.header_len()));
    assert_eq!(header.window, theirs.window_len());
    assert_eq!(ours.checksum(), theirs.checksum());
    assert_eq!(header.urgent_pointer, theirs.urgent_at());
    assert_eq!(ours.payload(), theirs.payload());
    assert_eq!(ours.sequence_len() as usize, theirs.segment_len());

    let mut rest = theirs.options();
    for ours in header.options {
        use smoltcp::wire::TcpOption as Theirs;
        // smoltcp keeps three SACK blocks, and has fewer kinds.
        let expected = match ours.unwrap() {
            TcpOption::EndOfList => Theirs::EndOfList,
            TcpOption::NoOperation => Theirs::NoOperation,
            TcpOption::MaximumSegmentSize(size) => Theirs::MaxSegmentSize(size),
            TcpOption::WindowScale(shift) => Theirs::WindowScale(shift),
            TcpOption::SackPermitted => Theirs::SackPermitted,
            TcpOption::Sack(blocks) => {
                let mut edges = blocks.as_slice().iter().map(edges);
                Theirs::SackRange([(); 3].map(|()| edges.next()))
            }
            TcpOption::Timestamps { value, echo_reply } => Theirs::TimeStamp {
                tsval: value,
                tsecr: echo_reply,
            },
            option => Theirs::Unknown {
                kind: option.kind(),
                data: &rest[2..option.wire_len()],
            },
        };
        let (behind, found) = Theirs::parse(rest).unwrap();
        assert_eq!(found, expected);
        rest = behind;
    }
}

proptest! {
    #[test]
    fn etherparse_reads_the_same((bytes, addresses) in segment(unassigned())) {
        same_as_etherparse(&bytes, addresses);
    }

    #[test]
    fn smoltcp_reads_the_same((bytes, addresses) in segment(unassigned())) {
        same_as_smoltcp(&bytes, addresses);
    }
}

/// A packet as it was captured.
struct Captured {
    /// From the IP header on, as much of it as was kept.
    bytes: Vec<u8>,
    /// How long it was.
    len: usize,
}

/// Packets as a capture file: pcap, whose link type 101 is raw IP (pcap-savefile(5)).
fn pcap(packets: &[Captured]) -> Vec<u8> {
    let mut file = Vec::new();
    for number in [0xa1b2_c3d4_u32, 4 << 16 | 2, 0, 0, 65_535, 101] {
        file.extend(number.to_be_bytes());
    }
    for Captured { bytes, len } in packets {
        for number in [0, 0, bytes.len() as u32, *len as u32] {
            file.extend(number.to_be_bytes());
        }
        file.extend(bytes);
    }
    file
}

/// What tshark shows of a segment, in the order of [`tshark_line`].
const TSHARK_FIELDS: &[&str] = &[
    "frame.number",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.seq_raw",
    "tcp.ack_raw",
    "tcp.hdr_len",
    "tcp.flags",
    "tcp.window_size_value",
    "tcp.checksum",
    "tcp.checksum.status",
    "tcp.urgent_pointer",
    "tcp.len",
    "tcp.payload",
    "tcp.options",
    "tcp.option_kind",
    "tcp.option_len",
    "tcp.options.mss_val",
    "tcp.options.wscale.shift",
    "tcp.options.sack.count",
    "tcp.options.sack_le",
    "tcp.options.sack_re",
    "tcp.options.timestamp.tsval",
    "tcp.options.timestamp.tsecr",
    "tcp.options.user_to_granularity",
    "tcp.options.user_to_val",
    "tcp.options.tfo.cookie",
];

/// A TCP segment in a capture.
struct Framed<'a> {
    /// The number of its frame, from 1 on.
    frame: usize,
    /// As much of it as was kept, and how long it was.
    bytes: &'a [u8],
    len: usize,
    /// Its packet's addresses.
    addresses: Addresses,
}

impl Framed<'_> {
    fn is_whole(&self) -> bool {
        self.bytes.len() == self.len
    }
}

/// What we read, in tshark's words.
fn tshark_line(framed: &Framed) -> String {
    let (segment, checksum) = match framed.is_whole() {
        true => (Segment::parse(framed.bytes, framed.addresses), "1"), // good
        false => (Segment::parse_without_checksum(framed.bytes), "2"), // not verified
    };
    let segment = segment.unwrap();
    // The other form of zero. A receiver that adds everything finds it right (RFC 1624 §5), and so
    // do we; tshark computes the sum and compares.
    let checksum = match segment.checksum() {
        0xffff if framed.is_whole() => "0",
        _ => checksum,
    };
    let header = segment.header();
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    let mut columns = vec![
        framed.frame.to_string(),
        header.source_port.to_string(),
        header.destination_port.to_string(),
        header.sequence_number.to_string(),
        header.acknowledgment_number.to_string(),
        header.header_len().to_string(),
        format!("{:#06x}", header.flags.bits()),
        header.window.to_string(),
        format!("{:#06x}", segment.checksum()),
        checksum.to_owned(),
        header.urgent_pointer.to_string(),
        (framed.len - header.header_len()).to_string(),
        // What a RST carries is a text that says why (RFC 9293 §3.5.3), to tshark.
        match header.flags.contains(Flags::RST) {
            true => String::new(),
            false => hex(segment.payload()),
        },
        hex(header.options.as_bytes()),
    ];
    // A list for each column from `tcp.option_kind` on.
    let mut lists: [Vec<String>; 12] = Default::default();
    let mut rest = header.options.as_bytes();
    for option in header.options {
        let option = option.unwrap();
        rest = &rest[option.wire_len()..];
        let mut add = |field: &str, value: &dyn ToString| {
            let at = TSHARK_FIELDS.iter().position(|each| *each == field);
            lists[at.expect("a field") - columns.len()].push(value.to_string());
        };
        add("tcp.option_kind", &option.kind());
        if option.wire_len() > 1 {
            add("tcp.option_len", &option.wire_len());
        }
        match option {
            TcpOption::MaximumSegmentSize(size) => add("tcp.options.mss_val", &size),
            TcpOption::WindowScale(shift) => add("tcp.options.wscale.shift", &shift),
            TcpOption::Sack(blocks) => {
                for block in blocks.as_slice() {
                    add("tcp.options.sack_le", &block.left);
                    add("tcp.options.sack_re", &block.right);
                }
                add("tcp.options.sack.count", &blocks.as_slice().len());
            }
            TcpOption::Timestamps { value, echo_reply } => {
                add("tcp.options.timestamp.tsval", &value);
                add("tcp.options.timestamp.tsecr", &echo_reply);
            }
            TcpOption::UserTimeout(timeout) => {
                let (minutes, count) = timeout.parts();
                add("tcp.options.user_to_granularity", &u8::from(minutes));
                add("tcp.options.user_to_val", &count);
            }
            TcpOption::FastOpen(cookie) if !cookie.as_bytes().is_empty() => {
                add("tcp.options.tfo.cookie", &hex(cookie.as_bytes()));
            }
            // Each zero of the padding counts.
            TcpOption::EndOfList => rest.iter().for_each(|zero| add("tcp.option_kind", zero)),
            _ => {}
        }
    }
    columns.extend(lists.map(|list| list.join(",")));
    columns.join("|")
}

/// Asks tshark about all `packets`, and compares with `segments`, which should be all TCP segments
/// in them. Gives how many it compared.
fn as_tshark_reads(file: Vec<u8>, segments: &[Framed]) -> Option<usize> {
    let fields = TSHARK_FIELDS.iter().flat_map(|field| ["-e", *field]);
    let run = Program::new(peer("tshark")?)
        .args(["-n", "-r", "-", "-T", "fields", "-E", "separator=|"])
        .args(["-E", "occurrence=a", "-E", "aggregator=,"])
        // An ICMP message holds the beginning of the packet that it is about.
        .args(["-Y", "tcp and not icmp and not icmpv6"])
        .args(["-o", "tcp.check_checksum:TRUE"])
        .args(["-o", "tcp.relative_sequence_numbers:FALSE"])
        .args(fields)
        .input(file)
        .run()
        .succeeds();
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(lines.len(), segments.len(), "{}", run.stderr);
    for (line, framed) in lines.iter().zip(segments) {
        let fields = TSHARK_FIELDS.join("|");
        assert_eq!(
            *line,
            tshark_line(framed),
            "{fields}\n{:02x?}",
            framed.bytes
        );
    }
    Some(lines.len())
}

#[test]
fn tshark_reads_the_same() {
    // The same segments in every run: a test that is right once is right again.
    let mut runner = TestRunner::deterministic();
    let strategy = segment(unassigned());
    let segments: Vec<(Vec<u8>, Addresses)> = (0..SEGMENTS)
        .map(|_| strategy.new_tree(&mut runner).unwrap().current())
        .collect();
    let packets: Vec<Captured> = segments
        .iter()
        .map(|(bytes, addresses)| packet(bytes, *addresses))
        .map(|bytes| Captured {
            len: bytes.len(),
            bytes,
        })
        .collect();
    let framed: Vec<Framed> = segments
        .iter()
        .zip(1..)
        .map(|((bytes, addresses), frame)| Framed {
            frame,
            bytes,
            len: bytes.len(),
            addresses: *addresses,
        })
        .collect();
    let compared = as_tshark_reads(pcap(&packets), &framed);
    assert!(compared.is_none_or(|compared| compared == SEGMENTS));
}

/// A packet that carries a segment.
fn packet(segment: &[u8], addresses: Addresses) -> Vec<u8> {
    match addresses {
        Addresses::V4 {
            source,
            destination,
        } => {
            let mut packet = vec![0; ipv4::HEADER_LEN + segment.len()];
            let header = ipv4::Header::new(Protocol::TCP, source, destination);
            header.emit(&mut packet).unwrap().copy_from_slice(segment);
            packet
        }
        Addresses::V6 {
            source,
            destination,
        } => {
            let mut packet = vec![0; ipv6::HEADER_LEN + segment.len()];
            let header = ipv6::Header::new(Protocol::TCP, source, destination);
            header.emit(&mut packet).unwrap().copy_from_slice(segment);
            packet
        }
    }
}

/// The captures of this chapter's listings.
#[cfg(target_os = "linux")]
mod captures {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::time::Duration;

    use ip_header::{Packet, Protocol, Reason};
    use pcap_file::pcapng::{Block, PcapNgReader};
    use tcp_segment::Segment;
    use testkit::{Program, peer};

    use super::{Captured, Framed, as_tshark_reads, pcap, same_as_etherparse, same_as_smoltcp};

    /// How many packets of a capture are looked at. Of a longer one every second, third, … is, so
    /// that there are no more.
    const MOST: usize = 20_000;

    /// By which a listing on the lab is told where to leave its packets.
    const PCAPNG_VARIABLE: &str = "LAB_PCAPNG";

    #[test]
    fn tshark_reads_the_same_in_every_capture_of_this_chapter() {
        if peer("tshark").is_none() {
            return;
        }
        let listings = listings();
        assert!(listings.iter().any(|name| name == "tcp-segment"));
        let directory = tempfile::tempdir().unwrap();
        let mut compared = BTreeMap::new();
        for name in &listings {
            let folder = directory.path().join(name);
            fs::create_dir(&folder).unwrap();
            let segments = capture(name, &folder)
                .iter()
                .map(|file| compare(file))
                .sum();
            compared.insert(name, segments);
            // Up to a gigabyte of packets: one listing's at a time.
            fs::remove_dir_all(&folder).unwrap();
        }
        println!("segments compared: {compared:#?}");
        assert!(
            compared.values().all(|&segments: &usize| segments > 0),
            "{compared:?}"
        );
    }

    /// The packages of this chapter that use the lab.
    fn listings() -> Vec<String> {
        let chapter = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut names: Vec<String> = fs::read_dir(chapter)
            .unwrap()
            .filter_map(|folder| {
                let manifest = folder.unwrap().path().join("Cargo.toml");
                let manifest: toml::Table = fs::read_to_string(manifest).ok()?.parse().unwrap();
                let on_linux = manifest
                    .get("target")
                    .and_then(|target| target.get("cfg(target_os = \"linux\")"));
                let uses_lab = [Some(&toml::Value::Table(manifest.clone())), on_linux]
                    .into_iter()
                    .flatten()
                    .any(|table| {
                        table
                            .get("dependencies")
                            .is_some_and(|all| all.get("lab").is_some())
                    });
                let name = manifest["package"]["name"].as_str().expect("a name");
                uses_lab.then(|| name.to_owned())
            })
            .collect();
        names.sort();
        names
    }

    /// Runs a listing, and gives the files that it left in `folder`: one for each of its labs.
    ///
    /// Whether it ended well, its own tests judge; here it is about the packets.
    fn capture(name: &str, folder: &Path) -> Vec<PathBuf> {
        let run = Program::new(binary(name))
            .env(PCAPNG_VARIABLE, folder.join("packets.pcapng"))
            .deadline(Duration::from_secs(120))
            .run();
        let files = fs::read_dir(folder).unwrap();
        let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty(), "{name} left no packets: {}", run.stderr);
        files
    }

    /// A listing's binary. It stands beside our own, whatever target directory and profile that is;
    /// where it has not been built, cargo does so and says where.
    fn binary(name: &str) -> PathBuf {
        let beside = Path::new(env!("CARGO_BIN_EXE_tcp-segment")).with_file_name(name);
        if beside.exists() {
            return beside;
        }
        let build = Command::new(env!("CARGO"))
            .args([
                "build",
                "--quiet",
                "--message-format=json",
                "--package",
                name,
            ])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&build.stderr);
        assert!(build.status.success(), "{name} cannot be built: {errors}");
        let messages = String::from_utf8(build.stdout).unwrap();
        let executable = messages.lines().find_map(|message| {
            let message: serde_json::Value = serde_json::from_str(message).unwrap();
            let ours = message["target"]["name"] == *name;
            let path = message["executable"].as_str()?;
            ours.then(|| PathBuf::from(path))
        });
        executable.unwrap_or_else(|| panic!("cargo names no binary of {name}: {messages}"))
    }

    /// Compares what we read in a capture with what tshark reads, and gives how many segments.
    fn compare(file: &Path) -> usize {
        let all = packets(file);
        let step = all.len().div_ceil(MOST).max(1);
        let packets: Vec<Captured> = all.into_iter().step_by(step).collect();
        let padded: Vec<Vec<u8>> = packets.iter().map(Captured::padded).collect();
        let segments: Vec<Framed> = padded
            .iter()
            .zip(&packets)
            .zip(1..)
            .filter_map(|((padded, packet), frame)| framed(frame, padded, packet))
            .collect();
        for segment in segments.iter().filter(|segment| segment.is_whole()) {
            same_as_etherparse(segment.bytes, segment.addresses);
            same_as_smoltcp(segment.bytes, segment.addresses);
        }
        as_tshark_reads(pcap(&packets), &segments).expect("tshark was found")
    }

    /// The TCP segment in a packet, if there is one.
    fn framed<'a>(frame: usize, padded: &'a [u8], captured: &Captured) -> Option<Framed<'a>> {
        let packet = Packet::parse(padded).unwrap();
        let upper = packet.upper_layer().unwrap();
        let cut = captured.len - captured.bytes.len();
        let tcp = upper.protocol == Protocol::TCP && upper.fragment.is_none();
        tcp.then(|| Framed {
            frame,
            bytes: &upper.bytes[..upper.bytes.len().saturating_sub(cut)],
            len: upper.bytes.len(),
            addresses: packet.addresses(),
        })
    }

    /// The packets of a capture, without those that the lab was told to cut off before the end of
    /// their TCP header.
    fn packets(file: &Path) -> Vec<Captured> {
        let bytes = fs::read(file).unwrap();
        let mut reader = PcapNgReader::new(&bytes[..]).unwrap();
        let mut packets = Vec::new();
        while let Some(block) = reader.next_block() {
            if let Block::EnhancedPacket(packet) = block.unwrap() {
                packets.push(Captured {
                    bytes: packet.data.into_owned(),
                    len: packet.original_len as usize,
                });
            }
        }
        packets.retain(|packet| {
            let padded = packet.padded();
            let Some(framed) = framed(0, &padded, packet) else {
                return true;
            };
            let parsed = Segment::parse_without_checksum(framed.bytes);
            let reason = parsed.map_err(|error| error.reason);
            framed.is_whole() || !matches!(reason, Err(Reason::Truncated { .. }))
        });
        packets
    }

    impl Captured {
        /// The packet, with zeros for what was cut off.
        fn padded(&self) -> Vec<u8> {
            let mut bytes = self.bytes.clone();
            bytes.resize(self.len, 0);
            bytes
        }
    }
}
