//! That messages are read and written without allocating anything.
//!
//! The counting allocator counts for the whole process, so this file has one test.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};

use ip_header::{Addresses, Protocol, ipv4};
use ip_icmp::{Echo, Quoted, icmpv4, icmpv6};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: it hands everything on to the system's allocator, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as our caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as our caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as our caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations that `run` causes.
fn allocations(run: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    run();
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

#[test]
fn messages_are_read_and_written_without_an_allocation() {
    let addresses = Addresses::V6 {
        source: [1; 16].into(),
        destination: [2; 16].into(),
    };
    let packet = ipv4::Header::new(Protocol::UDP, [192, 0, 2, 1].into(), [192, 0, 2, 2].into());
    let mut bytes = [0; 100];

    let used = allocations(|| {
        packet.emit(&mut bytes[8..]).unwrap();
        let header = icmpv4::Header::TimeExceeded {
            code: icmpv4::TimeExceeded::IN_TRANSIT,
            quoted_words: 0,
        };
        header.emit(&mut bytes).unwrap();
        let message = icmpv4::Message::parse(black_box(&bytes)).unwrap();
        let quoted: Quoted = message.quoted().unwrap().unwrap();
        assert_eq!(quoted.ports(), Some((0, 0)));

        let header = icmpv6::Header::EchoRequest(Echo::default());
        header.emit(addresses, &mut bytes).unwrap();
        let message = icmpv6::Message::parse(addresses, black_box(&bytes)).unwrap();
        assert_eq!(message.header(), header);

        // And neither does what is wrong.
        black_box(icmpv4::Message::parse(black_box(&bytes[..7])).unwrap_err());
        black_box(icmpv4::Message::parse(black_box(&bytes)).unwrap_err());
    });
    assert_eq!(used, 0);

    let noticed = allocations(|| drop(black_box(vec![1_u8])));
    assert_eq!(noticed, 1, "it does count");
}
