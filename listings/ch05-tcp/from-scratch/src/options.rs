//! What the two ends agree on in their SYNs: segment size, window scale, SACK, timestamps
//! (RFC 9293 §3.7.1, RFC 7323, RFC 2018); and the options of every other segment.

use tcp_segment::option::MAX_OPTIONS_LEN;
use tcp_segment::option::SackBlocks;
use tcp_segment::{Header, MAX_WINDOW_SHIFT, Options, TcpOption};

use crate::Config;
use crate::config::MIN_SEND_MSS;

/// What timestamps take in every segment, two bytes of padding included.
const TIMESTAMPS_LEN: usize = 12;

/// The options of an arriving segment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Arrived {
    pub(crate) mss: Option<u16>,
    pub(crate) window_scale: Option<u8>,
    pub(crate) sack_permitted: bool,
    pub(crate) sack: Option<SackBlocks>,
    /// TSval and TSecr.
    pub(crate) timestamps: Option<(u32, u32)>,
}

impl Arrived {
    /// Reads what can be read: an option that is broken or unknown is passed over (RFC 9293 §3.1).
    pub(crate) fn read(header: &Header) -> Self {
        let mut arrived = Self::default();
        for option in header.options.into_iter().flatten() {
            match option {
                TcpOption::MaximumSegmentSize(mss) => arrived.mss = Some(mss),
                TcpOption::WindowScale(shift) => arrived.window_scale = Some(shift),
                TcpOption::SackPermitted => arrived.sack_permitted = true,
                TcpOption::Sack(blocks) => arrived.sack = Some(blocks),
                TcpOption::Timestamps { value, echo_reply } => {
                    arrived.timestamps = Some((value, echo_reply));
                }
                _ => {}
            }
        }
        arrived
    }
}

// ANCHOR: agreed
/// What holds for a connection: offered by us, and by the other end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Agreed {
    /// What we announce: the MTU without the fixed headers (RFC 6691 §2).
    pub(crate) receive_mss: u16,
    /// SendMSS, and no more than our own MTU allows.
    send_mss: u16,
    /// By how much the windows that we announce are shifted, and those that we are told.
    pub(crate) receive_shift: u8,
    pub(crate) send_shift: u8,
    pub(crate) window_scale: bool,
    pub(crate) sack: bool,
    pub(crate) timestamps: bool,
}

impl Agreed {
    /// What we offer in a SYN.
    pub(crate) fn offer(config: &Config, v6: bool) -> Self {
        let ip_header = if v6 { 40 } else { 20 };
        // Without an MSS option: 536 over IPv4, 1220 over IPv6 (RFC 9293 §3.7.1).
        let default_mss = if v6 { 1220 } else { 536 };
        let receive_mss = config.mtu.saturating_sub(ip_header + 20).max(MIN_SEND_MSS);
        let fits = |shift: &u8| config.receive_buffer >> shift <= usize::from(u16::MAX);
        Self {
            receive_mss,
            send_mss: receive_mss.min(default_mss),
            window_scale: config.window_scaling,
            receive_shift: match config.window_scaling {
                true => (0..MAX_WINDOW_SHIFT).find(fits).unwrap_or(MAX_WINDOW_SHIFT),
                false => 0,
            },
            send_shift: 0,
            sack: config.sack,
            timestamps: config.timestamps,
        }
    }

    /// The other end's SYN has arrived: only what both have offered holds.
    pub(crate) fn answer(&mut self, syn: &Arrived) {
        if let Some(mss) = syn.mss {
            self.send_mss = mss.max(MIN_SEND_MSS).min(self.receive_mss);
        }
        match syn.window_scale {
            Some(shift) if self.window_scale => self.send_shift = shift.min(MAX_WINDOW_SHIFT),
            _ => (self.window_scale, self.receive_shift) = (false, 0),
        }
        self.sack &= syn.sack_permitted;
        self.timestamps &= syn.timestamps.is_some();
    }

    /// Eff.snd.MSS: how much text a segment takes beside `options` bytes of options (RFC 9293
    /// §3.7.1).
    pub(crate) fn text_beside(&self, options: usize) -> u32 {
        u32::from(self.send_mss) - options as u32
    }

    /// SMSS: the same beside the options that every segment has.
    pub(crate) fn smss(&self) -> u32 {
        self.text_beside(if self.timestamps { TIMESTAMPS_LEN } else { 0 })
    }
    // ANCHOR_END: agreed

