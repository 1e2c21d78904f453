//! `cargo book record`: runs listings and keeps what they print and what figures are drawn from.
//! `cargo book bench` keeps in the same way what benchmarks leave for figures.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use record::{Provenance, RECORD_VARIABLE, Record};

use crate::listing::Listing;
use crate::problem::nearest;
use crate::project::Project;
use crate::terminal::say;

/// How long a listing may run. A reader is promised ten seconds; recording allows for a slow day.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// How long a benchmark may run: many rounds of many contestants.
pub const BENCH_DEADLINE: Duration = Duration::from_secs(60 * 60);

/// A way in which a listing is run, and where it is kept what that left.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// Cargo's command, which a reader types with `-p NAME`.
    pub command: &'static str,
    /// What it printed.
    pub output: &'static str,
    /// What its figures are drawn from.
    pub record: &'static str,
    /// Whether it takes so long that one wants to see what it prints as it prints it.
    shown: bool,
}

/// Without these, `cargo bench` goes through the unit tests as well, and says that it skips them.
const BENCHES_ONLY: &[&str] = &["--bench", "*"];

impl Kind {
    /// The command that records a listing in this way.
    #[must_use]
    pub fn recorder(&self, name: &str) -> String {
        let what = if self.command == "run" {
            "record"
        } else {
            self.command
        };
        format!("cargo book {what} {name}")
    }
}

/// What a reader sees without arguments.
pub const RUN: Kind = Kind {
    command: "run",
    output: "output.txt",
    record: "record.json",
    shown: false,
};

/// What it measures of itself beside others. A benchmark that saves no record leaves no file.
pub const BENCH: Kind = Kind {
    command: "bench",
    output: "bench.txt",
    record: "bench.json",
    shown: true,
};

/// How much a listing may print, in bytes: a hundred times what a page can show.
const OUTPUT_MOST: u64 = 1 << 20;

/// Records the listings of these names, or all of them when no name is given.
///
/// # Errors
///
/// When a name is unknown, or a listing does not build, fails, or runs too long. Its files then
/// stay as they were; those of listings recorded before it are kept.
pub fn record(project: &Project, names: &[String]) -> Result<()> {
    let mut listings: Vec<&Listing> = Vec::new();
    for name in names {
        let Some(listing) = project.listings.get(name) else {
            bail!(
                "there is no listing `{name}`: {}",
                nearest(
                    name,
                    project.listings.keys().map(String::as_str),
                    "listings"
                )
            );
        };
        listings.push(listing);
    }
    if names.is_empty() {
        listings = project.listings.values().collect();
    }
    for listing in listings {
        record_one(&project.root, listing, RUN, DEADLINE)
            .with_context(|| format!("{} was not recorded", listing.name))?;
        say(format_args!("recorded {}", listing.name));
    }
    Ok(())
}

/// Runs one listing in a way and, when it succeeds, writes what it printed and what its figures are
/// drawn from.
///
/// # Errors
///
/// When it does not build, fails, or runs longer than `deadline`; its files then stay as they were.
pub fn record_one(root: &Path, listing: &Listing, kind: Kind, deadline: Duration) -> Result<()> {
    // The deadline is the listing's, not the compiler's.
    let mut build = Command::new(cargo());
    match kind.command {
        "bench" => build.args(["bench", "--no-run"]).args(BENCHES_ONLY),
        _ => build.arg("build"),
    };
    let built = build
        .args(["--quiet", "--package", &listing.name])
        .current_dir(root)
        .status()
        .context("running cargo")?;
    if !built.success() {
        bail!("it does not build");
    }
    let record_file = listing.path(&format!(".record-{}.json", std::process::id()));
    let result = run(root, listing, kind, &record_file, deadline);
    let record = Record::load(&record_file);
    // It is only there when the listing got as far as writing it.
    let _ = fs::remove_file(&record_file);
    let output = result?;

    let mut files = vec![(kind.output, output)];
    match record {
        Ok(mut record) => {
            record.provenance = Some(provenance(listing, kind));
            files.push((kind.record, record.to_json()));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if listing.path(kind.record).is_file() {
                bail!(
                    "it recorded no figure: delete its {} if it is to have none",
                    kind.record
                );
            }
            if kind.shown {
                return Ok(());
            }
        }
        Err(error) => return Err(error).context("its record cannot be read"),
    }
    // All new files are whole on disk before the first takes its place.
    let fresh = |name: &str| listing.path(&format!(".{name}-{}", std::process::id()));
    for (name, text) in &files {
        fs::write(fresh(name), text).with_context(|| format!("writing {name}"))?;
    }
    for (name, _) in &files {
        fs::rename(fresh(name), listing.path(name)).with_context(|| format!("writing {name}"))?;
    }
    Ok(())
}

fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn run(
    root: &Path,
    listing: &Listing,
    kind: Kind,
    record_file: &Path,
    deadline: Duration,
) -> Result<String> {
    let mut command = Command::new(cargo());
    command
        .args([kind.command, "--quiet", "--package", &listing.name])
        .args(if kind.shown { BENCHES_ONLY } else { &[] })
        .current_dir(root)
        .env(RECORD_VARIABLE, record_file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    #[cfg(unix)]
    {
        // A group of its own, so that the deadline ends what it started too.
        use std::os::unix::process::CommandExt as _;
        command.process_group(0);
    }
    let mut child = command.spawn().context("running cargo")?;
    let mut stdout = child.stdout.take().context("its output is not piped")?;
    let at_latest = Instant::now() + deadline;
    let (send, output) = mpsc::channel();
    std::thread::spawn(move || {
        let bytes = read(&mut stdout.by_ref().take(OUTPUT_MOST + 1), kind.shown);
        // Nobody listens any more where the deadline came first.
        let _ = send.send(bytes);
    });
    // First the end of what it prints, then its own: a process that it leaves behind may hold its
    // output open for ever, and is in its group as long as it has not been waited for.
    let Ok(output) = output.recv_timeout(deadline) else {
        end(&mut child);
        bail!(
            "it, or a process that it left behind, ran longer than {} s and was ended",
            deadline.as_secs()
        );
    };
    let output = match output {
        Ok(output) if output.len() as u64 <= OUTPUT_MOST => output,
        unusable => {
            end(&mut child);
            unusable.context("its output cannot be read")?;
            bail!("it printed more than {OUTPUT_MOST} bytes and was ended");
        }
    };
    let Some(status) = wait(&mut child, at_latest)? else {
        end(&mut child);
        bail!("it ran longer than {} s and was ended", deadline.as_secs());
    };
    if !status.success() {
        bail!("it failed: {status}");
    }
    String::from_utf8(output).context("its output is not UTF-8")
}

/// Reads all that a listing prints, and shows it meanwhile where that is wanted.
fn read(stdout: &mut impl io::Read, shown: bool) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let n = match stdout.read(&mut chunk) {
            Ok(0) => return Ok(bytes),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if shown {
            // Whoever closed our output may still want the record.
            let _ = io::stdout().write_all(&chunk[..n]);
            let _ = io::stdout().flush();
        }
        bytes.extend_from_slice(&chunk[..n]);
    }
}

/// Waits for the child's end, at most until then.
fn wait(child: &mut Child, at_latest: Instant) -> Result<Option<std::process::ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= at_latest {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Ends the child and what it started.
fn end(child: &mut Child) {
    #[cfg(unix)]
    if let Ok(id) = i32::try_from(child.id()) {
        let group = nix::unistd::Pid::from_raw(id);
        // It may have ended by itself meanwhile.
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Where and when this run takes place.
fn provenance(listing: &Listing, kind: Kind) -> Provenance {
    Provenance {
        command: listing.command(kind),
        date: first_line(Command::new("date").args(["-u", "+%F"])),
        kernel: first_line(Command::new("uname").arg("-sr")),
        processor: processor(),
    }
}

fn first_line(command: &mut Command) -> String {
    command
        .output()
        .map(|output| {
            String::from_utf8_lossy(&output.stdout)
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned()
        })
        .unwrap_or_default()
}

fn processor() -> String {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let model = fs::read_to_string("/proc/cpuinfo")
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map(|rest| rest.trim_start_matches([' ', '\t', ':']).to_owned())
        .unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    format!("{model}, {cores} cores")
}
