//! Good, bad and malicious messages (`tests/corpus`): what ours makes of each, and what httparse and
//! h11, which no one here wrote, make of it.

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use http1::Asked;
use serde::{Deserialize, Serialize};
use support::{Heard, Last, Message};
use testkit::Program;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    bytes: String,
    #[serde(default)]
    asked: Option<String>,
    #[serde(default)]
    ended: bool,
    verdict: String,
    #[serde(default)]
    httparse: Option<String>,
    #[serde(default)]
    h11: Option<String>,
}

impl Case {
    fn bytes(&self) -> Vec<u8> {
        let (mut bytes, mut rest) = (Vec::new(), self.bytes.as_str());
        while let Some(next) = rest.chars().next() {
            if let Some((times, byte, behind)) = repetition(rest) {
                bytes.extend(std::iter::repeat_n(byte, times));
                rest = behind;
            } else {
                bytes.push(u8::try_from(next).expect("characters below 0x100"));
                rest = &rest[next.len_utf8()..];
            }
        }
        bytes
    }

    fn asked(&self) -> Asked {
        match self.asked.as_deref() {
            None => Asked::Other,
            Some("HEAD") => Asked::Head,
            Some("CONNECT") => Asked::Connect,
            Some(other) => panic!("no kind of request: {other}"),
        }
    }

    fn is_refused(&self) -> bool {
        self.verdict.contains("! ")
    }

    /// The first head is accepted, refused, or not complete.
    fn head(&self) -> &'static str {
        match self.verdict.as_str() {
            "" | "…" => "more",
            verdict if verdict.starts_with('!') => "refused",
            _ => "accepted",
        }
    }
}

/// `{8000*x}`: how many times which byte, and what stands behind it.
fn repetition(text: &str) -> Option<(usize, u8, &str)> {
    let (times, rest) = text.strip_prefix('{')?.split_once('*')?;
    let (byte, rest) = rest.split_at_checked(1)?;
    Some((
        times.parse().ok()?,
        byte.as_bytes()[0],
        rest.strip_prefix('}')?,
    ))
}

/// By peer and name, why it judges otherwise.
type Why = BTreeMap<String, BTreeMap<String, String>>;

fn cases(name: &str) -> Vec<Case> {
    corpus(name).0
}

