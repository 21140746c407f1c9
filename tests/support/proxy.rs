//! A proxy for HTTPS: it joins who asks with whom is asked for, and keeps a log of what it was told.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// A proxy that lives as long as the test's process.
pub struct Proxy {
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
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&heads);
        thread::spawn(move || {
            for client in listener.incoming() {
                let log = Arc::clone(&log);
                thread::spawn(move || join(client.unwrap(), status, &log));
            }
        });
        Self { url, heads }
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
