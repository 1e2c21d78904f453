//! Builds the site: mdBook renders each language, then every page gets what mdBook does not know:
//! the other languages, the contents, the search, the words for search engines.

pub mod folder;
mod root;
mod shell;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, anyhow};
use mdbook_driver::MDBook;
use mdbook_driver::book::{Book, BookItem, Chapter, SectionNumber};
use mdbook_driver::config::Config;
use sha2::{Digest as _, Sha256};

use crate::directive::{resolve, stand_in};
use crate::html::{self, Contents};
use crate::problem::{Problem, Problems};
use crate::project::{Language, Project};
use crate::search;
use crate::summary::{Entry, Summary, html_path};
use crate::sync::Texts;
use crate::theme::{self, Mode};
use crate::warnings;
use folder::{Folder, copy_tree, write};
use shell::{Place, Shell};

/// Pages that mdBook makes of its own: the whole book on one page, and the one for a wrong address.
const MDBOOKS_OWN: [&str; 2] = ["print.html", "404.html"];

/// A built site.
pub struct Site {
    /// Every page of every language.
    pub pages: Vec<Page>,
}

/// A page of the built site.
pub struct Page {
    /// Its language's code.
    pub language: String,
    /// Its path below the language's folder, such as `ch01-basics/ports.html`.
    pub path: String,
    /// The page itself.
    pub html: String,
}

/// The address at which the site is published, from `book.toml`, with a slash at the end.
pub fn default_base_url(project: &Project) -> String {
    project
        .config
        .get::<String>("preprocessor.book.base-url")
        .ok()
        .flatten()
        .map(|url| with_slash(&url))
        .unwrap_or_else(|| "http://localhost:3000/".to_owned())
}

fn with_slash(url: &str) -> String {
    format!("{}/", url.trim_end_matches('/'))
}

/// Builds the site into `out`, whole or not at all.
///
/// # Errors
///
/// [`Problems`] where the book's own text is at fault; other errors where a file or folder is.
pub fn build(project: &Project, out: &Path, base_url: &str) -> Result<Site> {
    // A link to a folder stays one: what it leads to is replaced.
    let out = &fs::canonicalize(out).unwrap_or_else(|_| out.to_owned());
    let fresh = folder::fresh(out)?;
    let site = Build::new(project, &fresh.0, &with_slash(base_url))?.run()?;
    folder::put_in_place(&fresh, out)?;
    Ok(site)
}

/// What the pages of a build share.
struct Build<'a> {
    project: &'a Project,
    texts: Texts,
    /// The order of pages in each language, with the pages that only others have.
    summaries: BTreeMap<&'a str, Summary>,
    base_url: &'a str,
    out: &'a Path,
    /// Where mdBook works.
    work: Folder,
}

/// A page as mdBook rendered it.
struct Rendered {
    entry: Entry,
    html: String,
    contents: Contents,
    listed: bool,
}

impl<'a> Build<'a> {
    fn new(project: &'a Project, out: &'a Path, base_url: &'a str) -> Result<Self> {
        let mut own: BTreeMap<&str, Summary> = BTreeMap::new();
        for language in &project.languages {
            own.insert(&language.code, Summary::load(project, language)?);
        }
        let mut summaries = own.clone();
        for (code, summary) in &mut summaries {
            for (_, other) in own.iter().filter(|(other, _)| *other != code) {
                summary.fill_from(other);
            }
        }
        let work = project
            .root
            .join(format!("target/book/work-{}", std::process::id()));
        let work =
            Folder::empty(work.clone()).with_context(|| format!("making {}", work.display()))?;
        Ok(Self {
            work,
            texts: Texts::load(project)?,
            project,
            summaries,
            base_url,
            out,
        })
    }

    /// Builds every language, each in a thread of its own.
    fn run(&self) -> Result<Site> {
        let results: Vec<Result<Vec<Page>>> = thread::scope(|scope| {
            let threads: Vec<_> = self
                .project
                .languages
                .iter()
                .map(|language| scope.spawn(|| self.language(language)))
                .collect();
            threads
                .into_iter()
                .map(|thread| {
                    thread
                        .join()
                        .unwrap_or_else(|_| Err(anyhow!("a build thread panicked")))
                })
                .collect()
        });
        let mut pages = Vec::new();
        let mut problems = BTreeSet::new();
        for result in results {
            match result {
                Ok(found) => pages.extend(found),
                // One language's problems do not hide another's.
                Err(error) => match error.downcast::<Problems>() {
                    Ok(Problems(found)) => problems.extend(found),
                    Err(error) => return Err(error),
                },
            }
        }
        if !problems.is_empty() {
            return Err(Problems(problems.into_iter().collect()).into());
        }
        self.root_files()?;
        Ok(Site { pages })
    }

