//! What holds for any bytes; the proofs and the fuzz target both ask for it.

use udp_dns_message::{
    HEADER_LEN, MAX_LABELS, MAX_MESSAGE_LEN, MAX_NAME_LEN, MAX_POINTERS, Message, Name, NameBuf,
    Rdata, Reason, Record, Section, Writer,
};

/// How much a name can cost: each label, each pointer, and the end.
const STEPS_OF_A_NAME: usize = MAX_LABELS + MAX_POINTERS + 1;

/// The shortest thing that has a name: a question, whose name is a pointer.
const SHORTEST_WITH_A_NAME: usize = 6;

/// How much a message of so many bytes may cost.
pub fn steps_at_most(len: usize) -> usize {
    // One more, for the name where it ends.
    (len.saturating_sub(HEADER_LEN) / SHORTEST_WITH_A_NAME + 1) * STEPS_OF_A_NAME
}

/// Panics unless all that the library promises holds for these bytes.
pub fn holds(bytes: &[u8]) {
    let mut steps = 0;
    let parsed = Message::parse_counting(bytes, &mut steps);
    assert!(steps <= steps_at_most(bytes.len()), "{steps} steps");
    let message = match parsed {
        Ok(message) => message,
        Err(error) => {
            assert!(error.to_string().starts_with(error.field), "{error}");
            match error.reason {
                Reason::Truncated { needed, available } => {
                    assert_eq!(available, bytes.len(), "{error}");
                    assert!(needed > available, "{error}");
                    assert!(error.offset <= available, "{error}");
                }
                _ => assert!(error.offset <= bytes.len(), "{error}"),
            }
            return;
        }
    };
    names(&message);
    counts(&message);
    written_anew(&message);
}

/// Every name can be shown and read again, and is as long as names may be.
fn names(message: &Message) {
    each_name(message, |name| {
        assert!(name.wire_len() <= MAX_NAME_LEN);
        let again: NameBuf = name.to_string().parse().expect("its own text");
        assert!(again.name().eq_case(name), "{name} is not {again}");
        let same = NameBuf::from_wire(again.as_wire()).expect("its own bytes");
        assert_eq!((same, same.as_wire().len()), (again, name.wire_len()));
        assert_eq!(same.name().cmp(&name), std::cmp::Ordering::Equal);
        if let Some(parent) = name.parent() {
            assert!(name.is_at_or_below(parent) && !parent.is_at_or_below(name));
            assert!(parent < name);
        }
    });
}

/// The iterators give as many as the counts say; OPT is counted, but not given.
fn counts(message: &Message) {
    let bytes = message.as_bytes();
    let count = |at: usize| usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
    assert_eq!(message.questions().count(), count(4));
    assert_eq!(message.answers().count(), count(6));
    assert_eq!(message.authorities().count(), count(8));
    let opt = usize::from(message.edns().is_some());
    assert_eq!(message.additionals().count() + opt, count(10));
}

/// What the parts say can be written, and says the same when it is read.
fn written_anew(message: &Message) {
    let mut room = vec![0; MAX_MESSAGE_LEN];
    let anew = match write(message, &mut room) {
        Ok(anew) => anew,
        Err(_) => {
            let len = uncompressed_len(message);
            return assert!(len > MAX_MESSAGE_LEN, "{len} bytes would have fitted");
        }
    };
    let again = Message::parse(anew).expect("what was written");
    assert_eq!(again.header(), message.header());
    assert_eq!(again.edns(), message.edns());
    assert!(again.questions().eq(message.questions()));
    for section in Section::ALL {
        assert!(again.records(section).eq(message.records(section)));
    }
    // Written once more it is the same to the byte: nothing was lost, not even case.
    let len = anew.len();
    let mut more = vec![0; MAX_MESSAGE_LEN];
    assert_eq!(write(&again, &mut more), Ok(anew));
    // It fits into as much room as it takes, and into no less.
    assert!(write(&again, &mut more[..len]).is_ok());
    assert!(write(&again, &mut more[..len - 1]).is_err());
}

/// The message with all its parts, written to the front of `room`.
pub fn write<'r>(
    message: &Message<'r>,
    room: &'r mut [u8],
) -> Result<&'r [u8], udp_dns_message::Error> {
    let mut writer = Writer::new(room, message.header(), message.edns())?;
    for question in message.questions() {
        writer.question(&question)?;
    }
    for section in Section::ALL {
        for record in message.records(section) {
            writer.record(section, &record)?;
        }
    }
    Ok(writer.finish())
}

fn each_name(message: &Message, mut see: impl FnMut(Name)) {
    message.questions().for_each(|question| see(question.name));
    for section in Section::ALL {
        for Record { name, rdata, .. } in message.records(section) {
            see(name);
            match rdata {
                Rdata::Cname(name) | Rdata::Ns(name) | Rdata::Ptr(name) => see(name),
                Rdata::Soa(soa) => [soa.mname, soa.rname].into_iter().for_each(&mut see),
                Rdata::Mx { exchange, .. } => see(exchange),
                Rdata::Srv { target, .. } => see(target),
                Rdata::A(_) | Rdata::Aaaa(_) | Rdata::Txt(_) | Rdata::Opaque { .. } => {}
            }
        }
    }
}

/// How long the message is when no name is compressed.
fn uncompressed_len(message: &Message) -> usize {
    let mut len = HEADER_LEN + message.edns().map_or(0, |edns| edns.wire_len());
    each_name(message, |name| len += name.wire_len());
    len += message.questions().count() * 4;
    for section in Section::ALL {
        for record in message.records(section) {
            len += 10;
            len += match record.rdata {
                Rdata::A(_) => 4,
                Rdata::Aaaa(_) => 16,
                Rdata::Cname(_) | Rdata::Ns(_) | Rdata::Ptr(_) => 0,
                Rdata::Soa(_) => 20,
                Rdata::Mx { .. } => 2,
                Rdata::Srv { .. } => 6,
                Rdata::Txt(txt) => txt.as_bytes().len(),
                Rdata::Opaque { bytes, .. } => bytes.len(),
            };
        }
    }
    len
}
