//! A TCP proxy before one server, which does to the bytes what networks do.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What is read at once.
const PIECE_BYTES: usize = 64 * 1024;

/// What is done to every connection from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// All goes through.
    None,
    /// Answers come so much later.
    Delay(Duration),
    /// Nothing goes through either way, and nobody is told.
    BlackHole,
    /// Requests go through; the connection is cut instead of the answer.
    DropAnswer,
    /// So many bytes of the answer go through, then the connection is cut.
    CutAfter(usize),
    /// New connections are closed at once, old ones cut.
    Refuse,
}

/// Listens on a port of its own until dropped.
pub(crate) struct FaultProxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    fault: Mutex<Fault>,
    server: SocketAddr,
    open: Mutex<Vec<TcpStream>>,
    /// What a request must hold to count as work, and who sent such.
    mark: &'static [u8],
    marked: Mutex<BTreeSet<SocketAddr>>,
    reads: AtomicUsize,
}

impl FaultProxy {
    pub(crate) fn before(server: SocketAddr) -> Self {
        Self::marking(server, b"\0")
    }

    /// One that remembers who sent a request with `mark` in it.
    pub(crate) fn marking(server: SocketAddr, mark: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared::new(server, mark));
        let own = Arc::downgrade(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Some(shared) = own.upgrade() else { return };
                shared.join(client);
            }
        });
        Self { addr, shared }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From now on. A connection that a black hole has swallowed bytes of is cut when it ends:
    /// it could never make sense again.
    pub(crate) fn set(&self, fault: Fault) {
        let before = std::mem::replace(&mut *self.shared.fault(), fault);
        if before == Fault::BlackHole || fault == Fault::Refuse {
            self.cut();
        }
    }

    /// The clients that sent the mark.
    pub(crate) fn marked(&self) -> BTreeSet<SocketAddr> {
        self.shared.marked.lock().expect("no panic within").clone()
    }

    /// Pieces in which requests arrived.
    pub(crate) fn reads(&self) -> usize {
        self.shared.reads.load(Ordering::Relaxed)
    }

    /// Cuts all connections, once.
    pub(crate) fn cut(&self) {
        for stream in self.shared.open.lock().expect("no panic within").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.cut();
        // Wakes the listener, which then finds the proxy gone.
        self.shared = Arc::new(Shared::new(self.addr, b"\0"));
        let _ = TcpStream::connect(self.addr);
    }
}

impl Shared {
    fn new(server: SocketAddr, mark: &'static [u8]) -> Self {
        let fault = Mutex::new(Fault::None);
        Self {
            fault,
            server,
            open: Mutex::default(),
            mark,
            marked: Mutex::default(),
            reads: AtomicUsize::new(0),
        }
    }

    fn fault(&self) -> std::sync::MutexGuard<'_, Fault> {
        self.fault.lock().expect("no panic within")
    }

    fn join(self: &Arc<Self>, client: TcpStream) {
        if *self.fault() == Fault::Refuse {
            return;
        }
        let Ok(server) = TcpStream::connect(self.server) else { return };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let twin = |stream: &TcpStream| stream.try_clone().expect("a descriptor");
        self.open.lock().expect("no panic within").extend([twin(&client), twin(&server)]);
        let (from_client, from_server) = (twin(&client), twin(&server));
        let (up, down) = (Arc::clone(self), Arc::clone(self));
        thread::spawn(move || up.requests(from_client, server));
        thread::spawn(move || down.answers(from_server, client));
    }

    fn requests(&self, mut client: TcpStream, mut server: TcpStream) {
        let mut bytes = vec![0; PIECE_BYTES];
        while let Ok(read @ 1..) = client.read(&mut bytes) {
            self.reads.fetch_add(1, Ordering::Relaxed);
            if bytes[..read].windows(self.mark.len()).any(|window| window == self.mark) {
                let peer = client.peer_addr().expect("connected");
                self.marked.lock().expect("no panic within").insert(peer);
            }
            if *self.fault() != Fault::BlackHole && server.write_all(&bytes[..read]).is_err() {
                break;
            }
        }
        let _ = server.shutdown(Shutdown::Both);
    }

    fn answers(&self, mut server: TcpStream, mut client: TcpStream) {
        let mut bytes = vec![0; PIECE_BYTES];
        while let Ok(read @ 1..) = server.read(&mut bytes) {
            let fault = *self.fault();
            let passed = match fault {
                Fault::None => read,
                Fault::Delay(time) => {
                    thread::sleep(time);
                    read
                }
                Fault::BlackHole => continue,
                Fault::DropAnswer | Fault::Refuse => 0,
                Fault::CutAfter(count) => count.min(read),
            };
            let cut = !matches!(fault, Fault::None | Fault::Delay(_));
            if client.write_all(&bytes[..passed]).is_err() || cut {
                break;
            }
        }
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
    }
}
