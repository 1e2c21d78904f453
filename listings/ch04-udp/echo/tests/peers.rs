//! Clients that are not ours.

#![cfg(target_os = "linux")]

use testkit::{Program, listing, peer};

#[test]
fn netcat_gets_its_datagram_back() {
    let Some(nc) = peer("nc.openbsd") else {
        return;
    };
    let server = listing!().arg("127.0.0.1:0").serve();
    let address = server.address();
    // -W 1: one datagram, then the end.
    let run = Program::new(nc)
        .args(["-u", "-W", "1", "127.0.0.1"])
        .arg(address.port().to_string())
        .input("hello, UDP\n")
        .run()
        .succeeds();
    assert_eq!(run.stdout, "hello, UDP\n");
}

#[test]
fn pythons_socket_sees_what_ours_does() {
    let Some(python) = peer("python3") else {
        return;
    };
    let server = listing!().arg("127.0.0.1:0").serve();
    let script = format!(
        "import socket\n\
         s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
         s.settimeout(5)\n\
         s.connect(('127.0.0.1', {}))\n\
         for text in (b'', b'ten bytes.', bytes(65507)):\n\
         \x20   s.send(text)\n\
         \x20   print(len(s.recv(65535)))\n\
         s.send(b'ten bytes.')\n\
         data, _, flags, _ = s.recvmsg(5)\n\
         print(data, bool(flags & socket.MSG_TRUNC))\n",
        server.address().port()
    );
    let run = Program::new(python).args(["-c", &script]).run().succeeds();
    assert_eq!(run.stdout, "0\n10\n65507\nb'ten b' True\n");
}
