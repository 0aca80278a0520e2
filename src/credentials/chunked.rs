//! A value that may be longer than one keychain entry.
//!
//! A value within the limit is one entry, the account's own. A longer one is written in chunks under a fresh generation, and then
//! the account's entry becomes a head that names the chunks. Writing the head is the commit: a reader finds the old value or
//! the new one, whole, wherever a writer was interrupted. Before chunks are written or deleted, a pending entry names them,
//! so that the next writer can remove the orphans. Stores without a limit use none of this.

use std::fmt::Write as _;

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::StoreError;

/// The number of reads, if a concurrent writer replaces the chunks.
const ATTEMPTS: usize = 4;

/// Shares its numbers with `record::VERSION`, so that older versions report a newer head as `NewerFormat`, not as damage.
const VERSION: u8 = 1;

/// The entries of a keychain: bytes by account name.
pub(super) trait Entries {
    /// Returns the size limit of one entry in bytes, if there is one.
    fn limit(&self) -> Option<usize>;
    fn get(&self, account: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError>;
    fn set(&self, account: &str, value: &[u8]) -> Result<(), StoreError>;
    /// Returns `false` if there was no such entry.
    fn delete(&self, account: &str) -> Result<bool, StoreError>;
}

/// The chunks of one write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ChunkSet {
    generation: String,
    count: u8,
}

/// The account's entry for a value in chunks. No record parses as one.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    v: u8,
    #[serde(rename = "pieces")]
    chunks: ChunkSet,
    sha256: String,
}

impl ChunkSet {
    fn account_of(&self, account: &str, index: u8) -> String {
        format!("{account}#{}/{index}", self.generation)
    }
}

/// Reads the account's value.
pub(super) fn read(entries: &impl Entries, account: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
    let mut failed = None;
    for _ in 0..ATTEMPTS {
        let Some(value) = entries.get(account)? else { return Ok(None) };
        let Some(head) = parse(&value) else { return Ok(Some(value)) };
        if let Some(whole) = gather(entries, account, &head)? {
            return Ok(Some(whole));
        }
        // A writer may have removed these chunks after the head was read. Then there is another head by now.
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
    remove_orphans(entries, account)?;
    let old = current(entries, account)?;
    let new = if value.len() > limit {
        let count = u8::try_from(value.len().div_ceil(limit))
            .map_err(|_| StoreError::Other("the credentials are too long for the keychain".to_owned()))?;
        Some(ChunkSet { generation: generation.to_owned(), count })
    } else {
        None
    };
    let touched: Vec<&ChunkSet> = old.iter().chain(&new).collect();
    if !touched.is_empty() {
        entries.set(&pending_account(account), &json(&touched)?)?;
    }
    match &new {
        None => entries.set(account, value)?,
        Some(chunks) => {
            for (index, chunk) in (0..chunks.count).zip(value.chunks(limit)) {
                entries.set(&chunks.account_of(account, index), chunk)?;
            }
            let head = Head { v: VERSION, chunks: chunks.clone(), sha256: sha256(value) };
            entries.set(account, &json(&head)?)?;
        }
    }
    // The value is saved even if this fails; the next writer repeats it.
    drop(remove_orphans(entries, account));
    Ok(())
}

/// Removes the account's value and the orphans of an interrupted writer. Returns `false` if there was no value.
pub(super) fn erase(entries: &impl Entries, account: &str) -> Result<bool, StoreError> {
    if entries.limit().is_none() {
        return entries.delete(account);
    }
    remove_orphans(entries, account)?;
    if let Some(chunks) = current(entries, account)? {
        entries.set(&pending_account(account), &json(&[chunks])?)?;
    }
    let existed = entries.delete(account)?;
    remove_orphans(entries, account)?;
    Ok(existed)
}

/// Removes the chunks that the pending entry names but the head does not, then the pending entry.
fn remove_orphans(entries: &impl Entries, account: &str) -> Result<(), StoreError> {
    let pending = pending_account(account);
    let Some(named) = entries.get(&pending)? else { return Ok(()) };
    let live = current(entries, account)?;
    let named: Vec<ChunkSet> = serde_json::from_slice(&named).unwrap_or_default();
    for chunks in named.iter().filter(|chunks| Some(*chunks) != live.as_ref()) {
        for index in 0..chunks.count {
            entries.delete(&chunks.account_of(account, index))?;
        }
    }
    entries.delete(&pending).map(drop)
}

/// Returns the chunks that the account's entry names, if it is a head.
fn current(entries: &impl Entries, account: &str) -> Result<Option<ChunkSet>, StoreError> {
    Ok(entries.get(account)?.and_then(|value| parse(&value)).map(|head| head.chunks))
}

/// Joins the chunks that `head` names. Returns `None` if one is missing or altered.
fn gather(entries: &impl Entries, account: &str, head: &Head) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
    let mut chunks = Vec::new();
    for index in 0..head.chunks.count {
        let Some(chunk) = entries.get(&head.chunks.account_of(account, index))? else { return Ok(None) };
        chunks.push(chunk);
    }
    // Allocated once: a buffer that grows leaves copies of the secret behind.
    let mut whole = Zeroizing::new(Vec::with_capacity(chunks.iter().map(|chunk| chunk.len()).sum()));
    for chunk in &chunks {
        whole.extend_from_slice(chunk);
    }
    Ok((sha256(&whole) == head.sha256).then_some(whole))
}

/// Parses a head of this version. A newer head is left to `record::decode`, which reports it.
fn parse(value: &[u8]) -> Option<Head> {
    serde_json::from_slice(value).ok().filter(|head: &Head| head.v == VERSION)
}

fn pending_account(account: &str) -> String {
    format!("{account}#pending")
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|_| StoreError::Damaged)
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// Formats bytes as lower-case hexadecimal digits.
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
        let spoils: [fn(&Memory); 4] = [
            |entries| drop(entries.delete("astronomer.io#g1/1")),
            |entries| entries.set("astronomer.io#g1/1", &[8; 2560]).unwrap(),
            |entries| entries.set("astronomer.io#g1/1", &[7; 2559]).unwrap(),
            |entries| entries.set("astronomer.io#g1/2", b"").unwrap(),
        ];
        for damage in spoils {
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
}
