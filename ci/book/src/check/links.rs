//! Every link of the built site leads to a page that is there, and to a place on it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::line_in;
use crate::html::{self, Contents};
use crate::problem::{Problem, nearest};
use crate::project::Project;
use crate::site::{Page, Site};

pub fn check(project: &Project, site: &Site, out: &Path) -> Vec<Problem> {
    let pages: BTreeMap<PathBuf, (&Page, Contents)> = site
        .pages
        .iter()
        .map(|page| {
            let path = Path::new(&page.language).join(&page.path);
            (path, (page, html::read(&page.html)))
        })
        .collect();
    let known: Vec<String> = pages
        .keys()
        .map(|path| path.to_string_lossy().into_owned())
        .collect();
    let mut findings = Vec::new();
    for (path, (page, contents)) in &pages {
        let mut seen = BTreeSet::new();
        for link in &contents.links {
            if !seen.insert(link) || is_external(link) {
                continue;
            }
            let (to, fragment) = link.split_once('#').unwrap_or((link, ""));
            let to = to.split('?').next().unwrap_or_default();
            let target = match to {
                "" => Some(path.clone()),
                to => resolve(path, to),
            };
            let Some(target) = target else {
                let (file, line) = source(project, page, link);
                findings.push(Problem::new(
                    file,
                    line,
                    format!("links to `{link}`, which leads out of the site"),
                    "write the way from this page; the site need not stand at its host's root",
                ));
                continue;
            };
            let target =
                if to.ends_with('/') || fs::metadata(out.join(&target)).is_ok_and(|m| m.is_dir()) {
                    target.join("index.html")
                } else {
                    target
                };
            let what = match pages.get(&target) {
                Some((_, there)) => {
                    let fragment = decode(fragment);
                    if fragment.is_empty() || there.ids.contains(&fragment) {
                        continue;
                    }
                    Err((fragment, &there.ids))
                }
                None if out.join(&target).is_file() => continue,
                None => Ok(()),
            };
            let (file, line) = source(project, page, link);
            findings.push(match what {
                Ok(()) => Problem::new(
                    file,
                    line,
                    format!("links to `{link}`, which is not there"),
                    nearest(
                        &target.to_string_lossy(),
                        known.iter().map(String::as_str),
                        "pages",
                    ),
                ),
                Err((fragment, ids)) => Problem::new(
                    file,
                    line,
                    format!("links to `{link}`, a page that has no `#{fragment}`"),
                    nearest(&fragment, ids.iter().map(String::as_str), "ids on it"),
                ),
            });
        }
    }
    findings
}

fn is_external(link: &str) -> bool {
    link.starts_with("//")
        || link.split_once(':').is_some_and(|(scheme, _)| {
            !scheme.is_empty()
                && scheme
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        })
}

/// Where a relative link on a page leads, below the site's root; nothing if it leads out of it.
fn resolve(page: &Path, link: &str) -> Option<PathBuf> {
    if link.starts_with('/') {
        return None;
    }
    let mut target = page.to_owned();
    target.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." if !target.pop() => return None,
            ".." => {}
            part => target.push(decode(part)),
        }
    }
    Some(target)
}

/// Undoes percent encoding; what is not such stays.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let byte = (*first == b'%')
            .then(|| html::percent_encoded(after))
            .flatten();
        rest = if byte.is_some() { &after[2..] } else { after };
        bytes.push(byte.unwrap_or(*first));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The Markdown file and line that the link comes from, as far as it can be told.
fn source(project: &Project, page: &Page, link: &str) -> (PathBuf, usize) {
    let markdown = page.path.replace(".html", ".md");
    let file = Path::new("src").join(&page.language).join(&markdown);
    let line = [link.to_owned(), link.replace(".html", ".md")]
        .iter()
        .map(|link| line_in(&project.root.join(&file), link))
        .find(|line| *line > 0);
    match line {
        Some(line) => (file, line),
        None if project.root.join(&file).is_file() => (file, 0),
        None => (Path::new(&page.language).join(&page.path), 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_links_count_from_their_page() {
        let page = Path::new("ko/ch01-basics/ports.html");
        assert_eq!(
            resolve(page, "../glossary.html"),
            Some("ko/glossary.html".into())
        );
        assert_eq!(
            resolve(page, "../../en/ch01-basics/ports.html"),
            Some("en/ch01-basics/ports.html".into())
        );
    }

    #[test]
    fn a_link_can_lead_out_of_the_site() {
        let page = Path::new("ko/ch01-basics/ports.html");
        assert_eq!(resolve(page, "../../index.html"), Some("index.html".into()));
        assert_eq!(resolve(page, "../../../index.html"), None);
        assert_eq!(resolve(page, "/ko/index.html"), None);
    }

    #[test]
    fn schemes_are_external_and_paths_are_not() {
        assert!(is_external("https://example.com/a:b"));
        assert!(is_external("mailto:a@b"));
        assert!(!is_external("a/b.html#c"));
        assert!(!is_external("#a:b"));
    }
}
