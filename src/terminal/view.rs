//! How things look: tables, and one line for each thing that happens.

use super::board::Board;
use crate::client::money::{grouped, yuan};
use crate::client::portfolio::{Change, Portfolio};
use crate::client::room::{Fill, HistoryPage, Holding, HoldingPush, Side, StocksPage, TradePush};
use comfy_table::{CellAlignment, Table, presets};
use std::fmt::Write;

/// How tables are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// With lines, for people.
    Lines,
    /// Columns alone, for scripts.
    Columns,
}

fn table(style: Style, head: &[&str], right: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_preset(match style {
        Style::Lines => presets::UTF8_BORDERS_ONLY,
        Style::Columns => presets::NOTHING,
    });
    table.set_header(head);
    for column in right {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// The table without the blanks that fill its last column.
fn text(table: &Table) -> String {
    table.trim_fmt()
}

fn shares(quantity: i64) -> String {
    grouped(quantity.unsigned_abs())
}

/// At most `rows_max` positions, and how many more there are; then the total.
pub(super) fn holdings(portfolio: &Portfolio, style: Style, rows_max: usize) -> String {
    let mut table =
        table(style, &["code", "exchange", "shares", "last price", "market value"], &[2, 3, 4]);
    for Holding { stock, quantity, last_price_fen, market_value_fen } in
        portfolio.rows().take(rows_max)
    {
        table.add_row([
            stock.stock_code.clone(),
            stock.exchange_name().to_owned(),
            shares(*quantity),
            yuan(*last_price_fen),
            yuan(*market_value_fen),
        ]);
    }
    let count = portfolio.rows().len();
    let mut out = match count {
        0 => "no positions".to_owned(),
        _ => text(&table),
    };
    if count > rows_max {
        write!(out, "\n… and {} more: holdings shows all", count - rows_max)
            .expect("a String takes all");
    }
    let positions = if count == 1 { "position" } else { "positions" };
    let total = yuan(portfolio.total_value_fen());
    write!(out, "\n{count} {positions}, total market value {total}").expect("a String takes all");
    out
}

/// One position.
pub(super) fn holding(row: Option<&Holding>, code: &str) -> String {
    match row {
        None => format!("{code}: none held"),
        Some(row) => format!(
            "{code} in {}: {} at {}, worth {}",
            row.stock.exchange_name(),
            shares(row.quantity),
            yuan(row.last_price_fen),
            yuan(row.market_value_fen)
        ),
    }
}

/// Past trades.
pub(super) fn history(page: &HistoryPage, style: Style) -> String {
    let head = ["trade", "time", "side", "code", "shares", "price", ""];
    let mut table = table(style, &head, &[0, 4, 5]);
    for trade in &page.trades {
        let note = match (trade.rolled_back, trade.opening) {
            (true, _) => "rolled back",
            (false, true) => "opening",
            (false, false) => "",
        };
        table.add_row([
            trade.trade_id.to_string(),
            time(trade.time_ms),
            trade.side.to_string(),
            trade.stock.stock_code.clone(),
            shares(trade.quantity),
            yuan(trade.price_fen),
            note.to_owned(),
        ]);
    }
    match page.trades.len() {
        0 => "no trades yet".to_owned(),
        _ => text(&table),
    }
}

/// Unix milliseconds as UTC, to the second.
fn time(unix_ms: i64) -> String {
    match jiff::Timestamp::from_second(unix_ms / 1_000) {
        Ok(time) => time.to_string(),
        Err(_) => unix_ms.to_string(),
    }
}

/// A page of what can be traded.
pub(super) fn stocks(page: &StocksPage, style: Style) -> String {
    let mut table = table(style, &["code", "exchange", "last price"], &[2]);
    for quote in &page.stocks {
        let exchange = quote.stock.exchange_name().to_owned();
        table.add_row([quote.stock.stock_code.clone(), exchange, yuan(quote.last_price_fen)]);
    }
    format!("{}\npage {} of 0 to {}", text(&table), page.page, page.pages.saturating_sub(1))
}

/// The answer to a buy or a sell.
pub(super) fn fill(side: Side, code: &str, fill: &Fill) -> String {
    let (quantity, price) = (shares(fill.quantity), yuan(fill.price_fen));
    format!("done, trade {}: {side} {quantity} of {code} at {price}", fill.trade_id)
}

/// A pushed trade.
pub(super) fn trade(push: &TradePush) -> String {
    let TradePush { trade_id, side, stock, quantity, price_fen, .. } = push;
    let (quantity, price) = (shares(*quantity), yuan(*price_fen));
    format!("trade {trade_id}: {side} {quantity} of {} at {price}", stock.stock_code)
}

/// What a pushed position changed.
pub(super) fn change(push: &HoldingPush, change: Change) -> String {
    let Holding { stock, quantity, market_value_fen, .. } = &push.holding;
    let code = &stock.stock_code;
    let (quantity, value) = (shares(*quantity), yuan(*market_value_fen));
    match change {
        Change::Known | Change::Closed if push.holding.quantity == 0 => {
            format!("holding {code}: none left")
        }
        Change::Opened => format!("holding {code}: {quantity} (new), worth {value}"),
        Change::Changed { from } => {
            format!("holding {code}: {} -> {quantity}, worth {value}", shares(from))
        }
        Change::Known | Change::Closed => format!("holding {code}: {quantity}, worth {value}"),
    }
}

/// A trade that was taken back.
pub(super) fn rollback(trade_id: i64, reason: &str) -> String {
    // The reason is whatever an operator wrote; a terminal must not obey it.
    let reason: String = reason.chars().filter(|char| !char.is_control()).collect();
    format!("trade {trade_id} was rolled back: {reason}")
}

/// Everything above the prompt. `rows` is the height of the terminal.
pub(super) fn screen(board: &Board, answer: &str, events: &str, rows: usize) -> String {
    let mut below = String::new();
    let trades: Vec<_> = board.trades().map(|push| format!("  {}\n", trade(push))).collect();
    if !trades.is_empty() {
        below.push_str("\nlatest trades\n");
        below.push_str(&trades.concat());
    }
    for part in [events, answer].iter().filter(|part| !part.is_empty()) {
        writeln!(below, "\n{part}").expect("a String takes all");
    }
    let connection = board
        .offline
        .as_ref()
        .map_or("online".to_owned(), |why| format!("OFFLINE ({why}), trying again"));
    // Title, blank, four lines of table, what is left out, the total, and the prompt.
    let fixed = 10 + below.lines().count();
    let rows_max = rows.saturating_sub(fixed).max(3);
    let table = holdings(&board.portfolio, Style::Lines, rows_max);
    format!("trading room, customer {}, {connection}\n\n{table}\n{below}", board.customer_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::room::Stock;

    fn push(seq: i64, code: &str, quantity: i64) -> HoldingPush {
        let market_value_fen = quantity * 1_050;
        let stock = Stock::of_code(code);
        HoldingPush {
            seq,
            holding: Holding { stock, quantity, last_price_fen: 1_050, market_value_fen },
        }
    }

    fn traded(trade_id: i64) -> TradePush {
        TradePush {
            seq: 1,
            trade_id,
            stock: Stock::of_code("600001"),
            side: Side::Buy,
            quantity: 1_200,
            price_fen: 1_050,
            time_ms: 0,
        }
    }

    #[test]
    fn holdings_are_columns_for_scripts_with_the_total_below() {
        let mut portfolio = Portfolio::default();
        assert_eq!(
            holdings(&portfolio, Style::Columns, 9),
            "no positions\n0 positions, total market value 0.00"
        );
        portfolio.apply(&push(1, "600001", 1_200));
        portfolio.apply(&push(2, "000007", 1));
        let shown = holdings(&portfolio, Style::Columns, 9);
        let words: Vec<Vec<&str>> =
            shown.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[1], ["600001", "Shanghai", "1,200", "10.50", "12,600.00"]);
        assert_eq!(words[2], ["000007", "Shenzhen", "1", "10.50", "10.50"]);
        assert!(shown.ends_with("\n2 positions, total market value 12,610.50"), "{shown}");
        let cut = holdings(&portfolio, Style::Columns, 1);
        assert!(cut.contains("… and 1 more") && !cut.contains("000007"), "{cut}");
    }

    #[test]
    fn a_trade_that_was_rolled_back_is_on_the_screen_no_more() {
        let mut board = Board::of("000000000001");
        board.show(traded(17));
        board.show(traded(18));
        assert!(screen(&board, "", "", 40).contains("trade 17: bought 1,200 of 600001 at 10.50"));
        assert!(board.take_off(17).is_some());
        let shown = screen(&board, "", &rollback(17, "a slip\u{1b}[2J"), 40);
        assert!(!shown.contains("trade 17: bought"), "{shown}");
        assert!(shown.contains("trade 18: bought"), "{shown}");
        assert!(shown.contains("trade 17 was rolled back: a slip[2J"), "{shown}");
        assert!(board.take_off(17).is_none());
    }

    #[test]
    fn a_low_terminal_shows_fewer_rows_and_says_so() {
        let mut board = Board::of("000000000001");
        for code in 1..=50 {
            board.portfolio.apply(&push(1, &format!("{code:06}"), 1));
        }
        for rows in [20, 24, 40] {
            let shown = screen(&board, "", "", rows);
            assert!(shown.lines().count() < rows, "{rows}: {shown}");
            assert!(shown.contains("holdings shows all"));
        }
    }

    #[test]
    fn every_kind_of_change_has_its_words() {
        for (kind, quantity, expected) in [
            (Change::Opened, 200, "holding 600001: 200 (new), worth 2,100.00"),
            (Change::Closed, 0, "holding 600001: none left"),
            (Change::Changed { from: 100 }, 200, "holding 600001: 100 -> 200, worth 2,100.00"),
        ] {
            assert_eq!(change(&push(1, "600001", quantity), kind), expected);
        }
    }
}
