//! The keys of the objects that are open, to find those that are there twice.

use std::hash::{BuildHasher, RandomState};

use super::text::Text;

/// Up to so many keys of an object are compared with one another as they come.
const COMPARED_MAX: usize = 16;

#[derive(Debug, Clone, Copy)]
struct Key {
    /// Where its quote is in the body.
    at: u32,
    /// Where what it says is: in the body, or among the unescaped when it has escapes.
    start: u32,
    length: u32,
    has_escapes: bool,
}

/// The keys of all open objects, the innermost last.
#[derive(Debug)]
pub(super) struct Keys<'a> {
    body: &'a [u8],
    keys: Vec<Key>,
    unescaped: Vec<u8>,
    /// For each open object, how many keys and unescaped bytes there were before it.
    marks: Vec<(usize, usize)>,
}

impl<'a> Keys<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self {
            body,
            keys: Vec::with_capacity(32),
            unescaped: Vec::new(),
            marks: Vec::with_capacity(8),
        }
    }

    pub(super) fn open(&mut self) {
        self.marks.push((self.keys.len(), self.unescaped.len()));
    }

    /// Adds a key of the innermost object.
    ///
    /// # Errors
    /// When the object has it already: where the second one is.
    pub(super) fn add(&mut self, text: Text<'a>, at: usize) -> Result<(), usize> {
        let mut start = at + 1;
        let mut length = text.raw.len();
        if text.has_escapes {
            start = self.unescaped.len();
            text.say(&mut self.unescaped);
            length = self.unescaped.len() - start;
        }
        let key = Key {
            at: small(at),
            start: small(start),
            length: small(length),
            has_escapes: text.has_escapes,
        };
        let first = self.marks.last().map_or(0, |mark| mark.0);
        let siblings = self.keys.get(first..).unwrap_or_default();
        let is_among = |siblings: &[Key]| {
            siblings
                .iter()
                .any(|other| other.length == key.length && self.said(*other) == self.said(key))
        };
        if siblings.len() < COMPARED_MAX && is_among(siblings) {
            return Err(at);
        }
        self.keys.push(key);
        Ok(())
    }

    /// Ends the innermost object. The keys of a large one are compared only now, by sorting them, so
    /// that no number of keys costs more than in proportion.
    ///
    /// # Errors
    /// When a key is there twice: where the second one is.
    pub(super) fn close(&mut self) -> Result<(), usize> {
        let (first, unescaped) = self.marks.pop().unwrap_or_default();
        let twice = if self.keys.len() - first > COMPARED_MAX {
            self.find_twice(first)
        } else {
            None
        };
        self.keys.truncate(first);
        self.unescaped.truncate(unescaped);
        twice.map_or(Ok(()), Err)
    }

    fn find_twice(&self, first: usize) -> Option<usize> {
        // Random hashes sort faster than keys, and nobody can choose keys whose hashes are equal.
        let state = RandomState::new();
        let keys = self.keys.get(first..).unwrap_or_default().iter();
        let mut sorted: Vec<_> = keys
            .map(|key| (state.hash_one(self.said(*key)), *key))
            .collect();
        sorted.sort_by(|(a_hash, a), (b_hash, b)| {
            a_hash
                .cmp(b_hash)
                .then_with(|| self.said(*a).cmp(self.said(*b)))
        });
        let pairs = sorted.iter().zip(sorted.iter().skip(1));
        let twice = pairs.filter(|(a, b)| a.0 == b.0 && self.said(a.1) == self.said(b.1));
        twice.map(|(_, (_, second))| second.at as usize).min()
    }

    fn said(&self, key: Key) -> &[u8] {
        let source = if key.has_escapes {
            &self.unescaped
        } else {
            self.body
        };
        let start = key.start as usize;
        source
            .get(start..start + key.length as usize)
            .unwrap_or_default()
    }
}

/// Narrows a position in a body, which is shorter than 4 GiB.
pub(super) fn small(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}
