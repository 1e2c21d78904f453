//! `cargo book list`: the listings by chapter.

use std::fmt::Write as _;

use crate::project::Project;
use crate::recording::RUN;

/// Each chapter's listings: what they show, what they need, how to run them.
pub fn list(project: &Project) -> String {
    let mut text = String::new();
    let mut chapter = None;
    let mut listings: Vec<_> = project.listings.values().collect();
    listings.sort_by(|a, b| (&a.chapter, &a.name).cmp(&(&b.chapter, &b.name)));
    for listing in listings {
        if chapter != Some(&listing.chapter) {
            if chapter.is_some() {
                text.push('\n');
            }
            chapter = Some(&listing.chapter);
            let of_all = "for all chapters";
            let _ = writeln!(text, "{}", listing.chapter.as_deref().unwrap_or(of_all));
        }
        let what = listing.what_in("en").unwrap_or_default();
        let _ = writeln!(text, "  {}\n      {what}", listing.command(RUN));
        if !listing.needs.is_empty() {
            let _ = writeln!(text, "      needs {}", listing.needs.join(", "));
        }
    }
    text
}
