//! Keeps secrets out of core dumps: a crash must not write the memory, and the tokens in it, into a file.

/// Asks for no core dumps of this process. Where that is refused, it goes on as before.
///
/// Only the soft limit is lowered. What this process starts inherits it, and a browser that wants dumps can raise it again.
/// `PR_SET_DUMPABLE` would go further, but it hides `/proc/<pid>/exe` too, which a keychain may look at to say who asks.
#[cfg(unix)]
pub fn forbid() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), ..getrlimit(Resource::Core) });
}

/// Windows Error Reporting is the system's; there is nothing to ask without unsafe code.
#[cfg(not(unix))]
pub fn forbid() {}
