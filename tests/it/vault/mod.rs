//! Our program beside a second writer of the vault that Astro CLI 2 and Astro Desktop share: `support/peer.py`, which
//! knows the contract alone. The keyring is a real one on a private bus.

mod at_once;
mod refusals;
mod states;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::binary::BINARY;
use crate::support::keyring::Session;
use crate::support::{CLIENT_ID, Options, Service};

const PEER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/peer.py");
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

const ADA: &str = "ada@example.com";
const GRACE: &str = "grace@example.org";
const STALE: i64 = 200;
const FRESH: i64 = 86_400;

const COMMANDS: [&str; 6] = ["status", "token", "doctor", "login", "login --insecure-storage", "logout"];

/// The two fields that say that the login is in the vault.
const POINTER: (&str, &str) = ("Bearer ", "");

/// A home with a keyring in which the master key is, and a service that revokes a login whose refresh token is used twice.
struct World {
    session: Session,
    service: Service,
}

/// The context as the peer sees it.
#[derive(Debug)]
struct Look(Value);

impl Look {
    fn fields(&self) -> (&str, &str) {
        (self.0["fields"][0].as_str().unwrap(), self.0["fields"][1].as_str().unwrap())
    }

    /// The access and the refresh token of the entry.
    fn entry(&self) -> Option<(&str, &str)> {
        Some((self.0["entry"][0].as_str()?, self.0["entry"][1].as_str()?))
    }

    fn file(&self) -> PathBuf {
        self.0["file"].as_str().unwrap().into()
    }

    fn marker(&self) -> PathBuf {
        self.0["marker_file"].as_str().unwrap().into()
    }
}

/// The mode and content of config.yaml, of the vault and of each file in it.
type Bytes = BTreeMap<PathBuf, (u32, Vec<u8>)>;

impl World {
    /// A home without a vault.
    fn bare() -> Self {
        let world = Self { session: Session::with_keyring(), service: Service::start(Options::default()) };
        fs::create_dir(world.astro_folder()).unwrap();
        world
    }

    fn new() -> Self {
        let world = Self::bare();
        world.peer(&["key"]);
        world
    }

    /// With a login of Ada in the vault.
    fn with_login(seconds: i64) -> Self {
        let world = Self::new();
        world.log_in(&world.service.domain(), ADA, seconds);
        world
    }

    fn astro_folder(&self) -> PathBuf {
        self.session.path(".astro")
    }

    fn folder(&self) -> PathBuf {
        self.session.path(".astro/secrets")
    }

    fn config_path(&self) -> PathBuf {
        self.session.path(".astro/config.yaml")
    }

    fn config(&self) -> String {
        fs::read_to_string(self.config_path()).unwrap_or_default()
    }

    fn peer_command(&self, words: &[&str]) -> Command {
        let mut command = self.session.command("/usr/bin/python3");
        command.arg(PEER).args(words);
        command
    }

    #[track_caller]
    fn peer(&self, words: &[&str]) -> Value {
        let output = self.peer_command(words).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{words:?}: {}", text(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn astro_command(&self, words: &[&str]) -> Command {
        let mut command = self.session.command(BINARY);
        command.args(words).env("ASTRO_DOMAIN", self.service.domain());
        command
    }

    fn astro(&self, words: &[&str]) -> Output {
        self.astro_command(words).output().unwrap()
    }

