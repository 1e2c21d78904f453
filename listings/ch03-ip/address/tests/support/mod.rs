//! What holds for any text; the proofs and the fuzz target both ask for it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ip_address::{
    Address, Canonical, Error, MAX_TEXT_LEN, Prefix, Reason, parse, parse_v4, parse_v6,
};

/// Panics unless all that the library promises holds for this text.
pub fn holds(text: &str) {
    // What std::net reads is what is read, and nothing else.
    let v4 = parse_v4(text);
    assert_eq!(v4.ok(), text.parse::<Ipv4Addr>().ok(), "{text:?}: {v4:?}");
    let v6 = parse_v6(text);
    assert_eq!(v6.ok(), text.parse::<Ipv6Addr>().ok(), "{text:?}: {v6:?}");
    let (without_zone, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (text, None),
    };
    match parse(text) {
        Ok(address) => {
            assert_eq!(without_zone.parse(), Ok(address.ip), "{text:?}");
            assert_eq!(address.zone, zone, "{text:?}");
            written(address.ip);
        }
        Err(error) => {
            assert!(
                zone.is_some() || text.parse::<IpAddr>().is_err(),
                "{text:?}"
            );
            names_its_place(text, error, |text| parse(text).is_ok(), &["%0", "0"]);
        }
    }
    for error in [v4.err(), v6.err()].into_iter().flatten() {
        let reads = |text: &str| parse_v4(text).is_ok() || parse_v6(text).is_ok();
        names_its_place(text, error, reads, &[]);
    }
    match Prefix::parse(text) {
        Ok(prefix) => {
            let (address, len) = text.split_once('/').expect("a slash");
            assert_eq!(address.parse(), Ok(prefix.network()), "{text:?}");
            assert_eq!(len, prefix.len().to_string());
            assert_eq!(Prefix::parse(&prefix.to_string()), Ok(prefix));
            assert!(prefix.contains(prefix.network()) && prefix.contains(prefix.last()));
        }
        Err(error) => {
            // Whether the address is a network's, is looked at last.
            let reads = |text: &str| match Prefix::parse(text) {
                Ok(_) => true,
                Err(error) => matches!(error.reason, Reason::HostBits { .. }),
            };
            names_its_place(text, error, reads, &["/32", "32"]);
        }
    }
}

/// An address is written as std::net writes it, and read again as what it was.
pub fn written(ip: IpAddr) {
    let text = Canonical(ip).to_string();
    assert_eq!(text, ip.to_string());
    assert_eq!(parse(&text), Ok(Address { ip, zone: None }));
}

/// What stands in front of the byte that an error names could still begin something that is read,
/// and the rest could not end it.
fn names_its_place(text: &str, error: Error, reads: impl Fn(&str) -> bool, more: &[&str]) {
    assert!(error.at <= text.len(), "{text:?}: {error}");
    if let Reason::TextTooLong { .. } = error.reason {
        assert_eq!(error.at, MAX_TEXT_LEN);
        assert!(text.len() > MAX_TEXT_LEN);
        return;
    }
    let begun = &text[..error.at];
    let could_go_on = ends().any(|end| {
        let whole = format!("{begun}{end}");
        reads(&whole) || more.iter().any(|more| reads(&format!("{whole}{more}")))
    });
    assert!(
        could_go_on,
        "{text:?}: {error}, but {begun:?} is no beginning"
    );
}

/// What can complete the beginning of an address.
fn ends() -> impl Iterator<Item = String> {
    let decimal = (0..4).flat_map(|times| {
        let numbers = ".0".repeat(times);
        [numbers.clone(), format!("0{numbers}")]
    });
    let hexadecimal = (0..8).flat_map(|times| {
        let groups = ":0".repeat(times);
        [groups.clone(), format!("0{groups}"), format!(":{groups}")]
    });
    decimal.chain(hexadecimal).chain(["::".to_owned()])
}
