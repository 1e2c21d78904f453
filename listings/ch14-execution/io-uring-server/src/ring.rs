//! One io_uring instance: its queues, its descriptors, and the memory that it receives into.
//!
//! The kernel reads from and writes to memory of ours while an operation lasts. That is what is
//! unsafe here, and what the functions that hand in operations ask of their callers.

#![allow(
    unsafe_code,
    reason = "memory that the kernel uses while we do something else"
)]

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use exec_service::pattern;
use io_uring::types::{
    BufRingEntry, CancelBuilder, DestinationSlot, Fd, Fixed, SubmitArgs, Timespec,
};
use io_uring::{IoUring, Probe, cqueue, opcode, squeue};
use libc::iovec;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use nix::sys::resource::{Resource, getrlimit};

/// How many operations are handed in at once at most.
const SUBMISSIONS: u32 = 1024;

/// How many completions can wait to be reaped before the kernel has to keep them elsewhere.
const COMPLETIONS: u32 = 8192;

/// How many connections a worker has at most: each takes 8 bytes of the kernel's table.
const DESCRIPTORS: usize = 16 * 1024;

/// How many files the process has open beside connections: its streams, listening sockets, rings.
const OTHER_DESCRIPTORS: u64 = 16;

/// How many receive buffers a worker has. A power of two, as the kernel asks.
const BUFFERS: u16 = 512;

/// A receive buffer's length, in bytes. A longer message takes several.
const BUFFER_LEN: usize = 4096;

/// The only group of receive buffers.
const GROUP: u16 = 0;

/// The index of the only registered buffer: the pattern that large bodies are made of.
const PATTERN: u16 = 0;

/// From `linux/io_uring.h`: have the notification of a `SEND_ZC` say whether it copied after all.
const SEND_ZC_REPORT_USAGE: u16 = 1 << 3;

/// What the notification says then.
const NOTIF_USAGE_ZC_COPIED: u32 = 1 << 31;

/// Something that the kernel has done.
#[derive(Debug, Clone, Copy)]
pub struct Completion {
    /// What it was handed in with.
    pub data: u64,
    /// What the system call of that name would have returned; a negated error number.
    pub result: i32,
    flags: u32,
}

impl Completion {
    /// Whether more completions of the same operation will come.
    pub fn more(&self) -> bool {
        cqueue::more(self.flags)
    }

    /// Whether it only says that the memory of a `SEND_ZC` is free again; and if so, whether the
    /// bytes were copied after all.
    pub fn notification(&self) -> Option<bool> {
        let copied = self.result.cast_unsigned() & NOTIF_USAGE_ZC_COPIED != 0;
        cqueue::notif(self.flags).then_some(copied)
    }
}

// ANCHOR: ring
/// The instance.
pub struct Ring {
    uring: IoUring,
    buffers: Buffers,
    /// How many connections fit into the table of descriptors.
    descriptors: usize,
    /// Whether the kernel sends from the pattern without copying it.
    zero_copy: bool,
}

impl Ring {
    /// Sets it up, with a table of descriptors that only it knows, and with receive buffers.
    ///
    /// # Errors
    ///
    /// When the kernel has no io_uring, or too old a one; the message says what helps.
    pub fn new(workers: usize) -> io::Result<Self> {
        let uring = IoUring::builder()
            .setup_single_issuer() // one thread hands in, so the kernel need not lock
            .setup_defer_taskrun() // and what is left to do is done when that thread waits,
            .setup_submit_all() // never in between; an operation that fails stops no others
            .setup_cqsize(COMPLETIONS)
            .build(SUBMISSIONS)
            .map_err(unsupported)?;
        // What is in the table does not count among the files that the process may have open, but
        // whoever set that limit meant these, too.
        let limit = getrlimit(Resource::RLIMIT_NOFILE)?
            .0
            .saturating_sub(OTHER_DESCRIPTORS) as usize;
        let descriptors = (limit / workers).clamp(1, DESCRIPTORS);
        let mut ring = Self {
            uring,
            buffers: Buffers::new()?,
            descriptors,
            zero_copy: false,
        };
        ring.uring
            .submitter()
            .register_files_sparse(descriptors as u32)
            .map_err(unsupported)?;
        ring.uring
            .submitter()
            .register_ring_fd()
            .map_err(unsupported)?;
        ring.register_buffers()?;
        Ok(ring)
    }
    // ANCHOR_END: ring

