//! What the tests share: the program in a clean environment, a scripted server, certificates, a proxy, a terminal, made-up bars, a reader of stores.

mod grab;
mod page;
mod partition;
mod proxy;
mod sandbox;
mod server;
mod store;
mod terminal;
mod tls;

pub use grab::{Grab, Ran, wait_until};
pub use page::{bars_of, market_page, minutes, page, page_with};
pub use partition::tamper;
pub use proxy::Proxy;
pub use sandbox::Serving;
pub use server::{Reply, Request, Server};
pub use store::{assert_recorded, litter, read_store};
pub use terminal::{Terminal, on_terminal};
pub use tls::{Authority, self_signed};

use std::path::PathBuf;

/// The recorded data that is lent to the project; none where it is absent, which the test then says.
pub fn lent(path: &str) -> Option<PathBuf> {
    let found = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(path);
    if found.exists() {
        return Some(found);
    }
    println!("skipped: {} is not here", found.display());
    None
}
