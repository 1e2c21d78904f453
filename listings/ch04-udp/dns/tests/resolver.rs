//! The resolver by hand: a query out, an answer in, and time as a number.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use udp_dns::Transport;
use udp_dns::random::Seeded;
use udp_dns::resolver::{
    Accepted, Answer, Config, Failure, Lookup, MAX_ALIASES, MAX_QUERY_LEN, MAX_REFUSED, Query,
    Refusal, Step, Trouble, UDP_PAYLOAD_SIZE,
};
use udp_dns_message::{
    Class, Flags, Header, MAX_MESSAGE_LEN, Message, NameBuf, Question, Rcode, Rdata, Record,
    Section, Soa, Type, Writer,
};

const START: Duration = Duration::from_secs(1000);

fn name(text: &str) -> NameBuf {
    text.parse().unwrap()
}

fn server(number: u8) -> SocketAddr {
    (Ipv4Addr::new(192, 0, 2, number), 53).into()
}

fn lookup(text: &str, qtype: Type, servers: u8) -> Lookup<Seeded> {
    let servers: Vec<SocketAddr> = (1..=servers).map(server).collect();
    Lookup::new(name(text), qtype, Config::new(servers), Seeded(1))
}

/// The query that is to be sent now.
fn sent(lookup: &mut Lookup<Seeded>) -> Query {
    sent_at(lookup, START).0
}

fn sent_at(lookup: &mut Lookup<Seeded>, now: Duration) -> (Query, Duration) {
    match lookup.poll(now) {
        Step::Send { query, until } => (query, until),
        other => panic!("{other:?}"),
    }
}

fn result(lookup: &mut Lookup<Seeded>) -> Result<Answer, Failure> {
    match lookup.poll(START) {
        Step::Done(result) => result,
        other => panic!("{other:?}"),
    }
}

/// An answer to a query, of these records of the answer and the authority section.
struct Reply<'q> {
    query: &'q Query,
    header: Header,
    asked: NameBuf,
    answers: Vec<(NameBuf, Data)>,
    authorities: Vec<(NameBuf, Data)>,
}

enum Data {
    A(u8),
    /// The same in the class CH.
    OfChaos(u8),
    Alias(Box<NameBuf>),
    Soa,
    Ns,
}

fn alias(target: NameBuf) -> Data {
    Data::Alias(Box::new(target))
}

fn reply(query: &Query) -> Reply<'_> {
    Reply {
        query,
        header: Header {
            flags: Flags::QR,
            ..Header::query(query.id)
        },
        asked: query.name,
        answers: Vec::new(),
        authorities: Vec::new(),
    }
}

impl Reply<'_> {
    fn answer(mut self, owner: &str, data: Data) -> Self {
        self.answers.push((name(owner), data));
        self
    }

    fn authority(mut self, owner: &str, data: Data) -> Self {
        self.authorities.push((name(owner), data));
        self
    }

    fn rcode(mut self, rcode: Rcode) -> Self {
        self.header.rcode = rcode;
        self
    }

    fn flag(mut self, flag: Flags) -> Self {
        self.header.flags |= flag;
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut buffer = vec![0; MAX_MESSAGE_LEN];
        let mut writer = Writer::new(&mut buffer, self.header, None).unwrap();
        let question = Question {
            name: self.asked.name(),
            qtype: self.query.qtype,
            class: Class::IN,
        };
        writer.question(&question).unwrap();
        let sections = [
            (Section::Answer, &self.answers),
            (Section::Authority, &self.authorities),
        ];
        for (section, records) in sections {
            for (owner, data) in records {
                let mname = name("ns.example.com");
                let rdata = match data {
                    Data::A(last) | Data::OfChaos(last) => {
                        Rdata::A(Ipv4Addr::new(192, 0, 2, *last))
                    }
                    Data::Alias(target) => Rdata::Cname(target.name()),
                    Data::Ns => Rdata::Ns(mname.name()),
                    Data::Soa => Rdata::Soa(Soa {
                        mname: mname.name(),
                        rname: mname.name(),
                        serial: 1,
                        refresh: 2,
                        retry: 3,
                        expire: 4,
                        minimum: 5,
                    }),
                };
                let class = match data {
                    Data::OfChaos(_) => Class::CH,
                    _ => Class::IN,
                };
                let record = Record {
                    name: owner.name(),
                    class,
                    ttl: 300,
                    rdata,
                };
                writer.record(section, &record).unwrap();
            }
        }
        writer.finish().to_vec()
    }

    fn to(&self, lookup: &mut Lookup<Seeded>) -> Result<Accepted, Refusal> {
        lookup.received(self.query.server, &self.bytes())
    }
}

