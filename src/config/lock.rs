//! The locks beside config.yaml. The Go CLI takes the one of the file; the others are ours.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{Config, ConfigError, Document, access};

/// The interval of attempts to take a lock. The Go CLI's is five times as long.
const RETRY_EVERY: Duration = Duration::from_millis(20);
/// The same for a read, which needs it for a moment only.
const READ_AGAIN_EVERY: Duration = Duration::from_millis(2);
/// The time for which a file does not change that is read without the lock. The Go CLI writes within 0.1 s.
const WHOLE_FILE_WAIT: Duration = Duration::from_secs(1);
/// The longest wait of a read for the lock.
const TORN_FILE_WAIT: Duration = Duration::from_secs(3);
/// The time after which a file without a lock beside it is read as it is. The first Go CLI to run creates the lock.
const NO_LOCK_WAIT: Duration = Duration::from_millis(20);

#[derive(Debug)]
#[must_use = "dropping it releases the lock"]
pub struct Lock(#[expect(dead_code, reason = "closing the file releases the lock")] File);

/// The locks of the file, for a read.
enum ReadLock {
    Held(#[expect(dead_code, reason = "dropping them releases the locks")] Vec<Lock>),
    /// Another process has one.
    Busy(PathBuf),
    /// There is no file for a lock, or this user may not open it, or the file system has no locks.
    Unavailable,
}

impl Config {
    /// Reads the settings. A missing file reads as an empty one.
    ///
    /// The Go CLI empties the file before it writes it, and does so under the lock. So the file is read under the lock. If
    /// another process keeps the lock, a file that can be read and does not change for a second is believed, as that process
    /// may be stopped; an empty or torn one is not.
    pub fn read(&self) -> Result<Document, ConfigError> {
        let start = Instant::now();
        let mut unchanged = (start, Vec::new());
        loop {
            let lock = self.lock_for_reading();
            let Some(bytes) = self.bytes()? else { return self.document(Vec::new()) };
            let now = Instant::now();
            match lock {
                ReadLock::Held(_) => return self.document(bytes),
                ReadLock::Unavailable if !bytes.is_empty() || now - start >= NO_LOCK_WAIT => {
                    return self.document(bytes);
                }
                ReadLock::Unavailable => {}
                ReadLock::Busy(path) if now - start >= TORN_FILE_WAIT => {
                    return Err(ConfigError::Locked { path, waited: now - start });
                }
                ReadLock::Busy(_) if bytes != unchanged.1 => unchanged = (now, bytes),
                ReadLock::Busy(_)
                    if now.saturating_duration_since(unchanged.0) < WHOLE_FILE_WAIT || bytes.is_empty() => {}
                ReadLock::Busy(_) => match self.document(bytes) {
                    Ok(document) => return Ok(document),
                    // Not parsed again before it changes.
                    Err(_) => unchanged.0 = start + TORN_FILE_WAIT,
                },
            }
            sleep(READ_AGAIN_EVERY);
        }
    }

    /// Takes the lock, shared with other readers, without creating its file. A linked file has another lock beside its target.
    fn lock_for_reading(&self) -> ReadLock {
        let at_target = if self.path.is_symlink() { self.lock_path_at_target() } else { None };
        let mut held = Vec::new();
        for path in [Some(self.lock_path()), at_target].into_iter().flatten() {
            let Ok(file) = access::open(&path, File::options().read(true), false) else { continue };
            match file.try_lock_shared() {
                Ok(()) => held.push(Lock(file)),
                Err(TryLockError::WouldBlock) => return ReadLock::Busy(path),
                Err(TryLockError::Error(_)) => {}
            }
        }
        if held.is_empty() { ReadLock::Unavailable } else { ReadLock::Held(held) }
    }

    /// Takes a lock that no other process shares, and creates its file and the folder if they are missing.
    pub(super) fn lock(&self, path: PathBuf, wait: Duration) -> Result<Lock, ConfigError> {
        self.check_owner()?;
        self.create_folder().map_err(|source| self.folder_error(source))?;
        let file = access::open(&path, File::options().write(true).create(true).truncate(false), false);
        let file = file.map_err(|source| match source.kind() {
            io::ErrorKind::InvalidInput => ConfigError::NotAFile(path.clone()),
            _ => self.write_error(&path, source),
        })?;
        let start = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock(file)),
                Err(TryLockError::WouldBlock) if start.elapsed() >= wait => {
                    return Err(ConfigError::Locked { path, waited: wait });
                }
                Err(TryLockError::WouldBlock) => sleep(RETRY_EVERY),
                Err(TryLockError::Error(source)) => return Err(lock_error(path, source)),
            }
        }
    }

    fn create_folder(&self) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.folder)
    }
}

/// Checks that the file system of `folder` has locks. On Windows each has.
pub(super) fn check_locks(folder: &Path) -> Result<(), ConfigError> {
    #[cfg(unix)]
    if let Ok(file) = File::open(folder)
        && let Err(TryLockError::Error(source)) = file.try_lock_shared()
    {
        return Err(lock_error(folder.to_owned(), source));
    }
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

fn lock_error(path: PathBuf, source: io::Error) -> ConfigError {
    #[cfg(unix)]
    let no_locks = rustix::io::Errno::from_io_error(&source) == Some(rustix::io::Errno::NOLCK);
    #[cfg(not(unix))]
    let no_locks = false;
    if no_locks || source.kind() == io::ErrorKind::Unsupported {
        ConfigError::NoLocks { path, source }
    } else {
        ConfigError::Write { path, source }
    }
}
