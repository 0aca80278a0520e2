//! Keeps the tokens in memory out of core dumps.

/// Disables core dumps of this process. A failure is ignored.
///
/// Only the soft limit is lowered: child processes inherit it, and a browser that wants dumps can raise it again.
/// `PR_SET_DUMPABLE` would do more, but it also hides `/proc/<pid>/exe`, which a keychain may show in its prompt.
#[cfg(unix)]
pub fn forbid() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), ..getrlimit(Resource::Core) });
}

/// Does nothing: Windows Error Reporting cannot be disabled without unsafe code.
#[cfg(not(unix))]
pub fn forbid() {}
