//! A thousand names against loss, copies, delay and forgery: first on a network in memory, for ten
//! seeds, then over the kernel's sockets on the lab.
//!
//! ```text
//! cargo bench -p udp-dns
//! ```
//!
//! Every name must have its right answer; the program fails if one has not. What it prints are the
//! costs: queries, time, and what was refused.

#[cfg(target_os = "linux")]
#[path = "../src/attacker.rs"]
mod attacker;
#[cfg(target_os = "linux")]
#[path = "../tests/support/names.rs"]
mod names;
#[cfg(target_os = "linux")]
#[path = "../tests/support/network.rs"]
mod network;
#[cfg(target_os = "linux")]
#[path = "../tests/support/path.rs"]
mod path;

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("The lab needs Linux.");
}

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    lab::enter()?;
    linux::main()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeMap;
    use std::time::{Duration, Instant};

    use record::{Column, Record, Table};

    use crate::names::{NAMES, Truth, thousand};
    use crate::network::{HOSTILE, Network, SERVERS, Tally};
    use crate::path::{Seen, ask_a_thousand};

    type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

    /// Runs in memory.
    const SEEDS: u64 = 10;

    pub fn main() -> Outcome<()> {
        let (tally, cpu) = in_memory()?;
        let names = NAMES as f64 * SEEDS as f64;
        let forged: usize = tally.forged.values().sum();
        println!(
            "In memory, {SEEDS} seeds, three servers (one without EDNS, one that loses the case):"
        );
        println!("  names            {names:>8.0}, all right");
        let per_name = tally.queries as f64 / names;
        println!(
            "  queries          {:>8}, {per_name:.2} a name",
            tally.queries
        );
        println!("  over TCP         {:>8}", tally.over_tcp);
        println!("  datagrams lost   {:>8}", tally.lost);
        println!(
            "  answers forged   {forged:>8}, {} accepted",
            tally.accepted_forged
        );
        println!("  no socket        {:>8}", tally.no_socket);
        for (reason, count) in &tally.refused {
            println!("  {reason:15}  {count:>8}");
        }
        println!(
            "  longest          {:>8.1} s for a name, of 30",
            tally.longest.as_secs_f64()
        );
        println!(
            "  most queries     {:>8} for a name, of 10",
            tally.most_queries
        );
        println!(
            "  computed         {:>8.0} names a second",
            names / cpu.as_secs_f64()
        );

        let seen = ask_a_thousand(1)?;
        let wrong = seen.wrong.len();
        println!("\nOver sockets, eight names at a time, one server:");
        println!("  names            {NAMES:>8}, {wrong} of them wrong");
        let per_name = seen.queries as f64 / NAMES as f64;
        println!(
            "  queries          {:>8}, {per_name:.2} a name",
            seen.queries
        );
        println!("  over TCP         {:>8}", seen.over_tcp);
        println!("  timeouts         {:>8}", seen.timeouts);
        // Each leads to another address than the zone has: an accepted one is a wrong name.
        println!("  answers forged   {:>8}, {wrong} accepted", seen.forged);
        println!("  no socket        {:>8}", seen.no_socket);
        for (reason, count) in &seen.refused {
            println!("  {reason:15}  {count:>8}");
        }
        println!(
            "  longest          {:>8.2} s for a name",
            seen.longest.as_secs_f64()
        );
        let rate = NAMES as f64 / seen.took.as_secs_f64();
        println!("  rate             {rate:>8.0} names a second");

        let mut record = Record::new();
        record.add("hostile", table(&tally, &seen));
        record.save()?;
        if wrong > 0 {
            return Err(format!("wrong: {:?}", seen.wrong).into());
        }
        Ok(())
    }

    fn in_memory() -> Outcome<(Tally, Duration)> {
        let (zone, known) = thousand();
        let mut sum = Tally::default();
        let mut cpu = Duration::ZERO;
        for seed in 1..=SEEDS {
            let mut network = Network::new(&zone, HOSTILE, seed);
            let started = Instant::now();
            for (number, known) in known.iter().enumerate() {
                let result = network.resolve(known.name, known.qtype, number % SERVERS.len());
                if Truth::of(&result).as_ref() != Ok(&known.truth) {
                    return Err(format!("{}, seed {seed}: {result:?}", known.name).into());
                }
            }
            cpu += started.elapsed();
            let tally = network.tally;
            if tally.accepted_forged > 0 {
                return Err(format!("accepted, seed {seed}: {tally:?}").into());
            }
            sum.queries += tally.queries;
            sum.over_tcp += tally.over_tcp;
            sum.lost += tally.lost;
            sum.no_socket += tally.no_socket;
            sum.longest = sum.longest.max(tally.longest);
            sum.most_queries = sum.most_queries.max(tally.most_queries);
            add(&mut sum.forged, tally.forged);
            add(&mut sum.refused, tally.refused);
        }
        Ok((sum, cpu))
    }

    fn add<K: Ord>(sum: &mut BTreeMap<K, usize>, more: BTreeMap<K, usize>) {
        for (key, count) in more {
            *sum.entry(key).or_default() += count;
        }
    }

    /// Both runs, as the page shows them: of a thousand names.
    fn table(tally: &Tally, seen: &Seen) -> Table {
        let of_thousand = |count: usize| format!("{:.0}", count as f64 / SEEDS as f64);
        let mut table = Table::new([
            Column::words("for a thousand names"),
            Column::number("in memory", ""),
            Column::number("over sockets", ""),
        ]);
        let forged = tally.forged.values().sum();
        for (what, in_memory, sockets) in [
            ("queries", tally.queries, seen.queries),
            ("of these over TCP", tally.over_tcp, seen.over_tcp),
            ("forged answers", forged, seen.forged),
            ("found no socket", tally.no_socket, seen.no_socket as usize),
        ] {
            table = table.row([what.into(), of_thousand(in_memory), sockets.to_string()]);
        }
        for (reason, count) in &tally.refused {
            let sockets = seen.refused.get(reason).copied().unwrap_or_default();
            table = table.row([(*reason).into(), of_thousand(*count), sockets.to_string()]);
        }
        table.row(["forged answers believed".into(), "0".into(), "0".into()])
    }
}
