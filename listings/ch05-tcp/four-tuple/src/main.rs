//! What tells TCP connections apart: two addresses and two ports, the four-tuple.
//!
//! ```text
//! cargo run -p tcp-four-tuple
//! ```
//!
//! Two clients and two servers, each with a kernel's own TCP, are joined by a router. All packets are
//! captured.
//!
//! Look for four connections that share a port and get their bytes right; for how often ten ports
//! suffice; and for which call fails, and with which error, when a tuple would exist twice.

#![forbid(unsafe_code)]

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "tcp-four-tuple builds a network out of Linux's namespaces. Run it on Linux: in the book's \
         dev container, or on Windows in WSL2. basics-ports shows part of it on other systems."
    );
}

#[cfg(target_os = "linux")]
mod show;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    lab::experiment(env!("CARGO_PKG_NAME"), linux::run)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::error::Error;
    use std::io::{self, Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::thread;
    use std::time::{Duration, Instant};

    use lab::{Capture, Host, Lab, Link, Packet, TcpState};
    use nix::sys::socket::SetSockOpt;
    use nix::sys::socket::sockopt::IpBindAddressNoPort;
    use record::Record;
    use socket2::{Domain, Socket, Type};

    use crate::show;

    pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

    /// The port from which the connections of the first part come: outside of [`EPHEMERAL`].
    const SHARED_PORT: u16 = 40_000;

    /// The ports from which the clients' kernels choose, and how many they are.
    const EPHEMERAL: &str = "50000 50009";
    const PORTS: usize = 10;

    /// Two clients and two servers.
    pub const HOSTS: [&str; 4] = ["anna", "ben", "orders", "photos"];
    const ROUTER: &str = "router";

    /// How long to wait for a state, which should be there at once.
    const DEADLINE: Duration = Duration::from_secs(10);

    pub fn run() -> Result<()> {
        let network = Network::start()?;
        let mut record = Record::new();

        println!("1. Four connections, one port of the clients\n");
        let mut four = four_connections(&network)?;
        let segments = data_segments(&network.lab.capture());
        record.add("mixed", show::mixed(&segments));
        record.add("sorted", show::sorted(&segments, &mut four)?);

        println!("\n2. Forty connections, ten ports of the clients\n");
        let mut pools = pools(&network)?;
        record.add("pools", show::pools(&pools, &network.orders.host));

        println!("\n3. One more\n");
        let attempts = attempts(&network, &mut pools[0])?;
        record.add("attempts", show::attempts(&attempts));
        let _ = network.lab.finish()?;
        Ok(record.save()?)
    }

    // ANCHOR: network
    /// Two clients and two servers around a router. Each server listens at two ports.
    struct Network {
        lab: Lab,
        anna: Host,
        ben: Host,
        orders: Server,
        photos: Server,
    }

    struct Server {
        host: Host,
        /// At ports 80 and 8080.
        listeners: [TcpListener; 2],
    }

    impl Network {
        fn start() -> Result<Self> {
            let mut builder = Lab::builder();
            let places = HOSTS.map(|name| builder.host(name));
            let router = builder.router(ROUTER);
            for place in places {
                builder.link(place, router, Link::new(), Link::new());
            }
            let lab = builder.start()?;
            let [anna, ben, orders, photos] = places.map(|place| lab.host(place));
            for client in [&anna, &ben] {
                client.sysctl("net.ipv4.ip_local_port_range", EPHEMERAL)?;
            }
            let (orders, photos) = (Server::start(orders)?, Server::start(photos)?);
            Ok(Self {
                lab,
                anna,
                ben,
                orders,
                photos,
            })
        }
    }
    // ANCHOR_END: network

    impl Server {
        fn start(host: Host) -> io::Result<Self> {
            let listen = |port| host.run(|| TcpListener::bind((host.v4(), port)));
            let listeners = [listen(80)?, listen(8080)?];
            Ok(Self { host, listeners })
        }
    }

    /// Both ends of a connection.
    pub struct Connection {
        pub client: TcpStream,
        pub server: TcpStream,
    }

    // ANCHOR: shared
    /// Connections that have the client's port in common, and of the other three numbers never all.
    fn four_connections(network: &Network) -> Result<[Connection; 4]> {
        let Network {
            anna,
            ben,
            orders,
            photos,
            ..
        } = network;
        let mut connections = [
            connect_from(anna, SHARED_PORT, &orders.listeners[0])?,
            connect_from(anna, SHARED_PORT, &orders.listeners[1])?,
            connect_from(anna, SHARED_PORT, &photos.listeners[0])?,
            connect_from(ben, SHARED_PORT, &orders.listeners[0])?,
        ];
        // In turn, so that the segments of all connections come mixed.
        for (from, to) in [(0, 2), (2, 4)] {
            for (connection, word) in connections.iter_mut().zip(WORDS) {
                connection.client.write_all(&word.as_bytes()[from..to])?;
                let there = || Ok(connection.server.peek(&mut [0; 4])? == to);
                wait_until("a segment has arrived", there)?;
            }
        }
        Ok(connections)
    }

    /// What each of the connections says.
    const WORDS: [&str; 4] = ["plum", "pear", "kiwi", "lime"];

    fn connect_from(host: &Host, port: u16, to: &TcpListener) -> Result<Connection> {
        let socket = host.run(|| Socket::new(Domain::IPV4, Type::STREAM, None))?;
        // Other sockets may have the port too, as long as they say the same.
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((host.v4(), port)).into())?;
        socket.connect(&to.local_addr()?.into())?;
        socket.set_tcp_nodelay(true)?; // a segment for each write
        let (server, _) = to.accept()?;
        Ok(Connection {
            client: socket.into(),
            server,
        })
    }
    // ANCHOR_END: shared

    /// What makes a connection.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub struct FourTuple {
        /// The client's end.
        pub source: SocketAddr,
        /// The server's end.
        pub destination: SocketAddr,
    }

    // ANCHOR: tuple
    impl FourTuple {
        /// The tuple that stands in a packet: the addresses in the IP header, the ports in TCP's.
        fn of(packet: &Packet) -> Option<Self> {
            let header = packet.tcp()?;
            Some(Self {
                source: (packet.source()?, header.source_port).into(),
                destination: (packet.destination()?, header.destination_port).into(),
            })
        }
    }

    /// A segment with data.
    pub struct DataSegment {
        pub tuple: FourTuple,
        pub data: String,
        /// Client and server, by the lab's numbers.
        pub from: usize,
        pub to: usize,
        pub sent: Duration,
        pub arrived: Option<Duration>,
    }

    /// The segments with data that the router passed on, in the order in which it did.
    fn data_segments(capture: &Capture) -> Vec<DataSegment> {
        let mut segments = Vec::new();
        for (at, crossing) in capture.crossings().iter().enumerate() {
            let packet = Packet::new(&crossing.bytes);
            let Some(tuple) = FourTuple::of(&packet) else {
                continue;
            };
            if packet.payload().is_empty() || capture.name(crossing.from) != ROUTER {
                continue;
            }
            // The same packet, before the router.
            let before = capture.crossings()[..at].iter().rev();
            let before = before.filter(|before| before.tcp() == crossing.tcp());
            let mut before =
                before.filter(|before| FourTuple::of(&Packet::new(&before.bytes)) == Some(tuple));
            let Some(before) = before.next() else {
                continue;
            };
            segments.push(DataSegment {
                tuple,
                data: String::from_utf8_lossy(packet.payload()).into_owned(),
                from: before.from,
                to: crossing.to,
                sent: before.sent,
                arrived: crossing.arrived,
            });
        }
        segments
    }
    // ANCHOR_END: tuple

    /// The connections of a client to one address and port, until its kernel refused one.
    pub struct Pool {
        pub client: &'static str,
        pub to: SocketAddr,
        pub connections: Vec<Connection>,
        pub refused: io::Error,
    }

    // ANCHOR: pools
    /// As many connections as each client gets to each of these places.
    fn pools(network: &Network) -> Result<[Pool; 4]> {
        let Network {
            anna,
            ben,
            orders,
            photos,
            ..
        } = network;
        Ok([
            Pool::fill(anna, "anna", &orders.listeners[0])?,
            Pool::fill(anna, "anna", &orders.listeners[1])?,
            Pool::fill(anna, "anna", &photos.listeners[0])?,
            Pool::fill(ben, "ben", &orders.listeners[0])?,
        ])
    }

    impl Pool {
        fn fill(host: &Host, client: &'static str, to: &TcpListener) -> Result<Self> {
            let address = to.local_addr()?;
            let mut connections = Vec::new();
            let refused = loop {
                match host.run(|| TcpStream::connect(address)) {
                    Ok(client) if connections.len() < 2 * PORTS => {
                        let (server, _) = to.accept()?;
                        connections.push(Connection { client, server });
                    }
                    Ok(_) => return Err("more connections than the ports allow".into()),
                    Err(error) => break error,
                }
            };
            Ok(Self {
                client,
                to: address,
                connections,
                refused,
            })
        }
    }
    // ANCHOR_END: pools

    /// How a socket is prepared for `connect()`.
    #[derive(Debug, Clone, Copy, Default)]
    struct Preparation {
        /// The port to bind it to, 0 for any. Without this it is not bound.
        port: Option<u16>,
        /// `SO_REUSEADDR`
        reuse_address: bool,
        /// `IP_BIND_ADDRESS_NO_PORT`
        no_port: bool,
    }

    /// An attempt at one more connection.
    pub struct Attempt {
        pub what: &'static str,
        /// What failed, unless nothing did.
        pub refused: Option<Refusal>,
    }

    /// The call that failed, and why.
    pub type Refusal = (&'static str, io::Error);

    // ANCHOR: attempt
    fn attempt(host: &Host, prepared: Preparation, to: &TcpListener) -> Result<Option<Refusal>> {
        let socket = host.run(|| Socket::new(Domain::IPV4, Type::STREAM, None))?;
        socket.set_reuse_address(prepared.reuse_address)?;
        IpBindAddressNoPort.set(&socket, &prepared.no_port)?;
        if let Some(port) = prepared.port {
            let here = SocketAddr::from((host.v4(), port));
            if let Err(error) = socket.bind(&here.into()) {
                return Ok(Some(("bind()", error)));
            }
        }
        let connected = socket.connect(&to.local_addr()?.into());
        Ok(connected.err().map(|error| ("connect()", error)))
    }
    // ANCHOR_END: attempt

    // ANCHOR: attempts
    /// What anna can still open when all her ports are in use, and before and after some are free.
    fn attempts(network: &Network, pool: &mut Pool) -> Result<Vec<Attempt>> {
        let anna = &network.anna;
        let (full, fresh) = (&network.orders.listeners[0], &network.photos.listeners[1]);
        let unbound = Preparation::default();
        let shared = Preparation {
            port: Some(SHARED_PORT),
            ..unbound
        };
        let any = Preparation {
            port: Some(0),
            ..unbound
        };
        let mut attempts = Vec::new();
        let mut try_it = |what, prepared, to| -> Result<()> {
            let refused = attempt(anna, prepared, to)?;
            attempts.push(Attempt { what, refused });
            Ok(())
        };
        let reusing = Preparation {
            reuse_address: true,
            ..shared
        };
        try_it("a tuple that exists, with `SO_REUSEADDR`", reusing, full)?;
        try_it("a tuple that exists, without `SO_REUSEADDR`", shared, full)?;
        try_it("any port, to where all ten are connected", unbound, full)?;
        try_it("any port, to where none is", unbound, fresh)?;
        try_it("the same after `bind()` to port 0", any, fresh)?;
        let no_port = Preparation {
            no_port: true,
            ..any
        };
        try_it("the same with `IP_BIND_ADDRESS_NO_PORT`", no_port, fresh)?;

        let Connection { client, server } = pool.connections.pop().ok_or("no connection")?;
        let tuple = (client.local_addr()?, client.peer_addr()?);
        close(client, server)?;
        wait_for(anna, tuple, Some(TcpState::TimeWait))?;
        try_it(
            "any port, after the client closed one of the ten",
            unbound,
            full,
        )?;

        let Connection { client, server } = pool.connections.pop().ok_or("no connection")?;
        let tuple = (client.local_addr()?, client.peer_addr()?);
        close(server, client)?;
        wait_for(anna, tuple, None)?;
        try_it(
            "any port, after the server closed one of the ten",
            unbound,
            full,
        )?;
        Ok(attempts)
    }
    // ANCHOR_END: attempts

    /// Closes both ends of a connection, one after the other.
    fn close(first: TcpStream, mut second: TcpStream) -> Result<()> {
        drop(first);
        match second.read(&mut [0])? {
            0 => Ok(()),
            _ => Err("a byte came that no one sent".into()),
        }
    }

    /// Waits until an end of a connection is in a state, or gone.
    fn wait_for(
        host: &Host,
        (local, remote): (SocketAddr, SocketAddr),
        state: Option<TcpState>,
    ) -> Result<()> {
        wait_until("an end of a connection is in its state", || {
            let mut sockets = host.tcp_states().into_iter();
            let found = sockets.find(|socket| (socket.local, socket.remote) == (local, remote));
            Ok(found.map(|socket| socket.state) == state)
        })
    }

    /// Asks again and again, up to a deadline.
    fn wait_until(what: &str, mut it_is_so: impl FnMut() -> io::Result<bool>) -> Result<()> {
        let at_latest = Instant::now() + DEADLINE;
        while !it_is_so()? {
            if Instant::now() > at_latest {
                return Err(format!("waited in vain until {what}").into());
            }
            thread::sleep(Duration::from_micros(100));
        }
        Ok(())
    }
}
