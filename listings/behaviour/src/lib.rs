//! What every server of this chapter must do, whatever its execution model.
//!
//! In a server's `tests/behaviour.rs`, [`suite!`] makes one test of each behaviour. It starts the server's
//! binary as a reader does, and talks to it over loopback. In `tests/peers.rs`, [`peers!`] lets `curl`,
//! `wrk`, `h2load` and `strace` do the talking.

#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]

pub mod behaviour;
pub mod peers;
mod server;

use testkit::Program;

pub use server::{Server, eventually, until_read};

/// What a server's execution model allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One connection at a time: the others wait until it ends, or until it is idle and is closed
    /// for their sake.
    OneAtATime,
    /// As many connections at a time as there are workers, each of which serves one.
    OnePerWorker,
    /// All connections at a time, up to ten thousand and more.
    Together {
        /// How much memory of the process an idle connection may cost, in bytes; where the model
        /// has no stack for each.
        idle_connection: Option<usize>,
    },
}

/// A server that is to be tested.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Its binary.
    pub binary: &'static str,
    /// What its model allows.
    pub kind: Kind,
    /// The binary as the listing that it is.
    pub listing: Program,
}

impl Subject {
    /// Whether it serves several connections at a time, how ever few.
    #[must_use]
    pub fn is_concurrent(&self) -> bool {
        self.kind != Kind::OneAtATime
    }

    /// Whether a connection that does nothing costs no other its turn.
    #[must_use]
    pub fn holds_all(&self) -> bool {
        matches!(self.kind, Kind::Together { .. })
    }
}

/// The server whose package the calling test belongs to.
#[macro_export]
macro_rules! subject {
    ($kind:expr) => {
        $crate::Subject {
            binary: env!(concat!("CARGO_BIN_EXE_", env!("CARGO_PKG_NAME"))),
            kind: $kind,
            listing: $crate::listing!(),
        }
    };
}

#[doc(hidden)]
pub use testkit::listing;

/// One test for each behaviour, against the server whose package the calling test belongs to.
#[macro_export]
macro_rules! suite {
    ($kind:expr) => {
        $crate::tests! { $kind; behaviour;
            a_connection_serves_many_requests
            a_connection_closes_when_the_client_or_its_version_says_so
            a_thousand_pipelined_requests_are_answered_in_order
            requests_may_be_split_at_every_byte
            a_client_that_says_no_more_still_gets_its_answers
            every_route_answers
            a_body_comes_back_whatever_its_framing
            a_client_that_asks_first_is_told_to_continue
            malformed_and_smuggling_requests_are_refused_and_others_go_on
            a_client_that_reads_one_byte_a_second_harms_nobody
            a_client_that_never_reads_cannot_make_the_server_hoard
            a_slow_loris_is_cut_off
            silence_is_ended
            ten_thousand_clients_are_served
            running_out_of_descriptors_is_survived_and_loses_nobody
            clients_that_vanish_leave_nothing_behind
            a_graceful_shutdown_loses_no_request
            a_shutdown_without_work_takes_a_moment
            wrong_arguments_are_answered_with_the_usage
        }
    };
}

/// One test for each program that is to drive the server.
#[macro_export]
macro_rules! peers {
    ($kind:expr) => {
        $crate::tests! { $kind; peers;
            curl_gets_every_route
            wrk_drives_it
            h2load_drives_it_with_pipelines
            strace_counts_the_system_calls_that_the_server_counts
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! tests {
    ($kind:expr; $module:ident; $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                $crate::$module::$name(&$crate::subject!($kind));
            }
        )*
    };
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    /// A page may cite what is marked as a test here, so each server must be tested for it.
    #[test]
    fn what_is_marked_as_a_test_is_in_the_macros_and_nothing_else() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let behaviours = fs::read_dir(source.join("behaviour")).unwrap().flatten();
        let mut files: Vec<_> = behaviours.map(|file| file.path()).collect();
        files.extend(["behaviour.rs", "peers.rs"].map(|name| source.join(name)));
        let mut marked = BTreeSet::new();
        for file in files {
            let text = fs::read_to_string(file).unwrap();
            let after = text.split("#[doc(alias = \"test\")]\npub fn ").skip(1);
            marked.extend(after.map(|rest| rest.split('(').next().unwrap().to_owned()));
        }
        let macros = fs::read_to_string(source.join("lib.rs")).unwrap();
        let is_name = |line: &&str| {
            let of_a_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            line.contains('_') && line.chars().all(of_a_name)
        };
        let named = macros.lines().map(str::trim).filter(is_name);
        let named: BTreeSet<String> = named.map(str::to_owned).collect();
        assert_eq!(marked, named);
        assert_eq!(marked.len(), 23);
    }
}
