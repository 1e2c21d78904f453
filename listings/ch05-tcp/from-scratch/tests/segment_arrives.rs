//! RFC 9293 §3.10.7, SEGMENT ARRIVES: every kind of segment in every state, and what the RFC wants
//! done (with RFC 5961, where RFC 9293 leaves the choice).

use std::net::SocketAddr;
use std::time::Duration;

use tcp_from_scratch::harness::{Harness, Taken};
use tcp_from_scratch::{ConnectionId, Error, Event, Reason, State};
use tcp_segment::{Flags, Header, SeqNumber};

use State::{
    CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, Listen, SynReceived,
    SynSent, TimeWait,
};

const STATES: [State; 11] = [
    Closed,
    Listen,
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
];

/// What is answered, and which state follows if it is another. Answers:
///
/// - `-`  nothing,
/// - `A`  `<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>`,
/// - `SA` `<SEQ=ISS><ACK=RCV.NXT><CTL=SYN,ACK>`,
/// - `R`  `<SEQ=SEG.ACK><CTL=RST>`,
/// - `RA` `<SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>`.
///
/// States are those of [`STATES`], shortened.
const TABLE: &str = "
segment           CLOSED LISTEN SYN-SENT SYN-RCVD ESTAB FIN-W-1 FIN-W-2 CLOSE-W CLOSING LAST-ACK TIME-W
syn               RA     SA>SR  SA>SR    ->L      A     A       A       A       A       A        A
syn-old           RA     SA>SR  SA>SR    A        A     A       A       A       A       A        A
syn-later         RA     SA>SR  SA>SR    ->L      A     A       A       A       A       A        SA>SR
syn-ack           R      R      A>E      ->L      A     A       A       A       A       A        A
syn-ack-bad       R      R      R        ->L      A     A       A       A       A       A        A
syn-rst           -      -      -        ->L      ->C   ->C     ->C     ->C     ->C     ->C      ->C
ack               R      R      -        ->E      -     ->F2    -       -       ->TW    ->C      -
ack-nothing-new   R      R      R        R        -     -       -       -       -       -        -
ack-too-old       R      R      R        R        A     A       A       A       A       A        A
ack-future        R      R      R        R        A     A       A       A       A       A        A
ack-out-of-window R      R      -        A        A     A       A       A       A       A        A
rst               -      -      -        ->L      ->C   ->C     ->C     ->C     ->C     ->C      ->C
rst-ack           -      -      ->C      ->L      ->C   ->C     ->C     ->C     ->C     ->C      ->C
rst-ack-bad       -      -      -        ->L      ->C   ->C     ->C     ->C     ->C     ->C      ->C
rst-in-window     -      -      -        A        A     A       A       A       A       A        A
rst-last-of-win   -      -      -        A        A     A       A       A       A       A        A
rst-old           -      -      -        -        -     -       -       -       -       -        -
rst-beyond        -      -      -        -        -     -       -       -       -       -        -
fin               R      R      -        A>CW     A>CW  A>TW    A>TW    A       A>TW    ->C      A
fin-without-ack   RA     -      -        -        -     -       -       -       -       -        -
fin-acks-nothing  R      R      R        R        A>CW  A>CG    A>TW    A       A       A        A
fin-old           R      R      -        A        A     A       A       A       A       A        A
fin-beyond        R      R      -        A        A     A       A       A       A       A        A
text              R      R      -        A>E      A     A>F2    A       -       ->TW    ->C      -
text-ack-future   R      R      R        R        A     A       A       A       A       A        A
text-without-ack  RA     -      -        -        -     -       -       -       -       -        -
text-after-gap    R      R      -        A>E      A     A>F2    A       -       ->TW    ->C      -
text-old          R      R      -        A        A     A       A       A       A       A        A
text-half-old     R      R      -        A>E      A     A>F2    A       -       ->TW    ->C      -
text-beyond       R      R      -        A        A     A       A       A       A       A        A
text-over-window  R      R      -        A>E      A     A>F2    A       -       ->TW    ->C      -
text-urgent       R      R      -        A>E      A     A>F2    A       -       ->TW    ->C      -
text-fin          R      R      -        A>CW     A>CW  A>TW    A>TW    A       A>TW    ->C      A
nothing           RA     -      -        -        -     -       -       -       -       -        -
";

