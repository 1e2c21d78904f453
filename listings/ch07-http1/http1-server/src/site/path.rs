//! The path of a target, taken apart.

use std::fmt;

/// A path that names something that there could be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// What stands between the slashes, decoded: none is empty, has a slash or NUL in it, or begins
    /// with a dot.
    pub segments: Vec<String>,
    /// Whether a slash ends it: then it means a folder.
    pub ends_in_slash: bool,
}

/// What a path is that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// Not written as paths are.
    Malformed,
    /// Of something that nobody is to have: a hidden file, or a way out of the folder.
    Nowhere,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "this is not a path",
            Self::Nowhere => "nothing is here",
        })
    }
}

impl std::error::Error for Wrong {}

// ANCHOR: path
impl Path {
    /// Takes a path apart, and only then decodes what was found: `%2F` is a part of a name, and `%2e%2e`
    /// is `..`.
    ///
    /// A client has resolved `.` and `..` before it asks (RFC 3986 §5.2.4): who sends them wants to
    /// get out of the folder. Names that begin with a dot are hidden, such as `.git` and `.env`.
    ///
    /// # Errors
    ///
    /// When it does not begin with a slash, when a `%` is not followed by two hexadecimal digits, or when
    /// a name is no text (UTF-8) or has NUL in it; and when it leads nowhere.
    pub fn parse(path: &[u8]) -> Result<Self, Wrong> {
        let path = path.strip_prefix(b"/").ok_or(Wrong::Malformed)?;
        let ends_in_slash = path.is_empty() || path.ends_with(b"/");
        let mut segments = Vec::new();
        if !path.is_empty() {
            let path = path.strip_suffix(b"/").unwrap_or(path);
            for segment in path.split(|byte| *byte == b'/') {
                let name = String::from_utf8(decode(segment)?).map_err(|_| Wrong::Malformed)?;
                if name.contains('\0') {
                    return Err(Wrong::Malformed);
                }
                // Windows separates names by backslashes, too, and has other meanings for a colon.
                if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', ':']) {
                    return Err(Wrong::Nowhere);
                }
                segments.push(name);
            }
        }
        Ok(Self {
            segments,
            ends_in_slash,
        })
    }
}

fn decode(segment: &[u8]) -> Result<Vec<u8>, Wrong> {
    let mut decoded = Vec::with_capacity(segment.len());
    let mut rest = segment;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        decoded.push(match byte {
            b'%' => {
                let ([high, low], after) = rest.split_first_chunk().ok_or(Wrong::Malformed)?;
                rest = after;
                hex(*high)? << 4 | hex(*low)?
            }
            byte => *byte,
        });
    }
    Ok(decoded)
}
// ANCHOR_END: path

fn hex(digit: u8) -> Result<u8, Wrong> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(Wrong::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_decoded_name_by_name() {
        for (path, expected, ends_in_slash) in [
            ("/", &[][..], true),
            ("/a", &["a"], false),
            ("/a/", &["a"], true),
            ("/a/b.txt", &["a", "b.txt"], false),
            ("/%61%2Etxt", &["a.txt"], false),
            ("/a%20b", &["a b"], false),
            ("/a+b", &["a+b"], false),
            ("/100%25", &["100%"], false),
            ("/%EC%8B%9C", &["시"], false),
        ] {
            let path = Path::parse(path.as_bytes()).unwrap();
            assert_eq!(path.segments, expected);
            assert_eq!(path.ends_in_slash, ends_in_slash);
        }
    }

    #[test]
    fn there_is_no_way_out_of_the_folder() {
        for path in [
            "/..",
            "/../etc/passwd",
            "/a/../../etc/passwd",
            "/.",
            "/./a",
            "/%2e%2e/etc/passwd",
            "/%2E./etc/passwd",
            "/.%2e/etc/passwd",
            "/..%2fetc%2fpasswd",
            "/a%2Fb",
            "//etc/passwd",
            "/a//b",
            "//",
            "/.git/config",
            "/%2eenv",
            "/..\\..\\windows",
            "/a%5c..%5cb",
            "/C:/windows",
        ] {
            assert_eq!(Path::parse(path.as_bytes()), Err(Wrong::Nowhere), "{path}");
        }
        // Decoded once, and not again: this is a name with a percent sign in it.
        let path = Path::parse(b"/%252e%252e/a").unwrap();
        assert_eq!(path.segments, ["%2e%2e", "a"]);
    }

    #[test]
    fn what_is_no_path_is_malformed() {
        for path in [
            &b""[..],
            b"*",
            b"a/b",
            b"/%",
            b"/%4",
            b"/%4g",
            b"/%+1",
            b"/a%00b",
            b"/\0",
            b"/%ff",
            b"/%c0%ae%c0%ae/", // «..» as old decoders of UTF-8 would have taken it
        ] {
            assert_eq!(Path::parse(path), Err(Wrong::Malformed), "{path:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_a_path_stays_in_its_folder(path in "(/|\\.|%2[eE]|%2[fF]|%5c|%00|\\\\|[a-c]){0,12}") {
            if let Ok(path) = Path::parse(path.as_bytes()) {
                for segment in &path.segments {
                    prop_assert!(!segment.is_empty() && !segment.starts_with('.'));
                    prop_assert!(!segment.contains(['/', '\\', '\0']));
                }
            }
        }

        #[test]
        fn any_bytes_are_a_path_or_none(path: Vec<u8>) {
            let _ = Path::parse(&path);
        }
    }
}
