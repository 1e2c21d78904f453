//! Datagrams a second and a processor second, four ways.
//!
//! ```text
//! cargo bench -p udp-batch
//! ```
//!
//! Datagrams of 1,200 bytes on loopback, in batches of 32. First one thread sends and receives in
//! turn, so that nobody waits; then a sender and a receiver run at the same time, the receiver
//! paces the sender, and nothing is lost. What is counted is what was received. The ways take
//! turns, round for round; what counts is the median of the ratios to one call each in the same
//! round.

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("sendmmsg, GSO and GRO need Linux.");
}

#[cfg(target_os = "linux")]
fn main() -> Result<(), udp_batch::Error> {
    use record::{Column, Record, Table};
    use udp_batch::{Way, empty_call, measure, median, stream};

    /// Rounds of all ways; the medians count.
    const ROUNDS: usize = 31;
    /// Datagrams in a batch.
    const BATCH: usize = 32;
    /// Batches of a way in a round.
    const BATCHES: usize = 300;

    let bar = |way| match way {
        Way::Batched => Some(2.0),
        Way::Coalesced => Some(4.0),
        Way::Single | Way::Segmented => None,
    };
    let print = |what: &str, rates: &[Vec<f64>; 4]| {
        println!("{what}");
        for (way, rate) in Way::ALL.into_iter().zip(rates) {
            let ratios = rate
                .iter()
                .zip(&rates[0])
                .map(|(rate, single)| rate / single);
            let (rate, ratio) = (median(rate.clone()), median(ratios.collect()));
            let verdict = bar(way).map_or(String::new(), |bar| {
                let reached = if ratio >= bar { "reached" } else { "missed" };
                format!("   bar ≥ {bar}: {reached}")
            });
            println!("  {way:<20} {rate:>12.0}   × {ratio:6.2}{verdict}");
        }
        println!();
    };

    let mut rates: [[Vec<f64>; 4]; 3] = Default::default();
    let mut empty = Vec::new();
    for _ in 0..ROUNDS {
        for (index, way) in Way::ALL.into_iter().enumerate() {
            let alone = measure(way, BATCH, BATCHES)?;
            rates[0][index].push(1e9 / alone.each_ns());
            let both = stream(way, BATCH, BATCHES)?;
            let datagrams = both.datagrams as f64;
            rates[1][index].push(datagrams / both.elapsed.as_secs_f64());
            rates[2][index].push(datagrams / both.processor.as_secs_f64());
        }
        empty.push(empty_call().as_secs_f64() * 1e9);
    }
    print("One thread, datagrams a processor second", &rates[0]);
    print("Two threads, datagrams a second", &rates[1]);
    print("Two threads, datagrams a processor second", &rates[2]);
    println!("An empty system call takes {:.0} ns.", median(empty));

    let mut table = Table::new([
        Column::words("how"),
        Column::number("one thread, in a processor second", "datagrams"),
        Column::number("two threads, in a second", "datagrams"),
        Column::number("two threads, in a processor second", "datagrams"),
    ]);
    for (index, way) in Way::ALL.into_iter().enumerate() {
        let rates = rates
            .iter()
            .map(|rates| format!("{:.0}", median(rates[index].clone())));
        table = table.row([way.in_figure().to_owned()].into_iter().chain(rates));
    }
    let mut record = Record::new();
    record.add("rates", table);
    Ok(record.save()?)
}
