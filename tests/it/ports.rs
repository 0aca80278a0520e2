//! `astro login localhost` on its fixed ports: 8888 for the API and 12345 for the callback.
//!
//! Other programs, and parallel tests, may use these ports. So the tests are ignored by default and run one at a time.

use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::support::pty::{CTRL_C, Pty};
use crate::support::{FakeBrowser, Mode, Options, Service, TestHome};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use url::Url;

const ASTRO: &str = env!("CARGO_BIN_EXE_astro");
const LOGIN: [&str; 7] = ["login", "localhost", "--insecure-storage", "--timeout", "20", "--email", "ada@example.com"];
const REDIRECT_URI: &str = "http://localhost:12345/callback";
const WAITING: &str = "Waiting for browser login";
const STRANGERS: [&str; 4] = ["127.0.0.1:12345", "[::1]:12345", "0.0.0.0:12345", "[::]:12345"];

static PORTS: Mutex<()> = Mutex::new(());

/// A service on port 8888, with port 12345 free.
struct World {
    service: Service,
    home: TestHome,
    _ports: MutexGuard<'static, ()>,
}

impl World {
    fn new() -> Self {
        let ports = PORTS.lock().unwrap_or_else(PoisonError::into_inner);
        let options = Options { port: 8888, ..Options::default().organizations(1, 1) };
        Self { service: Service::start(options), home: TestHome::new(), _ports: ports }
    }

    fn environment(&self) -> [(&'static str, &str); 2] {
        let home = self.home.path().to_str().unwrap();
        [("HOME", home), ("ASTRO_HOME", home)]
    }

    /// In a terminal, with a link.
    fn login(&self) -> Pty {
        Pty::spawn(ASTRO, &LOGIN, self.environment())
    }

    /// Without a terminal, and with stdin closed, not empty.
    fn login_with_stdin_closed(&self) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "exec \"$@\" <&-", "sh", ASTRO]).args(LOGIN).arg("--login-link");
        command.env_clear().envs(self.environment()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    #[track_caller]
    fn assert_logged_in(&self) {
        let config = self.home.config().unwrap();
        assert!(config.contains("context: localhost\n") && config.contains("token: Bearer "), "{config}");
    }
}

/// The callback port can be had again, by anyone and at once.
#[track_caller]
fn assert_callback_port_is_free() {
    for address in STRANGERS {
        TcpListener::bind(address).unwrap();
    }
}

#[track_caller]
fn assert_redirect_uri(link: &Url) {
    let found = link.query_pairs().find(|(name, _)| name == "redirect_uri").map(|(_, value)| value.into_owned());
    assert_eq!(found.as_deref(), Some(REDIRECT_URI));
}

fn visit(mode: fn(String) -> Mode, link: &Url) -> FakeBrowser {
    let browser = FakeBrowser::new(mode("ada@example.com".to_owned()));
    browser.visit(link);
    browser
}

#[test]
#[ignore = "needs the ports 12345 and 8888 to be free: run alone, as .ci/run does"]
fn lb_5_port_free_after_login() {
    let world = World::new();
    let mut pty = world.login();
    let link = pty.link();
    assert_redirect_uri(&link);
    assert_eq!((link.host_str(), link.port()), (Some("localhost"), Some(8888)));
    let browser = visit(Mode::LogIn, &link);
    pty.finish_with(0);
    assert_eq!(browser.answers().remove(0).unwrap().status, 200);
    world.assert_logged_in();
    assert_callback_port_is_free();
}

#[test]
#[ignore = "needs a machine with one loopback address only: run alone in a namespace for each, as .ci/run does"]
fn lb_2_login_with_one_loopback_address() {
    let there = ["127.0.0.1:0", "[::1]:0"].map(|address| TcpListener::bind(address).is_ok());
    assert_ne!(there[0], there[1], "this is about a machine that has one of them");
    let world = World::new();
    let mut pty = world.login();
    let browser = visit(Mode::LogIn, &pty.link());
    pty.finish_with(0);
    assert_eq!(browser.answers().remove(0).unwrap().status, 200);
    world.assert_logged_in();
}

#[test]
#[ignore = "needs the ports 12345 and 8888 to be free: run alone, as .ci/run does"]
fn link_login_with_stdin_closed() {
    let world = World::new();
    let mut child = world.login_with_stdin_closed().spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    stdout.read_line(&mut first).unwrap();
    let link: Url = first.trim_end().parse().unwrap();
    assert_redirect_uri(&link);
    visit(Mode::LogIn, &link);
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    assert_eq!((status.code(), rest.as_str()), (Some(0), ""), "{}", String::from_utf8_lossy(&stderr));
    world.assert_logged_in();
    assert_callback_port_is_free();
}

#[test]
#[ignore = "needs the ports 12345 and 8888 to be free: run alone, as .ci/run does"]
fn lb_3_port_taken_with_terminal_accepts_paste() {
    for address in STRANGERS {
        let world = World::new();
        let other = TcpListener::bind(address).unwrap();
        let mut pty = world.login();
        pty.wait_for("another program uses port 12345");
        pty.wait_for("`lsof -i :12345`");
        let link = pty.link();
        assert_redirect_uri(&link);
        pty.wait_for("Paste the URL of the browser's last page here (Ctrl-C to cancel):");
        let callback = visit(Mode::StopAtRedirect, &link).redirect().unwrap();
        pty.paste(&format!("{callback}\n"));
        let (code, shown) = pty.finish();
        assert_eq!(code, 0, "{address}: {shown}");
        world.assert_logged_in();
        other.set_nonblocking(true).unwrap();
        assert!(other.accept().is_err(), "{address}: a request was sent to the other program");
    }
}

