//! An experiment in twenty lines: how long is there and back over 25 ms each way, over IPv4 and IPv6?
//!
//! Run `cargo run -p lab --example echo`. Look at the times of the four packets.

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("The lab needs Linux: run this in the book's dev container, or on Windows in WSL2.");
}

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    experiment::run()
}

#[cfg(target_os = "linux")]
mod experiment {
    use std::error::Error;
    use std::net::{IpAddr, UdpSocket};
    use std::time::{Duration, Instant};

    use lab::{Lab, Link};

    // ANCHOR: experiment
    pub(crate) fn run() -> Result<(), Box<dyn Error>> {
        lab::enter()?;
        let (lab, client, server) = Lab::pair(Link::new().delay(Duration::from_millis(25)))?;
        for (here, there) in [
            (IpAddr::from(client.v4()), IpAddr::from(server.v4())),
            (client.v6().into(), server.v6().into()),
        ] {
            let echo = server.run(|| UdpSocket::bind((there, 7)))?;
            let socket = client.run(|| UdpSocket::bind((here, 0)))?;
            let started = Instant::now();
            socket.send_to(b"hello", (there, 7))?;
            let mut buffer = [0; 16];
            let (length, from) = echo.recv_from(&mut buffer)?;
            echo.send_to(&buffer[..length], from)?;
            socket.recv(&mut buffer)?;
            println!("to {there} and back: {:.1?}", started.elapsed());
        }
        print!("{}", lab.capture().lines());
        println!("disturbed: {}", lab.finish()?.disturbed());
        Ok(())
    }
    // ANCHOR_END: experiment
}
