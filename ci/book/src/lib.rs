//! `cargo book`: builds, serves, checks and records the book.
//!
//! A page's way: [`project`] finds it, [`page`] reads its Markdown, [`directive`] puts in what its
//! directives ask for ([`listing`]s' code and output, [`figure`]s drawn from records), mdBook
//! renders it, and [`site`] puts it among the other pages and languages. [`check`] reads the same
//! pages, in Markdown and in HTML, for what is wrong with them.

#![forbid(unsafe_code)]

pub mod bench;
pub mod check;
pub mod directive;
pub mod doctor;
pub mod figure;
pub mod highlight;
pub mod html;
pub mod list;
pub mod listing;
pub mod new;
pub mod page;
pub mod preprocess;
pub mod problem;
pub mod project;
pub mod recording;
pub mod search;
pub mod serve;
pub mod site;
pub mod summary;
pub mod sync;
pub mod terminal;
pub mod theme;
mod warnings;
