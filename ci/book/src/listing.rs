//! The listings: where they are, what they say of themselves, what is in them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::problem::{Problem, nearest};
use crate::recording::{BENCH, Kind, RUN};

/// One listing: a package below `listings/chNN-topic/`, or one beside the chapters, such as the lab,
/// that says in its `Cargo.toml` what it shows.
#[derive(Debug, Clone)]
pub struct Listing {
    /// The package's name, as in `cargo run -p NAME`.
    pub name: String,
    /// The chapter's folder, such as `ch05-tcp`; none for what belongs to all chapters.
    pub chapter: Option<String>,
    /// The package's folder, relative to the project's root.
    pub dir: PathBuf,
    /// What it shows: one sentence a language, English from the package's description.
    pub what: BTreeMap<String, String>,
    /// What the machine must have, by `cargo book doctor`'s names.
    pub needs: Vec<String>,
    /// Whether it was written ahead of its chapter, for another chapter that builds on it.
    pub awaits_page: bool,
    /// Whether it is a listing.
    shown: bool,
    root: PathBuf,
    /// Read when first asked for: a page may name many of them.
    tests: OnceLock<Vec<TestPlace>>,
    /// The same for the RFCs that it names.
    cites: OnceLock<BTreeSet<u32>>,
}

#[derive(Deserialize)]
struct Manifest {
    package: Package,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
struct Metadata {
    book: Option<BookMetadata>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct BookMetadata {
    #[serde(default)]
    what: BTreeMap<String, String>,
    #[serde(default)]
    needs: Vec<String>,
    #[serde(default)]
    awaits_page: bool,
}

impl Listing {
    /// Finds every listing of the project, by name.
    ///
    /// # Errors
    ///
    /// When a folder cannot be read or a `Cargo.toml` does not parse.
    pub fn find_all(root: &Path) -> Result<BTreeMap<String, Self>> {
        let all = Self::find_packages(root)?;
        Ok(all
            .into_iter()
            .filter(|(_, listing)| listing.shown)
            .collect())
    }

    /// Finds what stands beside the chapters and is no listing: libraries, of which a page only cites
    /// the tests.
    ///
    /// # Errors
    ///
    /// As [`Listing::find_all`].
    pub fn find_libraries(root: &Path) -> Result<BTreeMap<String, Self>> {
        let all = Self::find_packages(root)?;
        Ok(all
            .into_iter()
            .filter(|(_, listing)| !listing.shown)
            .collect())
    }

    fn find_packages(root: &Path) -> Result<BTreeMap<String, Self>> {
        let mut found = Vec::new();
        for dir in folders(&root.join("listings"))? {
            let name = name_of(&dir);
            if name.starts_with("ch") {
                for dir in folders(&dir)? {
                    found.extend(Self::read(root, &dir, Some(&name))?);
                }
            } else {
                found.extend(Self::read(root, &dir, None)?);
            }
        }
        let by_name = |listing: Self| (listing.name.clone(), listing);
        Ok(found.into_iter().map(by_name).collect())
    }

    /// The package in a folder, if there is one.
    fn read(root: &Path, dir: &Path, chapter: Option<&str>) -> Result<Option<Self>> {
        let manifest_file = dir.join("Cargo.toml");
        if !manifest_file.is_file() {
            return Ok(None);
        }
        let text = fs::read_to_string(&manifest_file)
            .with_context(|| format!("reading {}", manifest_file.display()))?;
        let Manifest { package } = toml::from_str(&text)
            .with_context(|| format!("parsing {}", manifest_file.display()))?;
        // Beside the chapters there are libraries, too.
        let shown = package.metadata.book.is_some() || chapter.is_some();
        let book = package.metadata.book.unwrap_or_default();
        let mut what = book.what;
        what.insert("en".into(), package.description);
        Ok(Some(Self {
            name: package.name,
            chapter: chapter.map(str::to_owned),
            dir: dir.strip_prefix(root).unwrap_or(dir).to_owned(),
            what,
            needs: book.needs,
            awaits_page: book.awaits_page,
            shown,
            root: root.to_owned(),
            tests: OnceLock::new(),
            cites: OnceLock::new(),
        }))
    }

