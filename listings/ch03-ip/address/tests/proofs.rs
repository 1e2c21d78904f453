//! What the page says of addresses, and what holds for every text.

mod support;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use ip_address::{
    Address, Canonical, Error, Expected, MAX_TEXT_LEN, Prefix, Reason, Table, parse, parse_v4,
    parse_v6, special,
};
use proptest::collection::vec;
use proptest::prelude::*;
use testkit::{Run, listing};

static RUN: LazyLock<Run> = LazyLock::new(|| listing!().run().succeeds());

fn ip(text: &str) -> IpAddr {
    parse(text)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .ip
}

fn prefix(text: &str) -> Prefix {
    Prefix::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn a_run_prints_what_the_page_shows() {
    RUN.matches_output();
    RUN.matches_record();
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    let run = listing!().arg("::1").run();
    assert_eq!(run.status.code(), Some(2));
    assert_eq!(run.stderr, "usage: ip-address (it takes no arguments)\n");
}

/// What is wrong with a text, and at which byte.
#[test]
fn what_is_wrong_is_named_with_its_byte() {
    use Reason::*;
    let unexpected = |found, expected| Unexpected { found, expected };
    let cases: [(&str, usize, Reason); 39] = [
        ("", 0, Ends(Expected::Address)),
        (" 1.2.3.4", 0, unexpected(' ', Expected::Address)),
        ("localhost", 0, unexpected('l', Expected::Address)),
        ("é.1", 0, unexpected('é', Expected::Address)),
        ("-1.2.3.4", 0, unexpected('-', Expected::Address)),
        ("１.2.3.4", 0, unexpected('１', Expected::Address)), // a fullwidth digit
        ("1.2.3", 5, Ends(Expected::Dot)),
        ("1.2.3.", 6, Ends(Expected::Digit)),
        ("1.2.3.4.5", 7, unexpected('.', Expected::End)),
        ("1.2..4", 4, unexpected('.', Expected::Digit)),
        (
            "1.2.3.256",
            6,
            TooLarge {
                found: 256,
                most: 255,
            },
        ),
        ("1.2.3.0256", 6, LeadingZero),
        ("1.2.3.1234", 9, TooManyDigits { most: 3 }),
        ("010.2.3.4", 0, LeadingZero),
        ("00.2.3.4", 0, LeadingZero),
        ("0x7f.0.0.1", 1, unexpected('x', Expected::Dot)),
        ("2130706433", 3, TooManyDigits { most: 3 }), // 127.0.0.1 for inet_aton
        ("1.2.3.4\0", 7, unexpected('\0', Expected::End)),
        ("1.2.3.4\n", 7, unexpected('\n', Expected::End)),
        ("1.2.3.4:80", 7, unexpected(':', Expected::End)),
        (":", 1, Ends(Expected::Colon)),
        ("fe80", 4, Ends(Expected::Colon)),
        ("1:2:3:4:5:6:7", 13, Ends(Expected::Colon)),
        ("1:2:3:4:5:6:7:", 14, Ends(Expected::Group)),
        ("1:2:3:4:5:6:7:8:", 15, TooManyGroups),
        ("1:2:3:4:5:6:7:8::", 15, TooManyGroups),
        ("1:2:3:4:5:6:7::8", 15, TooManyGroups),
        ("::1:2:3:4:5:6:7:8", 15, TooManyGroups),
        ("1::2::3", 4, SecondDoubleColon),
        (":::", 2, unexpected(':', Expected::End)),
        ("1:::2", 3, unexpected(':', Expected::End)),
        ("1:2:3:4:5:6:7:1.2.3.4", 14, TooManyGroups),
        ("1:2:3:4:5:6::1.2.3.4", 13, TooManyGroups),
        ("1.2.3.4::", 7, unexpected(':', Expected::End)),
        ("::1.2.3.4:5", 9, unexpected(':', Expected::End)),
        ("::g", 2, unexpected('g', Expected::End)),
        ("[::1]", 0, unexpected('[', Expected::Address)),
        ("1.2.3.4%lo", 7, unexpected('%', Expected::End)),
        ("::1%a%b", 5, unexpected('%', Expected::End)),
    ];
    for (text, at, reason) in cases {
        assert_eq!(parse(text), Err(Error { at, reason }), "{text:?}");
        assert!(text.parse::<IpAddr>().is_err(), "{text:?}");
        support::holds(text);
    }
}

#[test]
fn the_mark_stands_below_the_byte_that_is_named() {
    let lines: Vec<&str> = RUN.stdout.lines().collect();
    let marked = lines
        .windows(2)
        .filter(|pair| pair[1].trim_start().starts_with("^ at byte"));
    let mut count = 0;
    for pair in marked {
        let text = pair[0].trim_start();
        let at = parse(text).unwrap_err().at;
        assert_eq!(pair[1].find('^'), Some(2 + at), "{text}");
        count += 1;
    }
    assert_eq!(count, 14);
}

#[test]
fn an_address_has_many_texts_and_one_canonical_form() {
    // RFC 4291 §2.2 and RFC 5952 §1, §2 and §4, with what §4 prefers.
    let cases: &[(&[&str], &str)] = &[
        (
            &[
                "2001:db8:0:0:1:0:0:1",
                "2001:0db8:0:0:1:0:0:1",
                "2001:db8::1:0:0:1",
                "2001:db8::0:1:0:0:1",
                "2001:0db8::1:0:0:1",
                "2001:db8:0:0:1::1",
                "2001:db8:0000:0:1::1",
                "2001:DB8:0:0:1::1",
            ],
            "2001:db8::1:0:0:1",
        ),
        (
            &["2001:db8:0:1:1:1:1:1", "2001:db8::1:1:1:1:1"],
            "2001:db8:0:1:1:1:1:1",
        ),
        (&["2001:0:0:1:0:0:0:1", "2001::1:0:0:0:1"], "2001:0:0:1::1"),
        (&["0:0:0:0:0:0:0:0", "::0", "0::", "::0.0.0.0", "::"], "::"),
        (&["0:0:0:0:0:0:0:1", "::1", "::0.0.0.1"], "::1"),
        (&["ff01:0:0:0:0:0:0:101", "FF01::101"], "ff01::101"),
        (
            &["0:0:0:0:0:FFFF:129.144.52.38", "::ffff:8190:3426"],
            "::ffff:129.144.52.38",
        ),
        (
            &["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
            "64:ff9b::c000:221",
        ),
    ];
    for (texts, canonical) in cases {
        for text in *texts {
            assert_eq!(Canonical(ip(text)).to_string(), *canonical, "{text}");
            support::holds(text);
        }
    }
}

#[test]
fn a_zone_is_kept_as_it_stands() {
    for (text, zone) in [
        ("fe80::1%eth0", "eth0"),
        ("fe80::1%12", "12"),
        ("ff02::1%wlan-ü", "wlan-ü"),
        ("fe80::1%fifteen-letters", "fifteen-letters"),
    ] {
        let (ip, _) = text.split_once('%').unwrap();
        let expected = Address {
            ip: ip.parse().unwrap(),
            zone: Some(zone),
        };
        assert_eq!(parse(text), Ok(expected));
        support::holds(text);
    }
    let at = |at, reason| Err(Error { at, reason });
    assert_eq!(parse("::1%"), at(4, Reason::Ends(Expected::Zone)));
    assert_eq!(
        parse("::1%sixteen-letters!"),
        at(4, Reason::ZoneTooLong { most: 15 })
    );
    let found = |found, expected| Reason::Unexpected { found, expected };
    assert_eq!(parse("::1%a b"), at(5, found(' ', Expected::End)));
    assert_eq!(parse("::1%a/64"), at(5, found('/', Expected::End)));
    // A URI has brackets and a port; they are not the address's.
    assert_eq!(parse("::1%a:80"), at(5, found(':', Expected::End)));
}

#[test]
fn a_text_longer_than_any_address_is_not_read() {
    let longest = "1111:2222:3333:4444:5555:6666:255.255.255.255";
    assert!(parse(&format!("{longest}%fifteen-letters")).is_ok());
    assert!(longest.len() + 16 + "/128".len() == MAX_TEXT_LEN);
    let long = "0".repeat(1_000_000);
    let reason = Reason::TextTooLong { most: MAX_TEXT_LEN };
    assert_eq!(
        parse(&long),
        Err(Error {
            at: MAX_TEXT_LEN,
            reason
        })
    );
    assert_eq!(
        Prefix::parse(&long),
        Err(Error {
            at: MAX_TEXT_LEN,
            reason
        })
    );
}

#[test]
fn a_network_with_bits_of_a_host_is_refused_and_the_network_named() {
    for (text, at, network) in [
        ("192.0.2.1/24", 10, "192.0.2.0/24"),
        ("192.0.2.130/26", 12, "192.0.2.128/26"),
        ("0.0.0.1/0", 8, "0.0.0.0/0"),
        ("2001:db8::1/64", 12, "2001:db8::/64"),
    ] {
        let network = prefix(network);
        let reason = Reason::HostBits { network };
        assert_eq!(Prefix::parse(text), Err(Error { at, reason }), "{text}");
        support::holds(text);
    }
    let too_large = |found, most| Reason::TooLarge { found, most };
    let unexpected = |found, expected| Reason::Unexpected { found, expected };
    for (text, at, reason) in [
        ("192.0.2.0", 9, Reason::Ends(Expected::Slash)),
        ("192.0.2.0/", 10, Reason::Ends(Expected::Digit)),
        ("192.0.2.0/33", 10, too_large(33, 32)),
        ("192.0.2.0/024", 10, Reason::LeadingZero),
        ("192.0.2.0/255.255.255.0", 10, too_large(255, 32)),
        ("2001:db8::/129", 11, too_large(129, 128)),
        ("2001:db8::/32 ", 13, unexpected(' ', Expected::End)),
        ("fe80::%eth0/64", 6, unexpected('%', Expected::Slash)),
        ("192.0.2.0/-1", 10, unexpected('-', Expected::Digit)),
    ] {
        assert_eq!(Prefix::parse(text), Err(Error { at, reason }), "{text}");
        support::holds(text);
    }
}

#[test]
fn a_network_has_a_first_and_a_last_address_and_a_broadcast_address_unless_it_is_tiny_or_ipv6() {
    for (text, last, broadcast, size) in [
        (
            "0.0.0.0/0",
            "255.255.255.255",
            Some("255.255.255.255"),
            Some(1 << 32),
        ),
        (
            "192.0.2.128/26",
            "192.0.2.191",
            Some("192.0.2.191"),
            Some(64),
        ),
        ("192.0.2.4/30", "192.0.2.7", Some("192.0.2.7"), Some(4)),
        ("192.0.2.4/31", "192.0.2.5", None, Some(2)),
        ("192.0.2.5/32", "192.0.2.5", None, Some(1)),
        (
            "2001:db8::/64",
            "2001:db8::ffff:ffff:ffff:ffff",
            None,
            Some(1 << 64),
        ),
        ("::1/128", "::1", None, Some(1)),
        (
            "::/1",
            "7fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            None,
            Some(1 << 127),
        ),
        (
            "::/0",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            None,
            None,
        ),
    ] {
        let network = prefix(text);
        assert_eq!(network.last(), ip(last), "{text}");
        assert_eq!(
            network.broadcast().map(|ip| ip.to_string()).as_deref(),
            broadcast,
            "{text}"
        );
        assert_eq!(network.size(), size, "{text}");
        assert_eq!(network.to_string(), text);
    }
    assert_eq!(Prefix::of(ip("1.2.3.4"), 33), None);
    assert_eq!(Prefix::of(ip("::"), 129), None);
}

#[test]
fn an_ipv4_mapped_address_is_in_no_ipv4_network_until_it_is_unwrapped() {
    let seen = ip("::ffff:127.0.0.1");
    assert!(!prefix("127.0.0.0/8").contains(seen));
    assert!(!prefix("0.0.0.0/0").contains(seen));
    assert!(prefix("127.0.0.0/8").contains(seen.to_canonical()));
    let said = |line: &str| assert!(RUN.stdout.contains(line), "{}", RUN.stdout);
    said("::ffff:127.0.0.1 in 127.0.0.0/8: false\n  127.0.0.1 in 127.0.0.0/8: true\n");
}

#[test]
fn a_socket_on_the_ipv6_wildcard_takes_ipv4_clients_under_mapped_addresses_unless_it_is_v6_only() {
    let rows = &RUN.table("dual-stack").rows;
    let seen: Vec<Vec<&str>> = rows
        .iter()
        .map(|row| row.iter().map(String::as_str).collect())
        .collect();
    assert_eq!(
        seen,
        [
            ["`0.0.0.0`", "`-`", "appears as `127.0.0.1`", "is refused"],
            ["`::`", "`1`", "is refused", "appears as `::1`"],
            [
                "`::`",
                "`0`",
                "appears as `::ffff:127.0.0.1`",
                "appears as `::1`"
            ],
        ]
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_socket_for_both_families_leaves_the_port_to_no_other_and_a_v6_only_one_does() {
    let said = |line: &str| assert!(RUN.stdout.contains(line), "{}", RUN.stdout);
    said(":: with 0 and 0.0.0.0 on the same port: the second is refused: in use\n");
    said(":: with 1 and 0.0.0.0 on the same port: both listen\n");
    // The default is the system's to set.
    let set = std::fs::read_to_string("/proc/sys/net/ipv6/bindv6only").unwrap();
    said(&format!(
        "Without a word from the program, IPV6_V6ONLY is {}.\n",
        set.trim()
    ));
}

#[test]
fn each_range_of_the_registries_is_found_from_its_first_address_to_its_last() {
    let all: Vec<(Prefix, &special::Range)> = special::V4
        .iter()
        .chain(&special::V6)
        .map(|range| (prefix(range.prefix), range))
        .collect();
    for (network, range) in &all {
        for edge in [network.network(), network.last()] {
            let found = special::of(edge).unwrap();
            // Itself, or a range within it.
            let within = prefix(found.prefix);
            assert!(
                within.contains(edge) && within.len() >= network.len(),
                "{edge}"
            );
            assert!(network.contains(within.network()), "{edge}");
        }
        let same = all.iter().filter(|(other, _)| other == network);
        assert_eq!(same.count(), 1, "{}", range.prefix);
    }
    for ordinary in [
        "1.1.1.1",
        "11.0.0.0",
        "9.255.255.255",
        "172.32.0.0",
        "100.128.0.0",
    ] {
        assert_eq!(special::of(ip(ordinary)), None, "{ordinary}");
    }
    for ordinary in [
        "2000::",
        "2001:200::",
        "2001:db9::",
        "2003::",
        "fe00::",
        "fec0::",
    ] {
        assert_eq!(special::of(ip(ordinary)), None, "{ordinary}");
    }
}

fn name_of(ip: IpAddr) -> &'static str {
    special::of(ip).map_or("", |range| range.name)
}

fn text_like_an_address() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => "[0-9a-fA-F]{1,4}",
        2 => "[0-9]{1,3}",
        3 => Just(":".to_owned()),
        2 => Just("::".to_owned()),
        2 => Just(".".to_owned()),
        1 => "[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}",
        1 => prop::sample::select(vec!["%", "/", "%eth0", "/24", "/128", "0", "00", "ffff", "é", " "])
            .prop_map(str::to_owned),
    ];
    vec(piece, 0..18).prop_map(|pieces| pieces.concat())
}

fn any_ip() -> impl Strategy<Value = IpAddr> {
    // Zeros are what the canonical form is about.
    let group = prop_oneof![3 => Just(0), 1 => Just(0xffff), 2 => any::<u16>()];
    prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        proptest::array::uniform8(group).prop_map(|groups| Ipv6Addr::from(groups).into()),
    ]
}

