//! Brings a batch of commands to the nodes that serve them, and every answer back to its command.

use super::batch::{Next, Step};
use super::command::{Answer, Away, Command};
use super::node::Node;
use super::options::{RedisOptions, not_a_cluster};
use super::slots::{Slots, redirection, slot};
use crate::store::lane::LaneError;
use redis::{ConnectionAddr, ConnectionInfo};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Ways that a command may be sent on: a script to load, a slot that moved, one that moves.
const ROUNDS_MAX: usize = 5;

/// Between two looks at the map of slots; a failover takes seconds.
const MAP_PAUSE: Duration = Duration::from_millis(200);

/// What one thread knows of the servers, and its connections to them.
pub(super) struct Router {
    options: RedisOptions,
    seeds: Vec<ConnectionInfo>,
    nodes: BTreeMap<String, Node>,
    /// Learnt from the first server that answers.
    is_cluster: Option<bool>,
    slots: Option<Slots>,
    slots_stale: bool,
    look_at: Option<Instant>,
    /// Counts new and lost connections and moved slots of all threads.
    changes: Arc<AtomicU64>,
}

impl Router {
    pub(super) fn new(options: RedisOptions, changes: Arc<AtomicU64>) -> Result<Self, LaneError> {
        let seeds = options.seeds()?;
        Ok(Self {
            options,
            seeds,
            nodes: BTreeMap::new(),
            is_cluster: None,
            slots: None,
            slots_stale: true,
            look_at: None,
            changes,
        })
    }

    /// Runs all, in order for each node; as many answers as commands.
    pub(super) fn run(&mut self, commands: &[&Command]) -> Vec<Answer> {
        let mut answers = vec![Answer::Away(Away::NotRun); commands.len()];
        let mut steps: Vec<Step> = (0..commands.len()).map(Step::first).collect();
        for _ in 0..ROUNDS_MAX {
            if steps.is_empty() {
                break;
            }
            self.learn();
            steps = self.round(commands, steps, &mut answers);
        }
        // What is still on its way was turned away each time, and has not run.
        answers
    }