fn short(name: &str) -> State {
    match name {
        "C" => Closed,
        "L" => Listen,
        "SR" => SynReceived,
        "E" => Established,
        "F2" => FinWait2,
        "CW" => CloseWait,
        "CG" => Closing,
        "TW" => TimeWait,
        other => panic!("no state {other}"),
    }
}

const OURS: &str = "192.0.2.1";
const PEER: &str = "192.0.2.9:4000";

/// The window that the peer announces, which is the largest it ever does.
const PEERS_WINDOW: u32 = 1000;

/// A connection in some state, and its variables as the peer knows them.
struct Scene {
    harness: Harness,
    port: u16,
    id: Option<ConnectionId>,
    irs: SeqNumber,
    rcv_nxt: SeqNumber,
    rcv_wnd: u32,
    iss: SeqNumber,
    snd_una: SeqNumber,
    snd_nxt: SeqNumber,
}

fn peer() -> SocketAddr {
    PEER.parse().unwrap()
}

impl Scene {
    /// Brings a connection into a state. In those that may send, five bytes are under way.
    fn in_state(state: State) -> Self {
        let mut scene = Self {
            harness: Harness::new(OURS.parse().unwrap()),
            port: 80,
            id: None,
            irs: SeqNumber(u32::MAX - 2), // numbers wrap in the middle of it
            rcv_nxt: SeqNumber(u32::MAX - 1),
            rcv_wnd: 65_535,
            iss: SeqNumber(7000),
            snd_una: SeqNumber(7001),
            snd_nxt: SeqNumber(7006),
        };
        if state == SynSent {
            let now = scene.harness.now();
            let id = scene.harness.stack().connect(now, peer(), None).unwrap();
            scene.id = Some(id);
            let syn = scene.harness.take().remove(0);
            scene.port = syn.port;
            scene.iss = syn.seq;
            (scene.snd_una, scene.snd_nxt) = (syn.seq, syn.seq + 1);
            return scene;
        }
        if state == Closed {
            return scene;
        }
        scene.harness.stack().listen(80, 4).unwrap();
        if state != Listen {
            scene.advance_to(state);
        }
        scene
    }

    fn advance_to(&mut self, state: State) {
        let answer = self.put(Flags::SYN, self.irs, SeqNumber(0), b"").remove(0);
        (self.iss, self.snd_una, self.snd_nxt) = (answer.seq, answer.seq, answer.seq + 1);
        if state == SynReceived {
            return;
        }
        self.snd_una = self.snd_nxt;
        assert_eq!(self.put(Flags::ACK, self.rcv_nxt, self.snd_nxt, b""), []);
        let id = self.harness.stack().accept(80).unwrap();
        self.id = Some(id);
        self.harness.stack().send(id, b"hello").unwrap();
        assert_eq!(self.harness.take().len(), 1);
        self.snd_nxt += 5;
        if matches!(state, CloseWait | LastAck) {
            self.fin_from_peer();
        }
        if matches!(state, FinWait1 | FinWait2 | Closing | LastAck | TimeWait) {
            self.harness.stack().close(id).unwrap();
            let fin = self.harness.take().remove(0);
            assert!(fin.flags.contains(Flags::FIN));
            self.snd_nxt += 1;
        }
        if matches!(state, FinWait2 | TimeWait) {
            self.put(Flags::ACK, self.rcv_nxt, self.snd_nxt, b"");
            self.snd_una = self.snd_nxt;
        }
        if matches!(state, Closing | TimeWait) {
            self.fin_from_peer();
        }
        assert_eq!(self.state(), state);
        while self.harness.stack().event().is_some() {}
    }

    fn fin_from_peer(&mut self) {
        self.put(Flags::FIN | Flags::ACK, self.rcv_nxt, self.snd_una, b"");
        self.rcv_nxt += 1;
        self.rcv_wnd -= 1;
    }

