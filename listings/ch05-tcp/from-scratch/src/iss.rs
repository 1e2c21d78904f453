//! Initial sequence numbers that nobody else can foretell (RFC 9293 §3.4.1, RFC 6528).

use std::net::IpAddr;

use tcp_segment::SeqNumber;

use crate::{FourTuple, Time};

/// A secret that only this host knows. Whoever makes a [`Stack`](crate::Stack) draws it at random;
/// with the same one a run repeats itself.
#[derive(Clone, Copy)]
pub struct Secret(pub [u8; 16]);

// ANCHOR: iss
impl Secret {
    /// ISN = M + F(localip, localport, remoteip, remoteport, secretkey), where M is a clock that
    /// ticks every 4 microseconds (RFC 9293 §3.4.1).
    ///
    /// Seen from one pair of sockets the numbers climb with time, so those of a new connection lie
    /// beyond those of the last. Seen from another pair they tell nothing.
    #[must_use]
    pub fn initial_sequence_number(&self, tuple: &FourTuple, now: Time) -> SeqNumber {
        let m = (now.micros() / 4) as u32;
        SeqNumber((self.hash(tuple) as u32).wrapping_add(m))
    }

    /// Where the timestamp clock of a connection starts, so that it does not tell how long the host
    /// has been up (RFC 7323 §5.4).
    #[must_use]
    pub fn timestamp_offset(&self, tuple: &FourTuple) -> u32 {
        (self.hash(tuple) >> 32) as u32
    }
    // ANCHOR_END: iss

    fn hash(&self, tuple: &FourTuple) -> u64 {
        let mut bytes = [0; 36];
        for (place, socket) in bytes.chunks_exact_mut(18).zip([tuple.local, tuple.remote]) {
            match socket.ip() {
                IpAddr::V4(ip) => place[..4].copy_from_slice(&ip.octets()),
                IpAddr::V6(ip) => place[..16].copy_from_slice(&ip.octets()),
            }
            place[16..].copy_from_slice(&socket.port().to_be_bytes());
        }
        siphash(&self.0, &bytes)
    }
}

/// Shows nothing of it.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash made for short inputs. Linux takes it
/// for the same purpose; RFC 6528 §3 names MD5 as one of those possible.
fn siphash(key: &[u8; 16], bytes: &[u8]) -> u64 {
    let word = |bytes: &[u8]| {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(word)
    };
    let (k0, k1) = (word(&key[..8]), word(&key[8..]));
    let mut v = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    let mut words = bytes.chunks_exact(8);
    for m in words.by_ref().map(word) {
        compress(&mut v, m);
    }
    // The last word: what is left over, and the length.
    compress(&mut v, word(words.remainder()) | (bytes.len() as u64) << 56);
    v[2] ^= 0xff;
    for _ in 0..4 {
        round(&mut v);
    }
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

fn compress(v: &mut [u64; 4], m: u64) {
    v[3] ^= m;
    round(v);
    round(v);
    v[0] ^= m;
}

fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[2] = v[2].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[1]);
    v[0] = v[0].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siphash_is_that_of_the_paper() {
        // Appendix A of «SipHash: a fast short-input PRF».
        let key: [u8; 16] = std::array::from_fn(|at| at as u8);
        let bytes: [u8; 15] = std::array::from_fn(|at| at as u8);
        assert_eq!(siphash(&key, &bytes), 0xa129_ca61_49be_45e5);
    }

    #[test]
    fn numbers_climb_with_time_and_differ_by_tuple_and_secret() {
        let tuple = |port| FourTuple {
            local: ([10, 0, 0, 1], port).into(),
            remote: ([10, 0, 0, 2], 80).into(),
        };
        let secret = Secret([7; 16]);
        let at = |micros| secret.initial_sequence_number(&tuple(1), Time::from_micros(micros));
        assert_eq!(at(4_000_000) - at(0), 1_000_000);
        assert_ne!(secret.initial_sequence_number(&tuple(2), Time::ZERO), at(0));
        assert_ne!(
            Secret([8; 16]).initial_sequence_number(&tuple(1), Time::ZERO),
            at(0)
        );
    }
}
