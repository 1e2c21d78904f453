//! The seven servers beside nginx and hyper, in one run on one machine.
//!
//! ```text
//! cargo bench -p exec-models
//! ```
//!
//! Each server has the first core to itself, whoever asks it the second. They take turns, round for
//! round, so that a machine that slows down slows all of them down; what counts is the median, and
//! the ratio to nginx's in the same round. The least and the greatest of these ratios stand beside
//! it. Needs `nginx` and `wrk`; with `CONTESTANTS=exec-epoll-server,nginx` only these take part.

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("The seven servers need Linux.");
}

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    linux::main()
}

#[cfg(target_os = "linux")]
#[path = "yardstick/hyper.rs"]
mod hyper_server;

#[cfg(target_os = "linux")]
mod linux {
    use std::env;
    use std::error::Error;
    use std::fs;
    use std::io;
    use std::net::{Ipv4Addr, SocketAddr, TcpListener};
    use std::path::Path;
    use std::process::Command;
    use std::time::Duration;

    use exec_models::{Answers, CONTENDERS, Load, SERVE, Server, idle_connections, on_core};
    use record::{Axis, Column, Line, Record, Series, Table};

    type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

    /// Rounds of all contestants; the medians count.
    const ROUNDS: usize = 5;

    /// How long `wrk` asks one contestant for one measure of one round, in seconds.
    const SECONDS: u32 = 1;

    /// Connections that ask.
    const CONNECTIONS: usize = 64;

    const SERVER_CORE: usize = 0;
    const CLIENT_CORE: usize = 1;

    /// How many requests `wrk` sends at once where they are pipelined.
    const PIPELINED: usize = 16;

    /// A large answer, in bytes.
    const LARGE: usize = 1 << 20;

    /// How often the latencies are measured.
    const LATENCY_ROUNDS: usize = 5;

    /// How long requests come at half load, in seconds.
    const OPEN_LOOP: f64 = 2.0;

    /// Connections that say nothing.
    const IDLE: usize = 10_000;

    /// Whose tails are drawn: more lines than these cannot be told apart.
    const DRAWN: [&str; 6] = [
        "exec-threaded-server",
        "exec-epoll-server",
        "exec-tokio-server",
        "exec-io-uring-server",
        HYPER,
        NGINX,
    ];

    const NGINX: &str = "nginx";
    const HYPER: &str = "hyper";

    /// Has `wrk` send several requests at once.
    const PIPELINE: &str = r#"
init = function(args)
  local requests = {}
  for i = 1, tonumber(args[1]) do requests[i] = wrk.format("GET", "/") end
  batch = table.concat(requests)
end
request = function() return batch end
"#;

    /// A server that takes part, and what each round measured of it.
    struct Contestant {
        name: &'static str,
        /// Processor time of the server for a request, in µs.
        alone: Vec<f64>,
        /// The same with sixteen requests at once.
        pipelined: Vec<f64>,
        /// Requests answered in a second.
        rate: Vec<f64>,
        /// Content of large answers, in MB a second.
        throughput: Vec<f64>,
        /// Processor time of the server for a large answer, in µs.
        large: Vec<f64>,
        /// At half of the rate, once a round.
        latencies: Vec<Answers>,
        /// User-space memory of an idle connection, in bytes.
        idle: Option<f64>,
    }

    pub fn main() -> Result<()> {
        let mut arguments = env::args().skip(1).filter(|argument| argument != "--bench");
        if arguments.next().as_deref() == Some(HYPER) {
            return crate::hyper_server::serve();
        }
        if exec_models::cores()? < 2 {
            return Err("a server and who asks it need a core each: this machine has one".into());
        }
        let work = tempfile::tempdir()?;
        fs::write(work.path().join("pipeline.lua"), PIPELINE)?;
        let wanted = env::var("CONTESTANTS").ok();
        let takes_part = |name: &&str| {
            let wanted = wanted.as_deref();
            wanted.is_none_or(|wanted| wanted.split(',').any(|other| other == *name))
        };
        let names = CONTENDERS
            .iter()
            .map(|one| one.model.name)
            .chain([HYPER, NGINX]);
        let mut contestants: Vec<Contestant> =
            names.filter(takes_part).map(Contestant::new).collect();
        for round in 1..=ROUNDS {
            for contestant in &mut contestants {
                eprintln!("round {round} of {ROUNDS}: {}", contestant.name);
                contestant.round(work.path())?;
            }
        }
        for round in 1..=LATENCY_ROUNDS {
            for contestant in &mut contestants {
                eprintln!("latencies {round} of {LATENCY_ROUNDS}: {}", contestant.name);
                contestant.at_half_load(work.path())?;
            }
        }
        for contestant in &mut contestants {
            eprintln!("idle connections: {}", contestant.name);
            contestant.hold_idle(work.path())?;
        }
        report(&contestants)
    }