fn corpus(name: &str) -> (Vec<Case>, Why) {
    #[derive(Deserialize)]
    struct File {
        why: Why,
        case: Vec<Case>,
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(name);
    let text = std::fs::read_to_string(&path).expect("the corpus");
    let File { why, case } =
        toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    (case, why)
}

fn ours_of_request(case: &Case) -> Heard {
    support::requests(&case.bytes(), []).heard
}

fn ours_of_response(case: &Case) -> Heard {
    support::responses(&case.bytes(), [], &[case.asked()], case.ended)
}

/// Says all at once what differs, so that one run tells everything.
fn none(wrong: &[String]) {
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn compare(cases: &[Case], ours: fn(&Case) -> Heard) {
    let differ = cases.iter().filter_map(|case| {
        let found = ours(case).verdict();
        let (name, verdict) = (&case.name, &case.verdict);
        (found != *verdict).then(|| format!("{name}:\n  expected {verdict}\n  found    {found}"))
    });
    none(&differ.collect::<Vec<_>>());
}

#[test]
fn every_request_of_the_corpus_gets_its_verdict() {
    let cases = cases("requests.toml");
    compare(&cases, ours_of_request);
    let refused = cases.iter().filter(|case| case.is_refused()).count();
    assert!(
        cases.len() > 200 && refused > 100,
        "{refused} of {}",
        cases.len()
    );
}

#[test]
fn every_response_of_the_corpus_gets_its_verdict() {
    compare(&cases("responses.toml"), ours_of_response);
}

#[test]
fn the_verdict_is_the_same_when_bytes_come_one_by_one_or_in_two_pieces() {
    /// Longer ones are cut near their ends only.
    const SHORT: usize = 300;
    let cuts = |len: usize| (0..len).filter(move |cut| len < SHORT || *cut < 20 || len - cut < 20);
    for case in cases("requests.toml") {
        let bytes = case.bytes();
        support::requests_hold(&bytes, 0..bytes.len());
        for cut in cuts(bytes.len()) {
            support::requests_hold(&bytes, [cut]);
        }
    }
    for case in cases("responses.toml") {
        let (bytes, asked) = (case.bytes(), [case.asked()]);
        support::responses_hold(&bytes, 0..bytes.len(), &asked);
        for cut in cuts(bytes.len()) {
            support::responses_hold(&bytes, [cut], &asked);
        }
    }
}

#[test]
fn every_kind_of_error_has_a_case() {
    let mut found: Vec<http1::What> = cases("requests.toml")
        .iter()
        .filter_map(|case| ours_of_request(case).error())
        .chain(
            cases("responses.toml")
                .iter()
                .filter_map(|case| ours_of_response(case).error()),
        )
        .map(|error| error.what)
        .collect();
    found.push(http1::Error::timeout(0).what); // the caller's
    for what in http1::What::ALL {
        assert!(found.contains(what), "{what:?}");
    }
}

/// Where a peer judges otherwise, the corpus says why; where it does not, it says nothing.
fn differences(
    peer: &str,
    (cases, why): &(Vec<Case>, Why),
    differ: impl Fn(usize, &Case) -> Option<String>,
) {
    let whys = &why[peer];
    let of = |case: &Case| match peer {
        "h11" => case.h11.clone(),
        _ => case.httparse.clone(),
    };
    let wrong = cases.iter().enumerate().filter_map(|(number, case)| {
        let name = &case.name;
        match (differ(number, case), of(case)) {
            (Some(how), None) => Some(format!("{name}: ours {}, {peer} {how}", case.verdict)),
            (None, Some(_)) => Some(format!("{name}: no difference to {peer}")),
            (_, Some(why)) if !whys.contains_key(&why) => Some(format!("{name}: why {why}?")),
            _ => None,
        }
    });
    none(&wrong.collect::<Vec<_>>());
    let used = |why: &String| cases.iter().any(|case| of(case).as_ref() == Some(why));
    assert!(whys.keys().all(used), "a reason that no case has");
}

#[test]
fn httparse_differs_only_where_the_corpus_says_why() {
    let verdict = |parsed: httparse::Result<usize>| match parsed {
        Ok(httparse::Status::Complete(_)) => "accepted",
        Ok(httparse::Status::Partial) => "more",
        Err(_) => "refused",
    };
    let differ = |case: &Case, theirs: &'static str, ours_fields: usize, fields: usize| {
        let same = theirs == case.head() && (theirs != "accepted" || ours_fields == fields);
        (!same).then(|| theirs.to_owned())
    };
    let first = |heard: &Heard| heard.messages.first().map_or(0, |first| first.fields.len());
    differences("httparse", &corpus("requests.toml"), |_, case| {
        let (bytes, mut slots) = (case.bytes(), [httparse::EMPTY_HEADER; http1::MAX_FIELDS]);
        let mut request = httparse::Request::new(&mut slots);
        let theirs = verdict(request.parse(&bytes));
        differ(
            case,
            theirs,
            first(&ours_of_request(case)),
            request.headers.len(),
        )
    });
    differences("httparse", &corpus("responses.toml"), |_, case| {
        let (bytes, mut slots) = (case.bytes(), [httparse::EMPTY_HEADER; http1::MAX_FIELDS]);
        let mut response = httparse::Response::new(&mut slots);
        let theirs = verdict(response.parse(&bytes));
        differ(
            case,
            theirs,
            first(&ours_of_response(case)),
            response.headers.len(),
        )
    });
}

/// What `h11_verdicts.py` is asked, and what it answers.
#[derive(Serialize)]
struct Question {
    role: &'static str,
    bytes: String,
    asked: &'static str,
    ended: bool,
}

#[derive(Debug, Deserialize)]
struct Theirs {
    messages: Vec<TheirMessage>,
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct TheirMessage {
    first: String,
    fields: usize,
    content: String,
    trailers: usize,
    complete: bool,
}

impl TheirMessage {
    fn is(&self, ours: &Message) -> bool {
        let content: String = ours
            .content
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        self.first == ours.first
            && self.fields == ours.fields.len()
            && self.content == content
            && self.trailers == ours.trailers.len()
            && self.complete == ours.complete
    }
}

/// The interpreter that `ci/peers` has installed h11 for.
fn python() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let python = root.join("target/peers/venv/bin/python");
    if !python.is_file() {
        testkit::skip("needs h11 (ci/peers installs it)");
        return None;
    }
    Some(python)
}

fn ask(python: &Path, role: &'static str, cases: &[Case]) -> Vec<Theirs> {
    let questions = cases.iter().map(|case| Question {
        role,
        bytes: case
            .bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
        asked: match case.asked() {
            Asked::Head => "HEAD",
            Asked::Connect => "CONNECT",
            Asked::Other => "GET",
        },
        ended: case.ended,
    });
    let questions: Vec<String> = questions
        .map(|question| serde_json::to_string(&question).expect("JSON"))
        .collect();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/h11_verdicts.py");
    let run = Program::new(python)
        .arg(script)
        .input(questions.join("\n"))
        .run()
        .succeeds();
    let answers = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("an answer"));
    answers.collect()
}

fn differ_from_h11(ours: &Heard, theirs: &Theirs) -> Option<String> {
    let refused = ours.error().is_some();
    let messages = ours.messages.iter().filter(|_| ours.last != Last::Tunnel);
    let same = match &theirs.error {
        Some(_) => refused,
        None => {
            !refused
                && (theirs.messages.len() == ours.messages.len())
                && messages
                    .zip(&theirs.messages)
                    .all(|(ours, theirs)| theirs.is(ours))
        }
    };
    (!same).then(|| format!("{theirs:?}"))
}

#[test]
fn h11_differs_only_where_the_corpus_says_why() {
    let Some(python) = python() else { return };
    for (file, role, ours) in [
        (
            "requests.toml",
            "server",
            ours_of_request as fn(&Case) -> Heard,
        ),
        ("responses.toml", "client", ours_of_response),
    ] {
        let corpus = corpus(file);
        let theirs = ask(&python, role, &corpus.0);
        assert_eq!(theirs.len(), corpus.0.len());
        differences("h11", &corpus, |number, case| {
            differ_from_h11(&ours(case), &theirs[number])
        });
    }
}
