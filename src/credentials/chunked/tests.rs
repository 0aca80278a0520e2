//! Tests of the chunked values, with a writer that can be killed at any change.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const ACCOUNT: &str = "astronomer.io";

/// Entries in memory, whose writer can be killed at any change.
#[derive(Default)]
struct Memory {
    entries: RefCell<BTreeMap<String, Vec<u8>>>,
    limit: Option<usize>,
    /// The number of changes before the writer is killed.
    life: Cell<Option<usize>>,
    /// The value that another process writes after a reader has the head.
    rival: Cell<Option<Vec<u8>>>,
}

impl Memory {
    fn with_limit(limit: usize) -> Self {
        Self { limit: Some(limit), ..Self::default() }
    }

    fn names(&self) -> Vec<String> {
        self.entries.borrow().keys().cloned().collect()
    }

    fn alive(&self) -> Result<(), StoreError> {
        if self.life.get() == Some(0) { Err(StoreError::Other("killed".to_owned())) } else { Ok(()) }
    }

    fn spend(&self) -> Result<(), StoreError> {
        self.alive()?;
        self.life.set(self.life.get().map(|left| left - 1));
        Ok(())
    }
}

impl Entries for Memory {
    fn limit(&self) -> Option<usize> {
        self.limit
    }

    fn get(&self, account: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.alive()?;
        let found = self.entries.borrow().get(account).cloned().map(Zeroizing::new);
        if let Some(value) = self.rival.take() {
            write(self, ACCOUNT, &value, "rival").unwrap();
        }
        Ok(found)
    }

    fn set(&self, account: &str, value: &[u8]) -> Result<(), StoreError> {
        self.spend()?;
        assert!(self.limit.is_none_or(|limit| value.len() <= limit), "{account}: {} bytes", value.len());
        self.entries.borrow_mut().insert(account.to_owned(), value.to_vec());
        Ok(())
    }

    fn delete(&self, account: &str) -> Result<bool, StoreError> {
        self.spend()?;
        Ok(self.entries.borrow_mut().remove(account).is_some())
    }
}

fn held(entries: &Memory) -> Result<Option<Vec<u8>>, StoreError> {
    read(entries, ACCOUNT).map(|value| value.map(|bytes| bytes.to_vec()))
}

#[test]
fn value_within_limit_is_one_entry() {
    for entries in [Memory::default(), Memory::with_limit(2560)] {
        assert_eq!(held(&entries), Ok(None));
        write(&entries, ACCOUNT, b"value", "g1").unwrap();
        assert_eq!(*entries.entries.borrow(), BTreeMap::from([(ACCOUNT.to_owned(), b"value".to_vec())]));
        assert_eq!(held(&entries), Ok(Some(b"value".to_vec())));
        assert_eq!(erase(&entries, ACCOUNT), Ok(true));
        assert_eq!(erase(&entries, ACCOUNT), Ok(false));
        assert_eq!(entries.names(), Vec::<String>::new());
    }
}

#[test]
fn value_of_limit_length_is_one_entry() {
    let entries = Memory::with_limit(2560);
    write(&entries, ACCOUNT, &[7; 2560], "g1").unwrap();
    assert_eq!(entries.names(), ["astronomer.io"]);
    write(&entries, ACCOUNT, &[7; 2561], "g2").unwrap();
    assert_eq!(entries.names(), ["astronomer.io", "astronomer.io#g2/0", "astronomer.io#g2/1"]);
    assert_eq!(held(&entries), Ok(Some(vec![7; 2561])));
    write(&entries, ACCOUNT, b"short", "g3").unwrap();
    assert_eq!(entries.names(), ["astronomer.io"]);
}

/// Windows' limit, and tokens as long as Astro's with many permissions in them.
#[test]
fn login_in_three_pieces_reads_back() {
    use super::super::record::{decode, encode, tests::credentials};
    use crate::token::AccessToken;
    let long = super::super::Credentials { access: AccessToken::new("x".repeat(5000)), ..credentials() };
    let entries = Memory::with_limit(2560);
    write(&entries, ACCOUNT, &encode(&long).unwrap(), "g1").unwrap();
    assert_eq!(entries.names().len(), 1 + 3);
    assert_eq!(decode(&held(&entries).unwrap().unwrap()).unwrap(), long);
}

