//! A connection: its variables (RFC 9293 §3.3.1) and what its user may ask for (§3.10.1 to §3.10.6).

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use ip_header::Addresses;
use tcp_segment::SeqNumber;

use crate::congestion::Congestion;
use crate::iss::Secret;
use crate::options::Agreed;
use crate::reassembly::Reassembly;
use crate::recovery::Recovery;
use crate::ring::Ring;
use crate::rto::RetransmissionTimeout;
use crate::timestamps::Timestamps;
use crate::{Config, State, Time};

/// What tells a connection from all others: two sockets, ours and the other end's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FourTuple {
    /// Our address and port.
    pub local: SocketAddr,
    /// The other end's.
    pub remote: SocketAddr,
}

impl FourTuple {
    /// Source and destination of what we send; `None` if one is of IPv4 and the other of IPv6.
    #[must_use]
    pub fn addresses(&self) -> Option<Addresses> {
        match (self.local, self.remote) {
            (SocketAddr::V4(local), SocketAddr::V4(remote)) => Some(Addresses::V4 {
                source: *local.ip(),
                destination: *remote.ip(),
            }),
            (SocketAddr::V6(local), SocketAddr::V6(remote)) => Some(Addresses::V6 {
                source: *local.ip(),
                destination: *remote.ip(),
            }),
            _ => None,
        }
    }
}

// ANCHOR: variables
/// The send sequence variables (RFC 9293 §3.3.1): what we number, and what the other end makes of
/// it.
#[derive(Debug)]
pub(crate) struct Send {
    /// The first number that is not acknowledged.
    pub(crate) una: SeqNumber,
    /// The next number to be sent for the first time.
    pub(crate) nxt: SeqNumber,
    /// How far behind `una` the other end will take text, in bytes; and the most it ever said.
    pub(crate) wnd: u32,
    pub(crate) max_wnd: u32,
    /// Sequence and acknowledgment number of the segment that said so last.
    pub(crate) wl1: SeqNumber,
    pub(crate) wl2: SeqNumber,
    /// Where urgent text ends, if there is any.
    pub(crate) up: Option<SeqNumber>,
    /// Our SYN's number.
    pub(crate) iss: SeqNumber,
    /// Our FIN's number, once it has been sent.
    pub(crate) fin: Option<SeqNumber>,
    /// What the user has sent and the other end has not acknowledged, and its first byte's number.
    pub(crate) text: Ring,
    pub(crate) text_at: SeqNumber,
    /// A byte at `nxt` has been sent beyond the window, as a probe: it may be acknowledged.
    pub(crate) probed: bool,
}

/// The receive sequence variables.
#[derive(Debug)]
pub(crate) struct Receive {
    /// The next number that we expect.
    pub(crate) nxt: SeqNumber,
    /// RCV.NXT+RCV.WND: where the window ends that we have announced. It never moves back.
    pub(crate) edge: SeqNumber,
    /// Where urgent text ends, if any has been announced.
    pub(crate) up: Option<SeqNumber>,
    /// The other end's SYN's number.
    pub(crate) irs: SeqNumber,
    /// The other end's FIN's number, once it has come, though text before it may be missing.
    pub(crate) fin: Option<SeqNumber>,
    pub(crate) text: Reassembly,
    /// Last.ACK.sent (RFC 7323 §4.3).
    pub(crate) last_ack_sent: SeqNumber,
    /// Bytes that have come since.
    pub(crate) unacknowledged: u32,
}
// ANCHOR_END: variables

/// What is to be sent as soon as somebody asks.
#[derive(Debug, Default)]
pub(crate) struct Due {
    /// A SYN, or a SYN with ACK.
    pub(crate) syn: bool,
    pub(crate) ack: bool,
    /// ACKs that say again what the last one said, because of segments beyond a gap.
    pub(crate) duplicate_acks: u32,
    /// A reset: the user has aborted.
    pub(crate) reset: bool,
    /// A byte beyond the window, to hear whether it has opened.
    pub(crate) probe: bool,
    /// A segment without text and before the window, to hear whether anybody is there.
    pub(crate) keep_alive: bool,
    /// Text that is too little to be worth a segment, but has waited long enough.
    pub(crate) override_sws: bool,
}