    /// Builds one language.
    fn language(&self, language: &Language) -> Result<Vec<Page>> {
        let summary = &self.summaries[language.code.as_str()];
        let unlisted = self.unlisted(language, summary);
        let mut problems = Vec::new();
        let book = self.chapters(&summary.entries, language, &mut problems);
        let extra = self.chapters(&unlisted, language, &mut problems);
        if !problems.is_empty() {
            return Err(Problems(problems).into());
        }

        // A root with the theme and without pages: mdBook would copy all that stands beside them,
        // and fail for an editor's lock on one. [`Self::assets`] copies what readers are to have.
        let root = self.work.0.join(format!("root-{}", language.code));
        theme::write(self.project, language, Mode::Site, &root.join("theme"))?;
        fs::create_dir_all(root.join(&language.src))?;
        let to = self.work.0.join(&language.code);
        self.render(language, book, &root, &to, true)?;
        let mut rendered = Vec::new();
        for entry in summary.pages() {
            rendered.push(read(&to, entry.clone(), true)?);
        }
        let documents = documents(summary, &rendered);
        let index = search::index(&documents, &self.explained(&documents));
        let search_name = format!("search-{}.json", short_digest(index.as_bytes()));
        let out = self.out.join(&language.code);
        write(&out.join(&search_name), index.as_bytes())?;
        self.assets(language, &to)?;

        for name in MDBOOKS_OWN {
            rendered.push(read(&to, unnumbered(name, name), false)?);
        }
        if !unlisted.is_empty() {
            // A book of their own, so that the print page does not have them.
            let to = self.work.0.join(format!("{}-unlisted", language.code));
            self.render(language, extra, &root, &to, false)?;
            for entry in unlisted {
                rendered.push(read(&to, entry, false)?);
            }
        }

        let shell = Shell::new(self.project, language, summary, self.base_url, &search_name);
        let mut pages = Vec::new();
        for page in &rendered {
            let html = shell.fill(
                &page.html,
                &Place {
                    entry: &page.entry,
                    contents: &page.contents,
                    listed: page.listed,
                },
            );
            let path = page.entry.html_path();
            write(&out.join(&path), html.as_bytes())?;
            pages.push(Page {
                language: language.code.clone(),
                path,
                html,
            });
        }
        Ok(pages)
    }

    /// Pages with a file that no summary lists, such as the style guide: built, not shown around.
    fn unlisted(&self, language: &Language, summary: &Summary) -> Vec<Entry> {
        let listed: BTreeSet<&str> = summary
            .pages()
            .into_iter()
            .map(|entry| entry.path.as_str())
            .collect();
        self.texts
            .paths()
            .into_iter()
            .filter(|path| !listed.contains(path))
            .map(|path| {
                let page = self.texts.page(&language.code, path);
                unnumbered(page.map_or(path, |page| page.title()), path)
            })
            .collect()
    }

    /// mdBook's chapters, their directives resolved.
    fn chapters(
        &self,
        entries: &[Entry],
        language: &Language,
        problems: &mut Vec<Problem>,
    ) -> Vec<BookItem> {
        let mut items = Vec::new();
        for entry in entries {
            let resolved = if let Some(page) = self.texts.page(&language.code, &entry.path) {
                resolve(self.project, &self.texts, page)
            } else if let Some(page) = self
                .project
                .languages
                .iter()
                .find_map(|other| self.texts.page(&other.code, &entry.path))
            {
                stand_in(self.project, &self.texts, language, page)
            } else {
                problems.push(Problem::new(
                    language.src.join("SUMMARY.md"),
                    0,
                    format!("lists `{}`, which no language has", entry.path),
                    "write the page, or take it off the list",
                ));
                continue;
            };
            problems.extend(resolved.problems);
            let mut chapter = Chapter::new(
                &entry.name,
                resolved.text,
                PathBuf::from(&entry.path),
                Vec::new(),
            );
            if !entry.number.is_empty() {
                chapter.number = Some(SectionNumber::new(entry.number.clone()));
            }
            chapter.sub_items = self.chapters(&entry.pages, language, problems);
            items.push(BookItem::Chapter(chapter));
        }
        items
    }

    /// Lets mdBook render the chapters into `to`; `whole` for the book with all that goes with it.
    fn render(
        &self,
        language: &Language,
        chapters: Vec<BookItem>,
        root: &Path,
        to: &Path,
        whole: bool,
    ) -> Result<()> {
        let project = self.project;
        let mut config = project.config.clone();
        config.book.language = Some(language.code.clone());
        config.book.src = language.src.clone();
        config.book.title = Some(project.word("book-title", &language.code));
        config.book.description = Some(project.word("book-description", &language.code));
        config.build.build_dir = to.to_owned();
        config.set("output.html.theme", "theme")?;
        config.set("output.html.print.enable", whole)?;
        config.set(
            "output.html.site-url",
            format!("{}{}/", path_of(self.base_url), language.code),
        )?;
        if !whole {
            config.set("output.html.input-404", "")?;
        }

        let mut mdbook = MDBook::load_with_config_and_summary(
            root,
            for_driver(&config)?,
            mdbook_summary::Summary::default(),
        )?;
        mdbook.book = Book::new_with_items(chapters);
        let (result, warnings) = warnings::collect(|| mdbook.build());
        result.with_context(|| format!("rendering {}", language.src.display()))?;
        if warnings.is_empty() {
            return Ok(());
        }
        let problems = warnings
            .iter()
            .map(|warning| self.place_warning(language, warning))
            .collect();
        Err(Problems(problems).into())
    }