    fn header(&self, flags: Flags, seq: SeqNumber, ack: SeqNumber) -> Header<'static> {
        Header {
            flags,
            acknowledgment_number: ack,
            window: PEERS_WINDOW as u16,
            ..Header::new(peer().port(), self.port, seq)
        }
    }

    fn put(&mut self, flags: Flags, seq: SeqNumber, ack: SeqNumber, text: &[u8]) -> Vec<Taken> {
        let header = self.header(flags, seq, ack);
        self.put_header(&header, text)
    }

    /// Puts a segment in; answers are taken late enough for an acknowledgment that waits, and too
    /// early for a retransmission.
    fn put_header(&mut self, header: &Header, text: &[u8]) -> Vec<Taken> {
        self.harness.put(peer(), header, text);
        let mut answers = self.harness.take();
        self.harness.pass(Duration::from_millis(50));
        answers.extend(self.harness.take());
        answers
    }

    fn state(&mut self) -> State {
        let listens = self.harness.stack().listen(80, 4).is_err();
        if !listens {
            self.harness.stack().unlisten(80).unwrap();
        }
        // The user's own, or one that the user does not know of yet.
        let stack = self.harness.stack();
        let known = self.id.filter(|id| stack.status(*id).is_ok());
        let id = known.or_else(|| stack.ids().next());
        match id {
            Some(id) => stack.status(id).unwrap().state,
            None if listens => Listen,
            None => Closed,
        }
    }

    /// The segment of that name, for this state.
    fn segment(&self, name: &str) -> (Header<'static>, &'static [u8]) {
        let (syn, ack, fin, rst, urg) =
            (Flags::SYN, Flags::ACK, Flags::FIN, Flags::RST, Flags::URG);
        let (nxt, beyond) = (self.rcv_nxt, self.rcv_nxt + self.rcv_wnd);
        let all = self.snd_nxt;
        let five: &[u8] = b"12345";
        let (flags, seq, acknowledges, text): (_, _, _, &[u8]) = match name {
            "syn" => (syn, nxt, SeqNumber(0), b""),
            "syn-old" => (syn, self.irs, SeqNumber(0), b""),
            "syn-later" => (syn, nxt + 9, SeqNumber(0), b""),
            "syn-ack" => (syn | ack, nxt, all, b""),
            "syn-ack-bad" => (syn | ack, nxt, all + 1, b""),
            "syn-rst" => (syn | rst, nxt, SeqNumber(0), b""),
            "ack" => (ack, nxt, all, b""),
            "ack-nothing-new" => (ack, nxt, self.snd_una, b""),
            "ack-too-old" => (ack, nxt, self.snd_una - PEERS_WINDOW - 1, b""),
            "ack-future" => (ack, nxt, all + 1, b""),
            "ack-out-of-window" => (ack, nxt - 1, all, b""),
            "rst" => (rst, nxt, SeqNumber(0), b""),
            "rst-ack" => (rst | ack, nxt, all, b""),
            "rst-ack-bad" => (rst | ack, nxt, all + 1, b""),
            "rst-in-window" => (rst, nxt + 1, SeqNumber(0), b""),
            "rst-last-of-win" => (rst, beyond - 1, SeqNumber(0), b""),
            "rst-old" => (rst, nxt - 1, SeqNumber(0), b""),
            "rst-beyond" => (rst, beyond, SeqNumber(0), b""),
            "fin" => (fin | ack, nxt, all, b""),
            "fin-without-ack" => (fin, nxt, SeqNumber(0), b""),
            "fin-acks-nothing" => (fin | ack, nxt, self.snd_una, b""),
            "fin-old" => (fin | ack, nxt - 1, all, b""),
            "fin-beyond" => (fin | ack, beyond, all, b""),
            "text" => (ack, nxt, all, five),
            "text-ack-future" => (ack, nxt, all + 1, five),
            "text-without-ack" => (Flags::NONE, nxt, SeqNumber(0), five),
            "text-after-gap" => (ack, nxt + 9, all, five),
            "text-old" => (ack, nxt - 5, all, five),
            "text-half-old" => (ack, nxt - 2, all, five),
            "text-beyond" => (ack, beyond, all, five),
            "text-over-window" => (ack, beyond - 2, all, five),
            "text-urgent" => (ack | urg, nxt, all, five),
            "text-fin" => (fin | ack, nxt, all, five),
            "nothing" => (Flags::NONE, nxt, SeqNumber(0), b""),
            other => panic!("no segment {other}"),
        };
        let header = Header {
            urgent_pointer: if flags.contains(urg) { 3 } else { 0 },
            ..self.header(flags, seq, acknowledges)
        };
        (header, text)
    }

    /// What of the segment is new to us, in sequence numbers, if it begins at RCV.NXT.
    fn advance(&self, name: &str, before: State, after: State) -> u32 {
        let takes_text = matches!(before, SynReceived | Established | FinWait1 | FinWait2);
        match name {
            _ if before == SynSent => 1,
            _ if !takes_text => 0,
            "text" | "text-urgent" => 5,
            "text-half-old" => 3,
            "text-fin" => 6,
            _ if after != before && matches!(after, CloseWait | Closing | TimeWait) => 1,
            _ => 0,
        }
    }
}