    /// What it shows, in a language.
    pub fn what_in(&self, language: &str) -> Option<&str> {
        let what = self.what.get(language)?;
        (!what.is_empty()).then_some(what)
    }

    /// The command that a reader types.
    pub fn command(&self, kind: Kind) -> String {
        format!("cargo {} -p {}", kind.command, self.name)
    }

    /// The path of one of its files on disk.
    pub fn path(&self, file: &str) -> PathBuf {
        self.root.join(&self.dir).join(file)
    }

    /// The path of one of its files as the project names it, with `/` between the parts.
    pub fn project_path(&self, file: &str) -> String {
        let mut path = self.dir.to_string_lossy().replace('\\', "/");
        if !file.is_empty() {
            path.push('/');
            path.push_str(file);
        }
        path
    }

    /// What it printed when it was recorded in a way, without the end of its last line.
    pub fn output(&self, kind: Kind) -> Result<String, String> {
        match fs::read_to_string(self.path(kind.output)) {
            // Git may have checked it out with other line ends than it was recorded with.
            Ok(text) => Ok(text.trim_end().replace("\r\n", "\n")),
            Err(_) => Err(format!(
                "run `{}` to write its {}",
                kind.recorder(&self.name),
                kind.output
            )),
        }
    }

    /// The figures that were recorded in a way.
    pub fn record(&self, kind: Kind) -> Result<record::Record, String> {
        let path = self.path(kind.record);
        record::Record::load(&path).map_err(|error| {
            format!(
                "{}: {error}; run `{}`",
                self.project_path(kind.record),
                kind.recorder(&self.name)
            )
        })
    }

    /// The ways in which it has recorded figures.
    pub fn recorded(&self) -> impl Iterator<Item = Kind> {
        [RUN, BENCH]
            .into_iter()
            .filter(|kind| self.path(kind.record).is_file())
    }

    /// The names of its tests, with the file and the line where each stands.
    pub fn tests(&self) -> &[TestPlace] {
        self.tests.get_or_init(|| self.read_tests())
    }

    fn read_tests(&self) -> Vec<TestPlace> {
        let mut tests = Vec::new();
        for folder in ["tests", "src"] {
            let mut files = Vec::new();
            rust_files(&self.path(folder), &mut files);
            for file in files {
                let Ok(text) = fs::read_to_string(&file) else {
                    continue;
                };
                let file = file
                    .strip_prefix(self.root.join(&self.dir))
                    .unwrap_or(&file)
                    .to_string_lossy()
                    .replace('\\', "/");
                tests.extend(tests_in(&text, &file));
            }
        }
        tests
    }

    /// The RFCs that its sources name.
    pub fn cites(&self) -> &BTreeSet<u32> {
        self.cites.get_or_init(|| {
            let mut files = Vec::new();
            for folder in ["src", "tests"] {
                rust_files(&self.path(folder), &mut files);
            }
            let texts = files
                .iter()
                .filter_map(|file| fs::read_to_string(file).ok());
            texts.flat_map(|text| rfcs_in(&text)).collect()
        })
    }

