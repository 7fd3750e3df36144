//! The live page and the overlay as people meet them: in a real browser.

use crate::browser::{Browser, ENTER, RIGHT, TAB};
use crate::server::{Server, Start};
use fanfare::access::token;
use serde_json::json;

/// Beyond 2^53, where a double shows another number.
const LARGE: i64 = 9_007_199_254_740_993;

/// The anchors in the order of the board.
const ORDER: &str =
    "Array.from(document.querySelectorAll('#places tr'), (row) => row.dataset.key).join()";

fn give(server: &Server, anchor: i64, worth: i64) {
    let gift = json!({"audience_id": 1, "anchor_id": anchor, "worth": worth}).to_string();
    assert_eq!(server.client().post("/gift/send", &gift).status, 200);
}

fn page(server: &Server) -> String {
    format!("http://{}/", server.http)
}

/// Waits until the board shows these anchors.
#[track_caller]
fn wait_for_order(browser: &Browser, order: &str) {
    browser.wait_until(&format!("{ORDER} === '{order}'"));
}

#[test]
fn a_gift_from_the_page_counts_once_and_changes_the_order() {
    let server = Server::start();
    give(&server, 7, 15);
    give(&server, 9, 12);
    let browser = Browser::start();
    browser.open(&page(&server));
    wait_for_order(&browser, "7,9");
    browser.wait_until("document.getElementById('status-text').textContent === 'Live'");

    browser.click("tr[data-key='9'] .act button");
    assert_eq!(browser.value("document.getElementById('gift-anchor').value"), "9");
    browser.click("#gift button[type=submit]");
    wait_for_order(&browser, "9,7");
    browser.wait_until("document.getElementById('gift-said').textContent.includes('on disk')");
    let worth = server.client().get("/gift/worth?id=9").json();
    assert_eq!(worth["data"]["total_worth"], 22);

    let total = "document.querySelector(\"tr[data-key='9'] .total\").textContent";
    assert_eq!(browser.value(total), "22");
    let moved = "document.querySelector(\"tr[data-key='9'] .moved\").textContent";
    assert_eq!(browser.value(moved), "▲ 1");
    browser
        .wait_until("document.getElementById('announcer').textContent.includes('Anchor 9 leads')");
    // Nothing came from elsewhere, and nothing that the policy forbids was tried.
    let foreign = "performance.getEntriesByType('resource')
        .filter((entry) => !entry.name.startsWith(location.origin)).length";
    assert_eq!(browser.value(foreign), 0);
}

#[test]
fn the_page_survives_a_restart_and_says_meanwhile_that_it_is_stale() {
    let server = Server::start();
    give(&server, 7, 5);
    let browser = Browser::start();
    browser.open(&page(&server));
    wait_for_order(&browser, "7");
    let address = server.http.to_string();
    let folder = server.stop();
    browser.wait_until("document.documentElement.dataset.state === 'lost'");
    browser.wait_until("document.getElementById('status-text').textContent.includes('as of')");
    assert_eq!(browser.value(ORDER), "7", "the last known board stays");

    let server = folder.start().set("http.listen", &address).run();
    give(&server, 8, 6);
    wait_for_order(&browser, "8,7");
    browser.wait_until("document.documentElement.dataset.state === 'live'");
}

#[test]
fn ids_beyond_what_a_double_holds_are_shown_and_sent_exactly() {
    let server = Server::start();
    give(&server, LARGE, 1_000_000_000_000);
    give(&server, i64::MAX, 5);
    let browser = Browser::start();
    browser.open(&page(&server));
    wait_for_order(&browser, &format!("{LARGE},{}", i64::MAX));
    let names = "Array.from(document.querySelectorAll('#places .anchor'), \
        (name) => name.lastChild.textContent).join()";
    assert_eq!(browser.value(names), format!("{LARGE},{}", i64::MAX));
    let total = "document.querySelector('#places .total').textContent";
    assert_eq!(browser.value(total), "1,000,000,000,000");

    browser.press("#gift-anchor", &format!("{}{ENTER}", LARGE + 1));
    wait_for_order(&browser, &format!("{LARGE},{},{}", LARGE + 1, i64::MAX));
    let worth = server.client().get(&format!("/gift/worth?id={}", LARGE + 1)).json();
    assert_eq!(worth["data"]["total_worth"], 10);
}

#[test]
fn everything_can_be_done_with_the_keyboard() {
    let server = Server::start();
    give(&server, 7, 50);
    give(&server, 9, 45);
    let browser = Browser::start();
    browser.open(&page(&server));
    wait_for_order(&browser, "7,9");
    browser.press("body", TAB);
    let focused = "document.activeElement.textContent.trim()";
    assert_eq!(browser.value(focused), "Skip to the board");
    browser.press_focused(TAB);
    assert_eq!(browser.value("document.activeElement.name"), "period");
    browser.press_focused(RIGHT);
    assert_eq!(browser.value("document.activeElement.value"), "week");
    // This week's board, from a stream of its own.
    wait_for_order(&browser, "7,9");
    browser.press_focused(TAB);
    assert_eq!(browser.value("document.activeElement.ariaLabel"), "Gift for anchor 7");

    // Who holds a button keeps it while its row moves.
    browser.press_focused(TAB);
    assert_eq!(browser.value("document.activeElement.ariaLabel"), "Gift for anchor 9");
    give(&server, 9, 6);
    wait_for_order(&browser, "9,7");
    assert_eq!(browser.value("document.activeElement.ariaLabel"), "Gift for anchor 9");
    browser.press_focused(ENTER);
    assert_eq!(browser.value("document.activeElement.name"), "worth");
    browser.press_focused(&format!("{RIGHT}{ENTER}"));
    browser.wait_until("document.getElementById('gift-said').textContent.includes('on disk')");
    let worth = server.client().get("/gift/worth?id=9").json();
    assert_eq!(worth["data"]["total_worth"], 150);
    browser.press("#gift-anchor", &format!("x{ENTER}"));
    browser.wait_until("document.getElementById('gift-said').textContent.includes('Name an')");
}

