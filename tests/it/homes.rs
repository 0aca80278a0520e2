//! The homes of one user: each has its own login in the one keychain, and homes that share a config.yaml share a login.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use astro_login::config::Config;
use serde_json::{Value, json};

use crate::support::keyring::Session;
use crate::support::{AUDIENCE, CLIENT_ID, Options, Service, Stage};

/// The rounds of each test with many processes, of 30 processes each. `HOMES_ROUNDS` sets another number.
const ROUNDS: usize = 3;
const SOON: &str = "2000-01-01T00:00:00Z";

/// Two homes, of which `ada` is the ordinary one, a keychain, and a service that revokes a login whose refresh token is
/// used twice.
struct World {
    session: Session,
    service: Service,
    ada: PathBuf,
    grace: PathBuf,
}

impl World {
    fn new() -> Self {
        let (session, service) = (Session::with_keyring(), Service::start(Options::default()));
        let (ada, grace) = (session.path("."), session.path("grace"));
        fs::create_dir_all(grace.join(".astro")).unwrap();
        fs::create_dir_all(ada.join(".astro")).unwrap();
        let world = Self { session, service, ada, grace };
        for home in [&world.ada, &world.grace] {
            fs::write(home.join(".astro/config.yaml"), world.config()).unwrap();
        }
        world
    }

    fn config(&self) -> String {
        format!("context: \"{0}\"\ncontexts:\n    \"{0}\":\n        domain: \"{0}\"\n", self.service.domain())
    }

    /// A home whose config.yaml links to that of another home.
    fn linked(&self, name: &str, to: &Path) -> PathBuf {
        let home = self.session.path(name);
        fs::create_dir_all(home.join(".astro")).unwrap();
        symlink(to.join(".astro/config.yaml"), home.join(".astro/config.yaml")).unwrap();
        home
    }

    /// The account that a login of this home has in the keychain.
    fn account(&self, home: &Path) -> String {
        let domain = self.service.domain();
        Config::new(home).home_id(Some(&self.ada)).map_or(domain.clone(), |id| format!("{domain}@{id}"))
    }

    fn entry(&self, account: &str) -> Option<Value> {
        serde_json::from_str(&self.session.entry(account)).ok()
    }

    fn store(&self, account: &str, entry: &Value) {
        let mut tool = self.session.command("secret-tool");
        tool.args(["store", "--label=x", "service", "astro-login", "username", account]).stdin(Stdio::piped());
        let mut tool = tool.spawn().unwrap();
        tool.stdin.take().unwrap().write_all(entry.to_string().as_bytes()).unwrap();
        assert!(tool.wait().unwrap().success());
    }

    /// Stores a login of this person, whose access token is to be refreshed before its next use.
    fn log_in(&self, home: &Path, email: &str) {
        let tokens = self.service.log_in(email);
        let entry = json!({
            "v": 1, "kind": "user", "access": tokens["access_token"], "refresh": tokens["refresh_token"],
            "issuer": self.service.issuer(), "client_id": CLIENT_ID, "audience": AUDIENCE,
            "sub": format!("auth0|{email}"), "email": email, "expires_at": SOON,
        });
        self.store(&self.account(home), &entry);
    }

    fn age(&self, home: &Path) {
        let account = self.account(home);
        let mut entry = self.entry(&account).unwrap();
        entry["expires_at"] = json!(SOON);
        self.store(&account, &entry);
    }

    fn command(&self, home: &Path, arguments: &[&str]) -> Command {
        let mut command = self.session.command(env!("CARGO_BIN_EXE_astro"));
        command.args(arguments).env("ASTRO_HOME", home);
        command
    }

    fn run(&self, home: &Path, arguments: &[&str]) -> Output {
        self.command(home, arguments).output().unwrap()
    }
}

#[expect(clippy::disallowed_methods, reason = "the full number of rounds takes longer than a suite should")]
fn rounds() -> usize {
    std::env::var("HOMES_ROUNDS").map_or(ROUNDS, |text| text.parse().unwrap())
}