/// When something is to happen.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    /// Retransmission, or, while the window is closed and nothing is under way, the next probe.
    pub(crate) retransmission: Option<Time>,
    pub(crate) delayed_ack: Option<Time>,
    /// The end of TIME-WAIT, or of a FIN-WAIT-2 that nobody waits for.
    pub(crate) end: Option<Time>,
    /// Since when nothing has been acknowledged of what should be.
    pub(crate) stalled_since: Option<Time>,
    pub(crate) last_sent: Time,
    pub(crate) last_heard: Time,
    /// Probes of a closed window since it closed.
    pub(crate) window_probes: u32,
    pub(crate) keep_alives: u32,
    /// A segment that is being timed: the number behind it, and when it went out.
    pub(crate) timing: Option<(SeqNumber, Time)>,
}

/// Why a connection is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Both ends have closed it.
    Finished,
    /// The other end does not want it: a reset answered our SYN.
    Refused,
    /// The other end has reset it.
    Reset,
    /// The other end has not answered for too long.
    TimedOut,
    /// We have aborted it.
    Aborted,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Finished => "finished",
            Self::Refused => "connection refused",
            Self::Reset => "connection reset",
            Self::TimedOut => "connection aborted due to user timeout",
            Self::Aborted => "connection aborted",
        })
    }
}

/// Why a call did not do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// There is no such connection or listener (any more).
    DoesNotExist,
    /// The connection has ended before its time.
    Ended(Reason),
    /// The user has closed it, and may not send.
    Closing,
    /// Nothing has arrived yet, or there is no room yet: an [`Event`] will tell.
    WouldBlock,
    /// The same connection, or a listener on the same port, exists.
    AlreadyExists,
    /// There are as many connections as there may be, or no port is free.
    InsufficientResources,
    /// The address is not ours, or the two are not of one version.
    Address,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DoesNotExist => "connection does not exist",
            Self::Ended(reason) => return reason.fmt(f),
            Self::Closing => "connection closing",
            Self::WouldBlock => "nothing to read or no room to write, for now",
            Self::AlreadyExists => "connection already exists",
            Self::InsufficientResources => "insufficient resources",
            Self::Address => "the address is not ours, or not of the other's version",
        })
    }
}

impl std::error::Error for Error {}

/// What a user wants to hear of. Each is told once, however often it happened meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// The handshake is done.
    Established,
    /// There is text to read.
    Readable,
    /// Urgent text has been announced.
    Urgent,
    /// There is room again, where [`Connection::send`] had taken less than it was given.
    Writable,
    /// The same segment has been sent again [three times](crate::config): the user might want to
    /// know (R1 of RFC 9293 §3.8.3).
    Unresponsive,
    /// The other end will send no more («connection closing»).
    Closing,
    /// The connection is no more.
    Closed(Reason),
}

/// Events that have happened and were not told yet: a set, so that they never pile up.
#[derive(Debug, Default)]
pub(crate) struct Events {
    bits: u8,
    closed: Option<Reason>,
}

impl Events {
    const IN_ORDER: [Event; 6] = [
        Event::Established,
        Event::Readable,
        Event::Urgent,
        Event::Writable,
        Event::Unresponsive,
        Event::Closing,
    ];

    pub(crate) fn add(&mut self, event: Event) {
        match Self::IN_ORDER.iter().position(|other| *other == event) {
            Some(at) => self.bits |= 1 << at,
            None => {
                if let Event::Closed(reason) = event {
                    self.closed = Some(reason);
                }
            }
        }
    }

    fn take(&mut self) -> Option<Event> {
        let at = self.bits.trailing_zeros() as usize;
        match Self::IN_ORDER.get(at) {
            Some(event) => {
                self.bits &= self.bits - 1;
                Some(*event)
            }
            None => self.closed.take().map(Event::Closed),
        }
    }
}

