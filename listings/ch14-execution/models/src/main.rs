//! The servers of this chapter side by side: what the same requests cost each of them, in system calls,
//! context switches and memory.
//!
//! ```text
//! cargo run -p exec-models
//! cargo bench -p exec-models     # processor time, throughput, latency; beside nginx and hyper
//! ```
//!
//! Look for what a request costs where every connection has a thread or a process of its own, and
//! where one thread serves them all. Linux only.

#![forbid(unsafe_code)]

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "exec-models compares servers that only Linux has. Run it on Linux: in the book's dev container, \
         or on Windows in WSL2."
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

    use exec_models::{CONTENDERS, Contender, Load, Server, idle_connections};
    use exec_service::client::Client;
    use record::{Column, Record, Table};

    type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

    /// Connections that ask at the same time.
    const CONNECTIONS: usize = 16;

    /// Requests of one measure.
    const REQUESTS: usize = 960;

    /// Requests that are sent at once where they are pipelined.
    const PIPELINED: usize = 16;

    /// Connections that ask once and then say nothing.
    const IDLE: usize = 500;

    pub fn main() -> ExitCode {
        if let Some(code) = exec_models::serve_if_asked() {
            return code;
        }
        if env::args_os().len() > 1 {
            eprintln!("usage: exec-models (it takes no arguments)");
            return ExitCode::from(2);
        }
        match compare() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("exec-models: {error}");
                ExitCode::FAILURE
            }
        }
    }

    // ANCHOR: measures
    /// What a server used for its requests.
    struct Measures {
        processes: usize,
        threads: usize,
        /// System calls for a request, as the server itself counts them.
        calls: f64,
        calls_pipelined: f64,
        /// How often a thread waited, for each request.
        waits: f64,
        /// Bytes of memory for a connection that says nothing.
        idle: Option<f64>,
    }
    // ANCHOR_END: measures

    fn compare() -> Result<()> {
        println!(
            "{CONNECTIONS} connections ask for {REQUESTS} answers, one at a time each, then {PIPELINED} at once; then {IDLE} say nothing.\n"
        );
        println!(
            "{:<22}{:>10}{:>9}{:>15}{:>13}{:>16}{:>12}",
            "", "processes", "threads", "calls/request", "pipelined", "waits/request", "bytes/idle"
        );
        let mut table = Table::new([
            Column::words("Server"),
            Column::number("Processes", ""),
            Column::number("Threads", ""),
            Column::number("System calls for a request", ""),
            Column::number("of sixteen at once", ""),
            Column::number("Waits for a request", ""),
            Column::number("An idle connection takes", "bytes"),
        ]);
        for contender in CONTENDERS {
            let name = contender.model.name;
            let measures = measure(contender).map_err(|error| format!("{name}: {error}"))?;
            let idle = measures
                .idle
                .map_or("–".to_owned(), |bytes| format!("{bytes:.0}"));
            println!(
                "{name:<22}{:>10}{:>9}{:>15.2}{:>13.2}{:>16.2}{idle:>12}",
                measures.processes,
                measures.threads,
                measures.calls,
                measures.calls_pipelined,
                measures.waits,
            );
            table = table.row([
                format!("`{name}`"),
                measures.processes.to_string(),
                measures.threads.to_string(),
                format!("{:.2}", measures.calls),
                format!("{:.2}", measures.calls_pipelined),
                format!("{:.2}", measures.waits),
                idle,
            ]);
        }
        let mut record = Record::new();
        record.add("side-by-side", table);
        record.save()?;
        Ok(())
    }

    // ANCHOR: measure
    fn measure(contender: &Contender) -> Result<Measures> {
        let mut command = exec_models::command(contender.model);
        if let Some(workers) = contender.workers(CONNECTIONS) {
            command.args(["--workers", &workers.to_string()]);
        }
        let server = Server::start(command)?;
        let mut load = Load {
            path: "/",
            connections: CONNECTIONS,
            pipelined: 1,
            requests: REQUESTS,
            rate: None,
        };
        // The first round pays for what is done only once.
        load.run(server.address)?;

        let before = (calls(&server)?, server.processes.used()?);
        load.run(server.address)?;
        let after = (calls(&server)?, server.processes.used()?);
        let (processes, threads) = server.processes.count()?;
        load.pipelined = PIPELINED;
        load.run(server.address)?;
        let pipelined = calls(&server)?;

        let idle = if contender.holds_many() {
            let before = server.processes.memory()?;
            let idle = idle_connections(server.address, IDLE)?;
            let after = server.processes.memory()?;
            Some(after.saturating_sub(before) as f64 / idle.len() as f64)
        } else {
            None
        };
        let each = |count: u64| count as f64 / REQUESTS as f64;
        Ok(Measures {
            processes,
            threads,
            calls: each(after.0 - before.0),
            calls_pipelined: each(pipelined - after.0),
            waits: each(after.1.waits - before.1.waits),
            idle,
        })
    }
    // ANCHOR_END: measure

    /// How many system calls the server has counted.
    fn calls(server: &Server) -> Result<u64> {
        let stats = Client::connect(server.address)?.get("/stats")?;
        let stats: serde_json::Value = serde_json::from_slice(&stats.body)?;
        let calls = stats["syscalls"]
            .as_object()
            .ok_or("no system calls in /stats")?;
        Ok(calls.values().filter_map(serde_json::Value::as_u64).sum())
    }
}
