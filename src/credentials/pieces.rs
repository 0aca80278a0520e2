//! A value that may be longer than a keychain's entry can be.
//!
//! What fits is one entry, the account's own. What doesn't is written in pieces under a fresh generation, and then the
//! account's entry becomes a head that names them: writing that one entry is the moment at which the new value
//! takes the old one's place, so a reader finds the old value or the new one, whole, whenever a writer was stopped.
//! Before pieces are touched, a journal entry names their generations; the next writer sweeps what a stopped
//! one left. Stores without a limit never see any of this.

use std::fmt::Write as _;

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::StoreError;

/// How often a reader begins again because a writer was faster.
const ATTEMPTS: usize = 4;

/// Counted together with the record's: what reads a later head as no head finds a later record there.
const VERSION: u8 = 1;

/// A keychain's entries: bytes by account name.
pub(super) trait Entries {
    /// The most bytes that one entry holds; `None` where that is no concern.
    fn limit(&self) -> Option<usize>;
    fn get(&self, account: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError>;
    fn set(&self, account: &str, value: &[u8]) -> Result<(), StoreError>;
    /// Whether there was such an entry.
    fn delete(&self, account: &str) -> Result<bool, StoreError>;
}

/// The pieces of one write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Generation {
    generation: String,
    count: u8,
}

/// What the account's entry holds in place of a value in pieces. No record parses as one.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    v: u8,
    pieces: Generation,
    sha256: String,
}

impl Generation {
    fn piece(&self, account: &str, index: u8) -> String {
        format!("{account}#{}/{index}", self.generation)
    }
}

/// The account's value.
pub(super) fn read(entries: &impl Entries, account: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
    let mut failed = None;
    for _ in 0..ATTEMPTS {
        let Some(value) = entries.get(account)? else { return Ok(None) };
        let Some(head) = parse(&value) else { return Ok(Some(value)) };
        if let Some(whole) = gather(entries, account, &head)? {
            return Ok(Some(whole));
        }
        // A writer may have swept these pieces after the head was read. Then the head is another one by now.
        if failed.as_ref() == Some(&head) {
            break;
        }
        failed = Some(head);
    }
    Err(StoreError::Damaged)
}

/// Replaces the account's value. `generation` must never have been used before.
pub(super) fn write(entries: &impl Entries, account: &str, value: &[u8], generation: &str) -> Result<(), StoreError> {
    let Some(limit) = entries.limit() else { return entries.set(account, value) };
    sweep(entries, account)?;
    let old = current(entries, account)?;
    let new = if value.len() > limit {
        let count = u8::try_from(value.len().div_ceil(limit))
            .map_err(|_| StoreError::Other("the credentials are too long for the keychain".to_owned()))?;
        Some(Generation { generation: generation.to_owned(), count })
    } else {
        None
    };
    let touched: Vec<&Generation> = old.iter().chain(&new).collect();
    if !touched.is_empty() {
        entries.set(&journal(account), &json(&touched)?)?;
    }
    match &new {
        None => entries.set(account, value)?,
        Some(pieces) => {
            for (index, piece) in (0..pieces.count).zip(value.chunks(limit)) {
                entries.set(&pieces.piece(account, index), piece)?;
            }
            let head = Head { v: VERSION, pieces: pieces.clone(), sha256: sha256(value) };
            entries.set(account, &json(&head)?)?;
        }
    }
    // The new value is in place: a sweep that fails is no failure to save, and the next writer repeats it.
    drop(sweep(entries, account));
    Ok(())
}

/// Removes the account's value and whatever a stopped writer left. Tells whether there was a value.
pub(super) fn erase(entries: &impl Entries, account: &str) -> Result<bool, StoreError> {
    if entries.limit().is_none() {
        return entries.delete(account);
    }
    sweep(entries, account)?;
    if let Some(pieces) = current(entries, account)? {
        entries.set(&journal(account), &json(&[pieces])?)?;
    }
    let was_there = entries.delete(account)?;
    sweep(entries, account)?;
    Ok(was_there)
}

/// Removes all pieces that the journal names and no head does, then the journal.
fn sweep(entries: &impl Entries, account: &str) -> Result<(), StoreError> {
    let journal = journal(account);
    let Some(named) = entries.get(&journal)? else { return Ok(()) };
    let live = current(entries, account)?;
    let named: Vec<Generation> = serde_json::from_slice(&named).unwrap_or_default();
    for pieces in named.iter().filter(|pieces| Some(*pieces) != live.as_ref()) {
        for index in 0..pieces.count {
            entries.delete(&pieces.piece(account, index))?;
        }
    }
    entries.delete(&journal).map(drop)
}

/// The pieces that the account's entry names, if it is a head.
fn current(entries: &impl Entries, account: &str) -> Result<Option<Generation>, StoreError> {
    Ok(entries.get(account)?.and_then(|value| parse(&value)).map(|head| head.pieces))
}

/// The value that `head` stands for; `None` where a piece is missing or another than was written.
fn gather(entries: &impl Entries, account: &str, head: &Head) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
    let mut pieces = Vec::new();
    for index in 0..head.pieces.count {
        let Some(piece) = entries.get(&head.pieces.piece(account, index))? else { return Ok(None) };
        pieces.push(piece);
    }
    // Room for all of it at once: a buffer that grows leaves copies behind.
    let mut whole = Zeroizing::new(Vec::with_capacity(pieces.iter().map(|piece| piece.len()).sum()));
    for piece in &pieces {
        whole.extend_from_slice(piece);
    }
    Ok((sha256(&whole) == head.sha256).then_some(whole))
}

/// The head, if the entry is one that this version can follow. A later one is no record of this version either.
fn parse(value: &[u8]) -> Option<Head> {
    serde_json::from_slice(value).ok().filter(|head: &Head| head.v == VERSION)
}

fn journal(account: &str) -> String {
    format!("{account}#pending")
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|_| StoreError::Damaged)
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const ACCOUNT: &str = "astronomer.io";

    /// Entries in memory, whose process can be killed at any change.
    #[derive(Default)]
    struct Memory {
        entries: RefCell<BTreeMap<String, Vec<u8>>>,
        limit: Option<usize>,
        /// Changes still allowed; afterwards nothing answers any more.
        life: Cell<Option<usize>>,
        /// What another process writes once a reader has the head.
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
        let spoils: [fn(&Memory); 4] = [
            |entries| drop(entries.delete("astronomer.io#g1/1")),
            |entries| entries.set("astronomer.io#g1/1", &[8; 2560]).unwrap(),
            |entries| entries.set("astronomer.io#g1/1", &[7; 2559]).unwrap(),
            |entries| entries.set("astronomer.io#g1/2", b"").unwrap(),
        ];
        for spoil in spoils {
            let entries = Memory::with_limit(2560);
            write(&entries, ACCOUNT, &[7; 6000], "g1").unwrap();
            spoil(&entries);
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
        /// Whatever the sizes, and wherever the process is killed, once or twice: a reader gets a value that was
        /// written, whole, and the next save or delete leaves nothing lying about.
        #[test]
        fn rf_2_interrupted_write_leaves_old_or_new_value(
            limit in 200_usize..400,
            sizes in prop::array::uniform4(prop::option::of(0_usize..1500)),
            lives in prop::array::uniform2(0_usize..32),
        ) {
            let entries = Memory::with_limit(limit);
            let [first, second, third, last] = sizes;
            // `None` erases, anything else writes that many bytes of its own kind, no two neighbours the same.
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
}
