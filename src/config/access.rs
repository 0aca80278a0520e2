//! The owners and permissions of config.yaml, its folder and its locks.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::{Config, ConfigError};
use crate::text::clean;

/// In a sticky folder, users may rename and remove only their own files.
const STICKY: u32 = 0o1000;
/// The permission bits by which group and others may write.
const OTHERS_WRITE: u32 = 0o022;

/// A file of ours that belongs to another user, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignOwner {
    pub path: PathBuf,
    pub owner: String,
    pub(super) remedy: Remedy,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Remedy {
    /// This process is root's, as under `sudo`.
    RunAsOwner,
    /// A link leads to the file.
    ReplaceLink,
    Chown {
        user: String,
        folder: PathBuf,
    },
}

impl Config {
    /// Rejects settings of another user before anything is created, which that user could not write to afterwards.
    ///
    /// If config.yaml does not exist yet, its folder decides, then the home; for root only, as under `sudo`: another user can
    /// create files there only with the owner's permission.
    pub fn check_owner(&self) -> Result<(), ConfigError> {
        let home = self.folder.parent().unwrap_or(&self.folder);
        for (path, decides) in [(self.path.as_path(), true), (&self.folder, me() == 0), (home, me() == 0)] {
            let Some(owner) = owner(path) else { continue };
            return if decides && owner != me() { Err(self.foreign(path, owner).into()) } else { Ok(()) };
        }
        Ok(())
    }

    /// Names the owner in an error of reading or writing a file of ours, if it is another user's.
    pub(super) fn access_error(
        &self,
        path: &Path,
        source: io::Error,
        error: impl FnOnce(PathBuf, io::Error) -> ConfigError,
    ) -> ConfigError {
        // In a closed folder the file cannot be looked at.
        let mut owners = [path, &self.folder].into_iter().filter_map(|it| Some((it, owner(it)?)));
        match owners.find(|(_, owner)| *owner != me() && source.kind() == io::ErrorKind::PermissionDenied) {
            Some((path, owner)) => self.foreign(path, owner).into(),
            None => error(path.to_owned(), source),
        }
    }

    pub(super) fn write_error(&self, path: &Path, source: io::Error) -> ConfigError {
        self.access_error(path, source, |path, source| ConfigError::Write { path, source })
    }

    pub(super) fn foreign(&self, path: &Path, owner: u32) -> ForeignOwner {
        let is_linked = path == self.path && path.is_symlink();
        let remedy = match me() {
            0 => Remedy::RunAsOwner,
            _ if is_linked => Remedy::ReplaceLink,
            // Other files in the folder may have the same owner.
            me => Remedy::Chown { user: user_name(me).unwrap_or_else(|| me.to_string()), folder: self.folder.clone() },
        };
        let path = path.canonicalize().ok().filter(|_| is_linked).unwrap_or_else(|| path.to_owned());
        ForeignOwner { path, owner: user_name(owner).unwrap_or_else(|| format!("user {owner}")), remedy }
    }

    /// Returns the settings folder, or the home around it, if other users may write there, and so replace the settings.
    pub fn writable_by_others(&self) -> Option<PathBuf> {
        let mode = |folder: &Path| fs::metadata(folder).map_or(0, |folder| mode(&folder));
        let home = self.folder.parent().filter(|home| mode(home) & STICKY == 0);
        let mut folders = [Some(self.folder.as_path()), home].into_iter().flatten();
        folders.find(|it| mode(it) & OTHERS_WRITE != 0).map(Path::to_owned)
    }

    /// True if other users may read the settings, and so the tokens in them.
    pub fn readable_by_others(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|file| mode(&file) & 0o077 != 0)
    }
}

impl ForeignOwner {
    pub(super) fn hint(&self) -> String {
        match &self.remedy {
            Remedy::RunAsOwner => {
                format!("run the command as {}, or set ASTRO_HOME to a folder of your own", self.owner)
            }
            Remedy::ReplaceLink => "replace the link to it with a file of your own".to_owned(),
            Remedy::Chown { user, folder } => format!("run `sudo chown -R {user} {}`", quoted(folder)),
        }
    }
}

/// Returns the name of a user whom `/etc/passwd` knows.
fn user_name(id: u32) -> Option<String> {
    let users = fs::read("/etc/passwd").ok()?;
    String::from_utf8_lossy(&users).lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| clean(name, 60))
    })
}

/// Returns a path as a word of a shell command.
fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let is_plain = |it: char| it.is_alphanumeric() || "/._-+:@".contains(it);
    if path.chars().all(is_plain) { path } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

/// Returns the owner of `target` if it is not the owner of a file of ours.
pub(super) fn other_owner(ours: &File, target: &Path) -> io::Result<Option<u32>> {
    match fs::metadata(target) {
        Ok(metadata) => {
            let other = |owner: &u32| ours.metadata().is_ok_and(|it| owner_of(&it) != *owner);
            Ok(Some(owner_of(&metadata)).filter(other))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// True for a file of this user that others cannot write.
pub(super) fn is_ours_alone(file: &File) -> bool {
    file.metadata().is_ok_and(|it| owner_of(&it) == me() && mode(&it) & OTHERS_WRITE == 0)
}

/// Opens a regular file, or a link to one if `follow` is true. [`io::ErrorKind::InvalidInput`] is for anything else: another
/// user's link, a pipe that could wait for its other end.
pub(super) fn open(path: &Path, options: &mut OpenOptions, follow: bool) -> io::Result<File> {
    let metadata = if follow { fs::metadata(path) } else { fs::symlink_metadata(path) };
    if metadata.is_ok_and(|metadata| !metadata.is_file()) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt as _;
        let flags = if follow { OFlags::NONBLOCK } else { OFlags::NONBLOCK | OFlags::NOFOLLOW };
        options.mode(0o600).custom_flags(flags.bits().cast_signed());
    }
    options.open(path)
}

/// Reads at most `limit` bytes, and one more of a file that is larger.
pub(super) fn read(file: File, limit: u64) -> io::Result<Vec<u8>> {
    // Room for all of it, so that it is read at once.
    let length = file.metadata().map_or(0, |metadata| metadata.len().min(limit));
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    file.take(limit + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn owner(path: &Path) -> Option<u32> {
    fs::metadata(path).ok().as_ref().map(owner_of)
}

#[cfg(unix)]
fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(unix)]
fn owner_of(metadata: &Metadata) -> u32 {
    std::os::unix::fs::MetadataExt::uid(metadata)
}

#[cfg(unix)]
fn mode(metadata: &Metadata) -> u32 {
    std::os::unix::fs::MetadataExt::mode(metadata)
}

/// Elsewhere, one user owns all and alone: the profile's inherited access rules decide.
#[cfg(not(unix))]
fn me() -> u32 {
    0
}

#[cfg(not(unix))]
fn owner_of(_: &Metadata) -> u32 {
    0
}

#[cfg(not(unix))]
fn mode(_: &Metadata) -> u32 {
    0
}
