//! Builds the site: mdBook renders each language, then every page gets what mdBook does not know:
//! the other languages, the contents, the search, the words for search engines.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, anyhow, bail};
use mdbook_driver::MDBook;
use mdbook_driver::book::{Book, BookItem, Chapter, SectionNumber};
use mdbook_driver::config::Config;
use sha2::{Digest as _, Sha256};

use crate::directive::{resolve, stand_in};
use crate::highlight::escape;
use crate::html::{self, Contents};
use crate::problem::{Problem, Problems};
use crate::project::{Language, Project};
use crate::search;
use crate::summary::{Entry, Summary};
use crate::sync::Texts;
use crate::theme::{self, Mode};
use crate::warnings;

/// A file in every folder that a build made, so that no build replaces a folder of another kind.
const MARKER: &str = ".cargo-book";

/// How long a description may be, in characters: what search engines show.
const DESCRIPTION_MOST: usize = 160;

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
    /// What it holds.
    pub contents: Contents,
    /// How many bytes it has.
    pub len: usize,
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
    refuse_foreign(out)?;
    let out_parent = parent_of(out);
    fs::create_dir_all(&out_parent)
        .with_context(|| format!("cannot make {}: {OUT_REMEDY}", out_parent.display()))?;
    let fresh = sibling(out, "new");
    fs::create_dir_all(&fresh)
        .with_context(|| format!("cannot write in {}: {OUT_REMEDY}", out_parent.display()))?;
    let fresh = Folder(fresh);
    let site = build_into(project, &fresh.0, base_url)?;
    fs::write(
        fresh.0.join(MARKER),
        "A site that `cargo book build` made.\n",
    )?;
    replace(&fresh.0, out)
        .with_context(|| format!("cannot write {}: {OUT_REMEDY}", out.display()))?;
    Ok(site)
}

const OUT_REMEDY: &str = "choose a folder that you may write, with `--out DIR`";

/// A folder that goes when it is no longer needed.
struct Folder(PathBuf);

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
    let old = Folder(sibling(out, "old"));
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

/// What the pages of a build share.
struct Build<'a> {
    project: &'a Project,
    texts: Texts,
    summaries: BTreeMap<&'a str, Summary>,
    base_url: &'a str,
    out: &'a Path,
    /// Where mdBook works.
    work: Folder,
}

