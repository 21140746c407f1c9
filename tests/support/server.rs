//! A scripted server: real HTTP/1.1 over real sockets, with a log of the requests.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{listening::Listening, minutes, page};

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

    /// The day, if this requests a day of the whole market.
    pub fn market_day(&self) -> Option<jiff::civil::Date> {
        let rest = self.target.strip_prefix("/v2/aggs/grouped/locale/us/market/stocks/")?;
        rest.strip_suffix("?adjusted=false")?.parse().ok()
    }

    /// Whether it is the control request.
    pub fn is_control(&self) -> bool {
        self.target == "/v1/marketstatus/now"
    }

    /// The day for which the control symbol is requested, to find out whether the plan serves it.
    pub fn control_day(&self) -> Option<jiff::civil::Date> {
        let to = self.target.split('/').nth(9)?.split('?').next()?;
        (self.symbol() == "SPY" && self.from() == to).then(|| to.parse().ok())?
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
    length: Length,
    delivery: Delivery,
}

/// The announced length.
#[derive(Clone, Copy, Debug)]
enum Length {
    True,
    Pretended(usize),
    None,
}

/// How a response is sent.
#[derive(Clone, Copy, Debug)]
enum Delivery {
    Whole,
    /// The body, over and over.
    Repeated(usize),
    /// The body one byte at a time, with this pause.
    Drip(Duration),
    /// This many bytes of the whole response, then nothing more, ever.
    StallAt(usize),
    /// This many bytes of the body, then the connection ends.
    CutAt(usize),
    /// This many bytes of the body, then the connection is reset.
    ResetAt(usize),
    /// No byte; the connection ends, with a reset or not.
    Nothing {
        reset: bool,
    },
}