    /// The lines between `// ANCHOR: anchor` and `// ANCHOR_END: anchor` of one of its files, or
    /// the whole file, without other anchors' marks and without common indentation.
    ///
    /// # Errors
    ///
    /// The problem, placed at `file` and `line` of the page that asks.
    pub fn source(
        &self,
        path: &str,
        anchor: Option<&str>,
        page: &Path,
        line: usize,
    ) -> Result<Excerpt, Problem> {
        let leads_out = Path::new(path)
            .components()
            .any(|part| !matches!(part, Component::Normal(_)));
        if leads_out {
            return Err(Problem::new(
                page,
                line,
                format!("`{path}` leads out of listing `{}`", self.name),
                "name one of its own files, such as `src/main.rs`",
            ));
        }
        let Ok(text) = fs::read_to_string(self.path(path)) else {
            let mut files = Vec::new();
            rust_files(&self.path(""), &mut files);
            let base = self.root.join(&self.dir);
            let files: Vec<String> = files
                .iter()
                .map(|file| file.strip_prefix(&base).unwrap_or(file))
                .map(|file| file.to_string_lossy().replace('\\', "/"))
                .collect();
            return Err(Problem::new(
                page,
                line,
                format!("listing `{}` has no file `{path}`", self.name),
                nearest(path, files.iter().map(String::as_str), "files"),
            ));
        };
        excerpt(&text, anchor).map_err(|anchors| {
            let path = self.project_path(path);
            let anchor = anchor.unwrap_or_default();
            if anchors.iter().any(|known| known == anchor) {
                return Problem::new(
                    page,
                    line,
                    format!("anchor `{anchor}` of `{path}` is not closed, or has no line in it"),
                    format!("end it with `ANCHOR_END: {anchor}` below its lines"),
                );
            }
            Problem::new(
                page,
                line,
                format!("`{path}` has no anchor `{anchor}`"),
                nearest(anchor, anchors.iter().map(String::as_str), "anchors"),
            )
        })
    }
}

/// The numbers that follow «RFC » in a text.
fn rfcs_in(text: &str) -> Vec<u32> {
    text.split("RFC ")
        .skip(1)
        .filter_map(|after| {
            let end = after.find(|c: char| !c.is_ascii_digit());
            after[..end.unwrap_or(after.len())].parse().ok()
        })
        .collect()
}

/// Where a test stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestPlace {
    /// The function's name.
    pub name: String,
    /// The file, relative to the listing's folder.
    pub file: String,
    /// The line of the function, counted from 1.
    pub line: usize,
    /// Whether `cargo test` passes it over.
    pub ignored: bool,
}

/// Some lines of a source file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The lines, without common indentation.
    pub text: String,
    /// The first line's number in the file, counted from 1.
    pub first: usize,
    /// The last line's number.
    pub last: usize,
}

/// Cuts an anchor's lines out of a file; without such an anchor, gives the anchors there are.
fn excerpt(text: &str, anchor: Option<&str>) -> Result<Excerpt, Vec<String>> {
    let mut lines = Vec::new();
    let mut anchors = Vec::new();
    let (mut first, mut last) = (0, 0);
    let mut inside = anchor.is_none();
    let mut closed = anchor.is_none();
    for (i, line) in text.lines().enumerate() {
        if let Some(name) = mark(line, "ANCHOR:") {
            anchors.push(name.to_owned());
            inside |= Some(name) == anchor;
            continue;
        }
        if let Some(name) = mark(line, "ANCHOR_END:") {
            if Some(name) == anchor {
                inside = false;
                closed = true;
            }
            continue;
        }
        if inside {
            if first == 0 {
                first = i + 1;
            }
            last = i + 1;
            lines.push(line);
        }
    }
    if !closed || lines.is_empty() {
        return Err(anchors);
    }
    let indent = lines
        .iter()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.len() - line.trim_start().len())
        .min()
        .unwrap_or(0);
    let lines: Vec<&str> = lines
        .iter()
        .map(|line| line.get(indent..).unwrap_or("").trim_end())
        .collect();
    Ok(Excerpt {
        text: lines.join("\n").trim_matches('\n').to_owned(),
        first,
        last,
    })
}

/// The name in a line such as `// ANCHOR: name`, whatever the language's comment sign.
fn mark<'a>(line: &'a str, kind: &str) -> Option<&'a str> {
    let at = line.find(kind)?;
    let before = line[..at].trim();
    // `ANCHOR_END:` ends in what `ANCHOR:` does not, and only a comment sign may stand before.
    if !matches!(before, "//" | "#" | "<!--" | "/*" | "--") {
        return None;
    }
    line[at + kind.len()..].split_whitespace().next()
}

