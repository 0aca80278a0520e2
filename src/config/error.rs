//! The error of reading or writing the settings file.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::access::ForeignOwner;
use super::{DocumentError, LARGEST};

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{} is not a file", .0.display())]
    NotAFile(PathBuf),
    #[error("{} is not a folder", .0.display())]
    NotAFolder(PathBuf),
    #[error("{} is larger than {} MiB", .0.display(), LARGEST / 1024 / 1024)]
    TooLarge(PathBuf),
    #[error("{} is a link to a file that does not exist", .0.display())]
    DanglingLink(PathBuf),
    #[error("{} belongs to {}", .0.path.display(), .0.owner)]
    ForeignOwner(Box<ForeignOwner>),
    #[error("could not read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("could not write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("could not lock {}, whose file system has no file locks", path.display())]
    NoLocks { path: PathBuf, source: io::Error },
    #[error("{} has been locked by another program for {} seconds", path.display(), waited.as_secs())]
    Locked { path: PathBuf, waited: Duration },
    #[error("could not use {}", path.display())]
    Document { path: PathBuf, source: DocumentError },
}

impl From<ForeignOwner> for ConfigError {
    fn from(foreign: ForeignOwner) -> Self {
        Self::ForeignOwner(Box::new(foreign))
    }
}

impl ConfigError {
    pub fn hint(&self) -> String {
        let hint = match self {
            Self::ForeignOwner(foreign) => return foreign.hint(),
            Self::NotAFile(_) | Self::TooLarge(_) => "move it away",
            Self::NotAFolder(_) => "move it away, or set ASTRO_HOME to a folder of your own",
            Self::DanglingLink(_) => "create the file that it points to, or remove the link",
            Self::Read { .. } => "check that you may read it",
            Self::Write { .. } => "check that you may write there and that the disk is not full",
            Self::NoLocks { .. } => "set ASTRO_HOME to a folder on a disk of this machine",
            Self::Locked { .. } => "wait until other astro commands are done",
            Self::Document { source: DocumentError::Syntax { .. }, .. } => "correct the file by hand",
            Self::Document { source: DocumentError::WouldChange { .. }, .. } => {
                "write that setting on a line of its own, as `key: value`"
            }
        };
        hint.to_owned()
    }
}
