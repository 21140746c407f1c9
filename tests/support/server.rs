//! A scripted server: real HTTP/1.1 over real sockets, with a log of what it was asked.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

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
    /// Send the body one byte at a time, so far apart.
    drip: Option<Duration>,
    /// Send not a byte.
    is_nothing: bool,
}

impl Reply {
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        Self::body(status, "application/json", body.into().into_bytes())
    }

    pub fn body(status: u16, content_type: &str, body: Vec<u8>) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self { status, headers, body, cut_at: None, stall_at: None, drip: None, is_nothing: false }
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

    /// The body comes one byte at a time, so far apart.
    pub fn drip(mut self, pause: Duration) -> Self {
        self.drip = Some(pause);
        self
    }

    /// The connection breaks before the answer begins.
    pub fn nothing() -> Self {
        Self { is_nothing: true, ..Self::json(200, "") }.cut_at(0)
    }

    /// The connection breaks after so many bytes of the body.
    pub fn cut_at(mut self, bytes: usize) -> Self {
        self.cut_at = Some(bytes);
        self
    }
}

/// What a connection speaks: TCP, or TLS on top of it.
trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

/// A server that lives as long as the test's process.
pub struct Server {
    base_url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// Answers each request with what `script` says; requests are in the log before the script sees them.
    pub fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), script)
    }

    /// The same at an address of the test's choice.
    pub fn start_at(address: SocketAddr, script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen("http", address, |tcp| Box::new(tcp), script)
    }

    /// The same behind TLS.
    pub fn start_tls(
        config: ServerConfig,
        script: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let config = Arc::new(config);
        let secure = move |tcp| -> Box<dyn Stream> {
            let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
            Box::new(StreamOwned::new(tls, tcp))
        };
        Self::listen("https", "127.0.0.1:0".parse().unwrap(), secure, script)
    }

    fn listen(
        scheme: &str,
        address: SocketAddr,
        open: impl Fn(TcpStream) -> Box<dyn Stream> + Send + Sync + 'static,
        script: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let base_url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (log, shared) = (Arc::clone(&requests), Arc::new((open, script)));
        let connections = Arc::new(AtomicUsize::new(0));
        let opened = Arc::clone(&connections);
        thread::spawn(move || {
            for connection in listener.incoming() {
                opened.fetch_add(1, Ordering::SeqCst);
                let (log, shared) = (Arc::clone(&log), Arc::clone(&shared));
                thread::spawn(move || serve(shared.0(connection.unwrap()), &log, &shared.1));
            }
        });
        Self { base_url, requests, connections }
    }

    /// Answers the first request, and from then on nobody listens: the port is free when the answer arrives.
    pub fn start_once(address: SocketAddr, reply: impl Fn(&Request) -> Reply + Send + 'static) -> String {
        let listener = TcpListener::bind(address).unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            let (connection, _) = listener.accept().unwrap();
            drop(listener);
            let mut connection = BufReader::new(connection);
            let request = read_request(&mut connection).unwrap();
            let reply = reply(&request).header("connection", "close");
            write_reply(connection.get_mut(), &reply).unwrap();
        });
        base_url
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

fn serve(connection: impl Stream, log: &Mutex<Vec<Request>>, script: &impl Fn(&Request) -> Reply) {
    let mut connection = BufReader::new(connection);
    while let Some(request) = read_request(&mut connection) {
        log.lock().unwrap().push(request.clone());
        let reply = script(&request);
        if write_reply(connection.get_mut(), &reply).is_err() {
            return;
        }
        while reply.stall_at.is_some() {
            thread::park();
        }
        if reply.cut_at.is_some() {
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

fn write_reply(writer: &mut impl Write, reply: &Reply) -> std::io::Result<()> {
    let mut head =
        vec![format!("HTTP/1.1 {} scripted", reply.status), format!("content-length: {}", reply.body.len())];
    head.extend(reply.headers.iter().map(|(name, value)| format!("{name}: {value}")));
    let head = format!("{}\r\n\r\n", head.join("\r\n"));
    let head_bytes = head.len();
    let mut answer = head.into_bytes();
    answer.extend_from_slice(&reply.body[..reply.cut_at.unwrap_or(reply.body.len())]);
    let answer = &answer[..reply.stall_at.unwrap_or(answer.len())];
    let answer = if reply.is_nothing { &[] } else { answer };
    let Some(pause) = reply.drip else {
        writer.write_all(answer)?;
        return writer.flush();
    };
    let (head, body) = answer.split_at(head_bytes.min(answer.len()));
    writer.write_all(head)?;
    for byte in body {
        writer.write_all(&[*byte])?;
        writer.flush()?;
        thread::sleep(pause);
    }
    Ok(())
}
