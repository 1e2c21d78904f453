//! Writes the theme that mdBook renders with: `theme/` with a language's words filled in.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};

use crate::project::{Language, Project};

/// Who renders with the theme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Plain `mdbook build`: mdBook's own contents and page turners.
    Plain,
    /// `cargo book`, which puts in its own.
    Site,
}

/// Where plain `mdbook build` looks for the theme: `book.toml` says so too.
pub const PLAIN_FOLDER: &str = "target/book/theme";

/// Writes the theme for `language` into the folder `to`.
///
/// # Errors
///
/// When a file cannot be read or written, or asks for a word that `theme/words.toml` lacks.
pub fn write(project: &Project, language: &Language, mode: Mode, to: &Path) -> Result<()> {
    copy(project, language, mode, &project.root.join("theme"), to)
}

fn copy(project: &Project, language: &Language, mode: Mode, from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("making {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let path = entry?.path();
        let Some(name) = path.file_name() else {
            continue;
        };
        let target = to.join(name);
        if path.is_dir() {
            copy(project, language, mode, &path, &target)?;
            continue;
        }
        let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let template = path
            .extension()
            .is_some_and(|extension| extension == "hbs" || extension == "md");
        let bytes = if template {
            let text = String::from_utf8(bytes)
                .with_context(|| format!("{} is not UTF-8", path.display()))?;
            fill(&text, mode, &|key| {
                let known = project.words.contains_key(key);
                known.then(|| project.word(key, &language.code))
            })
            .with_context(|| format!("in theme/{}", name.to_string_lossy()))?
            .into_bytes()
        } else {
            bytes
        };
        fs::write(&target, bytes).with_context(|| format!("writing {}", target.display()))?;
    }
    Ok(())
}

/// Fills in `{{word "key"}}` and keeps or drops what stands between `{{#plain}}` and `{{/plain}}`.
fn fill(template: &str, mode: Mode, word: &dyn Fn(&str) -> Option<String>) -> Result<String> {
    const WORD: &str = "{{word \"";
    const PLAIN: &str = "{{#plain}}";
    const END: &str = "{{/plain}}";

    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find("{{") {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix(WORD) {
            let (key, after) = after
                .split_once("\"}}")
                .ok_or_else(|| anyhow!("`{WORD}` is not closed"))?;
            let word = word(key)
                .ok_or_else(|| anyhow!("there is no word `{key}`: add it to theme/words.toml"))?;
            text.push_str(&crate::highlight::escape(&word));
            rest = after;
        } else if let Some(after) = rest.strip_prefix(PLAIN) {
            if !after.contains(END) {
                bail!("`{PLAIN}` is not closed");
            }
            match mode {
                Mode::Plain => rest = after,
                Mode::Site => rest = &after[after.find(END).map_or(0, |at| at + END.len())..],
            }
        } else if let Some(after) = rest.strip_prefix(END) {
            rest = after;
        } else {
            text.push_str("{{");
            rest = &rest[2..];
        }
    }
    text.push_str(rest);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(key: &str) -> Option<String> {
        (key == "search").then(|| "찾기 \"&\"".to_owned())
    }

    #[test]
    fn words_are_filled_in_and_escaped() {
        let text = fill(
            "<a title=\"{{word \"search\"}}\">{{ path }}</a>",
            Mode::Site,
            &word,
        );
        assert_eq!(
            text.unwrap(),
            "<a title=\"찾기 &quot;&amp;&quot;\">{{ path }}</a>"
        );
    }

    #[test]
    fn an_unknown_word_is_an_error_that_says_where_to_add_it() {
        let error = fill("{{word \"serach\"}}", Mode::Site, &word).unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no word `serach`: add it to theme/words.toml"
        );
    }

    #[test]
    fn plain_parts_are_for_plain_mdbook() {
        let template = "a{{#plain}}{{#toc}}{{word \"search\"}}{{/toc}}{{/plain}}b";
        assert_eq!(fill(template, Mode::Site, &word).unwrap(), "ab");
        assert_eq!(
            fill(template, Mode::Plain, &word).unwrap(),
            "a{{#toc}}찾기 &quot;&amp;&quot;{{/toc}}b"
        );
    }
}
