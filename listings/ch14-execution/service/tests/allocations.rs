//! What the service takes from the allocator: nothing, once it has its buffers.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Instant;

use exec_service::client::get;
use exec_service::{Limits, Output, Service, Session, Stats, Step};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, which counts what each thread asks of it.
struct Counting;

// SAFETY: all is left to the system's allocator, as it was asked.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_request_allocates_nothing_nor_does_a_connection() {
    let now = Instant::now();
    let mut service = Service::new(Limits::default(), Stats::new("test", 1).unwrap(), 0, now);
    let mut output = Output::default();
    let post = "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n12345";
    let requests = [
        &get("/"),
        &get("/bytes/1000"),
        &get("/bytes/1000000"),
        &get("/elsewhere"),
        post,
    ]
    .map(String::from);
    let pipeline = requests.concat();

    let mut serve = |bytes: &str| {
        let mut session = Session::new(&service, now);
        for _ in 0..10 {
            let mut step = session.receive(&mut service, bytes.as_bytes(), now, &mut output);
            while step == Step::Write {
                let len = output.slices().iter().map(|slice| slice.len()).sum();
                output.advance(len);
                step = session.flushed(&mut service, now, &mut output);
            }
            assert_eq!(step, Step::Read);
        }
        assert!(session.is_idle());
    };
    requests.iter().for_each(|request| serve(request)); // the buffers are fetched
    let before = ALLOCATIONS.get();
    requests.iter().for_each(|request| serve(request));
    assert_eq!(ALLOCATIONS.get() - before, 0);

    // A pipeline that stops at a large body has its rest kept meanwhile, and let go again.
    serve(&pipeline);
    assert!(ALLOCATIONS.get() > before);
}