    impl Contestant {
        fn new(name: &'static str) -> Self {
            Self {
                name,
                alone: Vec::new(),
                pipelined: Vec::new(),
                rate: Vec::new(),
                throughput: Vec::new(),
                large: Vec::new(),
                latencies: Vec::new(),
                idle: None,
            }
        }

        fn start(&self, work: &Path) -> Result<Server> {
            let server = on_core(SERVER_CORE, || match self.name {
                NGINX => nginx(work),
                HYPER => {
                    let mut command = Command::new(env::current_exe()?);
                    command.arg(HYPER);
                    Server::start(command)
                }
                model => {
                    let mut command = Command::new(env!("CARGO_BIN_EXE_exec-models"));
                    command.args([SERVE, model, "127.0.0.1:0"]);
                    let contender = CONTENDERS.iter().find(|one| one.model.name == model);
                    if let Some(workers) = contender.and_then(|one| one.workers(CONNECTIONS)) {
                        command.args(["--workers", &workers.to_string()]);
                    }
                    Server::start(command)
                }
            });
            Ok(server.map_err(|error| format!("{}: {error}", self.name))?)
        }

        fn round(&mut self, work: &Path) -> Result<()> {
            let server = self.start(work)?;
            let alone = self.wrk(&server, work, "/", None)?;
            self.alone
                .push(alone.processor.as_secs_f64() * 1e6 / alone.requests);
            self.rate.push(alone.requests / alone.seconds);
            let pipelined = self.wrk(&server, work, "/", Some(PIPELINED))?;
            self.pipelined
                .push(pipelined.processor.as_secs_f64() * 1e6 / pipelined.requests);
            let large = self.wrk(&server, work, &format!("/bytes/{LARGE}"), None)?;
            self.large
                .push(large.processor.as_secs_f64() * 1e6 / large.requests);
            self.throughput
                .push(large.requests * LARGE as f64 / large.seconds / 1e6);
            Ok(())
        }

        /// Has `wrk` ask for some seconds, and reads what that cost the server.
        fn wrk(
            &self,
            server: &Server,
            work: &Path,
            path: &str,
            pipelined: Option<usize>,
        ) -> Result<Wrk> {
            let mut command = Command::new("wrk");
            command.args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{SECONDS}")]);
            if pipelined.is_some() {
                command.arg("-s").arg(work.join("pipeline.lua"));
            }
            command.arg(format!("http://{}{path}", server.address));
            command.args(pipelined.map(|count| count.to_string()));
            let before = server.processes.used()?;
            let output = on_core(CLIENT_CORE, || command.output())?;
            let after = server.processes.used()?;
            let text = String::from_utf8_lossy(&output.stdout);
            // A server that turns an idle client away for another's sake makes `wrk` begin anew.
            let known = CONTENDERS.iter().find(|one| one.model.name == self.name);
            let turns_away = known.is_some_and(|one| !one.holds_many());
            let unclean = text.contains("Non-2xx") || text.contains("Socket errors") && !turns_away;
            let mut wrk =
                Wrk::read(&text).ok_or_else(|| format!("{}: wrk printed {text}", self.name))?;
            if unclean || !output.status.success() {
                return Err(format!("{}: wrk complains: {text}", self.name).into());
            }
            wrk.processor = after.processor - before.processor;
            Ok(wrk)
        }

        /// An open loop at half of the rate that `wrk` reached.
        fn at_half_load(&mut self, work: &Path) -> Result<()> {
            let server = self.start(work)?;
            let rate = median(&self.rate) / 2.0;
            let load = Load {
                path: "/",
                connections: CONNECTIONS,
                pipelined: 1,
                requests: (rate * OPEN_LOOP) as usize,
                rate: Some(rate),
            };
            let answers = on_core(CLIENT_CORE, || load.run(server.address))?;
            self.latencies.push(answers);
            Ok(())
        }