    // ANCHOR: register
    fn register_buffers(&mut self) -> io::Result<()> {
        let submitter = self.uring.submitter();
        let ring = self.buffers.ring.as_ptr() as u64;
        // SAFETY: the memory lives as long as `self`, which ends all operations before it unmaps it.
        unsafe { submitter.register_buf_ring_with_flags(ring, BUFFERS, GROUP, 0) }
            .map_err(unsupported)?;

        let mut probe = Probe::new();
        submitter.register_probe(&mut probe)?;
        let pattern = pattern::memory();
        let buffer = iovec {
            iov_base: pattern.as_ptr().cast_mut().cast(),
            iov_len: pattern.len(),
        };
        // SAFETY: the pattern is there as long as the process, and the kernel only reads from it.
        let registered = || unsafe { submitter.register_buffers(&[buffer]) };
        // Its pages are locked into memory. Where so much may not be locked, bodies are copied.
        self.zero_copy = probe.is_supported(opcode::SendZc::CODE) && registered().is_ok();
        Ok(())
    }
    // ANCHOR_END: register

    /// How many connections there can be.
    pub fn descriptors(&self) -> usize {
        self.descriptors
    }

    /// Whether [`Ring::send_body`] can do without a copy.
    pub fn has_zero_copy(&self) -> bool {
        self.zero_copy
    }

