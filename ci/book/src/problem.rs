//! What is wrong in the book, where, and what to do about it.

use std::fmt;
use std::path::{Path, PathBuf};

/// One thing that is wrong with the book.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file, relative to the project's root.
    pub file: PathBuf,
    /// The line, counted from 1; 0 where the whole file is meant.
    pub line: usize,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl Problem {
    pub fn new(
        file: impl AsRef<Path>,
        line: usize,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            file: file.as_ref().to_owned(),
            line,
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}\n    → {}", self.what, self.remedy)
    }
}

/// Problems that keep the book from being built, as an error.
#[derive(Debug)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The remedy for an unknown name: the names that come nearest to it.
///
/// `kind` is a plural, such as «listings».
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>, kind: &str) -> String {
    /// How many names a reader can take in at a glance.
    const MOST: usize = 3;

    let mut known: Vec<(f64, &str)> = known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .collect();
    known.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    if known.is_empty() {
        return format!("there are no {kind}");
    }
    let names: Vec<String> = known
        .iter()
        .take(MOST)
        .map(|(_, name)| format!("`{name}`"))
        .collect();
    format!("the nearest {kind}: {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_as_file_line_what_and_remedy() {
        let problem = Problem::new(
            "src/ko/index.md",
            7,
            "no listing `tcp-handshke`",
            "write it right",
        );
        assert_eq!(
            problem.to_string(),
            "src/ko/index.md:7: no listing `tcp-handshke`\n    → write it right"
        );
    }

    #[test]
    fn the_nearest_name_comes_first() {
        let remedy = nearest(
            "basics-port",
            ["basics-connection", "basics-ports", "tcp-close"],
            "listings",
        );
        assert_eq!(
            remedy,
            "the nearest listings: `basics-ports`, `basics-connection`, `tcp-close`"
        );
        assert_eq!(nearest("x", [], "listings"), "there are no listings");
    }
}