/// The answer as in the table, if it has the numbers that it must have.
fn name_of(
    answer: &Taken,
    scene: &Scene,
    header: &Header,
    text: &[u8],
    advance: u32,
) -> &'static str {
    let Taken {
        seq, ack, flags, ..
    } = *answer;
    let syn_received = header.sequence_number + 1;
    if flags == Flags::RST {
        assert_eq!(seq, header.acknowledgment_number, "<SEQ=SEG.ACK><CTL=RST>");
        "R"
    } else if flags == Flags::RST | Flags::ACK {
        let expected = (
            SeqNumber(0),
            header.sequence_number + header.sequence_len(text.len()),
        );
        assert_eq!(
            (seq, ack),
            expected,
            "<SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>"
        );
        "RA"
    } else if flags == Flags::SYN | Flags::ACK {
        assert_eq!(ack, syn_received);
        "SA"
    } else {
        assert_eq!(flags, Flags::ACK);
        let rcv_nxt = scene.rcv_nxt + advance;
        assert_eq!(
            (seq, ack),
            (scene.snd_nxt, rcv_nxt),
            "<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>"
        );
        "A"
    }
}

#[test]
fn every_segment_in_every_state_is_answered_as_rfc_9293_says() {
    let mut rows = TABLE.trim().lines();
    assert_eq!(
        rows.next().unwrap().split_whitespace().count(),
        STATES.len() + 1
    );
    let mut cases = 0;
    for row in rows {
        let mut cells = row.split_whitespace();
        let name = cells.next().unwrap();
        for (state, cell) in STATES.into_iter().zip(cells) {
            cases += 1;
            let (answer, after) = match cell.split_once('>') {
                Some(("-", after)) | Some(("", after)) => ("-", short(after)),
                Some((answer, after)) => (answer, short(after)),
                None => (cell, state),
            };
            let answer = if answer.is_empty() { "-" } else { answer };
            let mut scene = Scene::in_state(state);
            let (header, text) = scene.segment(name);
            let answers = scene.put_header(&header, text);
            let found = scene.state();
            assert_eq!(found, after, "the state after {name} in {state}");
            let advance = scene.advance(name, state, after);
            let names: Vec<&str> = answers
                .iter()
                .map(|answer| name_of(answer, &scene, &header, text, advance))
                .collect();
            let expected = if answer == "-" { vec![] } else { vec![answer] };
            assert_eq!(names, expected, "the answers to {name} in {state}");
        }
    }
    assert_eq!(cases, 34 * 11);
}

fn events(scene: &mut Scene) -> Vec<Event> {
    std::iter::from_fn(|| scene.harness.stack().event())
        .map(|(_, event)| event)
        .collect()
}

#[test]
fn text_is_given_to_the_user_in_the_states_that_receive_it() {
    for state in STATES {
        for (name, expected) in [("text", &b"12345"[..]), ("text-half-old", b"345")] {
            let mut scene = Scene::in_state(state);
            let (header, text) = scene.segment(name);
            scene.put_header(&header, text);
            let id = scene.id.or_else(|| scene.harness.stack().accept(80));
            let mut buffer = [0; 16];
            let read = match id.map(|id| scene.harness.stack().receive(id, &mut buffer)) {
                Some(Ok(len)) => &buffer[..len],
                _ => b"",
            };
            let receives = matches!(state, SynReceived | Established | FinWait1 | FinWait2);
            assert_eq!(
                read,
                if receives { expected } else { b"" },
                "{name} in {state}"
            );
        }
    }
}

