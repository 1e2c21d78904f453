//! That a server reads and answers requests without allocating anything.
//!
//! The counting allocator counts for the whole process, so this file has one test.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use http1::server::{Answer, Connection, Event};
use http1::{Date, Field, Length, Scratch, Status};

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
fn a_request_is_read_and_answered_without_an_allocation() {
    const TEXT: Field = Field::literal("Content-Type", "text/plain");
    let requests: &[u8] = b"GET /a?b HTTP/1.1\r\nHost: a.example:80\r\nUser-Agent: x\r\n\r\n\
        HEAD http://b.example/ HTTP/1.1\r\nHost: a\r\nA-Name-That-Is-Longer-Than-Most: x\r\n\r\n\
        POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
        POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nA: b\r\n\r\n\
        GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let mut scratch = Scratch::default();
    let mut out = Vec::with_capacity(64 * 1024);
    let date = Date::now();
    let mut answers = 0;

    let mut serve = |pieces: usize| {
        let mut connection = Connection::new();
        let (mut start, mut end, mut number) = (0, 0, 0);
        out.clear();
        loop {
            let (used, event) = connection.next(&requests[start..end], &mut scratch);
            start += used;
            match event {
                Event::More if end == requests.len() => return answers += number,
                Event::More => end = (end + pieces).min(requests.len()),
                Event::Request(request) => {
                    assert!(request.fields().get("x-none").is_none());
                    assert!(!request.target().path().is_empty());
                }
                Event::Data(data) => assert!(!data.is_empty()),
                Event::End(_) if number % 2 == 0 => {
                    connection
                        .reply(Status::OK, &[TEXT], b"hello", &date, &mut out)
                        .unwrap();
                    number += 1;
                }
                Event::End(_) => {
                    let length = Length::Unknown;
                    let answer = Answer {
                        status: Status::OK,
                        fields: &[TEXT],
                        length,
                    };
                    connection.answer(&answer, &date, &mut out).unwrap();
                    connection.data(b"hello", &mut out).unwrap();
                    connection.end(&[], &mut out).unwrap();
                    number += 1;
                }
                other => panic!("{other:?}"),
            }
        }
    };
    let whole = allocations(|| serve(requests.len()));
    let single = allocations(|| serve(1));
    assert_eq!((whole, single, answers), (0, 0, 10));

    let noticed = allocations(|| drop(std::hint::black_box(vec![1_u8])));
    assert_eq!(noticed, 1, "it does count");
}
