//! A folder to be served when nobody names one.

use std::fs;
use std::io;

use tempfile::TempDir;

/// Its first page.
const INDEX: &str =
    "<!doctype html>\n<title>Sample</title>\n<p>Try <a href=\"poem.txt\">a poem</a>.\n";

/// Emily Dickinson, 1891.
pub const POEM: &str = "\
I'm Nobody! Who are you?
Are you – Nobody – too?
Then there's a pair of us!
Don't tell! they'd banish us – you know!
";

/// Makes the folder; it is removed when the value is dropped.
pub fn make() -> io::Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("http1-server-").tempdir()?;
    fs::write(folder.path().join("index.html"), INDEX)?;
    fs::write(folder.path().join("poem.txt"), POEM)?;
    fs::create_dir(folder.path().join("more"))?;
    fs::write(folder.path().join("more/index.html"), INDEX)?;
    Ok(folder)
}
