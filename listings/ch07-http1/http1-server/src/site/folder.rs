//! A folder whose files are served, and nothing outside it.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::conditions::SETTLES_AFTER;
use super::tag::Tag;

/// A folder, held open: it stays the same one if it is renamed.
#[derive(Debug)]
pub struct Folder {
    /// Its place, without symbolic links.
    path: PathBuf,
    #[cfg(target_os = "linux")]
    handle: File,
}

/// What a path leads to.
#[derive(Debug)]
pub enum Found {
    /// A file to be read.
    File(File, Metadata),
    /// A folder.
    Folder,
}

/// Why there is nothing.
#[derive(Debug)]
pub enum Failure {
    /// There is no such thing, or it is outside.
    NotFound,
    /// This process may not read it.
    Forbidden,
    /// The system has no descriptor left; it may have one later.
    Busy,
    /// The system says something else.
    Other(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        #[cfg(unix)]
        {
            use nix::errno::Errno;
            match error.raw_os_error().map(Errno::from_raw) {
                // A way that leads outside (EXDEV), in circles, or to a socket's file.
                Some(
                    Errno::ENOENT
                    | Errno::ENOTDIR
                    | Errno::ELOOP
                    | Errno::EXDEV
                    | Errno::ENXIO
                    | Errno::ENAMETOOLONG,
                ) => return Self::NotFound,
                Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM) => return Self::Busy,
                _ => {}
            }
        }
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename => {
                Self::NotFound
            }
            ErrorKind::PermissionDenied => Self::Forbidden,
            _ => Self::Other(error),
        }
    }
}

impl Folder {
    /// The folder at that path.
    ///
    /// # Errors
    ///
    /// When it is none, or cannot be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let path = path.canonicalize()?;
        if !path.is_dir() {
            return Err(ErrorKind::NotADirectory.into());
        }
        Ok(Self {
            #[cfg(target_os = "linux")]
            handle: File::open(&path)?,
            path,
        })
    }

    // ANCHOR: find
    /// What is at that path, counted from this folder; empty for itself.
    ///
    /// The kernel itself refuses to leave the folder on the way, even for a symbolic link that is put
    /// there in this very moment (Linux from 5.6 on). Links that stay inside are followed.
    ///
    /// # Errors
    ///
    /// When there is no file or folder.
    pub fn find(&self, path: &str) -> Result<Found, Failure> {
        let path = if path.is_empty() { "." } else { path };
        let file = self.open_beneath(path)?;
        let metadata = file.metadata()?;
        match metadata.file_type() {
            kind if kind.is_file() => Ok(Found::File(file, metadata)),
            kind if kind.is_dir() => Ok(Found::Folder),
            // A pipe or a device.
            _ => Err(Failure::NotFound),
        }
    }

    #[cfg(target_os = "linux")]
    fn open_beneath(&self, path: &str) -> Result<File, Failure> {
        use nix::errno::Errno;
        use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

        /// How often it is tried again when somebody has moved a folder meanwhile, as openat2(2)
        /// advises.
        const TRIES: usize = 8;

        // Opening a pipe would wait for somebody who writes, and a terminal would take us over.
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        let how = OpenHow::new().flags(flags).resolve(resolve);
        for _ in 0..TRIES {
            match openat2(&self.handle, path, how) {
                Ok(descriptor) => return Ok(File::from(descriptor)),
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                // An old kernel, or one that is told not to know it.
                Err(Errno::ENOSYS | Errno::EPERM) => return self.open_and_look(path),
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
        Err(Failure::Busy)
    }
    // ANCHOR_END: find

    #[cfg(not(target_os = "linux"))]
    fn open_beneath(&self, path: &str) -> Result<File, Failure> {
        self.open_and_look(path)
    }

    /// The same where the kernel does not help: who can put links into the folder between the two
    /// steps can get out of it.
    fn open_and_look(&self, path: &str) -> Result<File, Failure> {
        let path = self.path.join(path).canonicalize()?;
        if !path.starts_with(&self.path) {
            return Err(Failure::NotFound);
        }
        let kind = path.metadata()?.file_type();
        // Opening a pipe would wait for somebody who writes.
        if !kind.is_file() && !kind.is_dir() {
            return Err(Failure::NotFound);
        }
        Ok(File::open(path)?)
    }
}

/// What tells one version of a file from another, as far as the file system says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    len: u64,
    /// Nanoseconds since 1970.
    modified: i128,
    /// The same of the last change of whatever kind, which no program can set back; 0 where systems do
    /// not tell.
    changed: i128,
    /// The file's number; 0 where systems do not tell.
    inode: u64,
}

