//! `cargo book bench`: the site's own measures beside their bars, and listings against their
//! yardsticks.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::check;
use crate::html;
use crate::listing::Listing;
use crate::project::Project;
use crate::recording;
use crate::site;
use crate::terminal::say;

/// Runs of each measurement; the median counts.
const RUNS: usize = 7;

/// How many times over the book stands in itself, to see whether building stays linear.
const COPIES: [usize; 3] = [1, 4, 16];

/// The page that is weighed: one of a chapter, with listings and figures.
const WEIGHED: &str = "ch01-basics/protocol-properties.html";

/// What can be measured beside listings.
const SUBJECTS: &[&str] = &["site", "cold"];

/// Measures what `what` names and prints it: `site` for building, checking and the weight of a
/// page; `cold` for the time from a fresh clone to a served page; a listing's name or a chapter's
/// (`ch05`, `ch05-tcp`) for what listings measure of themselves.
///
/// # Errors
///
/// When nothing is called so, the book does not build, or a benchmark fails.
pub fn bench(project: &Project, what: &str) -> Result<()> {
    let measure = match what {
        "site" => site_measures,
        "cold" => cold_start,
        other => return yardsticks(project, other),
    };
    let work = project
        .root
        .join(format!("target/book/bench-{}", std::process::id()));
    let result = measure(project, &work);
    // It may not have come far enough to make the folder.
    let _ = fs::remove_dir_all(&work);
    result
}

/// The benchmarks of a listing, or of all that a chapter has, one after the other. What they leave
/// for figures is kept with the listing; plain `cargo bench -p NAME` measures and keeps nothing.
fn yardsticks(project: &Project, what: &str) -> Result<()> {
    let measured = |listing: &&Listing| listing.path("benches").is_dir();
    let of_chapter = |listing: &&Listing| {
        let chapter = listing.chapter.as_deref().unwrap_or_default();
        chapter == what
            || chapter
                .split_once('-')
                .is_some_and(|(number, _)| number == what)
    };
    let listings: Vec<&Listing> = match project.listings.get(what) {
        Some(listing) if measured(&listing) => vec![listing],
        Some(_) => bail!("listing `{what}` measures nothing: it has no `benches`"),
        None => {
            let all = || project.listings.values();
            let measured: Vec<_> = all().filter(of_chapter).filter(measured).collect();
            if measured.is_empty() && all().any(|listing| of_chapter(&listing)) {
                bail!("no listing of `{what}` measures anything: none has `benches`");
            }
            measured
        }
    };
    if listings.is_empty() {
        let known = project.listings.values().filter(measured);
        let names = known.map(|listing| listing.name.as_str());
        bail!(
            "there is nothing to measure called `{what}`; there is `{}`",
            SUBJECTS
                .iter()
                .copied()
                .chain(names)
                .collect::<Vec<_>>()
                .join("`, `")
        );
    }
    for listing in listings {
        let command = listing.command(recording::BENCH);
        say(format_args!("\n{command}"));
        let deadline = recording::BENCH_DEADLINE;
        recording::record_one(&project.root, listing, recording::BENCH, deadline)
            .with_context(|| format!("`{command}` was not kept"))?;
    }
    Ok(())
}

fn report(what: &str, value: &str, bar: &str) {
    say(format_args!("{what:<34} {value:>12}   {bar}"));
}

fn site_measures(project: &Project, work: &Path) -> Result<()> {
    let out = work.join("out");
    let build = |root: &Path| -> Result<usize> {
        let project = Project::load(root)?;
        Ok(site::build(&project, &out, "https://book.example/")?
            .pages
            .len())
    };
    let (time, pages) = median(|| build(&project.root))?;
    let milliseconds = |time: Duration| format!("{} ms", time.as_millis());
    report(
        "full build, which is a save's too",
        &milliseconds(time),
        &format!("bar 1500 ms, for a save 1000 ms; {pages} pages"),
    );
    weigh(&out)?;
    for language in &project.languages {
        weigh_search(&out, &language.code)?;
    }

    let (time, findings) = median(|| Ok(check::check(&Project::load(&project.root)?)?.findings))?;
    report(
        "check",
        &milliseconds(time),
        &format!("bar 2000 ms; {} findings", findings.len()),
    );

    // In turns, so that a machine that slows down meanwhile slows all sizes down alike.
    let roots = COPIES.map(|copies| work.join(format!("x{copies}")));
    for (root, copies) in roots.iter().zip(COPIES) {
        copy_book(project, root, copies)?;
    }
    let mut times = COPIES.map(|_| Vec::new());
    let mut pages = COPIES;
    for _ in 0..RUNS {
        for ((root, times), pages) in roots.iter().zip(&mut times).zip(&mut pages) {
            let begun = Instant::now();
            *pages = build(root)?;
            times.push(begun.elapsed());
        }
    }
    let each = |i: usize| middle(&times[i]).as_secs_f64() * 1e3 / pages[i] as f64;
    for (i, copies) in COPIES.into_iter().enumerate() {
        report(
            &format!("the book ×{copies}"),
            &milliseconds(middle(&times[i])),
            &format!(
                "{:.2} ms a page, {:.2} of ×1, bar 1.15; {} pages",
                each(i),
                each(i) / each(0),
                pages[i]
            ),
        );
    }
    Ok(())
}