    /// Runs `astro login` with this token.
    fn astro_login(&self, token: &str, words: &[&str]) -> Output {
        let place = ["login", "--token-login", "-", "--organization", "Compilers", "--workspace", "Flow-Matic"];
        let mut child = start(self.astro_command(&[&place, words].concat()));
        child.stdin.take().unwrap().write_all(token.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// What the issuer gives this person, of which the access token ends in so many seconds.
    fn tokens(&self, email: &str, seconds: i64) -> Value {
        self.service.set(|options| options.token_lifetime = seconds);
        let tokens = self.service.log_in(email);
        self.service.set(|options| options.token_lifetime = FRESH);
        tokens
    }

    /// The peer logs in; the response of the issuer.
    fn log_in(&self, domain: &str, email: &str, seconds: i64) -> Value {
        let tokens = self.tokens(email, seconds);
        let context = json!({
            "auth_domain": self.service.issuer(), "auth_client_id": CLIENT_ID, "user_email": email,
            "organization": "clorg00000000000000000001", "workspace": "clws000010000000000000001",
        });
        self.peer(&["login", domain, &json!([tokens, context]).to_string()]);
        tokens
    }

    fn look(&self) -> Look {
        self.look_at(&self.service.domain())
    }

    fn look_at(&self, domain: &str) -> Look {
        Look(self.peer(&["look", domain]))
    }

    fn mark(&self) {
        fs::write(self.look().marker(), "").unwrap();
    }

    /// Writes the two fields as they are given, in YAML.
    fn set_fields(&self, token: &str, refresh: &str) {
        let line = |line: &str| match line.trim_start().split_once(": ") {
            Some(("token", _)) => format!("        token: {token}\n"),
            Some(("refreshtoken", _)) => format!("        refreshtoken: {refresh}\n"),
            _ => format!("{line}\n"),
        };
        fs::write(self.config_path(), self.config().lines().map(line).collect::<String>()).unwrap();
    }

    /// Our own entry in the keychain.
    fn own_entry(&self) -> String {
        self.session.entry(&self.service.domain())
    }

    fn bytes(&self) -> Bytes {
        let files = fs::read_dir(self.folder()).into_iter().flatten().map(|entry| entry.unwrap().path());
        let paths = files.chain([self.folder(), self.config_path()]);
        let read = |path: PathBuf| {
            let mode = fs::symlink_metadata(&path).ok()?.permissions().mode();
            Some((path.clone(), (mode, fs::read(&path).unwrap_or_default())))
        };
        paths.filter_map(read).collect()
    }

    fn restore(&self, bytes: &Bytes) {
        drop(fs::remove_dir_all(self.folder()));
        fs::create_dir(self.folder()).unwrap();
        for (path, (mode, content)) in bytes {
            if path != &self.folder() {
                fs::write(path, content).unwrap();
            }
            fs::set_permissions(path, fs::Permissions::from_mode(*mode)).unwrap();
        }
        let mut tool = self.session.command("secret-tool");
        tool.args(["clear", "service", "astro-login"]).status().unwrap();
    }

    /// Runs a command of [`COMMANDS`].
    fn run(&self, command: &str, token: &str) -> Output {
        match command.split_once("login") {
            Some((_, rest)) => self.astro_login(token, &rest.split_whitespace().collect::<Vec<_>>()),
            None if command == "logout" => self.astro(&["logout"]),
            None => self.astro(&["auth", command]),
        }
    }

    /// Tells what a command did: its exit code, and what is different now.
    fn told(&self, output: &Output, before: &Bytes, names: &[(&str, &str)]) -> String {
        let mut told = vec![output.status.code().unwrap().to_string()];
        let after = self.bytes();
        if after == *before {
            told.push("same".to_owned());
        } else {
            let look = self.look();
            let (token, refresh) = look.fields();
            let in_vault = (token, refresh) == POINTER;
            told.push(if in_vault { "pointer".to_owned() } else { format!("[{token} {refresh}]") });
            told.push(match look.entry() {
                Some((token, refresh)) => format!("entry {token} {refresh}").trim_end().to_owned(),
                None if look.0["entry"].is_null() => "no entry".to_owned(),
                None => "entry unreadable".to_owned(),
            });
            told.extend(look.marker().exists().then(|| "marker".to_owned()));
            let [mut old, mut new] = [before, &after].map(Bytes::clone);
            old.remove(&self.config_path());
            new.remove(&self.config_path());
            told.extend((old == new).then(|| "same vault".to_owned()));
        }
        told.extend((!self.own_entry().is_empty()).then(|| "own entry".to_owned()));
        let told = names.iter().fold(told.join(", "), |text, (secret, name)| text.replace(secret, name));
        told.replace("Bearer ", "").replace(" ]", "]").replace("[]", "signed out")
    }

    /// The access token that our program prints, which the API knows as this person's.
    #[track_caller]
    fn token_of(&self, email: &str) -> String {
        let output = self.astro(&["auth", "token"]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        let token = String::from_utf8(output.stdout).unwrap().trim_end().to_owned();
        let claims = astro_login::jwt::Unverified::parse(&token).unwrap();
        assert_eq!(claims.subject().unwrap(), format!("auth0|{email}"));
        token
    }

    #[track_caller]
    fn peer_token(&self) -> String {
        let token = self.peer(&["token", &self.service.domain()]);
        token.as_str().unwrap().strip_prefix("Bearer ").unwrap().to_owned()
    }

    fn revoked(&self) -> Vec<String> {
        self.service.requests_to("/oauth/revoke").iter().map(|request| request.form("token").unwrap()).collect()
    }
}

/// Compares what each command did in each case with a file of the fixtures, in which like cases stand together.
#[track_caller]
fn compare(file: &str, cases: &[(&str, String)], said: &str) {
    let mut groups: Vec<(String, &str)> = Vec::new();
    for (name, told) in cases {
        match groups.iter_mut().find(|(_, known)| known == told) {
            Some((names, _)) => *names += &["; ", name].concat(),
            None => groups.push(((*name).to_owned(), told)),
        }
    }
    let seen: String = groups.iter().map(|(names, told)| [names, "\n", told, "\n"].concat()).collect();
    let expected = fs::read_to_string(Path::new(FIXTURES).join(file)).unwrap();
    assert!(seen == expected, "{file} should be\n{seen}\n{said}");
}

fn start(mut command: Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn rewrite(path: &Path, change: impl FnOnce(String) -> String) {
    fs::write(path, change(fs::read_to_string(path).unwrap())).unwrap();
}
