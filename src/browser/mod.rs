//! Whether a browser can be opened here, which one, and why not.
//!
//! [`decide`] looks at nothing but the facts it is given; [`SystemBrowser`] carries the decision out. A browser is
//! started without a shell and without our token, gets the address as one argument, and is not waited for.

mod decision;

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

pub use decision::{Desktop, Machine, NoBrowser, Opening, WayBack, decide, forward_command, way_back};

const OPEN_BOUND: Duration = Duration::from_secs(5);
/// A launcher that fails at all fails within this time.
const LAUNCHER_BOUND: Duration = Duration::from_millis(250);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Opens a page for the person.
pub trait Browser: Send + Sync {
    /// Hands the address over, as was decided. Success means that something was started, not that a page is seen.
    fn open(&self, url: &Url, opening: &Opening) -> io::Result<()>;
}

/// The files by which Docker and podman tell their containers from other machines.
const CONTAINER_FILES: [&str; 2] = ["/.dockerenv", "/run/.containerenv"];
/// Where programs are where `PATH` does not say.
const USUAL_PATH: &str = "/bin:/usr/bin";

/// Whether this program is here: where its path says, or else in the folders of `PATH`.
pub fn is_there(environment: &Environment, program: &OsStr) -> bool {
    // On Windows it may be named without its ending.
    let mut whole = program.to_owned();
    whole.push(EXE_SUFFIX);
    let is_in = |folder: &Path| folder.join(program).is_file() || folder.join(&whole).is_file();
    if Path::new(program).components().count() > 1 {
        return is_in(Path::new(""));
    }
    let folders = environment.get("PATH").unwrap_or(USUAL_PATH);
    std::env::split_paths(folders).any(|folder| is_in(&folder))
}

impl Machine {
    /// Looks at this machine.
    pub fn here(environment: &Environment) -> Self {
        Self {
            os: std::env::consts::OS,
            container: CONTAINER_FILES.iter().any(|file| Path::new(file).exists()),
            launcher: open::commands("https://localhost")
                .iter()
                .any(|command| is_there(environment, command.get_program())),
        }
    }
}

/// The person's own browser.
pub struct SystemBrowser;

impl Browser for SystemBrowser {
    fn open(&self, url: &Url, opening: &Opening) -> io::Result<()> {
        // The opener would run other schemes too: `file:` and whatever else is registered on the desktop.
        let may_open = url.scheme() == "https" || (url.scheme() == "http" && url.host_str().is_some_and(is_loopback));
        if !may_open {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "only https addresses are opened"));
        }
        match opening {
            Opening::Platform(_) => start_first(open::commands(url.as_str()), LAUNCHER_BOUND),
            // What the person has chosen may well be the browser itself, and what its end means is theirs to know.
            Opening::Chosen(alternatives) => {
                let commands = alternatives.iter().filter_map(|words| command(words, url.as_str()));
                start_first(commands, Duration::ZERO)
            }
            Opening::None(reason) => Err(io::Error::new(io::ErrorKind::Unsupported, reason.to_string())),
        }
    }
}

/// Starts the first that can be started and does not fail while it is watched; the first failure, where none can.
fn start_first(commands: impl IntoIterator<Item = Command>, watch: Duration) -> io::Result<()> {
    let mut failure = None;
    for mut command in commands {
        let Err(error) = start(&mut command, watch) else { return Ok(()) };
        let program = command.get_program().display();
        failure.get_or_insert_with(|| io::Error::new(error.kind(), format!("{program}: {error}")));
    }
    Err(failure.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
}

/// Starts one, without our terminal, and without our token: it has no use for it, and hands it on to whatever it starts.
fn start(command: &mut Command, watch: Duration) -> io::Result<()> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).env_remove(API_TOKEN);
    // In a group of its own, or Ctrl-C in the terminal would close the browser with us.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    let mut running = command.spawn()?;
    let end = Instant::now() + watch;
    while Instant::now() < end {
        match running.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(io::Error::other(status.to_string())),
            None => sleep(LOOK_EVERY),
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

/// Opens `url` away from the runtime's thread, for some launchers block; gives up waiting after five seconds.
pub async fn open(browser: Arc<dyn Browser>, url: Url, opening: Opening) -> io::Result<()> {
    match tokio::time::timeout(OPEN_BOUND, run_blocking(move || browser.open(&url, &opening))).await {
        Ok(outcome) => outcome?,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::decision::alternatives;
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
    fn ar_16_other_schemes_rejected() {
        let opening = Opening::Platform(Desktop::X);
        for address in ["file:///etc/passwd", "javascript:alert(1)", "http://astronomer.io/"] {
            let refused = SystemBrowser.open(&Url::parse(address).unwrap(), &opening).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{address}");
        }
    }

    #[test]
    fn program_found_by_path_or_in_path_variable() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("helper"), "").unwrap();
        let path = folder.path().to_str().unwrap();
        let environment = Environment::from_pairs(&[("PATH", path)]);
        let is_there = |program: &str| is_there(&environment, OsStr::new(program));
        assert!(is_there("helper") && is_there(folder.path().join("helper").to_str().unwrap()));
        assert!(!is_there("helper.sh") && !is_there("folder/helper") && !is_there("other"));
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
        // No test has this name, and no flag that one: the first succeeds, the second fails.
        let failing = || commands(&[&present], "--no-such-flag");
        assert!(start_first(failing(), Duration::ZERO).is_ok(), "nobody looks");
        let long = Duration::from_secs(30);
        assert!(start_first(failing(), long).unwrap_err().to_string().contains("exit"));
        assert!(start_first(failing().into_iter().chain(commands(&[&present], "--help")), long).is_ok());
    }
}
