//! Takes the pictures of README from a running server: `screenshots ADDRESS FOLDER`.

#[path = "../tests/it/browser.rs"]
#[expect(dead_code, reason = "the tests press its keys, this only looks")]
mod browser;

use browser::Browser;
use serde_json::{Map, Value, json};
use std::error::Error;
use std::path::Path;

const DARK: &str = "--blink-settings=preferredColorScheme=0";
const LIGHT: &str = "--blink-settings=preferredColorScheme=1";

/// All parts of the page are there, and something has moved.
const IS_FULL: &str = "document.querySelectorAll('.card[hidden]').length === 0
    && document.querySelectorAll('#places tr').length >= 10
    && document.querySelectorAll('#rates .figure').length >= 4
    && Array.from(document.querySelectorAll('.moved')).some((cell) => cell.textContent)";

/// What shines through the overlay, as a streamer's picture would.
const BACKDROP: &str = "document.documentElement.style.background =
    'radial-gradient(60rem 30rem at 80% 110%, #f4a261, transparent), linear-gradient(120deg, #264653, #2a9d8f 55%, #e76f51)'";

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [address, folder] = args.as_slice() else {
        return Err("usage: screenshots ADDRESS FOLDER".into());
    };
    let (page, folder) = (format!("http://{address}/"), Path::new(folder));
    for (name, scheme) in [("dark", DARK), ("light", LIGHT)] {
        let browser = Browser::with(&["--window-size=1440,1010", scheme], Map::new());
        browser.open(&page);
        browser.wait_until(IS_FULL);
        save(&browser, folder, name)?;
    }
    // Tall enough for the whole page.
    let metrics = json!({ "width": 390, "height": 2200, "pixelRatio": 2, "touch": true });
    let phone = Browser::with(&[DARK], emulating(&metrics));
    phone.open(&page);
    phone.wait_until(IS_FULL);
    save(&phone, folder, "phone")?;
    let overlay = Browser::with(&["--window-size=640,420"], Map::new());
    overlay.open(&format!("{page}overlay?num=5"));
    overlay.wait_until("document.querySelectorAll('#places tr').length >= 5");
    overlay.value(BACKDROP);
    overlay.wait_until(
        "Array.from(document.querySelectorAll('.moved')).some((cell) => cell.textContent)",
    );
    save(&overlay, folder, "overlay")
}

fn emulating(metrics: &Value) -> Map<String, Value> {
    let mobile = json!({ "deviceMetrics": metrics });
    [("mobileEmulation".to_owned(), mobile)].into_iter().collect()
}

fn save(browser: &Browser, folder: &Path, name: &str) -> Result<(), Box<dyn Error>> {
    let path = folder.join(name).with_extension("png");
    std::fs::write(&path, browser.picture())?;
    Ok(())
}
