//! What `/bytes/N` answers with: the first N bytes of a pattern that lies in memory once, and, for
//! `sendfile` and `splice`, in a file that lies in memory as well.

use std::sync::LazyLock;

/// How many bytes of the pattern there are before it begins anew.
pub const PATTERN_LEN: usize = 1 << 20;

/// One line: each says at which byte it begins, so that a byte in the wrong place is seen.
const LINE_LEN: usize = 16;

static MEMORY: LazyLock<Box<[u8]>> = LazyLock::new(|| {
    let mut pattern = Vec::with_capacity(PATTERN_LEN);
    for at in (0..PATTERN_LEN).step_by(LINE_LEN) {
        // Fifteen digits and a line's end.
        pattern.extend(format!("{at:015}\n").bytes());
    }
    pattern.into_boxed_slice()
});

/// The whole pattern.
pub fn memory() -> &'static [u8] {
    &MEMORY
}

/// A part of the endless pattern that is to be sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Body {
    /// Where it begins, counted from the answer's first byte.
    pub offset: u64,
    /// How many bytes are left.
    pub len: u64,
}

impl Body {
    /// The bytes from here up to the pattern's end or the body's.
    #[must_use]
    pub fn memory(self) -> &'static [u8] {
        let at = self.place();
        &memory()[at..at + self.contiguous(at)]
    }

    /// The same as a place in [`file()`], and a length.
    #[must_use]
    pub fn file(self) -> (usize, usize) {
        let at = self.place();
        (at, self.contiguous(at))
    }

    /// What is left after the first `sent` bytes.
    ///
    /// # Panics
    ///
    /// When that is more than there is.
    #[must_use]
    pub fn after(self, sent: u64) -> Self {
        assert!(sent <= self.len, "more was sent than there is");
        Self {
            offset: self.offset + sent,
            len: self.len - sent,
        }
    }

    fn place(self) -> usize {
        (self.offset % PATTERN_LEN as u64) as usize
    }

    fn contiguous(self, at: usize) -> usize {
        usize::try_from(self.len).map_or(PATTERN_LEN - at, |len| len.min(PATTERN_LEN - at))
    }
}

/// The pattern as a file without a name, in memory and sealed: nobody can change it.
///
/// # Errors
///
/// When the system cannot make it.
#[cfg(target_os = "linux")]
pub fn file() -> std::io::Result<std::os::fd::BorrowedFd<'static>> {
    use std::fs::File;
    use std::io::{self, Write as _};
    use std::os::fd::AsFd as _;
    use std::sync::OnceLock;

    use nix::fcntl::{FcntlArg, SealFlag, fcntl};
    use nix::sys::memfd::{MFdFlags, memfd_create};

    static FILE: OnceLock<File> = OnceLock::new();

    fn make() -> io::Result<File> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let mut file = File::from(memfd_create("pattern", flags)?);
        file.write_all(memory())?;
        let seals = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals | SealFlag::F_SEAL_SEAL))?;
        Ok(file)
    }

    if FILE.get().is_none() {
        // Another thread may have been faster; then this file is closed again.
        let _ = FILE.set(make()?);
    }
    Ok(FILE.get().expect("it was just set").as_fd())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_says_where_it_begins() {
        let text = std::str::from_utf8(memory()).unwrap();
        assert_eq!(text.len(), PATTERN_LEN);
        for (line, at) in text.lines().zip((0..).step_by(LINE_LEN)) {
            assert_eq!(line.parse::<usize>().unwrap(), at);
        }
    }

    #[test]
    fn a_body_goes_on_at_the_beginning_where_the_pattern_ends() {
        let mut body = Body {
            offset: PATTERN_LEN as u64 - 10,
            len: PATTERN_LEN as u64 + 30,
        };
        let mut pieces = Vec::new();
        while body.len > 0 {
            let piece = body.memory();
            let (at, len) = body.file();
            assert_eq!(piece, &memory()[at..at + len]);
            pieces.push((at, len));
            body = body.after(len as u64);
        }
        assert_eq!(pieces, [(PATTERN_LEN - 10, 10), (0, PATTERN_LEN), (0, 20)]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_file_holds_the_pattern_and_cannot_be_changed() {
        use std::fs::File;
        use std::io::{Read as _, Seek as _, Write as _};

        let mut file = File::from(file().unwrap().try_clone_to_owned().unwrap());
        let mut content = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut content).unwrap();
        assert_eq!(content, memory());
        assert!(file.rewind().and_then(|()| file.write_all(b"x")).is_err());
        assert!(file.set_len(0).is_err());
    }
}
