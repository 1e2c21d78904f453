//! A service over UDP that answers a short question with a long list. Bytes in, bytes out.

use std::net::{IpAddr, SocketAddr};

use sha2::{Digest, Sha256};

/// What a question begins with.
pub const LIST: [u8; 4] = *b"list";

/// What an answer begins with that has no list, but a cookie.
pub const COOKIE: [u8; 4] = *b"cook";

/// How long the list is, in bytes.
pub const LIST_BYTES: usize = 1000;

/// A cookie, in bytes: 128 bits are more than anybody guesses.
pub const COOKIE_BYTES: usize = 16;

/// A question that has room for a cookie, and an answer that is one.
pub const EXCHANGE_BYTES: usize = LIST.len() + COOKIE_BYTES;

/// For how many seconds a cookie is made the same; it is accepted for that long, and once more.
const EPOCH_SECONDS: u64 = 60;

/// Whom the service answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Everybody, at once.
    AnswerAll,
    /// Whoever shows that what is sent to its address reaches it.
    CookieFirst,
}

// ANCHOR: service
/// The service. It keeps nothing about anybody, cookies or not.
pub struct Service {
    pub policy: Policy,
    /// Known to nobody else.
    pub secret: [u8; 32],
}

impl Service {
    /// The answer to a question from an address, at a time in seconds; none to what is no question.
    pub fn answer(&self, question: &[u8], from: SocketAddr, now: u64) -> Option<Vec<u8>> {
        let rest = question.strip_prefix(&LIST)?;
        if self.policy == Policy::AnswerAll {
            return Some(list());
        }
        // Shorter ones get no answer at all: it would be longer than the question.
        let shown: [u8; COOKIE_BYTES] = rest.try_into().ok()?;
        let epoch = now / EPOCH_SECONDS;
        let accepted = [epoch, epoch.wrapping_sub(1)].map(|epoch| self.cookie(from, epoch));
        if accepted.iter().any(|cookie| same(cookie, &shown)) {
            return Some(list());
        }
        Some([&COOKIE[..], &accepted[0]].concat())
    }

    /// What only someone who gets the answers of this address can know.
    fn cookie(&self, from: SocketAddr, epoch: u64) -> [u8; COOKIE_BYTES] {
        let ip = match from.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let mut hash = Sha256::new();
        hash.update(self.secret);
        hash.update(ip.octets());
        hash.update(from.port().to_be_bytes());
        hash.update(epoch.to_be_bytes());
        let mut cookie = [0; COOKIE_BYTES];
        cookie.copy_from_slice(&hash.finalize()[..COOKIE_BYTES]);
        cookie
    }
}
// ANCHOR_END: service

/// Compares in a time that does not depend on where the first difference is.
fn same(a: &[u8; COOKIE_BYTES], b: &[u8; COOKIE_BYTES]) -> bool {
    a.iter().zip(b).fold(0, |or, (a, b)| or | (a ^ b)) == 0
}

/// The long answer.
fn list() -> Vec<u8> {
    (0..LIST_BYTES).map(|at| b'a' + (at % 26) as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service() -> Service {
        Service {
            policy: Policy::CookieFirst,
            secret: [7; 32],
        }
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn question(cookie: &[u8]) -> Vec<u8> {
        [&LIST[..], cookie].concat()
    }

    #[test]
    fn a_cookie_brings_the_list_for_one_to_two_minutes() {
        let (service, from) = (service(), at("192.0.2.1:7000"));
        let first = service.answer(&question(&[0; 16]), from, 59).unwrap();
        assert_eq!(first.len(), EXCHANGE_BYTES);
        let again = question(&first[4..]);
        for now in [0, 59, 60, 119] {
            assert_eq!(service.answer(&again, from, now).unwrap(), list(), "{now}");
        }
        assert_eq!(
            service.answer(&again, from, 120).unwrap().len(),
            EXCHANGE_BYTES
        );
    }

    #[test]
    fn a_cookie_is_good_for_one_address_one_port_and_one_secret() {
        let service = service();
        let cookie = |from| service.answer(&question(&[0; 16]), at(from), 0).unwrap();
        let mine = cookie("192.0.2.1:7000");
        for other in ["192.0.2.2:7000", "192.0.2.1:7001", "[2001:db8::1]:7000"] {
            assert_ne!(cookie(other), mine, "{other}");
            let answer = service.answer(&question(&mine[4..]), at(other), 0).unwrap();
            assert_eq!(answer.len(), EXCHANGE_BYTES, "{other}");
        }
        let stranger = Service {
            secret: [8; 32],
            ..service
        };
        assert_ne!(
            stranger
                .answer(&question(&[0; 16]), at("192.0.2.1:7000"), 0)
                .unwrap(),
            mine
        );
    }

    #[test]
    fn no_answer_without_the_right_cookie_is_longer_than_its_question() {
        let (service, from) = (service(), at("192.0.2.1:7000"));
        for length in 0..100 {
            let mut question = vec![0; length];
            question
                .iter_mut()
                .zip(LIST)
                .for_each(|(to, from)| *to = from);
            let answer = service.answer(&question, from, 0);
            assert!(
                answer.is_none_or(|answer| answer.len() <= length),
                "{length}"
            );
        }
    }

    #[test]
    fn what_is_no_question_gets_no_answer() {
        for policy in [Policy::AnswerAll, Policy::CookieFirst] {
            let service = Service {
                policy,
                ..service()
            };
            for bytes in [&b""[..], b"lis", b"LIST and sixteen more bytes", b"tsil"] {
                assert_eq!(service.answer(bytes, at("192.0.2.1:1"), 0), None);
            }
        }
    }
}