    // ANCHOR: wait
    /// Hands in what there is, waits for a completion or for the time to pass, and gives all
    /// completions that have come. One system call.
    pub fn wait(&mut self, most: Option<Duration>, into: &mut Vec<Completion>) -> io::Result<()> {
        let time = most.map(Timespec::from);
        let args = time
            .iter()
            .fold(SubmitArgs::new(), |args, time| args.timespec(time));
        match self.uring.submitter().submit_with_args(1, &args) {
            Ok(_) => {}
            // Time has passed, a signal came, or completions must be reaped first.
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::ETIME | libc::EINTR | libc::EBUSY)
                ) => {}
            Err(error) => return Err(error),
        }
        into.extend(self.uring.completion().map(|entry| Completion {
            data: entry.user_data(),
            result: entry.result(),
            flags: entry.flags(),
        }));
        Ok(())
    }
    // ANCHOR_END: wait

    // ANCHOR: operations
    /// Accepts for ever: a completion for each connection, with its index in the table of
    /// descriptors. The process's own table has no entry for it.
    pub fn accept_all(&mut self, listener: BorrowedFd, data: u64) {
        let accept = opcode::AcceptMulti::new(Fd(listener.as_raw_fd())).allocate_file_index(true);
        // SAFETY: it uses no memory of ours.
        unsafe { self.hand_in(accept.build(), data) };
    }

    /// The same for one connection.
    pub fn accept(&mut self, listener: BorrowedFd, data: u64) {
        let fd = Fd(listener.as_raw_fd());
        let accept = opcode::Accept::new(fd, std::ptr::null_mut(), std::ptr::null_mut())
            .file_index(Some(DestinationSlot::auto_target()));
        // SAFETY: it is to write the client's address nowhere.
        unsafe { self.hand_in(accept.build(), data) };
    }

    /// Receives for ever: a completion for each message, with the buffer that it is in.
    pub fn receive(&mut self, socket: Fixed, data: u64) {
        let receive = opcode::RecvMulti::new(socket, GROUP);
        // SAFETY: it uses none but the receive buffers, which live as long as the instance.
        unsafe { self.hand_in(receive.build(), data) };
    }

    /// Sends bytes; `more` follows at once.
    ///
    /// # Safety
    ///
    /// The bytes must stay where they are until the completion.
    pub unsafe fn send(&mut self, socket: Fixed, bytes: &[u8], more: bool, data: u64) {
        let flags = if more {
            libc::MSG_MORE | libc::MSG_WAITALL
        } else {
            0
        };
        let send = opcode::Send::new(socket, bytes.as_ptr(), bytes.len() as u32)
            .flags(flags | libc::MSG_NOSIGNAL)
            .build();
        // What follows waits for this one to be sent, all of it, and is dropped if it is not.
        let send = if more {
            send.flags(squeue::Flags::IO_LINK)
        } else {
            send
        };
        // SAFETY: the caller's promise.
        unsafe { self.hand_in(send, data) };
    }

    /// Sends a part of the pattern, without copying it if that is wished for: then a second
    /// completion says when the network no longer needs the memory.
    pub fn send_body(&mut self, socket: Fixed, part: &'static [u8], zero_copy: bool, data: u64) {
        let (at, len) = (part.as_ptr(), part.len() as u32);
        let entry = if zero_copy {
            let send = opcode::SendZc::new(socket, at, len).buf_index(Some(PATTERN));
            send.flags(libc::MSG_NOSIGNAL)
                .zc_flags(SEND_ZC_REPORT_USAGE)
                .build()
        } else {
            opcode::Send::new(socket, at, len)
                .flags(libc::MSG_NOSIGNAL)
                .build()
        };
        // SAFETY: the memory is there as long as the process.
        unsafe { self.hand_in(entry, data) };
    }
    // ANCHOR_END: operations

    /// Says to the client that no more will be sent.
    pub fn shutdown(&mut self, socket: Fixed, data: u64) {
        let shutdown = opcode::Shutdown::new(socket, libc::SHUT_WR);
        // SAFETY: it uses no memory of ours.
        unsafe { self.hand_in(shutdown.build(), data) };
    }

    /// Ends whatever goes on with this socket, and then closes it.
    pub fn close(&mut self, socket: Fixed, cancelled: u64, closed: u64) {
        let all = CancelBuilder::fd(socket).all();
        let cancel = opcode::AsyncCancel2::new(all)
            .build()
            .flags(squeue::Flags::IO_HARDLINK);
        // SAFETY: neither uses memory of ours.
        unsafe {
            self.hand_in(cancel, cancelled);
            self.hand_in(opcode::Close::new(socket).build(), closed);
        }
    }

    /// Ends the operation that was handed in with `what`.
    pub fn cancel(&mut self, what: u64, data: u64) {
        let cancel = opcode::AsyncCancel2::new(CancelBuilder::user_data(what));
        // SAFETY: it uses no memory of ours.
        unsafe { self.hand_in(cancel.build(), data) };
    }

    /// Completes when there is something to read.
    pub fn poll(&mut self, fd: BorrowedFd, data: u64) {
        let poll = opcode::PollAdd::new(Fd(fd.as_raw_fd()), libc::POLLIN as u32);
        // SAFETY: it uses no memory of ours.
        unsafe { self.hand_in(poll.build(), data) };
    }

    /// Puts an operation into the submission queue. The kernel sees it with the next [`Ring::wait`].
    ///
    /// # Safety
    ///
    /// The memory that it names must stay valid until its last completion.
    unsafe fn hand_in(&mut self, entry: squeue::Entry, data: u64) {
        let entry = entry.user_data(data);
        // SAFETY: the caller's promise.
        while unsafe { self.uring.submission().push(&entry) }.is_err() {
            // Full: the kernel takes what is there. If it does not, it will with the next attempt.
            let _ = self.uring.submit();
        }
    }

    // ANCHOR: received
    /// What was received, if the completion is a receive's that has brought something.
    pub fn received(&self, completion: &Completion) -> Option<&[u8]> {
        let buffer = cqueue::buffer_select(completion.flags)?;
        let len = usize::try_from(completion.result).ok()?;
        Some(self.buffers.get(buffer, len))
    }

    /// The kernel may receive into that buffer again.
    pub fn give_back(&mut self, completion: &Completion) {
        if let Some(buffer) = cqueue::buffer_select(completion.flags) {
            self.buffers.provide(buffer);
        }
    }
    // ANCHOR_END: received
}

impl Drop for Ring {
    fn drop(&mut self) {
        // Nothing is to be received into memory, or sent from it, that is somebody else's by then.
        let all = self
            .uring
            .submitter()
            .register_sync_cancel(None, CancelBuilder::any().all());
        debug_assert!(
            all.is_ok()
                || all
                    .as_ref()
                    .is_err_and(|error| error.raw_os_error() == Some(libc::ENOENT)),
            "{all:?}"
        );
    }
}

/// The memory that the kernel receives into, and a ring in which it finds what is free. It takes a
/// buffer when a message has come, so that a connection that is silent needs none.
struct Buffers {
    ring: NonNull<BufRingEntry>,
    memory: NonNull<u8>,
    tail: u16,
}

// SAFETY: both mappings belong to this value alone, and it may be used by whichever thread has it.
unsafe impl Send for Buffers {}

