//! Transfer mode, direction and state: what a send, an end and a server's restart are to TCP and
//! to UDP.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};

use crate::{ANY_PORT, DEADLINE, connection, wait_until};

/// Two sockets that send to each other and to no one else.
fn udp_pair() -> io::Result<(UdpSocket, UdpSocket)> {
    let (one, other) = (UdpSocket::bind(ANY_PORT)?, UdpSocket::bind(ANY_PORT)?);
    one.connect(other.local_addr()?)?;
    other.connect(one.local_addr()?)?;
    for end in [&one, &other] {
        end.set_read_timeout(Some(DEADLINE))?;
    }
    Ok((one, other))
}

/// Sends twice over each, and tells what reads bring: for UDP and for TCP.
pub fn two_sends() -> io::Result<(String, String)> {
    let mut room = [0; 100];

    // ANCHOR: udp-messages
    let (sender, receiver) = udp_pair()?;
    sender.send(b"hello")?;
    sender.send(b"world")?;
    for read in ["first", "second"] {
        let length = receiver.recv(&mut room)?;
        println!(
            "UDP  {read} read: {length} bytes, {:?}",
            text(&room[..length])
        );
    }
    // ANCHOR_END: udp-messages

    // ANCHOR: tcp-stream
    let (mut sender, mut receiver) = connection()?;
    sender.set_nodelay(true)?; // each write leaves at once: it is not the sender that joins them
    sender.write_all(b"hello")?;
    sender.write_all(b"world")?;
    wait_until("both have arrived", || {
        Ok(receiver.peek(&mut [0; 100])? == 10)
    })?;
    let length = receiver.read(&mut room)?;
    println!(
        "TCP  first read: {length} bytes, {:?}",
        text(&room[..length])
    );
    // ANCHOR_END: tcp-stream

    // ANCHOR: little-room
    println!("\nThe same, read with room for 3:\n");
    let mut little = [0; 3];
    let (udp_sender, udp_receiver) = udp_pair()?;
    udp_sender.send(b"hello")?;
    udp_sender.send(b"world")?;
    sender.write_all(b"helloworld")?;
    for read in ["first", "second"] {
        let length = udp_receiver.recv(&mut little)?;
        println!("UDP  {read} read: {:?}", text(&little[..length]));
    }
    for read in ["first", "second"] {
        receiver.read_exact(&mut little)?;
        println!("TCP  {read} read: {:?}", text(&little));
    }
    println!("UDP throws away what of a message finds no room; TCP keeps it for the next read.");
    // ANCHOR_END: little-room

    let udp = "`2` messages, one a read".to_owned();
    let tcp = format!("`{length}` bytes in one read");
    Ok((udp, tcp))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Lets both ends send before either reads; what that shows.
pub fn both_at_once() -> io::Result<&'static str> {
    // ANCHOR: both-at-once
    let (mut client, mut server) = connection()?;
    client.write_all(b"ping")?;
    server.write_all(b"pong")?; // without having read, let alone been asked
    let (mut at_client, mut at_server) = ([0; 4], [0; 4]);
    client.read_exact(&mut at_client)?;
    server.read_exact(&mut at_server)?;
    // ANCHOR_END: both-at-once
    println!(
        "TCP  the client read {:?}, the server {:?}",
        text(&at_client),
        text(&at_server)
    );

    let (one, other) = udp_pair()?;
    one.send(b"ping")?;
    other.send(b"pong")?;
    one.recv(&mut at_client)?;
    other.recv(&mut at_server)?;
    println!(
        "UDP  the client read {:?}, the server {:?}",
        text(&at_client),
        text(&at_server)
    );
    println!("Taking turns, as HTTP/1.1 does, is an application's choice.");
    Ok("yes")
}

/// Starts a server anew under its client; what a client over UDP and one over TCP see of it.
pub fn server_starts_anew() -> io::Result<(&'static str, &'static str)> {
    // ANCHOR: udp-state
    let server = UdpSocket::bind(ANY_PORT)?;
    let address = server.local_addr()?;
    let client = UdpSocket::bind(ANY_PORT)?;
    client.connect(address)?;
    client.set_read_timeout(Some(DEADLINE))?;
    udp_turn(&client, &server)?;
    drop(server);
    let server = UdpSocket::bind(address)?;
    udp_turn(&client, &server)?;
    println!("UDP  answered, as if nothing had happened: there was no connection to lose");
    // ANCHOR_END: udp-state

    // ANCHOR: tcp-state
    let listener = TcpListener::bind(ANY_PORT)?;
    let address = listener.local_addr()?;
    let mut client = TcpStream::connect(address)?;
    client.set_read_timeout(Some(DEADLINE))?;
    let connection = tcp_turn(&mut client, &listener)?;
    drop((connection, listener)); // the server ends, and its kernel closes all that it had
    let listener = TcpListener::bind(address)?;
    if client.read(&mut [0])? != 0 {
        return Err(io::Error::other("the old connection still brings bytes"));
    }
    println!("TCP  the connection ended with the server that had it");
    let mut client = TcpStream::connect(address)?;
    client.set_read_timeout(Some(DEADLINE))?;
    tcp_turn(&mut client, &listener)?;
    println!("TCP  answered, over a new connection");
    // ANCHOR_END: tcp-state
    Ok(("answers on the same socket", "answers on a new connection"))
}

/// One question and its answer.
fn udp_turn(client: &UdpSocket, server: &UdpSocket) -> io::Result<()> {
    let mut room = [0; 100];
    client.send(b"who?")?;
    server.set_read_timeout(Some(DEADLINE))?;
    let (_, asker): (usize, SocketAddr) = server.recv_from(&mut room)?;
    server.send_to(b"me", asker)?;
    let length = client.recv(&mut room)?;
    expect(&room[..length], b"me")
}

/// One question and its answer on a connection that is accepted for it; the server's end of it.
fn tcp_turn(client: &mut TcpStream, listener: &TcpListener) -> io::Result<TcpStream> {
    let (mut server, _) = listener.accept()?;
    server.set_read_timeout(Some(DEADLINE))?;
    let (mut question, mut answer) = ([0; 4], [0; 2]);
    client.write_all(b"who?")?;
    server.read_exact(&mut question)?;
    server.write_all(b"me")?;
    client.read_exact(&mut answer)?;
    expect(&answer, b"me")?;
    Ok(server)
}

fn expect(heard: &[u8], expected: &[u8]) -> io::Result<()> {
    if heard == expected {
        return Ok(());
    }
    let what = format!("{:?} came in place of {:?}", text(heard), text(expected));
    Err(io::Error::new(ErrorKind::InvalidData, what))
}
