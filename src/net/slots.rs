//! A table of connections whose ids are never reused.

use crate::session::ConnId;

/// Entries of one page. The table grows by pages, so that it never holds twice what it needs and
/// never moves a connection.
const PAGE_ENTRIES: usize = 128;

/// Slots that fit the place a token has for them; the last one stands for the listener.
const SLOTS_MAX: usize = (1 << 24) - 1;

/// Values by [`ConnId`]; a freed slot gets a new generation.
pub(super) struct Slots<T> {
    pages: Vec<Box<[Entry<T>]>>,
    /// Freed slots, the last one first: its memory is still in the cache.
    free: Vec<u32>,
    /// Slots that were used at least once.
    used: u32,
    len: usize,
}

struct Entry<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Slots<T> {
    pub(super) fn new() -> Self {
        Self { pages: Vec::new(), free: Vec::new(), used: 0, len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Stores `make(id)`; `None` when the table is full. A `make` that panics takes no slot.
    pub(super) fn insert(&mut self, make: impl FnOnce(ConnId) -> T) -> Option<ConnId> {
        let slot = match self.free.last() {
            Some(&slot) => slot,
            None if (self.used as usize) < SLOTS_MAX => self.used,
            None => return None,
        };
        if slot as usize / PAGE_ENTRIES == self.pages.len() {
            let page = (0..PAGE_ENTRIES).map(|_| Entry { generation: 0, value: None });
            self.pages.push(page.collect());
        }
        let entry = &mut self.pages[slot as usize / PAGE_ENTRIES][slot as usize % PAGE_ENTRIES];
        assert!(entry.value.is_none(), "a free slot is empty");
        let id = ConnId { slot, generation: entry.generation };
        entry.value = Some(make(id));
        if self.free.pop().is_none() {
            self.used += 1;
        }
        self.len += 1;
        Some(id)
    }

    pub(super) fn get_mut(&mut self, id: ConnId) -> Option<&mut T> {
        let entry = self.entry(id)?;
        entry.value.as_mut()
    }

    pub(super) fn remove(&mut self, id: ConnId) -> Option<T> {
        let entry = self.entry(id)?;
        let value = entry.value.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(id.slot);
        self.len -= 1;
        Some(value)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = ConnId> {
        let entries = self.pages.iter().flatten().zip(0_u32..);
        entries
            .filter(|(entry, _)| entry.value.is_some())
            .map(|(entry, slot)| ConnId { slot, generation: entry.generation })
    }

    fn entry(&mut self, id: ConnId) -> Option<&mut Entry<T>> {
        let page = self.pages.get_mut(id.slot as usize / PAGE_ENTRIES)?;
        let entry = &mut page[id.slot as usize % PAGE_ENTRIES];
        (entry.generation == id.generation).then_some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_id_does_not_reach_the_next_tenant() {
        let mut slots = Slots::new();
        let first = slots.insert(|_| "first").expect("room");
        assert_eq!(slots.remove(first), Some("first"));
        let second = slots.insert(|_| "second").expect("room");
        assert_eq!(first.slot, second.slot);
        assert_eq!(slots.get_mut(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get_mut(second), Some(&mut "second"));
    }

    #[test]
    fn grows_page_by_page_and_lists_what_it_holds() {
        let mut slots = Slots::new();
        let ids: Vec<ConnId> =
            (0..3 * PAGE_ENTRIES).map(|value| slots.insert(|_| value).expect("room")).collect();
        assert_eq!(slots.pages.len(), 3);
        for id in ids.iter().step_by(2) {
            slots.remove(*id);
        }
        let left: Vec<ConnId> = ids.iter().copied().skip(1).step_by(2).collect();
        assert_eq!(slots.ids().collect::<Vec<_>>(), left);
        assert_eq!(slots.len(), left.len());
    }
}