    /// Writes the options of a SYN: all that we offer, or, in an answer, all that both do.
    pub(crate) fn emit_syn<'r>(
        &self,
        window_scale: bool,
        timestamps: Option<(u32, u32)>,
        room: &'r mut [u8; MAX_OPTIONS_LEN],
    ) -> Options<'r> {
        let mut list = [TcpOption::NoOperation; 8];
        let mut at = 0;
        let mut add = |option| {
            list[at] = option;
            at += 1;
        };
        add(TcpOption::MaximumSegmentSize(self.receive_mss));
        if self.sack {
            add(TcpOption::SackPermitted);
        }
        if let Some((value, echo_reply)) = timestamps {
            add(TcpOption::Timestamps { value, echo_reply });
        }
        if window_scale {
            add(TcpOption::NoOperation);
            add(TcpOption::WindowScale(self.receive_shift));
        }
        Options::emit(&list[..at], room).unwrap_or(Options::NONE) // 4 + 2 + 10 + 4 bytes: it fits
    }
}

/// How many SACK blocks fit into a header, beside timestamps or not (RFC 2018 §3).
pub(crate) const fn sack_blocks_at_most(timestamps: bool) -> usize {
    if timestamps { 3 } else { 4 }
}

/// Writes the options of any segment but a SYN. What comes first comes in whole words, as RFC 7323
/// appendix A recommends.
pub(crate) fn emit<'r>(
    timestamps: Option<(u32, u32)>,
    sack: Option<SackBlocks>,
    room: &'r mut [u8; MAX_OPTIONS_LEN],
) -> Options<'r> {
    use TcpOption::{NoOperation, Sack, Timestamps};
    let timestamps = timestamps.map(|(value, echo_reply)| Timestamps { value, echo_reply });
    let list = match (timestamps, sack) {
        (None, None) => return Options::NONE,
        (Some(timestamps), None) => &[NoOperation, NoOperation, timestamps][..],
        (None, Some(blocks)) => &[NoOperation, NoOperation, Sack(blocks)],
        (Some(timestamps), Some(blocks)) => &[
            NoOperation,
            NoOperation,
            timestamps,
            NoOperation,
            NoOperation,
            Sack(blocks),
        ],
    };
    Options::emit(list, room).unwrap_or(Options::NONE) // 12 + 4 + 3 * 8, or 4 + 4 * 8: it fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_both_offer_holds() {
        let config = Config::default();
        let mut agreed = Agreed::offer(&config, false);
        assert_eq!((agreed.receive_mss, agreed.receive_shift), (1460, 4));
        agreed.answer(&Arrived::default());
        assert_eq!((agreed.smss(), agreed.receive_shift), (536, 0));
        assert!(!agreed.sack && !agreed.timestamps);

        let mut agreed = Agreed::offer(&config, true);
        let syn = Arrived {
            mss: Some(9000),
            window_scale: Some(200),
            sack_permitted: true,
            timestamps: Some((1, 0)),
            sack: None,
        };
        agreed.answer(&syn);
        assert_eq!((agreed.smss(), agreed.send_shift), (1428, 14));
        assert!(agreed.sack && agreed.timestamps);
    }

    #[test]
    fn nobody_talks_us_into_segments_that_are_all_header() {
        for mss in 0..=u16::MAX {
            let config = Config::default();
            let mut agreed = Agreed::offer(&config, false);
            let syn = Arrived {
                mss: Some(mss),
                timestamps: Some((0, 0)),
                ..Arrived::default()
            };
            agreed.answer(&syn);
            assert!((36..=1448).contains(&agreed.smss()));
        }
    }

    #[test]
    fn the_options_of_every_kind_of_segment_fit() {
        let mut room = [0; MAX_OPTIONS_LEN];
        let agreed = Agreed::offer(&Config::default(), false);
        let syn = agreed.emit_syn(true, Some((1, 2)), &mut room);
        assert_eq!(syn.as_bytes().len(), 20);
        let blocks = |count| SackBlocks::new(&[Default::default(); 4][..count]);
        for (timestamps, sack, len) in [
            (None, None, 0),
            (Some((1, 2)), None, 12),
            (None, blocks(4), 36),
            (Some((1, 2)), blocks(3), 40),
        ] {
            let mut room = [0; MAX_OPTIONS_LEN];
            assert_eq!(emit(timestamps, sack, &mut room).as_bytes().len(), len);
        }
    }
}