/// One byte more, less or other than an address.
fn almost_an_address() -> impl Strategy<Value = String> {
    let byte = prop::sample::select(
        "0123456789abcdefABCDEF:.%/ -gxé"
            .chars()
            .collect::<Vec<_>>(),
    );
    (any_ip(), any::<prop::sample::Index>(), byte, 0..4).prop_map(|(ip, at, byte, how)| {
        let mut text: Vec<char> = ip.to_string().chars().collect();
        let at = at.index(text.len());
        match how {
            0 => text.insert(at, byte),
            1 => text[at] = byte,
            2 => drop(text.remove(at)),
            _ => {}
        }
        text.into_iter().collect()
    })
}

fn any_prefix() -> impl Strategy<Value = Prefix> {
    // Few addresses and all lengths, so that networks lie within each other.
    let v4 = (0..16_u32, 0..=32_u8).prop_map(|(bits, len)| {
        Prefix::of(Ipv4Addr::from_bits(bits << 28 | bits << 3).into(), len).unwrap()
    });
    let v6 = (0..16_u128, 0..=128_u8).prop_map(|(bits, len)| {
        Prefix::of(
            Ipv6Addr::from_bits(bits << 124 | bits << 61 | bits).into(),
            len,
        )
        .unwrap()
    });
    prop_oneof![v4, v6]
}