#[test]
#[ignore = "needs the ports 12345 and 8888 to be free: run alone, as .ci/run does"]
fn lb_3_lb_7_port_taken_without_terminal_fails() {
    for address in STRANGERS {
        let world = World::new();
        let _other = TcpListener::bind(address).unwrap();
        let Output { status, stdout, stderr } = world.login_with_stdin_closed().output().unwrap();
        let said = String::from_utf8(stderr).unwrap();
        assert_eq!((status.code(), stdout.len()), (Some(1), 0), "{address}: {said}");
        assert!(said.contains("12345") && said.contains("`lsof -i :12345`"), "{address}: {said}");
        assert_eq!(world.service.requests(), [], "{address}");
        assert_eq!(world.home.config(), None, "{address}");
    }
}

#[test]
#[ignore = "needs the ports 12345 and 8888 to be free: run alone, as .ci/run does"]
fn doctor_reports_taken_port() {
    let doctor = ["auth", "doctor", "--domain", "localhost"];
    let free = "callback     port 12345 is free";
    let taken = "callback     port 12345 is taken by another program";
    let world = World::new();
    let environment = || world.environment().into_iter().chain([("BROWSER", "/bin/true")]);
    let run = || {
        let Output { status, stdout, .. } =
            Command::new(ASTRO).args(doctor).env_clear().envs(environment()).stdin(Stdio::null()).output().unwrap();
        (status.code(), String::from_utf8(stdout).unwrap())
    };
    let (code, said) = run();
    assert!(code == Some(0) && said.contains(free), "{said}");
    assert_callback_port_is_free();
    for address in STRANGERS {
        let _other = TcpListener::bind(address).unwrap();
        let (code, said) = run();
        assert!(code == Some(1) && said.contains(&format!("fails  {taken}")), "{address}: {said}");
        assert!(said.contains("`lsof -i :12345`") && said.starts_with("`astro login localhost` would fail."), "{said}");
        // A person could paste.
        let (code, shown) = Pty::spawn(ASTRO, &doctor, environment()).finish();
        let screen = crate::support::pty::screen(&shown);
        assert!(code == 0 && screen.contains(&format!("note   {taken}")), "{address}: {screen}");
        assert!(shown.contains("\x1b[1m\x1b[33mnote\x1b[0m   callback"), "{shown:?}");
    }
}

#[test]
#[ignore = "needs the ports 12345 and 8888 to be free: run alone, as .ci/run does"]
fn doctor_over_ssh_shows_port_forwarding() {
    let world = World::new();
    let mut command = Command::new(ASTRO);
    command.args(["auth", "doctor", "--domain", "localhost", "--json"]).env_clear().envs(world.environment());
    // Without a local browser, no browser would be opened.
    command.env("BROWSER", "/bin/true").env("SSH_CONNECTION", "203.0.113.9 50022 198.51.100.7 22").env("USER", "ada");
    let report: serde_json::Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    let callback = report["checks"].as_array().unwrap().iter().find(|check| check["name"] == "callback").unwrap();
    let expected = serde_json::json!({
        "name": "callback", "outcome": "note",
        "detail": "port 12345 is free; if the browser runs outside this machine, forward the port",
        "advice": "run `ssh -L 12345:localhost:12345 ada@198.51.100.7` on your machine first",
    });
    assert_eq!(callback, &expected);
}

#[test]
#[ignore = "needs a machine with one loopback address only: run alone in a namespace for each, as .ci/run does"]
fn doctor_reports_one_loopback_address() {
    let world = World::new();
    let alone = match ["127.0.0.1:0", "[::1]:0"].map(|address| TcpListener::bind(address).is_ok()) {
        [true, false] => "note   loopback     127.0.0.1 only (no ::1 on this machine)\n",
        [false, true] => "note   loopback     ::1 only (no 127.0.0.1 on this machine)\n",
        there => panic!("this is about a machine that has one of them: {there:?}"),
    };
    let mut command = Command::new(ASTRO);
    command.args(["auth", "doctor", "--domain", "localhost"]).env_clear().envs(world.environment());
    let Output { status, stdout, .. } = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(stdout).unwrap();
    assert!(status.code() == Some(0) && said.contains(alone), "{said}");
}

#[test]
#[ignore = "needs the ports 12345 and 8888 to be free: run alone, as .ci/run does"]
fn https_callback_attempt_is_reported() {
    let world = World::new();
    let mut pty = world.login();
    let link = pty.link();
    pty.wait_for(WAITING);
    // The browser tries HTTPS more than once; the note appears once.
    for address in &STRANGERS[..2] {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = versions.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        let mut tls = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
        let mut connection = TcpStream::connect(address).unwrap();
        assert!(tls.write_tls(&mut connection).unwrap() > 100, "a whole ClientHello");
        // It ends: that is how the browser knows.
        let _ = connection.read_to_end(&mut Vec::new());
    }
    pty.wait_for("the browser tried https");
    pty.wait_for("or copy the URL and paste");
    visit(Mode::LogIn, &link);
    let shown = pty.finish_with(0);
    assert_eq!(shown.matches("the browser tried https").count(), 1, "{shown}");
    world.assert_logged_in();
}

#[test]
#[ignore = "needs the ports 12345 and 8888 to be free: run alone, as .ci/run does"]
fn lb_25_ctrl_c_frees_port() {
    let world = World::new();
    let mut pty = world.login();
    pty.wait_for(WAITING);
    assert!(STRANGERS.iter().all(|address| TcpListener::bind(address).is_err()), "LB-6: the port is ours alone");
    pty.type_keys(CTRL_C);
    pty.finish_with(130);
    assert_eq!(world.home.config(), None);
    assert_callback_port_is_free();
}
