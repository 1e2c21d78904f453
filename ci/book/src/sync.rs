//! Keeps the languages in step: which sections were reviewed together, and which have changed on
//! one side since.
//!
//! `src/sync.lock` has a line for each section (a heading with what follows it) with the digest of
//! each language's text when the languages were last read side by side. A section that has changed
//! in one language and not in another is stale in the other, until `cargo book sync PAGE`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::page::{Page, Section};
use crate::problem::{Problem, Problems, nearest};
use crate::project::Project;

/// Where the digests are kept.
pub const LOCK_FILE: &str = "src/sync.lock";

const LOCK_HEAD: &str = "\
# The digest of each section's text, by language, when its languages were last reviewed together.
# Written by `cargo book sync PAGE`; see CONTRIBUTING.md.
";

/// Every language's pages, and what the lock file says of them.
pub struct Texts {
    /// The pages by language, then by path.
    pub pages: BTreeMap<String, BTreeMap<String, Page>>,
    lock: Lock,
}

/// How a section stands in one language, against the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// No language's text has changed since the last review.
    InStep,
    /// Other languages' texts have changed since the last review and this one's has not.
    Stale {
        /// Those languages.
        behind: Vec<String>,
    },
    /// This language's text has changed since the last review.
    Changed,
    /// The section was never reviewed in this language.
    New,
}

/// Section → language → digest. A section is named `path#id`.
type Lock = BTreeMap<String, BTreeMap<String, String>>;

impl Texts {
    /// Reads all pages and the lock file.
    ///
    /// # Errors
    ///
    /// All files that cannot be read as UTF-8, or the lock file's line that is none of its own.
    pub fn load(project: &Project) -> Result<Self, Problems> {
        let mut pages = BTreeMap::new();
        let mut problems = Vec::new();
        for language in &project.languages {
            match project.pages(language) {
                Ok(found) => {
                    pages.insert(language.code.clone(), found);
                }
                Err(Problems(found)) => problems.extend(found),
            }
        }
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        let lock = read_lock(&project.root).map_err(|problem| Problems(vec![problem]))?;
        Ok(Self { pages, lock })
    }

    /// One page in one language.
    pub fn page(&self, language: &str, path: &str) -> Option<&Page> {
        self.pages.get(language)?.get(path)
    }

    /// The path of every page that any language has.
    pub fn paths(&self) -> BTreeSet<&str> {
        self.pages
            .values()
            .flat_map(|pages| pages.keys().map(String::as_str))
            .collect()
    }

    /// How a page's section stands.
    pub fn standing(&self, page: &Page, section: &Section) -> Standing {
        let Some(reviewed) = self.lock.get(&name(&page.path, section)) else {
            return Standing::New;
        };
        if !reviewed.contains_key(&page.language) {
            return Standing::New;
        }
        // What was never reviewed, as in a language that is new to the book, has not changed since.
        let changed = |page: &Page, section: &Section| {
            reviewed
                .get(&page.language)
                .is_some_and(|kept| *kept != digest(page, section))
        };
        if changed(page, section) {
            return Standing::Changed;
        }
        let behind: Vec<String> = self
            .others(page, section)
            .into_iter()
            .filter(|(other, section)| changed(other, section))
            .map(|(other, _)| other.language.clone())
            .collect();
        if behind.is_empty() {
            Standing::InStep
        } else {
            Standing::Stale { behind }
        }
    }

    /// The same section in the other languages that have it.
    pub fn others(&self, page: &Page, section: &Section) -> Vec<(&Page, Section)> {
        self.pages
            .iter()
            .filter(|(language, _)| **language != page.language)
            .filter_map(|(_, pages)| pages.get(&page.path))
            .filter_map(|other| {
                let same = other
                    .sections()
                    .into_iter()
                    .find(|candidate| candidate.id == section.id)?;
                Some((other, same))
            })
            .collect()
    }

