//! Two networks: an inner one with a client and a server, and an outer one with the ends of the
//! tunnel, `west` and `east`, and the link that loses packets.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lab::{Host, Lab, Link, Verdict};

use crate::tunnel::{Carrier, Tunnel};

/// What a measurement gives, or why there is none.
pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// From `west` to `east` and back.
pub const ROUND_TRIP: Duration = Duration::from_millis(40);

/// What the outer link carries in each direction, in bits a second.
pub const RATE: u64 = 10_000_000;

/// The largest inner packet: with the tunnel's headers it fits in 1,500 bytes.
const INNER_MTU: usize = 1_400;

/// How late packets may be: far less than what is measured, and many labs run at a time.
const TOLERANCE: Duration = Duration::from_millis(10);

/// Bytes of each packet that are kept: its headers.
const SNAP: usize = 100;

/// What the kernels of all four hosts can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernels {
    /// What Linux can tell by default.
    Today,
    /// Not whether a retransmission timer ran out needlessly.
    Then,
}

// ANCHOR: then
/// Two ways to notice that a timeout was needless, since the segment was only late. Each suffices:
/// F-RTO (RFC 5682), and timestamps, which tell what an acknowledgment answers (RFC 7323, RFC 4015).
const BY_WHICH_IT_TELLS: [&str; 2] = ["net.ipv4.tcp_frto", "net.ipv4.tcp_timestamps"];
// ANCHOR_END: then

/// The two networks and the tunnel.
pub struct Vpn {
    /// Both networks.
    pub lab: Lab,
    /// The inner host that sends.
    pub client: Host,
    /// The inner host that receives.
    pub server: Host,
    /// What joins the two.
    pub tunnel: Tunnel,
}

// ANCHOR: outer
/// One direction of the outer link, which carries nothing while it is `down`.
pub fn outer(down: &Switch) -> Link {
    let down = down.clone();
    Link::new()
        .delay(ROUND_TRIP / 2)
        .rate(RATE)
        .rule(move |_, _| match down.load(Ordering::Relaxed) {
            true => Verdict::Drop,
            false => Verdict::Pass,
        })
}

/// Whether the outer link is down.
pub type Switch = Arc<AtomicBool>;
// ANCHOR_END: outer

impl Vpn {
    // ANCHOR: networks
    /// Builds both networks and opens the tunnel.
    ///
    /// # Errors
    ///
    /// Those of [`lab::Builder::start`], and of the tunnel's sockets.
    pub fn open(carrier: Carrier, kernels: Kernels, there: Link, back: Link) -> Result<Self> {
        let mut builder = Lab::builder();
        builder.congestion("reno");
        builder.tolerance(TOLERANCE);
        builder.snap(SNAP);
        let (client, server) = (builder.host("client"), builder.host("server"));
        let devices = [builder.raw("west's device"), builder.raw("east's device")];
        let (west, east) = (builder.host("west"), builder.host("east"));
        let inner = Link::new().mtu(INNER_MTU);
        builder.link(client, devices[0], inner.clone(), inner.clone());
        builder.link(server, devices[1], inner.clone(), inner);
        builder.link(west, east, there, back);
        let lab = builder.start()?;

        let hosts = [client, server, west, east].map(|place| lab.host(place));
        if kernels == Kernels::Then {
            for host in &hosts {
                for parameter in BY_WHICH_IT_TELLS {
                    host.sysctl(parameter, 0)?;
                }
            }
        }
        let [client, server, west, east] = hosts;
        let devices = devices.map(|place| lab.raw(place));
        let tunnel = Tunnel::open(carrier, [&west, &east], devices)?;
        Ok(Self {
            lab,
            client,
            server,
            tunnel,
        })
    }
    // ANCHOR_END: networks
}