impl Buffers {
    const RING_LEN: usize = BUFFERS as usize * size_of::<BufRingEntry>();
    const MEMORY_LEN: usize = BUFFERS as usize * BUFFER_LEN;

    fn new() -> io::Result<Self> {
        let map = |len| {
            let len = NonZeroUsize::new(len).ok_or(io::ErrorKind::InvalidInput)?;
            let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
            // SAFETY: the kernel chooses a place where nothing is.
            Ok::<_, io::Error>(unsafe {
                mmap_anonymous(None, len, protection, MapFlags::MAP_PRIVATE)?
            })
        };
        let ring = map(Self::RING_LEN)?.cast();
        let memory = map(Self::MEMORY_LEN)?.cast();
        let mut buffers = Self {
            ring,
            memory,
            tail: 0,
        };
        (0..BUFFERS).for_each(|buffer| buffers.provide(buffer));
        Ok(buffers)
    }

    fn get(&self, buffer: u16, len: usize) -> &[u8] {
        assert!(
            buffer < BUFFERS && len <= BUFFER_LEN,
            "no buffer is like that"
        );
        // SAFETY: it lies within the mapping, which is all initialised, by the kernel or with zeros.
        // The kernel does not write to it until it is provided again, for which `&mut self` is needed.
        unsafe {
            std::slice::from_raw_parts(
                self.memory.as_ptr().add(usize::from(buffer) * BUFFER_LEN),
                len,
            )
        }
    }

    // ANCHOR: provide
    fn provide(&mut self, buffer: u16) {
        let place = usize::from(self.tail & (BUFFERS - 1));
        // SAFETY: `place` and `buffer` are below BUFFERS, so that both lie within their mappings. The
        // kernel does not read an entry before the tail says that it is there.
        unsafe {
            let entry = &mut *self.ring.as_ptr().add(place);
            entry.set_addr(self.memory.as_ptr().add(usize::from(buffer) * BUFFER_LEN) as u64);
            entry.set_len(BUFFER_LEN as u32);
            entry.set_bid(buffer);
            self.tail = self.tail.wrapping_add(1);
            let tail = BufRingEntry::tail(self.ring.as_ptr()).cast::<AtomicU16>();
            // After all else: the kernel reads it with the opposite order.
            (*tail).store(self.tail, Ordering::Release);
        }
    }
    // ANCHOR_END: provide
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: they were mapped with these lengths, the instance is closed by now, and no
        // reference outlives `self`.
        let unmapped = unsafe {
            munmap(self.ring.cast(), Self::RING_LEN)
                .and(munmap(self.memory.cast(), Self::MEMORY_LEN))
        };
        debug_assert!(unmapped.is_ok(), "{unmapped:?}");
    }
}