/// What a connection has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Segments sent, and those that arrived.
    pub segments_sent: u64,
    /// Segments that arrived for the connection, whatever became of them.
    pub segments_received: u64,
    /// Segments with text or FIN that were sent again.
    pub retransmitted: u64,
    /// Times that the retransmission timer expired.
    pub timeouts: u64,
    /// Times that fast recovery began.
    pub fast_recoveries: u64,
    /// Segments with text that arrived beyond a gap.
    pub out_of_order: u64,
    /// Segments that were not acceptable: old, beyond the window, or no part of this connection.
    pub unacceptable: u64,
    /// Probes of a closed window.
    pub window_probes: u64,
    /// Challenge ACKs, and those that were not sent because there had been too many.
    pub challenge_acks: u64,
    /// Challenge ACKs that the limit has swallowed.
    pub challenge_acks_saved: u64,
}

/// How a connection is (the STATUS call, RFC 9293 §3.10.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Its state.
    pub state: State,
    /// Why it is no more, where it is no more.
    pub ended: Option<Reason>,
    /// The two sockets.
    pub tuple: FourTuple,
    /// Bytes that can be read.
    pub readable: usize,
    /// Bytes that are sent and not acknowledged, or not even sent.
    pub unacknowledged: usize,
    /// Bytes of urgent text that have not been read yet.
    pub urgent: u32,
    /// SND.WND, in bytes.
    pub send_window: u32,
    /// RCV.WND, in bytes.
    pub receive_window: u32,
    /// cwnd, in bytes.
    pub congestion_window: u32,
    /// ssthresh, in bytes.
    pub slow_start_threshold: u32,
    /// SMSS, in bytes of text.
    pub segment_size: u32,
    /// SRTT.
    pub round_trip: Option<Duration>,
    /// RTO, doubled as often as it has expired.
    pub retransmission_timeout: Duration,
    /// Whether SACK and timestamps were agreed on.
    pub sack: bool,
    /// Whether timestamps were agreed on.
    pub timestamps: bool,
    /// What it has done.
    pub counters: Counters,
}

/// A connection, or TCB, without a network: segments and time go in, segments and [`Event`]s come
/// out.
///
/// - [`arrives`](Self::arrives) takes a segment,
/// - [`transmit`](Self::transmit) writes the next one, until there is none,
/// - [`next_timeout`](Self::next_timeout) says when to call `transmit` again though nothing arrives.
#[derive(Debug)]
pub struct Connection {
    pub(crate) config: Config,
    pub(crate) tuple: FourTuple,
    pub(crate) addresses: Addresses,
    pub(crate) state: State,
    /// The states that it went through; no connection goes through more than 8.
    path: Vec<State>,
    /// Whether the other end began it.
    pub(crate) passive: bool,
    pub(crate) snd: Send,
    pub(crate) rcv: Receive,
    pub(crate) agreed: Agreed,
    pub(crate) timestamps: Timestamps,
    pub(crate) rto: RetransmissionTimeout,
    pub(crate) congestion: Congestion,
    pub(crate) recovery: Recovery,
    pub(crate) due: Due,
    pub(crate) timers: Timers,
    /// The user has closed it, though the FIN may still wait for text before it.
    pub(crate) closing: bool,
    /// Nobody will read any more.
    pub(crate) orphaned: bool,
    /// The SYN has been sent more than once.
    pub(crate) syn_was_lost: bool,
    pub(crate) user_waits_for_room: bool,
    /// Challenge ACKs since then.
    pub(crate) challenges: (Time, u32),
    pub(crate) events: Events,
    ended: Option<Reason>,
    pub(crate) counters: Counters,
}

impl Connection {
    // ANCHOR: open
    /// The active OPEN call (RFC 9293 §3.10.1): the first segment to be sent is a SYN.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] when the two addresses are not of one version.
    pub fn open(
        config: Config,
        secret: &Secret,
        tuple: FourTuple,
        now: Time,
    ) -> Result<Self, Error> {
        let iss = secret.initial_sequence_number(&tuple, now);
        Self::new(config, secret, tuple, now, iss, State::SynSent)
    }
    // ANCHOR_END: open

