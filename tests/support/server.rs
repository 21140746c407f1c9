//! A scripted server: real HTTP/1.1 over real sockets, with a log of what it was asked.

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

    /// The day, if the whole market's is asked for.
    pub fn market_day(&self) -> Option<jiff::civil::Date> {
        let rest = self.target.strip_prefix("/v2/aggs/grouped/locale/us/market/stocks/")?;
        rest.strip_suffix("?adjusted=false")?.parse().ok()
    }

    /// Whether it is the question that tells whose fault a failure is.
    pub fn is_control(&self) -> bool {
        self.target == "/v1/marketstatus/now"
    }

    /// The day of which the control symbol is asked for, to find out whether the plan serves it.
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

/// The length that is announced.
#[derive(Clone, Copy, Debug)]
enum Length {
    True,
    Pretended(usize),
    None,
}

/// How it is sent.
#[derive(Clone, Copy, Debug)]
enum Delivery {
    Whole,
    /// The body, over and over.
    Repeated(usize),
    /// The body one byte at a time, so far apart.
    Drip(Duration),
    /// So many bytes of the whole answer, then nothing more, ever.
    StallAt(usize),
    /// So many bytes of the body, then the connection ends.
    CutAt(usize),
    /// The same, but it ends in a reset.
    ResetAt(usize),
    /// Not a byte, and the connection ends, in a reset or not.
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

    /// The connection ends before the answer begins.
    pub fn nothing() -> Self {
        Self { delivery: Delivery::Nothing { reset: false }, ..Self::json(200, "") }
    }

    /// The connection is reset before the answer begins.
    pub fn reset() -> Self {
        Self { delivery: Delivery::Nothing { reset: true }, ..Self::json(200, "") }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Announces another length than it has.
    pub fn pretended_length(self, length: usize) -> Self {
        Self { length: Length::Pretended(length), ..self }
    }

    /// Announces no length: the body ends with the connection.
    pub fn without_length(self) -> Self {
        Self { length: Length::None, ..self }
    }

    /// The body comes so many times.
    pub fn repeated(self, times: usize) -> Self {
        Self { delivery: Delivery::Repeated(times), ..self }
    }

    /// The body comes one byte at a time, so far apart.
    pub fn drip(self, pause: Duration) -> Self {
        Self { delivery: Delivery::Drip(pause), ..self }
    }

    /// The connection stays open and silent after so many bytes, headers included.
    pub fn stall_at(self, bytes: usize) -> Self {
        Self { delivery: Delivery::StallAt(bytes), ..self }
    }

    /// The connection ends after so many bytes of the body.
    pub fn cut_at(self, bytes: usize) -> Self {
        Self { delivery: Delivery::CutAt(bytes), ..self }
    }

    /// The connection is reset after so many bytes of the body.
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

    /// Sends it. False if the connection is to end.
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
                // Until the other side has had enough.
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

/// What a connection speaks: TCP, or TLS on top of it.
trait Stream: Read + Write {
    /// When it is dropped, the other side gets a reset, whatever was still on its way.
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

/// Who answers what is asked of the control symbol about single days.
#[derive(Clone, Debug)]
enum Control {
    /// A market in which it has bars on every day, as the service and the sandbox have. The script is not asked, and these
    /// questions are in a log of their own: most scripts know of one symbol only.
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
    /// Answers each request with what `script` says, but for those about the control symbol; requests are in the log before
    /// the script sees them.
    pub fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), script)
    }

    /// The same at an address of the test's choice.
    pub fn start_at(address: SocketAddr, script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen("http", address, |tcp| Box::new(tcp), script, Control::WholeHistory(Arc::default()))
    }

    /// The same, where the script also answers what is asked about single days to find out what the plan serves.
    pub fn start_with_control(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let address = "127.0.0.1:0".parse().unwrap();
        Self::listen("http", address, |tcp| Box::new(tcp), script, Control::Scripted)
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
            reply.send(connection.get_mut()).unwrap();
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

    /// What was asked about the control symbol so far, where the script was not asked.
    pub fn controls(&self) -> Vec<Request> {
        self.controls.lock().unwrap().clone()
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

impl Control {
    /// The answer about a day, if this is such a question.
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
