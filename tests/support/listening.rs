//! A server on a port, until the test is over.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

/// Serves each connection on its own thread. When it is dropped, the port is free and its thread has ended: all tests
/// of a binary may run in one process, with one limit of open files.
pub struct Listening {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Listening {
    pub fn start(address: SocketAddr, serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let (is_over, serve) = (Arc::new(AtomicBool::new(false)), Arc::new(serve));
        let over = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            for connection in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(connection.unwrap()));
            }
        });
        Self { address, is_over, thread: Some(thread) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        let woken = TcpStream::connect(self.address).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            let _ = thread.join();
        }
    }
}

#[test]
fn what_is_dropped_leaves_neither_its_port_nor_its_thread() {
    let listening = Listening::start("127.0.0.1:0".parse().unwrap(), drop);
    let address = listening.address();
    drop(TcpStream::connect(address).unwrap());
    drop(listening);
    assert!(TcpStream::connect(address).is_err());
}
