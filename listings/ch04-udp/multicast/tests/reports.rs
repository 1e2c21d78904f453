//! The reader of reports: what it takes, and what it refuses.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};

use ip_header::{Protocol, Reason};
use udp_multicast::report::{IGMP, V2_LISTENER_REPORT};
use udp_multicast::{Kind, Report};

mod support;
use support::{V4, V6, holds, repair, report};

const GROUP: [u8; 4] = [239, 192, 0, 7];

#[test]
fn a_report_is_read_record_by_record() {
    let sources = vec![[10, 0, 0, 1], [10, 0, 0, 9]];
    let message = report(&[(4, GROUP, vec![]), (5, [232, 1, 1, 1], sources)]);
    let report = Report::parse(V4, IGMP, &message).unwrap().unwrap();
    let records: Vec<_> = report.records().collect();
    assert_eq!(records.len(), 2);
    assert_eq!(records[0].kind, Some(Kind::ToExclude));
    assert_eq!(records[0].group, IpAddr::from(GROUP));
    assert_eq!(records[0].sources().len(), 0);
    assert_eq!(records[1].kind, Some(Kind::Allow));
    let sources: Vec<IpAddr> = records[1].sources().collect();
    assert_eq!(sources, [IpAddr::from([10, 0, 0, 1]), [10, 0, 0, 9].into()]);
}

#[test]
fn a_report_that_is_cut_off_anywhere_is_refused_with_field_and_byte() {
    let whole = report(&[(5, GROUP, vec![[10, 0, 0, 1]])]);
    let places = [
        (1, "reserved", 1),
        (7, "number_of_records", 6),
        (8, "record_type", 8),
        (11, "number_of_sources", 10),
        (15, "multicast_address", 12),
        (19, "source_addresses", 16),
    ];
    for (length, field, offset) in places {
        let mut cut = whole[..length].to_vec();
        repair(V4, IGMP, &mut cut);
        let error = Report::parse(V4, IGMP, &cut).unwrap_err();
        assert_eq!((error.field, error.offset), (field, offset), "{error}");
        assert!(matches!(error.reason, Reason::Truncated { .. }), "{error}");
    }
    for length in 1..whole.len() {
        let mut cut = whole[..length].to_vec();
        repair(V4, IGMP, &mut cut);
        assert!(Report::parse(V4, IGMP, &cut).is_err(), "{length} bytes");
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    let whole = report(&[(4, GROUP, vec![])]);
    for bit in 8..whole.len() * 8 {
        let mut broken = whole.clone();
        broken[bit / 8] ^= 0x80 >> (bit % 8);
        let error = Report::parse(V4, IGMP, &broken).unwrap_err();
        assert_eq!((error.field, error.offset), ("checksum", 2), "{error}");
    }
}

#[test]
fn mlds_checksum_covers_the_addresses_and_igmps_does_not() {
    let mut message = vec![V2_LISTENER_REPORT, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0];
    message.extend([0xff, 0x15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    repair(V6, Protocol::ICMPV6, &mut message);
    assert!(
        Report::parse(V6, Protocol::ICMPV6, &message)
            .unwrap()
            .is_some()
    );
    let ip_header::Addresses::V6 { destination, .. } = V6 else {
        unreachable!("it is one of IPv6")
    };
    let other = ip_header::Addresses::V6 {
        source: "fe80::3".parse().unwrap(),
        destination,
    };
    let error = Report::parse(other, Protocol::ICMPV6, &message).unwrap_err();
    assert_eq!(error.field, "checksum");

    let igmp = report(&[(4, GROUP, vec![])]);
    let other = ip_header::Addresses::V4 {
        source: Ipv4Addr::LOCALHOST,
        destination: Ipv4Addr::LOCALHOST,
    };
    assert!(Report::parse(other, IGMP, &igmp).unwrap().is_some());
}

#[test]
fn more_records_than_fit_are_refused_at_once_and_what_stands_behind_them_is_ignored() {
    let mut message = report(&[(4, GROUP, vec![])]);
    message[6..8].copy_from_slice(&u16::MAX.to_be_bytes());
    repair(V4, IGMP, &mut message);
    let error = Report::parse(V4, IGMP, &message).unwrap_err();
    // The second record would begin where the message ends.
    assert_eq!((error.field, error.offset), ("record_type", 16), "{error}");

    let mut message = report(&[(4, GROUP, vec![])]);
    message.extend([0xaa; 64]);
    repair(V4, IGMP, &mut message);
    let report = Report::parse(V4, IGMP, &message).unwrap().unwrap();
    assert_eq!(report.records().count(), 1);
}

#[test]
fn other_messages_are_no_reports_and_unknown_kinds_of_record_are_left_to_the_caller() {
    for kind in [0x11, 0x12, 0x16, 0x17] {
        let mut message = vec![kind, 0, 0, 0, 239, 1, 2, 3];
        repair(V4, IGMP, &mut message);
        assert_eq!(Report::parse(V4, IGMP, &message), Ok(None));
    }
    assert_eq!(Report::parse(V4, Protocol::UDP, &report(&[])), Ok(None));
    assert_eq!(Report::parse(V4, IGMP, &[]), Ok(None));
    let message = report(&[(7, GROUP, vec![]), (4, GROUP, vec![])]);
    let report = Report::parse(V4, IGMP, &message).unwrap().unwrap();
    let kinds: Vec<_> = report.records().map(|record| record.kind).collect();
    assert_eq!(kinds, [None, Some(Kind::ToExclude)]);
}

#[test]
fn what_the_fuzzer_found_worth_keeping_holds() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/reports");
    let mut count = 0;
    for file in fs::read_dir(folder).unwrap() {
        holds(&fs::read(file.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= 6, "{count} files");
}

#[test]
fn a_group_that_nobody_confirms_is_kept_for_260_seconds_by_the_usual_times() {
    let usual = udp_multicast::query::Timing::default();
    assert_eq!(usual.membership().as_secs(), 260);
}