/// The bits of an address as text, which a prefix is the beginning of.
fn bits(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) => format!("{:032b}", v4.to_bits()),
        IpAddr::V6(v6) => format!("{:0128b}", v6.to_bits()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn what_is_read_is_what_std_reads_and_an_error_names_the_first_byte_that_cannot_be_right(
        text in prop_oneof![text_like_an_address(), almost_an_address(), ".{0,20}"],
    ) {
        support::holds(&text);
    }

    #[test]
    fn what_is_written_is_what_std_writes_and_reads_back(ip in any_ip()) {
        support::written(ip);
    }

    #[test]
    fn an_address_lies_in_a_network_if_it_begins_with_its_bits(
        network in any_prefix(),
        ip in any_ip(),
        of_network in any::<bool>(),
    ) {
        // Every other address is one that has a chance.
        let ip = if of_network { network.last() } else { ip };
        let len = usize::from(network.len());
        let expected = ip.is_ipv4() == network.network().is_ipv4()
            && bits(ip)[..len] == bits(network.network())[..len];
        prop_assert_eq!(network.contains(ip), expected);
        prop_assert!(!bits(network.network())[len..].contains('1'));
        prop_assert!(!bits(network.last())[len..].contains('0'));
    }

    #[test]
    fn the_longest_match_is_the_longest_of_all_networks_that_contain_the_address(
        networks in vec(any_prefix(), 0..40),
        ip in prop_oneof![any_ip(), any_prefix().prop_map(|prefix| prefix.last())],
    ) {
        let table: Table<usize> = networks.iter().copied().zip(0..).collect();
        let containing = networks.iter().zip(0..).filter(|(network, _)| network.contains(ip));
        // Of those that are equal, the last that was added.
        let longest = containing.max_by_key(|(network, at)| (network.len(), *at));
        let found = table.longest_match(ip).map(|(network, at)| (network, *at));
        prop_assert_eq!(found, longest.map(|(network, at)| (*network, at)));
    }

    #[test]
    fn std_knows_the_same_special_ranges_where_it_knows_them(ip in any_ip(), near in 0..51_usize, last: bool) {
        let ranges: Vec<_> = special::V4.iter().chain(&special::V6).collect();
        let range = prefix(ranges[near].prefix);
        for ip in [ip, if last { range.last() } else { range.network() }] {
            let name = name_of(ip);
            match ip {
                IpAddr::V4(v4) => {
                    prop_assert_eq!(v4.is_private(), name == "private use");
                    prop_assert_eq!(v4.is_loopback(), name == "loopback");
                    prop_assert_eq!(v4.is_link_local(), name == "link-local");
                    prop_assert_eq!(v4.is_documentation(), name.starts_with("documentation"));
                    prop_assert_eq!(v4.is_broadcast(), name == "limited broadcast");
                    prop_assert_eq!(v4.is_unspecified(), name == "this host on this network");
                }
                IpAddr::V6(v6) => {
                    prop_assert_eq!(v6.is_loopback(), name == "loopback");
                    prop_assert_eq!(v6.is_unspecified(), name == "unspecified");
                    prop_assert_eq!(v6.is_unique_local(), name == "unique local");
                    prop_assert_eq!(v6.is_unicast_link_local(), name == "link-local");
                    prop_assert_eq!(v6.to_ipv4_mapped().is_some(), name == "IPv4-mapped");
                }
            }
        }
    }
}

