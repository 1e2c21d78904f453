//! What the four are called, and what they need.

use std::fmt;

/// How datagrams are sent and received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// One call for each datagram, at both ends.
    Single,
    /// One call for many datagrams, at both ends.
    Batched,
    /// One call for a bundle, which the kernel cuts into datagrams: *generic segmentation offload*.
    /// They are received with one call each.
    Segmented,
    /// The same, and the receiver's kernel hands it whole bundles: *generic receive offload*.
    Coalesced,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Single,
        Self::Batched,
        Self::Segmented,
        Self::Coalesced,
    ];

    /// Whether it sends bundles.
    #[must_use]
    pub fn segments(self) -> bool {
        matches!(self, Self::Segmented | Self::Coalesced)
    }

    /// By its calls, as a figure says it.
    #[must_use]
    pub fn in_figure(self) -> &'static str {
        match self {
            Self::Single => "`send`, `recv`",
            Self::Batched => "`sendmmsg`, `recvmmsg`",
            Self::Segmented => "GSO, `recv`",
            Self::Coalesced => "GSO, GRO",
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.in_figure().replace('`', ""))
    }
}