impl Reply {
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        Self::body(status, "application/json", body.into().into_bytes())
    }

    pub fn body(status: u16, content_type: &str, body: Vec<u8>) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self { status, headers, body, length: Length::True, delivery: Delivery::Whole }
    }

    /// The connection ends before the response begins.
    pub fn nothing() -> Self {
        Self { delivery: Delivery::Nothing { reset: false }, ..Self::json(200, "") }
    }

    /// The connection is reset before the response begins.
    pub fn reset() -> Self {
        Self { delivery: Delivery::Nothing { reset: true }, ..Self::json(200, "") }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Announces a wrong length.
    pub fn pretended_length(self, length: usize) -> Self {
        Self { length: Length::Pretended(length), ..self }
    }

    /// Announces no length: the body ends with the connection.
    pub fn without_length(self) -> Self {
        Self { length: Length::None, ..self }
    }

    /// Repeats the body this many times.
    pub fn repeated(self, times: usize) -> Self {
        Self { delivery: Delivery::Repeated(times), ..self }
    }

    /// Sends the body one byte at a time, with this pause.
    pub fn drip(self, pause: Duration) -> Self {
        Self { delivery: Delivery::Drip(pause), ..self }
    }

    /// The connection stays open and silent after this many bytes, headers included.
    pub fn stall_at(self, bytes: usize) -> Self {
        Self { delivery: Delivery::StallAt(bytes), ..self }
    }

    /// The connection ends after this many bytes of the body.
    pub fn cut_at(self, bytes: usize) -> Self {
        Self { delivery: Delivery::CutAt(bytes), ..self }
    }

    /// The connection is reset after this many bytes of the body.
    pub fn reset_at(self, bytes: usize) -> Self {
        Self { delivery: Delivery::ResetAt(bytes), ..self }
    }

    fn head(&self) -> Vec<u8> {
        let times = if let Delivery::Repeated(times) = self.delivery { times } else { 1 };
        let mut lines = vec![format!("HTTP/1.1 {} scripted", self.status)];
        lines.push(match self.length {
            Length::True => format!("content-length: {}", self.body.len() * times),
            Length::Pretended(length) => format!("content-length: {length}"),
            Length::None => "connection: close".to_owned(),
        });
        lines.extend(self.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        format!("{}\r\n\r\n", lines.join("\r\n")).into_bytes()
    }

    /// Sends the response. False if the connection is to end.
    fn send(&self, connection: &mut dyn Stream) -> io::Result<bool> {
        let (head, body) = (self.head(), &self.body);
        let begin = |bytes: usize| &body[..bytes.min(body.len())];
        match self.delivery {
            Delivery::Whole => connection.write_all(&[&head, body.as_slice()].concat())?,
            Delivery::Repeated(times) => {
                connection.write_all(&head)?;
                (0..times).try_for_each(|_| connection.write_all(body))?;
            }
            Delivery::Drip(pause) => {
                connection.write_all(&head)?;
                for byte in body {
                    connection.write_all(&[*byte])?;
                    connection.flush()?;
                    thread::sleep(pause);
                }
            }
            Delivery::StallAt(bytes) => {
                connection.write_all(&[&head, body.as_slice()].concat()[..bytes])?;
                connection.flush()?;
                // Until the client closes the connection.
                io::copy(connection, &mut io::sink())?;
            }
            Delivery::CutAt(bytes) => connection.write_all(&[&head, begin(bytes)].concat())?,
            Delivery::ResetAt(bytes) => {
                connection.write_all(&[&head, begin(bytes)].concat())?;
                connection.end_in_reset();
            }
            Delivery::Nothing { reset: true } => connection.end_in_reset(),
            Delivery::Nothing { reset: false } => {}
        }
        connection.flush()?;
        let goes_on = matches!(self.delivery, Delivery::Whole | Delivery::Repeated(_) | Delivery::Drip(_));
        Ok(goes_on && !matches!(self.length, Length::None))
    }
}

/// The protocol of a connection: TCP, or TLS on top of it.
trait Stream: Read + Write {
    /// When it is dropped, the client gets a reset, whatever was still on its way.
    fn end_in_reset(&self);
}

impl Stream for TcpStream {
    fn end_in_reset(&self) {
        rustix::net::sockopt::set_socket_linger(self, Some(Duration::ZERO)).unwrap();
    }
}

impl Stream for StreamOwned<ServerConnection, TcpStream> {
    fn end_in_reset(&self) {
        self.sock.end_in_reset();
    }
}

/// What answers requests for single days of the control symbol.
#[derive(Clone, Debug)]
enum Control {
    /// A market with bars of it on every day, like the service and the sandbox. The script does not see these requests,
    /// and they have a separate log: most scripts know one symbol only.
    WholeHistory(Arc<Mutex<Vec<Request>>>),
    /// The script.
    Scripted,
}

/// A server that answers until it is dropped.
pub struct Server {
    _listening: Listening,
    base_url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    controls: Arc<Mutex<Vec<Request>>>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// Answers each request by `script`, except those for the control symbol; requests are logged before the script sees them.
    pub fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), script)
    }

    /// Starts the server at this address.
    pub fn start_at(address: SocketAddr, script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen("http", address, |tcp| Box::new(tcp), script, Control::WholeHistory(Arc::default()))
    }

    /// Starts the server; the script also answers the requests for single days with which the plan's history is found.
    pub fn start_with_control(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let address = "127.0.0.1:0".parse().unwrap();
        Self::listen("http", address, |tcp| Box::new(tcp), script, Control::Scripted)
    }

    /// Starts the server behind TLS.
    pub fn start_tls(
        config: ServerConfig,
        script: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let config = Arc::new(config);
        let secure = move |tcp| -> Box<dyn Stream> {
            let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
            Box::new(StreamOwned::new(tls, tcp))
        };
        let control = Control::WholeHistory(Arc::default());
        Self::listen("https", "127.0.0.1:0".parse().unwrap(), secure, script, control)
    }

    fn listen(
        scheme: &str,
        address: SocketAddr,
        open: impl Fn(TcpStream) -> Box<dyn Stream> + Send + Sync + 'static,
        script: impl Fn(&Request) -> Reply + Send + Sync + 'static,
        control: Control,
    ) -> Self {
        let (requests, connections) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let (log, opened) = (Arc::clone(&requests), Arc::clone(&connections));
        let controls = match &control {
            Control::WholeHistory(controls) => Arc::clone(controls),
            Control::Scripted => Arc::default(),
        };
        let listening = Listening::start(address, move |connection| {
            opened.fetch_add(1, Ordering::SeqCst);
            serve(open(connection), &log, &script, &control);
        });
        let base_url = format!("{scheme}://{}", listening.address());
        Self { _listening: listening, base_url, requests, controls, connections }
    }

    /// Answers the first request and then stops listening: the port is free when the response arrives.
    pub fn start_once(address: SocketAddr, reply: impl Fn(&Request) -> Reply + Send + 'static) -> String {
        let listener = TcpListener::bind(address).unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            let (connection, _) = listener.accept().unwrap();
            drop(listener);
            let mut connection = BufReader::new(connection);
            let request = read_request(&mut connection).unwrap();
            let reply = reply(&request).header("connection", "close");
            reply.send(connection.get_mut()).unwrap();
        });
        base_url
    }

    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The number of connections so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// The requests for the control symbol so far that the script did not see.
    pub fn controls(&self) -> Vec<Request> {
        self.controls.lock().unwrap().clone()
    }

    /// The number of page requests so far, including repeated ones.
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

impl Control {
    /// The response for a day of the control symbol, if this is such a request.
    fn reply(&self, request: &Request) -> Option<Reply> {
        let Self::WholeHistory(log) = self else { return None };
        let bars = minutes(request.control_day()?, 5);
        log.lock().unwrap().push(request.clone());
        Some(Reply::json(200, page("SPY", &bars, None)))
    }
}

fn serve(
    connection: Box<dyn Stream>,
    log: &Mutex<Vec<Request>>,
    script: &impl Fn(&Request) -> Reply,
    control: &Control,
) {
    let mut connection = BufReader::new(connection);
    while let Some(request) = read_request(&mut connection) {
        if let Some(reply) = control.reply(&request) {
            if !reply.send(connection.get_mut().as_mut()).unwrap_or(false) {
                return;
            }
            continue;
        }
        log.lock().unwrap().push(request.clone());
        let goes_on = script(&request).send(connection.get_mut().as_mut());
        if !goes_on.unwrap_or(false) {
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
