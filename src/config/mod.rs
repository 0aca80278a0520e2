//! `config.yaml`, shared with the Go CLI: someone else's file, in which a few entries are ours.
//!
//! Edits run under the lock that the Go CLI takes, and the file is replaced in one step, so a reader sees the old or the
//! new settings and never a half. What can't be read, or can't be kept as it is, is left alone.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use tempfile::NamedTempFile;

mod document;
mod foresee;
mod tree;

pub use document::{Context, Document, DocumentError, is_yes};

use crate::domain::Domain;

/// How long an edit waits for the file, as the Go CLI does.
const EDIT_WAIT: Duration = Duration::from_secs(10);
const RETRY_EVERY: Duration = Duration::from_millis(100);
/// How often a file is put in place, where that may fail for a moment.
const ATTEMPTS: u32 = 10;

/// No symbolic link is followed.
#[cfg(unix)]
#[expect(clippy::cast_possible_wrap, reason = "the flags of open are a C int")]
const NOFOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits() as i32;

/// More than any settings are; the file is shared, and may be anything.
const LARGEST: u64 = 16 * 1024 * 1024;

/// How much of the file is looked at at a time, in bytes.
const CHUNK: usize = 16 * 1024;

/// Names of temporary files start and end so. One that is left over holds what the settings held.
const TEMPORARY: (&str, &str) = (".config.yaml.", ".tmp");

/// Why the settings could not be read or written. In every case the file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It is a folder, a pipe or the like.
    #[error("{} is not a file", .0.display())]
    NotAFile(PathBuf),
    /// The folder of the settings, or one above it, is a file.
    #[error("{} is not a folder", .0.display())]
    NotAFolder(PathBuf),
    /// No settings are that large.
    #[error("{} is larger than {} MiB", .0.display(), LARGEST / 1024 / 1024)]
    TooLarge(PathBuf),
    /// A symbolic link to nothing; where the settings are to go is not ours to guess.
    #[error("{} is a link to a file that does not exist", .0.display())]
    DanglingLink(PathBuf),
    /// Replacing it would take it from its owner.
    #[error("{} belongs to another user", .0.display())]
    ForeignOwner(PathBuf),
    /// Reading failed.
    #[error("could not read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Writing failed, in the file's folder or in a new file beside it.
    #[error("could not write {}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another program has held the lock for all of the time.
    #[error("{} has been locked by another program for {} seconds", path.display(), waited.as_secs())]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The settings are not as they should be, or can't be edited.
    #[error("could not use {}", path.display())]
    Document {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: DocumentError,
    },
}

impl ConfigError {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotAFile(_) | Self::TooLarge(_) => "move it away and try again",
            Self::NotAFolder(_) => "move it away, or set ASTRO_HOME to a folder of your own",
            Self::DanglingLink(_) => "create the file that it points to, or remove the link",
            Self::ForeignOwner(_) => "run the command as its owner, or set ASTRO_HOME to a folder of your own",
            Self::Read { .. } => "check that you may read it",
            Self::Write { .. } => "check that you may write there and that the disk is not full",
            Self::Locked { .. } => "wait until other astro commands are done and try again",
            Self::Document { source: DocumentError::Syntax { .. }, .. } => {
                "correct the file by hand; it was not changed"
            }
            Self::Document { source: DocumentError::WouldChange { .. }, .. } => {
                "write that setting on a line of its own, as `key: value`; the file was not changed"
            }
        }
    }
}

/// Where the settings are kept.
#[derive(Clone)]
pub struct Config {
    folder: PathBuf,
    path: PathBuf,
    /// The settings as they were last seen; clones share them.
    seen: Arc<Mutex<Option<Document>>>,
}

