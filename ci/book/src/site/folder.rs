//! The folders that a build writes: whole or not at all, and never over anyone else's files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::project::is_hidden;

/// A file in every folder that a build made, so that no build replaces a folder of another kind.
const MARKER: &str = ".cargo-book";

/// What to do when a folder cannot be written.
const OUT_REMEDY: &str = "choose a folder that you may write, with `--out DIR`";

/// A folder that goes when it is no longer needed.
pub struct Folder(pub PathBuf);

impl Folder {
    /// An empty folder. What stands there is a process's that was killed, and had the same id: a
    /// container gives out the same few again and again.
    pub fn empty(path: PathBuf) -> io::Result<Self> {
        let folder = Self::named(path);
        fs::create_dir_all(&folder.0)?;
        Ok(folder)
    }

    /// The same, not made yet.
    pub fn named(path: PathBuf) -> Self {
        // Most often there is nothing to remove.
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nothing is left to say if this fails: the folder was renamed, or is not ours to remove.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn parent_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// A name beside `path` that no other process uses.
fn sibling(path: &Path, what: &str) -> PathBuf {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_else(|| "site".into());
    parent_of(path).join(format!(".{name}.{what}-{}", std::process::id()))
}

/// A folder beside `out` for a build to write, which [`put_in_place`] then puts in its place.
///
/// # Errors
///
/// When `out` holds files of another kind, or its folder cannot be written.
pub fn fresh(out: &Path) -> Result<Folder> {
    refuse_foreign(out)?;
    let parent = parent_of(out);
    fs::create_dir_all(&parent)
        .with_context(|| format!("cannot make {}: {OUT_REMEDY}", parent.display()))?;
    Folder::empty(sibling(out, "new"))
        .with_context(|| format!("cannot write in {}: {OUT_REMEDY}", parent.display()))
}

/// Puts what a build wrote where `out` was.
///
/// # Errors
///
/// When `out` cannot be replaced; it then stays as it was.
pub fn put_in_place(fresh: &Folder, out: &Path) -> Result<()> {
    fs::write(
        fresh.0.join(MARKER),
        "A site that `cargo book build` made.\n",
    )?;
    replace(&fresh.0, out).with_context(|| format!("cannot write {}: {OUT_REMEDY}", out.display()))
}

fn refuse_foreign(out: &Path) -> Result<()> {
    let mut entries = match fs::read_dir(out) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(error).with_context(|| format!("{}: {OUT_REMEDY}", out.display()));
        }
    };
    if entries.next().is_some() && !out.join(MARKER).is_file() {
        bail!(
            "{} holds files that `cargo book build` did not make: choose another folder with `--out DIR`, or empty it",
            out.display()
        );
    }
    Ok(())
}

fn replace(fresh: &Path, out: &Path) -> Result<()> {
    let old = Folder::named(sibling(out, "old"));
    if out.exists() {
        fs::rename(out, &old.0)?;
    }
    if let Err(error) = fs::rename(fresh, out) {
        // Put back what was there: a failed build leaves the last good one.
        let _ = fs::rename(&old.0, out);
        return Err(error.into());
    }
    Ok(())
}

/// Writes a file, and the folders above it.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    }
    fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}

/// Copies the files that are wanted, and the folders that they stand in; never a hidden one.
pub fn copy_tree(from: &Path, to: &Path, wanted: &dyn Fn(&Path) -> bool) -> Result<()> {
    let Ok(entries) = fs::read_dir(from) else {
        return Ok(());
    };
    for entry in entries {
        let path = entry?.path();
        let Some(name) = path.file_name().filter(|_| !is_hidden(&path)) else {
            continue;
        };
        if path.is_dir() {
            copy_tree(&path, &to.join(name), wanted)?;
        } else if wanted(&path) {
            write(
                &to.join(name),
                &fs::read(&path).with_context(|| format!("reading {}", path.display()))?,
            )?;
        }
    }
    Ok(())
}
