//! The sandbox as a client sees it: over HTTP.

mod bars;
mod companies;
mod defects;
mod evolution;
mod faults;
mod generated;
mod http;
mod lent;
mod recorded;
mod reference;

use std::sync::Arc;

use grab_model::new_york;
use jiff::civil::{Date, date};
use reqwest::{Client, header::HeaderMap};
use serde_json::Value;

use super::{Sandbox, SandboxError, SandboxOptions};

/// A Friday on which the session is over.
const TODAY: Date = date(2026, 11, 20);

/// The default options: the generated market in the evening of [`TODAY`].
fn options() -> SandboxOptions {
    let now = new_york::at_ms(TODAY, 21, 0);
    SandboxOptions { now: Arc::new(move || now), ..SandboxOptions::default() }
}

/// The default options at another time (New York).
fn options_at(day: Date, hour: i8, minute: i8) -> SandboxOptions {
    let now = new_york::at_ms(day, hour, minute);
    SandboxOptions { now: Arc::new(move || now), ..options() }
}

/// A sandbox and a client with a key.
struct Trial {
    sandbox: Sandbox,
    client: Client,
}

/// A response.
struct Reply {
    status: u16,
    headers: HeaderMap,
    bytes: Vec<u8>,
}

impl Trial {
    async fn start(options: SandboxOptions) -> Self {
        // reqwest needs a TLS provider even without TLS. Another test may have installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().build().unwrap();
        Self { sandbox: Sandbox::start(options).await.unwrap(), client }
    }

    /// The generated market.
    async fn generated() -> Self {
        Self::start(options()).await
    }

    /// Sends a request with these headers, and with no key except in them.
    async fn send(&self, path: &str, headers: &[(&'static str, &str)]) -> Reply {
        let request = self.client.get(format!("{}{path}", self.sandbox.base_url()));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Reply { status, headers, bytes: response.bytes().await.unwrap().to_vec() }
    }

    async fn get(&self, path: &str) -> Reply {
        self.send(path, &[("authorization", "Bearer key")]).await
    }

    /// The body of a response, which must be a success.
    async fn json(&self, path: &str) -> Value {
        let reply = self.get(path).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        serde_json::from_str(&reply.text()).unwrap()
    }

    /// All pages of a traversal, first to last.
    async fn pages(&self, path: &str) -> Vec<Value> {
        let mut pages = vec![self.json(path).await];
        while let Some(next) = pages.last().and_then(|page| page["next_url"].as_str()) {
            let next = next.strip_prefix(&self.sandbox.base_url()).unwrap().to_owned();
            pages.push(self.json(&next).await);
        }
        pages
    }

    /// The results of all pages.
    async fn results(&self, path: &str) -> Vec<Value> {
        let pages = self.pages(path).await;
        pages.iter().filter_map(|page| page["results"].as_array()).flatten().cloned().collect()
    }

    /// The minute bars, as traded, of a ticker from one day to another.
    async fn minutes(&self, ticker: &str, from: Date, to: Date) -> Vec<Value> {
        let path = format!("/v2/aggs/ticker/{ticker}/range/1/minute/{from}/{to}?adjusted=false&limit=50000");
        self.results(&path).await
    }
}

impl Reply {
    fn text(&self) -> String {
        String::from_utf8(self.bytes.clone()).unwrap()
    }

    /// The text without the id, which differs in every response.
    fn text_without_id(&self) -> String {
        let id = self.headers["x-request-id"].to_str().unwrap();
        assert_eq!(id.len(), 32);
        self.text().replace(id, "ID")
    }
}

/// A field of rows as texts.
fn texts<'a>(rows: &'a [Value], field: &str) -> Vec<&'a str> {
    rows.iter().map(|row| row[field].as_str().unwrap()).collect()
}

/// A field of a row as a number.
fn number(row: &Value, field: &str) -> f64 {
    row[field].as_f64().unwrap()
}

/// The start of a bar, UTC ms.
fn start(row: &Value) -> i64 {
    row["t"].as_i64().unwrap()
}
