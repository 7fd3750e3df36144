//! Which connections of one port are told the same things: passes each telling on to every member, a
//! few at a time.

use crate::exec::MakeReply;
use crate::limits::GROUP_TELLINGS_MAX;
use crate::session::{ConnId, Group};
use std::collections::{HashMap, VecDeque};

/// Invariant: no group is empty, and a connection is in a group once.
pub(super) struct Groups<R> {
    members: HashMap<Group, Members>,
    /// What each member is in; others cost nothing.
    by_conn: HashMap<ConnId, Vec<Group>>,
    /// On their way, oldest first, so that each member hears them in this order.
    tellings: VecDeque<Telling<R>>,
}

#[derive(Default)]
struct Members {
    /// In the order of joining.
    conns: Vec<ConnId>,
    /// Tellings that not everybody has had.
    tellings: usize,
}

struct Telling<R> {
    group: Group,
    reply: MakeReply<R>,
    /// How many members have had it.
    told: usize,
}

impl<R> Default for Groups<R> {
    fn default() -> Self {
        Self { members: HashMap::new(), by_conn: HashMap::new(), tellings: VecDeque::new() }
    }
}

impl<R> Groups<R> {
    pub(super) fn join(&mut self, conn: ConnId, group: Group) {
        let groups = self.by_conn.entry(conn).or_insert_with(|| Vec::with_capacity(1));
        if !groups.contains(&group) {
            groups.push(group);
            self.members.entry(group).or_default().conns.push(conn);
        }
    }

    pub(super) fn leave(&mut self, conn: ConnId, group: Group) {
        let Some(groups) = self.by_conn.get_mut(&conn) else { return };
        groups.retain(|other| *other != group);
        if groups.is_empty() {
            self.by_conn.remove(&conn);
        }
        self.remove(conn, group);
    }

    pub(super) fn leave_all(&mut self, conn: ConnId) {
        for group in self.by_conn.remove(&conn).unwrap_or_default() {
            self.remove(conn, group);
        }
    }

    fn remove(&mut self, conn: ConnId, group: Group) {
        let Some(members) = self.members.get_mut(&group) else { return };
        let conns = &mut members.conns;
        let Some(index) = conns.iter().position(|member| *member == conn) else { return };
        conns.remove(index);
        if conns.is_empty() {
            self.members.remove(&group);
        }
        for telling in self.tellings.iter_mut().filter(|telling| telling.group == group) {
            // The members behind have moved up by one.
            telling.told -= usize::from(index < telling.told);
        }
    }

    /// Has every member told. A telling beyond [`GROUP_TELLINGS_MAX`] is left out.
    pub(super) fn tell(&mut self, group: Group, reply: MakeReply<R>) {
        let Some(members) = self.members.get_mut(&group) else { return };
        if members.tellings >= GROUP_TELLINGS_MAX {
            tracing::warn!(group = group.0, "too many tellings are on their way; one is left out");
            return;
        }
        members.tellings += 1;
        self.tellings.push_back(Telling { group, reply, told: 0 });
    }

    /// True while [`Groups::next_telling`] has more to give.
    pub(super) fn is_telling(&self) -> bool {
        !self.tellings.is_empty()
    }

    /// Whom to tell next, and what.
    pub(super) fn next_telling(&mut self) -> Option<(ConnId, R)> {
        loop {
            let telling = self.tellings.front_mut()?;
            if let Some(members) = self.members.get_mut(&telling.group) {
                if let Some(conn) = members.conns.get(telling.told) {
                    telling.told += 1;
                    return Some((*conn, (telling.reply)()));
                }
                // A group that emptied and filled again began to count anew.
                members.tellings = members.tellings.saturating_sub(1);
            }
            self.tellings.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    const A: Group = Group(1);
    const B: Group = Group(2);

    fn conn(slot: u32) -> ConnId {
        ConnId { slot, generation: 0 }
    }

    fn groups(members: &[(u32, Group)]) -> Groups<&'static str> {
        let mut groups = Groups::default();
        for (slot, group) in members {
            groups.join(conn(*slot), *group);
        }
        groups
    }

    fn told(groups: &mut Groups<&'static str>, max: usize) -> Vec<(u32, &'static str)> {
        let tellings = std::iter::from_fn(|| groups.next_telling()).take(max);
        tellings.map(|(conn, reply)| (conn.slot, reply)).collect()
    }

    #[test]
    fn every_member_hears_everything_in_order_and_nobody_else_does() {
        let mut groups = groups(&[(1, A), (2, A), (3, B), (2, B), (1, A)]);
        for (group, reply) in [(A, "one"), (B, "two"), (Group(9), "nobody"), (A, "three")] {
            groups.tell(group, Arc::new(move || reply));
        }
        let all = told(&mut groups, 99);
        let expected = [(1, "one"), (2, "one"), (3, "two"), (2, "two"), (1, "three"), (2, "three")];
        assert_eq!(all, expected);
        assert!(!groups.is_telling());
    }

    #[test]
    fn who_leaves_in_the_middle_takes_nothing_from_the_others() {
        for gone in 0..6 {
            let mut groups = groups(&[(0, A), (1, A), (2, A), (3, A), (4, A), (5, A)]);
            groups.tell(A, Arc::new(|| "news"));
            let mut all = told(&mut groups, 3);
            groups.leave_all(conn(gone));
            all.extend(told(&mut groups, 99));
            let mut slots: Vec<u32> = all.iter().map(|(slot, _)| *slot).collect();
            slots.retain(|slot| *slot != gone);
            let rest: Vec<u32> = (0..6).filter(|slot| *slot != gone).collect();
            assert_eq!(slots, rest, "without {gone}");
        }
    }

    #[test]
    fn an_empty_group_leaves_nothing_behind() {
        let mut groups = groups(&[(1, A), (1, B), (2, A)]);
        groups.tell(A, Arc::new(|| "unheard"));
        groups.leave(conn(1), A);
        groups.leave(conn(2), A);
        groups.leave_all(conn(1));
        assert!(groups.members.is_empty() && groups.by_conn.is_empty());
        assert_eq!(told(&mut groups, 99), []);
        assert!(!groups.is_telling());
    }

    #[test]
    fn what_is_on_its_way_is_bounded() {
        let mut groups = groups(&[(1, A)]);
        (0..GROUP_TELLINGS_MAX + 10).for_each(|_| groups.tell(A, Arc::new(|| "news")));
        assert_eq!(told(&mut groups, usize::MAX).len(), GROUP_TELLINGS_MAX);
    }
}
