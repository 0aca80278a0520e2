//! The other programs named `astro` on `PATH`. One of them runs the commands that this program lacks.
//!
//! A program or a folder that everyone can write is skipped: another user could have put anything there. The sticky bit,
//! as in `/tmp`, does not make a folder less writable, but such a folder on `PATH` was chosen.

use std::env::consts::EXE_SUFFIX;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::environment::Environment;

/// The variable with the path of the program to use instead of the one on `PATH`.
pub const CHOICE: &str = "ASTRO_CLI";
/// The variable that counts the programs that handed a command on, so that a wrapper around this program ends.
pub const HANDED_ON: &str = "ASTRO_HANDED_ON";
pub const MOST_HANDED_ON: u32 = 8;

/// The time in which a program says its version.
const VERSION_BOUND: Duration = Duration::from_secs(1);

/// A program named `astro`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    pub path: PathBuf,
    /// The reason why it is not run.
    pub skipped: Option<Skipped>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Skipped {
    #[error("it is this program")]
    Ourselves,
    #[error("it is not an absolute path")]
    Relative,
    #[error("everyone can write to it")]
    OpenFile,
    #[error("everyone can write to {}", .0.display())]
    OpenFolder(PathBuf),
    #[error("it is not a program")]
    NotAProgram,
}

#[derive(Debug, thiserror::Error)]
pub enum NextError {
    #[error("could not run {}, which {CHOICE} names: {reason}", path.display())]
    Choice { path: PathBuf, reason: Skipped },
    #[error("could not run {}: it runs this program again", .0.display())]
    Loop(PathBuf),
    #[error("could not run {}", path.display())]
    Start { path: PathBuf, source: io::Error },
}

impl Program {
    fn at(path: PathBuf) -> Self {
        Self { skipped: check(&path).err(), path }
    }
}

/// Returns every `astro` on `PATH`, in order.
pub fn on_path(environment: &Environment) -> Vec<Program> {
    let mut programs: Vec<Program> = Vec::new();
    for folder in environment.get_os("PATH").into_iter().flat_map(std::env::split_paths) {
        let path = folder.join(format!("astro{EXE_SUFFIX}"));
        if is_program(&path) && !programs.iter().any(|known| known.path == path) {
            programs.push(Program::at(path));
        }
    }
    programs
}

/// Returns the program that runs other commands: that of `ASTRO_CLI`, else the next `astro` behind this one on `PATH`.
pub fn next(environment: &Environment) -> Result<Option<PathBuf>, NextError> {
    if let Some(path) = environment.get_os(CHOICE).map(Path::new) {
        return match check(path) {
            Ok(()) => Ok(Some(path.to_owned())),
            Err(reason) => Err(NextError::Choice { path: path.to_owned(), reason }),
        };
    }
    let mut programs = on_path(environment);
    // First those behind this program: a wrapper in front of it would run it again.
    if let Some(ours) = programs.iter().position(|program| program.skipped == Some(Skipped::Ourselves)) {
        programs.rotate_left(ours + 1);
    }
    Ok(programs.into_iter().find(|program| program.skipped.is_none()).map(|program| program.path))
}

/// Returns `true` if a command of this name is an `astro` other than this program.
pub fn is_other_astro(environment: &Environment, name: &Path) -> bool {
    if name.file_stem() != Some(OsStr::new("astro")) {
        return false;
    }
    let is_name_alone = name.parent() == Some(Path::new(""));
    let first = || on_path(environment).into_iter().next().map(|program| program.path);
    let path = if is_name_alone { first() } else { Some(name.to_owned()) };
    path.is_some_and(|path| !is_ourselves(&path))
}

/// Returns the number of programs that handed this command on.
pub fn handed_on(environment: &Environment) -> u32 {
    environment.get(HANDED_ON).and_then(|count| count.parse().ok()).unwrap_or_default()
}

/// Asks a program for its version, such as `1.45.0`. Returns `None` unless it says so within a second.
pub fn version(program: &Path) -> Option<String> {
    let mut command = Command::new(program);
    // A wrapper around this program ends at once.
    command.arg("version").env(HANDED_ON, MOST_HANDED_ON.to_string());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let (sender, receiver) = mpsc::channel();
    let lines = BufReader::new(child.stdout.take()?.take(4096)).lines();
    // Left behind if another process keeps the pipe open.
    let reader = thread::Builder::new().spawn(move || {
        let version = lines.map_while(Result::ok).find_map(|line| version_in(&line).map(str::to_owned));
        let _ = sender.send(version);
    });
    let version = receiver.recv_timeout(VERSION_BOUND);
    // Has no effect on a program that ended.
    let _ = child.kill();
    let _ = child.wait();
    reader.ok()?;
    version.ok()?
}

/// Finds the first word that is a version number.
fn version_in(text: &str) -> Option<&str> {
    let words = text.split_whitespace().map(|word| word.strip_prefix('v').unwrap_or(word));
    words
        .into_iter()
        .find(|word| word.len() <= 40 && word.contains('.') && word.starts_with(|it: char| it.is_ascii_digit()))
}

fn check(path: &Path) -> Result<(), Skipped> {
    if !path.is_absolute() {
        return Err(Skipped::Relative);
    }
    if !is_program(path) {
        return Err(Skipped::NotAProgram);
    }
    if is_ourselves(path) {
        return Err(Skipped::Ourselves);
    }
    check_permissions(path)
}

/// Rejects a program that everyone can replace, at its own place or at the one that it links to.
#[cfg(unix)]
fn check_permissions(path: &Path) -> Result<(), Skipped> {
    use std::os::unix::fs::MetadataExt as _;
    const EVERYONE_WRITES: u32 = 0o0002;
    const STICKY: u32 = 0o1000;
    let Ok(target) = path.canonicalize() else { return Err(Skipped::NotAProgram) };
    let mode = |path: &Path| fs::metadata(path).map_or(EVERYONE_WRITES, |metadata| metadata.mode());
    if mode(&target) & EVERYONE_WRITES != 0 {
        return Err(Skipped::OpenFile);
    }
    let folders = [path.parent(), target.parent()].into_iter().flatten();
    match folders.into_iter().find(|folder| mode(folder) & (EVERYONE_WRITES | STICKY) == EVERYONE_WRITES) {
        Some(folder) => Err(Skipped::OpenFolder(folder.to_owned())),
        None => Ok(()),
    }
}

#[cfg(not(unix))]
fn check_permissions(_: &Path) -> Result<(), Skipped> {
    Ok(())
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}

/// Returns `true` for this program, under any name, link or hard link.
fn is_ourselves(path: &Path) -> bool {
    std::env::current_exe().and_then(identity).is_ok_and(|ours| identity(path.to_owned()).is_ok_and(|it| it == ours))
}

#[cfg(unix)]
fn identity(path: PathBuf) -> io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(path: PathBuf) -> io::Result<PathBuf> {
    fs::canonicalize(path)
}
