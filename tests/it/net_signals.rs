//! Signals: the first drains, the second exits at once.

use crate::net_harness::{Client, Server, Settings};
use crate::net_process::ServerProcess;

/// Runs in the process of the server until a signal ends it.
pub(crate) fn serve_until_signalled() {
    let mut server = Server::start(Settings { big: 0, ..Settings::default() });
    fanfare::signal::watch(std::sync::Arc::clone(&server.control)).expect("signals");
    crate::net_process::tell(server.address);
    server.join();
    std::process::exit(0);
}

#[test]
fn the_first_signal_drains_and_the_process_ends_well() {
    for signal in ["TERM", "INT"] {
        let mut process = ServerProcess::start("net_process::process_until_signalled", &[]);
        let mut client = Client::connect(process.address);
        assert_eq!(client.ask("echo up\n"), "up");
        process.signal(signal);
        assert_eq!(client.rest(), b"");
        assert_eq!(process.wait(), Some(0));
    }
}

#[test]
fn the_second_signal_exits_at_once() {
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let mut process = ServerProcess::start("net_process::process_until_signalled", &[]);
        let mut idle = Client::connect(process.address);
        let mut stuck = Client::connect(process.address);
        // Never answered, so that the drain does not end by itself.
        stuck.send("later\n");
        assert_eq!(idle.ask("echo up\n"), "up");
        process.signal("TERM");
        assert_eq!(idle.rest(), b"", "the drain has begun");
        process.signal(signal);
        assert_eq!(process.wait(), Some(code));
    }
}