fn build_into(project: &Project, out: &Path, base_url: &str) -> Result<Site> {
    let texts = Texts::load(project)?;
    let mut summaries: BTreeMap<&str, Summary> = BTreeMap::new();
    for language in &project.languages {
        summaries.insert(&language.code, Summary::load(project, language)?);
    }
    let listed = summaries.clone();
    for (code, summary) in &mut summaries {
        for (other, theirs) in &listed {
            if other != code {
                summary.fill_from(theirs);
            }
        }
    }
    let base_url = with_slash(base_url);
    let build = Build {
        work: Folder(
            project
                .root
                .join(format!("target/book/work-{}", std::process::id())),
        ),
        project,
        texts,
        summaries,
        base_url: &base_url,
        out,
    };
    fs::create_dir_all(&build.work.0)
        .with_context(|| format!("making {}", build.work.0.display()))?;

    let results: Vec<Result<Vec<Page>>> = thread::scope(|scope| {
        let running: Vec<_> = project
            .languages
            .iter()
            .map(|language| scope.spawn(|| build.language(language)))
            .collect();
        running
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
    build.root_files()?;
    Ok(Site { pages })
}

impl Build<'_> {
    /// Renders one language and fills in its pages.
    fn language(&self, language: &Language) -> Result<Vec<Page>> {
        let summary = &self.summaries[language.code.as_str()];
        let mut problems = Vec::new();
        let book = Book::new_with_items(self.chapters(&summary.entries, language, &mut problems));
        let listed: BTreeSet<&str> = summary
            .pages()
            .into_iter()
            .map(|entry| entry.path.as_str())
            .collect();
        let unlisted: Vec<Entry> = self
            .texts
            .paths()
            .into_iter()
            .filter(|path| !listed.contains(path))
            .map(|path| Entry {
                name: self
                    .texts
                    .page(&language.code, path)
                    .map(|page| page.title().to_owned())
                    .unwrap_or_else(|| path.to_owned()),
                path: path.to_owned(),
                number: Vec::new(),
                pages: Vec::new(),
            })
            .collect();
        let extra = Book::new_with_items(self.chapters(&unlisted, language, &mut problems));
        if !problems.is_empty() {
            return Err(Problems(problems).into());
        }

        let theme = theme::write(self.project, language, Mode::Site)?;
        let rendered = self.work.0.join(&language.code);
        self.render(language, book, &theme, &rendered, true)?;
        let mut pages = self.finish(language, &rendered, &summary.pages(), summary)?;
        if !unlisted.is_empty() {
            let rendered = self.work.0.join(format!("{}-unlisted", language.code));
            self.render(language, extra, &theme, &rendered, false)?;
            let entries: Vec<&Entry> = unlisted.iter().collect();
            pages.extend(self.finish(language, &rendered, &entries, summary)?);
        }
        self.assets(language, &rendered)?;
        Ok(pages)
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
            let own = self.texts.page(&language.code, &entry.path);
            let resolved = match own {
                Some(page) => resolve(self.project, &self.texts, page),
                None => {
                    let other = self
                        .project
                        .languages
                        .iter()
                        .find_map(|other| self.texts.page(&other.code, &entry.path));
                    let Some(page) = other else {
                        problems.push(Problem::new(
                            language.src.join("SUMMARY.md"),
                            0,
                            format!("lists `{}`, which no language has", entry.path),
                            "write the page, or take it off the list",
                        ));
                        continue;
                    };
                    stand_in(self.project, &self.texts, language, page)
                }
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

    /// Lets mdBook render `book` into `to`.
    fn render(
        &self,
        language: &Language,
        book: Book,
        theme: &Path,
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
        config.set("output.html.theme", theme)?;
        config.set("output.html.print.enable", whole)?;
        config.set(
            "output.html.site-url",
            format!("{}{}/", path_of(self.base_url), language.code),
        )?;
        if !whole {
            config.set("output.html.input-404", "")?;
        }

        let mut mdbook = MDBook::load_with_config_and_summary(
            &project.root,
            for_driver(&config)?,
            mdbook_summary::Summary::default(),
        )?;
        mdbook.book = book;
        let (result, warnings) = warnings::collect(|| mdbook.build());
        result.with_context(|| format!("rendering {}", language.src.display()))?;
        if !warnings.is_empty() {
            let problems = warnings
                .into_iter()
                .map(|warning| {
                    Problem::new(
                        &language.src,
                        0,
                        warning.replace('\n', " "),
                        "mend the HTML in that page",
                    )
                })
                .collect();
            return Err(Problems(problems).into());
        }
        Ok(())
    }

    /// Fills in the rendered pages and writes them to where they belong.
    fn finish(
        &self,
        language: &Language,
        rendered: &Path,
        entries: &[&Entry],
        summary: &Summary,
    ) -> Result<Vec<Page>> {
        let out = self.out.join(&language.code);
        let mut read = Vec::new();
        for (i, entry) in entries.iter().enumerate() {
            let path = entry.html_path();
            let html = fs::read_to_string(rendered.join(&path))
                .with_context(|| format!("reading the rendered {path}"))?;
            read.push((i, path, html));
        }
        let listed = summary.pages();
        let is_listed = |path: &str| listed.iter().any(|entry| entry.path == path);
        let contents: Vec<Contents> = read.iter().map(|(_, _, html)| html::read(html)).collect();

        // Only the listed pages are found by the search, whose name depends on what it holds.
        let whole = entries.first().is_some_and(|entry| is_listed(&entry.path));
        let search_name = if whole {
            let paths: Vec<String> = read.iter().map(|(_, path, _)| path.clone()).collect();
            let index = search::index(&documents(summary, entries, &contents, &paths));
            let name = format!("search-{}.json", short_digest(index.as_bytes()));
            write(&out.join(&name), index.as_bytes())?;
            name
        } else {
            // Written with the listed pages, which come first.
            fs::read_dir(&out)?
                .flatten()
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .find(|name| name.starts_with("search-"))
                .unwrap_or_default()
        };

        let mut pages = Vec::new();
        let navigation = Navigation::new(self, language, summary);
        for ((i, path, html), contents) in read.into_iter().zip(contents) {
            let entry = entries[i];
            let place = Place {
                entry,
                path: &path,
                contents: &contents,
                listed: is_listed(&entry.path),
            };
            let html = self.fill(&html, language, &place, &navigation, &search_name);
            // mdBook's own ids and links are known; those that were put in are not yet.
            let contents = html::read(&html);
            write(&out.join(&path), html.as_bytes())?;
            pages.push(Page {
                language: language.code.clone(),
                path,
                len: html.len(),
                contents,
            });
        }
        if whole {
            for name in ["print.html", "404.html"] {
                let html = fs::read_to_string(rendered.join(name))
                    .with_context(|| format!("reading the rendered {name}"))?;
                let contents = html::read(&html);
                let entry = Entry {
                    name: String::new(),
                    path: name.to_owned(),
                    number: Vec::new(),
                    pages: Vec::new(),
                };
                let place = Place {
                    entry: &entry,
                    path: name,
                    contents: &contents,
                    listed: false,
                };
                let html = self.fill(&html, language, &place, &navigation, &search_name);
                write(&out.join(name), html.as_bytes())?;
                pages.push(Page {
                    language: language.code.clone(),
                    path: name.to_owned(),
                    len: html.len(),
                    contents: html::read(&html),
                });
            }
        }
        Ok(pages)
    }

    /// Puts in what mdBook does not know.
    fn fill(
        &self,
        html: &str,
        language: &Language,
        place: &Place,
        navigation: &Navigation,
        search_name: &str,
    ) -> String {
        let up = "../".repeat(place.path.matches('/').count());
        let mut html = fill_comments(html, |name| match name {
            "head" => Some(self.head(language, place)),
            "languages" => Some(self.languages(language, place, &up)),
            "nav" => Some(navigation.contents(place, &up)),
            "pager" => Some(navigation.pager(place, &up)),
            "onpage" => Some(self.on_page(language, place)),
            "notice" => Some(String::new()),
            _ => None,
        });
        html = html.replacen(
            &format!("data-search=\"{up}search.json\""),
            &format!("data-search=\"{up}{search_name}\""),
            1,
        );
        for (title, key) in [
            ("Note", "note"),
            ("Tip", "tip"),
            ("Important", "important"),
            ("Warning", "warning"),
            ("Caution", "caution"),
        ] {
            let word = escape(&self.project.word(key, &language.code));
            if word != title {
                html = html.replace(&format!("</svg>{title}</p>"), &format!("</svg>{word}</p>"));
            }
        }
        html
    }

    /// `<link>`s and `<meta>`s for search engines and for who shares the page.
    fn head(&self, language: &Language, place: &Place) -> String {
        let mut head = String::new();
        let description = description(place.contents)
            .unwrap_or_else(|| self.project.word("book-description", &language.code));
        let description = escape(&description);
        let _ = write!(
            head,
            "<meta name=\"description\" content=\"{description}\">"
        );
        if !place.listed {
            return head;
        }
        let url = |code: &str| self.page_url(code, place.path);
        let _ = write!(
            head,
            "\n<link rel=\"canonical\" href=\"{}\">",
            url(&language.code)
        );
        for other in &self.project.languages {
            let _ = write!(
                head,
                "\n<link rel=\"alternate\" hreflang=\"{}\" href=\"{}\">",
                other.code,
                url(&other.code)
            );
        }
        let _ = write!(
            head,
            "\n<link rel=\"alternate\" hreflang=\"x-default\" href=\"{}\">",
            url(self.widest_language())
        );
        let book = escape(&self.project.word("book-title", &language.code));
        let title = escape(&place.entry.name);
        let locale = escape(&self.project.word("locale", &language.code));
        let _ = write!(
            head,
            "\n<meta property=\"og:type\" content=\"article\">\
             \n<meta property=\"og:site_name\" content=\"{book}\">\
             \n<meta property=\"og:title\" content=\"{title}\">\
             \n<meta property=\"og:description\" content=\"{description}\">\
             \n<meta property=\"og:url\" content=\"{}\">\
             \n<meta property=\"og:locale\" content=\"{locale}\">",
            url(&language.code)
        );
        head
    }

    /// The language that a reader of none of the book's languages is most likely to read.
    fn widest_language(&self) -> &str {
        let english = self.project.language("en");
        english.map_or(&self.project.languages[0].code, |language| &language.code)
    }

    fn page_url(&self, language: &str, path: &str) -> String {
        let path = path.strip_suffix("index.html").unwrap_or(path);
        format!("{}{language}/{path}", self.base_url)
    }

    fn languages(&self, language: &Language, place: &Place, up: &str) -> String {
        self.project
            .languages
            .iter()
            .filter(|other| other.code != language.code)
            .map(|other| {
                format!(
                    "<a class=\"language\" href=\"{up}../{code}/{}\" hreflang=\"{code}\" lang=\"{code}\" rel=\"alternate\">{}</a>",
                    place.path,
                    escape(&self.project.word("language-name", &other.code)),
                    code = other.code,
                )
            })
            .collect()
    }

    fn on_page(&self, language: &Language, place: &Place) -> String {
        let headings: Vec<_> = place
            .contents
            .headings
            .iter()
            .filter(|heading| heading.level == 2 && !heading.id.is_empty())
            .collect();
        if headings.is_empty() {
            return String::new();
        }
        let mut html = format!(
            "<nav class=\"onpage\" aria-label=\"{}\"><ol>",
            escape(&self.project.word("on-this-page", &language.code))
        );
        for heading in headings {
            let _ = write!(
                html,
                "<li><a href=\"#{}\">{}</a></li>",
                escape(&heading.id),
                escape(&heading.text)
            );
        }
        html.push_str("</ol></nav>");
        html
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
        let src = self.project.root.join(&language.src);
        copy_tree(&src, &out, &|path| {
            path.extension()
                .is_none_or(|extension| extension != "md" && extension != "toml")
        })
    }

    /// The files at the site's root.
    fn root_files(&self) -> Result<()> {
        let chooser = self.chooser()?;
        write(&self.out.join("index.html"), chooser.as_bytes())?;
        // A host serves one 404 page, whatever the language; its `<base>` makes its links right.
        let first = &self.project.languages[0].code;
        let not_found = fs::read(self.out.join(first).join("404.html"))?;
        write(&self.out.join("404.html"), &not_found)?;
        write(&self.out.join("sitemap.xml"), self.sitemap().as_bytes())?;
        let robots = format!(
            "User-agent: *\nAllow: /\nSitemap: {}sitemap.xml\n",
            self.base_url
        );
        write(&self.out.join("robots.txt"), robots.as_bytes())?;
        write(&self.out.join(".nojekyll"), b"")
    }

    fn chooser(&self) -> Result<String> {
        let file = self.project.root.join("theme/chooser.html");
        let template =
            fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        let languages = &self.project.languages;
        let first = &languages[0].code;
        let word = |key: &str, code: &str| escape(&self.project.word(key, code));
        let text = repeat(&template, |part| {
            languages
                .iter()
                .map(|language| {
                    let code = &language.code;
                    part.replace("{{code}}", code)
                        .replace("{{name}}", &word("language-name", code))
                        .replace("{{title}}", &word("book-title", code))
                        .replace("{{description}}", &word("book-description", code))
                        .replace("{{home}}", &format!("{code}/index.html"))
                })
                .collect()
        });
        let codes: Vec<String> = languages
            .iter()
            .map(|language| format!("'{}'", language.code))
            .collect();
        let titles: Vec<String> = languages
            .iter()
            .map(|language| word("book-title", &language.code))
            .collect();
        let favicon = fs::read_dir(self.out.join(first))?
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .find(|name| name.starts_with("favicon") && name.ends_with(".svg"))
            .unwrap_or_default();
        let mut head = format!(
            "<meta name=\"description\" content=\"{}\">\n<link rel=\"canonical\" href=\"{}\">",
            word("book-description", first),
            self.base_url,
        );
        for language in languages {
            let _ = write!(
                head,
                "\n<link rel=\"alternate\" hreflang=\"{code}\" href=\"{}{code}/\">",
                self.base_url,
                code = language.code,
            );
        }
        Ok(text
            .replace("{{default}}", first)
            .replace("{{title}}", &titles.join(" · "))
            .replace("{{codes}}", &format!("[{}]", codes.join(", ")))
            .replace("{{favicon}}", &format!("{first}/{favicon}"))
            .replace("<!--site:head-->", &head))
    }

    fn sitemap(&self) -> String {
        let mut xml = String::from(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\" xmlns:xhtml=\"http://www.w3.org/1999/xhtml\">\n",
        );
        for (code, summary) in &self.summaries {
            for entry in summary.pages() {
                let path = entry.html_path();
                let _ = write!(xml, "<url><loc>{}</loc>", self.page_url(code, &path));
                for language in &self.project.languages {
                    let _ = write!(
                        xml,
                        "<xhtml:link rel=\"alternate\" hreflang=\"{}\" href=\"{}\"/>",
                        language.code,
                        self.page_url(&language.code, &path)
                    );
                }
                xml.push_str("</url>\n");
            }
        }
        xml.push_str("</urlset>\n");
        xml
    }
}

/// One page among the others.
struct Place<'a> {
    entry: &'a Entry,
    path: &'a str,
    contents: &'a Contents,
    /// Whether it is in the contents: the style guide, the print page and the 404 page are not.
    listed: bool,
}

/// The contents beside each page and the way to the next.
struct Navigation<'a> {
    build: &'a Build<'a>,
    language: &'a Language,
    summary: &'a Summary,
    order: Vec<&'a Entry>,
}

impl<'a> Navigation<'a> {
    fn new(build: &'a Build<'a>, language: &'a Language, summary: &'a Summary) -> Self {
        Self {
            build,
            language,
            order: summary.pages(),
            summary,
        }
    }

    /// All chapters; the pages of the current one.
    fn contents(&self, place: &Place, up: &str) -> String {
        let mut html = String::from("<ol class=\"toc\">");
        for entry in &self.summary.entries {
            let open = entry.path == place.entry.path
                || entry.pages.iter().any(|page| page.path == place.entry.path);
            let class = match (entry.number.is_empty(), open) {
                (true, _) => "",
                (false, false) => " class=\"chapter\"",
                (false, true) => " class=\"chapter open\"",
            };
            let _ = write!(html, "<li{class}>{}", self.link(entry, place, up));
            if open && !entry.pages.is_empty() {
                html.push_str("<ol>");
                for page in &entry.pages {
                    let _ = write!(html, "<li>{}</li>", self.link(page, place, up));
                }
                html.push_str("</ol>");
            }
            html.push_str("</li>");
        }
        html.push_str("</ol>");
        html
    }

    fn link(&self, entry: &Entry, place: &Place, up: &str) -> String {
        let current = if entry.path == place.entry.path {
            " aria-current=\"page\""
        } else {
            ""
        };
        let number = match entry.number[..] {
            [chapter] => format!("<span class=\"number\">{chapter}</span> "),
            _ => String::new(),
        };
        format!(
            "<a href=\"{up}{}\"{current}>{number}{}</a>",
            entry.html_path(),
            escape(&entry.name)
        )
    }

    fn pager(&self, place: &Place, up: &str) -> String {
        let Some(at) = self
            .order
            .iter()
            .position(|entry| entry.path == place.entry.path)
        else {
            return String::new();
        };
        let word = |key: &str| escape(&self.build.project.word(key, &self.language.code));
        let mut html = format!("<nav class=\"pager\" aria-label=\"{}\">", word("pager"));
        let mut turn = |rel: &str, key: &str, entry: Option<&&Entry>| {
            if let Some(entry) = entry {
                let _ = write!(
                    html,
                    "<a rel=\"{rel}\" href=\"{up}{}\"><span>{}</span> {}</a>",
                    entry.html_path(),
                    word(key),
                    escape(&entry.name)
                );
            }
        };
        turn(
            "prev",
            "previous",
            at.checked_sub(1).and_then(|i| self.order.get(i)),
        );
        turn("next", "next", self.order.get(at + 1));
        html.push_str("</nav>");
        html
    }
}

/// What the search knows of each page.
fn documents<'a>(
    summary: &'a Summary,
    entries: &[&'a Entry],
    contents: &[Contents],
    paths: &'a [String],
) -> Vec<search::Document<'a>> {
    let chapter_of = |path: &str| {
        summary
            .entries
            .iter()
            .find(|chapter| {
                chapter.path == path || chapter.pages.iter().any(|page| page.path == path)
            })
            .map_or("", |chapter| chapter.name.as_str())
    };
    entries
        .iter()
        .zip(contents)
        .zip(paths)
        .map(|((entry, contents), path)| search::Document {
            path,
            title: &entry.name,
            chapter: chapter_of(&entry.path),
            headings: contents
                .headings
                .iter()
                .map(|heading| heading.text.clone())
                .collect(),
            text: contents.text.clone(),
        })
        .collect()
}

