//! Messages that nobody sends in good faith.

/// A header that promises so many questions, and nothing behind it.
pub fn header(questions: usize) -> Vec<u8> {
    let [high, low] = (questions as u16).to_be_bytes();
    vec![0x12, 0x34, 0, 0, high, low, 0, 0, 0, 0, 0, 0]
}

/// QTYPE A, QCLASS IN.
const A_IN: [u8; 4] = [0, 1, 0, 1];

/// A message of one question, whose name has these bytes.
pub fn question(name: &[u8]) -> Vec<u8> {
    [&header(1)[..], name, &A_IN].concat()
}

/// The last place that a pointer can lead to.
const LAST_REACHABLE: usize = (1 << 14) - 1;

// ANCHOR: chain
/// A message of about `len` bytes: each name is a pointer to the name before it, as far as pointers
/// reach, and the rest lead to the last of these. Each is legal by itself.
pub fn chain(len: usize) -> Vec<u8> {
    let questions = (len - 12) / 6;
    let mut message = header(questions);
    message.extend([0]); // the first name is the root
    message.extend(A_IN);
    let mut target = 12;
    for _ in 1..questions {
        let here = message.len();
        message.extend((0xc000 | target as u16).to_be_bytes());
        message.extend(A_IN);
        if here <= LAST_REACHABLE {
            target = here;
        }
    }
    message
}

/// A message of about `len` bytes, the most expensive that is accepted: a name of 127 labels, each
/// at the end of another pointer; and all names behind it are pointers to it.
pub fn costly(len: usize) -> Vec<u8> {
    const LABELS: usize = 127;
    let questions = LABELS + (len - 12 - 8 * LABELS) / 6;
    let mut message = header(questions);
    message.extend(*b"\x01a\0");
    message.extend(A_IN);
    let mut target = 12;
    for _ in 1..LABELS {
        let here = message.len();
        message.extend(*b"\x01a");
        message.extend((0xc000 | target as u16).to_be_bytes());
        message.extend(A_IN);
        target = here;
    }
    for _ in LABELS..questions {
        message.extend((0xc000 | target as u16).to_be_bytes());
        message.extend(A_IN);
    }
    message
}
// ANCHOR_END: chain

/// Broken messages, and what is wrong with each.
pub fn broken() -> Vec<(&'static str, Vec<u8>)> {
    let longest = [b"\x3f".as_slice(), &[b'a'; 63]].concat();
    let mut too_long = longest.repeat(3);
    too_long.extend([62]);
    too_long.extend([b'a'; 62]);
    too_long.extend([0]);
    let mut cut = question(b"\x07example\x03com\0");
    cut.truncate(18);
    let mut more = question(b"\x03www\0");
    more.extend(*b"more");
    let mut record = header(0);
    record[7] = 1;
    record.extend([0, 0, 1, 0, 1, 0, 0, 1, 44, 0, 5, 192, 0, 2, 1, 0]);
    let mut options = header(0);
    options[11] = 1;
    options.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 6, 0, 10, 0, 8, 1, 2]);
    let opt = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];
    let mut two = header(0);
    two[11] = 2;
    two.extend(opt);
    two.extend(opt);
    vec![
        ("a pointer to itself", question(b"\xc0\x0c")),
        ("a pointer to what follows", question(b"\xc0\x0e\x03www\0")),
        ("a loop by way of a label", question(b"\x03www\xc0\x0c")),
        ("a pointer into the header", question(b"\x03www\xc0\x04")),
        ("pointer behind pointer", chain(12 + 6 * 200)),
        ("a label of 64 bytes", question(&[0x40; 66])),
        ("a name of 256 bytes", question(&too_long)),
        ("cut off in a label", cut),
        ("questions that are not there", header(3)),
        ("five bytes for an address", record),
        ("an option longer than its record", options),
        ("OPT twice", two),
        ("something behind the end", more),
    ]
}