/// What a browser fetches for a page: the page and the scripts and styles that it names.
fn weigh(out: &Path) -> Result<()> {
    let page = out.join("ko").join(WEIGHED);
    let text = fs::read_to_string(&page).with_context(|| format!("reading {}", page.display()))?;
    let folder = page.parent().unwrap_or(out);
    let mut bytes = gzipped(text.as_bytes())?;
    let mut requests = 1;
    for link in html::read(&text).links {
        let fetched = [".css", ".js", ".svg"]
            .iter()
            .any(|extension| link.ends_with(extension));
        if fetched && let Ok(file) = fs::read(folder.join(&link)) {
            bytes += gzipped(&file)?;
            requests += 1;
        }
    }
    report(
        "chapter page, gzip",
        &format!("{:.1} KB", bytes as f64 / 1e3),
        &format!("bar 150 KB; {requests} requests, bar 12 ({WEIGHED})"),
    );
    Ok(())
}

/// What a reader's first search fetches beside the scripts.
fn weigh_search(out: &Path, language: &str) -> Result<()> {
    for entry in fs::read_dir(out.join(language))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("search-") {
            report(
                &format!("search index in `{language}`, gzip"),
                &format!("{:.1} KB", gzipped(&fs::read(entry.path())?)? as f64 / 1e3),
                "bar 200 KB at 100 pages a language",
            );
        }
    }
    Ok(())
}

fn gzipped(bytes: &[u8]) -> Result<usize> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.len())
}

/// From `git clone` of what is committed to the first page, with nothing built or downloaded.
fn cold_start(project: &Project, work: &Path) -> Result<()> {
    fs::create_dir_all(work)?;
    let clone = work.join("clone");
    let begun = Instant::now();
    let cloned = Command::new("git")
        .args(["clone", "--quiet"])
        .args([project.root.as_os_str(), clone.as_os_str()])
        .status()
        .context("running git")?;
    if !cloned.success() {
        bail!("the project could not be cloned");
    }
    let mut command = Command::new("cargo");
    command
        .args(["book", "serve"])
        .current_dir(&clone)
        .env("CARGO_HOME", work.join("cargo-home"))
        .env_remove("CARGO_TARGET_DIR")
        .stdout(Stdio::piped());
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt as _;
        command.process_group(0);
    }
    let mut server = command.spawn().context("running cargo")?;
    let result = first_page(&mut server);
    end(&mut server);
    let page = result?;
    report(
        "fresh clone to served page",
        &format!("{:.0} s", begun.elapsed().as_secs_f64()),
        &format!("bar 180 s, downloads included; {} bytes", page.len()),
    );
    Ok(())
}

fn first_page(server: &mut Child) -> Result<String> {
    let stdout = server.stdout.take().context("its output is not piped")?;
    let address = BufReader::new(stdout)
        .lines()
        .map_while(Result::ok)
        .find_map(|line| {
            let rest = line.split("http://").nth(1)?;
            Some(rest.split('/').next()?.to_owned())
        })
        .ok_or_else(|| anyhow!("the server ended before it listened"))?;
    let mut stream = TcpStream::connect(&address)?;
    write!(
        stream,
        "GET /ko/ HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    if !page.starts_with("HTTP/1.1 200") {
        bail!("the page was not served: {page}");
    }
    Ok(page)
}

/// Ends cargo and the server that it runs, as Ctrl-C in a terminal would.
fn end(server: &mut Child) {
    #[cfg(unix)]
    if let Ok(id) = i32::try_from(server.id()) {
        let group = nix::unistd::Pid::from_raw(id);
        // It may have ended by itself meanwhile.
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGINT);
    }
    #[cfg(not(unix))]
    let _ = server.kill();
    let _ = server.wait();
}

/// The median time of several runs, and what the last gave.
fn median<T>(mut run: impl FnMut() -> Result<T>) -> Result<(Duration, T)> {
    let mut times = Vec::new();
    let mut value = None;
    for _ in 0..RUNS {
        let begun = Instant::now();
        value = Some(run()?);
        times.push(begun.elapsed());
    }
    match value {
        Some(value) => Ok((middle(&times), value)),
        None => bail!("nothing was run"),
    }
}

fn middle(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort();
    times[times.len() / 2]
}

/// The book, all its pages `copies` times over.
fn copy_book(project: &Project, root: &Path, copies: usize) -> Result<()> {
    for part in [
        "book.toml",
        "theme",
        "listings",
        "src",
        "ci/book/styleguide",
    ] {
        copy(&project.root.join(part), &root.join(part))?;
    }
    for language in &project.languages {
        let original = project.root.join(&language.src);
        let src = root.join(&language.src);
        let summary = fs::read_to_string(original.join("SUMMARY.md"))?;
        let mut whole = summary.clone();
        for n in 1..copies {
            copy(&original, &src.join(format!("copy-{n}")))?;
            fs::remove_file(src.join(format!("copy-{n}/SUMMARY.md")))?;
            // What follows the chapters may not be followed by chapters: all are suffixes here.
            for line in summary.lines().filter(|line| line.contains("](")) {
                let line = line.trim_start().trim_start_matches("- ");
                whole.push_str(&line.replacen("](", &format!("](copy-{n}/"), 1));
                whole.push('\n');
            }
        }
        fs::write(src.join("SUMMARY.md"), whole)?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)?.flatten() {
            if entry.file_name() != "target" {
                copy(&entry.path(), &to.join(entry.file_name()))?;
            }
        }
    } else if from.is_file() {
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::copy(from, to)?;
    }
    Ok(())
}