/// The page's first paragraph, cut at a word.
fn description(contents: &Contents) -> Option<String> {
    let text = contents.first_paragraph.as_str();
    if text.is_empty() {
        return None;
    }
    if text.chars().count() <= DESCRIPTION_MOST {
        return Some(text.to_owned());
    }
    let cut: String = text.chars().take(DESCRIPTION_MOST - 1).collect();
    let cut = cut.rsplit_once(' ').map_or(cut.as_str(), |(cut, _)| cut);
    Some(format!("{}…", cut.trim_end_matches([',', '.', ':', ';'])))
}

/// Replaces each `<!--site:NAME-->` by what `with` gives for it.
fn fill_comments(html: &str, with: impl Fn(&str) -> Option<String>) -> String {
    const OPEN: &str = "<!--site:";
    let mut filled = String::with_capacity(html.len() + 4096);
    let mut rest = html;
    while let Some(at) = rest.find(OPEN) {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        let name = rest[OPEN.len()..].split("-->").next().unwrap_or_default();
        match with(name) {
            Some(text) => {
                filled.push_str(&text);
                rest = &rest[OPEN.len() + name.len() + "-->".len()..];
            }
            None => {
                filled.push_str(OPEN);
                rest = &rest[OPEN.len()..];
            }
        }
    }
    filled.push_str(rest);
    filled
}

