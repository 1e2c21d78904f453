//! The book's folder: its languages, listings and tables, read once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use mdbook_driver::config::Config;
use serde::Deserialize;

use crate::listing::Listing;
use crate::page::Page;
use crate::problem::{Problem, Problems};

/// The book's folder and all that pages may refer to.
pub struct Project {
    /// The folder that holds `book.toml`.
    pub root: PathBuf,
    /// mdBook's configuration, as `book.toml` has it.
    pub config: Config,
    /// The languages, `book.toml`'s own first, the others by their code.
    pub languages: Vec<Language>,
    /// The listings, by package name.
    pub listings: BTreeMap<String, Listing>,
    /// Libraries beside the chapters, whose tests a page may cite.
    pub libraries: BTreeMap<String, Listing>,
    /// The words of the site itself, by key, then by language.
    pub words: BTreeMap<String, BTreeMap<String, String>>,
    /// The term table.
    pub terms: Vec<Term>,
    /// The RFCs that pages may cite, by number.
    pub rfcs: BTreeMap<u32, Rfc>,
    /// The choice guide.
    pub choice: Choice,
    /// Words that were asked for and are in no language.
    unknown_words: Mutex<BTreeSet<String>>,
}

/// One language of the book.
#[derive(Debug, Clone)]
pub struct Language {
    /// Such as `ko`.
    pub code: String,
    /// Its folder, relative to the project's root, such as `src/ko`.
    pub src: PathBuf,
    /// The words of figures in this language, by their English; empty for English itself.
    pub labels: BTreeMap<String, String>,
}

/// A term and what it is called in each language.
#[derive(Debug, Clone, Deserialize)]
pub struct Term {
    /// The term, by language.
    #[serde(flatten)]
    pub names: BTreeMap<String, String>,
    /// Korean spellings that are wrong.
    #[serde(default)]
    pub avoid: Vec<String>,
    /// What it means: one sentence a language.
    #[serde(default)]
    pub what: BTreeMap<String, String>,
    /// What else a reader or translator should know, by language.
    #[serde(default)]
    pub note: BTreeMap<String, String>,
    /// What else it is called, in whatever language: the search knows it by these names too.
    #[serde(default)]
    pub also: Vec<String>,
    /// The page that explains it, and the heading there: `ch05-tcp/close.md#time-wait`.
    #[serde(default)]
    pub at: Option<String>,
}

impl Term {
    /// The page that explains it, and the heading's id; empty for the whole page.
    pub fn place(&self) -> Option<(&str, &str)> {
        let at = self.at.as_deref()?;
        Some(at.split_once('#').unwrap_or((at, "")))
    }

    /// Each way to say it in a language: `round-trip time (RTT)` is also said `round-trip time` and
    /// `RTT`.
    pub fn spellings(&self, language: &str) -> Vec<&str> {
        let Some(name) = self.names.get(language) else {
            return Vec::new();
        };
        let mut spellings = vec![name.as_str()];
        if let Some((long, short)) = name.strip_suffix(')').and_then(|name| name.split_once('(')) {
            spellings.extend([long.trim(), short.trim()]);
        }
        spellings
    }
}

/// What the choice guide asks and what it advises, from `src/choice.toml`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// In the order in which they are asked.
    #[serde(default)]
    pub question: Vec<Question>,
    /// In the order of the table.
    #[serde(default)]
    pub way: Vec<Way>,
}

/// A question of the choice guide.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Its name in [`Way::fits`], in kebab case.
    pub id: String,
    /// The question, by language.
    pub text: BTreeMap<String, String>,
    /// The answers to choose from.
    pub option: Vec<Answer>,
}

/// An answer to a [`Question`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Its name in [`Way::fits`], in kebab case.
    pub id: String,
    /// The answer, by language.
    pub text: BTreeMap<String, String>,
}

/// A way to communicate that the choice guide may advise.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Way {
    /// What it is called, by language.
    pub name: BTreeMap<String, String>,
    /// The page that explains it, and perhaps the heading there.
    pub at: String,
    /// When to take it, by language.
    #[serde(rename = "use")]
    pub when: BTreeMap<String, String>,
    /// What it costs, by language.
    pub mind: BTreeMap<String, String>,
    /// The answers with which it remains, by question. A question that is not here leaves it be.
    #[serde(default)]
    pub fits: BTreeMap<String, Vec<String>>,
}

/// What the RFC Editor says of an RFC.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rfc {
    /// Its title.
    pub title: String,
    /// Its month, `YYYY-MM`.
    pub date: String,
    /// Its status, such as `Internet Standard`.
    pub status: String,
    /// The RFCs that took its place.
    #[serde(default)]
    pub obsoleted_by: Vec<u32>,
}

#[derive(Deserialize)]
struct TermFile {
    #[serde(default)]
    term: Vec<Term>,
}

#[derive(Deserialize)]
struct RfcFile {
    #[serde(default)]
    rfc: BTreeMap<String, Rfc>,
}

