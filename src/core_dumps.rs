//! Keeps the tokens in memory out of core dumps.

/// The limit of core dumps that this process started with.
pub struct InheritedLimit(#[cfg(unix)] Option<u64>);

/// Disables core dumps of this process. A failure is ignored.
///
/// Only the soft limit is lowered: child processes inherit it, and a browser that wants dumps can raise it again.
/// `PR_SET_DUMPABLE` would do more, but it also hides `/proc/<pid>/exe`, which a keychain may show in its prompt.
#[cfg(unix)]
pub fn forbid() -> InheritedLimit {
    use rustix::process::{Resource, getrlimit};
    let before = getrlimit(Resource::Core).current;
    InheritedLimit(Some(0)).set();
    InheritedLimit(before)
}

/// Does nothing: Windows Error Reporting cannot be disabled without unsafe code.
#[cfg(not(unix))]
pub fn forbid() -> InheritedLimit {
    InheritedLimit()
}

impl InheritedLimit {
    /// Applies this limit, for a program that takes the place of this one.
    #[cfg(unix)]
    pub fn set(&self) {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let _ = setrlimit(Resource::Core, Rlimit { current: self.0, ..getrlimit(Resource::Core) });
    }

    #[cfg(not(unix))]
    pub fn set(&self) {}
}
