//! Logins of the built binary through headless Chromium and the login page of the identity provider. The browser
//! enforces the policies of the pages.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::support::chromium::Chromium;
use crate::support::{Options, Service, TestHome};
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use url::Url;

/// Keys, as the driver wants them written.
const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";
/// The focused element, and whether it is visible.
const FOCUS: &str = "
    const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
    return [document.activeElement.id, outlineStyle === 'solid' && parseFloat(outlineWidth) >= 2];
";

const BOUND: Duration = Duration::from_secs(60);

/// `astro login` with a home of its own. It ends by itself at its `--timeout`, and at the latest when dropped.
struct Login {
    child: Child,
    stdout: BufReader<ChildStdout>,
    home: TestHome,
}

#[derive(Debug, PartialEq, Eq)]
struct Ended {
    code: Option<i32>,
    stderr: String,
    config: Option<String>,
}

impl Login {
    fn start(service: &Service, flags: &[&str], environment: &[(&str, &str)]) -> Self {
        let home = TestHome::new();
        let mut command = Command::new(env!("CARGO_BIN_EXE_astro"));
        command.args(["login", &service.domain(), "--insecure-storage", "--timeout=60"]).args(flags);
        // With a bus that is not there, not even the person's keychain is asked.
        let nowhere = format!("unix:path={}/bus", home.path().display());
        command.env_clear().env("DBUS_SESSION_BUS_ADDRESS", nowhere);
        command.env("HOME", home.path()).env("ASTRO_HOME", home.path()).envs(environment.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, stdout, home }
    }

    /// The link, as a script would take it.
    fn link(&mut self) -> Url {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("stdout is text");
        line.parse().expect("the first line is a link")
    }

    fn finish(mut self) -> Ended {
        let mut stderr = String::new();
        self.child.stderr.take().expect("a pipe").read_to_string(&mut stderr).expect("stderr is text");
        let code = self.child.wait().expect("it has ended").code();
        Ended { code, stderr, config: self.home.config() }
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn callback(link: &Url) -> String {
    link.query_pairs().find(|(name, _)| name == "redirect_uri").expect("a redirect URI").1.into_owned()
}

async fn picture(chromium: &Chromium, name: &str) {
    chromium.screenshot(&Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("chromium-{name}.png"))).await;
}

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn lb_20_login_through_chromium() {
    let service = Service::start(Options::default());
    let chromium = Chromium::start().await;
    let mut login = Login::start(&service, &["--login-link"], &[]);
    let link = login.link();
    chromium.resize(1280, 800).await;
    for dark in [true, false] {
        chromium.prefer_dark(dark).await;
        chromium.open(link.as_str()).await;
        picture(&chromium, if dark { "login-dark" } else { "login-light" }).await;
    }
    chromium.type_into("#email", "ada@example.com").await;
    chromium.type_into("#password", "correct horse").await;
    chromium.click("#log-in").await;

    assert_eq!(chromium.text(".confirmed h1").await, "Authenticated as\nada@example.com");
    assert_eq!(chromium.title().await, "Authenticated – astro");
    assert_eq!(chromium.url().await, callback(&link), "without the code and the state");
    assert_eq!(chromium.console().await, Vec::<String>::new());
    picture(&chromium, "confirmed").await;
    let ended = login.finish();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let config = ended.config.expect("config.yaml is written");
    assert!(config.contains("user_email: ada@example.com\n"), "{config}");
    assert!(config.contains(&format!("refreshtoken: {}\n", service.live_refresh_tokens()[0])), "{config}");
    assert_eq!(service.replays(), 0);
}

#[tokio::test]
#[ignore = "needs chromium, chromium-driver and axe-core"]
async fn login_by_keyboard_passes_axe() {
    let axe = crate::support::chromium::axe();
    let service = Service::start(Options::default());
    let chromium = Chromium::start().await;
    chromium.resize(1280, 800).await;
    let mut login = Login::start(&service, &["--login-link", "--organization", "Compilers"], &[]);
    let link = login.link();
    for dark in [true, false] {
        chromium.prefer_dark(dark).await;
        chromium.open(link.as_str()).await;
        let found = chromium.audit(&axe).await;
        assert_eq!(found["violations"], json!([]), "dark: {dark}: {found:#}");
    }
    chromium.type_into("body", TAB).await;
    for (id, keys) in [("email", "grace@example.org"), ("password", "correct horse")] {
        assert_eq!(chromium.run(FOCUS).await, json!([id, true]));
        chromium.type_into(":focus", &format!("{keys}{TAB}")).await;
    }
    assert_eq!(chromium.run(FOCUS).await, json!(["log-in", true]));
    chromium.type_into(":focus", ENTER).await;

    assert_eq!(chromium.text(".confirmed h1").await, "Authenticated as\ngrace@example.org");
    let found = chromium.audit(&axe).await;
    assert_eq!(found["violations"], json!([]), "{found:#}");
    let ended = login.finish();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn cancel_on_login_page_fails_login() {
    let service = Service::start(Options::default());
    let chromium = Chromium::start().await;
    chromium.resize(1280, 800).await;
    chromium.prefer_dark(false).await;
    let mut login = Login::start(&service, &["--login-link"], &[]);
    let link = login.link();
    chromium.open(link.as_str()).await;
    chromium.click("#cancel").await;

    assert_eq!(chromium.text(".failed h1").await, "Login failed");
    let why = "Login denied: User canceled the login (access_denied).";
    assert_eq!(chromium.text(".failed .detail").await, why);
    assert_eq!(chromium.title().await, "Login failed – astro");
    assert_eq!(chromium.url().await, callback(&link), "without the error and the state");
    let console = chromium.console().await;
    assert!(matches!(console.as_slice(), [only] if only.contains("status of 400")), "{console:?}");
    picture(&chromium, "canceled").await;
    let ended = login.finish();
    assert_eq!((ended.code, ended.config), (Some(4), None));
    assert_eq!(service.token_requests(), []);
}

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn ar_2_ar_16_program_opens_browser_of_environment() {
    let service = Service::start(Options::default());
    let chromium = Chromium::start().await;
    // While the page fades in, nothing on it counts as visible text.
    chromium.prefer_dark(false).await;
    // A launcher that hands the address on, as launchers do; this one to the test.
    let opened = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let folder = tempfile::tempdir().expect("a folder");
    let launcher = folder.path().join("launcher");
    let port = opened.local_addr().expect("an address").port();
    fs::write(&launcher, format!("printf %s \"$1\" >/dev/tcp/127.0.0.1/{port}\n")).expect("the launcher is written");
    let browser = format!("/bin/bash {} %s", launcher.display());
    let login = Login::start(&service, &["--organization", "Compilers"], &[("BROWSER", &browser)]);
    let (mut connection, _) = tokio::time::timeout(BOUND, opened.accept()).await.expect("in time").expect("it opens");
    let mut link = String::new();
    connection.read_to_string(&mut link).await.expect("an address");

    chromium.open(&link).await;
    chromium.type_into("#email", "grace@example.org").await;
    chromium.type_into("#password", "correct horse").await;
    chromium.click("#log-in").await;
    assert_eq!(chromium.text(".confirmed h1").await, "Authenticated as\ngrace@example.org");
    let ended = login.finish();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}
