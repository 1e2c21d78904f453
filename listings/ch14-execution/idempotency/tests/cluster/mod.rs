//! A PostgreSQL server for the tests: the one that `IDEMPOTENCY_POSTGRES` names, or one of their own,
//! in a temporary folder, which ends with the test process however that ends.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use postgres::{Client, NoTls};
use tempfile::TempDir;

use crate::suite::Database;

/// The environment variable with the URL of a database in which the tests may make schemas.
const VARIABLE: &str = "IDEMPOTENCY_POSTGRES";

/// How many connections a server of our own takes: two tests at once, with as many as they like.
const CONNECTIONS: u32 = 300;

/// How many connections the tests leave to others, and to tests that run at the same time.
const SPARE: usize = 30;

/// Makes a cluster in the folder `$1`, runs it, and removes both when nobody holds our standard input
/// open any more. Nothing survives a crash here but a worker's, so nothing needs to reach the disk.
const KEEPER: &str = r#"
    log="$1/log"
    "$2/initdb" -D "$1/data" -U postgres -A trust -E UTF8 --no-locale --no-sync >"$log" 2>&1 || {
        cat "$log"
        exit 1
    }
    "$2/postgres" -D "$1/data" -k "$1" -c listen_addresses= -c max_connections=$3 -c fsync=off \
        >>"$log" 2>&1 </dev/null &
    server=$!
    tries=0
    until "$2/pg_isready" -q -h "$1"; do
        tries=$((tries + 1))
        { kill -0 $server && [ $tries -le 1200 ]; } 2>/dev/null || {
            cat "$log"
            kill -QUIT $server
            exit 1
        }
        sleep 0.05
    done
    echo ready
    cat >/dev/null
    kill -QUIT $server
    wait $server
    rm -rf "$1"
"#;

/// A server, and what keeps it.
pub struct Server {
    pub url: String,
    _keeper: Option<(Child, ChildStdin)>,
}

/// Who may run a server where we are root and so may not. Debian's package makes the user.
const USER: &str = "postgres";

/// The server of this test process; none if there is neither a URL nor PostgreSQL.
fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    // Each test that has none is counted as skipped, so the question is asked again in each.
    if let Ok(url) = std::env::var(VARIABLE) {
        return SERVER
            .get_or_init(|| Some(Server { url, _keeper: None }))
            .as_ref();
    }
    let programs = programs()?;
    SERVER.get_or_init(|| Some(start(&programs))).as_ref()
}

/// A server for one test alone, on this machine, which ends when this is dropped; none where there is no
/// PostgreSQL.
pub fn server_for_one_test() -> Option<Server> {
    Some(start(&programs()?))
}

/// The folder of `initdb`. Debian keeps it off the PATH, one for each version.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let newest = versions
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry)))
        .map(|(version, entry)| (version, entry.path().join("bin")))
        .filter(|(_, folder)| folder.join("initdb").exists())
        .max();
    match newest {
        Some((_, folder)) => Some(folder),
        None => Some(testkit::peer("initdb")?.parent()?.to_owned()),
    }
}

fn start(programs: &Path) -> Server {
    let folder = TempDir::new().unwrap().keep(); // the keeper removes it
    let is_root = folder.parent().is_some() && id("-u", None) == 0;
    let mut command = if is_root {
        let (user, group) = (id("-u", Some(USER)), id("-g", Some(USER)));
        std::os::unix::fs::chown(&folder, Some(user), Some(group)).unwrap();
        let mut command = Command::new("setpriv");
        command.arg(format!("--reuid={user}"));
        command.arg(format!("--regid={group}"));
        command.args(["--clear-groups", "sh"]);
        command
    } else {
        Command::new("sh")
    };
    let mut keeper = command
        .args(["-c", KEEPER, "keeper"])
        .arg(&folder)
        .arg(programs)
        .arg(CONNECTIONS.to_string())
        .current_dir(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = keeper.stdin.take().unwrap();
    let mut output = BufReader::new(keeper.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n", "{}", {
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut output, &mut rest).unwrap();
        rest
    });
    let socket = folder.to_str().unwrap().replace('/', "%2F");
    Server {
        url: format!("postgresql://postgres@{socket}/postgres"),
        _keeper: Some((keeper, input)),
    }
}

/// The number of a user or group; without a user, of those who run this.
fn id(what: &str, user: Option<&str>) -> u32 {
    let output = Command::new("id").arg(what).args(user).output().unwrap();
    let digits = String::from_utf8(output.stdout).unwrap();
    digits.trim().parse().unwrap()
}

/// A schema of its own, which goes when it is dropped.
struct Schema {
    name: String,
}

impl Drop for Schema {
    fn drop(&mut self) {
        let Some(server) = server() else { return };
        let client = Client::connect(&server.url, NoTls);
        let dropped = client.and_then(|mut client| {
            // Killed workers' sessions end when the server notices, and hold locks until then.
            client.batch_execute(&format!("DROP SCHEMA {} CASCADE", self.name))
        });
        if let Err(error) = dropped {
            eprintln!("schema {} is left: {error}", self.name);
        }
    }
}

/// An empty database, or rather a schema in one; none where there is no PostgreSQL.
pub fn database() -> Option<Database> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let server = server()?;
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("idempotency_{}_{count}", std::process::id());
    let mut client = Client::connect(&server.url, NoTls).unwrap();
    client
        .batch_execute(&format!("CREATE SCHEMA {name}"))
        .unwrap();
    let next = if server.url.contains('?') { '&' } else { '?' };
    Some(Database {
        name: format!("{}{next}options=-csearch_path%3D{name}", server.url),
        _keep: Box::new(Schema { name }),
    })
}

/// How many connections a test may have at once.
pub fn connections() -> usize {
    let Some(server) = server() else { return 0 };
    let mut client = Client::connect(&server.url, NoTls).unwrap();
    let row = client.query_one("SHOW max_connections", &[]).unwrap();
    let most: usize = row.get::<_, &str>(0).parse().unwrap();
    // Two of the tests that want many may run at the same time.
    most.saturating_sub(SPARE) / 2
}
