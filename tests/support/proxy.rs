//! A proxy for HTTPS: it connects clients to their targets, and logs their requests.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    sync::{Arc, Mutex},
    thread,
};

use super::listening::Listening;

/// A proxy that answers until it is dropped.
pub struct Proxy {
    _listening: Listening,
    url: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Connects every client.
    pub fn start() -> Self {
        Self::answering("200 joined")
    }

    /// Answers with this status, and connects clients only if it is 200.
    pub fn answering(status: &'static str) -> Self {
        let heads = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&heads);
        let address = "127.0.0.1:0".parse().unwrap();
        let listening = Listening::start(address, move |client| join(client, status, &log));
        let url = format!("http://{}", listening.address());
        Self { _listening: listening, url, heads }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// The requests so far: the request line and headers of each connection.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn join(client: TcpStream, status: &str, log: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(client.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
    log.lock().unwrap().push(head.clone());
    write!(&client, "HTTP/1.1 {status}\r\n\r\n").unwrap();
    if !status.starts_with("200") {
        return;
    }
    let server = TcpStream::connect(head.split(' ').nth(1).unwrap()).unwrap();
    let (mut to_client, mut from_server) = (client, server.try_clone().unwrap());
    thread::spawn(move || io::copy(&mut from_server, &mut to_client));
    // Ends when the client goes away.
    let _ = io::copy(&mut reader, &mut &server);
}

/// A SOCKS5 proxy (RFC 1928) that connects every client without a password, and logs the requested addresses.
pub struct SocksProxy {
    _listening: Listening,
    url: String,
    addresses: Arc<Mutex<Vec<String>>>,
}

impl SocksProxy {
    pub fn start() -> Self {
        let addresses = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&addresses);
        let address = "127.0.0.1:0".parse().unwrap();
        let listening = Listening::start(address, move |client| join_by_socks(client, &log));
        let url = format!("socks5://{}", listening.address());
        Self { _listening: listening, url, addresses }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// The addresses that clients requested.
    pub fn addresses(&self) -> Vec<String> {
        self.addresses.lock().unwrap().clone()
    }
}

fn join_by_socks(mut client: TcpStream, log: &Mutex<Vec<String>>) {
    let mut greeting = [0; 2];
    client.read_exact(&mut greeting).unwrap();
    client.read_exact(&mut vec![0; greeting[1].into()]).unwrap();
    client.write_all(&[5, 0]).unwrap();
    // Version, command, reserved, kind of address (1: four bytes), address, port.
    let mut asked = [0; 10];
    client.read_exact(&mut asked).unwrap();
    assert_eq!(asked[..4], [5, 1, 0, 1]);
    let [a, b, c, d] = [asked[4], asked[5], asked[6], asked[7]];
    let address = format!("{a}.{b}.{c}.{d}:{}", u16::from_be_bytes([asked[8], asked[9]]));
    log.lock().unwrap().push(address.clone());
    let server = TcpStream::connect(address).unwrap();
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
    let (mut to_client, mut from_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    thread::spawn(move || io::copy(&mut from_server, &mut to_client));
    let _ = io::copy(&mut client, &mut &server);
}
