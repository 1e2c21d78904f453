//! Nothing is left of a lab: not after it is dropped, and not after its process is killed.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lab::{Lab, Link};

/// The kernel takes namespaces away in its own time, which is milliseconds.
const DEADLINE: Duration = Duration::from_secs(5);

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < DEADLINE, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether some process is in this network namespace, or holds it open. `namespace` is what the link
/// in `/proc` says, `net:[4026531840]`.
fn is_held(namespace: &str) -> bool {
    let points_there =
        |path: &Path| fs::read_link(path).is_ok_and(|target| target.as_os_str() == namespace);
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok())
        .any(|process| {
            let descriptors = fs::read_dir(process.path().join("fd"));
            points_there(&process.path().join("ns/net"))
                || descriptors
                    .into_iter()
                    .flatten()
                    .flatten()
                    .any(|descriptor| points_there(&descriptor.path()))
        })
}

fn namespace_of(host: &lab::Host) -> String {
    host.run(|| fs::read_link("/proc/thread-self/ns/net"))
        .unwrap()
        .to_string_lossy()
        .into_owned()
}

#[test]
fn two_hundred_labs_leave_no_namespace_and_no_descriptor() {
    /// As many at a time; most of a lab's life is waiting for the kernel.
    const AT_A_TIME: usize = 4;

    /// A row of labs, one after another. The last ones' namespaces.
    fn row() -> Vec<String> {
        let mut namespaces = Vec::new();
        for _ in 0..200 / AT_A_TIME {
            let (_lab, client, server) = Lab::pair(Link::new()).unwrap();
            namespaces = [client, server].iter().map(namespace_of).collect();
        }
        namespaces
    }
    lab::test(|| {
        let descriptors = || fs::read_dir("/proc/self/fd").unwrap().count();
        let before = descriptors();
        let rows = [(); AT_A_TIME].map(|()| std::thread::spawn(row));
        let namespaces: Vec<String> = rows
            .into_iter()
            .flat_map(|row| row.join().unwrap())
            .collect();
        eventually("a descriptor is left", || descriptors() == before);
        eventually("a namespace is left", || {
            !namespaces.iter().any(|namespace| is_held(namespace))
        });
    });
}

#[test]
fn a_program_and_what_it_started_end_with_the_lab() {
    lab::test(|| {
        let (lab, client, _server) = Lab::pair(Link::new()).unwrap();
        let mut shell = client
            .command("sh")
            .args(["-c", "sleep 1000 & echo started; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(shell.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "started\n");
        drop(lab);
        // Whoever still ran would hold the pipe.
        assert_eq!(output.read_line(&mut line).unwrap(), 0);
        assert!(!shell.wait().unwrap().success());
    });
}

#[test]
fn a_program_ends_as_it_ended_and_says_what_it_said() {
    lab::test(|| {
        let (_lab, client, _server) = Lab::pair(Link::new()).unwrap();
        let output = client
            .command("sh")
            .args(["-c", "cat /proc/net/dev; exit 3"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert!(String::from_utf8_lossy(&output.stdout).contains("eth0"));
        assert!(client.command("no such program").spawn().is_err());
    });
}

#[test]
fn a_panic_in_a_host_or_a_rule_takes_the_lab_down() {
    lab::test(|| {
        let namespace = std::sync::Mutex::new(String::new());
        let outcome = std::panic::catch_unwind(|| {
            let (_lab, client, _server) = Lab::pair(Link::new()).unwrap();
            *namespace.lock().unwrap() = namespace_of(&client);
            client.run(|| panic!("as planned"));
        });
        assert!(outcome.is_err());
        let namespace = namespace
            .lock()
            .unwrap_or_else(|poison| poison.into_inner());
        eventually("a namespace is left", || !is_held(&namespace));
    });
}

/// Set for the process that is to be killed.
const VICTIM: &str = "LAB_TEST_VICTIM";

#[test]
fn a_process_that_is_killed_leaves_no_program_and_no_namespace() {
    if std::env::var_os(VICTIM).is_some() {
        let (_lab, client, _server) = Lab::pair(Link::new()).unwrap();
        let mut shell = client
            .command("sh")
            .args(["-c", "sleep 1000 & echo; echo victim $!; wait"])
            .spawn()
            .unwrap();
        println!("\nvictim {}", namespace_of(&client));
        let _ = shell.wait();
    }
    lab::test(|| {
        for _ in 0..5 {
            let mut victim = Command::new(std::env::current_exe().unwrap())
                .args(std::env::args().skip(1))
                .env(VICTIM, "1")
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut output = BufReader::new(victim.stdout.take().unwrap()).lines();
            let words: Vec<String> = output
                .by_ref()
                .map_while(Result::ok)
                .filter_map(|line| line.strip_prefix("victim ").map(str::to_owned))
                .take(2)
                .collect();
            let namespace = words.iter().find(|word| word.starts_with("net:")).unwrap();
            assert!(is_held(namespace));
            victim.kill().unwrap();
            victim.wait().unwrap();
            // The sleeping program holds the pipe as long as it lives.
            assert_eq!(output.by_ref().map_while(Result::ok).last(), None);
            eventually("a namespace is left", || !is_held(namespace));
        }
    });
}

/// Makes this process the one that buries what its children's children leave: whoever does so
/// otherwise may take seconds.
fn bury_orphans() {
    // SAFETY: numbers only.
    let result = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
    assert_eq!(result, 0);
}

/// Whether a process of this group is left.
fn has_members(group: u32) -> bool {
    // SAFETY: numbers, and no wish to know how they ended. Here only orphans are left to wait for.
    while unsafe { libc::waitpid(-group.cast_signed(), std::ptr::null_mut(), libc::WNOHANG) } > 0 {}
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|process| fs::read_to_string(process.path().join("stat")).ok())
        .any(|stat| {
            // Behind the name in brackets: state, parent, group.
            stat.rsplit(')')
                .next()
                .and_then(|rest| rest.split_whitespace().nth(2))
                .is_some_and(|field| field == group.to_string())
        })
}

#[test]
fn a_process_that_is_killed_at_any_moment_leaves_no_process() {
    if std::env::var_os(VICTIM).is_some() {
        loop {
            let (lab, client, _server) = Lab::pair(Link::new()).unwrap();
            let mut child = client.command("sleep").arg("1000").spawn().unwrap();
            drop(lab);
            child.wait().unwrap();
        }
    }
    lab::test(|| {
        bury_orphans();
        for moment in 0..25 {
            let mut victim = Command::new(std::env::current_exe().unwrap())
                .args(std::env::args().skip(1))
                .env(VICTIM, "1")
                .stdout(Stdio::null())
                .process_group(0)
                .spawn()
                .unwrap();
            std::thread::sleep(Duration::from_millis(7 * moment));
            victim.kill().unwrap();
            victim.wait().unwrap();
            eventually("a process is left", || !has_members(victim.id()));
        }
    });
}
