//! The rules of the room once more, as naive as possible: a list of lines, searched at every
//! question. Random histories against a `trade::Store` must go as the list says.

use crate::gift_model::TestClock;
use crate::trade_rig::{Rig, customer, stock, trade};
use fanfare::store::{Clock, RequestKey};
use fanfare::trade::market::Prices;
use fanfare::trade::{
    Account, Customer, Entry, Found, Holding, Order, Past, Read, Rollback, Stock, Write, Written,
    opening,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One of the seeded customers, and two who are new.
const CUSTOMERS: [i64; 3] = [1, 900_000_000_001, 900_000_000_002];
const STOCKS: usize = 3;

struct Model {
    lines: Vec<(Entry, Option<RequestKey>)>,
    prices: Prices,
    clock: Arc<TestClock>,
}

impl Model {
    fn new(clock: &Arc<TestClock>) -> Self {
        let prices = Prices::default();
        let opening = opening::trades(&prices, 1, clock.now_us());
        let lines = opening.into_iter().map(|entry| (entry, None)).collect();
        Self { lines, prices, clock: Arc::clone(clock) }
    }

    fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.lines.iter().map(|(entry, _)| entry)
    }

    fn of(&self, customer: Customer) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries().filter(move |entry| entry.order.customer == customer)
    }

    fn held(&self, customer: Customer, stock: Stock) -> i64 {
        let orders = self.of(customer).map(|entry| entry.order);
        let orders = orders.filter(|order| order.stock == stock);
        orders.map(|order| order.side.signed(order.quantity)).sum()
    }

    fn holdings(&self, customer: Customer) -> Vec<Holding> {
        let mut held: BTreeMap<Stock, i64> = BTreeMap::new();
        for Order { stock, side, quantity, .. } in self.of(customer).map(|entry| entry.order) {
            *held.entry(stock).or_default() += side.signed(quantity);
        }
        let held = held.into_iter().filter(|(_, quantity)| *quantity > 0);
        let priced = |stock| self.prices.of(stock);
        held.map(|(stock, quantity)| Holding { stock, quantity, price_fen: priced(stock) })
            .collect()
    }

    fn seq(&self, customer: Customer) -> i64 {
        self.of(customer)
            .map(|entry| if entry.seq == 0 { 0 } else { entry.seq + 1 })
            .max()
            .unwrap_or(0)
    }

    fn account(&self, customer: Customer) -> Account {
        let holdings = self.holdings(customer);
        let total_fen = holdings.iter().map(Holding::value_fen).sum();
        Account { seq: self.seq(customer), positions: holdings.len(), total_fen }
    }

    fn rollback_of(&self, trade_id: i64) -> Option<&Entry> {
        let is_it = |back: &Rollback| back.trade_id == trade_id;
        self.entries().find(|entry| entry.rollback.as_ref().is_some_and(is_it))
    }

    fn write(&mut self, write: &Write) -> Written {
        let (key, customer) = match write {
            Write::Trade { order, key } => (key, Some(order.customer)),
            Write::Rollback { key, .. } => (key, None),
            Write::Quote { stock, price_fen } => return self.quote(*stock, *price_fen),
        };
        let same_scope = |entry: &Entry| match customer {
            Some(customer) => entry.rollback.is_none() && entry.order.customer == customer,
            None => entry.rollback.is_some(),
        };
        let first = self
            .lines
            .iter()
            .find(|(entry, other)| key.is_some() && other == key && same_scope(entry));
        if let Some((entry, _)) = first {
            let same = match write {
                Write::Trade { order, .. } => entry.order == *order,
                Write::Rollback { trade_id, reason, .. } => {
                    entry.rollback == Some(Rollback { trade_id: *trade_id, reason: reason.clone() })
                }
                Write::Quote { .. } => false,
            };
            return if same { self.replayed(entry) } else { Written::KeyConflict };
        }
        match write {
            Write::Trade { order, .. } => match self.refusal(order) {
                Some(refusal) => refusal,
                None => self.add(*order, None, key.clone()),
            },
            Write::Rollback { trade_id, reason, .. } => {
                let Some(target) = self.entries().find(|entry| entry.id == *trade_id) else {
                    return Written::UnknownTrade;
                };
                if target.seq == 0 || target.rollback.is_some() {
                    return Written::NotATrade;
                }
                if let Some(entry) = self.rollback_of(*trade_id) {
                    return self.replayed(entry);
                }
                let order = Order { side: target.order.side.opposite(), ..target.order };
                match self.refusal(&order) {
                    None => {}
                    Some(Written::Overflow) => return Written::Overflow,
                    Some(_) => return Written::Impossible,
                }
                let rollback = Rollback { trade_id: *trade_id, reason: reason.clone() };
                self.add(order, Some(rollback), key.clone())
            }
            Write::Quote { .. } => unreachable!("answered above"),
        }
    }

    fn quote(&mut self, stock: Stock, price_fen: i64) -> Written {
        let mut large = CUSTOMERS.iter().map(|number| self.holdings(customer(*number)));
        let blocks = |holdings: Vec<Holding>| {
            let all: i128 = holdings.iter().map(|holding| i128::from(holding.quantity)).sum();
            all * 100_000 > i128::from(i64::MAX)
                && holdings.iter().any(|holding| holding.stock == stock)
        };
        if large.any(blocks) {
            return Written::Overflow;
        }
        drop(large);
        self.prices.set(stock, price_fen);
        Written::Quoted
    }

    fn replayed(&self, entry: &Entry) -> Written {
        let Order { customer, stock, .. } = entry.order;
        let (quantity, price_fen) = (self.held(customer, stock), self.prices.of(stock));
        let holding = Holding { stock, quantity, price_fen };
        Written::Done { entry: entry.clone(), holding, replayed: true }
    }

    fn refusal(&self, order: &Order) -> Option<Written> {
        let held = i128::from(self.held(order.customer, order.stock));
        let signed = i128::from(order.side.signed(order.quantity));
        if signed < 0 {
            return match held + signed {
                _ if held == 0 => Some(Written::NotHeld),
                after if after < 0 => Some(Written::NotEnough),
                _ => None,
            };
        }
        let values = self.holdings(order.customer).into_iter();
        let value: i128 = values.map(|holding| i128::from(holding.value_fen())).sum();
        let value = value + signed * i128::from(self.prices.of(order.stock));
        let max = i128::from(i64::MAX);
        (held + signed > max || value > max).then_some(Written::Overflow)
    }

    fn add(
        &mut self,
        order: Order,
        rollback: Option<Rollback>,
        key: Option<RequestKey>,
    ) -> Written {
        let last = self.lines.last().map_or((0, 0), |(entry, _)| (entry.id, entry.time_us));
        let held = self.held(order.customer, order.stock) + order.side.signed(order.quantity);
        let entry = Entry {
            id: last.0 + 1,
            order,
            price_fen: self.prices.of(order.stock),
            time_us: self.clock.now_us().max(last.1 + 1),
            seq: self.seq(order.customer) + 1,
            held,
            rollback,
        };
        self.lines.push((entry.clone(), key));
        let holding = Holding { stock: order.stock, quantity: held, price_fen: entry.price_fen };
        Written::Done { entry, holding, replayed: false }
    }
}

