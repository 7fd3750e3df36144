//! A real Chromium without a window, driven through chromedriver; both end when it is dropped.

use fantoccini::elements::Element;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Map, Value, json};
use std::future::Future;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// Longer than any page takes, so that a hang fails the test instead of the whole run.
const PATIENCE_MS: u32 = 60_000;

/// Keys as `WebDriver` writes them (section 17.4.2).
pub(crate) const ENTER: &str = "\u{E007}";
pub(crate) const TAB: &str = "\u{E004}";
pub(crate) const RIGHT: &str = "\u{E014}";

/// What a browser needs without a screen, and what keeps it from talking to anybody else.
const SWITCHES: [&str; 10] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
];

pub(crate) struct Browser {
    /// `None` once it was closed.
    client: Option<Client>,
    runtime: Runtime,
    driver: Child,
    _profile: TempDir,
}

impl Browser {
    /// A window of 1280 by 1000 pixels.
    #[track_caller]
    pub(crate) fn start() -> Self {
        Self::with(&["--window-size=1280,1000"], Map::new())
    }

    /// With more switches, and more of chromedriver's options (`mobileEmulation`).
    #[track_caller]
    pub(crate) fn with(switches: &[&str], mut options: Map<String, Value>) -> Self {
        let profile = tempfile::tempdir().expect("a temporary folder");
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("chromedriver: apt-get install chromium chromium-driver");
        let address = format!("http://127.0.0.1:{}", port_of(&mut driver));
        let data = format!("--user-data-dir={}", profile.path().display());
        let args: Vec<_> = SWITCHES.iter().chain(switches).copied().chain([&*data]).collect();
        options.insert("args".to_owned(), json!(args));
        let Value::Object(capabilities) = json!({
            "goog:chromeOptions": options,
            "timeouts": { "script": PATIENCE_MS, "pageLoad": PATIENCE_MS },
        }) else {
            unreachable!("written as an object");
        };
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let client = runtime.block_on(builder.capabilities(capabilities).connect(&address));
        let client = Some(client.expect("chromium: apt-get install chromium"));
        Self { client, runtime, driver, _profile: profile }
    }

    #[track_caller]
    pub(crate) fn open(&self, url: &str) {
        self.run(|client| async move { client.goto(url).await }).expect("the page loads");
    }

    /// The value of a JavaScript expression.
    #[track_caller]
    pub(crate) fn value(&self, expression: &str) -> Value {
        let script = format!("return {expression};");
        let run = self.run(|client| async move { client.execute(&script, Vec::new()).await });
        run.unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub(crate) fn wait_until(&self, expression: &str) {
        let script = format!(
            "const done = arguments[0];
             const look = () => {{ if ({expression}) done(true); else setTimeout(look, 20); }};
             look();"
        );
        let run = self.run(|client| async move { client.execute_async(&script, Vec::new()).await });
        if let Err(error) = run {
            let text = self.value("document.body.innerText");
            panic!("{expression} did not become true: {error}; the page says {text}");
        }
    }

    #[track_caller]
    pub(crate) fn click(&self, css: &str) {
        self.with_element(css, |element| async move { element.click().await });
    }

    /// Presses keys on an element, which gets the focus.
    #[track_caller]
    pub(crate) fn press(&self, css: &str, keys: &str) {
        self.with_element(css, |element| async move { element.send_keys(keys).await });
    }

    /// Presses keys on whatever has the focus.
    #[track_caller]
    pub(crate) fn press_focused(&self, keys: &str) {
        self.run(|client| async move { client.active_element().await?.send_keys(keys).await })
            .expect("an element has the focus");
    }

    /// What is seen, as PNG.
    #[track_caller]
    #[cfg_attr(test, expect(dead_code, reason = "for the program that makes README's pictures"))]
    pub(crate) fn picture(&self) -> Vec<u8> {
        self.run(|client| async move { client.screenshot().await }).expect("a picture")
    }

    #[track_caller]
    fn with_element<T: Future<Output = Result<(), fantoccini::error::CmdError>>>(
        &self,
        css: &str,
        act: impl FnOnce(Element) -> T,
    ) {
        self.run(|client| async move { act(client.find(Locator::Css(css)).await?).await })
            .unwrap_or_else(|error| panic!("{css}: {error}"));
    }

    fn run<T: Future>(&self, act: impl FnOnce(Client) -> T) -> T::Output {
        let client = self.client.clone().expect("open until it is dropped");
        self.runtime.block_on(act(client))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            // The session ends the browser; the driver alone would leave it behind.
            let _ = self.runtime.block_on(client.close());
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// It chooses a free port and says which.
fn port_of(driver: &mut Child) -> u16 {
    let lines = BufReader::new(driver.stdout.take().expect("piped")).lines();
    let port = lines.map_while(Result::ok).find_map(|line| {
        let port = line.strip_suffix('.')?.rsplit_once("successfully on port ")?.1;
        port.parse().ok()
    });
    port.expect("chromedriver names its port")
}
