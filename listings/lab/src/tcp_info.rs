//! What the kernel knows of a TCP connection: `TCP_INFO` (tcp(7), `linux/tcp.h`).

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use crate::TcpState;
use crate::sys::check;

/// What `TCP_INFO` says of a connection at one moment: the numbers that `ss -ti` prints.
///
/// Segments are of full size ([`snd_mss`](Self::snd_mss)) where the kernel counts in them. What a
/// kernel is too old to know is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpInfo {
    /// The state; `None` for one without a name in [`TcpState`].
    pub state: Option<TcpState>,
    /// What congestion control makes of the acknowledgments.
    pub ca_state: CaState,
    /// How often the oldest segment was sent again on its timer, without an answer yet.
    pub retransmits: u8,
    /// Probes of a closed window, or of keepalive, without an answer yet.
    pub probes: u8,
    /// How often the timer has been doubled.
    pub backoff: u8,
    /// The shift of the other end's windows, if both ends scale (RFC 7323 §2).
    pub snd_wscale: u8,
    /// The shift of our own windows.
    pub rcv_wscale: u8,
    /// The retransmission timeout (RFC 6298).
    pub rto: Duration,
    /// The delay of an acknowledgment.
    pub ato: Duration,
    /// Bytes of data that a segment to the other end holds at most.
    pub snd_mss: u32,
    /// The same of segments that come, as far as the kernel can tell.
    pub rcv_mss: u32,
    /// Segments sent and not acknowledged.
    pub unacked: u32,
    /// Of these, the ones that the other end has named in SACK blocks.
    pub sacked: u32,
    /// Of these, the ones that count as lost.
    pub lost: u32,
    /// Of these, the ones that were sent again.
    pub retrans: u32,
    /// The smoothed round-trip time (RFC 6298 §2: SRTT).
    pub rtt: Duration,
    /// How much it varies (RFC 6298 §2: RTTVAR).
    pub rttvar: Duration,
    /// The least round-trip time of late.
    pub min_rtt: Duration,
    /// The slow start threshold in segments; `u32::MAX >> 1` until the first slow start has ended.
    pub snd_ssthresh: u32,
    /// The congestion window in segments.
    pub snd_cwnd: u32,
    /// By how many segments packets may overtake each other before one counts as lost.
    pub reordering: u32,
    /// Segments sent again so far.
    pub total_retrans: u32,
    /// Bytes a second at which the kernel spaces segments out; `u64::MAX` without a limit.
    pub pacing_rate: u64,
    /// Bytes a second that arrived of late.
    pub delivery_rate: u64,
    /// Bytes acknowledged so far. SYN and FIN, which take a sequence number, count as one each.
    pub bytes_acked: u64,
    /// Bytes received in order so far. A FIN, which takes a sequence number, counts as one.
    pub bytes_received: u64,
    /// Bytes sent so far, those sent again included.
    pub bytes_sent: u64,
    /// Bytes sent again so far.
    pub bytes_retrans: u64,
    /// Segments sent so far.
    pub segs_out: u32,
    /// Segments received so far.
    pub segs_in: u32,
    /// Segments with data sent so far.
    pub data_segs_out: u32,
    /// Segments with data received so far.
    pub data_segs_in: u32,
    /// Bytes that the program has written and the kernel has not sent yet.
    pub notsent_bytes: u32,
    /// How long there was something to send or to acknowledge.
    pub busy_time: Duration,
    /// How long of that the other end's window was too small.
    pub rwnd_limited: Duration,
    /// How long of that the program's writes came too slowly for want of send buffer.
    pub sndbuf_limited: Duration,
    /// Segments that have arrived at the other end.
    pub delivered: u32,
    /// Of these, the ones acknowledged with a congestion mark (RFC 3168).
    pub delivered_ce: u32,
    /// Segments that the other end says it had already (RFC 2883).
    pub dsack_dups: u32,
    /// How often packets were seen to overtake each other.
    pub reord_seen: u32,
    /// Segments that came ahead of their turn.
    pub rcv_ooopack: u32,
    /// The other end's window, in bytes.
    pub snd_wnd: u32,
    /// Our own window, in bytes.
    pub rcv_wnd: u32,
    /// How often the retransmission timer ran out.
    pub total_rto: u16,
}

/// What congestion control makes of the acknowledgments (`enum tcp_ca_state`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CaState {
    /// Nothing is amiss.
    Open,
    /// Something was acknowledged out of turn; it may be loss or reordering.
    Disorder,
    /// The window was cut without loss, because of a mark or a full device.
    Cwr,
    /// Fast recovery: something counts as lost, and is sent again.
    Recovery,
    /// The retransmission timer has run out.
    Loss,
    /// None of those.
    Unknown(u8),
}