fn start(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Returns the user of the token that the process printed.
#[track_caller]
fn user(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    user_of(&output)
}

#[track_caller]
fn user_of(output: &Output) -> String {
    let token = std::str::from_utf8(&output.stdout).unwrap().trim();
    let claims = astro_login::jwt::Unverified::parse(token).unwrap();
    claims.subject().unwrap().to_owned()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
#[ignore = "needs dbus-daemon, gnome-keyring-daemon and secret-tool"]
fn rf_17_two_homes_refresh_two_logins_at_once() {
    let world = World::new();
    let linked = world.linked("linked", &world.grace);
    assert_ne!(world.account(&world.ada), world.account(&world.grace));
    world.log_in(&world.ada, "ada@example.com");
    world.log_in(&world.grace, "grace@example.org");
    let homes = [(&world.ada, "auth0|ada@example.com"), (&world.grace, "auth0|grace@example.org")];
    for round in 0..rounds() {
        world.age(&world.ada);
        world.age(&world.grace);
        let started: Vec<_> = (0..30)
            .map(|index| {
                let (home, expected) = homes[index % 2];
                // Half of Grace's processes have another home, with a link to her config.yaml.
                let home = if index % 4 == 1 { &linked } else { home };
                (start(world.command(home, &["auth", "token"])), expected)
            })
            .collect();
        for (child, expected) in started {
            assert_eq!(user(child), expected, "round {round}");
        }
    }
    assert_eq!((world.service.replays(), world.service.token_requests().len()), (0, 2 * rounds()));
}

#[test]
#[ignore = "needs dbus-daemon, gnome-keyring-daemon and secret-tool"]
fn rf_17_entry_of_another_home_is_not_used() {
    let world = World::new();
    world.log_in(&world.ada, "ada@example.com");
    // An entry of the released program in the ordinary home.
    assert_eq!(world.account(&world.ada), world.service.domain());
    for arguments in [&["auth", "token"][..], &["auth", "status"]] {
        let output = world.run(&world.grace, arguments);
        assert_eq!(output.status.code(), Some(4), "{}", text(&output));
    }
    for arguments in [&["logout"][..], &["logout", "--all"]] {
        let output = world.run(&world.grace, arguments);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        assert!(text(&output).contains("Not logged in to "), "{}", text(&output));
    }
    assert_eq!(user_of(&world.run(&world.ada, &["auth", "token"])), "auth0|ada@example.com");

    world.log_in(&world.grace, "grace@example.org");
    // The logout cleared the current context.
    let domain = world.service.domain();
    let run = |home: &Path, command: &str| world.run(home, &["auth", command, "--domain", &domain]);
    let doctor = text(&run(&world.grace, "doctor"));
    assert!(doctor.contains("grace@example.org") && !doctor.contains("ada@example.com"), "{doctor}");
    let status = text(&run(&world.grace, "status"));
    assert!(status.contains("grace@example.org"), "{status}");
    assert_eq!(world.run(&world.ada, &["logout", "--all"]).status.code(), Some(0));
    assert_eq!(world.entry(&world.account(&world.ada)), None);
    assert_eq!(user_of(&run(&world.grace, "token")), "auth0|grace@example.org");
}

#[test]
#[ignore = "needs dbus-daemon, gnome-keyring-daemon and secret-tool"]
fn rf_17_login_is_stored_under_the_homes_account() {
    let world = World::new();
    world.log_in(&world.ada, "ada@example.com");
    let before = world.entry(&world.service.domain());
    let token = world.service.access_token(&json!({"sub": "auth0|grace@example.org"}));
    let mut login = world.command(&world.grace, &["login", &world.service.domain(), "--token-login", "-"]);
    login.args(["--organization", "Compilers", "--workspace", "Flow-Matic"]);
    let mut child = login.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(token.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(!text(&output).contains("ada@example.com"), "{}", text(&output));
    assert_eq!(world.entry(&world.account(&world.grace)).unwrap()["access"], json!(token));
    assert_eq!((world.entry(&world.service.domain()), world.service.requests_to("/oauth/revoke")), (before, vec![]));
}

#[test]
#[ignore = "needs dbus-daemon, gnome-keyring-daemon and secret-tool"]
fn rf_12_logout_all_finds_keychain_login_without_context() {
    let world = World::new();
    world.log_in(&world.grace, "grace@example.org");
    world.log_in(&world.ada, "ada@example.com");
    // The Go CLI deleted the context.
    fs::write(world.grace.join(".astro/config.yaml"), "context: \"\"\ncontexts: {}\n").unwrap();
    let domain = world.service.domain();
    let token = world.run(&world.grace, &["auth", "token", "--domain", &domain]);
    assert_eq!(user_of(&token), "auth0|grace@example.org");
    let output = world.run(&world.grace, &["logout", "--all"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains(&format!("Logged out of {domain}\n")), "{}", text(&output));
    assert_eq!((world.entry(&world.account(&world.grace)), world.service.live_refresh_tokens().len()), (None, 1));
    assert_eq!(user_of(&world.run(&world.ada, &["auth", "token"])), "auth0|ada@example.com");
}

/// The same without a keychain: two links to one config.yaml, whose login is in plain text.
#[test]
fn rf_17_linked_homes_refresh_one_login_at_once() {
    let stage = Stage::new();
    let shared = stage.home.path().join("shared");
    fs::create_dir(&shared).unwrap();
    let homes = ["first", "second"].map(|name| stage.home.path().join(name));
    let login = stage.earlier_login(100);
    stage.keep_in_config(&login);
    fs::rename(stage.home.config_path(), shared.join("astro.yaml")).unwrap();
    for home in &homes {
        fs::create_dir_all(home.join(".astro")).unwrap();
        symlink("../../shared/astro.yaml", home.join(".astro/config.yaml")).unwrap();
    }
    let arguments = ["auth", "token", "--domain", &stage.service.domain()];
    for round in 1..=rounds() {
        let started: Vec<_> = (0..30)
            .map(|index| {
                let mut command = stage.command(&arguments);
                command.env("ASTRO_HOME", &homes[index % 2]);
                // An edit of other settings at the same time.
                if index % 10 == 9 {
                    command = stage.command(&["context", "switch", &stage.service.domain()]);
                    command.env("ASTRO_HOME", &homes[index % 2]);
                }
                start(command)
            })
            .collect();
        for child in started {
            let output = child.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        }
        assert_eq!((stage.service.replays(), stage.service.token_requests().len()), (0, round));
        // The next round starts with a token that expires soon.
        let file = shared.join("astro.yaml");
        let config = fs::read_to_string(&file).unwrap();
        let (_, rest) = config.split_once("token: Bearer ").unwrap();
        let fresh = rest.split_whitespace().next().unwrap();
        let ending = stage.earlier_login(100);
        fs::write(&file, config.replace(fresh, ending.access.expose())).unwrap();
    }
    assert!(
        !homes[0]
            .join(".astro")
            .read_dir()
            .unwrap()
            .flatten()
            .any(|it| it.file_name().to_string_lossy().ends_with("refresh.lock"))
    );
}