    pub(crate) fn new(
        config: Config,
        secret: &Secret,
        tuple: FourTuple,
        now: Time,
        iss: SeqNumber,
        state: State,
    ) -> Result<Self, Error> {
        let agreed = Agreed::offer(&config, tuple.local.is_ipv6());
        Ok(Self {
            config,
            tuple,
            addresses: tuple.addresses().ok_or(Error::Address)?,
            state,
            path: vec![state],
            passive: state != State::SynSent,
            snd: Send {
                una: iss,
                nxt: iss,
                wnd: 0,
                max_wnd: 0,
                wl1: SeqNumber(0),
                wl2: SeqNumber(0),
                up: None,
                iss,
                fin: None,
                text: Ring::new(config.send_buffer),
                text_at: iss + 1,
                probed: false,
            },
            rcv: Receive {
                nxt: SeqNumber(0),
                edge: SeqNumber(0),
                up: None,
                irs: SeqNumber(0),
                fin: None,
                text: Reassembly::new(config.receive_buffer),
                last_ack_sent: SeqNumber(0),
                unacknowledged: 0,
            },
            timestamps: Timestamps::new(secret.timestamp_offset(&tuple)),
            rto: RetransmissionTimeout::new(&config),
            congestion: Congestion::new(agreed.smss()),
            recovery: Recovery::new(iss),
            agreed,
            due: Due {
                syn: true,
                ..Due::default()
            },
            timers: Timers {
                last_heard: now,
                last_sent: now,
                ..Timers::default()
            },
            closing: false,
            orphaned: false,
            syn_was_lost: false,
            user_waits_for_room: false,
            challenges: (now, 0),
            events: Events::default(),
            ended: None,
            counters: Counters::default(),
        })
    }

    // ANCHOR: send
    /// The SEND call (RFC 9293 §3.10.2): takes as many bytes as there is room for, and says how
    /// many.
    ///
    /// # Errors
    ///
    /// [`Error::WouldBlock`] when there is no room, [`Error::Closing`] when the user has closed the
    /// connection, [`Error::Ended`] when it is no more.
    pub fn send(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        self.check_not_ended()?;
        if self.closing || !self.state.may_send() {
            return Err(Error::Closing);
        }
        let taken = self.snd.text.push(bytes);
        self.user_waits_for_room |= taken < bytes.len();
        if taken == 0 && !bytes.is_empty() {
            return Err(Error::WouldBlock);
        }
        Ok(taken)
    }

    /// Marks all that has been sent so far as urgent (the URGENT flag of the SEND call).
    pub fn urgent(&mut self) {
        if self.snd.text.len() > 0 {
            self.snd.up = Some(self.text_end());
        }
    }

    /// The RECEIVE call (RFC 9293 §3.10.3): gives bytes in the order in which they were sent, and
    /// says how many. 0 means that there are none and will be none.
    ///
    /// # Errors
    ///
    /// [`Error::WouldBlock`] when nothing has arrived yet, [`Error::Ended`] when the connection has
    /// ended before its time.
    pub fn receive(&mut self, bytes: &mut [u8]) -> Result<usize, Error> {
        let len = self.rcv.text.read(bytes);
        if len > 0 {
            let read = self.rcv.nxt - self.rcv.text.len() as u32;
            self.rcv.up = self.rcv.up.filter(|up| read < *up);
            self.announce_room();
            return Ok(len);
        }
        self.check_not_ended()?;
        match self.state {
            _ if bytes.is_empty() => Ok(0),
            State::SynSent | State::SynReceived => Err(Error::WouldBlock),
            state if state.may_receive_text() => Err(Error::WouldBlock),
            _ => Ok(0),
        }
    }
    // ANCHOR_END: send

    // ANCHOR: close
    /// The CLOSE call (RFC 9293 §3.10.4): «I have no more data to send». What has been sent before
    /// still arrives, and what the other end sends can still be read.
    ///
    /// # Errors
    ///
    /// [`Error::Closing`] when it has been closed before, [`Error::Ended`] when it is no more.
    pub fn close(&mut self) -> Result<(), Error> {
        self.check_not_ended()?;
        if self.closing {
            return Err(Error::Closing);
        }
        match self.state {
            State::SynSent => self.end(Reason::Finished),
            State::Established => self.enter(State::FinWait1),
            // With text still to be sent, the connection must be established first.
            State::SynReceived if self.snd.text.len() == 0 => self.enter(State::FinWait1),
            // LAST-ACK begins with the FIN, which waits for the text before it.
            State::SynReceived | State::CloseWait => {}
            _ => return Err(Error::DoesNotExist),
        }
        self.closing = true;
        Ok(())
    }

