//! The lane to Redis over TLS: a certificate that the system trusts is taken, another is not.

use crate::redis_lane::{Rig, options};
use crate::redis_server::{RedisServer, free_port};
use fanfare::store::lane::LaneError;
use fanfare::store::redis::{Answer, Command, Value};
use std::path::Path;
use std::process;

/// Where the system's certificates are read from, when it is set.
const TRUST: &str = "SSL_CERT_FILE";

/// Whom the child is to speak to.
const URL: &str = "FANFARE_TEST_REDIS_TLS";

/// Trust comes from the environment, which a process must not change once it has threads: so the
/// test runs itself again with another one.
#[test]
fn a_trusted_certificate_is_taken_and_another_is_not() {
    if let Ok(url) = std::env::var(URL) {
        return speak(&url);
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (key, certificate) = (folder.path().join("key.pem"), folder.path().join("cert.pem"));
    make_certificate(&key, &certificate);
    let port = free_port().to_string();
    let path = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let _server = RedisServer::start(&[
        "--tls-port",
        &port,
        "--tls-auth-clients",
        "no",
        "--tls-cert-file",
        &path(&certificate),
        "--tls-key-file",
        &path(&key),
    ]);
    let url = format!("rediss://localhost:{port}");
    let stranger = options(std::slice::from_ref(&url)).check();
    assert!(matches!(stranger, Err(LaneError::Away { .. })), "{stranger:?}");
    let name = "redis_tls::a_trusted_certificate_is_taken_and_another_is_not";
    let child = process::Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", name, "--nocapture"])
        .env(TRUST, &certificate)
        .env(URL, url)
        .output()
        .expect("this test starts again");
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
}

fn speak(url: &str) {
    let urls = [url.to_owned()];
    options(&urls).check().expect("a trusted server");
    let rig = Rig::to(&urls);
    assert_eq!(rig.ask(Command::new("INCR", "n")), Answer::Done(Value::Int(1)));
}

fn make_certificate(key: &Path, certificate: &Path) {
    let made = process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost"])
        // An end's certificate, not an authority's: the client takes no other for a server.
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(key)
        .arg("-out")
        .arg(certificate)
        .output()
        .unwrap_or_else(|error| {
            panic!("openssl does not start ({error}): apt-get install openssl")
        });
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}
