//! Colours code when the book is built, so that no page needs a script for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use syntect::parsing::{ParseState, Scope, ScopeStack, SyntaxReference, SyntaxSet};

/// The class of the spans for each kind of token, by the beginning of its TextMate scope. The
/// first that fits the innermost scope wins, so the narrower stand above the wider.
const CLASSES: &[(&str, &str)] = &[
    ("comment", "c"),
    ("punctuation.definition.comment", "c"),
    ("string", "s"),
    ("constant.character.escape", "n"),
    ("punctuation.definition.string", "s"),
    ("constant", "n"),
    ("entity.name.function", "f"),
    ("support.function", "f"),
    ("variable.function", "f"),
    ("meta.annotation", "m"),
    ("variable.annotation", "m"),
    ("support.macro", "m"),
    ("entity.name.macro", "m"),
    ("storage.type.numeric", "n"),
    ("storage.type.function", "k"),
    ("storage.type", "k"),
    ("storage.modifier", "k"),
    ("keyword.operator", ""),
    ("keyword", "k"),
    ("entity.name.tag", "k"),
    ("entity.other.attribute-name", "t"),
    ("entity.name", "t"),
    ("support.type", "t"),
    ("support.class", "t"),
    ("variable.language", "k"),
    ("markup.inserted", "i"),
    ("markup.deleted", "d"),
];

/// Code as HTML: escaped, its tokens in `<span class="…">`.
///
/// `console` is a shell session: what follows `$ ` is a command, the rest is its output.
/// A language that is not known, or `text`, is escaped only.
pub fn highlight(code: &str, language: &str) -> Arc<str> {
    /// Languages show the same code, and `serve` builds the same pages again and again.
    static DONE: Mutex<BTreeMap<(String, String), Arc<str>>> = Mutex::new(BTreeMap::new());

    let key = (language.to_owned(), code.trim_end_matches('\n').to_owned());
    let done = || DONE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(html) = done().get(&key) {
        return Arc::clone(html);
    }
    let code = key.1.as_str();
    let html: Arc<str> = match (language, syntax(language)) {
        ("console", _) => console(code),
        (_, Some(syntax)) => tokens(code, syntax),
        (_, None) => escape(code),
    }
    .into();
    done().insert(key, Arc::clone(&html));
    html
}

/// Text for an HTML text node or a quoted attribute.
pub fn escape(text: &str) -> String {
    let mut html = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            c => html.push(c),
        }
    }
    html
}

fn syntaxes() -> &'static SyntaxSet {
    static SYNTAXES: OnceLock<SyntaxSet> = OnceLock::new();
    SYNTAXES.get_or_init(two_face::syntax::extra_no_newlines)
}

fn syntax(language: &str) -> Option<&'static SyntaxReference> {
    if matches!(language, "" | "text") {
        return None;
    }
    syntaxes().find_syntax_by_token(language)
}

fn console(code: &str) -> String {
    let shell = syntax("bash");
    let lines: Vec<String> = code
        .lines()
        .map(|line| match (line.strip_prefix("$ "), shell) {
            (Some(command), Some(shell)) => {
                format!("<span class=\"p\">$ </span>{}", tokens(command, shell))
            }
            _ => escape(line),
        })
        .collect();
    lines.join("\n")
}

fn tokens(code: &str, syntax: &SyntaxReference) -> String {
    let mut html = String::with_capacity(code.len() * 2);
    let mut state = ParseState::new(syntax);
    let mut stack = ScopeStack::new();
    for (i, line) in code.lines().enumerate() {
        if i > 0 {
            html.push('\n');
        }
        // A grammar that fails on a line costs the line its colours, not the page its code.
        let Ok(parsed) = state.parse_line(line, syntaxes()) else {
            html.push_str(&escape(line));
            continue;
        };
        let mut at = 0;
        for (next, op) in parsed {
            push_token(&mut html, &line[at..next], &stack);
            at = next;
            if stack.apply(&op).is_err() {
                stack = ScopeStack::new();
            }
        }
        push_token(&mut html, &line[at..], &stack);
    }
    html
}

fn push_token(html: &mut String, text: &str, stack: &ScopeStack) {
    if text.is_empty() {
        return;
    }
    let class = class(stack);
    if class.is_empty() || text.trim().is_empty() {
        html.push_str(&escape(text));
        return;
    }
    // Neighbours of one class become one span.
    let open = format!("<span class=\"{class}\">");
    if html.ends_with("</span>")
        && html[..html.len() - "</span>".len()]
            .rfind('<')
            .is_some_and(|at| html[at..].starts_with(&open))
    {
        html.truncate(html.len() - "</span>".len());
    } else {
        html.push_str(&open);
    }
    html.push_str(&escape(text));
    html.push_str("</span>");
}

fn class(stack: &ScopeStack) -> &'static str {
    static SCOPES: OnceLock<Vec<(Scope, &'static str)>> = OnceLock::new();
    let scopes = SCOPES.get_or_init(|| {
        CLASSES
            .iter()
            .map(|&(scope, class)| {
                let scope = Scope::new(scope).expect("a scope has at most eight parts");
                (scope, class)
            })
            .collect()
    });
    for scope in stack.as_slice().iter().rev() {
        for (prefix, class) in scopes {
            if prefix.is_prefix_of(*scope) {
                return class;
            }
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rust_gets_its_classes() {
        let html = highlight("// why\nfn main() { let s = \"a<b\"; }\n", "rust");
        assert!(
            html.starts_with("<span class=\"c\">// why</span>\n"),
            "{html}"
        );
        assert!(html.contains("<span class=\"k\">fn</span>"), "{html}");
        assert!(html.contains("<span class=\"f\">main</span>"), "{html}");
        assert!(
            html.contains("<span class=\"s\">&quot;a&lt;b&quot;</span>"),
            "{html}"
        );
    }

    #[test]
    fn the_languages_of_the_book_are_known() {
        for language in [
            "rust", "toml", "json", "xml", "bash", "sh", "http", "proto", "nginx", "yaml", "js",
            "html", "css", "python", "c", "diff", "sql",
        ] {
            assert!(syntax(language).is_some(), "{language}");
        }
    }

    #[test]
    fn a_console_shows_commands_as_commands_and_output_as_text() {
        let html = highlight("$ echo \"hi\"\nhi & bye\n", "console");
        assert!(html.starts_with("<span class=\"p\">$ </span>"), "{html}");
        assert!(html.ends_with("\nhi &amp; bye"), "{html}");
    }

    #[test]
    fn what_is_not_known_is_escaped() {
        assert_eq!(
            &*highlight("<script>\"&", "nonsense"),
            "&lt;script&gt;&quot;&amp;"
        );
    }

    #[test]
    fn no_character_is_lost() {
        let code = include_str!("highlight.rs");
        let html = highlight(code, "rust");
        let mut text = String::new();
        let mut inside = false;
        for c in html.chars() {
            match c {
                '<' => inside = true,
                '>' if inside => inside = false,
                c if !inside => text.push(c),
                _ => {}
            }
        }
        assert_eq!(text, escape(code.trim_end_matches('\n')));
    }
}
