//! A TCP connection as it crosses a link: opened, used, closed.
//!
//! Run `cargo run -p lab --example handshake`. With the name of a file it writes the packets there,
//! too, for Wireshark.

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
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use lab::{Lab, Link};

    pub(crate) fn run() -> Result<(), Box<dyn Error>> {
        lab::enter()?;
        let (lab, client, server) = Lab::pair(Link::new().delay(Duration::from_millis(25)))?;
        let listener = server.run(|| TcpListener::bind((server.v4(), 80)))?;
        let answering = server.spawn(move || -> std::io::Result<()> {
            let (mut connection, _) = listener.accept()?;
            let mut question = [0; 5];
            connection.read_exact(&mut question)?;
            connection.write_all(b"world")
        });
        let mut connection = client.run(|| TcpStream::connect((server.v4(), 80)))?;
        connection.write_all(b"hello")?;
        connection.read_to_string(&mut String::new())?;
        drop(connection);
        answering.join().expect("the server does not panic")?;
        // The last acknowledgment is on its way.
        std::thread::sleep(Duration::from_millis(50));

        let capture = lab.capture();
        print!("{}", capture.lines());
        if let Some(path) = std::env::args_os().nth(1) {
            capture.write_pcapng(path, "")?;
        }
        println!("disturbed: {}", lab.finish()?.disturbed());
        Ok(())
    }
}
