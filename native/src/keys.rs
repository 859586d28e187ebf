//! Which keys are asked for, and what for.

use std::collections::HashMap;

/// What becomes of a key that is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Role {
    /// It feeds the column of this number.
    Field(usize),
    Dropped,
    Properties,
}

/// The keys that are known. Others are looked up in a table, but rows are much alike: the key that followed
/// the one before the last time is tried first.
pub struct Keys {
    names: Vec<Vec<u8>>,
    pub roles: Vec<Role>,
    places: HashMap<Vec<u8>, usize>,
    followers: Vec<usize>,
}

impl Keys {
    /// Later names do not replace earlier ones.
    pub fn of(fields: &[String], dropped: &[String], properties: Option<&str>) -> Self {
        let named = fields.iter().enumerate().map(|(number, name)| (name.as_str(), Role::Field(number)));
        let named = named.chain(properties.map(|name| (name, Role::Properties)));
        let mut made = Self { names: Vec::new(), roles: Vec::new(), places: HashMap::new(), followers: Vec::new() };
        for (name, role) in dropped.iter().map(|name| (name.as_str(), Role::Dropped)).chain(named) {
            if !made.places.contains_key(name.as_bytes()) {
                made.places.insert(name.into(), made.names.len());
                made.names.push(name.into());
                made.roles.push(role);
            }
        }
        made.followers = vec![0; made.names.len() + 1];
        made
    }

    /// The place before the first key of a row; there are as many keys.
    pub fn start(&self) -> usize {
        self.names.len()
    }

    /// The place of a key that follows the one at `before`; None for a key that is not known.
    pub fn place(&mut self, key: &[u8], before: usize) -> Option<usize> {
        let guess = self.followers[before];
        if self.names.get(guess).is_some_and(|name| name == key) {
            return Some(guess);
        }
        let found = self.places.get(key).copied()?;
        self.followers[before] = found;
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_in_any_order() {
        let mut keys = Keys::of(&["a".into(), "bb".into()], &["bb".into(), "x".into()], Some("p"));
        for (key, role) in [
            ("a", Some(Role::Field(0))),
            ("bb", Some(Role::Dropped)),
            ("p", Some(Role::Properties)),
            ("x", Some(Role::Dropped)),
            ("", None),
        ] {
            for before in 0..=keys.start() {
                let found = keys.place(key.as_bytes(), before);
                assert_eq!(found.map(|place| keys.roles[place]), role, "{key}");
            }
        }
        assert!(Keys::of(&[], &[], None).place(b"a", 0).is_none());
    }
}
