//! `cargo book record`: runs listings and keeps what they print and what figures are drawn from.

use std::fs;
use std::io::Read as _;
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
        record_one(&project.root, listing, DEADLINE)
            .with_context(|| format!("{} was not recorded", listing.name))?;
        say(format_args!("recorded {}", listing.name));
    }
    Ok(())
}

/// Runs one listing and, when it succeeds, writes its `output.txt` and `record.json`.
///
/// # Errors
///
/// When it does not build, fails, or runs longer than `deadline`; its files then stay as they were.
pub fn record_one(root: &Path, listing: &Listing, deadline: Duration) -> Result<()> {
    let built = Command::new(cargo())
        .args(["build", "--quiet", "--package", &listing.name])
        .current_dir(root)
        .status()
        .context("running cargo")?;
    if !built.success() {
        bail!("it does not build");
    }
    let record_file = listing.path(&format!(".record-{}.json", std::process::id()));
    let result = run(root, listing, &record_file, deadline);
    let record = Record::load(&record_file);
    // It is only there when the listing got as far as writing it.
    let _ = fs::remove_file(&record_file);
    let output = result?;

    let mut files = vec![("output.txt", output)];
    match record {
        Ok(mut record) => {
            record.provenance = Some(provenance(listing));
            files.push(("record.json", record.to_json()));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if listing.path("record.json").is_file() {
                bail!("it recorded no figure: delete its record.json if it is to have none");
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

fn run(root: &Path, listing: &Listing, record_file: &Path, deadline: Duration) -> Result<String> {
    let mut command = Command::new(cargo());
    command
        .args(["run", "--quiet", "--package", &listing.name])
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
        let mut bytes = Vec::new();
        let read = stdout
            .by_ref()
            .take(OUTPUT_MOST + 1)
            .read_to_end(&mut bytes);
        // Nobody listens any more where the deadline came first.
        let _ = send.send(read.map(|_| bytes));
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
fn provenance(listing: &Listing) -> Provenance {
    Provenance {
        command: listing.command(),
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
