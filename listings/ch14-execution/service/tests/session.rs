//! What a session does with whatever comes, in whatever pieces.

use std::time::{Duration, Instant};

use exec_service::client::get;
use exec_service::{Limits, OUTPUT_LIMIT, Output, Service, Session, Stats, Step};
use proptest::prelude::*;

/// A session, and what a server would have sent for it.
struct Stage {
    service: Service,
    session: Session,
    output: Output,
    now: Instant,
    sent: Vec<u8>,
    step: Step,
}

impl Stage {
    fn new() -> Self {
        let now = Instant::now();
        let stats = Stats::new("test", 1).unwrap();
        let mut service = Service::new(Limits::default(), stats, 0, now);
        service.tell_time(now, std::time::SystemTime::UNIX_EPOCH);
        let session = Session::new(&service, now);
        Self {
            service,
            session,
            output: Output::default(),
            now,
            sent: Vec::new(),
            step: Step::Read,
        }
    }

    /// Gives it bytes, and does what it says with a socket that takes so many bytes at a time.
    fn receive(&mut self, bytes: &[u8], takes: usize) {
        self.step = self
            .session
            .receive(&mut self.service, bytes, self.now, &mut self.output);
        self.go_on(takes);
    }

    fn end_of_input(&mut self) {
        self.step = self
            .session
            .end_of_input(&mut self.service, self.now, &mut self.output);
        self.go_on(usize::MAX);
    }

    fn go_on(&mut self, takes: usize) {
        loop {
            let (service, output) = (&mut self.service, &mut self.output);
            self.step = match self.step {
                Step::Write => {
                    while !output.is_empty() {
                        let all = output.slices();
                        let bytes = if all[0].is_empty() { &all[1] } else { &all[0] };
                        let len = bytes.len().min(takes);
                        self.sent.extend_from_slice(&bytes[..len]);
                        output.advance(len);
                        self.session.blocked(service, self.now);
                    }
                    self.session.flushed(service, self.now, output)
                }
                Step::Wait => {
                    self.now = self.session.deadline();
                    self.session.expired(service, self.now, output)
                }
                Step::Linger => self.session.half_closed(service, self.now),
                Step::Read | Step::Close => return,
            };
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.sent).into_owned()
    }
}

