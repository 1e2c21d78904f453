//! Kinds of damage, done to the same bytes, and who notices.

use layers_checksum::Sum;
use layers_ethernet::crc::crc32;

/// Bytes as a program sends them.
pub const MESSAGE: &[u8] =
    b"GET /accounts/17 HTTP/1.1\r\nHost: bank.example\r\nCookie: session=0000000042\r\n\r\n";

/// How many messages of each random kind are tried.
pub const RANDOM_TRIES: usize = 1 << 20;

/// How long the random ones are, in bytes.
const RANDOM_LEN: usize = 8;

const SEED: u64 = 0x1071_1624;

/// One kind of damage: how often it was done, and how often the check stayed the same, so that a
/// receiver would have taken the damaged bytes.
pub struct Outcome {
    pub kind: &'static str,
    pub tried: usize,
    pub sum_missed: usize,
    pub crc_missed: usize,
}

// ANCHOR: compare
/// Compares each damaged copy with what was sent. Copies that came out unchanged do not count.
fn compare(kind: &'static str, sent: &[u8], damaged: impl IntoIterator<Item = Vec<u8>>) -> Outcome {
    let (sum, crc) = (Sum::new().bytes(sent).checksum(), crc32(sent));
    let mut outcome = Outcome {
        kind,
        tried: 0,
        sum_missed: 0,
        crc_missed: 0,
    };
    for bytes in damaged {
        if bytes != sent {
            outcome.tried += 1;
            outcome.sum_missed += usize::from(Sum::new().bytes(&bytes).checksum() == sum);
            outcome.crc_missed += usize::from(crc32(&bytes) == crc);
        }
    }
    outcome
}
// ANCHOR_END: compare

/// All kinds.
pub fn all() -> Vec<Outcome> {
    let bits = MESSAGE.len() * 8;
    let words = MESSAGE.len() / 2;
    let flip = |bytes: &mut Vec<u8>, bit: usize| bytes[bit / 8] ^= 0x80 >> (bit % 8);
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = MESSAGE.to_vec();
        change(&mut bytes);
        bytes
    };
    let pairs = |of: usize| (0..of).flat_map(move |a| (0..a).map(move |b| (b, a)));

    // ANCHOR: kinds
    let one_bit = (0..bits).map(|bit| changed(&|bytes| flip(bytes, bit)));
    let two_bits = pairs(bits).map(|(a, b)| {
        changed(&|bytes| {
            flip(bytes, a);
            flip(bytes, b);
        })
    });
    let burst = (0..=bits - 16)
        .map(|first| changed(&|bytes| (first..first + 16).for_each(|bit| flip(bytes, bit))));
    let words_swapped = pairs(words).map(|(a, b)| {
        changed(&|bytes| {
            bytes.swap(a * 2, b * 2);
            bytes.swap(a * 2 + 1, b * 2 + 1);
        })
    });
    let zeros_put_in =
        (0..=words).map(|word| changed(&|bytes| drop(bytes.splice(word * 2..word * 2, [0, 0]))));
    // ANCHOR_END: kinds

    // ANCHOR: zeros
    // What a disk, a card or a driver that fails leaves behind: a block of all zeros, all ones.
    let zeros = vec![0; MESSAGE.len()];
    let ones_for_zeros = (0..words).map(|word| {
        let mut bytes = zeros.clone();
        bytes[word * 2..][..2].fill(0xff);
        bytes
    });
    // ANCHOR_END: zeros

    let mut random = Random(SEED);
    let short = &MESSAGE[..RANDOM_LEN];
    let anything = (0..RANDOM_TRIES).map(|_| random.next().to_ne_bytes().to_vec());
    vec![
        compare("one bit flips", MESSAGE, one_bit),
        compare("two bits flip", MESSAGE, two_bits),
        compare("16 bits in a row flip", MESSAGE, burst),
        compare("two words change places", MESSAGE, words_swapped),
        compare("a word of zeros is put in", MESSAGE, zeros_put_in),
        compare(
            "0x0000 becomes 0xffff",
            &with_a_one(&zeros),
            ones_for_zeros.map(|b| with_a_one(&b)),
        ),
        compare("all becomes random", short, anything),
    ]
}

/// Puts 0x0001 behind the bytes. A sum of nothing but zeros is 0x0000; as soon as something else is
/// in it, 0x0000 and 0xffff add the same to it.
fn with_a_one(bytes: &[u8]) -> Vec<u8> {
    [bytes, &[0, 1]].concat()
}

/// SplitMix64: the same numbers in every run, and no dependency.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}