        /// The round with the median p99: a moment in which the machine was busy with something else
        /// is in another.
        fn typical_latencies(&self) -> Option<&Answers> {
            let mut rounds: Vec<&Answers> = self.latencies.iter().collect();
            rounds.sort_by_key(|answers| answers.percentile(0.99));
            rounds.get(rounds.len() / 2).copied()
        }

        /// Opens many connections, lets each ask once, and reads how the server's memory has grown.
        fn hold_idle(&mut self, work: &Path) -> Result<()> {
            // A server with a worker for each connection holds as many as it has workers.
            let known = CONTENDERS.iter().find(|one| one.model.name == self.name);
            if known.is_some_and(|one| !one.holds_many()) {
                return Ok(());
            }
            let server = self.start(work)?;
            // What serving costs at all comes before.
            let few = idle_connections(server.address, 100)?;
            let before = server.processes.memory()?;
            let many = idle_connections(server.address, IDLE - few.len())?;
            let after = server.processes.memory()?;
            self.idle = Some(after.saturating_sub(before) as f64 / many.len() as f64);
            Ok(())
        }
    }

    /// What a run of `wrk` said.
    struct Wrk {
        requests: f64,
        seconds: f64,
        /// Of the server meanwhile.
        processor: Duration,
    }

    impl Wrk {
        fn read(text: &str) -> Option<Self> {
            let line = text.lines().find(|line| line.contains(" requests in "))?;
            let (requests, rest) = line.trim().split_once(" requests in ")?;
            let seconds = rest.split_once("s,")?.0;
            Some(Self {
                requests: requests.parse().ok()?,
                seconds: seconds.parse().ok()?,
                processor: Duration::ZERO,
            })
        }
    }

