//! Small files of ours beside config.yaml, without secrets.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use super::{put_in_place, temporary_in};

/// Reads a file of at most `largest` bytes. Returns `None` for one that is missing, larger, another user's or a link.
pub(super) fn read(path: &Path, largest: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path).ok()?.take(largest + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= largest).then_some(bytes)
}

/// Writes a file whole, with mode 0600. A link at the path is replaced, not followed. The lock of config.yaml must be held,
/// so that no edit takes the temporary file for a leftover.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = temporary_in(path.parent().unwrap_or(path))?;
    file.write_all(bytes)?;
    put_in_place(file, path)
}

/// Opens a regular file of this user that others cannot write. Follows no link, and does not wait at a pipe.
#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};

    use super::access::{NO_LINK, NO_WAIT, OTHERS_WRITE};
    let file = File::options().read(true).custom_flags(NO_LINK | NO_WAIT).open(path)?;
    let metadata = file.metadata()?;
    let ours = metadata.uid() == rustix::process::geteuid().as_raw();
    if metadata.is_file() && ours && metadata.mode() & OTHERS_WRITE == 0 {
        Ok(file)
    } else {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

/// Opens a regular file that is no link.
#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<File> {
    if std::fs::symlink_metadata(path)?.is_file() {
        File::open(path)
    } else {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}
