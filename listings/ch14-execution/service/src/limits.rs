//! How long a connection may take for what, and how much it may send.

use std::fmt;
use std::time::Duration;

/// The longest body that `/echo` takes. It is collected before it is sent back, so this is what a
/// request in progress can cost in memory.
pub const MAX_ECHO_LEN: usize = 64 * 1024;

/// The largest answer of `/bytes/N`. It costs no memory, but a client with a slow line holds its
/// connection for as long as it lasts.
pub const MAX_BYTES: u64 = 1 << 30;

/// The longest wait of `/slow/MS`, below all limits on waiting that a client of ours could have.
pub const MAX_SLOW: Duration = Duration::from_secs(10);

/// How much of what a client still sends is read and thrown away before a connection is closed on
/// it, in bytes.
pub const MAX_LINGER_LEN: usize = 256 * 1024;

/// How long a connection may take for what. Each server starts with [`Limits::default`]; tests that
/// do not wish to wait shorten one by `--limits NAME=MS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From a request's first byte, or from the beginning of the connection, to the end of its head.
    /// It is the whole head's and begins anew with none of its bytes: a client that sends a byte a
    /// second (slow loris) gains nothing by it.
    pub head: Duration,
    /// From the end of a request's head to the end of its body: 64 KiB at 2 KiB a second.
    pub body: Duration,
    /// Between an answer and the next request's first byte.
    pub idle: Duration,
    /// The same when a worker serves one connection at a time, and others wait for it.
    pub hurry: Duration,
    /// Without the client's taking any of the bytes that are to be written.
    pub write: Duration,
    /// From the server's end of the conversation to the client's, when the server has more to
    /// expect (RFC 9112 §9.6).
    pub linger: Duration,
    /// For a request that may be under way when the server would rather end the connection: when it is
    /// to shut down, and for the first one of a connection while others wait.
    pub grace: Duration,
    /// From the request to shut down to the end of the listening socket: for handshakes that had
    /// begun, a round trip.
    pub last_handshakes: Duration,
    /// From the request to shut down to the end of the server, whoever is still in.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            body: Duration::from_secs(30),
            idle: Duration::from_secs(60),
            hurry: Duration::from_millis(100),
            write: Duration::from_secs(30),
            linger: Duration::from_secs(2),
            grace: Duration::from_millis(500),
            last_handshakes: Duration::from_millis(250),
            drain: Duration::from_secs(15),
        }
    }
}

/// What `--limits` cannot mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownLimit(String);

impl fmt::Display for UnknownLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` sets no limit: write NAME=MILLISECONDS", self.0)
    }
}

impl std::error::Error for UnknownLimit {}

impl Limits {
    /// The same limits with some of them set: `head=300,idle=500`, in milliseconds.
    ///
    /// # Errors
    ///
    /// When a part is not of that form or names none of the fields.
    pub fn with(mut self, settings: &str) -> Result<Self, UnknownLimit> {
        for setting in settings.split(',') {
            let unknown = || UnknownLimit(setting.to_owned());
            let (name, value) = setting.split_once('=').ok_or_else(unknown)?;
            let ms = value.parse::<u32>().map_err(|_| unknown())?;
            let limit = match name {
                "head" => &mut self.head,
                "body" => &mut self.body,
                "idle" => &mut self.idle,
                "hurry" => &mut self.hurry,
                "write" => &mut self.write,
                "linger" => &mut self.linger,
                "grace" => &mut self.grace,
                "last_handshakes" => &mut self.last_handshakes,
                "drain" => &mut self.drain,
                _ => return Err(unknown()),
            };
            *limit = Duration::from_millis(ms.into());
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_can_be_set_by_its_name() {
        let set = Limits::default()
            .with("head=1,body=2,idle=3,hurry=9,write=4,linger=5,grace=6,last_handshakes=7,drain=8")
            .unwrap();
        let ms = Duration::from_millis;
        let expected = Limits {
            head: ms(1),
            body: ms(2),
            idle: ms(3),
            hurry: ms(9),
            write: ms(4),
            linger: ms(5),
            grace: ms(6),
            last_handshakes: ms(7),
            drain: ms(8),
        };
        assert_eq!(set, expected);
    }

    #[test]
    fn what_sets_no_limit_is_named() {
        for wrong in [
            "",
            "head",
            "head=",
            "head=soon",
            "head=-1",
            "heads=1",
            "head=1,",
            "idle=1s",
        ] {
            assert!(Limits::default().with(wrong).is_err(), "{wrong:?}");
        }
    }
}
