//! `cargo book serve`: shows the book and rebuilds it when a file changes.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Arc, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use notify::{EventKind, RecursiveMode, Watcher as _};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::html;
use crate::project::Project;
use crate::site;
use crate::site::folder::Folder;
use crate::terminal::say;

/// The port that is tried first.
pub const DEFAULT_PORT: u16 = 3000;

/// How many ports are tried before giving up.
const PORTS: u16 = 20;

/// An editor writes a file in several steps: wait until it has been quiet for this long.
const QUIET: Duration = Duration::from_millis(60);

/// What a build reads: a change there builds the book anew.
const WATCHED: &[&str] = &[
    "src",
    "listings",
    "theme",
    "ci/book/styleguide",
    "book.toml",
];

/// The script that every page gets while it is being served.
const RELOAD_SCRIPT: &str = include_str!("serve/reload.js");

/// Where the script and its events are found; no page of the book can be there.
const RELOAD_PATH: &str = "/~reload.js";
const EVENTS_PATH: &str = "/~events";

/// What the browser shows.
#[derive(Clone)]
struct Shown {
    /// The last good build.
    out: PathBuf,
    /// Counts the builds; a page that has seen another one reloads.
    generation: u64,
    /// Why the newest build failed, if it did.
    error: Option<String>,
}

#[derive(Clone)]
struct App {
    shown: Arc<RwLock<Shown>>,
    news: watch::Receiver<u64>,
}

/// Serves the book of the project at `root` until Ctrl-C.
///
/// # Errors
///
/// When no port can be had, or the files cannot be watched. A book that does not build is no
/// error: the page shows why, and a later change may mend it.
pub fn serve(root: &Path, address: IpAddr, port: Option<u16>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = bind(address, port).await?;
        let url = format!("http://{}/", listener.local_addr()?);
        let out = root.join(format!("target/book/serve-{}", std::process::id()));
        let folder = Folder::named(out.clone());

        let shown = Arc::new(RwLock::new(Shown {
            out,
            generation: 0,
            error: None,
        }));
        let (tell, news) = watch::channel(0);
        // Watched from before the first build on: it does not miss what is saved meanwhile.
        let (_watcher, changes) = watch_files(root)?;
        rebuild(root, &url, &shown);
        rebuild_on(changes, root, &url, Arc::clone(&shown), tell);

        say(format_args!("\n  {url}   Ctrl-C ends\n"));
        let app = Router::new()
            .route(EVENTS_PATH, get(events))
            .fallback(get(file))
            .with_state(App { shown, news });
        // Pages hold their event streams open, so there is no waiting for connections to end.
        tokio::select! {
            served = async { axum::serve(listener, app).await } => served?,
            signal = asked_to_end() => {
                signal?;
                say(format_args!("\nstopped"));
            }
        }
        drop(folder);
        Ok(())
    })
}

/// Ctrl-C, a terminal that is closed, or whoever ends processes politely.
#[cfg(unix)]
async fn asked_to_end() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = hangup.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn asked_to_end() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}

/// Binds the port asked for, or the default port, or the next one that is free.
async fn bind(address: IpAddr, port: Option<u16>) -> Result<TcpListener> {
    let first = port.unwrap_or(DEFAULT_PORT);
    for port in first..first.saturating_add(PORTS) {
        match TcpListener::bind(SocketAddr::new(address, port)).await {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                say(format_args!(
                    "port {port} is taken, trying {}",
                    port.saturating_add(1)
                ));
            }
            Err(error) => {
                return Err(error).with_context(|| {
                    format!("cannot listen on {address}:{port}: choose another with `--port`")
                });
            }
        }
    }
    bail!(
        "ports {first} to {} are all taken: choose another with `--port`",
        first.saturating_add(PORTS - 1)
    );
}