/// A lock between processes, held until it is dropped.
#[derive(Debug)]
#[must_use = "the lock is given back as soon as this is dropped"]
pub struct Lock(#[expect(dead_code, reason = "closing the file gives the lock back")] File);

impl Config {
    /// The settings below `home`: `$ASTRO_HOME`, or the home directory.
    pub fn new(home: &Path) -> Self {
        let folder = home.join(".astro");
        let path = folder.join("config.yaml");
        Self { folder, path, seen: Arc::default() }
    }

    /// The settings file; it need not exist.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the settings, without a lock. No file reads as an empty one.
    pub fn read(&self) -> Result<Document, ConfigError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let news = match fs::metadata(&self.path) {
            Ok(metadata) if !metadata.is_file() => return Err(ConfigError::NotAFile(self.path.clone())),
            Ok(metadata) => {
                let known = seen.as_ref().map_or("", Document::as_str);
                File::open(&self.path).and_then(|file| read_unless(known.as_bytes(), file, metadata.len()))
            }
            Err(error) => Err(error),
        };
        let bytes = match (news, &*seen) {
            (Ok(None), Some(document)) => return Ok(document.clone()),
            (Ok(Some(bytes)), _) if bytes.len() as u64 > LARGEST => {
                return Err(ConfigError::TooLarge(self.path.clone()));
            }
            (Ok(bytes), _) => bytes.unwrap_or_default(),
            (Err(error), _) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            (Err(error), _) if error.kind() == io::ErrorKind::NotADirectory => return Err(self.folder_error(error)),
            (Err(source), _) => return Err(ConfigError::Read { path: self.path.clone(), source }),
        };
        let document = Document::from_bytes(bytes).map_err(|source| self.document_error(source))?;
        Ok(seen.insert(document).clone())
    }

    /// Reads the settings under the lock, lets `change` edit them, and replaces the file if anything changed. Waits at
    /// most 10 seconds for the lock.
    pub fn edit<T>(&self, change: impl FnOnce(&mut Document) -> Result<T, DocumentError>) -> Result<T, ConfigError> {
        self.edit_and(change, put_in_place)
    }

    /// Does all of an edit but its last step: afterwards it is known that the settings can be edited so, and that there is
    /// room for it. They stay as they are.
    pub fn rehearse(&self, change: impl FnOnce(&mut Document) -> Result<(), DocumentError>) -> Result<(), ConfigError> {
        self.edit_and(change, |edited, _| edited.close())
    }

    fn edit_and<T>(
        &self,
        change: impl FnOnce(&mut Document) -> Result<T, DocumentError>,
        finish: impl FnOnce(NamedTempFile, &Path) -> io::Result<()>,
    ) -> Result<T, ConfigError> {
        let _lock = self.lock(self.lock_path(), EDIT_WAIT)?;
        let target = self.target();
        self.remove_leftovers(target.as_deref().ok());
        let mut document = self.read()?;
        let before = document.clone();
        let result = change(&mut document).map_err(|source| self.document_error(source))?;
        if document.as_str() != before.as_str() {
            self.write(document.as_str(), &target?, finish)?;
            *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(document);
        }
        Ok(result)
    }

    /// The lock under which the tokens of `domain` are read, refreshed and stored. Take it before any edit, never in one.
    pub fn lock_refresh(&self, domain: &Domain, wait: Duration) -> Result<Lock, ConfigError> {
        self.lock(self.refresh_lock_path(domain), wait)
    }

    fn lock_path(&self) -> PathBuf {
        self.folder.join("config.yaml.lock")
    }

    fn refresh_lock_path(&self, domain: &Domain) -> PathBuf {
        let key = domain.context_key().replace(':', "_");
        self.folder.join(format!("{key}.refresh.lock"))
    }

    /// Removes the cache that an earlier version kept beside the settings; a symbolic link is removed, not followed.
    pub fn remove_login_cache(&self) {
        match fs::remove_file(self.folder.join("login-cache.json")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::debug!(%error, "could not remove login-cache.json");
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// Whether others than the owner may write in the folder of the settings, or in the home around it, and so replace
    /// them: what to tell the person, and how it ends.
    #[cfg(unix)]
    pub fn writable_by_others(&self) -> Option<String> {
        use std::os::unix::fs::PermissionsExt;
        const OTHERS_WRITE: u32 = 0o022;
        /// Where it is set, everybody may rename and remove what is theirs, and nothing else.
        const STICKY: u32 = 0o1000;
        let mode = |folder: &Path| fs::metadata(folder).map_or(0, |folder| folder.permissions().mode());
        let home = self.folder.parent().filter(|home| mode(home) & STICKY == 0);
        let open = [Some(self.folder.as_path()), home].into_iter().flatten().find(|it| mode(it) & OTHERS_WRITE != 0)?;
        let open = open.display();
        Some(format!("others may write in {open}; `chmod go-w {open}` ends that"))
    }

    /// Whether others than the owner may write there: here the profile's inherited rules decide.
    #[cfg(not(unix))]
    pub fn writable_by_others(&self) -> Option<String> {
        None
    }

    /// Whether others than the owner may read the settings, and so the tokens in them.
    #[cfg(unix)]
    pub fn readable_by_others(&self) -> bool {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(&self.path).is_ok_and(|file| file.permissions().mode() & 0o077 != 0)
    }

    /// Whether others than the owner may read the settings: here the profile's inherited rules decide.
    #[cfg(not(unix))]
    pub fn readable_by_others(&self) -> bool {
        false
    }

    fn lock(&self, path: PathBuf, wait: Duration) -> Result<Lock, ConfigError> {
        self.create_folder().map_err(|source| self.folder_error(source))?;
        // Opening a pipe would wait for somebody at its other end.
        if fs::metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(ConfigError::NotAFile(path));
        }
        let mut options = File::options();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            // Through a link that somebody has put there, a file would come to be wherever it points.
            options.mode(0o600).custom_flags(NOFOLLOW);
        }
        let file = options.open(&path).map_err(|source| ConfigError::Write { path: path.clone(), source })?;
        let mut waited = Duration::ZERO;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock(file)),
                Err(TryLockError::WouldBlock) if waited >= wait => return Err(ConfigError::Locked { path, waited }),
                Err(TryLockError::WouldBlock) => sleep(RETRY_EVERY),
                Err(TryLockError::Error(source)) => return Err(ConfigError::Write { path, source }),
            }
            waited += RETRY_EVERY;
        }
    }

    fn create_folder(&self) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.folder)
    }

    /// Removes what a program that was killed while it wrote has left. Under the lock no such file is in use.
    fn remove_leftovers(&self, target: Option<&Path>) {
        let folders = [Some(self.folder.as_path()), target.and_then(Path::parent)];
        for entry in folders.into_iter().flatten().flat_map(fs::read_dir).flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(TEMPORARY.0) && name.ends_with(TEMPORARY.1) {
                // What can't be removed harms no edit.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// The file itself, where the settings' path is a symbolic link.
    fn target(&self) -> Result<PathBuf, ConfigError> {
        if !self.path.is_symlink() {
            return Ok(self.path.clone());
        }
        self.path.canonicalize().map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ConfigError::DanglingLink(self.path.clone()),
            _ => ConfigError::Read { path: self.path.clone(), source },
        })
    }

    /// Writes a new file beside `target`, and lets `finish` put it in its place.
    fn write(
        &self,
        text: &str,
        target: &Path,
        finish: impl FnOnce(NamedTempFile, &Path) -> io::Result<()>,
    ) -> Result<(), ConfigError> {
        let folder = target.parent().unwrap_or(&self.folder);
        let failed = |source| ConfigError::Write { path: target.to_owned(), source };
        // Created exclusively, for its owner alone, and removed when dropped.
        let mut file =
            tempfile::Builder::new().prefix(TEMPORARY.0).suffix(TEMPORARY.1).tempfile_in(folder).map_err(failed)?;
        #[cfg(unix)]
        if !same_owner(file.as_file(), target).map_err(failed)? {
            return Err(ConfigError::ForeignOwner(target.to_owned()));
        }
        file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
        finish(file, target).map_err(failed)?;
        // The new name is in place already; some file systems can't sync a folder.
        #[cfg(unix)]
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
        Ok(())
    }

    /// Why there is no folder: in its place, or above it, there may be a file.
    fn folder_error(&self, source: io::Error) -> ConfigError {
        match self.folder.ancestors().find(|path| path.is_file()) {
            Some(file) => ConfigError::NotAFolder(file.to_owned()),
            None => ConfigError::Write { path: self.folder.clone(), source },
        }
    }

    fn document_error(&self, source: DocumentError) -> ConfigError {
        ConfigError::Document { path: self.path.clone(), source }
    }
}