    /// A problem for every section that is not in step.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut seen = BTreeSet::new();
        for page in self.pages.values().flat_map(BTreeMap::values) {
            for section in page.sections() {
                seen.insert(name(&page.path, &section));
                let place = match section.id.as_str() {
                    "" => "the page's beginning".to_owned(),
                    id => format!("section `#{id}`"),
                };
                let (what, remedy) = match self.standing(page, &section) {
                    Standing::InStep => continue,
                    Standing::Stale { behind } => (
                        format!(
                            "{place} is stale: its text in `{}` has changed since both were reviewed",
                            behind.join("`, `")
                        ),
                        format!("bring it in step, then run `cargo book sync {}`", page.path),
                    ),
                    Standing::Changed => (
                        format!("{place} has changed since it was last reviewed"),
                        format!(
                            "read it beside the other languages, then run `cargo book sync {}`",
                            page.path
                        ),
                    ),
                    Standing::New => (
                        format!("{place} was never reviewed beside the other languages"),
                        format!("review it, then run `cargo book sync {}`", page.path),
                    ),
                };
                problems.push(Problem::new(
                    &page.file,
                    page.line(section.range.start),
                    what,
                    remedy,
                ));
            }
        }
        for gone in self.lock.keys().filter(|section| !seen.contains(*section)) {
            let path = gone.split('#').next().unwrap_or_default();
            problems.push(Problem::new(
                LOCK_FILE,
                0,
                format!("`{gone}` is no longer in the book"),
                format!("run `cargo book sync {path}`"),
            ));
        }
        problems
    }

    /// Takes the pages of that path as reviewed together, as they are now.
    ///
    /// # Errors
    ///
    /// When there is no such page, or the lock file cannot be written.
    pub fn sync(&mut self, root: &Path, path: &str) -> Result<usize> {
        let prefix = format!("{path}#");
        let before = self.lock.len();
        self.lock.retain(|section, _| !section.starts_with(&prefix));
        let known = self.lock.len() < before || self.paths().contains(path);
        if !known {
            bail!(
                "there is no page `{path}`: {}",
                nearest(path, self.paths(), "pages")
            );
        }
        let mut sections = 0;
        for page in self.pages.values().filter_map(|pages| pages.get(path)) {
            for section in page.sections() {
                sections += 1;
                self.lock
                    .entry(name(path, &section))
                    .or_default()
                    .insert(page.language.clone(), digest(page, &section));
            }
        }
        let file = root.join(LOCK_FILE);
        fs::write(&file, self.lock_text())
            .with_context(|| format!("writing {}", file.display()))?;
        Ok(sections)
    }

    fn lock_text(&self) -> String {
        let mut text = LOCK_HEAD.to_owned();
        for (section, digests) in &self.lock {
            text.push_str(section);
            for (language, digest) in digests {
                let _ = write!(text, " {language}={digest}");
            }
            text.push('\n');
        }
        text
    }
}

/// How far a language has come with a page, for the status page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// There is no such page.
    Missing,
    /// So many sections are stale.
    Stale(usize),
    /// Nothing is stale, but not every section was reviewed beside the other languages as it is.
    Unreviewed,
    /// Reviewed, and in step.
    InStep,
}

impl Texts {
    /// How far a language has come with a page.
    pub fn progress(&self, language: &str, path: &str) -> Progress {
        let Some(page) = self.page(language, path) else {
            return Progress::Missing;
        };
        let standings: Vec<Standing> = page
            .sections()
            .iter()
            .map(|section| self.standing(page, section))
            .collect();
        let stale = standings
            .iter()
            .filter(|standing| matches!(standing, Standing::Stale { .. }))
            .count();
        if stale > 0 {
            Progress::Stale(stale)
        } else if standings.iter().all(|s| *s == Standing::InStep) {
            Progress::InStep
        } else {
            Progress::Unreviewed
        }
    }
}

fn name(path: &str, section: &Section) -> String {
    format!("{path}#{}", section.id)
}

/// Twelve hexadecimal digits: enough that two texts of one section never meet by chance.
fn digest(page: &Page, section: &Section) -> String {
    let mut hasher = Sha256::new();
    for line in page.text[section.range.clone()].trim().lines() {
        hasher.update(line.trim_end());
        hasher.update("\n");
    }
    hasher
        .finalize()
        .iter()
        .take(6)
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// The lock file, empty where there is none yet.
fn read_lock(root: &Path) -> Result<Lock, Problem> {
    match fs::read_to_string(root.join(LOCK_FILE)) {
        Ok(text) => parse(&text),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Lock::new()),
        Err(error) => Err(Problem::new(
            LOCK_FILE,
            0,
            format!("cannot be read: {error}"),
            "take it from the last commit: `git checkout src/sync.lock`",
        )),
    }
}

/// Reads the lock file's text. Two branches that both reviewed pages leave a conflict's marks in it.
fn parse(text: &str) -> Result<Lock, Problem> {
    let mut lock = Lock::new();
    for (i, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((section, digests)) = parse_line(line) else {
            return Err(Problem::new(
                LOCK_FILE,
                i + 1,
                format!("`{line}` names no section with its digests"),
                "settle the merge by keeping one side's lines, then run `cargo book check`, which \
                 names the pages to sync",
            ));
        };
        lock.insert(section, digests);
    }
    Ok(lock)
}

