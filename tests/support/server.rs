//! A scripted server: real HTTP/1.1 over real sockets, with a log of what it was asked.

use std::{
    io::{BufRead, BufReader, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Request {
    pub at: Instant,
    /// Path and query.
    pub target: String,
    /// Lower-case names.
    pub headers: Vec<(String, String)>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The symbol in `/v2/aggs/ticker/{symbol}/…`.
    pub fn symbol(&self) -> &str {
        self.target.split('/').nth(4).unwrap_or_default()
    }

    /// Whether it is the question that tells whose fault a failure is.
    pub fn is_control(&self) -> bool {
        self.target == "/v1/marketstatus/now"
    }

    /// The `from` segment of a range.
    pub fn from(&self) -> &str {
        self.target.split('/').nth(8).unwrap_or_default()
    }
}

/// What is sent back.
#[derive(Clone, Debug)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Send only so many bytes of the body, then close the connection.
    cut_at: Option<usize>,
    /// Send only so many bytes of the whole answer, then nothing more, ever.
    stall_at: Option<usize>,
}

impl Reply {
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        Self::body(status, "application/json", body.into().into_bytes())
    }

    pub fn body(status: u16, content_type: &str, body: Vec<u8>) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self { status, headers, body, cut_at: None, stall_at: None }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The connection stays open and silent after so many bytes, headers included.
    pub fn stall_at(mut self, bytes: usize) -> Self {
        self.stall_at = Some(bytes);
        self
    }

    /// The connection breaks after so many bytes of the body.
    pub fn cut_at(mut self, bytes: usize) -> Self {
        self.cut_at = Some(bytes);
        self
    }
}

/// A server that lives as long as the test's process.
pub struct Server {
    base_url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// Answers each request with what `script` says; requests are in the log before the script sees them.
    pub fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (log, script) = (Arc::clone(&requests), Arc::new(script));
        let connections = Arc::new(AtomicUsize::new(0));
        let opened = Arc::clone(&connections);
        thread::spawn(move || {
            for connection in listener.incoming() {
                opened.fetch_add(1, Ordering::SeqCst);
                let (log, script) = (Arc::clone(&log), Arc::clone(&script));
                thread::spawn(move || serve(connection.unwrap(), &log, script.as_ref()));
            }
        });
        Self { base_url, requests, connections }
    }

    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// How many connections were opened so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// What was asked so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// How many pages were asked for so far, again or not.
    pub fn pages_asked(&self) -> usize {
        self.requests().iter().filter(|request| !request.is_control()).count()
    }

    /// `symbol from` of every request so far, sorted.
    pub fn asked(&self) -> Vec<String> {
        let mut asked: Vec<_> =
            self.requests().iter().map(|r| format!("{} {}", r.symbol(), r.from())).collect();
        asked.sort();
        asked
    }
}

fn serve(
    connection: TcpStream,
    log: &Mutex<Vec<Request>>,
    script: &(dyn Fn(&Request) -> Reply + Send + Sync),
) {
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    let mut writer = connection;
    while let Some(request) = read_request(&mut reader) {
        log.lock().unwrap().push(request.clone());
        let reply = script(&request);
        if write_reply(&mut writer, &reply).is_err() {
            return;
        }
        while reply.stall_at.is_some() {
            thread::park();
        }
        if reply.cut_at.is_some() {
            let _ = writer.shutdown(Shutdown::Both);
            return;
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.trim_end().is_empty() {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    let target = lines.first()?.split(' ').nth(1)?.to_owned();
    let header = |line: &String| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_lowercase(), value.trim().to_owned()))
    };
    Some(Request { at: Instant::now(), target, headers: lines.iter().skip(1).filter_map(header).collect() })
}

fn write_reply(writer: &mut TcpStream, reply: &Reply) -> std::io::Result<()> {
    let mut head =
        vec![format!("HTTP/1.1 {} scripted", reply.status), format!("content-length: {}", reply.body.len())];
    head.extend(reply.headers.iter().map(|(name, value)| format!("{name}: {value}")));
    let head = format!("{}\r\n\r\n", head.join("\r\n"));
    let mut answer = head.into_bytes();
    answer.extend_from_slice(&reply.body[..reply.cut_at.unwrap_or(reply.body.len())]);
    writer.write_all(&answer[..reply.stall_at.unwrap_or(answer.len())])
}
