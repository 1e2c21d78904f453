//! The texts of a record: prose that is translated, verbatim parts that are not, and how wide
//! either will come out.

use super::markup::Markup;

/// A piece of text in one face.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// What it says.
    pub text: String,
    /// Whether it stood between backticks.
    pub code: bool,
}

/// A record's text in the reader's language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// Its pieces, in order.
    pub runs: Vec<Run>,
    /// Whether it is still English on a page that is not, for want of a translation.
    pub untranslated: bool,
}

/// Splits a record's text at its backticks. An odd backtick stands for itself.
fn parse(text: &str) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut push = |text: &str, code| {
        if !text.is_empty() {
            runs.push(Run {
                text: text.to_owned(),
                code,
            });
        }
    };
    let mut rest = text;
    while let Some(start) = rest.find('`') {
        let Some(len) = rest[start + 1..].find('`') else {
            break;
        };
        push(&rest[..start], false);
        push(&rest[start + 1..start + 1 + len], true);
        rest = &rest[start + len + 2..];
    }
    push(rest, false);
    runs
}

/// The key under which a text's translation is looked up: each verbatim part as `{}`.
#[must_use]
pub fn key(text: &str) -> String {
    parse(text)
        .iter()
        .map(|run| if run.code { "{}" } else { run.text.as_str() })
        .collect()
}

/// Whether there is anything to translate: a letter outside the verbatim parts.
#[must_use]
pub fn has_prose(text: &str) -> bool {
    parse(text)
        .iter()
        .any(|run| !run.code && run.text.chars().any(char::is_alphabetic))
}

/// Whether the text's backticks come in pairs.
#[must_use]
pub fn is_well_formed(text: &str) -> bool {
    text.matches('`').count().is_multiple_of(2)
}

/// Puts a text into the reader's language.
pub fn translate(text: &str, language: &str, labels: &dyn Fn(&str) -> Option<String>) -> Words {
    let original = parse(text);
    if !has_prose(text) {
        return Words {
            runs: original,
            untranslated: false,
        };
    }
    let Some(translation) = labels(&key(text)) else {
        return Words {
            runs: original,
            untranslated: language != "en",
        };
    };
    let mut verbatim = original.into_iter().filter(|run| run.code);
    let mut runs: Vec<Run> = Vec::new();
    for (index, prose) in translation.split("{}").enumerate() {
        if index > 0
            && let Some(run) = verbatim.next()
        {
            runs.push(run);
        }
        if !prose.is_empty() {
            runs.push(Run {
                text: prose.to_owned(),
                code: false,
            });
        }
    }
    Words {
        runs,
        untranslated: false,
    }
}

impl Words {
    /// Words that are no record's: the book's own.
    #[must_use]
    pub fn plain(text: &str) -> Self {
        Self {
            runs: vec![Run {
                text: text.to_owned(),
                code: false,
            }],
            untranslated: false,
        }
    }

    /// The text without its faces.
    #[must_use]
    pub fn to_plain(&self) -> String {
        self.runs.iter().map(|run| run.text.as_str()).collect()
    }

    /// Writes it into an HTML element.
    pub fn html(&self, out: &mut Markup) {
        if self.untranslated {
            out.open("span", &[("lang", &"en")]);
        }
        for run in &self.runs {
            if run.code {
                out.element("code", &[], &run.text);
            } else {
                out.text(&run.text);
            }
        }
        if self.untranslated {
            out.close();
        }
    }

    /// Breaks it into lines no wider than `width`, at spaces where there are any.
    #[must_use]
    pub fn wrap(&self, size: f64, width: f64) -> Vec<Vec<Run>> {
        let mut lines: Vec<Vec<Run>> = Vec::new();
        let mut line: Vec<Run> = Vec::new();
        let mut used = 0.0;
        for run in &self.runs {
            for word in run.text.split_inclusive(' ') {
                let word_width = run_width(word.trim_end(), run.code, size);
                if used > 0.0 && used + word_width > width && breaks_before(&line) {
                    lines.push(std::mem::take(&mut line));
                    used = 0.0;
                }
                used += run_width(word, run.code, size);
                match line.last_mut() {
                    Some(last) if last.code == run.code => last.text.push_str(word),
                    _ => line.push(Run {
                        text: word.to_owned(),
                        code: run.code,
                    }),
                }
            }
        }
        if !line.is_empty() {
            lines.push(line);
        }
        lines
    }
}