impl Version {
    /// The version of a file that is open.
    pub(crate) fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let (changed, inode) = {
            use std::os::unix::fs::MetadataExt as _;
            let changed =
                i128::from(metadata.ctime()) * NANOSECONDS + i128::from(metadata.ctime_nsec());
            (changed, metadata.ino())
        };
        #[cfg(not(unix))]
        let (changed, inode) = (0, 0);
        Self {
            len: metadata.len(),
            modified: metadata.modified().map_or(0, nanoseconds),
            changed,
            inode,
        }
    }

    /// Whether it is still the file's. New names and rights do not matter.
    pub(crate) fn is_of(&self, metadata: &Metadata) -> bool {
        let now = Self::of(metadata);
        (self.len, self.modified) == (now.len, now.modified)
    }

    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The second of its last change, counted from 1970. It is never ahead of now (RFC 9110 §8.8.2.1).
    #[must_use]
    pub fn modified(&self, now: SystemTime) -> i64 {
        let modified = self.modified.min(nanoseconds(now));
        i64::try_from(modified.div_euclid(NANOSECONDS)).unwrap_or(0)
    }

    // ANCHOR: tag
    /// Its entity tag: of the file's number, its length, and the times of its last changes. They are
    /// hashed, as nobody outside is to know them (CVE-2003-1418).
    ///
    /// Two changes within a tick of the file system's clock leave the same times behind. So as long as
    /// another one could still come within the tick of the last, the tag is weak (RFC 9110 §8.8.1).
    #[must_use]
    pub fn tag(&self, now: SystemTime) -> Tag {
        let last = self.modified.max(self.changed);
        let settled = last + i128::from(SETTLES_AFTER) * NANOSECONDS <= nanoseconds(now);
        let parts = [
            i128::from(self.inode),
            i128::from(self.len),
            self.modified,
            self.changed,
        ];
        let bytes = parts.map(i128::to_be_bytes).concat();
        Tag::of_bytes(&bytes, !settled)
    }
    // ANCHOR_END: tag
}

const NANOSECONDS: i128 = 1_000_000_000;

