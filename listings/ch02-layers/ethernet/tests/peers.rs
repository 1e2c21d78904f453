//! What programs that no one here wrote say of the same frames.

use etherparse::{EtherType as TheirType, SlicedPacket};
use layers_ethernet::{EtherType, FCS_LEN, Frame, Header, MacAddress, Priority, Tag, VlanId, crc};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use testkit::{Program, peer};

/// For experiments (IEEE 802, «Local Experimental EtherType 1»): nothing behind it is looked into.
const EXPERIMENT: EtherType = EtherType(0x88b5);

/// How many frames are compared.
const FRAMES: usize = 300;

prop_compose! {
    fn frame()(
        (destination, source) in any::<([u8; 6], [u8; 6])>(),
        tag in prop::option::of((0..8_u8, any::<bool>(), 0..4_096_u16)),
        payload in proptest::collection::vec(any::<u8>(), 46..200),
    ) -> Vec<u8> {
        let header = Header {
            destination: MacAddress(destination),
            source: MacAddress(source),
            tag: tag.map(|(priority, drop_eligible, vlan)| Tag {
                priority: Priority::new(priority).unwrap(),
                drop_eligible,
                vlan: VlanId::new(vlan).unwrap(),
            }),
            ether_type: EXPERIMENT,
        };
        let mut frame = vec![0; header.header_len() + payload.len() + FCS_LEN];
        header.emit(&mut frame).unwrap()[..payload.len()].copy_from_slice(&payload);
        crc::seal(&mut frame).unwrap();
        frame
    }
}

/// The same frames in every run: a test that is right once is right again.
fn frames() -> Vec<Vec<u8>> {
    let mut runner = TestRunner::deterministic();
    (0..FRAMES)
        .map(|_| frame().new_tree(&mut runner).unwrap().current())
        .collect()
}

/// A capture file (draft-ietf-opsawg-pcap) of Ethernet frames.
fn pcap(frames: &[Vec<u8>]) -> Vec<u8> {
    let words = [0xa1b2_c3d4_u32, 0x0002_0004, 0, 0, 65_535, 1];
    let mut file: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    for frame in frames {
        let len = frame.len() as u32;
        file.extend(
            [0, 0, len, len]
                .iter()
                .flat_map(|word: &u32| word.to_be_bytes()),
        );
        file.extend(frame);
    }
    file
}

#[test]
fn tshark_reads_the_same_and_finds_every_check_sequence_right() {
    let Some(tshark) = peer("tshark") else { return };
    let mut frames = frames();
    // One that is damaged, so that it is seen that tshark looks.
    let mut damaged = frames[0].clone();
    damaged[20] ^= 1;
    frames.push(damaged);

    let fields = [
        "eth.dst",
        "eth.src",
        "vlan.priority",
        "vlan.dei",
        "vlan.id",
        "vlan.etype",
        "eth.fcs",
        "eth.fcs.status",
    ];
    let run = Program::new(tshark)
        .args([
            "-n",
            "-r",
            "-",
            "-T",
            "fields",
            "-E",
            "separator=|",
            "-E",
            "occurrence=f",
        ])
        .args(["-o", "eth.fcs:Always", "-o", "eth.check_fcs:TRUE"])
        .args(fields.iter().flat_map(|field| ["-e", field]))
        .input(pcap(&frames))
        .run()
        .succeeds();
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(lines.len(), frames.len(), "{}", run.stderr);
    for (nth, (line, bytes)) in lines.iter().zip(&frames).enumerate() {
        let (covered, fcs) = bytes.split_last_chunk::<FCS_LEN>().unwrap();
        let header = Frame::parse(covered).unwrap().header();
        let tag = header.tag.map_or_else(
            || "|||".to_owned(),
            |tag| {
                let dei = u8::from(tag.drop_eligible);
                let (priority, vlan) = (tag.priority.get(), tag.vlan.get());
                format!("{priority}|{dei}|{vlan}|{:#06x}", header.ether_type.0)
            },
        );
        let fcs = u32::from_be_bytes(*fcs);
        let good = u8::from(nth < FRAMES);
        let (destination, source) = (header.destination, header.source);
        let expected = format!("{destination}|{source}|{tag}|{fcs:#010x}|{good}");
        assert_eq!(*line, expected, "{bytes:02x?}");
    }
}

#[test]
fn etherparse_reads_the_same() {
    for bytes in frames() {
        let (covered, _) = bytes.split_last_chunk::<FCS_LEN>().unwrap();
        let frame = Frame::parse(covered).unwrap();
        let header = frame.header();
        let theirs = SlicedPacket::from_ethernet(covered).unwrap();
        let (ethernet, _) = etherparse::Ethernet2Header::from_slice(covered).unwrap();
        assert_eq!(ethernet.destination, header.destination.0);
        assert_eq!(ethernet.source, header.source.0);
        let vlan = theirs.vlan();
        assert_eq!(vlan.is_some(), header.tag.is_some());
        let ether_type = match vlan {
            None => ethernet.ether_type,
            Some(etherparse::VlanSlice::SingleVlan(vlan)) => {
                let tag = header.tag.unwrap();
                assert_eq!(vlan.priority_code_point().value(), tag.priority.get());
                assert_eq!(vlan.drop_eligible_indicator(), tag.drop_eligible);
                assert_eq!(vlan.vlan_identifier().value(), tag.vlan.get());
                vlan.ether_type()
            }
            Some(other) => panic!("{other:?}"),
        };
        assert_eq!(ether_type, TheirType(header.ether_type.0));
        assert_eq!(theirs.ether_payload().unwrap().payload, frame.payload());
    }
}