/// Reads a file of about that size, up to a byte more than may be; `None` if it holds what is known. A command looks at the
/// settings several times, and a large file takes longer to parse than to read, and longer to keep than to look through.
fn read_unless(known: &[u8], file: File, size: u64) -> io::Result<Option<Vec<u8>>> {
    let mut file = BufReader::with_capacity(CHUNK, file.take(LARGEST + 1));
    let mut same = 0;
    loop {
        match file.fill_buf() {
            Ok([]) if same == known.len() => return Ok(None),
            Ok(chunk) if !chunk.is_empty() && known[same..].starts_with(chunk) => {
                let length = chunk.len();
                same += length;
                file.consume(length);
            }
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size.min(LARGEST)).unwrap_or_default() + 1);
    bytes.extend_from_slice(&known[..same]);
    file.read_to_end(&mut bytes).map(|_| Some(bytes))
}

/// Puts a whole new file in the place of `target`.
fn put_in_place(mut file: NamedTempFile, target: &Path) -> io::Result<()> {
    for attempt in 1.. {
        match file.persist(target) {
            Ok(_) => break,
            Err(refused) if attempt < ATTEMPTS && may_pass(&refused.error, cfg!(windows)) => file = refused.file,
            Err(refused) => return Err(refused.error),
        }
        sleep(RETRY_EVERY);
    }
    Ok(())
}

/// Whether a file may be put in another's place a moment later. On Windows that is refused (`ERROR_ACCESS_DENIED`,
/// `ERROR_SHARING_VIOLATION`) while somebody reads the other, be it the Go CLI or one of us.
fn may_pass(error: &io::Error, windows: bool) -> bool {
    windows && matches!(error.raw_os_error(), Some(5 | 32))
}

/// Whether a file that we just created has the owner of `target`, if that exists.
#[cfg(unix)]
fn same_owner(ours: &File, target: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    match fs::metadata(target) {
        Ok(metadata) => Ok(metadata.uid() == ours.metadata()?.uid()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