/// Nanoseconds since 1970.
fn nanoseconds(time: SystemTime) -> i128 {
    let positive = |duration: std::time::Duration| i128::try_from(duration.as_nanos()).unwrap_or(0);
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => positive(since),
        Err(before) => -positive(before.duration()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    fn folder() -> (tempfile::TempDir, Folder) {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("served/sub")).unwrap();
        fs::write(directory.path().join("secret.txt"), "secret").unwrap();
        fs::write(directory.path().join("served/a.txt"), "a").unwrap();
        fs::write(directory.path().join("served/sub/b.txt"), "b").unwrap();
        let folder = Folder::open(&directory.path().join("served")).unwrap();
        (directory, folder)
    }

    /// In both ways of looking for a file.
    fn both(folder: &Folder, path: &str) -> [Result<File, Failure>; 2] {
        [folder.open_beneath(path), folder.open_and_look(path)]
    }

    #[test]
    fn files_and_folders_are_found() {
        let (_directory, folder) = folder();
        assert!(matches!(folder.find("a.txt"), Ok(Found::File(..))));
        assert!(matches!(folder.find("sub/b.txt"), Ok(Found::File(..))));
        assert!(matches!(folder.find("sub"), Ok(Found::Folder)));
        assert!(matches!(folder.find(""), Ok(Found::Folder)));
        for nothing in ["c.txt", "a.txt/b", "sub/a.txt", &"x".repeat(5000)] {
            let found = folder.find(nothing);
            assert!(matches!(found, Err(Failure::NotFound)), "{found:?}");
        }
    }

    #[test]
    fn not_even_a_path_with_dots_leads_out() {
        let (_directory, folder) = folder();
        for path in ["../secret.txt", "sub/../../secret.txt"] {
            for opened in both(&folder, path) {
                assert!(matches!(opened, Err(Failure::NotFound)), "{path}");
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn symbolic_links_are_followed_inside_and_not_outside() {
        use std::os::unix::fs::symlink;
        let (directory, folder) = folder();
        let served = directory.path().join("served");
        symlink("sub/b.txt", served.join("inside.txt")).unwrap();
        symlink("../secret.txt", served.join("outside.txt")).unwrap();
        symlink("..", served.join("up")).unwrap();
        symlink(
            directory.path().join("secret.txt"),
            served.join("absolute.txt"),
        )
        .unwrap();
        symlink("round", served.join("round")).unwrap();
        for opened in both(&folder, "inside.txt") {
            opened.unwrap();
        }
        for path in ["outside.txt", "up/secret.txt", "absolute.txt", "round"] {
            for opened in both(&folder, path) {
                assert!(
                    matches!(opened, Err(Failure::NotFound)),
                    "{path}: {opened:?}"
                );
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_no_file_and_nobody_waits_for_it() {
        use nix::sys::stat::Mode;
        let (directory, folder) = folder();
        nix::unistd::mkfifo(&directory.path().join("served/pipe"), Mode::S_IRUSR).unwrap();
        assert!(matches!(folder.find("pipe"), Err(Failure::NotFound)));
        assert!(matches!(
            folder.open_and_look("pipe"),
            Err(Failure::NotFound)
        ));
    }

    #[cfg(unix)]
    #[test]
    fn what_the_system_says_is_told_apart() {
        use nix::errno::Errno;
        let failure = |error: Errno| Failure::from(io::Error::from(error));
        assert!(matches!(failure(Errno::ENOENT), Failure::NotFound));
        assert!(matches!(failure(Errno::EXDEV), Failure::NotFound));
        assert!(matches!(failure(Errno::EACCES), Failure::Forbidden));
        assert!(matches!(failure(Errno::EMFILE), Failure::Busy));
        assert!(matches!(failure(Errno::EIO), Failure::Other(_)));
    }

    #[test]
    fn a_tag_changes_with_its_file_and_is_strong_once_the_clock_has_moved_on() {
        let (directory, _) = folder();
        let path = directory.path().join("served/a.txt");
        let version = || Version::of(&fs::metadata(&path).unwrap());
        let now = SystemTime::now();
        let later = now + Duration::from_secs(5);
        let first = version();
        assert!(first.tag(now).is_weak());
        assert!(!first.tag(later).is_weak());
        assert_eq!(first.tag(later), version().tag(later));

        fs::write(&path, "longer").unwrap();
        assert_ne!(version().tag(later), first.tag(later));
        // The same length, and the time set back: only the file's number tells them apart, or the time
        // that cannot be set.
        let other = path.with_extension("new");
        fs::write(&other, "b").unwrap();
        let file = File::options().write(true).open(&other).unwrap();
        let seconds = u64::try_from(first.modified(later)).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds))
            .unwrap();
        fs::rename(&other, &path).unwrap();
        assert_eq!(version().modified(later), first.modified(later));
        assert_ne!(version().tag(later), first.tag(later));
    }

    #[test]
    fn no_file_is_newer_than_now() {
        let (directory, _) = folder();
        let path = directory.path().join("served/a.txt");
        let file = File::options().write(true).open(&path).unwrap();
        let now = SystemTime::now();
        file.set_modified(now + Duration::from_secs(3600)).unwrap();
        let version = Version::of(&file.metadata().unwrap());
        let second = now.duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert_eq!(u64::try_from(version.modified(now)).unwrap(), second);
        assert!(version.tag(now).is_weak());
    }
}