#[test]
fn missing_or_altered_piece_is_damage_and_deletable() {
    let damages: [fn(&Memory); 4] = [
        |entries| drop(entries.delete("astronomer.io#g1/1")),
        |entries| entries.set("astronomer.io#g1/1", &[8; 2560]).unwrap(),
        |entries| entries.set("astronomer.io#g1/1", &[7; 2559]).unwrap(),
        |entries| entries.set("astronomer.io#g1/2", b"").unwrap(),
    ];
    for damage in damages {
        let entries = Memory::with_limit(2560);
        write(&entries, ACCOUNT, &[7; 6000], "g1").unwrap();
        damage(&entries);
        assert_eq!(held(&entries), Err(StoreError::Damaged));
        assert_eq!(erase(&entries, ACCOUNT), Ok(true));
        assert_eq!(entries.names(), Vec::<String>::new());
    }
}

#[test]
fn newer_head_version_is_newer_format() {
    let entries = Memory::with_limit(200);
    write(&entries, ACCOUNT, &[7; 600], "g1").unwrap();
    let later = String::from_utf8(entries.get(ACCOUNT).unwrap().unwrap().to_vec()).unwrap();
    let later = later.replacen("{\"v\":1,", "{\"v\":2,", 1);
    entries.set(ACCOUNT, later.as_bytes()).unwrap();
    assert_eq!(held(&entries), Ok(Some(later.clone().into_bytes())));
    assert_eq!(super::super::record::decode(later.as_bytes()), Err(StoreError::NewerFormat));
}

#[test]
fn oversized_value_rejected_without_write() {
    let entries = Memory::with_limit(200);
    write(&entries, ACCOUNT, b"old", "g1").unwrap();
    assert!(matches!(write(&entries, ACCOUNT, &vec![7; 256 * 200], "g2"), Err(StoreError::Other(_))));
    assert_eq!(entries.names(), ["astronomer.io"]);
    assert_eq!(held(&entries), Ok(Some(b"old".to_vec())));
}

#[test]
fn read_during_write_gets_new_value() {
    let entries = Memory::with_limit(200);
    write(&entries, ACCOUNT, &[1; 900], "g1").unwrap();
    entries.rival.set(Some(vec![2; 900]));
    assert_eq!(held(&entries), Ok(Some(vec![2; 900])));
}

proptest! {
    /// For all sizes, and one or two kills at any change: a reader gets a value that was written, whole, and the next save
    /// or delete leaves no orphans.
    #[test]
    fn rf_2_interrupted_write_leaves_old_or_new_value(
        limit in 200_usize..400,
        sizes in prop::array::uniform4(prop::option::of(0_usize..1500)),
        lives in prop::array::uniform2(0_usize..32),
    ) {
        let entries = Memory::with_limit(limit);
        let [first, second, third, last] = sizes;
        // `None` erases; a number writes that many bytes, with no two neighbors the same.
        let value = |size: Option<usize>, kind: u8| {
            size.map(|size| (0..=u8::MAX).cycle().take(size).map(|byte| byte ^ kind).collect::<Vec<u8>>())
        };
        let apply = |size: Option<usize>, kind: u8| match value(size, kind) {
            Some(value) => write(&entries, ACCOUNT, &value, &format!("g{kind}")),
            None => erase(&entries, ACCOUNT).map(drop),
        };
        prop_assert!(apply(first, 1).is_ok());
        let mut possible = vec![value(first, 1)];
        for (size, kind, life) in [(second, 2, lives[0]), (third, 3, lives[1])] {
            entries.life.set(Some(life));
            let done = apply(size, kind).is_ok();
            entries.life.set(None);
            if done {
                possible.clear();
            }
            possible.push(value(size, kind));
            let found = held(&entries);
            prop_assert!(found.as_ref().is_ok_and(|found| possible.contains(found)), "{found:?}");
            possible = vec![found.unwrap_or_default()];
        }
        prop_assert!(apply(last, 4).is_ok());
        prop_assert_eq!(held(&entries), Ok(value(last, 4)));
        let expected = match last {
            None => 0,
            Some(size) if size <= limit => 1,
            Some(size) => 1 + size.div_ceil(limit),
        };
        prop_assert_eq!(entries.names().len(), expected, "{:?}", entries.names());
    }
}