    /// mdBook's warning as a problem at its page, and at its tag's line as far as that can be told.
    fn place_warning(&self, language: &Language, warning: &str) -> Problem {
        let quoted: Vec<&str> = warning.split('`').skip(1).step_by(2).collect();
        let path = quoted.iter().find(|name| name.ends_with(".md"));
        let page = path.and_then(|path| self.texts.page(&language.code, path));
        let (file, line) = match page {
            Some(page) => {
                let tag = quoted.first().map_or("", |tag| tag.trim_end_matches('>'));
                let at = page.text.find(tag).filter(|_| tag.starts_with('<'));
                (page.file.clone(), at.map_or(0, |at| page.line(at)))
            }
            None => (language.src.clone(), 0),
        };
        Problem::new(
            file,
            line,
            warning.replace('\n', " "),
            "close what is opened, and open what is closed",
        )
    }

    /// Where the glossary's terms are explained, in every language's spellings: who reads one
    /// language may search in another.
    fn explained(&self, documents: &[search::Document]) -> Vec<search::Explained> {
        let mut explained = Vec::new();
        for term in &self.project.terms {
            let Some((path, heading)) = term.place() else {
                continue;
            };
            let path = html_path(path);
            let Some(page) = documents.iter().position(|one| one.path == path) else {
                continue;
            };
            let languages = self.project.languages.iter();
            let spellings: BTreeSet<&str> = languages
                .flat_map(|language| term.spellings(&language.code))
                .chain(term.also.iter().map(String::as_str))
                .collect();
            explained.extend(spellings.into_iter().map(|spelling| search::Explained {
                term: spelling.to_owned(),
                page,
                heading: heading.to_owned(),
            }));
        }
        explained
    }

    /// Copies what pages refer to: the theme's files and the pictures beside the pages.
    fn assets(&self, language: &Language, rendered: &Path) -> Result<()> {
        let out = self.out.join(&language.code);
        copy_tree(&rendered.join("theme"), &out.join("theme"), &|_| true)?;
        for entry in fs::read_dir(rendered)?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("favicon") {
                write(&out.join(&name), &fs::read(entry.path())?)?;
            }
        }
        if let Some(card) = shell::card(self.project, language) {
            write(&out.join(shell::CARD), &fs::read(card)?)?;
        }
        let src = self.project.root.join(&language.src);
        copy_tree(&src, &out, &|path| {
            path.extension()
                .is_none_or(|extension| extension != "md" && extension != "toml")
        })
    }
}

fn read(folder: &Path, entry: Entry, listed: bool) -> Result<Rendered> {
    let path = entry.html_path();
    let html = fs::read_to_string(folder.join(&path))
        .with_context(|| format!("reading the rendered {path}"))?;
    Ok(Rendered {
        contents: html::read(&html),
        entry,
        html,
        listed,
    })
}

fn unnumbered(name: &str, path: &str) -> Entry {
    Entry {
        name: name.to_owned(),
        path: path.to_owned(),
        number: Vec::new(),
        pages: Vec::new(),
    }
}

/// What the search knows of each page.
fn documents<'a>(summary: &'a Summary, rendered: &'a [Rendered]) -> Vec<search::Document<'a>> {
    let chapter_of = |path: &str| {
        summary
            .entries
            .iter()
            .find(|chapter| {
                chapter.path == path || chapter.pages.iter().any(|page| page.path == path)
            })
            .map_or("", |chapter| chapter.name.as_str())
    };
    rendered
        .iter()
        .map(|page| search::Document {
            path: page.entry.html_path(),
            title: &page.entry.name,
            chapter: chapter_of(&page.entry.path),
            headings: page
                .contents
                .headings
                .iter()
                .map(|heading| heading.text.as_str())
                .collect(),
            text: &page.contents.text,
        })
        .collect()
}

/// The configuration without what is only for plain mdBook: the pages are resolved already, and
/// this mdBook is built without its search.
fn for_driver(config: &Config) -> Result<Config> {
    let mut table: toml::Table = toml::Table::try_from(config)?;
    table.remove("preprocessor");
    if let Some(html) = table
        .get_mut("output")
        .and_then(|output| output.get_mut("html"))
        .and_then(toml::Value::as_table_mut)
    {
        html.remove("search");
    }
    Ok(table.try_into()?)
}

/// The path of an address: `/book/` of `https://host/book/`.
fn path_of(url: &str) -> &str {
    let after = url.split_once("://").map_or(url, |(_, after)| after);
    after.find('/').map_or("/", |at| &after[at..])
}

/// Eight hexadecimal digits, to tell one version of a file from the next.
fn short_digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .take(4)
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_an_address_is_what_follows_the_host() {
        assert_eq!(path_of("https://host.example/book/"), "/book/");
        assert_eq!(path_of("https://host.example"), "/");
    }
}
