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

/// All parts of the page are there, and something has moved, but nothing does at the moment.
const IS_FULL: &str = "document.querySelectorAll('.card[hidden]').length === 0
    && document.querySelectorAll('#places tr').length >= 10
    && document.querySelectorAll('#rates .figure').length >= 4
    && Array.from(document.querySelectorAll('.moved')).filter((cell) => cell.textContent).length >= 3
    && document.getAnimations().every((motion) => motion.id !== 'slide')";

/// The same for the overlay.
const IS_CALM: &str = "document.querySelectorAll('#places tr').length >= 5
    && Array.from(document.querySelectorAll('.moved')).some((cell) => cell.textContent)
    && document.getAnimations().every((motion) => motion.id !== 'slide')";

/// Ends the sliding of rows, and that new ones are half there.
const ARRIVE: &str = "document.getAnimations()
    .filter((motion) => motion.id === 'slide' || motion.id === 'appear')
    .forEach((motion) => motion.finish())";

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
        let browser = screen(1_440, 1_010, 1, scheme);
        browser.open(&page);
        browser.wait_until(IS_FULL);
        save(&browser, folder, name)?;
    }
    // Tall enough for the whole page.
    let phone = screen(390, 2_240, 2, DARK);
    phone.open(&page);
    phone.wait_until(IS_FULL);
    save(&phone, folder, "phone")?;
    let overlay = screen(640, 310, 1, DARK);
    overlay.open(&format!("{page}overlay?num=5"));
    overlay.value(BACKDROP);
    overlay.wait_until(IS_CALM);
    save(&overlay, folder, "overlay")
}

/// A browser that shows exactly so many pixels, without a window's frame.
fn screen(width: u32, height: u32, pixel_ratio: u32, scheme: &str) -> Browser {
    let metrics = json!({ "width": width, "height": height, "pixelRatio": pixel_ratio });
    Browser::with(&[scheme], emulating(&metrics))
}

fn emulating(metrics: &Value) -> Map<String, Value> {
    let mobile = json!({ "deviceMetrics": metrics });
    [("mobileEmulation".to_owned(), mobile)].into_iter().collect()
}

fn save(browser: &Browser, folder: &Path, name: &str) -> Result<(), Box<dyn Error>> {
    // What began to slide meanwhile has arrived.
    browser.value(ARRIVE);
    let path = folder.join(name).with_extension("png");
    std::fs::write(&path, browser.picture())?;
    Ok(())
}