    /// The ABORT call (RFC 9293 §3.10.5): throws everything away and resets the other end.
    pub fn abort(&mut self) {
        let resets = matches!(
            self.state,
            State::SynReceived
                | State::Established
                | State::FinWait1
                | State::FinWait2
                | State::CloseWait
        );
        if self.state != State::Closed {
            self.end(Reason::Aborted);
            self.due.reset = resets;
        }
    }

    /// Closes the connection for somebody who will not even read any more. Where text is lost by
    /// that, because it waits to be read or comes later, the other end is told with a reset
    /// (RFC 9293 §3.6.1).
    pub fn release(&mut self) {
        self.orphaned = true;
        if self.rcv.text.len() > 0 {
            self.abort();
        } else if !self.closing {
            // Where that is an error, it is closed already.
            let _ = self.close();
        }
    }
    // ANCHOR_END: close

    /// The STATUS call (RFC 9293 §3.10.6).
    #[must_use]
    pub fn status(&self) -> Status {
        let read = self.rcv.nxt - self.rcv.text.len() as u32;
        let urgent_left = self.rcv.up.map_or(0, |up| up - read);
        Status {
            state: self.state,
            ended: self.ended,
            tuple: self.tuple,
            readable: self.rcv.text.len(),
            unacknowledged: self.snd.text.len(),
            urgent: urgent_left,
            send_window: self.snd.wnd,
            receive_window: self.rcv.edge - self.rcv.nxt,
            congestion_window: self.congestion.cwnd,
            slow_start_threshold: self.congestion.ssthresh,
            segment_size: self.agreed.smss(),
            round_trip: self.rto.smoothed(),
            retransmission_timeout: self.rto.current(),
            sack: self.agreed.sack,
            timestamps: self.agreed.timestamps,
            counters: self.counters,
        }
    }

    /// Its state.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// The states that it went through so far, the present one last.
    #[must_use]
    pub fn path(&self) -> &[State] {
        &self.path
    }

    /// The next thing that has happened.
    pub fn event(&mut self) -> Option<Event> {
        self.events.take()
    }

    /// Switches the Nagle algorithm on or off (RFC 9293 §3.7.4: there must be a way).
    pub fn set_nagle(&mut self, on: bool) {
        self.config.nagle = on;
    }

    /// Sets R2: how long text may go unacknowledged (RFC 9293 §3.8.3: there must be a way).
    pub fn set_user_timeout(&mut self, timeout: Duration) {
        self.config.user_timeout = timeout;
    }

    /// Has an idle connection ask after so long whether the other end is there; `None` is never.
    pub fn set_keep_alive(&mut self, after: Option<Duration>) {
        self.config.keep_alive = after;
    }

    fn check_not_ended(&self) -> Result<(), Error> {
        match self.ended {
            None | Some(Reason::Finished) => Ok(()),
            Some(reason) => Err(Error::Ended(reason)),
        }
    }

    /// The number behind the last byte that the user has sent.
    pub(crate) fn text_end(&self) -> SeqNumber {
        self.snd.text_at + self.snd.text.len() as u32
    }

    /// Goes on to another state.
    pub(crate) fn enter(&mut self, state: State) {
        if state != self.state {
            self.state = state;
            self.path.push(state);
        }
    }

    /// Enters CLOSED. What can still be read stays, unless the end was untimely.
    pub(crate) fn end(&mut self, reason: Reason) {
        if self.state == State::Closed {
            return;
        }
        self.enter(State::Closed);
        self.ended = Some(reason);
        self.due = Due::default();
        self.timers = Timers::default();
        self.snd.text = Ring::default();
        if reason == Reason::Finished {
            self.rcv.text.retire();
        } else {
            self.rcv.text = Reassembly::default();
        }
        self.events.add(Event::Closed(reason));
    }
}
