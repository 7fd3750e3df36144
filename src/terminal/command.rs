//! The words one types, and their completion.

use crate::cli::customer_id;
use crate::client::room::{Side, Stock};
use std::sync::{Arc, Mutex, PoisonError};

/// Digits of a stock code.
const CODE_DIGITS: usize = 6;

/// Trades that `history` asks for when it is not told how many.
const HISTORY_DEFAULT: u32 = 20;

/// A line that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// As the same customer again, or as another.
    Login(Option<String>),
    /// All positions, from the server.
    Holdings,
    /// One position.
    Holding(Stock),
    /// A buy or a sell.
    Trade(Side, Stock, i64),
    /// What can be traded; pages are numbered from 0.
    Stocks(u32),
    /// So many past trades.
    History(u32),
    /// The short list of commands.
    Menu,
    /// The long one.
    Help,
    /// The end.
    Quit,
}

/// Number in the menu, word, arguments, meaning.
const WORDS: [(&str, &str, &str, &str); 10] = [
    ("1", "holdings", "", "all positions and their total market value"),
    ("2", "buy", "CODE QUANTITY", "buy shares, such as: buy 600001 200"),
    ("3", "sell", "CODE QUANTITY", "sell shares that you hold"),
    ("4", "holding", "CODE", "one position"),
    ("5", "history", "[COUNT]", "past trades, newest first (20; at most 50)"),
    ("6", "stocks", "[PAGE]", "what can be traded, page by page"),
    ("7", "login", "[CUSTOMER]", "become another customer: twelve digits"),
    ("8", "menu", "", "the numbers of these commands, which do as well"),
    ("9", "help", "", "this list"),
    ("0", "quit", "", "leave; so does Ctrl-D"),
];

/// What `menu` shows.
pub(super) fn menu() -> String {
    let words = WORDS.iter().map(|(number, word, ..)| format!("{number} {word}"));
    words.collect::<Vec<_>>().join("   ")
}

/// What `help` shows.
pub(super) fn help() -> String {
    let line = |(number, word, arguments, meaning): &(&str, &str, &str, &str)| {
        format!("{number}  {:24}{meaning}", format!("{word} {arguments}"))
    };
    WORDS.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Reads a line; `Ok(None)` is one that says nothing: blank, or a comment of a script.
pub(super) fn parse(line: &str) -> Result<Option<Command>, String> {
    let mut words = line.split_whitespace();
    let Some(word) = words.next().filter(|word| !word.starts_with('#')) else { return Ok(None) };
    let arguments: Vec<&str> = words.collect();
    let known = WORDS.iter().find(|(number, name, ..)| *number == word || *name == word);
    let Some((_, name, usage, _)) = known else {
        return match word {
            "exit" => Ok(Some(Command::Quit)),
            _ => Err(format!("{word} is no command; help lists them")),
        };
    };
    let command = match (*name, arguments.as_slice()) {
        ("holdings", []) => Command::Holdings,
        ("buy", [stock, quantity]) => Command::Trade(Side::Buy, code(stock)?, shares(quantity)?),
        ("sell", [stock, quantity]) => Command::Trade(Side::Sell, code(stock)?, shares(quantity)?),
        ("holding", [stock]) => Command::Holding(code(stock)?),
        ("history", []) => Command::History(HISTORY_DEFAULT),
        ("history", [count]) => Command::History(number(count, "COUNT")?),
        ("stocks", []) => Command::Stocks(0),
        ("stocks", [page]) => Command::Stocks(number(page, "PAGE")?),
        ("login", []) => Command::Login(None),
        ("login", [name]) => Command::Login(Some(customer_id(name)?)),
        ("menu", []) => Command::Menu,
        ("help", []) => Command::Help,
        ("quit", []) => Command::Quit,
        _ => return Err(format!("it is written: {name} {usage}").trim_end().to_owned()),
    };
    Ok(Some(command))
}

fn code(text: &str) -> Result<Stock, String> {
    if is_digits(text, CODE_DIGITS) {
        Ok(Stock::of_code(text))
    } else {
        Err(format!("CODE is {CODE_DIGITS} digits, not {text}"))
    }
}

fn is_digits(text: &str, count: usize) -> bool {
    text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn shares(text: &str) -> Result<i64, String> {
    let quantity = text.parse().ok().filter(|quantity| *quantity > 0);
    quantity.ok_or_else(|| format!("QUANTITY is a whole number above 0, not {text}"))
}

fn number(text: &str, name: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("{name} is a whole number, not {text}"))
}

/// Stock codes worth completing: those held, or seen in a list. Shared with the line editor.
#[derive(Clone, Debug, Default)]
pub(super) struct Codes(Arc<Mutex<Vec<String>>>);

impl Codes {
    /// Adds what is not known yet.
    pub(super) fn learn<'a>(&self, codes: impl IntoIterator<Item = &'a str>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for code in codes {
            if let Err(at) = known.binary_search_by(|known| known.as_str().cmp(code)) {
                known.insert(at, code.to_owned());
            }
        }
    }

    /// What the word that ends at the end of `line` may become, and where it begins.
    pub(super) fn complete(&self, line: &str) -> (usize, Vec<String>) {
        let start = line.rfind(char::is_whitespace).map_or(0, |at| at + 1);
        let (before, word) = line.split_at(start);
        let mut earlier = before.split_whitespace();
        let candidates = match (earlier.next(), earlier.next()) {
            (None, _) => WORDS.iter().map(|(_, name, ..)| (*name).to_owned()).collect(),
            (Some("buy" | "sell" | "holding" | "2" | "3" | "4"), None) => {
                self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
            }
            _ => Vec::new(),
        };
        (start, candidates.into_iter().filter(|name| name.starts_with(word)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_words_or_their_numbers() {
        let buy = Command::Trade(Side::Buy, Stock::of_code("600001"), 200);
        for (line, expected) in [
            ("holdings", Command::Holdings),
            (" 1 ", Command::Holdings),
            ("buy 600001 200", buy.clone()),
            ("2 600001  200", buy),
            ("history 5", Command::History(5)),
            ("login", Command::Login(None)),
            ("0", Command::Quit),
            ("exit", Command::Quit),
        ] {
            assert_eq!(parse(line), Ok(Some(expected)), "{line}");
        }
        for line in ["", "   ", "# a comment"] {
            assert_eq!(parse(line), Ok(None));
        }
    }

    #[test]
    fn a_wrong_line_says_how_it_is_written() {
        for (line, part) in [
            ("by 600001 200", "by is no command"),
            ("buy 600001", "buy CODE QUANTITY"),
            ("buy 60001 200", "CODE is 6 digits, not 60001"),
            ("sell 600001 0", "QUANTITY is a whole number above 0, not 0"),
            ("sell 600001 1.5", "not 1.5"),
            ("login 1", "a customer is twelve digits"),
            ("quit now", "it is written: quit"),
        ] {
            let error = parse(line).expect_err(line);
            assert!(error.contains(part), "{line}: {error}");
        }
    }

    #[test]
    fn words_and_known_codes_are_completed() {
        let codes = Codes::default();
        codes.learn(["600001", "600002", "000001", "600001"]);
        let check = |line: &str, start: usize, expected: &[&str]| {
            let (at, found) = codes.complete(line);
            assert_eq!((at, found.as_slice()), (start, &*to_strings(expected)), "{line}");
        };
        check("ho", 0, &["holdings", "holding"]);
        check("buy 6", 4, &["600001", "600002"]);
        check("sell ", 5, &["000001", "600001", "600002"]);
        check("buy 600001 2", 11, &[]);
        check("history 6", 8, &[]);
    }

    fn to_strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }
}