fn post(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn post_chunked(body: &[u8]) -> Vec<u8> {
    let mut request =
        b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in body.chunks(7) {
        request.extend(format!("{:x}\r\n", chunk.len()).bytes());
        request.extend(chunk);
        request.extend(b"\r\n");
    }
    request.extend(b"0\r\n\r\n");
    request
}

fn request() -> impl Strategy<Value = Vec<u8>> {
    let body = || prop::collection::vec(any::<u8>(), 0..200);
    prop_oneof![
        Just(get("/").into_bytes()),
        Just(get("/elsewhere").into_bytes()),
        (0u32..40_000).prop_map(|len| get(&format!("/bytes/{len}")).into_bytes()),
        (0u32..100).prop_map(|ms| get(&format!("/slow/{ms}")).into_bytes()),
        body().prop_map(|body| post(&body)),
        body().prop_map(|body| post_chunked(&body)),
        Just(b"HEAD /bytes/20000 HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        Just(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".to_vec()),
    ]
}

/// The bytes in pieces whose lengths are taken from `lens` in turn.
fn pieces<'a>(mut bytes: &'a [u8], lens: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for len in lens.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (piece, rest) = bytes.split_at((*len).min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

proptest! {
    #[test]
    fn in_whatever_pieces_requests_come_and_answers_go_the_answers_are_the_same(
        requests in prop::collection::vec(request(), 1..20),
        lens in prop::collection::vec(1usize..300, 1..5),
        takes in 1usize..5000,
    ) {
        let all = requests.concat();
        let mut at_once = Stage::new();
        at_once.receive(&all, usize::MAX);
        prop_assert_eq!(at_once.step, Step::Read);
        prop_assert!(at_once.session.is_idle());

        let mut piecemeal = Stage::new();
        for piece in pieces(&all, &lens) {
            piecemeal.receive(piece, takes);
        }
        prop_assert!(piecemeal.session.is_idle());
        prop_assert!(at_once.sent == piecemeal.sent);
    }

    #[test]
    fn bytes_that_nobody_would_send_do_no_harm(
        requests in prop::collection::vec(request(), 0..4),
        noise in prop::collection::vec(any::<u8>(), 0..3000),
        at in any::<prop::sample::Index>(),
        lens in prop::collection::vec(1usize..300, 1..5),
    ) {
        let mut all = requests.concat();
        let at = at.index(all.len() + 1);
        all.splice(at..at, noise);
        let mut stage = Stage::new();
        for piece in pieces(&all, &lens) {
            stage.receive(piece, usize::MAX);
            if stage.step == Step::Close {
                return Ok(());
            }
        }
        stage.end_of_input();
        prop_assert_eq!(stage.step, Step::Close);
    }
}

#[test]
fn however_many_requests_come_the_output_is_bounded_while_nothing_is_written() {
    let mut stage = Stage::new();
    let requests = get("/bytes/16000").repeat(1000);
    let (service, output) = (&mut stage.service, &mut stage.output);
    let step = stage
        .session
        .receive(service, requests.as_bytes(), stage.now, output);
    assert_eq!(step, Step::Write);
    assert!(
        output.bytes().len() < OUTPUT_LIMIT + 17_000,
        "{}",
        output.bytes().len()
    );
    // And all are answered in the end.
    stage.step = step;
    stage.go_on(usize::MAX);
    assert_eq!(stage.text().matches("HTTP/1.1 200 OK").count(), 1000);
}

#[test]
fn a_large_body_holds_up_what_comes_behind_it() {
    let mut stage = Stage::new();
    let requests = [get("/bytes/1000000"), get("/")].concat();
    let (service, output) = (&mut stage.service, &mut stage.output);
    let step = stage
        .session
        .receive(service, requests.as_bytes(), stage.now, output);
    assert_eq!(step, Step::Write);
    assert_eq!(output.body().unwrap().len, 1_000_000);
    let head = String::from_utf8_lossy(output.bytes())
        .matches("HTTP/1.1")
        .count();
    assert_eq!(head, 1);
    stage.step = step;
    stage.go_on(usize::MAX);
    assert_eq!(stage.text().matches("HTTP/1.1 200 OK").count(), 2);
}

#[test]
fn bytes_that_come_unasked_wait_for_their_turn() {
    let mut stage = Stage::new();
    let (service, output) = (&mut stage.service, &mut stage.output);
    let slow = get("/slow/50");
    assert_eq!(
        stage
            .session
            .receive(service, slow.as_bytes(), stage.now, output),
        Step::Wait
    );
    assert_eq!(
        stage
            .session
            .receive(service, get("/").as_bytes(), stage.now, output),
        Step::Wait
    );
    assert!(output.is_empty());
    // Too early.
    assert_eq!(
        stage.session.expired(service, stage.now, output),
        Step::Wait
    );
    stage.step = Step::Wait;
    stage.go_on(usize::MAX);
    assert_eq!(stage.text().matches("HTTP/1.1 200 OK").count(), 2);
}

/// What follows when nothing happens until the deadline, and after how long.
fn silence(stage: &mut Stage) -> (Duration, Step) {
    let took = stage.session.deadline() - stage.now;
    stage.now = stage.session.deadline();
    let (service, output) = (&mut stage.service, &mut stage.output);
    (took, stage.session.expired(service, stage.now, output))
}

#[test]
fn each_kind_of_waiting_has_its_deadline() {
    let limits = Limits::default();
    let seconds = |n: u64| Duration::from_secs(n);
    let mut stage = Stage::new();
    assert_eq!(silence(&mut stage), (limits.head, Step::Close));

    // A slow loris: each byte comes before the deadline, which does not move.
    let mut stage = Stage::new();
    let start = stage.now;
    for byte in b"GET / HT" {
        stage.receive(&[*byte], usize::MAX);
        stage.now += seconds(1);
    }
    assert_eq!(stage.session.deadline() - start, limits.head);
    assert_eq!(silence(&mut stage).1, Step::Write);
    assert!(stage.output.bytes().starts_with(b"HTTP/1.1 408 "));
    stage.step = Step::Write;
    stage.go_on(usize::MAX);
    assert_eq!(silence(&mut stage), (limits.linger, Step::Close));

    // From the first byte of the next request on, it is that one's deadline.
    let mut stage = Stage::new();
    stage.receive(get("/").as_bytes(), usize::MAX);
    stage.now += seconds(50);
    stage.receive(b"GET", usize::MAX);
    assert_eq!(silence(&mut stage), (limits.head, Step::Write));

    let mut stage = Stage::new();
    stage.receive(get("/").as_bytes(), usize::MAX);
    assert_eq!(silence(&mut stage), (limits.idle, Step::Close));

    let mut stage = Stage::new();
    stage.receive(&post(&[b'x'; 100])[..100], usize::MAX);
    stage.now += seconds(1);
    stage.receive(b"xx", usize::MAX);
    assert_eq!(silence(&mut stage), (limits.body - seconds(1), Step::Write));

    let mut stage = Stage::new();
    let (service, output) = (&mut stage.service, &mut stage.output);
    let large = get("/bytes/1000000");
    assert_eq!(
        stage
            .session
            .receive(service, large.as_bytes(), stage.now, output),
        Step::Write
    );
    stage.session.blocked(&stage.service, stage.now);
    stage.now += seconds(20);
    stage.session.blocked(&stage.service, stage.now);
    assert_eq!(silence(&mut stage), (limits.write, Step::Close));
}

#[test]
fn an_idle_connection_is_ended_sooner_when_the_server_is_to_end_and_a_busy_one_is_not() {
    let limits = Limits::default();
    let mut stage = Stage::new();
    stage.session.drain(&stage.service, stage.now);
    assert_eq!(silence(&mut stage), (limits.grace, Step::Close));

    let mut stage = Stage::new();
    stage.receive(get("/").as_bytes(), usize::MAX);
    stage.session.hurry(&stage.service, stage.now);
    assert_eq!(silence(&mut stage), (limits.hurry, Step::Close));

    let mut stage = Stage::new();
    stage.receive(b"GET", usize::MAX);
    stage.session.drain(&stage.service, stage.now);
    stage.session.hurry(&stage.service, stage.now);
    assert_eq!(stage.session.deadline() - stage.now, limits.head);
}

#[test]
fn only_so_much_is_thrown_away_behind_the_last_answer() {
    let mut stage = Stage::new();
    stage.receive(b"NONSENSE\r\n\r\n", usize::MAX);
    assert_eq!(stage.step, Step::Read);
    let noise = vec![b'x'; exec_service::limits::MAX_LINGER_LEN];
    stage.receive(&noise, usize::MAX);
    assert_eq!(stage.step, Step::Read);
    stage.receive(b"x", usize::MAX);
    assert_eq!(stage.step, Step::Close);
    assert_eq!(stage.text().matches("HTTP/1.1").count(), 1);
}