fn addresses(result: &Result<Answer, Failure>) -> Vec<String> {
    match result {
        Ok(Answer::Found(found)) => found
            .records()
            .map(|record| record.rdata.to_string())
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_query_has_one_question_asks_for_recursion_and_says_what_a_datagram_may_bring() {
    let mut lookup = lookup("www.example.com", Type::AAAA, 1);
    let query = sent(&mut lookup);
    let message = Message::parse(&query.bytes).unwrap();
    assert_eq!(message.header(), Header::query(query.id));
    let question = message.question().unwrap();
    assert_eq!(question.qtype, Type::AAAA);
    assert!(question.name.eq_case(query.name.name()));
    assert_eq!(message.edns().unwrap().udp_payload_size, UDP_PAYLOAD_SIZE);
    assert_eq!(UDP_PAYLOAD_SIZE, 1232);
    assert_eq!(query.transport, Transport::Udp);
}

#[test]
fn the_longest_name_has_room_in_a_query() {
    let label = "a".repeat(63);
    let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
    let query = sent(&mut lookup(&longest, Type::A, 1));
    assert_eq!(query.bytes.len(), MAX_QUERY_LEN);
}

#[test]
fn each_query_has_another_id_and_other_letters() {
    let mut lookup = lookup("www.example.com", Type::A, 1);
    let (first, until) = sent_at(&mut lookup, START);
    let (second, _) = sent_at(&mut lookup, until);
    assert_ne!(first.id, second.id);
    assert!(!first.name.name().eq_case(second.name.name()));
    assert_eq!(first.name, second.name, "the same name all the same");
}

#[test]
fn every_id_and_every_letter_case_is_drawn() {
    let mut upper = [0; 3];
    let mut id_bits = [0; 16];
    for seed in 0..1000 {
        let config = Config::new([server(1)]);
        let mut lookup = Lookup::new(name("abc"), Type::A, config, Seeded(seed));
        let query = sent(&mut lookup);
        for (place, count) in upper.iter_mut().enumerate() {
            *count += usize::from(query.name.as_wire()[1 + place].is_ascii_uppercase());
        }
        for (bit, count) in id_bits.iter_mut().enumerate() {
            *count += usize::from(query.id >> bit & 1);
        }
    }
    // Of 1,000 throws of a coin, five standard deviations to either side.
    for count in upper.into_iter().chain(id_bits) {
        assert!((420..580).contains(&count), "{upper:?} {id_bits:?}");
    }
}

#[test]
fn the_kernels_numbers_differ() {
    use udp_dns::random::{Kernel, Random};
    let numbers: Vec<u64> = (0..100).map(|_| Kernel.next().unwrap()).collect();
    let different: std::collections::HashSet<&u64> = numbers.iter().collect();
    assert_eq!(different.len(), 100);
}

#[test]
fn what_does_not_match_in_every_attribute_is_refused_and_the_query_goes_on_waiting() {
    let mut lookup = lookup("www.example.com", Type::A, 1);
    let query = sent(&mut lookup);
    let right = reply(&query).answer("www.example.com", Data::A(7));
    let bytes = right.bytes();

    let from = SocketAddr::new(server(2).ip(), 53);
    assert_eq!(lookup.received(from, &bytes), Err(Refusal::WrongSource));
    let from = SocketAddr::new(query.server.ip(), 54);
    assert_eq!(lookup.received(from, &bytes), Err(Refusal::WrongSource));
    for bit in 0..16 {
        let mut wrong = reply(&query).answer("www.example.com", Data::A(66));
        wrong.header.id ^= 1 << bit;
        assert_eq!(wrong.to(&mut lookup), Err(Refusal::WrongId));
        if bit == 11 {
            break; // more would be an attack
        }
    }
    let mut wrong = reply(&query).answer("example.com", Data::A(66));
    wrong.asked = name("example.com");
    assert_eq!(wrong.to(&mut lookup), Err(Refusal::WrongQuestion));
    assert!(matches!(lookup.poll(START), Step::Wait(_)));

    assert_eq!(right.to(&mut lookup), Ok(Accepted::Result));
    assert_eq!(addresses(&result(&mut lookup)), ["192.0.2.7"]);
}

#[test]
fn the_type_a_query_and_a_message_without_question_are_no_answers() {
    let mut lookup = lookup("www.example.com", Type::A, 1);
    let query = sent(&mut lookup);
    let other = Query {
        qtype: Type::AAAA,
        ..query.clone()
    };
    let wrong = reply(&other).answer("www.example.com", Data::A(66));
    assert_eq!(wrong.to(&mut lookup), Err(Refusal::WrongQuestion));
    let mut wrong = reply(&query).answer("www.example.com", Data::A(66));
    wrong.header.flags = Flags::NONE;
    assert_eq!(wrong.to(&mut lookup), Err(Refusal::NotAnAnswer));
    let mut buffer = [0; 12];
    let header = Header {
        flags: Flags::QR,
        ..Header::query(query.id)
    };
    let empty = Writer::new(&mut buffer, header, None).unwrap().finish();
    assert_eq!(
        lookup.received(query.server, empty),
        Err(Refusal::WrongQuestion)
    );
    assert!(matches!(
        lookup.received(query.server, &empty[..11]),
        Err(Refusal::Malformed(_))
    ));
}

#[test]
fn the_letters_in_another_case_make_the_resolver_ask_over_tcp_where_case_does_not_count() {
    let mut lookup = lookup("www.example.com", Type::A, 1);
    let query = sent(&mut lookup);
    let mut wrong = reply(&query).answer("www.example.com", Data::A(66));
    wrong.asked = query
        .name
        .map_case(|at| !query.name.as_wire()[at].is_ascii_uppercase());
    assert_eq!(wrong.to(&mut lookup), Err(Refusal::WrongCase));
    let query = sent(&mut lookup);
    assert_eq!(query.transport, Transport::Tcp);
    let mut lower = reply(&query).answer("www.example.com", Data::A(7));
    lower.asked = query.name.map_case(|_| false);
    assert_eq!(lower.to(&mut lookup), Ok(Accepted::Result));
}

#[test]
fn somebody_who_guesses_has_sixteen_guesses_at_a_port() {
    let mut lookup = lookup("www.example.com", Type::A, 1);
    let query = sent(&mut lookup);
    for guess in 0..MAX_REFUSED {
        assert!(matches!(lookup.poll(START), Step::Wait(_)), "{guess}");
        let mut wrong = reply(&query).answer("www.example.com", Data::A(66));
        wrong.header.id = query.id.wrapping_add(1 + guess as u16);
        assert_eq!(wrong.to(&mut lookup), Err(Refusal::WrongId));
    }
    assert_eq!(MAX_REFUSED, 16);
    assert_eq!(sent(&mut lookup).transport, Transport::Tcp);
}

#[test]
fn an_answer_after_the_answer_is_late() {
    let mut lookup = lookup("www.example.com", Type::A, 1);
    let query = sent(&mut lookup);
    let right = reply(&query).answer("www.example.com", Data::A(7));
    assert_eq!(right.to(&mut lookup), Ok(Accepted::Result));
    assert_eq!(right.to(&mut lookup), Err(Refusal::NotWaiting));
}

#[test]
fn an_answer_to_the_query_before_is_refused() {
    let mut lookup = lookup("www.example.com", Type::A, 1);
    let (first, until) = sent_at(&mut lookup, START);
    sent_at(&mut lookup, until);
    let late = reply(&first).answer("www.example.com", Data::A(7));
    assert_eq!(late.to(&mut lookup), Err(Refusal::WrongId));
}

#[test]
fn records_of_other_names_are_nobodys_business() {
    let mut lookup = lookup("www.example.com", Type::A, 1);
    let query = sent(&mut lookup);
    let answer = reply(&query)
        .answer("www.bank.example", Data::A(66))
        .answer("www.example.com", Data::OfChaos(66))
        .answer("www.example.com", Data::A(7))
        .answer("example.com", Data::A(66));
    answer.to(&mut lookup).unwrap();
    assert_eq!(addresses(&result(&mut lookup)), ["192.0.2.7"]);
}

#[test]
fn aliases_are_followed_in_any_order_of_records() {
    let mut lookup = lookup("a.example.com", Type::A, 1);
    let query = sent(&mut lookup);
    let answer = reply(&query)
        .answer("c.example.com", Data::A(7))
        .answer("b.example.com", alias(name("c.example.com")))
        .answer("a.example.com", alias(name("b.example.com")));
    answer.to(&mut lookup).unwrap();
    let result = result(&mut lookup);
    let Ok(Answer::Found(found)) = &result else {
        panic!("{result:?}");
    };
    assert_eq!(
        found.aliases,
        [name("a.example.com"), name("b.example.com")]
    );
    assert_eq!(found.name, name("c.example.com"));
    assert_eq!(addresses(&result), ["192.0.2.7"]);
}

#[test]
fn an_alias_that_leads_out_of_the_answer_is_another_question() {
    let mut lookup = lookup("a.example.com", Type::A, 1);
    let query = sent(&mut lookup);
    let answer = reply(&query).answer("a.example.com", alias(name("b.example.org")));
    assert_eq!(answer.to(&mut lookup), Ok(Accepted::Alias));
    let query = sent(&mut lookup);
    assert_eq!(query.name, name("b.example.org"));
    let answer = reply(&query).answer("b.example.org", Data::A(7));
    assert_eq!(answer.to(&mut lookup), Ok(Accepted::Result));
    assert_eq!(addresses(&result(&mut lookup)), ["192.0.2.7"]);
}

#[test]
fn aliases_have_an_end() {
    let mut round = lookup("a.example.com", Type::A, 1);
    let query = sent(&mut round);
    let answer = reply(&query)
        .answer("a.example.com", alias(name("b.example.com")))
        .answer("b.example.com", alias(name("A.example.com")));
    answer.to(&mut round).unwrap();
    assert!(matches!(
        result(&mut round),
        Err(Failure::AliasesWithoutEnd { .. })
    ));

    let mut long = lookup("n0.example.com", Type::A, 1);
    let query = sent(&mut long);
    let mut answer = reply(&query);
    for number in 0..100 {
        let next = name(&format!("n{}.example.com", number + 1));
        answer = answer.answer(&format!("n{number}.example.com"), alias(next));
    }
    answer.to(&mut long).unwrap();
    let name = Box::new(name(&format!("n{}.example.com", MAX_ALIASES + 1)));
    assert_eq!(result(&mut long), Err(Failure::AliasesWithoutEnd { name }));
}

#[test]
fn no_such_name_and_no_such_records_are_two_things() {
    let mut missing = lookup("a.example.com", Type::A, 1);
    let query = sent(&mut missing);
    let soa = |query| reply(query).authority("example.com", Data::Soa);
    soa(&query).rcode(Rcode::NXDOMAIN).to(&mut missing).unwrap();
    let no_such_name = Answer::NoSuchName {
        name: name("a.example.com"),
    };
    assert_eq!(result(&mut missing), Ok(no_such_name));

    let mut nothing = lookup("a.example.com", Type::A, 1);
    let query = sent(&mut nothing);
    soa(&query).to(&mut nothing).unwrap();
    let no_data = Answer::NoData {
        name: name("a.example.com"),
    };
    assert_eq!(result(&mut nothing), Ok(no_data));
}

#[test]
fn nothing_at_the_end_of_an_alias_is_said_of_where_it_leads() {
    let mut lookup = lookup("a.example.com", Type::A, 1);
    let query = sent(&mut lookup);
    let answer = reply(&query)
        .answer("a.example.com", alias(name("b.example.com")))
        .authority("example.com", Data::Soa);
    answer.to(&mut lookup).unwrap();
    let name = name("b.example.com");
    assert_eq!(result(&mut lookup), Ok(Answer::NoData { name }));
}

#[test]
fn a_referral_is_not_taken_for_no_data() {
    let mut lookup = lookup("a.example.com", Type::A, 2);
    let query = sent(&mut lookup);
    let referral = reply(&query).authority("com", Data::Ns);
    let trouble = Accepted::NextServer(Trouble::Referral);
    assert_eq!(referral.to(&mut lookup), Ok(trouble));
    assert_eq!(sent(&mut lookup).server, server(2));
}

#[test]
fn what_is_truncated_is_asked_again_over_tcp_and_of_the_same_server() {
    let mut lookup = lookup("a.example.com", Type::A, 2);
    let query = sent(&mut lookup);
    let cut = reply(&query)
        .flag(Flags::TC)
        .answer("a.example.com", Data::A(7));
    assert_eq!(cut.to(&mut lookup), Ok(Accepted::Truncated));
    let again = sent(&mut lookup);
    assert_eq!((again.transport, again.server), (Transport::Tcp, server(1)));
    // There is nothing larger than TCP: truncated there, it is the server's mistake.
    let cut = reply(&again).flag(Flags::TC);
    let trouble = Accepted::NextServer(Trouble::Broken);
    assert_eq!(cut.to(&mut lookup), Ok(trouble));
    let next = sent(&mut lookup);
    assert_eq!((next.transport, next.server), (Transport::Udp, server(2)));
}

#[test]
fn a_server_without_edns_is_asked_again_without_and_has_no_second_excuse() {
    let mut lookup = lookup("a.example.com", Type::A, 2);
    let query = sent(&mut lookup);
    assert!(query.edns);
    let mistake = reply(&query).rcode(Rcode::FORMERR);
    assert_eq!(mistake.to(&mut lookup), Ok(Accepted::WithoutEdns));
    let query = sent(&mut lookup);
    assert_eq!((query.edns, query.server), (false, server(1)));
    assert!(Message::parse(&query.bytes).unwrap().edns().is_none());
    let mistake = reply(&query).rcode(Rcode::FORMERR);
    let trouble = Accepted::NextServer(Trouble::Rcode(Rcode::FORMERR));
    assert_eq!(mistake.to(&mut lookup), Ok(trouble));
    assert_eq!(sent(&mut lookup).server, server(2));
}

#[test]
fn a_server_that_fails_or_is_down_makes_room_for_the_next_at_once() {
    let mut lookup = lookup("a.example.com", Type::A, 3);
    let query = sent(&mut lookup);
    let failed = reply(&query).rcode(Rcode::SERVFAIL);
    let trouble = Accepted::NextServer(Trouble::Rcode(Rcode::SERVFAIL));
    assert_eq!(failed.to(&mut lookup), Ok(trouble));
    let query = sent(&mut lookup);
    assert_eq!(query.server, server(2));
    lookup.unreachable();
    assert_eq!(sent(&mut lookup).server, server(3), "no time has passed");
}

#[test]
fn all_servers_are_asked_before_one_is_asked_again_and_then_with_more_patience() {
    let mut lookup = lookup("a.example.com", Type::A, 2);
    let mut now = START;
    let mut asked = Vec::new();
    while let Step::Send { query, until } = lookup.poll(now) {
        asked.push((query.server, (until - now).as_millis()));
        now = until;
    }
    let expected: Vec<_> = [1000, 2000, 4000, 8000]
        .into_iter()
        .flat_map(|wait| [(server(1), wait), (server(2), wait)])
        .collect();
    // 2 × (1 + 2 + 4 + 8) seconds: then half a minute is over.
    assert_eq!(asked, expected);
    let failure = Failure::Exhausted {
        attempts: 8,
        last: Trouble::Timeout,
    };
    assert_eq!(lookup.poll(now), Step::Done(Err(failure)));
    assert_eq!(now - START, Duration::from_secs(30));
}

#[test]
fn there_are_ten_queries_at_most_however_quick_the_servers_are_to_fail() {
    let mut lookup = lookup("a.example.com", Type::A, 3);
    for _ in 0..10 {
        sent(&mut lookup);
        lookup.unreachable();
    }
    let failure = Failure::Exhausted {
        attempts: 10,
        last: Trouble::Unreachable,
    };
    assert_eq!(result(&mut lookup), Err(failure));
}

#[test]
fn without_servers_there_is_no_query() {
    let mut lookup = lookup("a.example.com", Type::A, 0);
    assert_eq!(result(&mut lookup), Err(Failure::NoServers));
}

#[test]
fn without_random_numbers_there_is_no_query() {
    struct Broken;
    impl udp_dns::random::Random for Broken {
        fn next(&mut self) -> std::io::Result<u64> {
            Err(std::io::ErrorKind::Unsupported.into())
        }
    }
    let config = Config::new([server(1)]);
    let mut lookup = Lookup::new(name("example.com"), Type::A, config, Broken);
    let failure = Failure::NoRandomNumbers(std::io::ErrorKind::Unsupported);
    assert_eq!(lookup.poll(START), Step::Done(Err(failure)));
}

#[path = "support/answers.rs"]
mod answers;

#[test]
fn any_answers_in_any_order_end_the_lookup_in_bounds_and_none_is_accepted_that_does_not_match() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/answers");
    let mut seeds = 0;
    for file in std::fs::read_dir(corpus).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        answers::hold(&bytes);
        // And with each of its bytes changed, and cut off after it.
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x41;
            answers::hold(&changed);
            answers::hold(&bytes[..at]);
        }
        seeds += 1;
    }
    assert!(seeds >= 10, "{seeds}");
}
