//! An experiment in twenty lines: how long is there and back over 25 ms each way, over IPv4 and IPv6?
//!
//! Run `cargo run -p lab --example echo`. Look at the times of the four packets.

use std::error::Error;
use std::net::{IpAddr, UdpSocket};
use std::time::{Duration, Instant};

use lab::{Lab, Link};

fn main() -> Result<(), Box<dyn Error>> {
    lab::enter()?;
    let (lab, client, server) = Lab::pair(Link::new().delay(Duration::from_millis(25)))?;
    for address in [IpAddr::from(server.v4()), IpAddr::from(server.v6())] {
        let echo = server.run(|| UdpSocket::bind((address, 7)))?;
        let socket = client.run(|| {
            let any = if address.is_ipv4() {
                "0.0.0.0:0"
            } else {
                "[::]:0"
            };
            UdpSocket::bind(any)
        })?;
        let started = Instant::now();
        socket.send_to(b"hello", (address, 7))?;
        let mut buffer = [0; 16];
        let (length, from) = echo.recv_from(&mut buffer)?;
        echo.send_to(&buffer[..length], from)?;
        socket.recv(&mut buffer)?;
        println!("to {address} and back: {:.1?}", started.elapsed());
    }
    print!("{}", lab.capture().lines());
    println!("disturbed: {}", lab.finish()?.disturbed());
    Ok(())
}