/// The functions of a file that are marked `#[test]` or `#[tokio::test]`; and those marked
/// `#[doc(alias = "test")]`, of which other packages make tests of theirs: what several listings must
/// do stands in one place, and each of them is tested for it.
fn tests_in(text: &str, file: &str) -> Vec<TestPlace> {
    let mut tests = Vec::new();
    let (mut marked, mut ignored) = (false, false);
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        if ["#[test]", "#[tokio::test", "#[doc(alias = \"test\")]"]
            .iter()
            .any(|mark| line.starts_with(mark))
        {
            marked = true;
        } else if line.starts_with("#[ignore") {
            ignored = true;
        } else {
            let rest = line.strip_prefix("pub ").unwrap_or(line);
            let rest = rest.strip_prefix("async ").unwrap_or(rest);
            let Some(rest) = rest.strip_prefix("fn ") else {
                continue;
            };
            if marked {
                let name = rest
                    .split(|c: char| !c.is_alphanumeric() && c != '_')
                    .next();
                tests.push(TestPlace {
                    name: name.unwrap_or_default().to_owned(),
                    file: file.to_owned(),
                    line: i + 1,
                    ignored,
                });
            }
            (marked, ignored) = (false, false);
        }
    }
    tests
}

fn folders(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    if dir.is_dir() {
        for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    folders.sort();
    Ok(folders)
}

fn rust_files(dir: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() && name_of(&path) != "target" {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "\
fn main() {
    // ANCHOR: outer
    let a = 1;
    // ANCHOR: inner
    if a == 1 {

        print();
    }
    // ANCHOR_END: inner
    // ANCHOR_END: outer
}
";

    #[test]
    fn an_anchor_gives_its_lines_without_indentation_and_without_marks() {
        let excerpt = excerpt(SOURCE, Some("outer")).unwrap();
        assert_eq!(excerpt.text, "let a = 1;\nif a == 1 {\n\n    print();\n}");
        assert_eq!((excerpt.first, excerpt.last), (3, 8));
    }

    #[test]
    fn an_unknown_or_unclosed_anchor_gives_those_there_are() {
        assert_eq!(
            excerpt(SOURCE, Some("innner")),
            Err(vec!["outer".into(), "inner".into()])
        );
        assert!(excerpt("// ANCHOR: a\nx\n", Some("a")).is_err());
    }

    #[test]
    fn tests_are_found_by_their_attribute() {
        let text =
            "fn helper() {}\n\n#[test]\nfn a_claim() {}\n\n#[tokio::test]\nasync fn another() {}\n";
        let found = tests_in(text, "tests/proofs.rs");
        let found: Vec<_> = found.iter().map(|t| (t.name.as_str(), t.line)).collect();
        assert_eq!(found, [("a_claim", 4), ("another", 7)]);
    }

    #[test]
    fn what_other_packages_make_tests_of_is_found_by_its_alias() {
        let text = "/// Says.\n#[doc(alias = \"test\")]\npub fn a_claim(subject: &Subject) {}\npub fn helper() {}\n";
        let found = tests_in(text, "src/behaviour.rs");
        let found: Vec<_> = found.iter().map(|t| (t.name.as_str(), t.line)).collect();
        assert_eq!(found, [("a_claim", 3)]);
    }

    #[test]
    fn an_ignored_test_is_told_apart() {
        let text = "#[ignore]\nfn no_test() {}\n#[test]\nfn a() {}\n#[test]\n#[ignore = \"slow\"]\nfn b() {}\n#[ignore]\n#[test]\nfn c() {}\n";
        let found: Vec<bool> = tests_in(text, "x").iter().map(|t| t.ignored).collect();
        assert_eq!(found, [false, true, true]);
    }
}
