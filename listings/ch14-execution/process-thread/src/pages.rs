//! Memory of which we know each page.

use std::io;
use std::num::NonZero;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;

use nix::libc::c_void;
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, munmap};
use nix::unistd::{Pid, SysconfVar, sysconf};

/// A mapping of pages of the smallest size.
pub struct Pages {
    start: NonNull<c_void>,
    bytes: usize,
}

impl Pages {
    /// Maps them. None is there until it is written to.
    pub fn new(bytes: NonZero<usize>) -> io::Result<Self> {
        Self::map(bytes, MapFlags::MAP_PRIVATE)
    }

    /// Maps a number, which a child shares instead of getting a copy.
    pub fn shared_number() -> io::Result<Self> {
        let bytes = NonZero::new(size_of::<AtomicU32>()).expect("some");
        Self::map(bytes, MapFlags::MAP_SHARED)
    }

    fn map(bytes: NonZero<usize>, flags: MapFlags) -> io::Result<Self> {
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping, which nothing else can mean.
        let start = unsafe { mmap_anonymous(None, bytes, protection, flags) }?;
        let bytes = bytes.get();
        // SAFETY: the mapping is ours, and the advice changes nothing that a program can read. Else
        // pages of 2 MiB would be copied as a whole, where the machine is set so.
        unsafe { madvise(start, bytes, MmapAdvise::MADV_NOHUGEPAGE) }?;
        Ok(Self { start, bytes })
    }

    /// The number at the beginning.
    pub fn number(&self) -> &AtomicU32 {
        assert!(self.bytes >= size_of::<AtomicU32>());
        // SAFETY: the mapping is large enough, aligned to a page and full of zeros at first, lives as
        // long as the reference, and another process that has it has it as an atomic, too.
        unsafe { AtomicU32::from_ptr(self.start.cast().as_ptr()) }
    }

    /// Writes to each page of these bytes.
    pub fn write(&mut self, bytes: std::ops::Range<usize>) -> io::Result<()> {
        assert!(bytes.end <= self.bytes);
        let page = page_size()?;
        for offset in bytes.step_by(page) {
            // SAFETY: within the mapping, which we have a unique reference to.
            unsafe { self.start.cast::<u8>().add(offset).write_volatile(1) };
        }
        Ok(())
    }

    /// What the kernel says of this mapping in that process, in KiB.
    pub fn seen_in(&self, process: Pid) -> io::Result<Seen> {
        let smaps = std::fs::read_to_string(format!("/proc/{process}/smaps"))?;
        let start = format!("{:x}-", self.start.addr());
        let mapping = smaps.lines().skip_while(|line| !line.starts_with(&start));
        let mut seen = Seen::default();
        for line in mapping.skip(1) {
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            let kib = value
                .trim()
                .strip_suffix(" kB")
                .and_then(|kib| kib.parse().ok());
            match (name, kib) {
                ("Shared_Dirty", Some(kib)) => seen.shared_kib = kib,
                ("Private_Dirty", Some(kib)) => {
                    seen.private_kib = kib;
                    return Ok(seen);
                }
                _ => (),
            }
        }
        Err(io::Error::other("the mapping is not in /proc/PID/smaps"))
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and there is no reference into it.
        unsafe { munmap(self.start, self.bytes) }.expect("it is mapped");
    }
}

/// Which pages of a mapping a process has for itself.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Seen {
    /// Written to, and mapped by another process as well.
    pub shared_kib: u64,
    /// Written to, and mapped by no one else.
    pub private_kib: u64,
}

/// The size of a page in bytes.
pub fn page_size() -> io::Result<usize> {
    let size = sysconf(SysconfVar::PAGE_SIZE)?;
    let size = size.and_then(|size| usize::try_from(size).ok());
    size.ok_or_else(|| io::Error::other("the system has no size of its pages"))
}