/// Whether a line may end where it ends now: `{}을` is not torn apart.
fn breaks_before(line: &[Run]) -> bool {
    line.last().is_some_and(|run| run.text.ends_with(' '))
}

/// How wide lines come out, in the unit of `size`.
#[must_use]
pub fn width(lines: &[Vec<Run>], size: f64) -> f64 {
    lines
        .iter()
        .map(|line| {
            let mut runs: Vec<&Run> = line.iter().collect();
            let last = runs.pop();
            runs.iter()
                .map(|run| run_width(&run.text, run.code, size))
                .chain(last.map(|run| run_width(run.text.trim_end(), run.code, size)))
                .sum::<f64>()
        })
        .fold(0.0, f64::max)
}

/// An estimate on the wide side, since no font is at hand: Latin as wide as Verdana sets it, Hangul
/// and its like a whole em.
fn run_width(text: &str, code: bool, size: f64) -> f64 {
    text.chars()
        .map(|c| {
            if is_wide(c) {
                1.0
            } else if code {
                0.6
            } else {
                match c {
                    'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' => 0.33,
                    'f' | 'r' | 't' | ' ' | '(' | ')' | '/' | '-' => 0.38,
                    'm' | 'w' | 'M' | 'W' | '→' | '…' => 0.95,
                    c if c.is_ascii_uppercase() => 0.7,
                    _ => 0.63,
                }
            }
        })
        .sum::<f64>()
        * size
}

fn is_wide(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{11ff}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7af}'
        | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe4f}' | '\u{ff00}'..='\u{ff60}'
        | '\u{1f300}'..='\u{1faff}' | '\u{20000}'..='\u{3fffd}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn korean(key: &str) -> Option<String> {
        (key == "the service on port {}").then(|| "포트 {}의 서비스".to_owned())
    }

    #[test]
    fn verbatim_parts_survive_translation() {
        let words = translate("the service on port `8080`", "ko", &korean);
        assert_eq!(words.to_plain(), "포트 8080의 서비스");
        assert!(!words.untranslated);
        assert!(words.runs[1].code);
    }

    #[test]
    fn a_text_without_translation_is_marked_as_english() {
        assert!(translate("lost", "ko", &korean).untranslated);
        assert!(!translate("lost", "en", &korean).untranslated);
        assert!(!translate("`SYN`", "ko", &korean).untranslated);
    }

    #[test]
    fn placeholders_too_many_or_too_few_do_no_harm() {
        let many = |_: &str| Some("{} {} {}".to_owned());
        assert_eq!(translate("a `1`", "ko", &many).to_plain(), "1  ");
        let none = |_: &str| Some("없음".to_owned());
        assert_eq!(translate("a `1`", "ko", &none).to_plain(), "없음");
    }

    #[test]
    fn an_odd_backtick_stands_for_itself() {
        assert_eq!(key("a `b` c ` d"), "a {} c ` d");
        assert!(!is_well_formed("a ` b"));
    }

    #[test]
    fn only_prose_is_for_translators() {
        assert!(has_prose("port `1`"));
        assert!(!has_prose("`SYN`, `ACK`"));
        assert!(!has_prose("12.5 / 3"));
    }

    #[test]
    fn lines_keep_to_the_width_and_hangul_counts_double() {
        let words = Words::plain("서버가 연결을 받아들입니다");
        let lines = words.wrap(10.0, 75.0);
        assert_eq!(lines.len(), 2);
        assert!(width(&lines, 10.0) <= 75.0);
        assert!(run_width("한글", false, 10.0) > run_width("ab", false, 10.0));
    }

    #[test]
    fn a_particle_stays_with_the_word_it_belongs_to() {
        let words = translate("the service on port `8080`", "ko", &korean);
        let lines = words.wrap(10.0, 60.0);
        assert!(lines.iter().any(|line| {
            line.iter()
                .map(|run| run.text.as_str())
                .collect::<String>()
                .contains("8080의")
        }));
    }
}