// ANCHOR: unsupported
/// What the kernel means, and what helps.
fn unsupported(error: io::Error) -> io::Error {
    let what = match error.raw_os_error() {
        Some(libc::ENOSYS) => "this kernel has no io_uring",
        Some(libc::EPERM) => {
            "io_uring is switched off here (sysctl kernel.io_uring_disabled, or a container's filter)"
        }
        Some(libc::EINVAL) => "this kernel's io_uring is too old",
        Some(libc::ENOMEM) => "io_uring may not lock enough memory here (ulimit -l)",
        _ => return error,
    };
    let remedy = "this server needs Linux 6.1 or newer; `cargo run -p exec-epoll-server` serves the same without";
    io::Error::new(error.kind(), format!("{what}: {remedy}"))
}
// ANCHOR_END: unsupported

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd as _;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// A ring, a connection in its table, and the other end of it.
    fn connection() -> (Ring, Fixed, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut ring = Ring::new(1).unwrap();
        ring.accept(listener.as_fd(), 1);
        let [accepted] = next(&mut ring);
        assert!(accepted.data == 1 && accepted.result >= 0, "{accepted:?}");
        (ring, Fixed(accepted.result.cast_unsigned()), client)
    }

    fn next<const N: usize>(ring: &mut Ring) -> [Completion; N] {
        let mut completions = Vec::new();
        while completions.len() < N {
            let before = completions.len();
            ring.wait(Some(PATIENCE), &mut completions).unwrap();
            assert!(
                completions.len() > before,
                "nothing came after {completions:?}"
            );
        }
        completions.try_into().expect("no more than that")
    }

    #[test]
    fn one_receive_brings_message_after_message() {
        let (mut ring, socket, mut client) = connection();
        ring.receive(socket, 2);
        for message in ["first", "second", "third"] {
            client.write_all(message.as_bytes()).unwrap();
            let [completion] = next(&mut ring);
            assert!(completion.data == 2 && completion.more(), "{completion:?}");
            assert_eq!(ring.received(&completion), Some(message.as_bytes()));
            ring.give_back(&completion);
        }
        drop(client);
        let [completion] = next(&mut ring);
        assert!(
            completion.result == 0 && !completion.more(),
            "{completion:?}"
        );
    }

    #[test]
    fn when_no_buffer_is_free_the_receive_ends_and_nothing_is_lost() {
        let (mut ring, socket, mut client) = connection();
        let sent: Vec<u8> = (0..=u8::MAX)
            .cycle()
            .take(2 * Buffers::MEMORY_LEN)
            .collect();
        let written = sent.clone();
        let writer = std::thread::spawn(move || client.write_all(&written).map(|()| client));
        ring.receive(socket, 2);
        let (mut got, mut held, mut ends) = (Vec::new(), Vec::new(), 0);
        while got.len() < sent.len() {
            let mut completions = Vec::new();
            ring.wait(Some(PATIENCE), &mut completions).unwrap();
            assert!(
                !completions.is_empty(),
                "nothing came after {} bytes",
                got.len()
            );
            for completion in completions {
                got.extend_from_slice(ring.received(&completion).unwrap_or_default());
                held.push(completion);
                if !completion.more() {
                    assert!(
                        [-libc::ENOBUFS, 0].contains(&completion.result) || completion.result > 0,
                        "{completion:?}"
                    );
                    ends += 1;
                    // All at once, and as late as can be.
                    held.drain(..)
                        .for_each(|completion| ring.give_back(&completion));
                    ring.receive(socket, 2);
                }
            }
        }
        assert!(ends > 0 && got == sent, "{ends} ends");
        writer.join().unwrap().unwrap();
    }

    #[test]
    fn over_loopback_the_kernel_copies_after_all_and_says_so() {
        let (mut ring, socket, mut client) = connection();
        assert!(
            ring.has_zero_copy(),
            "this kernel has it, and this process may lock a megabyte"
        );
        let part = &pattern::memory()[..4096];
        ring.send_body(socket, part, true, 3);
        let [sent, told] = next(&mut ring);
        assert_eq!(
            (sent.result, sent.more(), sent.notification()),
            (4096, true, None),
            "{sent:?}"
        );
        let mut got = vec![0; part.len()];
        client.read_exact(&mut got).unwrap();
        assert_eq!(got, part);
        assert_eq!(
            (told.notification(), told.more()),
            (Some(true), false),
            "{told:?}"
        );
    }

    #[test]
    fn a_body_follows_its_head_or_is_not_sent() {
        let (mut ring, socket, mut client) = connection();
        let head = b"head";
        // SAFETY: it is there as long as the process.
        unsafe { ring.send(socket, head, true, 3) };
        ring.send_body(socket, &pattern::memory()[..16], false, 4);
        let mut got = [0; 20];
        let [sent, body] = next(&mut ring);
        assert_eq!(
            [(sent.data, sent.result), (body.data, body.result)],
            [(3, 4), (4, 16)]
        );
        client.read_exact(&mut got).unwrap();
        assert_eq!(got, *b"head000000000000000\n");

        // One that fails takes the other with it.
        ring.shutdown(socket, 5);
        let [shut] = next(&mut ring);
        assert_eq!(shut.result, 0);
        // SAFETY: as above.
        unsafe { ring.send(socket, head, true, 3) };
        ring.send_body(socket, &pattern::memory()[..16], false, 4);
        let [failed, dropped] = next(&mut ring);
        assert_eq!(
            (failed.result, dropped.result),
            (-libc::EPIPE, -libc::ECANCELED)
        );
    }

    #[test]
    fn what_a_kernel_lacks_is_named_with_the_remedy() {
        for code in [libc::ENOSYS, libc::EPERM, libc::EINVAL, libc::ENOMEM] {
            let text = unsupported(io::Error::from_raw_os_error(code)).to_string();
            assert!(
                text.contains("Linux 6.1") && text.contains("exec-epoll-server"),
                "{text}"
            );
        }
        let other = unsupported(io::Error::from_raw_os_error(libc::EMFILE));
        assert_eq!(other.raw_os_error(), Some(libc::EMFILE));
    }
}
