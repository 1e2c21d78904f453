//! Programs that no one here wrote, on the other end of a listing.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;

/// The environment variable that names a file to which every skipped test adds a line.
const SKIPS_VARIABLE: &str = "TESTKIT_SKIPS";

/// Finds a program that a test drives a listing with, such as `nc`.
///
/// ```
/// let Some(nc) = testkit::peer("nc") else { return };
/// ```
///
/// Where it is missing, the test is [skipped](skip).
///
/// # Panics
///
/// When it is missing and `CI=true`: there, `ci/peers` has installed it.
#[must_use]
#[track_caller]
pub fn peer(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = find(name, &path, must_not_skip());
    if found.is_none() {
        note_skip(&format!("needs {name} (ci/peers installs it)"));
    }
    found
}

/// Says that the calling test does not run on this machine, and why; the test then returns.
///
/// The reason goes to standard error and, as one line with the test's name, to the file that
/// `TESTKIT_SKIPS` names, so that `ci/test` counts it.
///
/// # Panics
///
/// When `CI=true`: there, nothing is skipped.
#[track_caller]
pub fn skip(reason: &str) {
    assert!(!must_not_skip(), "skipped although CI=true: {reason}");
    note_skip(reason);
}

fn must_not_skip() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}

#[track_caller]
fn find(name: &str, path: &OsStr, required: bool) -> Option<PathBuf> {
    let found = std::env::split_paths(path)
        .map(|directory| directory.join(name))
        .find(|file| is_program(file));
    assert!(
        found.is_some() || !required,
        "{name} is missing, and CI=true: install it with ci/peers"
    );
    found
}

#[cfg(unix)]
fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata()
        .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(file: &Path) -> bool {
    file.is_file()
}

fn note_skip(reason: &str) {
    let test = thread::current().name().unwrap_or("a test").to_owned();
    eprintln!("skipped: {reason}");
    if let Some(file) = std::env::var_os(SKIPS_VARIABLE) {
        append(Path::new(&file), &test, reason);
    }
}

/// One `write` to a file opened for appending: lines of tests that run at once do not mix.
fn append(file: &Path, test: &str, reason: &str) {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .and_then(|mut file| file.write_all(format!("{test}: {reason}\n").as_bytes()))
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_found_on_the_path() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("peer");
        std::fs::write(&file, "").unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(
                find("peer", directory.path().as_os_str(), false),
                None,
                "a file that cannot be run is no program"
            );
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        assert_eq!(find("peer", directory.path().as_os_str(), true), Some(file));
    }

    #[test]
    fn a_missing_peer_skips() {
        assert_eq!(find("no-such-peer", OsStr::new("/nowhere"), false), None);
    }

    #[test]
    #[should_panic(expected = "no-such-peer is missing, and CI=true: install it with ci/peers")]
    fn a_missing_peer_fails_where_none_may_be_missing() {
        find("no-such-peer", OsStr::new("/nowhere"), true);
    }

    #[test]
    fn every_skip_is_one_line_of_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        append(file.path(), "first_test", "needs curl");
        append(file.path(), "second_test", "needs nc");
        assert_eq!(
            std::fs::read_to_string(file.path()).unwrap(),
            "first_test: needs curl\nsecond_test: needs nc\n"
        );
    }
}