#[derive(Clone, Debug)]
enum Step {
    One(Ask),
    /// At once, so that they are decided together.
    Burst(Vec<Ask>),
    Restart,
}

#[derive(Clone, Debug)]
enum Ask {
    Trade { who: usize, place: usize, signed: i64, key: Option<u8> },
    Rollback { pick: usize, reason: u8, key: Option<u8> },
    Quote { place: usize, price_fen: i64 },
}

fn ask() -> impl Strategy<Value = Ask> {
    let key = || proptest::option::weighted(0.3, 0..3_u8);
    let large = prop_oneof![Just(i64::MAX), Just(i64::MAX / 1_000), Just(i64::MAX / 3_000)];
    let signed = prop_oneof![10 => -4..=4_i64, 1 => large];
    let signed = signed.prop_filter("an order", |signed| *signed != 0);
    prop_oneof![
        10 => (0..CUSTOMERS.len(), 0..STOCKS, signed, key())
            .prop_map(|(who, place, signed, key)| Ask::Trade { who, place, signed, key }),
        4 => (any::<usize>(), 0..2_u8, key())
            .prop_map(|(pick, reason, key)| Ask::Rollback { pick, reason, key }),
        2 => (0..STOCKS, 1_000..=100_000_i64)
            .prop_map(|(place, price_fen)| Ask::Quote { place, price_fen }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => ask().prop_map(Step::One),
        4 => proptest::collection::vec(ask(), 2..12).prop_map(Step::Burst),
        1 => Just(Step::Restart),
    ]
}

impl Ask {
    fn write(&self, model: &Model) -> Write {
        let name = |key: &Option<u8>| key.map(|key| format!("key-{key}"));
        match self {
            Ask::Trade { who, place, signed, key } => {
                trade(CUSTOMERS[*who], *place, *signed, name(key).as_deref())
            }
            Ask::Rollback { pick, reason, key } => {
                // Mostly one of the newest lines; also one of the opening, and one that is not there.
                let last = model.lines.len();
                let back = i64::try_from(pick % 12).expect("small");
                let trade_id = i64::try_from(last).expect("few") + 1 - back;
                let key = name(key).map(|key| RequestKey::new(&key).expect("a key"));
                Write::Rollback { trade_id, reason: format!("reason {reason}"), key }
            }
            Ask::Quote { place, price_fen } => {
                Write::Quote { stock: stock(*place), price_fen: *price_fen }
            }
        }
    }
}

/// All that can be asked is as the list says.
fn check_reads(rig: &Rig, model: &Model) {
    for number in CUSTOMERS {
        let customer = customer(number);
        assert_eq!(rig.account(customer), model.account(customer));
        let all = model.holdings(customer);
        for offset in [0, 1, 200] {
            let read = Read::Holdings { customer, offset, num: 2 };
            let holdings: Vec<_> = all.iter().skip(offset).take(2).copied().collect();
            let account = model.account(customer);
            assert_eq!(rig.read(read), Found::Holdings { holdings, account });
        }
        let past: Vec<Past> = model
            .of(customer)
            .rev()
            .filter(|entry| entry.rollback.is_none())
            .map(|entry| {
                let rolled_back = model.rollback_of(entry.id).is_some();
                Past { entry: entry.clone(), rolled_back }
            })
            .collect();
        let num = 3;
        let mut before = None;
        for part in past.chunks(num).take(3) {
            let more = part.last() != past.last();
            let found = Found::History { trades: part.to_vec(), more };
            assert_eq!(rig.read(Read::History { customer, before, num }), found);
            before = part.last().map(|past| past.entry.id);
        }
        for after in [0, 1, 2, model.seq(customer) - 1] {
            let lines = model.of(customer).filter(|entry| entry.seq > 0 && entry.seq + 1 > after);
            let lines: Vec<_> = lines.cloned().collect();
            assert_eq!(rig.pushes(customer, after.max(0)), lines, "behind {after}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_local_store_goes_as_the_list_says(steps in proptest::collection::vec(step(), 1..25)) {
        let dir = tempfile::tempdir().expect("a temp folder");
        let clock = TestClock::at(1_793_536_200);
        let mut rig = Rig::open(dir.path(), &clock, None);
        let mut model = Model::new(&clock);
        let mut told = Vec::new();
        for step in steps {
            let asks = match step {
                Step::One(ask) => vec![ask],
                Step::Burst(asks) => asks,
                Step::Restart => {
                    rig.close();
                    rig = Rig::open(dir.path(), &clock, None);
                    told.clear();
                    vec![]
                }
            };
            let writes: Vec<_> = asks.iter().map(|ask| ask.write(&model)).collect();
            let answers: Vec<_> = writes.iter().map(|write| rig.start(write.clone())).collect();
            for (write, answer) in writes.iter().zip(answers) {
                let expected = model.write(write);
                if let Written::Done { entry, replayed: false, .. } = &expected {
                    told.push(entry.clone());
                }
                prop_assert_eq!(answer.recv().expect("answered"), Ok(expected), "{:?}", write);
            }
            prop_assert_eq!(&*rig.told.0.lock().expect("no panic"), &told, "told in order");
            check_reads(&rig, &model);
        }
        rig.check_audit();
        rig.close();
    }
}

#[test]
fn of_many_who_sell_the_same_shares_at_once_one_wins() {
    let dir = tempfile::tempdir().expect("a temp folder");
    let rig = Rig::open(dir.path(), &TestClock::at(1_793_536_200), None);
    let number = CUSTOMERS[1];
    for _ in 0..50 {
        rig.write(trade(number, 0, 10, None)).expect("it is well");
        let sells: Vec<_> = (0..20).map(|_| rig.start(trade(number, 0, -10, None))).collect();
        let sells = sells.into_iter().map(|sell| sell.recv().expect("answered").expect("well"));
        let won = sells.filter(|written| matches!(written, Written::Done { .. })).count();
        assert_eq!(won, 1);
    }
    rig.close();
}
