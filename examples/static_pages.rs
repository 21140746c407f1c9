//! Serves made pages from memory, on loopback, to the programs that `scripts/bench-peers.sh` measures.
//!
//! `cargo run --release --example static_pages -- --tickers 40 --latency-ms 200`
//!
//! It answers like the service for its tickers and its year, with gzip and `next_url`, and refuses everything else. All
//! work is done before the first request: a response costs one look-up. One line of JSON on stdout has its address and
//! its content.

use std::{
    collections::HashMap,
    convert::Infallible,
    env,
    error::Error,
    io::{self, Write},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

#[path = "../benches/support/pages.rs"]
mod made_pages;
/// Pages by ticker, in order.
type Pages = HashMap<String, Vec<Bytes>>;

struct Options {
    tickers: usize,
    latency: Duration,
    listen: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = options()?;
    // One thread: a server that uses both cores would slow its clients.
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve(options))
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut options = Options { tickers: 20, latency: Duration::ZERO, listen: "127.0.0.1:0".to_owned() };
    let mut arguments = env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--tickers" => options.tickers = value.parse()?,
            "--latency-ms" => options.latency = Duration::from_millis(value.parse()?),
            "--listen" => options.listen = value,
            _ => return Err(format!("{name}: --tickers, --latency-ms and --listen are known").into()),
        }
    }
    Ok(options)
}

async fn serve(options: Options) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(&options.listen).await?;
    let pages = Arc::new(made(options.tickers, &format!("http://{}", listener.local_addr()?))?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (pages, latency) = (Arc::clone(&pages), options.latency);
        let service = service_fn(move |request: Request<Incoming>| {
            let answer = answer(&pages, &request);
            async move {
                tokio::time::sleep(latency).await;
                Ok::<_, Infallible>(answer)
            }
        });
        tokio::spawn(async move {
            // Errors of a client that hangs up do not matter.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// Makes the pages and prints what there is.
fn made(tickers: usize, base_url: &str) -> Result<Pages, Box<dyn Error>> {
    let made = made_pages::pages(tickers, base_url)?;
    let all = || made.iter().flat_map(|(_, pages)| pages);
    let sum = |part: fn(&made_pages::MadePage) -> usize| all().map(part).sum::<usize>();
    let (bars, json, gzip) =
        (sum(|page| page.bars), sum(|page| page.json_bytes), sum(|page| page.gzip.len()));
    let bars_of = |(ticker, pages): &(String, Vec<made_pages::MadePage>)| {
        (ticker.clone(), pages.iter().map(|page| page.bars).sum::<usize>().into())
    };
    let said = serde_json::json!({
        "base_url": base_url, "window": made_pages::window()?.to_string(), "pages": all().count(), "bars": bars,
        "json_bytes": json, "gzip_bytes": gzip,
        "tickers": made.iter().map(bars_of).collect::<serde_json::Map<_, _>>(),
    });
    writeln!(io::stdout(), "{said}")?;
    let bodies = |pages: Vec<made_pages::MadePage>| pages.into_iter().map(|page| page.gzip.into()).collect();
    Ok(made.into_iter().map(|(ticker, pages)| (ticker, bodies(pages))).collect())
}

fn answer(pages: &Pages, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let found = page(pages, request.uri().path(), request.uri().query().unwrap_or_default());
    let words = r#"{"status":"ERROR","error":"only whole years of the made tickers are served here"}"#;
    let is_found = found.is_some();
    let mut response = Response::new(Full::new(found.unwrap_or(Bytes::from_static(words.as_bytes()))));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if is_found {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    } else {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    response
}

/// The requested page: by cursor, or the first one of the whole year.
fn page(pages: &Pages, path: &str, query: &str) -> Option<Bytes> {
    let mut segments = path.strip_prefix("/v2/aggs/ticker/")?.split('/');
    let pages = pages.get(segments.next()?)?;
    let cursor = query.split('&').find_map(|pair| pair.strip_prefix("cursor="));
    let number: usize = if let Some(number) = cursor {
        number.parse().ok()?
    } else {
        let window = made_pages::window().ok()?;
        let requested: Vec<&str> = segments.collect();
        let expected = ["range", "1", "minute", &window.from().to_string(), &window.to().to_string()];
        (requested == expected).then_some(0)?
    };
    pages.get(number).cloned()
}
