//! Many connections at once.

use crate::net_harness::Client;
use crate::net_process::ServerProcess;

#[test]
fn ten_thousand_connections_are_held_while_others_are_served() {
    let (_, hard) = rlimit::getrlimit(rlimit::Resource::NOFILE).expect("a limit");
    rlimit::setrlimit(rlimit::Resource::NOFILE, hard, hard).expect("up to the hard limit");
    // Other tests of this process need some too.
    let count = usize::try_from(hard.saturating_sub(3_000)).unwrap_or(usize::MAX).min(10_000);
    assert!(count >= 500, "raise the limit of open files: {hard}");
    let process = ServerProcess::with_descriptors(hard);
    let mut visitor = Client::connect(process.address);
    assert_eq!(visitor.ask("echo first\n"), "first");
    let before = process.resident();
    let mut held: Vec<Client> = Vec::with_capacity(count);
    for i in 0..count {
        held.push(Client::connect(process.address));
        if i % 500 == 0 {
            assert_eq!(visitor.ask("echo meanwhile\n"), "meanwhile");
        }
    }
    for client in &mut held {
        assert_eq!(client.ask("echo me too\n"), "me too");
    }
    assert_eq!(visitor.ask("echo after\n"), "after");
    let bytes = (process.resident().saturating_sub(before)) / count;
    eprintln!("{count} connections held, {bytes} bytes each in the server");
}