fn parse_line(line: &str) -> Option<(String, BTreeMap<String, String>)> {
    let mut parts = line.split(' ');
    let section = parts.next().filter(|section| section.contains('#'))?;
    let digests = parts
        .map(|part| part.split_once('='))
        .map(|pair| pair.map(|(language, digest)| (language.to_owned(), digest.to_owned())))
        .collect::<Option<BTreeMap<_, _>>>()?;
    (!digests.is_empty()).then(|| (section.to_owned(), digests))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(ko: &str, en: &str) -> Texts {
        let page = |language: &str, text: &str| {
            let page = Page::parse(language, "a.md", format!("src/{language}/a.md"), text);
            (
                language.to_owned(),
                BTreeMap::from([("a.md".to_owned(), page)]),
            )
        };
        Texts {
            pages: BTreeMap::from([page("ko", ko), page("en", en)]),
            lock: Lock::new(),
        }
    }

    fn reviewed(ko: &str, en: &str) -> Lock {
        let root = std::env::temp_dir().join(format!("book-sync-{}", std::process::id()));
        fs::create_dir_all(root.join("src")).unwrap();
        let mut texts = texts(ko, en);
        texts.sync(&root, "a.md").unwrap();
        let text = fs::read_to_string(root.join(LOCK_FILE)).unwrap();
        fs::remove_dir_all(root).unwrap();
        assert_eq!(parse(&text), Ok(texts.lock.clone()));
        texts.lock
    }

    fn standings(texts: &Texts, language: &str) -> Vec<Standing> {
        let page = texts.page(language, "a.md").unwrap();
        page.sections()
            .iter()
            .map(|section| texts.standing(page, section))
            .collect()
    }

    const KO: &str = "# 가 {#a}\n\n하나\n\n## 나 {#b}\n\n둘\n";
    const EN: &str = "# A {#a}\n\none\n\n## B {#b}\n\ntwo\n";

    #[test]
    fn a_section_is_new_until_it_is_reviewed_and_then_in_step() {
        let mut texts = texts(KO, EN);
        assert_eq!(standings(&texts, "ko"), [Standing::New, Standing::New]);
        assert_eq!(texts.progress("ko", "a.md"), Progress::Unreviewed);
        texts.lock = reviewed(KO, EN);
        assert_eq!(
            standings(&texts, "ko"),
            [Standing::InStep, Standing::InStep]
        );
        assert!(texts.problems().is_empty());
    }

    #[test]
    fn a_section_changed_in_one_language_is_stale_in_the_other_only() {
        let mut texts = texts(KO, &EN.replace("two", "zwei"));
        texts.lock = reviewed(KO, EN);
        assert_eq!(
            standings(&texts, "en"),
            [Standing::InStep, Standing::Changed]
        );
        assert_eq!(
            standings(&texts, "ko"),
            [
                Standing::InStep,
                Standing::Stale {
                    behind: vec!["en".into()]
                }
            ]
        );
    }

    #[test]
    fn a_language_that_is_new_to_the_book_makes_no_other_stale() {
        let mut texts = texts(KO, EN);
        texts.lock = reviewed(KO, EN);
        let page = Page::parse("ja", "a.md", "src/ja/a.md", EN.replace("one", "一"));
        let pages = BTreeMap::from([("a.md".to_owned(), page)]);
        texts.pages.insert("ja".to_owned(), pages);
        assert_eq!(standings(&texts, "ja"), [Standing::New, Standing::New]);
        for language in ["ko", "en"] {
            assert_eq!(
                standings(&texts, language),
                [Standing::InStep, Standing::InStep]
            );
        }
    }

    #[test]
    fn a_conflict_in_the_lock_file_is_named_with_its_line() {
        let text = format!("{LOCK_HEAD}<<<<<<< HEAD\na.md#a en=12 ko=34\n=======\n");
        let problem = parse(&text).unwrap_err();
        assert_eq!(problem.line, 3);
        assert!(problem.what.contains("`<<<<<<< HEAD`"), "{problem}");
        for line in ["=======", "a.md#a", "a.md#a en", "a.md en=12"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_section_that_is_gone_is_reported() {
        let mut texts = texts("# 가 {#a}\n\n하나\n", "# A {#a}\n\none\n");
        texts.lock = reviewed(KO, EN);
        let problems = texts.problems();
        assert!(
            problems
                .iter()
                .any(|problem| problem.what == "`a.md#b` is no longer in the book"),
            "{problems:?}"
        );
    }

    #[test]
    fn trailing_space_is_no_change() {
        let mut texts = texts(KO, &EN.replace("two\n", "two  \n\n\n"));
        texts.lock = reviewed(KO, EN);
        assert_eq!(standings(&texts, "ko")[1], Standing::InStep);
    }

    #[test]
    fn an_unknown_page_is_refused_with_the_nearest() {
        let error = texts(KO, EN)
            .sync(Path::new("/nonexistent"), "b.md")
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no page `b.md`: the nearest pages: `a.md`"
        );
    }
}
