//! The owners and permissions of config.yaml, its folder and its locks.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Config, ConfigError};
use crate::text::clean;

/// The flag that makes opening a pipe not wait for its other end.
#[cfg(unix)]
#[expect(clippy::cast_possible_wrap, reason = "the flags of open are a C int")]
pub(super) const NO_WAIT: i32 = rustix::fs::OFlags::NONBLOCK.bits() as i32;

/// The flag that makes opening a symbolic link fail.
#[cfg(unix)]
#[expect(clippy::cast_possible_wrap, reason = "the flags of open are a C int")]
pub(super) const NO_LINK: i32 = rustix::fs::OFlags::NOFOLLOW.bits() as i32;

/// The permission bits by which group and others may write.
#[cfg(unix)]
pub(super) const OTHERS_WRITE: u32 = 0o022;

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
    #[cfg(unix)]
    pub fn check_owner(&self) -> Result<(), ConfigError> {
        use std::os::unix::fs::MetadataExt;
        let me = rustix::process::geteuid().as_raw();
        let home = self.folder.parent().unwrap_or(&self.folder);
        for (path, decides) in [(self.path.as_path(), true), (&self.folder, me == 0), (home, me == 0)] {
            let Ok(metadata) = fs::metadata(path) else { continue };
            let is_foreign = decides && metadata.uid() != me;
            return if is_foreign { Err(self.foreign(path, metadata.uid()).into()) } else { Ok(()) };
        }
        Ok(())
    }

    /// Accepts all settings: the profile's inherited access rules decide, not the owner.
    #[cfg(not(unix))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as on Unix")]
    pub fn check_owner(&self) -> Result<(), ConfigError> {
        Ok(())
    }

    /// Converts an error of reading a file of ours, which may belong to another user.
    pub(super) fn read_error(&self, path: &Path, source: io::Error) -> ConfigError {
        match self.denied_by_owner(path, &source) {
            Some(foreign) => foreign.into(),
            None => ConfigError::Read { path: path.to_owned(), source },
        }
    }

    /// Converts an error of writing a file of ours, which may belong to another user.
    pub(super) fn write_error(&self, path: &Path, source: io::Error) -> ConfigError {
        match self.denied_by_owner(path, &source) {
            Some(foreign) => foreign.into(),
            None => ConfigError::Write { path: path.to_owned(), source },
        }
    }

    #[cfg(unix)]
    fn denied_by_owner(&self, path: &Path, error: &io::Error) -> Option<ForeignOwner> {
        use std::os::unix::fs::MetadataExt;
        if error.kind() != io::ErrorKind::PermissionDenied {
            return None;
        }
        let me = rustix::process::geteuid().as_raw();
        // In a closed folder the file cannot be looked at.
        let mut candidates = [path, &self.folder].into_iter().filter_map(|it| Some((it, fs::metadata(it).ok()?.uid())));
        candidates.find(|(_, owner)| *owner != me).map(|(path, owner)| self.foreign(path, owner))
    }

    #[cfg(not(unix))]
    #[expect(clippy::unused_self, reason = "as on Unix")]
    fn denied_by_owner(&self, _path: &Path, _error: &io::Error) -> Option<ForeignOwner> {
        None
    }

    #[cfg(unix)]
    pub(super) fn foreign(&self, path: &Path, owner: u32) -> ForeignOwner {
        let me = rustix::process::geteuid().as_raw();
        let is_linked = path == self.path && path.is_symlink();
        let remedy = match me {
            0 => Remedy::RunAsOwner,
            _ if is_linked => Remedy::ReplaceLink,
            // Other files in the folder may have the same owner.
            _ => Remedy::Chown { user: user_name(me).unwrap_or_else(|| me.to_string()), folder: self.folder.clone() },
        };
        let path = path.canonicalize().ok().filter(|_| is_linked).unwrap_or_else(|| path.to_owned());
        ForeignOwner { path, owner: user_name(owner).unwrap_or_else(|| format!("user {owner}")), remedy }
    }

    /// Returns the settings folder, or the home around it, if other users may write there, and so replace the settings.
    #[cfg(unix)]
    pub fn writable_by_others(&self) -> Option<PathBuf> {
        use std::os::unix::fs::PermissionsExt;
        /// In a sticky folder, users may rename and remove only their own files.
        const STICKY: u32 = 0o1000;
        let mode = |folder: &Path| fs::metadata(folder).map_or(0, |folder| folder.permissions().mode());
        let home = self.folder.parent().filter(|home| mode(home) & STICKY == 0);
        let mut folders = [Some(self.folder.as_path()), home].into_iter().flatten();
        folders.find(|it| mode(it) & OTHERS_WRITE != 0).map(Path::to_owned)
    }

    /// Returns `None`: the profile's inherited access rules decide.
    #[cfg(not(unix))]
    pub fn writable_by_others(&self) -> Option<PathBuf> {
        None
    }

    /// True if other users may read the settings, and so the tokens in them.
    #[cfg(unix)]
    pub fn readable_by_others(&self) -> bool {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(&self.path).is_ok_and(|file| file.permissions().mode() & 0o077 != 0)
    }

    /// Returns false: the profile's inherited access rules decide.
    #[cfg(not(unix))]
    pub fn readable_by_others(&self) -> bool {
        false
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
#[cfg(unix)]
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
#[cfg(unix)]
pub(super) fn other_owner(ours: &fs::File, target: &Path) -> io::Result<Option<u32>> {
    use std::os::unix::fs::MetadataExt;
    match fs::metadata(target) {
        Ok(metadata) => Ok(Some(metadata.uid()).filter(|owner| ours.metadata().is_ok_and(|it| it.uid() != *owner))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
