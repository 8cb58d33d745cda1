//! The names that an isolated program asked for, each with a number that its address is made of.

use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

use crate::system::isolation::addresses::{Kind, MOST_NAMES, v4_is, v6_is};

/// Every name of one run; a name keeps its number while there is room.
#[derive(Debug)]
pub struct Names {
    numbers: HashMap<Rc<str>, usize>,
    places: Vec<Place>,
    most: usize,
    now: u64,
}

#[derive(Debug)]
struct Place {
    name: Rc<str>,
    /// When it was asked for or connected to last.
    used: u64,
    /// Connections that are open to it.
    open: usize,
}

/// Where a connection wants to go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Wanted {
    /// A name; of this number until [`Names::left`] is told.
    Name(Rc<str>, usize),
    /// An address.
    Address(IpAddr),
}

impl Default for Names {
    fn default() -> Self {
        Self::with_room(MOST_NAMES)
    }
}

impl Names {
    /// For at most `most` names at once.
    pub fn with_room(most: usize) -> Self {
        Self { numbers: HashMap::new(), places: Vec::new(), most, now: 0 }
    }

    /// The number of a name, new or known; `None` where all numbers are of names with open connections.
    ///
    /// A full house gives the number of the name that was not used for the longest time.
    pub fn number(&mut self, name: &str) -> Option<usize> {
        self.now += 1;
        if let Some(&number) = self.numbers.get(name) {
            self.places[number].used = self.now;
            return Some(number);
        }
        let name: Rc<str> = name.into();
        let place = Place { name: Rc::clone(&name), used: self.now, open: 0 };
        let number = if self.places.len() < self.most {
            self.places.push(place);
            self.places.len() - 1
        } else {
            let idle = self.places.iter().enumerate().filter(|(_, place)| place.open == 0);
            let (number, _) = idle.min_by_key(|(_, place)| place.used)?;
            let old = std::mem::replace(&mut self.places[number], place);
            self.numbers.remove(&old.name);
            number
        };
        self.numbers.insert(name, number);
        Some(number)
    }

    /// Where a connection to this address is to lead; `None` for addresses that lead nowhere.
    pub fn entered(&mut self, address: IpAddr) -> Option<Wanted> {
        let kind = match address {
            IpAddr::V4(address) => v4_is(address),
            IpAddr::V6(address) => v6_is(address),
        };
        match kind {
            Kind::Inside => None,
            Kind::Elsewhere => Some(Wanted::Address(address.to_canonical())),
            Kind::Name(number) => {
                let place = self.places.get_mut(number)?;
                self.now += 1;
                (place.used, place.open) = (self.now, place.open + 1);
                Some(Wanted::Name(Rc::clone(&place.name), number))
            }
        }
    }

    /// A connection to the name of this number has ended.
    pub fn left(&mut self, number: usize) {
        if let Some(place) = self.places.get_mut(number) {
            place.open = place.open.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::system::isolation::addresses::{v4_of, v6_of};

    fn name(wanted: Option<Wanted>) -> String {
        match wanted {
            Some(Wanted::Name(name, _)) => name.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_name_keeps_its_address_and_the_address_leads_back() {
        let mut names = Names::default();
        let (one, two) = (names.number("api.openai.com").unwrap(), names.number("example.com").unwrap());
        assert_ne!(one, two);
        assert_eq!(names.number("api.openai.com"), Some(one));
        assert_eq!(name(names.entered(v4_of(one).into())), "api.openai.com");
        assert_eq!(name(names.entered(v6_of(two).into())), "example.com");
        assert_eq!(names.entered(v4_of(2).into()), None, "nobody asked for it");
        let real: IpAddr = "192.0.2.7".parse().unwrap();
        assert_eq!(names.entered(real), Some(Wanted::Address(real)));
        assert_eq!(names.entered("::ffff:192.0.2.7".parse().unwrap()), Some(Wanted::Address(real)));
        assert_eq!(names.entered("127.0.0.1".parse().unwrap()), None);
    }

    #[test]
    fn a_full_house_gives_away_what_was_idle_longest_and_never_what_is_in_use() {
        let mut names = Names::with_room(2);
        let (a, b) = (names.number("a").unwrap(), names.number("b").unwrap());
        names.entered(v4_of(a).into()).unwrap();
        assert_eq!(names.number("c"), Some(b), "a is in use");
        assert_eq!(name(names.entered(v4_of(b).into())), "c");
        assert_eq!(names.number("d"), None, "all are in use");
        names.left(a);
        assert_eq!(names.number("d"), Some(a));
        assert_eq!(names.number("c"), Some(b));
    }

    proptest! {
        #[test]
        fn no_two_names_share_an_address(asked in prop::collection::vec("[a-f]{1,2}", 1..80), room in 1usize..12) {
            let mut names = Names::with_room(room);
            for asked in &asked {
                let number = names.number(asked).unwrap();
                prop_assert!(number < room);
                let wanted = name(names.entered(v4_of(number).into()));
                prop_assert_eq!(&wanted, asked);
                names.left(number);
                prop_assert_eq!(names.numbers.len(), names.places.len());
            }
        }
    }
}
