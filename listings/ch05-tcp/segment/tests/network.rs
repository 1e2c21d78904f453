//! What segments look like beyond the listing's own run: full ones, those that a router changes in
//! passing, and those that a capture shows before they are finished.

#![cfg(target_os = "linux")]

use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::time::Duration;

use ip_header::{Addresses, Packet, Protocol, ipv4};
use lab::{Capture, Host, Lab, Link, Verdict};
use socket2::{Domain, Socket, Type};
use tcp_segment::option::MAX_OPTIONS_LEN;
use tcp_segment::{Flags, Options, Segment, TcpOption};
use testkit::peer;

const DEADLINE: Duration = Duration::from_secs(20);

/// More than one segment carries, and few enough for every buffer on the way.
const BYTES: usize = 20_000;

/// Sends [`BYTES`] bytes from `client` to `server`, and waits until they are all there.
fn transfer(client: &Host, server: &Host, to: IpAddr) {
    let listener = server.run(|| TcpListener::bind((to, 80))).unwrap();
    let receiving = server.spawn(move || -> io::Result<usize> {
        let (mut stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.read_to_end(&mut Vec::new())
    });
    let mut stream = client.run(|| TcpStream::connect((to, 80))).unwrap();
    stream.write_all(&vec![0xa5; BYTES]).unwrap();
    drop(stream);
    assert_eq!(receiving.join().unwrap().unwrap(), BYTES);
}

/// How many bytes of data the segments of a capture carry, at most.
fn longest_data(capture: &Capture) -> usize {
    let crossings = capture.crossings().iter();
    let data = crossings.map(|packet| {
        let packet = Packet::parse(&packet.bytes).unwrap();
        let upper = packet.upper_layer().unwrap();
        let segment = Segment::parse(upper.bytes, packet.addresses()).unwrap();
        segment.payload().len()
    });
    data.max().expect("a segment")
}

fn maximum_segment_size(segment: &Segment) -> Option<u16> {
    let mut options = segment.header().options.iter();
    options.find_map(|option| match option {
        Ok(TcpOption::MaximumSegmentSize(size)) => Some(size),
        _ => None,
    })
}

#[test]
fn a_full_segment_carries_twelve_bytes_less_than_the_maximum_segment_size() {
    lab::test(|| {
        let (lab, client, server) = Lab::pair(Link::new()).unwrap();
        transfer(&client, &server, server.v4().into());
        // 1460 = 1500 - 20 - 20: IP's and TCP's headers without options. Timestamps take 12.
        assert_eq!(longest_data(&lab.capture()), 1448);

        let (lab, client, server) = Lab::pair(Link::new()).unwrap();
        for host in [&client, &server] {
            host.sysctl("net.ipv4.tcp_timestamps", 0).unwrap();
        }
        transfer(&client, &server, server.v4().into());
        assert_eq!(longest_data(&lab.capture()), 1460);

        let (lab, client, server) = Lab::pair(Link::new()).unwrap();
        transfer(&client, &server, server.v6().into());
        // IPv6's header takes 40 bytes.
        assert_eq!(longest_data(&lab.capture()), 1428);
    });
}

/// A SYN's maximum segment size lowered, as `TCPMSS --set-mss` of a firewall does it.
fn clamped(packet: &lab::Packet, most: u16) -> Option<lab::Packet> {
    let ip = ipv4::Packet::parse(packet.bytes()).ok()?;
    let addresses = ip.header().addresses();
    let segment = Segment::parse(ip.payload(), addresses).ok()?;
    let mut header = segment.header();
    if !header.flags.contains(Flags::SYN) {
        return None;
    }
    let list: Vec<TcpOption> = header
        .options
        .iter()
        .map(|option| match option {
            Ok(TcpOption::MaximumSegmentSize(_)) => Ok(TcpOption::MaximumSegmentSize(most)),
            other => other,
        })
        .collect::<Result<_, _>>()
        .ok()?;
    let mut room = [0; MAX_OPTIONS_LEN];
    header.options = Options::emit(&list, &mut room).ok()?;
    let mut changed = packet.bytes().to_vec();
    let at = ip.header().header_len();
    header.emit(&mut changed[at..], addresses).ok()?;
    Some(lab::Packet::new(&changed))
}

#[test]
fn a_router_that_lowers_the_maximum_segment_size_in_passing_makes_segments_shorter() {
    lab::test(|| {
        let link = Link::new().rule(|_, packet| match clamped(packet, 1_000) {
            Some(changed) => Verdict::Rewrite(changed),
            None => Verdict::Pass,
        });
        let (lab, client, server) = Lab::pair(link).unwrap();
        transfer(&client, &server, server.v4().into());
        let capture = lab.capture();
        // A capture shows what was sent: both ends meant 1460, and neither heard it.
        let syn = Packet::parse(&capture.crossings()[0].bytes).unwrap();
        let upper = syn.upper_layer().unwrap();
        let syn = Segment::parse(upper.bytes, syn.addresses()).unwrap();
        assert_eq!(maximum_segment_size(&syn), Some(1460));
        assert_eq!(longest_data(&capture), 1_000 - 12);
    });
}

/// What a capture program sees on a host whose network card computes checksums and cuts segments:
/// here the card is the loopback interface, which offers both.
#[test]
fn a_capture_on_the_sender_shows_segments_and_checksums_that_the_card_has_yet_to_finish() {
    let Some(_) = peer("ip") else { return };
    lab::test(|| {
        let (_lab, host, _) = Lab::pair(Link::new()).unwrap();
        let shorten = host
            .command("ip")
            .args(["link", "set", "lo", "mtu", "1500"])
            .status();
        assert!(shorten.unwrap().success());
        const ETH_P_IP: u16 = 0x0800;
        let protocol = i32::from(ETH_P_IP.to_be()).into();
        let socket = || Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol));
        let mut capture = host.run(socket).unwrap();
        capture.set_read_timeout(Some(DEADLINE)).unwrap();
        transfer(&host, &host, host.v4().into());

        let (mut longest, mut unfinished) = (0, 0);
        loop {
            let mut buffer = vec![0; 65_536];
            let len = capture
                .read(&mut buffer)
                .expect("a packet within the deadline");
            let packet = ipv4::Packet::parse(&buffer[..len]).unwrap();
            let addresses = packet.header().addresses();
            let segment = Segment::parse_without_checksum(packet.payload()).unwrap();
            longest = longest.max(segment.payload().len());
            if Segment::parse(packet.payload(), addresses).is_err() {
                // The field holds the pseudo-header's sum, which the card will go on from.
                assert_eq!(
                    segment.checksum(),
                    pseudo_header(addresses, packet.payload().len())
                );
                unfinished += 1;
            }
            if segment.header().flags.contains(Flags::FIN) {
                break;
            }
        }
        assert!(
            longest > 1460,
            "no segment was longer than the link allows: {longest}"
        );
        assert!(unfinished > 0, "all checksums were right");
    });
}

fn pseudo_header(addresses: Addresses, len: usize) -> u16 {
    let sum = addresses.pseudo_header(Protocol::TCP, len as u32);
    sum.value()
}
