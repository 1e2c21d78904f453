//! Packets with a forged sender: whom does the server answer, and how much?
//!
//! ```text
//! cargo run -p udp-spoofing
//! ```
//!
//! An attacker without a kernel writes a victim's address into its packets. Look at how many bytes
//! come to the victim for each byte that the attacker spends, at what TCP makes of the same trick, and
//! at the two remedies: a server that first wants back what only the owner of the address can know,
//! and a network that lets nobody send in another's name. All of it takes place on the lab's network.

#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod forge;
#[cfg(target_os = "linux")]
mod service;
#[cfg(target_os = "linux")]
mod stage;
#[cfg(target_os = "linux")]
mod tcp;
#[cfg(target_os = "linux")]
mod udp;

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "udp-spoofing builds a network of Linux kernels. Run it on Linux: in the book's dev \
         container, or on Windows in WSL2."
    );
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    lab::experiment(env!("CARGO_PKG_NAME"), linux::run)
}

#[cfg(target_os = "linux")]
mod linux {
    use record::{Column, Record, Table};

    use crate::service::Policy;
    use crate::stage::{Edge, Error};
    use crate::{tcp, udp};

    /// How many packets the attacker forges in each experiment that counts: so few that the answers
    /// to all of them find room in the victim's receive buffer.
    const FORGED: u16 = 64;

    pub fn run() -> Result<(), Error> {
        let mut record = Record::new();
        record.add(
            "udp",
            udp::attack(1, Policy::AnswerAll, Edge::Open)?.sequence,
        );
        record.add("tcp", tcp::attack(1, Edge::Open)?.sequence);
        record.add("cookie", udp::honest_exchange()?);

        println!("{FORGED} packets in the victim's name\n");
        println!("way                      attacker sent    victim got  times");
        let mut table = Table::new([
            Column::words("way"),
            Column::number("attacker sent", "bytes"),
            Column::number("victim got", "bytes"),
            Column::number("times", ""),
        ]);
        let mut tell = |way: &str, sent: usize, got: usize| {
            let times = format!("{:.1}", got as f64 / sent as f64);
            println!("{way:<23}  {sent:>7} bytes  {got:>6} bytes  {times:>5}");
            table
                .rows
                .push([way.into(), sent.to_string(), got.to_string(), times].into());
        };

        let all = udp::attack(FORGED, Policy::AnswerAll, Edge::Open)?;
        tell("UDP, every one answered", all.sent, all.got);
        let syn = tcp::attack(FORGED, Edge::Open)?;
        tell("TCP", syn.sent, syn.got);
        let cookie = udp::attack(FORGED, Policy::CookieFirst, Edge::Open)?;
        tell("UDP, with a cookie", cookie.sent, cookie.got);
        let filtered = udp::attack(FORGED, Policy::AnswerAll, Edge::Filtered)?;
        tell("UDP, filtered edge", filtered.sent, filtered.got);
        record.add("times", table);

        let list = |what: &str, facts: &[(&str, usize)]| {
            println!("\n{what}");
            for (fact, count) in facts {
                println!("  {fact:<47}  {count:>4}");
            }
        };
        list(
            "UDP, every one answered",
            &[
                ("senders that the server saw, all forged", all.senders),
                ("answers to the victim, who had not asked", all.answers),
            ],
        );
        list(
            "TCP",
            &[
                ("SYN ACKs to the victim", syn.syn_acks),
                ("resets by the victim", syn.resets),
                ("acknowledgements that the attacker guessed", syn.guesses),
                ("connections that came about", syn.accepted),
            ],
        );
        list(
            "UDP, with a cookie",
            &[
                (
                    "answers to the victim, as short as the question",
                    cookie.answers,
                ),
                (
                    "forgeries with a cookie of the attacker's own",
                    cookie.replayed,
                ),
                ("long answers to the victim", cookie.long),
            ],
        );
        list(
            "UDP, filtered edge",
            &[
                ("forgeries that the edge dropped", filtered.dropped),
                ("answers to the attacker's own address", filtered.own),
            ],
        );
        Ok(record.save()?)
    }
}
