//! A sorted list that knows positions: the rank of an item and the items from a rank, in O(log n).

/// Items per block at most. A block is moved by half on average at an insert, about 6 kB for the
/// 24 bytes of a board's key; smaller blocks move less, but make the list of blocks longer.
const BLOCK_ITEMS_MAX: usize = 512;

/// Two neighbours that together hold no more than this become one, so that blocks that drain do
/// not pile up; well below the maximum, so that the next inserts do not split it again.
const BLOCK_ITEMS_MERGED: usize = BLOCK_ITEMS_MAX / 2;

/// Distinct items in ascending order, in blocks, with the blocks' sizes in a Fenwick tree.
///
/// The crate `indexset` was tried first: equally fast, but it never joins blocks, so a board whose
/// totals keep rising leaves a trail of near-empty ones. After 12 million moves among a million keys
/// it had grown by 75 MB and went on growing; this one stops at 34.
///
/// Invariant: no block is empty, and `sizes` counts the items of each.
#[derive(Clone, Debug)]
pub struct Order<T> {
    blocks: Vec<Vec<T>>,
    sizes: Fenwick,
    len: usize,
}

impl<T> Default for Order<T> {
    fn default() -> Self {
        Self { blocks: Vec::new(), sizes: Fenwick::default(), len: 0 }
    }
}

impl<T: Ord + Clone> Order<T> {
    /// Takes distinct items that are in order already, in O(n).
    pub fn from_sorted(items: &[T]) -> Self {
        debug_assert!(items.is_sorted_by(|left, right| left < right), "distinct and in order");
        // Half full, so that the first inserts find room.
        let blocks: Vec<Vec<T>> = items.chunks(BLOCK_ITEMS_MERGED).map(<[T]>::to_vec).collect();
        let mut order = Self { blocks, sizes: Fenwick::default(), len: items.len() };
        order.count_blocks();
        order
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds an item; false when it is there already.
    pub fn insert(&mut self, item: T) -> bool {
        let Some(last) = self.blocks.len().checked_sub(1) else {
            self.blocks.push(vec![item]);
            self.len = 1;
            self.count_blocks();
            return true;
        };
        let index = self.block_of(&item).min(last);
        let block = &mut self.blocks[index];
        let Err(position) = block.binary_search(&item) else {
            return false;
        };
        block.insert(position, item);
        self.len += 1;
        if block.len() <= BLOCK_ITEMS_MAX {
            self.sizes.add(index, 1);
        } else {
            let upper = block.split_off(block.len() / 2);
            block.shrink_to(BLOCK_ITEMS_MERGED);
            self.blocks.insert(index + 1, upper);
            self.count_blocks();
        }
        true
    }

    /// Takes an item out; false when it is not there.
    pub fn remove(&mut self, item: &T) -> bool {
        let index = self.block_of(item);
        let Some(block) = self.blocks.get_mut(index) else {
            return false;
        };
        let Ok(position) = block.binary_search(item) else {
            return false;
        };
        block.remove(position);
        self.len -= 1;
        if block.is_empty() {
            self.blocks.remove(index);
            self.count_blocks();
        } else if !self.merge(index) {
            self.sizes.subtract(index, 1);
        }
        true
    }

    /// How many items come before this one, whether it is there or not.
    pub fn rank(&self, item: &T) -> usize {
        let index = self.block_of(item);
        let within = self.blocks.get(index).map_or(0, |block| block.partition_point(|x| x < item));
        self.sizes.before(index) + within
    }

    /// The items from that rank on.
    pub fn starting_at(&self, rank: usize) -> impl Iterator<Item = &T> {
        let (index, position) = self.sizes.find(rank);
        let mut blocks = self.blocks.get(index..).unwrap_or_default().iter();
        let first = blocks.next().and_then(|block| block.get(position..)).unwrap_or_default();
        first.iter().chain(blocks.flatten())
    }

    /// The block where an item belongs: the first that does not end before it.
    fn block_of(&self, item: &T) -> usize {
        self.blocks.partition_point(|block| block.last().is_some_and(|last| last < item))
    }

    /// Joins a block with a neighbour where both are small; only then the sizes are counted.
    fn merge(&mut self, index: usize) -> bool {
        let size = |index: usize| self.blocks.get(index).map_or(BLOCK_ITEMS_MAX, Vec::len);
        let left = if size(index) + size(index + 1) <= BLOCK_ITEMS_MERGED {
            index
        } else if index > 0 && size(index - 1) + size(index) <= BLOCK_ITEMS_MERGED {
            index - 1
        } else {
            return false;
        };
        let right = self.blocks.remove(left + 1);
        self.blocks[left].extend(right);
        self.count_blocks();
        true
    }

    /// After the list of blocks changed; that is rare enough for O(blocks).
    fn count_blocks(&mut self) {
        self.sizes.rebuild(self.blocks.iter().map(Vec::len));
    }
}

/// Sums of prefixes in O(log n): the slot `i`, counted from 1, holds the sum of the `i & -i` sizes
/// that end with it.
#[derive(Clone, Debug, Default)]
struct Fenwick(Vec<usize>);

impl Fenwick {
    fn rebuild(&mut self, sizes: impl Iterator<Item = usize>) {
        self.0.clear();
        self.0.extend(sizes);
        for slot in 1..=self.0.len() {
            let parent = slot + lowest_bit(slot);
            if parent <= self.0.len() {
                self.0[parent - 1] += self.0[slot - 1];
            }
        }
    }

