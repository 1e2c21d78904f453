//! `cargo book doctor`: what this machine can run, and the remedy for what it cannot.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::project::Project;

/// One thing that listings or tests may need.
pub struct Ability {
    /// The name that a listing's `needs` gives it.
    pub name: &'static str,
    /// Whether this machine has it, and what was seen.
    pub state: Result<String, String>,
    /// What to do about it where it is missing.
    pub remedy: &'static str,
}

/// The programs that tests drive listings against, and what they are for.
const PEERS: &[(&str, &str)] = &[
    ("nc", "talks to line protocols"),
    ("ss", "shows the kernel's own view of sockets"),
    ("python3", "speaks for Python's libraries"),
    ("node", "runs the site's tests"),
    ("chromium", "shows the site in its tests"),
];

const CONTAINER: &str =
    "use Linux: the repository's dev container (.devcontainer), or WSL2 on Windows";

/// Looks at everything that the book may need of this machine.
pub fn examine() -> Vec<Ability> {
    vec![
        Ability {
            name: "linux",
            state: kernel(),
            remedy: CONTAINER,
        },
        Ability {
            name: "user-namespaces",
            state: works("unshare", &["--user", "--map-root-user", "--net", "true"]),
            remedy: "allow them: `sysctl user.max_user_namespaces=15000`; where AppArmor refuses, \
                     `sysctl kernel.apparmor_restrict_unprivileged_userns=0`; in a container, \
                     `--security-opt seccomp=unconfined`",
        },
        Ability {
            name: "veth",
            state: works(
                "unshare",
                &[
                    "--user",
                    "--map-root-user",
                    "--net",
                    "ip",
                    "link",
                    "add",
                    "name",
                    "a",
                    "type",
                    "veth",
                    "peer",
                    "name",
                    "b",
                ],
            ),
            remedy: "install iproute2 and load the module: `modprobe veth`",
        },
        Ability {
            name: "tun",
            state: tun(),
            remedy: "load the module, `modprobe tun`, and give access: `chmod 666 /dev/net/tun`; \
                     in a container, `--device /dev/net/tun`",
        },
        Ability {
            name: "io_uring",
            state: io_uring(),
            remedy: "needs Linux 5.19 or newer with `sysctl kernel.io_uring_disabled=0`; in a \
                     container, `--security-opt seccomp=unconfined`",
        },
    ]
}

/// The report: each ability, each peer, and for each that is missing the remedy and the listings
/// that it touches.
pub fn report(project: &Project) -> String {
    let mut text = String::new();
    for ability in examine() {
        match ability.state {
            Ok(seen) => {
                let _ = writeln!(text, "✓ {:<16} {seen}", ability.name);
            }
            Err(seen) => {
                let _ = writeln!(text, "✗ {:<16} {seen}", ability.name);
                let _ = writeln!(text, "    → {}", ability.remedy);
                let _ = writeln!(text, "    touches: {}", touched(project, ability.name));
            }
        }
    }
    let _ = writeln!(text, "\nfor the tests, installed by ci/peers:");
    for (program, purpose) in PEERS {
        match find(program) {
            Some(path) => {
                let _ = writeln!(text, "✓ {program:<16} {path}");
            }
            None => {
                let _ = writeln!(
                    text,
                    "✗ {program:<16} {purpose}\n    → run `ci/peers`; without it the tests that need it are skipped"
                );
            }
        }
    }
    text
}

fn touched(project: &Project, need: &str) -> String {
    let names: Vec<&str> = project
        .listings
        .values()
        .filter(|listing| listing.needs.iter().any(|needed| needed == need))
        .map(|listing| listing.name.as_str())
        .collect();
    if names.is_empty() {
        "no listing yet".to_owned()
    } else {
        names.join(", ")
    }
}

/// The names of everything that [`examine`] knows.
pub fn names() -> Vec<&'static str> {
    // Examining is quick and has no effect, but a check on each save should not run programs.
    vec!["linux", "user-namespaces", "veth", "tun", "io_uring"]
}

fn kernel() -> Result<String, String> {
    match fs::read_to_string("/proc/sys/kernel/osrelease") {
        Ok(release) => Ok(format!("Linux {}", release.trim())),
        Err(_) => Err(format!("this is {}", std::env::consts::OS)),
    }
}

fn works(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("`{program}` cannot be run: {error}"))?;
    if output.status.success() {
        Ok("can be made".to_owned())
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(said.lines().next().unwrap_or("refused").to_owned())
    }
}

fn tun() -> Result<String, String> {
    let path = "/dev/net/tun";
    match fs::File::options().read(true).write(true).open(path) {
        Ok(_) => Ok(format!("{path} can be opened")),
        Err(error) => Err(format!("{path}: {error}")),
    }
}

/// A ring is set up, asked for its operations, and let go.
#[cfg(target_os = "linux")]
fn io_uring() -> Result<String, String> {
    use io_uring::{IoUring, Probe, opcode};

    let refused = |error: std::io::Error| format!("a ring cannot be set up: {error}");
    let ring = IoUring::new(2).map_err(refused)?;
    let mut probe = Probe::new();
    ring.submitter()
        .register_probe(&mut probe)
        .map_err(refused)?;
    let operations: Vec<&str> = [
        ("accept", opcode::Accept::CODE),
        ("receive", opcode::Recv::CODE),
        ("provided buffers", opcode::ProvideBuffers::CODE),
        ("splice", opcode::Splice::CODE),
        ("cancel", opcode::AsyncCancel::CODE),
        ("socket", opcode::Socket::CODE),
        ("zero-copy send", opcode::SendZc::CODE),
    ]
    .into_iter()
    .filter(|(_, code)| probe.is_supported(*code))
    .map(|(name, _)| name)
    .collect();
    // `socket` came with the kernel that has multishot accept, which has no code of its own.
    if operations.contains(&"socket") {
        Ok(operations.join(", "))
    } else {
        Err(format!("too old: {} only", operations.join(", ")))
    }
}

#[cfg(not(target_os = "linux"))]
fn io_uring() -> Result<String, String> {
    Err(format!("this is {}", std::env::consts::OS))
}

fn find(program: &str) -> Option<String> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .chain([
            Path::new("/usr/sbin").to_owned(),
            Path::new("/sbin").to_owned(),
        ])
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .map(|file| file.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ability_has_a_name_that_listings_can_need() {
        let examined: Vec<&str> = examine().iter().map(|ability| ability.name).collect();
        assert_eq!(examined, names());
    }

    #[test]
    fn a_program_that_is_missing_says_so() {
        let error = works("no-such-program-here", &[]).unwrap_err();
        assert!(
            error.starts_with("`no-such-program-here` cannot be run"),
            "{error}"
        );
    }
}
