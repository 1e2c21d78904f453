//! A large body by `sendfile` from the page cache, and by `writev` from the program's own memory.
//!
//! ```text
//! cargo bench -p exec-epoll-server
//! ```
//!
//! One thread sends over loopback, another reads and throws away, each on a core of its own. The two
//! ways take turns; what is told are medians.

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    linux::run()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{self, IoSlice, Read as _};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::thread;
    use std::time::{Duration, Instant};

    use exec_service::pattern;
    use nix::sched::{CpuSet, sched_setaffinity};
    use nix::sys::sendfile::sendfile;
    use nix::sys::socket::{setsockopt, sockopt};
    use nix::sys::uio::writev;
    use nix::time::ClockId;
    use nix::unistd::Pid;
    use record::{Column, Record, Table};

    const MIB: usize = 1 << 20;

    /// How many mebibytes are sent in a round, and how many rounds there are of each way.
    const SENT: usize = 256;
    const ROUNDS: usize = 21;

    /// Sends from this place of the pattern on, and gives how many bytes were taken.
    type Send = fn(&TcpStream, usize) -> io::Result<usize>;

    /// Of one round, for a mebibyte: microseconds of the sender's processor, of the receiver's, and
    /// mebibytes a second.
    type Measured = [f64; 3];

    pub fn run() -> io::Result<()> {
        let ways: [(&str, Send); 2] = [("`sendfile`", by_sendfile), ("`writev`", by_writev)];
        let mut rounds = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for ((_, send), rounds) in ways.iter().zip(&mut rounds) {
                rounds.push(round(*send)?);
            }
        }

        println!("1 MiB by     sender's processor   receiver's   throughput");
        let mut table = Table::new([
            Column::words("1 MiB by"),
            Column::number("the sender's processor time", "µs"),
            Column::number("the receiver's processor time", "µs"),
            Column::number("throughput", "MiB/s"),
        ]);
        for ((name, _), rounds) in ways.iter().zip(&rounds) {
            let [sender, receiver, rate] =
                [0, 1, 2].map(|part| median(rounds.iter().map(|round| round[part]).collect()));
            let typed = name.replace('`', "");
            println!("{typed:9}{sender:20.0} µs{receiver:10.0} µs{rate:7.0} MiB/s");
            let cells = [sender, receiver, rate].map(|number| format!("{number:.0}"));
            table = table.row([(*name).to_owned()].into_iter().chain(cells));
        }

        let mut record = Record::new();
        record.add("bodies", table);
        record.save()
    }

    fn by_sendfile(socket: &TcpStream, at: usize) -> io::Result<usize> {
        let mut at = i64::try_from(at).map_err(io::Error::other)?;
        Ok(sendfile(socket, pattern::file()?, Some(&mut at), MIB)?)
    }

    fn by_writev(socket: &TcpStream, at: usize) -> io::Result<usize> {
        Ok(writev(socket, &[IoSlice::new(&pattern::memory()[at..])])?)
    }

    fn round(send: Send) -> io::Result<Measured> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let mut reads = TcpStream::connect(listener.local_addr()?)?;
        let (sends, _) = listener.accept()?;
        // Without a pace of its own (bbr has one), so that each byte is sent by who writes it.
        setsockopt(&sends, sockopt::TcpCongestion, &"cubic".into())?;
        let reader = thread::spawn(move || -> io::Result<(usize, Duration)> {
            stay_on(1)?;
            let mut buffer = vec![0; MIB / 4];
            let mut total = 0;
            loop {
                match reads.read(&mut buffer)? {
                    0 => return Ok((total, processor_time()?)),
                    len => total += len,
                }
            }
        });
        stay_on(0)?;
        let (start, used) = (Instant::now(), processor_time()?);
        let mut sent = 0;
        while sent < SENT * MIB {
            sent += send(&sends, sent % MIB)?;
        }
        let used = processor_time()? - used;
        drop(sends);
        let reader = reader.join();
        let (received, by_reader) =
            reader.map_err(|_| io::Error::other("the reader panicked"))??;
        if received != sent {
            return Err(io::Error::other("something else was received than sent"));
        }
        let sent = sent as f64 / MIB as f64;
        let [used, by_reader] = [used, by_reader].map(|time| time.as_secs_f64() * 1e6 / sent);
        Ok([used, by_reader, sent / start.elapsed().as_secs_f64()])
    }

    /// What this thread has used of a processor.
    fn processor_time() -> io::Result<Duration> {
        Ok(ClockId::CLOCK_THREAD_CPUTIME_ID.now()?.into())
    }

    /// Keeps this thread on a core, where there is such a one.
    fn stay_on(core: usize) -> io::Result<()> {
        let mut cores = CpuSet::new();
        cores.set(core)?;
        let _ = sched_setaffinity(Pid::from_raw(0), &cores);
        Ok(())
    }

    fn median(mut values: Vec<f64>) -> f64 {
        values.sort_unstable_by(f64::total_cmp);
        values[values.len() / 2]
    }
}
