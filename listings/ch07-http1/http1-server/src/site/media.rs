//! How content is to be read, told by the end of a file's name.

/// What is said of a file of which nothing is known: a browser then saves it rather than guess.
const UNKNOWN: &str = "application/octet-stream";

/// The media type of a file (RFC 9110 §8.3). Texts are taken to be UTF-8.
#[must_use]
pub fn of(name: &str) -> &'static str {
    let Some((_, extension)) = name.rsplit_once('.') else {
        return UNKNOWN;
    };
    match extension.to_ascii_lowercase().as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "txt" => "text/plain; charset=utf-8",
        "md" => "text/markdown; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "json" | "map" => "application/json",
        "xml" => "application/xml",
        "pdf" => "application/pdf",
        "wasm" => "application/wasm",
        "gz" => "application/gzip",
        "zip" => "application/zip",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "mp3" => "audio/mpeg",
        _ => UNKNOWN,
    }
}

/// Whether a Content-Type is of that type, whatever its parameters say.
#[must_use]
pub fn is(content_type: &[u8], essence: &str) -> bool {
    let end = content_type.iter().position(|byte| *byte == b';');
    let found = &content_type[..end.unwrap_or(content_type.len())];
    found.trim_ascii().eq_ignore_ascii_case(essence.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_part_of_a_name_tells_the_type() {
        assert_eq!(of("index.html"), "text/html; charset=utf-8");
        assert_eq!(of("PHOTO.JPG"), "image/jpeg");
        assert_eq!(of("a.tar.gz"), "application/gzip");
        assert_eq!(of("README"), UNKNOWN);
        assert_eq!(of("a.b"), UNKNOWN);
    }

    #[test]
    fn parameters_and_case_do_not_matter() {
        assert!(is(b"application/json", "application/json"));
        assert!(is(b"Application/JSON ; charset=utf-8", "application/json"));
        assert!(!is(b"application/json-patch+json", "application/json"));
        assert!(!is(b"", "application/json"));
    }
}