    /// Forgets all connections, and what was learnt.
    pub(super) fn reset(&mut self) {
        self.nodes.clear();
        self.is_cluster = None;
        self.slots = None;
        self.slots_stale = true;
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Sends every step to its node, then collects; returns those that must go on.
    fn round(
        &mut self,
        commands: &[&Command],
        steps: Vec<Step>,
        answers: &mut [Answer],
    ) -> Vec<Step> {
        let mut plans: BTreeMap<String, Vec<Step>> = BTreeMap::new();
        for step in steps {
            let address = step.ask.clone().or_else(|| self.address(commands[step.index].key()));
            if let Some(address) = address {
                plans.entry(address).or_default().push(step);
            }
        }
        // Connect first: while one node is waited for, the answers of another must not age.
        plans.retain(|address, _| self.connected(address));
        let deadline = Instant::now() + self.options.timeout;
        let mut bytes = Vec::new();
        plans.retain(|address, steps| {
            bytes.clear();
            for step in steps.iter() {
                step.pack_into(commands[step.index], &mut bytes);
            }
            let sent = self.link(address).is_some_and(|link| link.send(&bytes).is_ok());
            if !sent {
                self.lose(address, steps, answers);
            }
            sent
        });
        let mut again = Vec::new();
        for (address, steps) in plans {
            self.collect(&address, steps, commands, deadline, answers, &mut again);
        }
        again
    }

    /// Reads the answers of one node.
    fn collect(
        &mut self,
        address: &str,
        steps: Vec<Step>,
        commands: &[&Command],
        deadline: Instant,
        answers: &mut [Answer],
        again: &mut Vec<Step>,
    ) {
        let mut steps = steps.into_iter();
        let mut drop_it = false;
        let timed = self.link(address).is_some_and(|link| link.wait_until(deadline).is_ok());
        while let Some(step) = steps.next() {
            let before = step.answers_before(commands[step.index]);
            let value = self.link(address).filter(|_| timed).map(|link| link.receive(before));
            let Some(Ok(value)) = value else {
                let rest: Vec<Step> = std::iter::once(step).chain(steps).collect();
                return self.lose(address, &rest, answers);
            };
            let index = step.index;
            match step.next(value) {
                Next::Over(answer) => answers[index] = answer,
                Next::OverAndDrop(answer) => {
                    answers[index] = answer;
                    drop_it = true;
                }
                Next::Again(step) => again.push(step),
                Next::Moved(step, details) => {
                    self.moved(address, &details);
                    again.push(step);
                }
                Next::Ask(mut step, details) => {
                    step.ask = redirection(&details, host(address)).map(|(_, address)| address);
                    again.push(step);
                }
            }
        }
        match self.nodes.get_mut(address) {
            Some(_) if drop_it => self.lose(address, &[], answers),
            Some(node) => node.answered(),
            None => {}
        }
    }

    /// A connection failed with these steps on it: each may have run.
    fn lose(&mut self, address: &str, steps: &[Step], answers: &mut [Answer]) {
        for step in steps {
            answers[step.index] = Answer::Away(Away::Unknown);
        }
        if let Some(node) = self.nodes.get_mut(address) {
            node.lost();
        }
        self.slots_stale = true;
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    fn moved(&mut self, address: &str, details: &str) {
        // A single server that says so has become part of a cluster.
        self.is_cluster = Some(true);
        self.slots_stale = true;
        if let (Some((slot, to)), Some(slots)) =
            (redirection(details, host(address)), &mut self.slots)
        {
            slots.moved(slot, &to);
        }
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Finds out what there is, when that is not known or has changed.
    fn learn(&mut self) {
        if self.is_cluster.is_none() {
            self.is_cluster = self.meet();
        }
        let due = self.look_at.is_none_or(|at| at <= Instant::now());
        if self.is_cluster == Some(true) && self.slots_stale && due {
            self.look_at = Some(Instant::now() + MAP_PAUSE);
            self.look();
        }
    }

    /// Whether the first seed that answers is part of a cluster.
    fn meet(&mut self) -> Option<bool> {
        for address in self.seed_addresses() {
            let Some(link) = self.node(&address).and_then(|node| node.0.link(node.1)) else {
                continue;
            };
            let is_cluster = link.is_cluster;
            if self.seeds.len() > 1 && !is_cluster {
                tracing::error!(error = %not_a_cluster(), "this address is not used");
                continue;
            }
            return Some(is_cluster);
        }
        None
    }

    /// Asks for the map of slots: first those whom we are connected to, then all others.
    fn look(&mut self) {
        let known = self
            .nodes
            .iter_mut()
            .map(|(address, node)| (node.open_link().is_none(), address.clone()));
        let mut addresses: Vec<(bool, String)> = known.collect();
        addresses.sort();
        addresses.extend(self.seed_addresses().into_iter().map(|address| (true, address)));
        for (_, address) in addresses {
            let deadline = Instant::now() + self.options.timeout;
            let Some(link) = self.node(&address).and_then(|node| node.0.link(node.1)) else {
                continue;
            };
            let ask = redis::cmd("CLUSTER").arg("SLOTS").get_packed_command();
            let answer = link.wait_until(deadline).and_then(|()| link.send(&ask));
            match answer.and_then(|()| link.receive(0)) {
                Ok(value) => {
                    if let Some(slots) = Slots::parse(&value, host(&address)) {
                        self.adopt(slots);
                        return;
                    }
                }
                Err(_) => self.lose(&address, &[], &mut []),
            }
        }
    }

    fn adopt(&mut self, slots: Slots) {
        if self.slots.as_ref().is_some_and(|known| *known != slots) {
            self.changes.fetch_add(1, Ordering::AcqRel);
        }
        let serving = slots.nodes();
        self.nodes.retain(|address, _| serving.contains(address.as_str()));
        self.slots_stale = false;
        self.slots = Some(slots);
    }

    /// Where commands for `key` go; `None` while nobody serves it.
    fn address(&self, key: &[u8]) -> Option<String> {
        if self.is_cluster? {
            return self.slots.as_ref()?.owner(slot(key)).map(str::to_owned);
        }
        self.nodes.keys().next().cloned()
    }

    fn connected(&mut self, address: &str) -> bool {
        let in_cluster = self.is_cluster == Some(true);
        let link = self.node(address).and_then(|(node, options)| node.link(options));
        let connected = match link {
            // Another server has got the address of a node that is gone, and would answer that it
            // knows nothing.
            Some(link) if in_cluster && !link.is_cluster => {
                self.lose(address, &[], &mut []);
                false
            }
            link => link.is_some(),
        };
        if !connected {
            self.slots_stale = true;
        }
        connected
    }

    fn link(&mut self, address: &str) -> Option<&mut super::node::Link> {
        self.nodes.get_mut(address)?.open_link()
    }

    /// The node at `address`, made on first use: with user, password and TLS of the first seed.
    fn node(&mut self, address: &str) -> Option<(&mut Node, &RedisOptions)> {
        if !self.nodes.contains_key(address) {
            let seed = self.seeds.iter().find(|seed| seed.addr().to_string() == address);
            let info = seed.cloned().or_else(|| beside(self.seeds.first()?, address))?;
            let changes = Arc::clone(&self.changes);
            self.nodes.insert(address.to_owned(), Node::new(info, changes));
        }
        Some((self.nodes.get_mut(address)?, &self.options))
    }

    fn seed_addresses(&self) -> Vec<String> {
        self.seeds.iter().map(|seed| seed.addr().to_string()).collect()
    }
}

/// The same as `seed`, at another address.
fn beside(seed: &ConnectionInfo, address: &str) -> Option<ConnectionInfo> {
    let (name, port) = address.rsplit_once(':')?;
    let (name, port) = (name.to_owned(), port.parse().ok()?);
    let addr = match seed.addr().clone() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host: name, port, insecure, tls_params }
        }
        _ => ConnectionAddr::Tcp(name, port),
    };
    Some(seed.clone().set_addr(addr))
}

fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}