/// Replaces each `{{#language}}…{{/language}}` by what `with` makes of its inside.
fn repeat(template: &str, with: impl Fn(&str) -> String) -> String {
    const OPEN: &str = "{{#language}}";
    const CLOSE: &str = "{{/language}}";
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once(OPEN) {
        text.push_str(before);
        let (part, after) = after.split_once(CLOSE).unwrap_or((after, ""));
        text.push_str(&with(part));
        rest = after;
    }
    text.push_str(rest);
    text
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

fn short_digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .take(4)
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    }
    fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}

fn copy_tree(from: &Path, to: &Path, wanted: &dyn Fn(&Path) -> bool) -> Result<()> {
    let Ok(entries) = fs::read_dir(from) else {
        return Ok(());
    };
    for entry in entries {
        let path = entry?.path();
        let Some(name) = path.file_name() else {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_of_the_site_are_filled_and_others_stay() {
        let html = "<!--site:nav--><p><!-- note --><!--site:else--></p>";
        let filled = fill_comments(html, |name| (name == "nav").then(|| "NAV".to_owned()));
        assert_eq!(filled, "NAV<p><!-- note --><!--site:else--></p>");
    }

    #[test]
    fn a_description_is_cut_at_a_word() {
        let contents = Contents {
            first_paragraph: "연결은 두 프로세스 사이의 약속입니다. ".repeat(20),
            ..Contents::default()
        };
        let description = description(&contents).unwrap();
        assert!(description.chars().count() <= DESCRIPTION_MOST);
        assert!(description.ends_with('…'), "{description}");
    }

    #[test]
    fn the_path_of_an_address_is_what_follows_the_host() {
        assert_eq!(path_of("https://host.example/book/"), "/book/");
        assert_eq!(path_of("https://host.example"), "/");
    }
}