    fn add(&mut self, index: usize, count: usize) {
        self.update(index, |sum| sum + count);
    }

    fn subtract(&mut self, index: usize, count: usize) {
        self.update(index, |sum| sum - count);
    }

    fn update(&mut self, index: usize, change: impl Fn(usize) -> usize) {
        let mut slot = index + 1;
        while slot <= self.0.len() {
            self.0[slot - 1] = change(self.0[slot - 1]);
            slot += lowest_bit(slot);
        }
    }

    /// The sum of the first `count` sizes.
    fn before(&self, count: usize) -> usize {
        let (mut slot, mut sum) = (count, 0);
        while slot > 0 {
            sum += self.0[slot - 1];
            slot -= lowest_bit(slot);
        }
        sum
    }

    /// The block that holds that rank, and the position within; beyond the end, the block after the
    /// last.
    fn find(&self, rank: usize) -> (usize, usize) {
        let (mut slot, mut left) = (0, rank);
        let mut step = (self.0.len() + 1).next_power_of_two() / 2;
        while step > 0 {
            if let Some(&sum) = self.0.get(slot + step - 1).filter(|&&sum| sum <= left) {
                slot += step;
                left -= sum;
            }
            step /= 2;
        }
        (slot, left)
    }
}

fn lowest_bit(slot: usize) -> usize {
    slot & slot.wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// A run of neighbouring items, added or taken out: runs fill, split, drain and join blocks.
    #[derive(Clone, Debug)]
    struct Run {
        start: u32,
        count: u32,
        step: u32,
        adds: bool,
    }

    fn run() -> impl Strategy<Value = Run> {
        (0..5_000_u32, 1..1_500_u32, 1..4_u32, any::<bool>())
            .prop_map(|(start, count, step, adds)| Run { start, count, step, adds })
    }

    fn check(order: &Order<u32>, model: &BTreeSet<u32>) {
        assert_eq!(order.len(), model.len());
        assert!(order.starting_at(0).eq(model.iter()));
        assert!(order.blocks.iter().all(|block| (1..=BLOCK_ITEMS_MAX).contains(&block.len())));
        for (rank, item) in model.iter().enumerate().step_by(37) {
            assert_eq!(order.rank(item), rank);
            assert_eq!(order.starting_at(rank).next(), Some(item));
        }
        assert_eq!(order.rank(&u32::MAX), model.len());
        assert_eq!(order.starting_at(model.len()).next(), None);
        assert_eq!(order.starting_at(usize::MAX).next(), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn ranks_are_those_of_a_sorted_list(
            start in proptest::collection::btree_set(0..20_000_u32, 0..3_000),
            runs in proptest::collection::vec(run(), 1..24),
        ) {
            let mut model = start;
            let mut order = Order::from_sorted(&model.iter().copied().collect::<Vec<_>>());
            check(&order, &model);
            for run in runs {
                for item in (run.start..).step_by(run.step as usize).take(run.count as usize) {
                    if run.adds {
                        prop_assert_eq!(order.insert(item), model.insert(item));
                    } else {
                        prop_assert_eq!(order.remove(&item), model.remove(&item));
                    }
                }
                check(&order, &model);
            }
        }
    }

    #[test]
    fn draining_leaves_no_trail_of_small_blocks() {
        let mut order = Order::from_sorted(&(0..100_000_u32).collect::<Vec<_>>());
        for item in (0..100_000).filter(|item| item % 100 != 0) {
            assert!(order.remove(&item));
        }
        assert_eq!(order.len(), 1_000);
        assert!(order.blocks.len() <= 2 * 1_000 / BLOCK_ITEMS_MERGED + 2, "{}", order.blocks.len());
    }
}
