//! The preprocessor for plain `mdbook build`: the same pages, without what only the site has.

use std::io::{Read, Write};

use anyhow::{Context, Result, bail};
use mdbook_driver::book::Book;
use mdbook_preprocessor::parse_input;

use crate::directive::resolve;
use crate::page::Page;
use crate::problem::Problems;
use crate::project::Project;
use crate::sync::Texts;
use crate::theme::{self, Mode};

/// Reads mdBook's book from `input` and writes it with its directives resolved to `output`.
///
/// # Errors
///
/// When the input is not mdBook's, or a directive does not resolve.
pub fn preprocess(input: impl Read, mut output: impl Write) -> Result<()> {
    let (context, book) = parse_input(input)?;
    let project = Project::load(&context.root)?;
    let src = context.config.book.src.clone();
    let Some(language) = project
        .languages
        .iter()
        .find(|language| language.src == src)
    else {
        bail!("{} is no language of this book", src.display());
    };
    let folder = project.root.join(theme::PLAIN_FOLDER);
    theme::write(&project, language, Mode::Plain, &folder)?;
    let texts = Texts::load(&project)?;
    let book = resolve_book(&project, &texts, &language.code, book)?;
    serde_json::to_writer(&mut output, &book).context("writing the book to mdBook")?;
    Ok(())
}

fn resolve_book(project: &Project, texts: &Texts, language: &str, mut book: Book) -> Result<Book> {
    let mut problems = Vec::new();
    book.for_each_chapter_mut(|chapter| {
        let Some(path) = &chapter.source_path else {
            return;
        };
        let path = path.to_string_lossy().replace('\\', "/");
        let file = format!("src/{language}/{path}");
        let page = Page::parse(language, path, file, chapter.content.as_str());
        let resolved = resolve(project, texts, &page);
        problems.extend(resolved.problems);
        chapter.content = resolved.text;
    });
    if problems.is_empty() {
        Ok(book)
    } else {
        Err(Problems(problems).into())
    }
}
