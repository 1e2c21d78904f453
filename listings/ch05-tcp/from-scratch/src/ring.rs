//! A ring of bytes: what waits to be sent, and what waits to be read.

/// Bytes in a buffer that bites its own tail, so that taking from the front moves nothing.
///
/// The room is asked for at once and used only as bytes come: the operating system gives a page when
/// it is first written to.
#[derive(Default)]
pub(crate) struct Ring {
    room: Box<[u8]>,
    start: usize,
    len: usize,
}

impl Ring {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            room: vec![0; capacity].into_boxed_slice(),
            start: 0,
            len: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn capacity(&self) -> usize {
        self.room.len()
    }

    pub(crate) fn free(&self) -> usize {
        self.room.len() - self.len
    }

    /// Adds bytes at the end, as many as there is room for, and says how many.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.free());
        self.write(0, &bytes[..taken]);
        self.len += taken;
        taken
    }

    /// Writes bytes `ahead` bytes behind the end. They do not count until [`grow`](Self::grow) says
    /// so.
    pub(crate) fn write(&mut self, ahead: usize, bytes: &[u8]) {
        debug_assert!(self.len + ahead + bytes.len() <= self.room.len());
        let at = self.place(self.len + ahead);
        let first = bytes.len().min(self.room.len() - at);
        self.room[at..at + first].copy_from_slice(&bytes[..first]);
        self.room[..bytes.len() - first].copy_from_slice(&bytes[first..]);
    }

    /// Counts bytes that have been written behind the end.
    pub(crate) fn grow(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.free());
        self.len += bytes;
    }

    /// Copies bytes from `offset` on.
    pub(crate) fn read(&self, offset: usize, bytes: &mut [u8]) {
        debug_assert!(offset + bytes.len() <= self.len);
        let at = self.place(offset);
        let first = bytes.len().min(self.room.len() - at);
        let (head, tail) = bytes.split_at_mut(first);
        head.copy_from_slice(&self.room[at..at + first]);
        tail.copy_from_slice(&self.room[..tail.len()]);
    }

    /// Drops bytes from the front.
    pub(crate) fn consume(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.len);
        self.start = self.place(bytes);
        self.len -= bytes;
    }

    fn place(&self, offset: usize) -> usize {
        let at = self.start + offset;
        if at >= self.room.len() && at > 0 {
            at - self.room.len()
        } else {
            at
        }
    }
}

/// Not the bytes.
impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ring({} of {} bytes)", self.len, self.room.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    #[test]
    fn it_is_a_queue_of_bytes_that_can_be_written_ahead() {
        let (mut ring, mut model) = (Ring::new(7), VecDeque::new());
        for turn in 0..100_u8 {
            let bytes = [turn, turn + 1, turn + 2];
            let taken = ring.push(&bytes[..usize::from(turn % 4).min(3)]);
            model.extend(&bytes[..taken]);
            if ring.free() >= 3 {
                ring.write(1, &bytes[1..]);
                ring.write(0, &bytes[..1]);
                ring.grow(3);
                model.extend(bytes);
            }
            let mut all = vec![0; ring.len()];
            ring.read(0, &mut all);
            assert_eq!(all, Vec::from(model.clone()));
            let gone = ring.len().min(usize::from(turn % 5));
            ring.consume(gone);
            model.drain(..gone);
        }
        assert_eq!(Ring::default().push(b"no room"), 0);
    }
}
