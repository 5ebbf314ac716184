//! What was looked for before.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Results of a search that is a pure function of its key, each kept once it is found.
pub struct Found<K, V>(Mutex<BTreeMap<K, V>>);

impl<K: Ord, V: Copy> Found<K, V> {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// What was found for a key, or is now.
    pub fn or_find(&self, key: K, search: impl FnOnce() -> V) -> V {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *found.entry(key).or_insert_with(search)
    }
}