    /// nginx with one worker, and every setting in its favour: no log, no limit on a connection's
    /// requests, open files kept open.
    fn nginx(work: &Path) -> io::Result<Server> {
        let address = free_address()?;
        let root = work.join("root");
        fs::create_dir_all(root.join("bytes"))?;
        fs::write(root.join(format!("bytes/{LARGE}")), vec![b'x'; LARGE])?;
        let configuration = format!(
            "daemon off; master_process off; worker_processes 1; pid {work}/nginx.pid; error_log stderr crit;
worker_rlimit_nofile 20000;
events {{ worker_connections 19000; use epoll; }}
http {{
  access_log off; keepalive_requests 1000000000; sendfile on; tcp_nodelay on; server_tokens off;
  open_file_cache max=100; open_file_cache_valid 1h; default_type text/plain;
  client_body_temp_path {work}/t1; proxy_temp_path {work}/t2; fastcgi_temp_path {work}/t3;
  uwsgi_temp_path {work}/t4; scgi_temp_path {work}/t5;
  server {{
    listen {address} reuseport backlog=4096;
    location = / {{ return 200 \"{SMALL}\"; }}
    location /bytes/ {{ root {root}; }}
  }}
}}
",
            work = work.display(),
            root = root.display(),
            SMALL = exec_service::ROOT.escape_ascii(),
        );
        let file = work.join("nginx.conf");
        fs::write(&file, configuration)?;
        let mut command = Command::new("nginx");
        command
            .arg("-e")
            .arg("stderr")
            .arg("-p")
            .arg(work)
            .arg("-c")
            .arg(file);
        Server::start_at(command, address)
    }

    fn free_address() -> io::Result<SocketAddr> {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
    }

    fn median(values: &[f64]) -> f64 {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    }

    /// A value with its ratio to nginx's, round for round, and how far the ratios lie apart.
    fn beside(values: &[f64], yardstick: Option<&[f64]>) -> String {
        let value = median(values);
        let digits = if value >= 100.0 { 0 } else { 2 };
        let Some(yardstick) = yardstick else {
            return format!("{value:.digits$}");
        };
        let mut ratios: Vec<f64> = values
            .iter()
            .zip(yardstick)
            .map(|(ours, theirs)| ours / theirs)
            .collect();
        ratios.sort_by(f64::total_cmp);
        format!(
            "{value:.digits$}  ×{:.2} ({:.2}–{:.2})",
            median(&ratios),
            ratios[0],
            ratios[ratios.len() - 1]
        )
    }

    fn report(contestants: &[Contestant]) -> Result<()> {
        let nginx = contestants
            .iter()
            .find(|contestant| contestant.name == NGINX);
        println!(
            "The server on one core, who asks it on another: medians of {ROUNDS} rounds, in brackets after the\n\
             ratio to nginx the least and the greatest ratio of a round.\n"
        );
        println!(
            "{:<22} {:>24} {:>24} {:>26}",
            "",
            "µs of processor/request",
            format!("{PIPELINED} at once"),
            "MB/s, answers of 1 MiB"
        );
        let mut cost = Table::new([
            Column::words("Server"),
            Column::number("A request", "µs"),
            Column::number("Of nginx's", ""),
            Column::number("One of sixteen at once", "µs"),
            Column::number("Of nginx's", ""),
            Column::number("Answers of 1 MiB", "MB/s"),
            Column::number("Of nginx's", ""),
        ]);
        for contestant in contestants {
            println!(
                "{:<22} {:>24} {:>24} {:>26}",
                contestant.name,
                beside(&contestant.alone, nginx.map(|nginx| &nginx.alone[..])),
                beside(
                    &contestant.pipelined,
                    nginx.map(|nginx| &nginx.pipelined[..])
                ),
                beside(
                    &contestant.throughput,
                    nginx.map(|nginx| &nginx.throughput[..])
                ),
            );
            let ratio = |ours: &[f64], theirs: fn(&Contestant) -> &Vec<f64>| match nginx {
                None => "–".to_owned(),
                Some(nginx) => {
                    let ratios: Vec<f64> = ours
                        .iter()
                        .zip(theirs(nginx))
                        .map(|(ours, theirs)| ours / theirs)
                        .collect();
                    format!("{:.2}", median(&ratios))
                }
            };
            cost = cost.row([
                format!("`{}`", contestant.name),
                format!("{:.2}", median(&contestant.alone)),
                ratio(&contestant.alone, |nginx| &nginx.alone),
                format!("{:.2}", median(&contestant.pipelined)),
                ratio(&contestant.pipelined, |nginx| &nginx.pipelined),
                format!("{:.0}", median(&contestant.throughput)),
                ratio(&contestant.throughput, |nginx| &nginx.throughput),
            ]);
        }
        println!(
            "\nLatencies at half of each one's rate: the round with the median p99, of {LATENCY_ROUNDS}."
        );
        println!(
            "{:<22} {:>10} {:>9} {:>9} {:>9} {:>9}   {:>12}",
            "", "requests/s", "p50", "p99", "p99.9", "worst", "bytes/idle"
        );
        let mut latency = Table::new([
            Column::words("Server"),
            Column::number("Half of its rate", "requests/s"),
            Column::number("Half are answered within", "µs"),
            Column::number("99 % within", "µs"),
            Column::number("99.9 % within", "µs"),
            Column::number("An idle connection takes", "bytes"),
        ]);
        let mut lines = Vec::new();
        for contestant in contestants {
            let Some(answers) = contestant.typical_latencies() else {
                continue;
            };
            let us = |share: f64| answers.percentile(share).as_secs_f64() * 1e6;
            let idle = contestant
                .idle
                .map_or("–".to_owned(), |bytes| format!("{bytes:.0}"));
            println!(
                "{:<22} {:>10.0} {:>6.0} µs {:>6.0} µs {:>6.0} µs {:>6.0} µs   {idle:>12}",
                contestant.name,
                median(&contestant.rate) / 2.0,
                us(0.5),
                us(0.99),
                us(0.999),
                us(1.0),
            );
            latency = latency.row([
                format!("`{}`", contestant.name),
                format!("{:.0}", median(&contestant.rate) / 2.0),
                format!("{:.0}", us(0.5)),
                format!("{:.0}", us(0.99)),
                format!("{:.0}", us(0.999)),
                idle,
            ]);
            if !DRAWN.contains(&contestant.name) {
                continue;
            }
            // Evenly spaced in how rare a latency is, which is what one reads off the tail.
            let points = (0..=60).map(|step| {
                let rare = 10_f64.powf(f64::from(step) / 15.0);
                (rare, us(1.0 - 1.0 / rare))
            });
            lines.push(Line {
                name: format!("`{}`", contestant.name),
                points: points.collect(),
            });
        }
        let mut record = Record::new();
        record.add("cost", cost);
        record.add("latency", latency);
        record.add(
            "tail",
            Series {
                x: Axis::new("One request in", "requests"),
                y: Axis::new("takes longer than", "µs"),
                lines,
            },
        );
        record.save()?;
        Ok(())
    }
}
