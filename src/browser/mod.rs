//! Launches the user's browser.
//!
//! [`decide`] chooses the browser, [`SystemBrowser`] starts it: without a shell and without `ASTRO_API_TOKEN`, with the
//! URL as one argument.

mod detect;

use std::env::consts::EXE_SUFFIX;
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use url::Url;

use crate::blocking::run_blocking;
use crate::domain::is_loopback;
use crate::environment::{API_TOKEN, Environment};

pub use detect::{BrowserLaunch, CallbackRoute, Desktop, Machine, NoBrowser, callback_route, decide, forward_command};

const OPEN_BOUND: Duration = Duration::from_secs(20);
/// The time within which a failing launcher fails. `xdg-open` tries several programs first.
const LAUNCHER_BOUND: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

pub trait Browser: Send + Sync {
    /// Opens `url`. Success means that a program was started and did not fail soon, not that it shows the page.
    fn open(&self, url: &Url, launch: &BrowserLaunch) -> io::Result<()>;
}

const CONTAINER_FILES: [&str; 2] = ["/.dockerenv", "/run/.containerenv"];
/// The search path if `PATH` is not set.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Returns true if `program` is a path to a file, or a name that `PATH` finds.
pub fn program_exists(environment: &Environment, program: &OsStr) -> bool {
    // On Windows the name may lack `.exe`.
    let mut with_suffix = program.to_owned();
    with_suffix.push(EXE_SUFFIX);
    let is_in = |folder: &Path| folder.join(program).is_file() || folder.join(&with_suffix).is_file();
    if Path::new(program).components().count() > 1 {
        return is_in(Path::new(""));
    }
    let folders = environment.get_os("PATH").unwrap_or(OsStr::new(DEFAULT_PATH));
    std::env::split_paths(folders).any(|folder| is_in(&folder))
}

impl Machine {
    pub fn detect(environment: &Environment) -> Self {
        Self {
            os: std::env::consts::OS,
            container: CONTAINER_FILES.iter().any(|file| Path::new(file).exists()),
            launcher: open::commands("https://localhost")
                .iter()
                .any(|command| program_exists(environment, command.get_program())),
        }
    }
}

pub struct SystemBrowser;

impl Browser for SystemBrowser {
    fn open(&self, url: &Url, launch: &BrowserLaunch) -> io::Result<()> {
        // Launchers also open `file:` and every other registered scheme.
        let may_open = url.scheme() == "https" || (url.scheme() == "http" && url.host_str().is_some_and(is_loopback));
        if !may_open {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "only https URLs are opened"));
        }
        match launch {
            BrowserLaunch::Platform(_) => start_first(open::commands(url.as_str()), LAUNCHER_BOUND),
            BrowserLaunch::FromEnv(alternatives) => {
                let commands = alternatives.iter().filter_map(|words| command(words, url.as_str()));
                start_first(commands, LAUNCHER_BOUND)
            }
            BrowserLaunch::Unavailable(reason) => Err(io::Error::new(io::ErrorKind::Unsupported, reason.to_string())),
        }
    }
}

/// Starts the first command that does not fail within `watch`. Returns the first failure if all fail.
fn start_first(commands: impl IntoIterator<Item = Command>, watch: Duration) -> io::Result<()> {
    let mut failure = None;
    for mut command in commands {
        let Err(error) = start(&mut command, watch) else { return Ok(()) };
        let program = command.get_program().display();
        failure.get_or_insert_with(|| io::Error::new(error.kind(), format!("{program}: {error}")));
    }
    Err(failure.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
}

/// Starts a command without the terminal and without `ASTRO_API_TOKEN`, which its children would inherit.
fn start(command: &mut Command, watch: Duration) -> io::Result<()> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).env_remove(API_TOKEN);
    // In its own process group, so that Ctrl-C in the terminal does not close the browser.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    let mut running = command.spawn()?;
    let end = Instant::now() + watch;
    while Instant::now() < end {
        match running.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(io::Error::other(status.to_string())),
            None => sleep(POLL_INTERVAL),
        }
    }
    Ok(())
}

fn command(words: &[String], url: &str) -> Option<Command> {
    let (program, arguments) = words.split_first()?;
    let mut command = Command::new(program);
    command.args(arguments.iter().map(|word| word.replace("%s", url)));
    if !arguments.iter().any(|word| word.contains("%s")) {
        command.arg(url);
    }
    Some(command)
}

/// Opens `url` on another thread, because some launchers block. Takes a few seconds to notice that a launcher failed.
pub async fn open(browser: Arc<dyn Browser>, url: Url, launch: BrowserLaunch) -> io::Result<()> {
    match tokio::time::timeout(OPEN_BOUND, run_blocking(move || browser.open(&url, &launch))).await {
        Ok(outcome) => outcome?,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::detect::alternatives;
    use super::*;

    #[test]
    fn ar_16_url_is_one_argument_without_shell() {
        let url = "https://auth.astronomer.io/authorize?a=1&b=$(id);'";
        let arguments = |value: &str| {
            let alternative = alternatives(value).remove(0);
            let command = command(&alternative, url).unwrap();
            command.get_args().map(|it| it.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(arguments("firefox"), [url]);
        assert_eq!(arguments("firefox --new-window %s"), ["--new-window", url]);
        assert_eq!(arguments("app --url=%s"), [format!("--url={url}")]);
        assert_eq!(alternatives("a b:c"), [vec!["a", "b"], vec!["c"]]);
    }

    #[test]
    fn ar_16_other_schemes_are_not_opened() {
        let launch = BrowserLaunch::Platform(Desktop::X);
        for address in ["file:///etc/passwd", "javascript:alert(1)", "http://astronomer.io/"] {
            let refused = SystemBrowser.open(&Url::parse(address).unwrap(), &launch).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{address}");
        }
    }

    #[test]
    fn program_found_by_path_or_in_path_variable() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("helper"), "").unwrap();
        let path = folder.path().to_str().unwrap();
        let environment = Environment::from_pairs(&[("PATH", path)]);
        let exists = |program: &str| program_exists(&environment, OsStr::new(program));
        assert!(exists("helper") && exists(folder.path().join("helper").to_str().unwrap()));
        assert!(!exists("helper.sh") && !exists("folder/helper") && !exists("other"));
    }

    #[test]
    fn browser_falls_back_to_next_alternative() {
        let missing = vec!["/nonexistent/browser".to_owned()];
        let present = vec![std::env::current_exe().unwrap().to_str().unwrap().to_owned()];
        let commands = |alternatives: &[&Vec<String>], url: &str| {
            alternatives.iter().filter_map(|words| command(words, url)).collect::<Vec<_>>()
        };
        assert!(start_first(commands(&[&missing, &present], "--help"), Duration::ZERO).is_ok());
        assert_eq!(
            start_first(commands(&[&missing], "x"), Duration::ZERO).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        // The test program fails for an unknown flag.
        let failing = || commands(&[&present], "--no-such-flag");
        assert!(start_first(failing(), Duration::ZERO).is_ok(), "not watched");
        let long = Duration::from_secs(30);
        assert!(start_first(failing(), long).unwrap_err().to_string().contains("exit"));
        assert!(start_first(failing().into_iter().chain(commands(&[&present], "--help")), long).is_ok());
    }
}
