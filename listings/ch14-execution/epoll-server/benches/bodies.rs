//! A large body by `sendfile` from the page cache, and by `writev` from the program's own memory.
//!
//! ```text
//! cargo bench -p exec-epoll-server
//! ```
//!
//! One thread sends over loopback, another reads and throws away. The two ways take turns; medians.

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
    use nix::sys::sendfile::sendfile;
    use nix::sys::uio::writev;
    use nix::time::ClockId;
    use record::{Column, Record, Table};

    const MIB: usize = 1 << 20;

    /// How many mebibytes are sent in a round, and how many rounds there are of each way.
    const SENT: usize = 256;
    const ROUNDS: usize = 15;

    /// Sends from this place of the pattern on, and gives how many bytes were taken.
    type Send = fn(&TcpStream, usize) -> io::Result<usize>;

    /// Of one round: the sending thread's processor time for a mebibyte, and mebibytes a second.
    type Measured = (f64, f64);

    pub fn run() -> io::Result<()> {
        let ways: [(&str, Send); 2] = [("`sendfile`", by_sendfile), ("`writev`", by_writev)];
        let mut rounds = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for ((_, send), rounds) in ways.iter().zip(&mut rounds) {
                rounds.push(round(*send)?);
            }
        }

        let mut table = Table::new([
            Column::words("1 MiB by"),
            Column::number("the sender's processor time", "µs"),
            Column::number("throughput", "MiB/s"),
        ]);
        for ((name, _), rounds) in ways.iter().zip(&rounds) {
            let [processor, rate] = [|one: &Measured| one.0, |one: &Measured| one.1]
                .map(|part| median(rounds.iter().map(part).collect()));
            let typed = name.replace('`', "");
            println!("{typed:10}{processor:6.0} µs of processor time for 1 MiB{rate:8.0} MiB/s");
            let cells = [
                (*name).to_owned(),
                format!("{processor:.0}"),
                format!("{rate:.0}"),
            ];
            table = table.row(cells);
        }
        let both = rounds[0].iter().zip(&rounds[1]);
        let ratios: Vec<f64> = both
            .map(|(by_file, by_copy)| by_file.0 / by_copy.0)
            .collect();
        println!(
            "sendfile / writev: {:.2} of the processor time",
            median(ratios)
        );

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
        let reader = thread::spawn(move || -> io::Result<usize> {
            let mut buffer = vec![0; MIB / 4];
            let mut total = 0;
            loop {
                match reads.read(&mut buffer)? {
                    0 => return Ok(total),
                    len => total += len,
                }
            }
        });
        let clock = ClockId::CLOCK_THREAD_CPUTIME_ID;
        let (start, used) = (Instant::now(), Duration::from(clock.now()?));
        let mut sent = 0;
        while sent < SENT * MIB {
            sent += send(&sends, sent % MIB)?;
        }
        let used = Duration::from(clock.now()?) - used;
        drop(sends);
        let received = reader
            .join()
            .map_err(|_| io::Error::other("the reader panicked"))??;
        if received != sent {
            return Err(io::Error::other("something else was received than sent"));
        }
        let sent = sent as f64 / MIB as f64;
        Ok((
            used.as_secs_f64() * 1e6 / sent,
            sent / start.elapsed().as_secs_f64(),
        ))
    }

    fn median(mut values: Vec<f64>) -> f64 {
        values.sort_unstable_by(f64::total_cmp);
        values[values.len() / 2]
    }
}
