//! The passive side of opening: a SYN arrives in LISTEN (RFC 9293 §3.10.7.2), and what both sides
//! take from a SYN.

use tcp_segment::{Flags, Header, SeqNumber};

use crate::congestion::Congestion;
use crate::iss::Secret;
use crate::options::Arrived;
use crate::{Config, Connection, Error, FourTuple, State, Time};

impl Connection {
    // ANCHOR: answer
    /// LISTEN, third step: a SYN makes a connection, which answers with SYN and ACK.
    ///
    /// `beyond` is the last number that an earlier connection of the same two sockets used, which
    /// is still in TIME-WAIT: the new one begins beyond it (RFC 9293 §3.6.1).
    ///
    /// # Errors
    ///
    /// [`Error::Address`] when the two addresses are not of one version.
    pub fn answer(
        config: Config,
        secret: &Secret,
        tuple: FourTuple,
        now: Time,
        syn: &Header,
        text: &[u8],
        beyond: Option<SeqNumber>,
    ) -> Result<Self, Error> {
        let mut iss = secret.initial_sequence_number(&tuple, now);
        if let Some(last) = beyond
            && (iss <= last || iss - last > 1 << 30)
        {
            iss = last + (1 << 16);
        }
        let mut connection = Self::new(config, secret, tuple, now, iss, State::SynReceived)?;
        connection.counters.segments_received = 1;
        connection.synchronize(now, syn, &Arrived::read(syn));
        connection.keep_for_later(syn, text);
        Ok(connection)
    }
    // ANCHOR_END: answer

    // ANCHOR: synchronize
    /// Takes from a SYN where the other end's numbers begin, and what it offers.
    pub(crate) fn synchronize(&mut self, now: Time, syn: &Header, options: &Arrived) {
        self.rcv.irs = syn.sequence_number;
        self.rcv.nxt = self.rcv.irs + 1;
        self.rcv.edge = self.rcv.nxt + (self.rcv.text.free().min(usize::from(u16::MAX)) as u32);
        self.rcv.last_ack_sent = self.rcv.nxt;

        self.agreed.answer(options);
        if let Some((value, _)) = options.timestamps {
            self.timestamps.heard(value, now);
        }
        self.congestion = Congestion::new(self.agreed.smss());
        self.recovery.agreed(self.agreed.sack, self.agreed.smss());

        // In a SYN the window is not scaled (RFC 7323 §2.2).
        self.snd.wnd = u32::from(syn.window);
        self.snd.max_wnd = self.snd.wnd;
        self.snd.wl1 = syn.sequence_number;
        self.snd.wl2 = syn.acknowledgment_number;
    }
    // ANCHOR_END: synchronize

    /// Text and FIN that come with a SYN are no use before the connection is established, but must
    /// not be lost to it.
    pub(crate) fn keep_for_later(&mut self, syn: &Header, text: &[u8]) {
        let room = (self.rcv.edge - self.rcv.nxt) as usize;
        self.rcv
            .text
            .keep(self.rcv.nxt, &text[..text.len().min(room)]);
        if syn.flags.contains(Flags::FIN) && text.len() < room {
            self.rcv.fin = Some(self.rcv.nxt + text.len() as u32);
        }
    }

    /// Whether a SYN cannot be an old one of this connection, which is in TIME-WAIT: its clock has
    /// gone on, or its number lies beyond all of ours (RFC 6191 §2).
    pub(crate) fn is_before(&self, syn: &Header) -> bool {
        match Arrived::read(syn).timestamps {
            Some((value, _)) if self.agreed.timestamps && value != self.timestamps.recent => {
                (value.wrapping_sub(self.timestamps.recent) as i32) > 0
            }
            _ => self.rcv.nxt < syn.sequence_number,
        }
    }

    /// Our SYN has been acknowledged, and the other end's has arrived.
    pub(crate) fn establish(&mut self) {
        self.enter(State::Established);
        self.events.add(crate::Event::Established);
        if self.syn_was_lost {
            self.rto.syn_was_lost();
            self.congestion.syn_was_lost();
        }
        if self.closing {
            self.enter(State::FinWait1);
        }
    }
}
