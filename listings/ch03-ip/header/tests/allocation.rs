//! That packets are read and written without allocating anything.
//!
//! The counting allocator counts for the whole process, so this file has one test.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};

use ip_header::{Packet, Protocol, ipv4, ipv6};

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
fn packets_are_read_and_written_without_an_allocation() {
    let options = [1; 40]; // No Operation
    let v4 = ipv4::Header {
        options: ipv4::Options::new(&options).unwrap(),
        ..ipv4::Header::new(Protocol::UDP, [192, 0, 2, 1].into(), [192, 0, 2, 2].into())
    };
    let v6 = ipv6::Header::new(Protocol::FRAGMENT, [1; 16].into(), [2; 16].into());
    // A Fragment header, a Destination Options header, and what is left is UDP's.
    let chain = [60, 0, 0, 1, 0, 0, 0, 7, 17, 0, 1, 4, 0, 0, 0, 0];
    let mut bytes = [0; 200];

    let used = allocations(|| {
        v4.emit(&mut bytes).unwrap();
        let packet = Packet::parse(black_box(&bytes)).unwrap();
        let upper = packet.upper_layer().unwrap();
        let sum = packet
            .addresses()
            .pseudo_header(upper.protocol, upper.bytes.len() as u32);
        black_box(sum.bytes(upper.bytes).checksum());
        assert_eq!(upper.offset, ipv4::MAX_HEADER_LEN);

        v6.emit(&mut bytes).unwrap()[..16].copy_from_slice(&chain);
        let packet = Packet::parse(black_box(&bytes)).unwrap();
        let upper = packet.upper_layer().unwrap();
        assert_eq!((upper.protocol, upper.offset), (Protocol::UDP, 56));

        // And neither does what is wrong.
        black_box(Packet::parse(black_box(&bytes[..30])).unwrap_err());
    });
    assert_eq!(used, 0);

    let noticed = allocations(|| drop(black_box(vec![1_u8])));
    assert_eq!(noticed, 1, "it does count");
}
