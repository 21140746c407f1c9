//! The sandbox on a runtime of its own.

use grab_sandbox::{Sandbox, SandboxOptions};
use tokio::runtime::Runtime;

/// A sandbox that serves until it is dropped.
pub struct Serving {
    base_url: String,
    _sandbox: Sandbox,
    _runtime: Runtime,
}

impl Serving {
    pub fn start(options: SandboxOptions) -> Self {
        let runtime = Runtime::new().unwrap();
        let sandbox = runtime.block_on(Sandbox::start(options)).unwrap();
        Self { base_url: sandbox.base_url(), _sandbox: sandbox, _runtime: runtime }
    }

    pub fn base_url(&self) -> &str {
        &self.base_url
    }
}