/// Builds the book; on failure the last good one stays.
fn rebuild(root: &Path, url: &str, shown: &RwLock<Shown>) {
    let begun = Instant::now();
    let out = read(shown).out;
    let error = Project::load(root)
        .and_then(|project| site::build(&project, &out, url))
        .err()
        .map(|error| format!("{error:#}"));
    match &error {
        None => say(format_args!("built in {} ms", begun.elapsed().as_millis())),
        Some(error) => eprintln!("\n{error}\n"),
    }
    let mut shown = shown
        .write()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    shown.generation += 1;
    shown.error = error;
}

fn read(shown: &RwLock<Shown>) -> Shown {
    shown
        .read()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
        .clone()
}

/// Watches the files that a build reads, and gives one item for each change.
fn watch_files(root: &Path) -> Result<(notify::RecommendedWatcher, mpsc::Receiver<()>)> {
    let (changed, changes) = mpsc::channel();
    let book = root.to_owned();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| concerns(&event, &book)) {
            let _ = changed.send(());
        }
    })
    .context("cannot watch the book's files")?;
    // A file that is saved by renaming another over it is lost to who watches the file alone, so
    // for `book.toml` it is its folder that is watched.
    let folders = WATCHED.iter().map(|path| root.join(path));
    let folders = folders
        .filter(|path| path.is_dir())
        .map(|path| (path, RecursiveMode::Recursive));
    for (path, mode) in folders.chain([(root.to_owned(), RecursiveMode::NonRecursive)]) {
        watcher
            .watch(&path, mode)
            .with_context(|| format!("cannot watch {}", path.display()))?;
    }
    Ok((watcher, changes))
}

/// Whether an event may have changed what a build reads. A build itself only reads these files.
fn concerns(event: &notify::Event, root: &Path) -> bool {
    let watched = |path: &PathBuf| {
        WATCHED
            .iter()
            .any(|watched| path.starts_with(root.join(watched)))
    };
    !matches!(event.kind, EventKind::Access(_))
        && (event.need_rescan() || event.paths.iter().any(watched))
}

/// Rebuilds in a thread of its own after each change.
fn rebuild_on(
    changes: mpsc::Receiver<()>,
    root: &Path,
    url: &str,
    shown: Arc<RwLock<Shown>>,
    tell: watch::Sender<u64>,
) {
    let (root, url) = (root.to_owned(), url.to_owned());
    thread::spawn(move || {
        while changes.recv().is_ok() {
            while changes.recv_timeout(QUIET).is_ok() {}
            rebuild(&root, &url, &shown);
            tell.send_replace(read(&shown).generation);
        }
    });
}

/// Tells a page of each build: `built` with the build's number, or `failed` with the reason.
async fn events(
    State(app): State<App>,
) -> Sse<impl futures_core::Stream<Item = Result<Event, Infallible>>> {
    let mut news = app.news.clone();
    // The page learns at once how things stand: it may have been loaded from an older build.
    news.mark_changed();
    let stream = async_stream(news, move || {
        let shown = read(&app.shown);
        match shown.error {
            None => Event::default()
                .event("built")
                .data(shown.generation.to_string()),
            Some(error) => Event::default().event("failed").data(error),
        }
    });
    Sse::new(stream).keep_alive(KeepAlive::default())
}

/// One item for each change that `news` brings.
fn async_stream<T>(
    news: watch::Receiver<u64>,
    item: impl Fn() -> T,
) -> impl futures_core::Stream<Item = Result<T, Infallible>> {
    futures_util::stream::unfold((news, item), |(mut news, item)| async move {
        news.changed().await.ok()?;
        let value = item();
        Some((Ok(value), (news, item)))
    })
}

