//! A value that may be longer than one keychain entry.
//!
//! A value within the limit is one entry, the account's own. A longer one is written in chunks under a fresh generation, and then
//! the account's entry becomes a head that names the chunks. Writing the head is the commit: a reader finds the old value or
//! the new one, whole, wherever a writer was interrupted. Before chunks are written or deleted, a pending entry names them,
//! so that the next writer can remove the orphans. Stores without a limit use none of this.

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::StoreError;
use crate::text::hex;

/// The number of reads, if a concurrent writer replaces the chunks.
const ATTEMPTS: usize = 4;

/// Shares its numbers with `record::VERSION`, so that older versions report a newer head as `NewerFormat`, not as damage.
const VERSION: u8 = 1;

/// The entries of a keychain: bytes by account name.
pub(super) trait Entries {
    fn limit(&self) -> Option<usize>;
    fn get(&self, account: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError>;
    fn set(&self, account: &str, value: &[u8]) -> Result<(), StoreError>;
    /// Returns `false` if there was no such entry.
    fn delete(&self, account: &str) -> Result<bool, StoreError>;
}

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

#[cfg(test)]
mod tests;