#[test]
fn the_overlay_is_transparent_and_shows_what_was_asked_for() {
    let server = Start::fresh().run();
    for anchor in 1..=4 {
        give(&server, anchor, anchor);
    }
    let browser = Browser::start();
    browser.open(&format!("{}overlay?num=3", page(&server)));
    wait_for_order(&browser, "4,3,2");
    for element in ["document.documentElement", "document.body"] {
        let colour = format!("getComputedStyle({element}).backgroundColor");
        assert_eq!(browser.value(&colour), "rgba(0, 0, 0, 0)");
    }
    assert_eq!(browser.value("document.querySelectorAll('button, input').length"), 0);
    give(&server, 2, 9);
    wait_for_order(&browser, "2,4,3");
}

#[test]
fn a_counter_and_a_packet_can_be_had_from_the_page() {
    let server = Server::start();
    let like = json!({"resource_id": "encore", "counter_type": "like"}).to_string();
    assert_eq!(server.client().post("/api/v1/counter/increment", &like).status, 200);
    let rain = json!({
        "id": 1, "total_amount_fen": 700, "total_count": 7, "min_fen": 100, "max_fen": 100,
        "win_ppm": 1_000_000, "max_per_user": 1, "starts_at": 0, "ends_at": 4_102_444_800_i64,
        "reason": "a test",
    });
    assert_eq!(server.operator().post("/rain", &rain.to_string()).status, 200);
    let browser = Browser::start();
    browser.open(&page(&server));
    browser.wait_until("!document.getElementById('hot').hidden");
    browser.click("#counters .plus");
    browser.wait_until("document.querySelector('#counters .count').textContent === '2'");
    browser.wait_until("document.getElementById('rain').dataset.state === 'running'");
    browser.click("#rain-snatch");
    browser.wait_until("document.getElementById('rain-said').textContent.includes('\u{a5}1.00')");
    browser.wait_until("document.getElementById('rain-left').textContent === '6'");
    browser.click("#rain-snatch");
    browser.wait_until("document.getElementById('rain-said').textContent.includes('may have')");
}

#[test]
fn a_demo_fills_every_part_of_the_page() {
    let server = Start::fresh().arg("--demo").run();
    let browser = Browser::start();
    browser.open(&page(&server));
    browser.wait_until("document.querySelectorAll('.card[hidden]').length === 0");
    browser.wait_until("document.querySelectorAll('#places tr').length === 10");
    browser.wait_until("document.querySelectorAll('#rates .figure').length === 4");
    browser.wait_until("document.getElementById('room-online').textContent === '12'");
    browser.wait_until("Number(document.getElementById('room-trades').textContent) > 0");
    let rain = server.client().get("/rain").json();
    assert_eq!(rain["data"]["state"], "scheduled");
    drop(browser);
    // The audience leaves with the server.
    server.stop();
}

#[test]
fn a_page_behind_a_token_asks_for_it_and_keeps_it_for_the_tab() {
    let made = [("screen", true, false), ("host", true, true)];
    let made = made.map(|(name, read, write)| token::fresh(name, read, write).expect("random"));
    let [(reader, kept), (host, kept_too)] = &made;
    let server = Start::fresh().set("api.tokens", &format!("{kept},{kept_too}")).run();
    let bearer = format!("Bearer {host}");
    let gift = json!({"audience_id": 1, "anchor_id": 7, "worth": 5}).to_string();
    let as_host = [("Authorization", bearer.as_str())];
    assert_eq!(server.client().request("POST", "/gift/send", &as_host, &gift).status, 200);

    let browser = Browser::start();
    browser.open(&page(&server));
    browser.wait_until("document.activeElement.id === 'lock-token'");
    assert_eq!(browser.value("document.querySelector('main').checkVisibility()"), false);
    browser.press("#lock-token", &format!("fanfare_guess{ENTER}"));
    browser.wait_until("document.getElementById('lock-said').textContent.includes('not know')");
    browser.press("#lock-token", &format!("{reader}{ENTER}"));
    wait_for_order(&browser, "7");
    assert_eq!(browser.value("document.getElementById('lock').checkVisibility()"), false);

    // It may read, and no more.
    browser.click("tr[data-key='7'] .act button");
    browser.click("#gift button[type=submit]");
    browser.wait_until("document.getElementById('gift-said').textContent.includes('scope')");
    browser.open(&page(&server));
    wait_for_order(&browser, "7");

    // Who may write says so behind the address, which then forgets it.
    browser.open("about:blank");
    browser.open(&format!("{}#token={host}", page(&server)));
    wait_for_order(&browser, "7");
    assert_eq!(browser.value("location.href"), page(&server));
    browser.click("tr[data-key='7'] .act button");
    browser.click("#gift button[type=submit]");
    browser.wait_until("document.getElementById('gift-said').textContent.includes('on disk')");

    browser.open(&format!("{}overlay?num=3#token={reader}", page(&server)));
    wait_for_order(&browser, "7");
    assert_eq!(browser.value("location.hash"), "");
}