impl Project {
    /// Reads the project at `root`.
    ///
    /// # Errors
    ///
    /// When `book.toml`, a table or a listing's `Cargo.toml` is missing or does not parse.
    pub fn load(root: &Path) -> Result<Self> {
        let config_file = root.join("book.toml");
        if !config_file.is_file() {
            bail!(
                "{} holds no book.toml: run this inside the book's folder",
                root.display()
            );
        }
        let config = Config::from_disk(&config_file)?;
        let first = config.book.language.clone().unwrap_or_default();
        let mut languages = Vec::new();
        for entry in fs::read_dir(root.join("src")).context("reading src")? {
            let path = entry?.path();
            if !path.join("SUMMARY.md").is_file() {
                continue;
            }
            let code = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            languages.push(Language {
                labels: table(&path.join("labels.toml"))?.unwrap_or_default(),
                src: Path::new("src").join(&code),
                code,
            });
        }
        languages.sort_by_key(|language| (language.code != first, language.code.clone()));
        if languages.is_empty() {
            bail!("src holds no language: a folder with a SUMMARY.md");
        }
        let terms: Option<TermFile> = table(&root.join("src/terms.toml"))?;
        let rfcs: Option<RfcFile> = table(&root.join("src/rfc.toml"))?;
        Ok(Self {
            listings: Listing::find_all(root)?,
            libraries: Listing::find_libraries(root)?,
            words: table(&root.join("theme/words.toml"))?.unwrap_or_default(),
            terms: terms.map(|file| file.term).unwrap_or_default(),
            rfcs: rfcs
                .map(|file| file.rfc)
                .unwrap_or_default()
                .into_iter()
                .filter_map(|(number, rfc)| Some((number.parse().ok()?, rfc)))
                .collect(),
            choice: table(&root.join("src/choice.toml"))?.unwrap_or_default(),
            root: root.to_owned(),
            config,
            languages,
            unknown_words: Mutex::default(),
        })
    }

    /// The project around the working directory.
    ///
    /// # Errors
    ///
    /// When no folder from here upwards holds a `book.toml`, or the project does not load.
    pub fn here() -> Result<Self> {
        let here = std::env::current_dir()?;
        match here
            .ancestors()
            .find(|folder| folder.join("book.toml").is_file())
        {
            Some(root) => Self::load(root),
            None => bail!("no book.toml here or above: run this inside the book's folder"),
        }
    }

    /// The language of that code.
    pub fn language(&self, code: &str) -> Option<&Language> {
        self.languages.iter().find(|language| language.code == code)
    }

    /// A word of the site itself in a language, or in another where it has none yet. One that no
    /// language has is given as its key. [`Self::missing_words`] reports both.
    pub fn word(&self, key: &str, language: &str) -> String {
        let Some(word) = self.words.get(key) else {
            self.unknown_words
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(key.to_owned());
            return key.to_owned();
        };
        word.get(language)
            .or_else(|| word.get("en"))
            .or_else(|| word.values().next())
            .cloned()
            .unwrap_or_else(|| key.to_owned())
    }

    /// A problem for every word that some language lacks, or that was asked for and is in none.
    pub fn missing_words(&self) -> Vec<Problem> {
        let unknown = self
            .unknown_words
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut problems: Vec<Problem> = unknown
            .iter()
            .map(|key| {
                Problem::new(
                    "theme/words.toml",
                    0,
                    format!("has no word `{key}`, which the site shows"),
                    format!("add [{key}] with a word for each language"),
                )
            })
            .collect();
        for (key, word) in &self.words {
            for language in &self.languages {
                if !word.contains_key(&language.code) {
                    problems.push(Problem::new(
                        "theme/words.toml",
                        0,
                        format!("`{key}` has no word in `{}`", language.code),
                        format!("add `{} = \"…\"` under [{key}]", language.code),
                    ));
                }
            }
        }
        problems
    }

    /// Where the project is published as source, without a slash at the end.
    pub fn repository(&self) -> String {
        self.config
            .html_config()
            .and_then(|html| html.git_repository_url)
            .unwrap_or_default()
            .trim_end_matches('/')
            .to_owned()
    }

    /// Reads one page.
    ///
    /// # Errors
    ///
    /// The problem, when the file is missing or is not UTF-8.
    pub fn page(&self, language: &Language, path: &str) -> Result<Page, Problem> {
        let file = language.src.join(path);
        let bytes = fs::read(self.root.join(&file)).map_err(|error| {
            Problem::new(
                &file,
                0,
                format!("cannot be read: {error}"),
                "write the page, or take it out of SUMMARY.md",
            )
        })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = valid.iter().filter(|&&byte| byte == b'\n').count() + 1;
            Problem::new(
                &file,
                line,
                "is not UTF-8",
                "save it as UTF-8 (`iconv -f EUC-KR -t UTF-8` converts an older Korean file)",
            )
        })?;
        // mdBook drops a byte order mark too; with it, the first heading would be none.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        Ok(Page::parse(&language.code, path, file, text))
    }

    /// Every page that a language has a file for, by path.
    ///
    /// # Errors
    ///
    /// All files that cannot be read as UTF-8.
    pub fn pages(&self, language: &Language) -> Result<BTreeMap<String, Page>, Problems> {
        let mut paths = Vec::new();
        markdown_files(&self.root.join(&language.src), "", &mut paths);
        let mut pages = BTreeMap::new();
        let mut problems = Vec::new();
        for path in paths {
            if path == "SUMMARY.md" {
                continue;
            }
            match self.page(language, &path) {
                Ok(page) => {
                    pages.insert(path, page);
                }
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() {
            Ok(pages)
        } else {
            Err(Problems(problems))
        }
    }
}

/// Reads a TOML file that may be missing.
fn table<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    if !path.is_file() {
        return Ok(None);
    }
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    toml::from_str(&text)
        .map(Some)
        .with_context(|| format!("parsing {}", path.display()))
}

/// Whether a file is an editor's or the system's, such as Emacs' `.#page.md` beside a page that is
/// being edited, and none of the book's.
pub fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| {
        let name = name.to_string_lossy();
        name.starts_with('.') || name.starts_with('#') || name.ends_with('~')
    })
}

fn markdown_files(dir: &Path, prefix: &str, paths: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        if is_hidden(&path) {
            continue;
        }
        if path.is_dir() {
            markdown_files(&path, &format!("{prefix}{name}/"), paths);
        } else if name.ends_with(".md") {
            paths.push(format!("{prefix}{name}"));
        }
    }
    paths.sort();
}
