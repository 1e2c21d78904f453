//! The behaviours, one function each; their names are the claims.

mod conversation;
mod crowd;
mod patience;
mod refusal;
mod shutdown;

pub use conversation::*;
pub use crowd::*;
pub use patience::*;
pub use refusal::*;
pub use shutdown::*;

use crate::Subject;

/// What is no address and no option is answered with the usage.
#[doc(alias = "test")]
pub fn wrong_arguments_are_answered_with_the_usage(subject: &Subject) {
    for wrong in [
        &["fast"][..],
        &["127.0.0.1:0", "--workers"],
        &["--workers", "0"],
        &["127.0.0.1:0", "127.0.0.1:0"],
    ] {
        let run = subject.listing.clone().args(wrong).run();
        assert_eq!(run.status.code(), Some(2), "{wrong:?}: {}", run.stdout);
        assert!(
            run.stderr.starts_with("usage: exec-"),
            "{wrong:?}: {}",
            run.stderr
        );
    }
}