/// A file of the newest good build.
async fn file(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Response {
    if uri.path() == RELOAD_PATH {
        return ([(header::CONTENT_TYPE, "text/javascript")], RELOAD_SCRIPT).into_response();
    }
    let shown = read(&app.shown);
    let Some(path) = site_path(uri.path()) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let mut file = shown.out.join(&path);
    if file.is_dir() {
        if !uri.path().ends_with('/') {
            // Relative links count from the folder. Temporary, since another server may have this
            // port tomorrow; one slash in front, since two would name a host.
            let to = format!("/{}/", uri.path().trim_matches('/'));
            return (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response();
        }
        file.push("index.html");
    }
    let (status, file) = if file.is_file() {
        (StatusCode::OK, file)
    } else {
        (StatusCode::NOT_FOUND, shown.out.join("404.html"))
    };
    let kind = content_type(&file);
    let Ok(body) = std::fs::read(&file) else {
        let text = shown
            .error
            .unwrap_or_else(|| "there is no such page".to_owned());
        let page = format!(
            "<!DOCTYPE html><title>cargo book</title><pre>{}</pre>{}",
            crate::highlight::escape(&text),
            script_tag(shown.generation)
        );
        return (
            StatusCode::NOT_FOUND,
            [(header::CONTENT_TYPE, "text/html; charset=utf-8")],
            page,
        )
            .into_response();
    };
    let wants_page = kind.starts_with("text/html")
        && headers
            .get("sec-fetch-dest")
            .is_none_or(|destination| destination == "document");
    let body = if wants_page {
        with_script(body, shown.generation)
    } else {
        body
    };
    (
        status,
        [
            (header::CONTENT_TYPE, kind),
            (header::CACHE_CONTROL, "no-store"),
        ],
        body,
    )
        .into_response()
}

/// The file that a request's path names, or nothing where it would lead out of the site.
fn site_path(path: &str) -> Option<PathBuf> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first == b'%' {
            bytes.push(html::percent_encoded(rest)?);
            rest = &rest[2..];
        } else {
            bytes.push(*first);
        }
    }
    let path = String::from_utf8(bytes).ok()?;
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let leads_out = |part: &&str| matches!(*part, "." | "..") || part.contains(['\\', '\0', ':']);
    (!parts.iter().any(leads_out)).then(|| parts.iter().collect())
}

fn script_tag(generation: u64) -> String {
    format!(
        "<script src=\"{RELOAD_PATH}\" data-generation=\"{generation}\" data-events=\"{EVENTS_PATH}\" defer></script>"
    )
}

fn with_script(page: Vec<u8>, generation: u64) -> Vec<u8> {
    let Ok(html) = std::str::from_utf8(&page) else {
        return page;
    };
    match html.rfind("</body>") {
        Some(at) => {
            let mut with = html[..at].to_owned();
            with.push_str(&script_tag(generation));
            with.push_str(&html[at..]);
            with.into_bytes()
        }
        None => page,
    }
}

fn content_type(file: &Path) -> &'static str {
    let extension = file
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default();
    match extension {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "xml" => "application/xml",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_lead_out_of_the_site() {
        assert_eq!(
            site_path("/ko/ch01-basics/ports.html"),
            Some("ko/ch01-basics/ports.html".into())
        );
        assert_eq!(site_path("/%EC%97%B0"), Some("연".into()));
        for path in [
            "/../x",
            "/a/%2e%2e/b",
            "/a/..\\b",
            "/%00",
            "/%zz",
            "/%f",
            "/%+f",
            "/C:/x",
            "/%ff",
        ] {
            assert_eq!(site_path(path), None, "{path}");
        }
    }

    #[test]
    fn the_script_goes_before_the_end_of_the_body() {
        let page = with_script(b"<body>x</body></html>".to_vec(), 7);
        let page = String::from_utf8(page).unwrap();
        assert!(page.starts_with("<body>x<script"), "{page}");
        assert!(page.contains("data-generation=\"7\""), "{page}");
    }

    #[tokio::test]
    async fn a_taken_port_gives_the_next() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let listener = bind([127, 0, 0, 1].into(), Some(port)).await.unwrap();
        assert!(listener.local_addr().unwrap().port() > port);
    }
}
