//! The error of reading or writing the settings file.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::{DocumentError, LARGEST};

/// An error of reading or writing the settings. The file is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The path is a folder, a pipe or another special file.
    #[error("{} is not a file", .0.display())]
    NotAFile(PathBuf),
    /// The settings folder, or a folder above it, is a file.
    #[error("{} is not a folder", .0.display())]
    NotAFolder(PathBuf),
    /// The file is larger than any settings.
    #[error("{} is larger than {} MiB", .0.display(), LARGEST / 1024 / 1024)]
    TooLarge(PathBuf),
    /// The path is a symbolic link without a target.
    #[error("{} is a link to a file that does not exist", .0.display())]
    DanglingLink(PathBuf),
    /// Replacing the file would change its owner.
    #[error("{} belongs to another user", .0.display())]
    ForeignOwner(PathBuf),
    /// Reading failed.
    #[error("could not read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Writing failed, in the file's folder or in a new file beside it.
    #[error("could not write {}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Another program holds the lock.
    #[error("{} has been locked by another program for {} seconds", path.display(), waited.as_secs())]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// The time waited.
        waited: Duration,
    },
    /// The settings cannot be parsed or edited.
    #[error("could not use {}", path.display())]
    Document {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: DocumentError,
    },
}

impl ConfigError {
    /// One sentence that says what to do.
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