/// Where each number stands in `struct tcp_info`, which grows at its end only.
mod at {
    pub(super) const STATE: usize = 0;
    pub(super) const CA_STATE: usize = 1;
    pub(super) const RETRANSMITS: usize = 2;
    pub(super) const PROBES: usize = 3;
    pub(super) const BACKOFF: usize = 4;
    pub(super) const WSCALE: usize = 6;
    pub(super) const RTO: usize = 8;
    pub(super) const ATO: usize = 12;
    pub(super) const SND_MSS: usize = 16;
    pub(super) const RCV_MSS: usize = 20;
    pub(super) const UNACKED: usize = 24;
    pub(super) const SACKED: usize = 28;
    pub(super) const LOST: usize = 32;
    pub(super) const RETRANS: usize = 36;
    pub(super) const RTT: usize = 68;
    pub(super) const RTTVAR: usize = 72;
    pub(super) const SND_SSTHRESH: usize = 76;
    pub(super) const SND_CWND: usize = 80;
    pub(super) const REORDERING: usize = 88;
    pub(super) const TOTAL_RETRANS: usize = 100;
    pub(super) const PACING_RATE: usize = 104;
    pub(super) const BYTES_ACKED: usize = 120;
    pub(super) const BYTES_RECEIVED: usize = 128;
    pub(super) const SEGS_OUT: usize = 136;
    pub(super) const SEGS_IN: usize = 140;
    pub(super) const NOTSENT_BYTES: usize = 144;
    pub(super) const MIN_RTT: usize = 148;
    pub(super) const DATA_SEGS_IN: usize = 152;
    pub(super) const DATA_SEGS_OUT: usize = 156;
    pub(super) const DELIVERY_RATE: usize = 160;
    pub(super) const BUSY_TIME: usize = 168;
    pub(super) const RWND_LIMITED: usize = 176;
    pub(super) const SNDBUF_LIMITED: usize = 184;
    pub(super) const DELIVERED: usize = 192;
    pub(super) const DELIVERED_CE: usize = 196;
    pub(super) const BYTES_SENT: usize = 200;
    pub(super) const BYTES_RETRANS: usize = 208;
    pub(super) const DSACK_DUPS: usize = 216;
    pub(super) const REORD_SEEN: usize = 220;
    pub(super) const RCV_OOOPACK: usize = 224;
    pub(super) const SND_WND: usize = 228;
    pub(super) const RCV_WND: usize = 232;
    pub(super) const TOTAL_RTO: usize = 240;
    /// More than any kernel fills.
    pub(super) const END: usize = 512;
}

/// Asks the kernel about a TCP socket.
///
/// # Errors
///
/// When the descriptor is no TCP socket.
pub fn tcp_info(socket: &impl AsFd) -> io::Result<TcpInfo> {
    let mut raw = [0; at::END];
    let mut length = mem::size_of_val(&raw) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, which is what `raw` has room for, and any
    // byte will do there.
    check(unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            raw.as_mut_ptr().cast(),
            &raw mut length,
        )
    })?;
    Ok(TcpInfo::read(&raw))
}

impl TcpInfo {
    fn read(raw: &[u8; at::END]) -> Self {
        let u16 = |at: usize| u16::from_ne_bytes([raw[at], raw[at + 1]]);
        let u32 =
            |at: usize| u32::from_ne_bytes(raw[at..at + 4].try_into().expect("that is four bytes"));
        let u64 = |at: usize| {
            u64::from_ne_bytes(raw[at..at + 8].try_into().expect("that is eight bytes"))
        };
        let short = |at: usize| Duration::from_micros(u32(at).into());
        let long = |at: usize| Duration::from_micros(u64(at));
        Self {
            state: TcpState::from_number(raw[at::STATE]),
            ca_state: match raw[at::CA_STATE] {
                0 => CaState::Open,
                1 => CaState::Disorder,
                2 => CaState::Cwr,
                3 => CaState::Recovery,
                4 => CaState::Loss,
                other => CaState::Unknown(other),
            },
            retransmits: raw[at::RETRANSMITS],
            probes: raw[at::PROBES],
            backoff: raw[at::BACKOFF],
            // Two bit fields in one byte, of which the compiler fills the one that it would read first.
            snd_wscale: nibble(raw[at::WSCALE], cfg!(target_endian = "big")),
            rcv_wscale: nibble(raw[at::WSCALE], cfg!(target_endian = "little")),
            rto: short(at::RTO),
            ato: short(at::ATO),
            snd_mss: u32(at::SND_MSS),
            rcv_mss: u32(at::RCV_MSS),
            unacked: u32(at::UNACKED),
            sacked: u32(at::SACKED),
            lost: u32(at::LOST),
            retrans: u32(at::RETRANS),
            rtt: short(at::RTT),
            rttvar: short(at::RTTVAR),
            min_rtt: short(at::MIN_RTT),
            snd_ssthresh: u32(at::SND_SSTHRESH),
            snd_cwnd: u32(at::SND_CWND),
            reordering: u32(at::REORDERING),
            total_retrans: u32(at::TOTAL_RETRANS),
            pacing_rate: u64(at::PACING_RATE),
            delivery_rate: u64(at::DELIVERY_RATE),
            bytes_acked: u64(at::BYTES_ACKED),
            bytes_received: u64(at::BYTES_RECEIVED),
            bytes_sent: u64(at::BYTES_SENT),
            bytes_retrans: u64(at::BYTES_RETRANS),
            segs_out: u32(at::SEGS_OUT),
            segs_in: u32(at::SEGS_IN),
            data_segs_out: u32(at::DATA_SEGS_OUT),
            data_segs_in: u32(at::DATA_SEGS_IN),
            notsent_bytes: u32(at::NOTSENT_BYTES),
            busy_time: long(at::BUSY_TIME),
            rwnd_limited: long(at::RWND_LIMITED),
            sndbuf_limited: long(at::SNDBUF_LIMITED),
            delivered: u32(at::DELIVERED),
            delivered_ce: u32(at::DELIVERED_CE),
            dsack_dups: u32(at::DSACK_DUPS),
            reord_seen: u32(at::REORD_SEEN),
            rcv_ooopack: u32(at::RCV_OOOPACK),
            snd_wnd: u32(at::SND_WND),
            rcv_wnd: u32(at::RCV_WND),
            total_rto: u16(at::TOTAL_RTO),
        }
    }
}

fn nibble(byte: u8, high: bool) -> u8 {
    if high { byte >> 4 } else { byte & 0x0f }
}
