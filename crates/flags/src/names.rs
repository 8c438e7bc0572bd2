//! Names, each held once and found by one hash.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

/// A set of names with numbers from 0, in the order of their coming.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    // The hash has no random part and the table is only ever asked for one name.
    table: HashTable<u32>,
    texts: Vec<Box<str>>,
}

impl Names {
    /// The number of `text`, which is new when it was not there.
    pub(crate) fn intern(&mut self, text: &str) -> u32 {
        if let Some(id) = self.find(text) {
            return id;
        }
        // Fewer names than 2^32: each stands in a definition that is in memory.
        let id = self.texts.len() as u32;
        self.texts.push(text.into());
        let texts = &self.texts;
        let hash_of = |id: &u32| xxh3_64(texts[*id as usize].as_bytes());
        self.table
            .insert_unique(xxh3_64(text.as_bytes()), id, hash_of);
        id
    }

    pub(crate) fn find(&self, text: &str) -> Option<u32> {
        let same = |id: &u32| *self.texts[*id as usize] == *text;
        self.table.find(xxh3_64(text.as_bytes()), same).copied()
    }

    pub(crate) fn text(&self, id: u32) -> &str {
        &self.texts[id as usize]
    }

    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> + Clone {
        self.texts.iter().map(|text| &**text)
    }
}

impl<'t> FromIterator<&'t str> for Names {
    fn from_iter<I: IntoIterator<Item = &'t str>>(texts: I) -> Self {
        let mut names = Self::default();
        for text in texts {
            names.intern(text);
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_number() {
        let mut names: Names = ["a", "b", "a", ""].into_iter().collect();
        assert_eq!(names.len(), 3);
        assert_eq!((names.find("b"), names.find("c")), (Some(1), None));
        assert_eq!((names.intern("c"), names.intern("a")), (3, 0));
        assert_eq!(names.text(2), "");
        for i in 0..5_000 {
            names.intern(&i.to_string());
        }
        assert_eq!(names.find("4999").map(|id| names.text(id)), Some("4999"));
    }
}
