//! Our TCP against smoltcp's: each to and from the kernel's over a clean link of the lab, and two of
//! each in memory, where nothing else takes time.
//!
//! ```text
//! cargo bench -p tcp-from-scratch
//! ```
//!
//! The two take turns in one run, so that a machine that slows down slows both down; what counts is
//! the ratio of the medians, theirs to ours. Above 1, ours is faster. Both have buffers of 512 KiB,
//! segments of 1,500 bytes, and the same device. smoltcp runs as it comes, without congestion
//! control, which on a link that loses nothing is no handicap; ours has its slow start to pay for.

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("The lab needs Linux.");
}

#[cfg(target_os = "linux")]
#[path = "../src/edge/mod.rs"]
mod edge;

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    linux::main()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::VecDeque;
    use std::error::Error;
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener};
    use std::time::{Duration, Instant as Clock};

    use lab::{Lab, Link, Packet, Raw};
    use nix::time::{ClockId, clock_gettime};
    use smoltcp::iface::{Config as InterfaceConfig, Interface, SocketHandle, SocketSet};
    use smoltcp::phy::{self, DeviceCapabilities, Medium};
    use smoltcp::socket::tcp;
    use smoltcp::time::Instant;
    use smoltcp::wire::{HardwareAddress, IpCidr};
    use tcp_from_scratch::driver::Driver;
    use tcp_from_scratch::{Config, Error as TcpError, Secret, Stack, Time};

    use crate::edge::raw::RawDevice;

    type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

    const ROUNDS: usize = 15;
    const BYTES: usize = 200_000_000;
    const BUFFER: usize = 512 << 10;
    const PORT: u16 = 7000;

    #[derive(Clone, Copy, PartialEq)]
    enum Direction {
        /// From the stack in user space to the kernel.
        Sending,
        Receiving,
    }

    /// Wall clock and processor time of the stack's thread, in seconds.
    type Times = (f64, f64);
    type Contestant = fn(Raw, Ipv4Addr, Direction) -> Result<()>;

    pub fn main() -> Result<()> {
        lab::enter()?;
        println!(
            "{} MB over a clean link, to and from the kernel: median of {ROUNDS}, and how many times ours it \
             takes\n",
            BYTES / 1_000_000
        );
        let contestants: [(&str, Contestant); 2] = [("ours", ours), ("smoltcp", theirs)];
        for (what, direction) in [
            ("sending", Direction::Sending),
            ("receiving", Direction::Receiving),
        ] {
            let mut turns = [Vec::new(), Vec::new()];
            for _ in 0..ROUNDS {
                for ((_, run), turns) in contestants.iter().zip(&mut turns) {
                    turns.push(measure(*run, direction)?);
                }
            }
            println!("{what}");
            let medians = turns.map(|turns: Vec<Times>| {
                let (wall, cpu) = turns.into_iter().unzip();
                (median(wall), median(cpu))
            });
            let ours = medians[0];
            for ((name, _), (wall, cpu)) in contestants.iter().zip(medians) {
                println!(
                    "  {name:<8} {:>6.2} Gbit/s   {:>6.3} s   × {:.2}   processor {:>6.3} s   × {:.2}",
                    BYTES as f64 * 8.0 / wall / 1e9,
                    wall,
                    wall / ours.0,
                    cpu,
                    cpu / ours.1
                );
            }
        }
        in_memory();
        Ok(())
    }

    fn median(mut turns: Vec<f64>) -> f64 {
        turns.sort_by(f64::total_cmp);
        turns[turns.len() / 2]
    }

    /// Two ends of a kind, and packets that are copied from one to the other.
    fn in_memory() {
        let contestants: [(&str, fn()); 2] =
            [("ours", ours_in_memory), ("smoltcp", theirs_in_memory)];
        let mut turns = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for ((_, run), turns) in contestants.iter().zip(&mut turns) {
                let began = Clock::now();
                run();
                turns.push(began.elapsed().as_secs_f64());
            }
        }
        println!("in memory, from one end to the other");
        let medians = turns.map(median);
        for ((name, _), median) in contestants.iter().zip(medians) {
            println!(
                "  {name:<8} {:>6.2} Gbit/s   {median:>6.3} s   × {:.2}",
                BYTES as f64 * 8.0 / median / 1e9,
                median / medians[0]
            );
        }
    }

    /// Packets on their way.
    #[derive(Default)]
    struct Wire(VecDeque<Vec<u8>>);

    impl Wire {
        fn put(&mut self, len: usize, fill: impl FnOnce(&mut [u8])) {
            let mut packet = vec![0; len];
            fill(&mut packet);
            self.0.push_back(packet);
        }
    }

    const ENDS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)];

    fn config() -> Config {
        Config {
            send_buffer: BUFFER,
            receive_buffer: BUFFER,
            timestamps: false, // smoltcp sends none unless asked to
            ..Config::default()
        }
    }

    fn ours_in_memory() {
        let mut ends = ENDS.map(|ip| Stack::new(config(), Secret([1; 16]), &[ip.into()]));
        ends[1].listen(PORT, 1).expect("a free port");
        let began = Clock::now();
        let now = || Time::ZERO + began.elapsed();
        let sender = ends[0].connect(now(), (ENDS[1], PORT).into(), None);
        let sender = sender.expect("a connection");
        let (mut receiver, mut block, mut received) = (None, vec![7; 1 << 18], 0);
        let (mut sent, mut wire, mut buffer) = (0, Wire::default(), [0; 1500]);
        while received < BYTES {
            while sent < BYTES
                && let Ok(len) = ends[0].send(sender, &block[..block.len().min(BYTES - sent)])
            {
                sent += len;
            }
            for from in [0, 1] {
                let time = now();
                while let Some(len) = ends[from].transmit(time, &mut buffer) {
                    wire.put(len, |packet| packet.copy_from_slice(&buffer[..len]));
                }
                while let Some(packet) = wire.0.pop_front() {
                    ends[1 - from].arrives(time, &packet);
                }
            }
            receiver = receiver.or_else(|| ends[1].accept(PORT));
            while let Some(id) = receiver
                && let Ok(len @ 1..) = ends[1].receive(id, &mut block)
            {
                received += len;
            }
        }
    }

    /// An interface of smoltcp's, and a socket.
    fn smoltcp(
        ip: Ipv4Addr,
        device: &mut impl phy::Device,
        now: Instant,
    ) -> (Interface, SocketSet<'static>, SocketHandle) {
        let config = InterfaceConfig::new(HardwareAddress::Ip);
        let mut interface = Interface::new(config, device, now);
        interface.update_ip_addrs(|addresses| {
            addresses
                .push(IpCidr::new(ip.into(), 24))
                .expect("room for an address");
        });
        let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER]);
        let mut sockets = SocketSet::new(Vec::new());
        let handle = sockets.add(tcp::Socket::new(buffer(), buffer()));
        (interface, sockets, handle)
    }

    fn theirs_in_memory() {
        let began = Clock::now();
        let now = || Instant::from_micros(began.elapsed().as_micros() as i64);
        let mut ends = ENDS.map(|ip| {
            let mut device = Queues::default();
            let (interface, sockets, handle) = smoltcp(ip, &mut device, now());
            (interface, device, sockets, handle)
        });
        let (interface, _, sockets, handle) = &mut ends[0];
        let socket = sockets.get_mut::<tcp::Socket>(*handle);
        socket
            .connect(interface.context(), (ENDS[1], PORT), 49_152)
            .expect("a connection");
        let (_, _, sockets, handle) = &mut ends[1];
        sockets
            .get_mut::<tcp::Socket>(*handle)
            .listen(PORT)
            .expect("a free port");
        let (mut sent, mut received, mut block) = (0, 0, vec![7; 1 << 18]);
        while received < BYTES {
            let (_, _, sockets, handle) = &mut ends[0];
            let socket = sockets.get_mut::<tcp::Socket>(*handle);
            while sent < BYTES && socket.can_send() {
                let part = block.len().min(BYTES - sent);
                sent += socket
                    .send_slice(&block[..part])
                    .expect("an open connection");
            }
            for from in [0, 1] {
                let (interface, device, sockets, _) = &mut ends[from];
                interface.poll(now(), device, sockets);
                let mut out = std::mem::take(&mut device.out);
                ends[1 - from].1.arrived.append(&mut out.0);
            }
            let (_, _, sockets, handle) = &mut ends[1];
            let socket = sockets.get_mut::<tcp::Socket>(*handle);
            while socket.can_recv() {
                received += socket.recv_slice(&mut block).expect("an open connection");
            }
        }
    }

    /// What came and what goes, as smoltcp wants a device.
    #[derive(Default)]
    struct Queues {
        arrived: VecDeque<Vec<u8>>,
        out: Wire,
    }

    impl phy::Device for Queues {
        type RxToken<'a> = Taken;
        type TxToken<'a> = Putting<'a>;

        fn receive(&mut self, _: Instant) -> Option<(Taken, Putting<'_>)> {
            let packet = self.arrived.pop_front()?;
            Some((Taken(packet), Putting(&mut self.out)))
        }

        fn transmit(&mut self, _: Instant) -> Option<Putting<'_>> {
            Some(Putting(&mut self.out))
        }

        fn capabilities(&self) -> DeviceCapabilities {
            capabilities()
        }
    }

    struct Taken(Vec<u8>);

    impl phy::RxToken for Taken {
        fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
            f(&self.0)
        }
    }

    struct Putting<'a>(&'a mut Wire);

    impl phy::TxToken for Putting<'_> {
        fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
            let mut result = None;
            self.0.put(len, |packet| result = Some(f(packet)));
            result.expect("it has been filled")
        }
    }

    fn capabilities() -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = 1500;
        capabilities
    }

    fn measure(run: Contestant, direction: Direction) -> Result<Times> {
        let mut builder = Lab::builder();
        let (ours, kernel) = (builder.raw("ours"), builder.host("kernel"));
        builder.link(ours, kernel, Link::new(), Link::new());
        builder.congestion("reno");
        builder.snap(0);
        let lab = builder.start()?;
        let (raw, kernel) = (lab.raw(ours), lab.host(kernel));
        let listener = kernel.run(|| TcpListener::bind((kernel.v4(), PORT)))?;
        let serving = kernel.spawn(move || -> std::io::Result<usize> {
            let (mut connection, _) = listener.accept()?;
            let mut block = vec![7; 1 << 18];
            if direction == Direction::Receiving {
                for _ in 0..BYTES / 100_000 {
                    connection.write_all(&block[..100_000])?;
                }
                return Ok(BYTES);
            }
            let mut sum = 0;
            while sum < BYTES {
                match connection.read(&mut block)? {
                    0 => break,
                    len => sum += len,
                }
            }
            Ok(sum)
        });
        let to = kernel.v4();
        let processor = || -> Result<f64> {
            let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
            Ok(time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9)
        };
        let (began, before) = (Clock::now(), processor()?);
        run(raw, to, direction)?;
        let times = (began.elapsed().as_secs_f64(), processor()? - before);
        assert_eq!(
            serving.join().expect("the kernel's side does not panic")?,
            BYTES
        );
        Ok(times)
    }

    fn ours(raw: Raw, to: Ipv4Addr, direction: Direction) -> Result<()> {
        let mut stack = Stack::new(config(), Secret([1; 16]), &[raw.v4().into()]);
        let id = stack.connect(Time::ZERO, (to, PORT).into(), None)?;
        let mut driver = Driver::new(stack, RawDevice::new(raw));
        let (mut block, mut moved) = (vec![7; 1 << 18], 0);
        driver.until(Duration::from_secs(60), |stack| {
            loop {
                let part = block.len().min(BYTES - moved);
                let result = match direction {
                    Direction::Sending => stack.send(id, &block[..part]),
                    Direction::Receiving => stack.receive(id, &mut block),
                };
                match result {
                    Ok(len) if len > 0 => moved += len,
                    Ok(_) | Err(TcpError::WouldBlock) => break,
                    Err(error) => return Some(Err(error)),
                }
            }
            let acknowledged = stack.status(id).map(|status| status.unacknowledged == 0);
            (moved == BYTES && acknowledged == Ok(true)).then_some(Ok(()))
        })??;
        Ok(())
    }

    fn theirs(raw: Raw, to: Ipv4Addr, direction: Direction) -> Result<()> {
        let began = Clock::now();
        let now = || Instant::from_micros(began.elapsed().as_micros() as i64);
        let ip = raw.v4();
        let mut device = SmolDevice {
            raw,
            arrived: VecDeque::new(),
        };
        let (mut interface, mut sockets, handle) = smoltcp(ip, &mut device, now());
        let socket = sockets.get_mut::<tcp::Socket>(handle);
        socket.connect(interface.context(), (to, PORT), 49_152)?;

        let (mut block, mut moved) = (vec![7; 1 << 18], 0);
        loop {
            interface.poll(now(), &mut device, &mut sockets);
            let socket = sockets.get_mut::<tcp::Socket>(handle);
            loop {
                let part = block.len().min(BYTES - moved);
                let len = match direction {
                    Direction::Sending if socket.can_send() => socket.send_slice(&block[..part])?,
                    Direction::Receiving if socket.can_recv() => socket.recv_slice(&mut block)?,
                    _ => 0,
                };
                if len == 0 {
                    break;
                }
                moved += len;
            }
            if moved == BYTES && socket.send_queue() == 0 {
                return Ok(());
            }
            assert!(began.elapsed() < Duration::from_secs(60), "smoltcp hangs");
            interface.poll(now(), &mut device, &mut sockets);
            let wait = interface.poll_delay(now(), &sockets);
            let wait = wait.map_or(Duration::from_secs(1), Duration::from);
            device.wait(wait);
        }
    }

    /// The lab's raw host as smoltcp wants a device.
    struct SmolDevice {
        raw: Raw,
        arrived: VecDeque<Packet>,
    }

    impl SmolDevice {
        fn wait(&mut self, within: Duration) {
            let mut wait = within;
            while self.arrived.len() < 64
                && let Ok(packet) = self.raw.receive(wait)
            {
                self.arrived.push_back(packet);
                wait = Duration::ZERO;
            }
        }
    }

    impl phy::Device for SmolDevice {
        type RxToken<'a> = Received;
        type TxToken<'a> = Sending<'a>;

        fn receive(&mut self, _: Instant) -> Option<(Received, Sending<'_>)> {
            let packet = self.arrived.pop_front()?;
            Some((Received(packet), Sending(&self.raw)))
        }

        fn transmit(&mut self, _: Instant) -> Option<Sending<'_>> {
            Some(Sending(&self.raw))
        }

        fn capabilities(&self) -> DeviceCapabilities {
            capabilities()
        }
    }

    struct Received(Packet);

    impl phy::RxToken for Received {
        fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
            f(self.0.bytes())
        }
    }

    struct Sending<'a>(&'a Raw);

    impl phy::TxToken for Sending<'_> {
        fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
            let mut buffer = [0; 1500];
            let result = f(&mut buffer[..len]);
            self.0.send(Packet::new(&buffer[..len]));
            result
        }
    }
}
