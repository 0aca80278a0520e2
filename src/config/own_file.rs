//! Small files of ours beside config.yaml, private from the start.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use super::{access, put_in_place, temporary_in};

/// Reads a file of at most `largest` bytes. Returns `None` for one that is missing, larger, another user's or a link, or that
/// others may write.
pub(super) fn read(path: &Path, largest: u64) -> Option<Vec<u8>> {
    let file = access::open(path, File::options().read(true), false).ok().filter(access::is_ours_alone)?;
    let bytes = access::read(file, largest).ok()?;
    (bytes.len() as u64 <= largest).then_some(bytes)
}

/// Writes a file whole, with mode 0600. A link at the path is replaced, not followed. The lock of config.yaml must be held,
/// so that no edit takes the temporary file for a leftover.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = temporary_in(path.parent().unwrap_or(path))?;
    file.write_all(bytes)?;
    put_in_place(file, path)
}