#[test]
fn text_beyond_a_gap_waits_for_what_is_missing() {
    let mut scene = Scene::in_state(Established);
    let (nxt, ack) = (scene.rcv_nxt, scene.snd_nxt);
    let id = scene.id.unwrap();
    let mut buffer = [0; 32];
    scene.put(Flags::ACK, nxt + 5, ack, b"world");
    assert_eq!(
        scene.harness.stack().receive(id, &mut buffer),
        Err(Error::WouldBlock)
    );
    // Filling the gap is acknowledged at once.
    scene
        .harness
        .put(peer(), &scene.header(Flags::ACK, nxt, ack), b"hello");
    let answers = scene.harness.take();
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].ack, nxt + 10);
    assert_eq!(scene.harness.stack().receive(id, &mut buffer), Ok(10));
    assert_eq!(&buffer[..10], b"helloworld");
}

#[test]
fn a_fin_beyond_a_gap_counts_when_the_gap_is_filled() {
    let mut scene = Scene::in_state(Established);
    let (nxt, ack) = (scene.rcv_nxt, scene.snd_nxt);
    scene.put(Flags::ACK | Flags::FIN, nxt + 5, ack, b"world");
    assert_eq!(scene.state(), Established);
    let answers = scene.put(Flags::ACK, nxt, ack, b"hello");
    assert_eq!(answers[0].ack, nxt + 11);
    assert_eq!(scene.state(), CloseWait);
}

#[test]
fn urgent_text_is_announced_where_text_is_received() {
    for state in [Established, FinWait1, FinWait2] {
        let mut scene = Scene::in_state(state);
        let (header, text) = scene.segment("text-urgent");
        scene.put_header(&header, text);
        assert!(events(&mut scene).contains(&Event::Urgent), "{state}");
        let id = scene.id.unwrap();
        assert_eq!(scene.harness.stack().status(id).unwrap().urgent, 3);
        scene.harness.stack().receive(id, &mut [0; 2]).unwrap();
        assert_eq!(scene.harness.stack().status(id).unwrap().urgent, 1);
        scene.harness.stack().receive(id, &mut [0; 2]).unwrap();
        assert_eq!(scene.harness.stack().status(id).unwrap().urgent, 0);
    }
    for state in [CloseWait, Closing, LastAck, TimeWait] {
        let mut scene = Scene::in_state(state);
        let (header, text) = scene.segment("text-urgent");
        scene.put_header(&header, text);
        assert!(!events(&mut scene).contains(&Event::Urgent), "{state}");
    }
}

#[test]
fn the_user_hears_why_a_connection_is_no_more() {
    for (state, name, reason) in [
        (SynSent, "rst-ack", Reason::Refused),
        (Established, "rst", Reason::Reset),
        (FinWait1, "rst", Reason::Reset),
        (FinWait2, "rst", Reason::Reset),
        (CloseWait, "rst", Reason::Reset),
        (LastAck, "ack", Reason::Finished),
    ] {
        let mut scene = Scene::in_state(state);
        let (header, text) = scene.segment(name);
        scene.put_header(&header, text);
        assert_eq!(
            events(&mut scene).last(),
            Some(&Event::Closed(reason)),
            "{state}"
        );
    }
}

#[test]
fn after_a_reset_all_calls_say_so() {
    let mut scene = Scene::in_state(Established);
    let (header, text) = scene.segment("text");
    scene.put_header(&header, text);
    let reset = scene.header(Flags::RST, scene.rcv_nxt + 5, SeqNumber(0));
    scene.put_header(&reset, b"");
    let (id, ended) = (scene.id.unwrap(), Error::Ended(Reason::Reset));
    let stack = scene.harness.stack();
    assert_eq!(stack.receive(id, &mut [0; 9]), Err(ended));
    assert_eq!(stack.send(id, b"x"), Err(ended));
    assert_eq!(stack.close(id), Err(ended));
}

/// Both ends have sent a SYN: SYN-RECEIVED, but not from LISTEN.
fn simultaneous() -> Scene {
    let mut scene = Scene::in_state(SynSent);
    let answers = scene.put(Flags::SYN, scene.irs, SeqNumber(0), b"");
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].flags, Flags::SYN | Flags::ACK);
    assert_eq!((answers[0].seq, answers[0].ack), (scene.iss, scene.irs + 1));
    assert_eq!(scene.state(), SynReceived);
    scene
}