#[test]
fn the_families_have_four_billion_addresses_and_more_than_anyone_counts() {
    let said = |line: &str| assert!(RUN.stdout.contains(line), "{}", RUN.stdout);
    said("IPv4           4,294,967,296\n");
    said("IPv6           340,282,366,920,938,463,463,374,607,431,768,211,455 + 1\n");
    assert_eq!(prefix("0.0.0.0/0").size(), Some(4_294_967_296));
    assert_eq!(
        u128::MAX,
        340_282_366_920_938_463_463_374_607_431_768_211_455
    );
}

#[test]
fn the_fuzzers_corpus_holds() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/parse");
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        support::holds(str::from_utf8(&bytes).unwrap());
        count += 1;
    }
    assert!(count >= 12, "{count}");
}

#[test]
fn the_two_families_are_read_by_functions_of_their_own_too() {
    assert_eq!(parse_v4("192.0.2.1"), Ok([192, 0, 2, 1].into()));
    assert_eq!(parse_v6("::1"), Ok(Ipv6Addr::LOCALHOST));
    let family = Error {
        at: 3,
        reason: Reason::Unexpected {
            found: '.',
            expected: Expected::Colon,
        },
    };
    assert_eq!(parse_v6("192.0.2.1"), Err(family));
    let family = Error {
        at: 0,
        reason: Reason::Unexpected {
            found: ':',
            expected: Expected::Digit,
        },
    };
    assert_eq!(parse_v4("::1"), Err(family));
}
