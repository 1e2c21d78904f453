//! The bank: a process of its own with a ledger of its own, which no transaction of ours reaches.
//!
//! It is as careful as we are. Whoever asks names each charge by a reference, and a second request of
//! the same reference is told what became of the first. One line asks, one line answers:
//!
//! ```text
//! charge 1b4e28ba-2fa1-41d2-883f-0016d3cca427 visa-1 4200
//! charged 17
//! ```

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use crate::payments::{LONGEST_NAME, Payment};
use crate::store::sqlite_connection;

/// How long we wait for the bank to take a connection, and again for its answer. After that nobody
/// knows whether it has charged.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// How long the bank waits for a line, as it serves one connection after the other.
const PATIENCE_OF_THE_BANK: Duration = Duration::from_secs(1);

/// The most that the bank charges to a card at once; it declines the rest.
pub const CARD_LIMIT_CENTS: u64 = 100_000;

/// No line is longer, in bytes: two names, a number of up to twenty digits, a word and the spaces.
const LONGEST_LINE: u64 = 2 * LONGEST_NAME as u64 + 32;

/// What the bank decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It has charged the card.
    Charged {
        /// The number of the entry in its ledger.
        id: u64,
    },
    /// It has not and will not.
    Declined,
}

/// Why nobody knows what the bank decided.
#[derive(Debug)]
pub enum Error {
    /// It could not be reached, or did not answer.
    Io(io::Error),
    /// It answered something else.
    Answer(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the bank does not answer: {error}"),
            Self::Answer(line) => write!(f, "the bank answers «{line}»"),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The way to the bank.
#[derive(Debug, Clone, Copy)]
pub struct Bank {
    address: SocketAddr,
}

impl Bank {
    /// A bank that listens there.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    // ANCHOR: charge
    /// Has a card charged, once for each reference however often it is asked.
    ///
    /// # Errors
    ///
    /// When no answer comes. The card may have been charged nevertheless.
    pub fn charge(
        &self,
        reference: &str,
        payment: &Payment,
        mut at: impl FnMut(&'static str),
    ) -> Result<Outcome, Error> {
        let mut stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(format!("charge {reference} {payment}\n").as_bytes())?;
        at("bank asked");
        let answer = read_line(&stream)?;
        match answer.split_once(' ').unwrap_or((&answer, "")) {
            ("charged", id) if let Ok(id) = id.parse() => Ok(Outcome::Charged { id }),
            ("declined", "") => Ok(Outcome::Declined),
            _ => Err(Error::Answer(answer)),
        }
    }
    // ANCHOR_END: charge
}

/// A line without its end, which must come before the connection's.
fn read_line(stream: &TcpStream) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(stream.take(LONGEST_LINE)).read_line(&mut line)?;
    match line.strip_suffix('\n') {
        Some(line) => Ok(line.to_owned()),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// The bank's ledger.
pub struct Ledger(Connection);

/// What the ledger says of a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Who is charged, how much.
    pub payment: Payment,
    /// Whether the bank charged.
    pub charged: bool,
    /// How often it was asked to.
    pub asked: u64,
}

const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS charge (
        id        INTEGER PRIMARY KEY,
        reference TEXT    NOT NULL UNIQUE,
        card      TEXT    NOT NULL,
        cents     INTEGER NOT NULL,
        charged   INTEGER NOT NULL,
        asked     INTEGER NOT NULL DEFAULT 1
    );";

impl Ledger {
    /// Opens the file, and makes it if there is none.
    ///
    /// # Errors
    ///
    /// When SQLite cannot.
    pub fn open(path: &Path) -> Result<Self, rusqlite::Error> {
        Ok(Self(sqlite_connection(path, TABLE)?))
    }

    // ANCHOR: ledger
    /// Charges a card, or says what became of the charge of that reference. Without a decision if the
    /// reference is known for another payment.
    fn charge(
        &mut self,
        reference: &str,
        payment: &Payment,
        mut at: impl FnMut(&'static str),
    ) -> Result<Option<Outcome>, rusqlite::Error> {
        let Payment { card, cents } = payment;
        let transaction = self
            .0
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let entry = transaction
            .query_row(
                "INSERT INTO charge (reference, card, cents, charged) VALUES (?1, ?2, ?3, ?3 <= ?4)
                 ON CONFLICT (reference) DO UPDATE SET asked = asked + 1
                 WHERE card = excluded.card AND cents = excluded.cents
                 RETURNING charged, id",
                params![reference, card, *cents as i64, CARD_LIMIT_CENTS as i64],
                |row| Ok((row.get::<_, bool>(0)?, row.get::<_, i64>(1)?)),
            )
            .optional()?;
        at("charge inserted");
        transaction.commit()?;
        at("charge committed");
        Ok(entry.map(|(charged, id)| match charged {
            true => Outcome::Charged { id: id as u64 },
            false => Outcome::Declined,
        }))
    }
    // ANCHOR_END: ledger

    /// All that was ever decided, oldest first.
    ///
    /// # Errors
    ///
    /// When SQLite fails.
    pub fn entries(&self) -> Result<Vec<Entry>, rusqlite::Error> {
        let mut statement = self
            .0
            .prepare("SELECT card, cents, charged, asked FROM charge ORDER BY id")?;
        let entries = statement.query_map([], |row| {
            Ok(Entry {
                payment: Payment {
                    card: row.get(0)?,
                    cents: row.get::<_, i64>(1)?.cast_unsigned(),
                },
                charged: row.get(2)?,
                asked: row.get::<_, i64>(3)?.cast_unsigned(),
            })
        })?;
        entries.collect()
    }
}

/// Serves one connection after the other, for ever.
///
/// # Errors
///
/// When the ledger fails: then the bank closes.
pub fn serve(
    listener: &TcpListener,
    ledger: &mut Ledger,
    mut at: impl FnMut(&'static str),
) -> Result<(), rusqlite::Error> {
    for stream in listener.incoming().flatten() {
        let Ok(question) = receive(&stream) else {
            continue; // they are gone, or say nothing
        };
        let answer = match parse(&question) {
            Some((reference, payment)) => match ledger.charge(reference, &payment, &mut at)? {
                Some(Outcome::Charged { id }) => format!("charged {id}\n"),
                Some(Outcome::Declined) => "declined\n".to_owned(),
                None => "refused: this reference was used for another payment\n".to_owned(),
            },
            None => "refused: a request is «charge REFERENCE CARD CENTS»\n".to_owned(),
        };
        // Who does not wait for the answer asks again.
        let _ = (&stream).write_all(answer.as_bytes());
    }
    Ok(())
}

fn receive(stream: &TcpStream) -> io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE_OF_THE_BANK))?;
    stream.set_write_timeout(Some(PATIENCE_OF_THE_BANK))?;
    read_line(stream)
}

fn parse(line: &str) -> Option<(&str, Payment)> {
    let (reference, payment) = line.strip_prefix("charge ")?.split_once(' ')?;
    Some((reference, payment.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payment(text: &str) -> Payment {
        text.parse().unwrap()
    }

    #[test]
    fn a_reference_stands_for_one_payment() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(&folder.path().join("ledger.db")).unwrap();
        let mut charge =
            |reference, text| ledger.charge(reference, &payment(text), |_| ()).unwrap();
        let charged = |id| Some(Outcome::Charged { id });
        assert_eq!(charge("a", "visa-1 4200"), charged(1));
        assert_eq!(charge("a", "visa-1 4200"), charged(1));
        assert_eq!(charge("a", "visa-1 4201"), None);
        assert_eq!(charge("a", "visa-2 4200"), None);
        assert_eq!(charge("b", "visa-1 100000"), charged(2));
        assert_eq!(charge("c", "visa-1 100001"), Some(Outcome::Declined));
        let asked = ledger.entries().unwrap().into_iter();
        let asked: Vec<(bool, u64)> = asked.map(|entry| (entry.charged, entry.asked)).collect();
        assert_eq!(asked, [(true, 2), (true, 1), (false, 1)]);
    }

    #[test]
    fn what_is_no_question_is_refused_and_the_bank_stays_open() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(&folder.path().join("ledger.db")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || serve(&listener, &mut ledger, |_| ()));
        let ask = |question: &[u8]| {
            let mut stream = TcpStream::connect(address).unwrap();
            // It may hang up before it has read all.
            let _ = stream.write_all(question);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let mut answer = String::new();
            let _ = stream.read_to_string(&mut answer);
            answer
        };
        for question in ["", "charge a visa-1 4200", &"x".repeat(1 << 16)] {
            assert_eq!(ask(question.as_bytes()), "", "a line without an end");
        }
        assert_eq!(ask(b"charge a visa-1 \xff\n"), "", "no text");
        for question in [
            "\n",
            "charge\n",
            "charge a\n",
            "charge a visa-1 -3\n",
            "steal a b 1\n",
        ] {
            assert!(
                ask(question.as_bytes()).starts_with("refused: "),
                "{question:?}"
            );
        }
        assert_eq!(ask(b"charge a visa-1 4200\n"), "charged 1\n");
        assert!(ask(b"charge a visa-1 4300\n").starts_with("refused: "));
        let bank = Bank::new(address);
        let refused = bank.charge("a", &payment("visa-1 1"), |_| ());
        assert!(matches!(refused, Err(Error::Answer(_))), "{refused:?}");
    }
}
