//! What a child gets of its parent's: pages as long as nobody writes, and descriptors.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Seek, Write};
use std::num::NonZero;
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};

use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::getpid;
use record::{Axis, Line, Series};

use crate::Error;
use crate::child::fork;
use crate::pages::{Pages, page_size};

/// What the parent has written to, in MiB.
const MIB: usize = 16;

/// How much of it the child writes to at a time.
const STEP_MIB: usize = 2;

/// Copy on write, seen in `/proc/PID/smaps`.
pub fn pages() -> Result<Series, Error> {
    // ANCHOR: pages
    let mut pages = Pages::new(NonZero::new(MIB << 20).expect("some"))?;
    pages.write(0..MIB << 20)?;
    let alone = pages.seen_in(getpid())?;

    let (mut orders, mut order) = io::pipe()?;
    let (mut reports, mut report) = io::pipe()?;
    let child_writes = || match write_on_order(&mut pages, &mut orders, &mut report) {
        Ok(()) => 0,
        Err(_) => 1,
    };
    // SAFETY: this process has one thread.
    let child = unsafe { fork(child_writes) }?;
    let mut points = Vec::new();
    for written in (0..=MIB).step_by(STEP_MIB) {
        if written > 0 {
            order.write_all(b"+")?;
            reports.read_exact(&mut [0])?;
        }
        points.push((written, pages.seen_in(child.pid())?));
    }
    // ANCHOR_END: pages
    order.write_all(b"?")?;
    let mut faults = [0; 8];
    reports.read_exact(&mut faults)?;
    let faults = i64::from_ne_bytes(faults);
    child.wait()?;

    let [first, last] = [points[0].1, points[points.len() - 1].1];
    println!("What fork() copies of {MIB} MiB that the parent has written to:");
    println!(
        "  before       the parent has {} KiB for itself",
        alone.private_kib
    );
    println!(
        "  after it     the child shares {} KiB and has {} KiB for itself",
        first.shared_kib, first.private_kib
    );
    println!(
        "  it writes    and shares {} KiB and has {} KiB for itself: {} faults, a page of {} bytes each\n",
        last.shared_kib,
        last.private_kib,
        faults,
        page_size()?
    );
    let line = |name: &str, kib: fn(&crate::pages::Seen) -> u64| Line {
        name: name.to_owned(),
        points: points
            .iter()
            .map(|(written, seen)| (*written as f64, kib(seen) as f64 / 1024.0))
            .collect(),
    };
    Ok(Series {
        x: Axis::new("the child has written to", "MiB"),
        y: Axis::new("pages", "MiB"),
        lines: vec![
            line("shared with the parent", |seen| seen.shared_kib),
            line("the child's own", |seen| seen.private_kib),
        ],
    })
}

/// The child: for each `+` it writes to some more pages, and for `?` it says how often the kernel had
/// to give it one meanwhile.
fn write_on_order(
    pages: &mut Pages,
    orders: &mut PipeReader,
    report: &mut PipeWriter,
) -> io::Result<()> {
    let faults = || getrusage(UsageWho::RUSAGE_SELF).map(|usage| usage.minor_page_faults());
    let mut order = [0];
    let (mut written, mut in_writing) = (0, 0);
    loop {
        orders.read_exact(&mut order)?;
        if order == *b"?" {
            return report.write_all(&i64::to_ne_bytes(in_writing));
        }
        let before = faults()?;
        pages.write(written << 20..(written + STEP_MIB) << 20)?;
        in_writing += faults()? - before;
        written += STEP_MIB;
        report.write_all(b".")?;
    }
}

/// Descriptors: the child's are the parent's, down to the place in the file.
pub fn descriptors() -> Result<(), Error> {
    // ANCHOR: descriptors
    let mut file = File::open("/proc/self/exe")?;
    let reads = || u8::from(file.read_exact(&mut [0; 4]).is_err());
    // SAFETY: this process has one thread.
    unsafe { fork(reads) }?.wait()?;
    let after_child = file.stream_position()?;

    let number = file.as_raw_fd();
    let there = format!("[ -e /proc/self/fd/{number} ]"); // asked by another program
    let run = Command::new("sh")
        .args(["-c", &there])
        .stdin(Stdio::null())
        .status()?;
    // ANCHOR_END: descriptors
    println!("An open file, and what is left of it:");
    println!("  a child by fork() reads 4 bytes from it: the parent goes on at byte {after_child}");
    let kept = if run.success() {
        "has it as well"
    } else {
        "does not have it"
    };
    println!("  a program started with exec() {kept}: std opens all with O_CLOEXEC\n");
    Ok(())
}
