//! What the page says about the TTL and traceroute.

#![cfg(target_os = "linux")]

use std::sync::LazyLock;

use ip_header::checksum;
use record::{Fate, What};
use testkit::{Run, listing};

static RUN: LazyLock<Run> = LazyLock::new(|| {
    listing!()
        // The kernel chooses the client's port, and IPv6's flow label with it.
        .varying("header checksum 0x[0-9a-f]{4}", "header checksum 0x…")
        .run()
        .succeeds()
});

const ROUTERS: usize = 4;

/// Both families, with the prefix of their addresses.
const FAMILIES: [(&str, &str); 2] = [("IPv4", "10.0.0."), ("IPv6", "fd00::")];

/// The lines of a part of the output, by its heading, as words.
fn part(heading: &str, family: &str) -> Vec<Vec<&'static str>> {
    let of_family = RUN
        .stdout
        .split(&format!("How far a packet gets, {family}\n"))
        .nth(1)
        .unwrap();
    let of_family = match heading {
        "" => of_family,
        heading => of_family.split(&format!("\n{heading}\n")).nth(1).unwrap(),
    };
    let lines = of_family.trim_start().lines();
    lines
        .take_while(|line| !line.is_empty())
        .map(|line| line.split_whitespace().collect())
        .collect()
}

#[test]
fn the_run_is_as_shown() {
    RUN.matches_output();
    RUN.matches_record();
}

#[test]
fn a_packet_with_ttl_n_ends_at_router_n_which_says_so() {
    for (family, prefix) in FAMILIES {
        let lines = part("", family);
        for (line, n) in lines[1..].iter().zip(1..=ROUTERS) {
            let (ttl, router) = (n.to_string(), format!("{prefix}{}", n + 1));
            let expected = [
                &ttl,
                &ttl,
                "router",
                &ttl,
                "time",
                "exceeded,",
                "from",
                &router,
            ];
            assert_eq!(*line, expected, "{family}");
        }
    }
}

#[test]
fn ttl_1_does_not_arrive_and_only_one_more_than_there_are_routers_does() {
    for (family, _) in FAMILIES {
        let lines = part("", family);
        assert_eq!(lines[1][..4], ["1", "1", "router", "1"], "{family}");
        assert_eq!(lines[ROUTERS + 1], ["5", "5", "server", "none"], "{family}");
        let read = lines[ROUTERS + 2].join(" ");
        assert_eq!(
            read, "the server's program has read the datagram with TTL 5, and no other",
            "{family}"
        );
    }
}

#[test]
fn each_router_takes_one_off_and_mends_the_checksum() {
    let lines = part("That one on each link\n", "IPv4");
    assert_eq!(lines.len(), ROUTERS + 1);
    let mut before: Option<(u16, u16)> = None;
    for (line, ttl) in lines.iter().zip((1..=5_u16).rev()) {
        let [.., found, "header", "checksum", sum] = line[..] else {
            panic!("{line:?}");
        };
        assert_eq!(found, format!("{ttl},"));
        let sum = u16::from_str_radix(sum.strip_prefix("0x").unwrap(), 16).unwrap();
        // TTL and protocol are one word; UDP is 17.
        let word = ttl << 8 | 17;
        if let Some((old, old_sum)) = before {
            assert_eq!(sum, checksum::update(old_sum, old, word));
            assert_ne!(sum, old_sum);
        }
        before = Some((word, sum));
    }
    let lines = part("That one on each link\n", "IPv6");
    let limits: Vec<_> = lines.iter().map(|line| *line.last().unwrap()).collect();
    assert_eq!(limits, ["5", "4", "3", "2", "1"]);
}

/// The hops of a traceroute: who answered, and how many of the probes.
fn hops(heading: &str, family: &str) -> Vec<(String, usize)> {
    let lines = part(heading, family);
    assert_eq!(lines[0][2..], ["30", "hops", "at", "most"]);
    let hop = |(at, line): (usize, &Vec<&str>)| {
        assert_eq!(line[0], (at + 1).to_string());
        let answers = line.iter().filter(|word| **word == "ms").count();
        let silent = line.iter().filter(|word| **word == "*").count();
        assert_eq!(answers + silent, 3, "{line:?}");
        let from = line.iter().find(|word| word.contains(['.', ':']));
        let from = if answers > 0 { from.unwrap() } else { "" };
        (from.to_owned(), answers)
    };
    let last = lines.len() - 1;
    assert!(lines[last].join(" ").ends_with("that was the last hop"));
    lines[1..last].iter().enumerate().map(hop).collect()
}

#[test]
fn hop_n_of_a_traceroute_is_router_n_and_the_last_is_the_destination() {
    for (family, prefix) in FAMILIES {
        let hops = hops(&format!("Traceroute, {family}\n"), family);
        let expected: Vec<_> = (2..=6).map(|host| (format!("{prefix}{host}"), 3)).collect();
        assert_eq!(hops, expected);
    }
}

#[test]
fn a_silent_router_is_three_asterisks_and_the_next_one_answers() {
    for (family, prefix) in FAMILIES {
        let hops = hops("Router 3 forwards, and does not answer\n", family);
        let expected = [2, 3, 0, 5, 6].map(|host| match host {
            0 => (String::new(), 0),
            host => (format!("{prefix}{host}"), 3),
        });
        assert_eq!(hops, expected);
    }
}

#[test]
fn the_answer_is_a_packet_of_its_own_with_a_ttl_of_its_own() {
    let sequence = RUN.sequence("ttl");
    let mut found = Vec::new();
    for event in &sequence.events {
        if let What::Message {
            from,
            to,
            label,
            fate,
            ..
        } = &event.what
        {
            assert_eq!(*fate, Fate::Arrived);
            found.push((*from, *to, label.as_str()));
        }
    }
    assert_eq!(
        found,
        [
            (0, 1, "`TTL 3`"),
            (1, 2, "`TTL 2`"),
            (2, 3, "`TTL 1`"),
            (3, 2, "ICMP time exceeded, `TTL 64`"),
            (2, 1, "ICMP time exceeded, `TTL 63`"),
            (1, 0, "ICMP time exceeded, `TTL 62`"),
        ]
    );
}

#[test]
fn a_host_that_limits_its_messages_tells_of_six_of_twenty() {
    for (family, _) in FAMILIES {
        let line = format!("{family}: 20 found no port, and the server's kernel said so 6 times\n");
        assert!(RUN.stdout.contains(&line), "{}", RUN.stdout);
    }
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    let run = listing!().arg("192.0.2.7").run();
    assert_eq!(run.status.code(), Some(2));
    assert_eq!(run.stderr, "usage: ip-ttl (it takes no arguments)\n");
}
