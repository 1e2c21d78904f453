//! How many workers does a server need? Jobs that compute, jobs that mostly wait, and two servers of
//! this chapter, each with more and more workers: what they get done, and how often the kernel has to
//! put one in the place of another.
//!
//! ```text
//! cargo run -p exec-core-count
//! ```
//!
//! Look for where each row stops growing: it is at the number of cores only for workers that never
//! wait. Linux only.

#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod jobs;
#[cfg(target_os = "linux")]
mod servers;

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "exec-core-count runs servers that are built on Linux. Run it on Linux: in the book's dev \
         container, or on Windows in WSL2."
    );
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::main()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::env;
    use std::error::Error;
    use std::process::ExitCode;
    use std::thread;

    use record::Record;

    use crate::{jobs, servers};

    pub fn main() -> ExitCode {
        if let Some(code) = exec_models::serve_if_asked() {
            return code;
        }
        if env::args_os().len() > 1 {
            eprintln!("usage: exec-core-count (it takes no arguments)");
            return ExitCode::from(2);
        }
        match run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("exec-core-count: {error}");
                ExitCode::FAILURE
            }
        }
    }

    fn run() -> Result<(), Box<dyn Error>> {
        let cores = thread::available_parallelism()?.get();
        let mut record = Record::new();
        let (throughput, switches) = jobs::tell(cores)?;
        record.add("throughput", throughput);
        record.add("switches", switches);
        record.add("waiting", servers::tell_waiting()?);
        record.add("ready", servers::tell_ready()?);
        Ok(record.save()?)
    }
}