#[test]
fn a_simultaneous_open_is_completed_by_the_others_syn_and_ack() {
    let mut scene = simultaneous();
    let (irs, all) = (scene.irs, scene.snd_nxt);
    scene.put(Flags::SYN | Flags::ACK, irs, all, b"");
    assert_eq!(scene.state(), Established);
    // Or by an ACK alone.
    let mut scene = simultaneous();
    let (nxt, all) = (scene.rcv_nxt, scene.snd_nxt);
    scene.put(Flags::ACK, nxt, all, b"");
    assert_eq!(scene.state(), Established);
}

#[test]
fn a_reset_in_a_simultaneous_open_is_a_refusal_and_a_syn_a_challenge() {
    let mut scene = simultaneous();
    let nxt = scene.rcv_nxt;
    assert_eq!(scene.put(Flags::SYN, nxt, SeqNumber(0), b"").len(), 1);
    assert_eq!(scene.state(), SynReceived);
    scene.put(Flags::RST, nxt, SeqNumber(0), b"");
    assert_eq!(
        events(&mut scene).last(),
        Some(&Event::Closed(Reason::Refused))
    );
}

#[test]
fn a_retransmitted_fin_restarts_time_wait() {
    let mut scene = Scene::in_state(TimeWait);
    let (nxt, ack) = (scene.rcv_nxt, scene.snd_nxt);
    scene.harness.pass(Duration::from_secs(230));
    assert_eq!(
        scene.put(Flags::FIN | Flags::ACK, nxt - 1, ack, b"").len(),
        1
    );
    scene.harness.pass(Duration::from_secs(230));
    scene.harness.take();
    assert_eq!(scene.state(), TimeWait);
    scene.harness.pass(Duration::from_secs(10));
    scene.harness.take();
    assert_eq!(scene.state(), Closed);
}

#[test]
fn text_and_fin_that_come_with_a_syn_are_not_lost() {
    let mut scene = Scene::in_state(Listen);
    let irs = scene.irs;
    let answer = scene
        .put(Flags::SYN | Flags::FIN, irs, SeqNumber(0), b"hello")
        .remove(0);
    assert_eq!(
        (answer.flags, answer.ack),
        (Flags::SYN | Flags::ACK, irs + 1)
    );
    let answers = scene.put(Flags::ACK, irs + 7, answer.seq + 1, b"");
    assert_eq!(answers.last().unwrap().ack, irs + 7);
    assert_eq!(scene.state(), CloseWait);
    let id = scene.harness.stack().accept(80).unwrap();
    assert_eq!(scene.harness.stack().receive(id, &mut [0; 9]), Ok(5));
    assert_eq!(scene.harness.stack().receive(id, &mut [0; 9]), Ok(0));
}

#[test]
fn closed_while_the_syn_is_not_acknowledged_a_fin_goes_out_behind_it() {
    let mut scene = Scene::in_state(SynReceived);
    let id = scene.harness.stack().ids().next().unwrap();
    scene.harness.stack().close(id).unwrap();
    let fin = scene.harness.take().remove(0);
    assert_eq!(
        (fin.flags, fin.seq),
        (Flags::FIN | Flags::ACK, scene.iss + 1)
    );
    assert_eq!(scene.state(), FinWait1);
    let (nxt, all) = (scene.rcv_nxt, scene.iss + 2);
    scene.put(Flags::ACK, nxt, all, b"");
    assert_eq!(scene.state(), FinWait2);
}

#[test]
fn challenge_acks_are_limited_and_the_limit_forgets() {
    let mut scene = Scene::in_state(Established);
    let nxt = scene.rcv_nxt;
    let mut answered = || {
        let mut answers = Vec::new();
        for _ in 0..100 {
            answers.extend(scene.put(Flags::RST, nxt + 1, SeqNumber(0), b"")); // takes 50 ms
        }
        answers
            .iter()
            .filter(|answer| answer.text.is_empty())
            .count()
    };
    assert_eq!(answered(), 10);
    assert_eq!(answered(), 10);
}
