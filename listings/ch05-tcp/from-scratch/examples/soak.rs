//! 100 MB each way between our TCP and the kernel's, over links that lose 0, 1 and 5 of a hundred
//! packets, reorder and repeat others, with each side as the one who calls. Every byte is compared.
//!
//! ```text
//! cargo run --release -p tcp-from-scratch --example soak [MEGABYTES]
//! ```

#[cfg(target_os = "linux")]
#[path = "../src/edge/mod.rs"]
mod edge;

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("The lab needs Linux.");
}

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use edge::transfer;

    lab::enter()?;
    let megabytes: usize = match std::env::args().nth(1) {
        Some(argument) => argument.parse()?,
        None => 100,
    };
    println!(
        "{megabytes} MB each way, every byte compared. Retransmitted and timeouts: ours.\n\n\
         {:>6} {:<12} {:<9} {:<8} {:>9} {:>14} {:>9} {:>11}",
        "loss",
        "disorder",
        "role",
        "version",
        "seconds",
        "retransmitted",
        "timeouts",
        "out of order"
    );
    for case in transfer::cases() {
        let outcome = transfer::run(case, megabytes * 1_000_000)?;
        println!(
            "{:>5}% {:<12} {:<9} {:<8} {:>9.2} {:>14} {:>9} {:>11}",
            case.loss_percent,
            if case.disorder { "2% + 2%" } else { "none" },
            if case.active { "active" } else { "passive" },
            if case.v6 { "IPv6" } else { "IPv4" },
            outcome.took.as_secs_f64(),
            outcome.counters.retransmitted,
            outcome.counters.timeouts,
            outcome.counters.out_of_order,
        );
    }
    Ok(())
}
