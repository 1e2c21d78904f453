//! The command line of `cargo book`.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use book::project::Project;
use book::sync::Texts;
use book::terminal::say;
use book::{bench, check, doctor, list, new, preprocess, recording, serve, site};
use clap::{Parser, Subcommand};

/// Builds, serves, checks and records the book.
#[derive(Parser)]
#[command(name = "cargo book", bin_name = "cargo book", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows the book in every language and rebuilds it when a file changes
    Serve {
        /// The address to listen on
        #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
        address: IpAddr,
        /// The port to try first [default: 3000]
        #[arg(long)]
        port: Option<u16>,
    },
    /// Builds the site: DIR/index.html and a folder for each language
    Build {
        /// Where to write it [default: target/site in the book's folder]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// The address at which it will be published [default: from book.toml]
        #[arg(long, value_name = "URL")]
        base_url: Option<String>,
    },
    /// Finds what is wrong: parity, staleness, links, proofs, RFCs, terms
    Check,
    /// Runs listings and keeps what they print and what figures are drawn from
    Record {
        /// The listings' names; all listings when none is given
        names: Vec<String>,
    },
    /// Takes pages as reviewed side by side in all languages
    Sync {
        /// Pages, as in `ch01-basics/ports.md`
        #[arg(required = true)]
        pages: Vec<String>,
    },
    /// Lists the listings by chapter
    List,
    /// Tells what this machine can run, and the remedy for what it cannot
    Doctor,
    /// Makes the files of a new listing
    New {
        /// Its place, as in `ch05-tcp/handshake`
        #[arg(value_name = "chNN-topic/NAME")]
        place: String,
    },
    /// Measures the site, or listings against their yardsticks
    Bench {
        /// `site`, `cold` (fresh clone to served page), a listing, or a chapter such as `ch05`
        #[arg(default_value = "site")]
        what: String,
    },
    /// mdBook's preprocessor (mdBook runs this)
    #[command(hide = true)]
    Preprocess {
        #[command(subcommand)]
        question: Option<Question>,
    },
}

#[derive(Subcommand)]
enum Question {
    /// Whether a renderer is supported: every one is
    Supports {
        /// The renderer's name
        renderer: String,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Preprocess { question } => {
            if question.is_none() {
                preprocess::preprocess(io::stdin(), io::stdout())?;
            }
        }
        Command::Serve { address, port } => {
            serve::serve(&Project::here()?.root, address, port)?;
        }
        Command::Build { out, base_url } => {
            let project = Project::here()?;
            let out = out.unwrap_or_else(|| project.root.join("target/site"));
            let base_url = base_url.unwrap_or_else(|| site::default_base_url(&project));
            let site = site::build(&project, &out, &base_url)?;
            say(format_args!(
                "built {} pages in {}",
                site.pages.len(),
                out.display()
            ));
        }
        Command::Check => {
            let report = check::check(&Project::here()?)?;
            for finding in &report.findings {
                say(format_args!("{finding}"));
            }
            say(format_args!(
                "check: {} pages, {} findings",
                report.pages,
                report.findings.len()
            ));
            if !report.findings.is_empty() {
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Record { names } => recording::record(&Project::here()?, &names)?,
        Command::Sync { pages } => {
            let project = Project::here()?;
            let mut texts = Texts::load(&project)?;
            for page in pages {
                let sections = texts.sync(&project.root, &page)?;
                say(format_args!("{page}: {sections} sections in step"));
            }
        }
        Command::List => say(list::list(&Project::here()?).trim_end()),
        Command::Doctor => say(doctor::report(&Project::here()?).trim_end()),
        Command::New { place } => {
            let (dir, package) = new::new(&Project::here()?, &place)?;
            say(format_args!("made {}", dir.display()));
            say(format_args!(
                "next: write it, `cargo book record {package}`, and show it on a page:"
            ));
            say(format_args!("      {{{{#listing {package}}}}}"));
        }
        Command::Bench { what } => bench::bench(&Project::here()?, &what)?,
    }
    Ok(ExitCode::SUCCESS)
}
