//! What programs that no one here wrote say of the same texts and networks.

use std::net::IpAddr;

use ip_address::{Canonical, Prefix, Table, parse_v4, parse_v6, special};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use testkit::{Program, peer};

/// So many samples of what `strategy` makes, the same in every run.
fn samples<T>(strategy: &impl Strategy<Value = T>, count: usize) -> Vec<T> {
    let mut runner = TestRunner::deterministic();
    let sample = |_| strategy.new_tree(&mut runner).map(|tree| tree.current());
    (0..count)
        .map(sample)
        .collect::<Result<_, _>>()
        .expect("samples")
}

fn text() -> impl Strategy<Value = String> {
    let group = prop_oneof![3 => Just("0".to_owned()), 2 => "[0-9a-fA-F]{1,5}"];
    let colon = prop_oneof![6 => Just(":"), 1 => Just("::")];
    let groups = vec((group, colon), 0..9);
    let v6 = (
        prop::bool::ANY,
        groups,
        "(|[0-9a-f]{1,4}|[0-9]{1,3}(\\.[0-9]{1,3}){3})",
    )
        .prop_map(|(begins_with_gap, groups, end)| {
            let mut text = String::from(if begins_with_gap { "::" } else { "" });
            for (group, colon) in groups {
                text += &group;
                text += colon;
            }
            text + &end
        });
    prop_oneof![1 => "[0-9]{1,3}(\\.[0-9]{1,4}){2,4}", 3 => v6]
}

#[test]
fn python_reads_the_same_addresses_from_the_same_texts() {
    let Some(python) = peer("python3") else {
        return;
    };
    let texts = samples(&text(), 5_000);
    let script = "import ipaddress, sys\n\
        for line in sys.stdin:\n\
        \x20   try: print(ipaddress.ip_address(line.rstrip('\\n')).packed.hex())\n\
        \x20   except ValueError: print('-')\n";
    let run = Program::new(python)
        .args(["-c", script])
        .input(texts.join("\n"))
        .run()
        .succeeds();
    let answers: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(answers.len(), texts.len());
    let mut read = [0; 2];
    for (text, python) in texts.iter().zip(answers) {
        let v4 = parse_v4(text).map(|v4| v4.octets().to_vec());
        let bytes = v4.or_else(|_| parse_v6(text).map(|v6| v6.octets().to_vec()));
        let ours: Option<String> = bytes
            .ok()
            .map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect());
        assert_eq!(ours.as_deref().unwrap_or("-"), python, "{text}");
        read[usize::from(ours.is_some())] += 1;
    }
    assert!(read.iter().all(|count| *count > 500), "{read:?}");
}

fn prefixes() -> impl Strategy<Value = Prefix> {
    let v4 = (any::<[u8; 4]>(), 0..=32_u8).prop_map(|(ip, len)| Prefix::of(ip.into(), len));
    let v6 = (any::<[u8; 16]>(), 0..=128_u8).prop_map(|(ip, len)| Prefix::of(ip.into(), len));
    prop_oneof![v4, v6].prop_map(|prefix| prefix.expect("a length that the family has"))
}

#[test]
fn python_gives_the_same_networks_their_first_and_last_addresses_and_sizes() {
    let Some(python) = peer("python3") else {
        return;
    };
    let networks = samples(&prefixes(), 1_000);
    let script = "import ipaddress, sys\n\
        for line in sys.stdin:\n\
        \x20   n = ipaddress.ip_network(line.strip())\n\
        \x20   print(n[0], n[-1], n.num_addresses)\n";
    let lines: Vec<String> = networks.iter().map(Prefix::to_string).collect();
    let run = Program::new(python)
        .args(["-c", script])
        .input(lines.join("\n"))
        .run()
        .succeeds();
    for (network, python) in networks.iter().zip(run.stdout.lines()) {
        let [first, last, size] = python.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{python}");
        };
        let read = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(network.network(), read(first), "{network}");
        assert_eq!(network.last(), read(last), "{network}");
        match network.size() {
            Some(ours) => assert_eq!(ours.to_string(), size, "{network}"),
            None => assert_eq!(network.len(), 0),
        }
    }
    assert_eq!(run.stdout.lines().count(), networks.len());
}

/// The kernel looks destinations up in its own trie; it says which route it took.
#[cfg(target_os = "linux")]
#[test]
fn the_kernels_routes_give_the_same_longest_match() {
    let (Some(_), Some(shell)) = (peer("ip"), peer("unshare")) else {
        return;
    };
    // Networks within each other, and addresses in and beside them.
    let nested = (0..4_u32, 0..4_u32, 1..=32_u8).prop_map(|(high, low, len)| {
        let ip = std::net::Ipv4Addr::from_bits(10 << 24 | high << 22 | low << 9 | high);
        let network = Prefix::of(ip.into(), len).expect("at most 32 bits");
        (IpAddr::from(ip), network)
    });
    let (addresses, networks): (Vec<IpAddr>, Vec<Prefix>) =
        samples(&nested, 80).into_iter().unzip();
    let table: Table<()> = networks.iter().map(|network| (*network, ())).collect();

    let mut script = String::from("ip link set lo up\n");
    for network in &networks {
        // Some are drawn twice, which the kernel refuses.
        script += &format!("ip route replace {network} dev lo table 7\n");
    }
    script += "ip rule add pref 1 lookup 7\n";
    for address in &addresses {
        script += &format!("ip route get fibmatch {}\n", Canonical(*address));
    }
    let run = Program::new(shell)
        .args([
            "--user",
            "--map-root-user",
            "--net",
            "sh",
            "-e",
            "-c",
            &script,
        ])
        .run()
        .succeeds();
    let matches: Vec<&str> = run
        .stdout
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(matches.len(), addresses.len(), "{}", run.stdout);
    for (address, kernel) in addresses.iter().zip(matches) {
        let (ours, ()) = table
            .longest_match(*address)
            .expect("it lies in one at least");
        // `ip` leaves out the length of a single address.
        let ours = ours.to_string();
        assert_eq!(
            ours.strip_suffix("/32").unwrap_or(&ours),
            kernel,
            "{address}"
        );
    }
}

#[test]
fn python_knows_the_same_ipv4_ranges_that_are_not_globally_reachable() {
    let Some(python) = peer("python3") else {
        return;
    };
    // The first and the last address of every /16, and of the /24s that are set aside.
    let wide = (0..=u16::MAX).flat_map(|net| {
        let [a, b] = net.to_be_bytes();
        [[a, b, 0, 0], [a, b, 255, 255]]
    });
    let narrow = [[192, 0, 2], [198, 51, 100], [203, 0, 113]];
    let narrow = narrow
        .into_iter()
        .flat_map(|[a, b, c]| [[a, b, c, 0], [a, b, c, 255]]);
    let addresses: Vec<IpAddr> = wide.chain(narrow).map(IpAddr::from).collect();

    let script = "import ipaddress, sys\n\
        for line in sys.stdin: print(ipaddress.ip_address(line.strip()).is_global)\n";
    let lines: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
    let run = Program::new(python)
        .args(["-c", script])
        .input(lines.join("\n"))
        .run()
        .succeeds();
    let mut count = 0;
    for (address, python) in addresses.iter().zip(run.stdout.lines()) {
        let range = special::of(*address);
        let global = range.is_none_or(|range| range.globally_reachable == Some(true));
        assert_eq!(global, python == "True", "{address}");
        count += usize::from(!global);
    }
    assert_eq!(run.stdout.lines().count(), addresses.len());
    assert!(count > 2 * (256 * 19 + 64), "{count}"); // 0, 10, 127, 240/4 and 100.64/10 alone
}
