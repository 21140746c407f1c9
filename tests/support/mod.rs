//! What the tests share: the program in a clean environment, a scripted server, certificates, a proxy, a terminal,
//! made-up bars, a reader of stores.

mod colleague;
mod footer;
mod grab;
mod held;
mod listening;
mod page;
mod partition;
mod proxy;
mod sandbox;
mod server;
mod store;
mod terminal;
mod tls;

pub use colleague::{Colleague, all_below, is_root, set_mode};
pub use footer::{Thrift, footer};
pub use grab::{Grab, Ran, wait_until};
pub use held::Held;
pub use page::{bars_of, market_page, minutes, page, page_with};
pub use partition::tamper;
pub use proxy::{Proxy, SocksProxy};
pub use sandbox::Serving;
pub use server::{Reply, Request, Server};
pub use store::{assert_recorded, litter, read_store};
pub use terminal::{Terminal, on_terminal};
pub use tls::{Authority, self_signed};

use std::path::PathBuf;

/// A file or folder of `fixtures/`.
pub fn fixture(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(path)
}

/// A file or folder of the data lent to the project: only ignored tests use it, and `just test-lent` runs them.
pub fn lent(path: &str) -> PathBuf {
    let lent = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(path);
    assert!(lent.exists(), "there is no lent data at {}", lent.display());
    lent
}
