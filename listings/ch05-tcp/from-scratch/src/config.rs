//! What can be chosen, and what it is unless chosen: every limit and every time in one place.

use std::time::Duration;

/// How many runs of bytes may wait in front of a gap at the receiver, and how many SACKed runs the
/// sender remembers. A peer that sends every other byte gets no further than this; 512 kB at 5 %
/// loss make about 20.
pub const RANGES_AT_MOST: usize = 64;

/// The smallest segment that we let the other end's MSS option talk us into, in bytes of options
/// and text together: an MSS of 1 would make 41 bytes of headers carry each byte (CVE-2019-11479).
pub const MIN_SEND_MSS: u16 = 48;

/// At most so many challenge ACKs ... (RFC 5961 §7).
pub const CHALLENGE_ACKS_AT_MOST: u32 = 10;

/// ... in so long a time, each connection for itself: one counter for all would tell an attacker on
/// one connection about another (erratum 4772).
pub const CHALLENGE_ACK_PERIOD: Duration = Duration::from_secs(5);

/// Resets that wait to be sent for segments that belong to no connection. More are not answered.
pub const RESETS_AT_MOST: usize = 64;

/// Duplicate ACKs that wait to be sent: three tell of a loss, more only let the other end count.
pub const DUPLICATE_ACKS_AT_MOST: u32 = 64;

/// How often a segment has been retransmitted when the user is told (R1 of RFC 9293 §3.8.3).
pub const RETRANSMISSIONS_BEFORE_ADVICE: u32 = 3;

/// How many keep-alives in a row may go unanswered.
pub const KEEP_ALIVE_PROBES: u32 = 9;

// ANCHOR: config
/// What a user may choose for a connection. All connections of a [`Stack`](crate::Stack) share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// The largest packet, in bytes from the IP header on. Makes the MSS that we announce.
    pub mtu: u16,
    /// Bytes that wait to be sent or acknowledged, at most.
    pub send_buffer: usize,
    /// Bytes that have arrived and wait to be read, those beyond a gap included, at most: the
    /// largest window.
    pub receive_buffer: usize,
    /// Connections at once, at most; those in TIME-WAIT included.
    pub connections: usize,

    /// RTO before the first round trip has been measured (RFC 6298 §2.1).
    pub initial_rto: Duration,
    /// RTO at least. RFC 6298 §2.4 wants a second; Linux has 200 ms, and so have our runs in the lab.
    pub min_rto: Duration,
    /// RTO at most, however often it has been doubled: 60 s or more (RFC 6298 §2.5).
    pub max_rto: Duration,
    /// How long an acknowledgment may wait for text to ride on, or for a second segment: less than
    /// half a second (RFC 9293 §3.8.6.3).
    pub delayed_ack: Duration,
    /// Whether small segments wait until all before them is acknowledged (RFC 9293 §3.7.4).
    pub nagle: bool,
    /// How long text may go unacknowledged before the connection is given up: R2 of RFC 9293
    /// §3.8.3, 100 s or more; the user interface of §3.9.1 has five minutes.
    pub user_timeout: Duration,
    /// The same for a SYN: three minutes or more (RFC 9293 §3.8.3).
    pub syn_timeout: Duration,
    /// How long an idle connection waits before it asks whether the other end is still there; never,
    /// unless chosen, and then two hours is the least default (RFC 9293 §3.8.4).
    pub keep_alive: Option<Duration>,
    /// Maximum segment lifetime: TIME-WAIT lasts two of them (RFC 9293 §3.4.2 has 2 minutes).
    pub msl: Duration,
    /// How long FIN-WAIT-2 may last when nobody will read any more.
    pub orphan_timeout: Duration,

    /// Whether to offer timestamps (RFC 7323 §3).
    pub timestamps: bool,
    /// Whether to offer selective acknowledgments (RFC 2018).
    pub sack: bool,
    /// Whether to offer window scaling (RFC 7323 §2).
    pub window_scaling: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mtu: 1500,
            send_buffer: 512 << 10,
            receive_buffer: 512 << 10,
            connections: 1024,
            initial_rto: Duration::from_secs(1),
            min_rto: Duration::from_secs(1),
            max_rto: Duration::from_secs(60),
            delayed_ack: Duration::from_millis(40),
            nagle: true,
            user_timeout: Duration::from_secs(300),
            syn_timeout: Duration::from_secs(180),
            keep_alive: None,
            msl: Duration::from_secs(120),
            orphan_timeout: Duration::from_secs(60),
            timestamps: true,
            sack: true,
            window_scaling: true,
        }
    }
}
// ANCHOR_END: config
