//! What a kernel knows of a socket's two buffers, for this listing and for `exec-send-buffer`.
//!
//! `ss -tm` prints the same numbers for every socket of a machine. A program may ask about its own:
//! [`memory`] for what the buffers cost, [`unread`], [`unacknowledged`] and [`unsent`] for how many
//! bytes of data wait in them.

#![cfg(target_os = "linux")]
#![warn(missing_docs)]

mod kernel;

use std::io;
use std::iter::once;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use lab::tcp_info;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use record::{Column, Table};

pub use kernel::{
    Memory, memory, receive_space, set_receive_low_water, unacknowledged, unread, unsent,
};

/// What there is, or what stands in the way of it: the lab, or a socket.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// How long anything may take that an experiment waits for.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// Waits until something is so, up to a [deadline](DEADLINE).
///
/// # Errors
///
/// When it is not so by then, or cannot be found out.
pub fn wait_until(what: &str, mut it_is_so: impl FnMut() -> io::Result<bool>) -> io::Result<()> {
    let at_latest = Instant::now() + DEADLINE;
    while !it_is_so()? {
        if Instant::now() >= at_latest {
            let late = format!("waited {DEADLINE:?} in vain until {what}");
            return Err(io::Error::new(io::ErrorKind::TimedOut, late));
        }
        thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}

/// Lets no call on a connection wait for longer than the [deadline](DEADLINE).
///
/// # Errors
///
/// When it is no connection any more.
pub fn set_deadline(connection: &TcpStream) -> io::Result<()> {
    connection.set_read_timeout(Some(DEADLINE))?;
    connection.set_write_timeout(Some(DEADLINE))
}

/// Whether the other end has no more room, and has said so of all that was sent: until it reads,
/// nothing is acknowledged, which would make room at this end.
///
/// # Errors
///
/// When the socket is none of TCP's.
pub fn is_window_closed(sender: &TcpStream) -> io::Result<bool> {
    let info = tcp_info(sender)?;
    Ok(info.snd_wnd == 0 && info.unacked == 0)
}

/// Whether poll(2) says at once that the socket is readable.
///
/// # Errors
///
/// When the kernel has no memory for the question.
pub fn is_readable(socket: &impl AsFd) -> io::Result<bool> {
    is_ready(socket, PollFlags::POLLIN, PollTimeout::ZERO)
}

/// Whether poll(2) says within this time that the socket is writable.
///
/// # Errors
///
/// When the kernel has no memory for the question.
pub fn is_writable(socket: &impl AsFd, within: PollTimeout) -> io::Result<bool> {
    is_ready(socket, PollFlags::POLLOUT, within)
}

fn is_ready(socket: &impl AsFd, event: PollFlags, within: PollTimeout) -> io::Result<bool> {
    let mut question = [PollFd::new(socket.as_fd(), event)];
    Ok(poll(&mut question, within)? == 1)
}

/// A row of a [`table`]: its head, and what stands in it for each of the things compared.
pub type Row<T> = (&'static str, fn(&T) -> String);

/// A table that compares things: one column for each of them, under its name.
#[must_use]
pub fn table<T>(head: &str, things: &[(String, T)], rows: &[Row<T>]) -> Table {
    let names = things.iter().map(|(name, _)| Column::number(name, ""));
    let columns = once(Column::words(head)).chain(names);
    rows.iter()
        .fold(Table::new(columns), |table, (name, cell)| {
            let cells = things.iter().map(|(_, thing)| cell(thing));
            table.row(once((*name).to_owned()).chain(cells))
        })
}

/// `1234567` as `1,234,567`.
#[must_use]
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The median; NaN of no values.
#[must_use]
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The mean; NaN of no values.
#[must_use]
pub fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0);
    for value in values {
        sum += value;
        count += 1;
    }
    sum / f64::from(count)
}

/// A time in milliseconds, as records have it.
#[must_use]
pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A time of a plot, to the microsecond.
#[must_use]
pub fn plotted_ms(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_three() {
        let grouped = [0, 999, 1000, 1_234_567].map(grouped);
        assert_eq!(grouped, ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn one_outlier_moves_the_mean_and_not_the_median() {
        let times = [1.0, 97.0, 2.0, 3.0, 2.0];
        assert_eq!((mean(times), median(times)), (21.0, 2.0));
        assert!(mean([]).is_nan() && median([]).is_nan());
    }

    #[test]
    fn what_is_compared_stands_side_by_side() {
        let things = [("a".to_owned(), 1), ("b".to_owned(), 2)];
        let rows: [Row<i32>; 1] = [("twice", |it| (2 * it).to_string())];
        let table = table("number", &things, &rows);
        let heads = table.columns.iter().map(|column| column.label.as_str());
        assert_eq!(heads.collect::<Vec<_>>(), ["number", "a", "b"]);
        assert_eq!(table.rows, [["twice", "2", "4"]]);
    }

    #[test]
    fn waiting_ends_at_once_where_it_cannot_be_found_out() {
        let error = wait_until("never", || Err(io::ErrorKind::NotConnected.into()));
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::NotConnected);
    }

    #[test]
    fn what_is_no_socket_has_no_buffers() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(memory(&file).is_err() && unsent(&file).is_err());
    }
}
