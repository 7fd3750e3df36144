//! Hot lists as they were encoded last: a list that looks the same is the same bytes, under the same
//! `ETag`, and is compressed once.

use super::{Id, Period, Place, wire};
use crate::http::Representation;
use std::sync::{Arc, Mutex, PoisonError};

/// Lists kept at once; events show few kinds of them.
const LISTS_MAX: usize = 32;

/// Which list: of which type, within what, and how many places of it.
pub(super) type Asked = (Id, Period, usize);

/// The lists that were asked for lately.
#[derive(Default)]
pub(super) struct HotCache {
    /// Held for one look-up. Oldest first.
    lists: Mutex<Vec<(Asked, Arc<Shown>)>>,
}

/// A list, and its encoding.
struct Shown {
    places: Vec<Place>,
    body: Arc<Representation>,
}

impl HotCache {
    /// The encoding of these places.
    pub(super) fn body(&self, asked: &Asked, places: Vec<Place>) -> Arc<Representation> {
        if let Some(shown) = self.find(asked)
            && shown.places == places
        {
            return Arc::clone(&shown.body);
        }
        let body = Arc::new(Representation::new(wire::hot(&asked.0, &places)));
        self.keep(asked, Shown { places, body: Arc::clone(&body) });
        body
    }

    fn find(&self, asked: &Asked) -> Option<Arc<Shown>> {
        let lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        let found = lists.iter().find(|(kept, _)| kept == asked);
        found.map(|(_, shown)| Arc::clone(shown))
    }

    fn keep(&self, asked: &Asked, shown: Shown) {
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        lists.retain(|(kept, _)| kept != asked);
        if lists.len() >= LISTS_MAX {
            lists.remove(0);
        }
        lists.push((asked.clone(), Arc::new(shown)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(num: usize) -> Asked {
        (Id::from_text("like").expect("an id"), Period::All, num)
    }

    fn places(count: i64) -> Vec<Place> {
        vec![Place { resource: Id::from_text("video").expect("an id"), count }]
    }

    #[test]
    fn a_list_that_looks_the_same_is_the_same_bytes() {
        let cache = HotCache::default();
        let first = cache.body(&asked(10), places(5));
        assert!(Arc::ptr_eq(&first, &cache.body(&asked(10), places(5))));
        assert!(!Arc::ptr_eq(&first, &cache.body(&asked(11), places(5))));
        assert!(!Arc::ptr_eq(&first, &cache.body(&asked(10), places(6))));
    }

    #[test]
    fn only_so_many_are_kept() {
        let cache = HotCache::default();
        for num in 0..3 * LISTS_MAX {
            cache.body(&asked(num), places(5));
        }
        assert_eq!(cache.lists.lock().expect("no test panics within").len(), LISTS_MAX);
    }
}
