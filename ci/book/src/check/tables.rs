//! The term table has every language; the RFC table names the successors that it points to.

use super::line_in;
use crate::problem::Problem;
use crate::project::Project;

pub fn check(project: &Project) -> Vec<Problem> {
    let mut findings = Vec::new();
    let terms = project.root.join("src/terms.toml");
    for term in &project.terms {
        let name = term.names.values().next().map_or("", String::as_str);
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
    findings
}
