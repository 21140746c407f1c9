//! A proxy for HTTPS: it joins who asks with whom is asked for, and keeps a log of what it was told.

use std::{
    io::{self, BufRead, BufReader, Write},
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
    /// Joins everyone.
    pub fn start() -> Self {
        Self::answering("200 joined")
    }

    /// Answers with this status, and joins nobody unless it is 200.
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

    /// What it was told so far: the request line and headers of each connection.
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
