//! The term table has every language and its terms their places; the RFC table names the successors
//! that it points to; the choice guide advises something whatever is answered.

use std::collections::BTreeMap;

use super::line_in;
use crate::problem::{Problem, nearest};
use crate::project::{Project, Way};
use crate::sync::Texts;

pub fn check(project: &Project, texts: &Texts) -> Vec<Problem> {
    let mut findings = Vec::new();
    let terms = project.root.join("src/terms.toml");
    for term in &project.terms {
        let name = term.names.values().next().map_or("", String::as_str);
        if let Some((path, id)) = term.place() {
            let wrong = wrong_place(texts, path, id);
            findings.extend(wrong.map(|wrong| {
                Problem::new(
                    "src/terms.toml",
                    line_in(&terms, name),
                    format!("term `{name}` is said to be explained where {wrong}"),
                    "name the page and the heading: `at = \"ch05-tcp/segment.md#window\"`",
                )
            }));
        }
        for language in &project.languages {
            let code = &language.code;
            for (what, there) in [
                ("name", term.names.contains_key(code)),
                ("definition", term.what.contains_key(code)),
            ] {
                if !there {
                    let key = if what == "name" { "" } else { "what." };
                    findings.push(Problem::new(
                        "src/terms.toml",
                        line_in(&terms, name),
                        format!("term `{name}` has no {what} in `{code}`"),
                        format!("add `{key}{code} = \"…\"`"),
                    ));
                }
            }
        }
    }
    let rfcs = project.root.join("src/rfc.toml");
    for (number, rfc) in &project.rfcs {
        for successor in &rfc.obsoleted_by {
            if !project.rfcs.contains_key(successor) {
                findings.push(Problem::new(
                    "src/rfc.toml",
                    line_in(&rfcs, &format!("[rfc.{number}]")),
                    format!("RFC {number} points to RFC {successor}, which is not in the table"),
                    format!("add [rfc.{successor}] with its status from rfc-editor.org"),
                ));
            }
        }
    }
    findings.extend(choice(project, texts));
    findings
}

/// Why a place is none: its page or heading is missing.
fn wrong_place(texts: &Texts, path: &str, id: &str) -> Option<String> {
    let mut pages = texts.pages.values().filter_map(|pages| pages.get(path));
    let Some(page) = pages.next() else {
        return Some(format!("no page `{path}` is"));
    };
    let ids = || {
        page.headings
            .iter()
            .filter_map(|heading| heading.id.as_deref())
    };
    if id.is_empty() || ids().any(|one| one == id) {
        return None;
    }
    Some(format!(
        "`{path}` has no heading `{id}`; {}",
        nearest(id, ids(), "headings")
    ))
}

/// Every text in every language, every way on a page, every answer known, and a way left whatever
/// is answered.
fn choice(project: &Project, texts: &Texts) -> Vec<Problem> {
    let choice = &project.choice;
    let mut findings = Vec::new();
    let mut problem = |what: String, remedy: &str| {
        findings.push(Problem::new("src/choice.toml", 0, what, remedy));
    };
    let questions = choice.question.iter();
    let questions = questions.flat_map(|one| {
        let answers = one.option.iter().map(|answer| &answer.text);
        std::iter::once(&one.text).chain(answers)
    });
    let ways = choice.way.iter();
    let ways = ways.flat_map(|way| [&way.name, &way.when, &way.mind]);
    for text in questions.chain(ways) {
        for language in &project.languages {
            if !text.contains_key(&language.code) {
                let said = text.values().next().map_or("", String::as_str);
                problem(
                    format!("«{said}» is not said in `{}`", language.code),
                    "say it in every language",
                );
            }
        }
    }
    for way in &choice.way {
        let name = way.name.values().next().map_or("", String::as_str);
        let (path, id) = way.at.split_once('#').unwrap_or((&way.at, ""));
        if let Some(wrong) = wrong_place(texts, path, id) {
            problem(
                format!("«{name}» is said to be explained where {wrong}"),
                "name its page and heading",
            );
        }
        for (question, answers) in &way.fits {
            let known = choice.question.iter().find(|one| one.id == *question);
            let strange = answers.iter().find(|answer| {
                known.is_none_or(|known| known.option.iter().all(|one| one.id != **answer))
            });
            if let Some(answer) = strange {
                problem(
                    format!("«{name}» fits `{answer}` of `{question}`, which nobody is asked"),
                    "use the ids of the questions and their options",
                );
            }
        }
    }
    // Every combination of answers, as the digits of a number to mixed bases.
    let mut answered: BTreeMap<&str, usize> = BTreeMap::new();
    let combinations: usize = choice.question.iter().map(|one| one.option.len()).product();
    for number in 0..combinations {
        let mut rest = number;
        for question in &choice.question {
            answered.insert(&question.id, rest % question.option.len());
            rest /= question.option.len();
        }
        let given = |question: &str| {
            let asked = choice.question.iter().find(|one| one.id == question)?;
            Some(&asked.option[*answered.get(question)?].id)
        };
        let remains = |way: &Way| {
            let mut fits = way.fits.iter();
            fits.all(|(question, answers)| given(question).is_none_or(|id| answers.contains(id)))
        };
        if !choice.question.is_empty() && !choice.way.iter().any(remains) {
            let answers: Vec<String> = choice
                .question
                .iter()
                .filter_map(|one| Some(format!("{} = {}", one.id, given(&one.id)?)))
                .collect();
            problem(
                format!("no way remains for {}", answers.join(", ")),
                "let one fit, or do not ask what rules all out",
            );
        }
    }
    findings
}
