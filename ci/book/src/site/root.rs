//! The files at the site's root: the chooser, the map for search engines, the 404 page.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result};

use super::Build;
use super::folder::write;
use super::shell::page_url;
use crate::highlight::escape;

impl Build<'_> {
    /// The files at the site's root.
    pub fn root_files(&self) -> Result<()> {
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
                let _ = write!(
                    xml,
                    "<url><loc>{}</loc>",
                    page_url(self.base_url, code, &path)
                );
                for language in &self.project.languages {
                    let _ = write!(
                        xml,
                        "<xhtml:link rel=\"alternate\" hreflang=\"{}\" href=\"{}\"/>",
                        language.code,
                        page_url(self.base_url, &language.code, &path)
                    );
                }
                xml.push_str("</url>\n");
            }
        }
        xml.push_str("</urlset>\n");
        xml
    }
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
