//! The built binary with a broken keychain: every command names the fault, ends, and loses nothing. After the repair,
//! the earlier login works.
//!
//! The keychain is a real one on a private bus and holds an earlier login. Each command has its own home with the
//! settings of that login, so that no command sees the changes of another.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;

use crate::support::binary::{Astro, Running};
use crate::support::keyring::{Prompter, Session};
use crate::support::pty::{CTRL_C, Pty, screen};
use crate::support::{Fault, Options, Service, TestHome};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

const WAITING: &str = "waiting for the keychain…";
const STATUS: &str =
    "domain        DOMAIN\norganization  clorg00000000000000000001\nworkspace     clws000010000000000000002\n";
/// The key set. It is fetched after the check of the keychain and before the write.
const KEYS: &str = "/.well-known/jwks.json";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Login,
    Token,
    Status,
    StatusJson,
    Organizations,
    Logout,
}

const CALLS: [Call; 6] = [Call::Login, Call::Token, Call::Status, Call::StatusJson, Call::Organizations, Call::Logout];

#[derive(Clone)]
enum Bus {
    At(String),
    /// Nothing says where: neither the variable nor a socket in the runtime folder, as after `ssh`.
    Nowhere,
}

/// The result of a command and its config.yaml, with domain and home replaced by placeholders.
#[derive(Debug, PartialEq, Eq)]
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
    waits: usize,
    config: String,
}

struct World {
    session: Session,
    service: Service,
    token: String,
    other: String,
    /// The earlier login in config.yaml and in the keychain.
    config: String,
    entry: String,
}

impl World {
    fn new() -> Self {
        let (session, service) = (Session::with_keyring(), Service::start(Options::default()));
        let (token, other) = (service.access_token(&json!({})), service.access_token(&json!({"jti": "another"})));
        assert_ne!(token, other);
        let mut world = Self { session, service, token, other, config: String::new(), entry: String::new() };
        let home = TestHome::new();
        let login = world.start(Call::Login, &home, &world.bus(), &world.token).finish();
        assert_eq!(login.code, Some(0), "{}", login.stderr);
        world.config = home.config().unwrap();
        world.entry = world.kept();
        assert!(world.entry.contains(&world.token) && !world.config.contains(&world.token));
        world
    }

    fn bus(&self) -> Bus {
        Bus::At(self.session.address().to_owned())
    }

    fn start(&self, call: Call, home: &TestHome, bus: &Bus, token: &str) -> Running {
        let astro = Astro::at(home);
        let astro = match bus {
            Bus::At(address) => astro.with("DBUS_SESSION_BUS_ADDRESS", address),
            Bus::Nowhere => {
                astro.without("DBUS_SESSION_BUS_ADDRESS").with("XDG_RUNTIME_DIR", home.path().to_str().unwrap())
            }
        };
        match call {
            Call::Login => astro.stdin(token).start(&[
                "login",
                &self.service.domain(),
                "--token-login",
                "-",
                "--workspace",
                "Punched Cards",
            ]),
            Call::Token => astro.start(&["auth", "token"]),
            Call::Status => astro.start(&["auth", "status"]),
            Call::StatusJson => astro.start(&["auth", "status", "--json"]),
            Call::Organizations => astro.start(&["organization", "list"]),
            Call::Logout => astro.start(&["logout"]),
        }
    }

    fn home(&self) -> TestHome {
        let home = TestHome::new();
        home.write_config(&self.config);
        home
    }

    fn ended(&self, home: &TestHome, running: Running) -> Ended {
        let output = running.finish();
        let plain =
            |text: &str| text.replace(&self.service.domain(), "DOMAIN").replace(home.path().to_str().unwrap(), "HOME");
        let (waits, said): (Vec<_>, Vec<_>) =
            output.stderr.split_inclusive('\n').partition(|line| line.trim_end() == WAITING);
        Ended {
            code: output.code.unwrap(),
            stdout: plain(&output.stdout),
            stderr: plain(&said.concat()),
            waits: waits.len(),
            config: plain(&home.config().unwrap()),
        }
    }

    fn run(&self, call: Call, bus: &Bus) -> Ended {
        let home = self.home();
        self.ended(&home, self.start(call, &home, bus, &self.other))
    }

    fn run_all(&self, bus: &Bus) -> Vec<(Call, Ended)> {
        let running = CALLS.map(|call| {
            let home = self.home();
            (call, self.start(call, &home, bus, &self.other), home)
        });
        running.into_iter().map(|(call, running, home)| (call, self.ended(&home, running))).collect()
    }

    fn secret_tool(&self, arguments: &[&str], stdin: &str) -> String {
        let mut tool = self.session.command("secret-tool");
        tool.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut tool = tool.spawn().unwrap();
        tool.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        String::from_utf8(tool.wait_with_output().unwrap().stdout).unwrap()
    }

    fn kept(&self) -> String {
        self.session.entry(&self.service.domain())
    }

    /// Puts these entries into the keychain in the place of all that are ours: by the account, with `DOMAIN` in it, and
    /// whatever else is to tell them apart.
    fn keep(&self, entries: &[(&str, &str)]) {
        self.secret_tool(&["clear", "service", "astro-login"], "");
        for (account, value) in entries {
            let account = account.replace("DOMAIN", &self.service.domain());
            let store = ["store", "--label=x", "service", "astro-login", "username"];
            self.secret_tool(&[&store, account.split(' ').collect::<Vec<_>>().as_slice()].concat(), value);
        }
    }

    /// Deletes the collection that holds the earlier login, and that new ones would go to.
    fn delete_collection(&self) {
        let (service, collection) = ("org.freedesktop.secrets", "/org/freedesktop/secrets/collection/login");
        let interface = Some("org.freedesktop.Secret.Collection");
        self.session.connection().call_method(Some(service), collection, interface, "Delete", &()).unwrap();
    }

    /// The config.yaml of the earlier login, as texts are compared here.
    fn config(&self) -> String {
        self.config.replace(&self.service.domain(), "DOMAIN")
    }

    /// The earlier login is where it was, as it was, and works.
    #[track_caller]
    fn nothing_is_lost(&self, fault: &str) {
        assert_eq!(self.kept(), self.entry, "{fault}");
        let printed = self.run(Call::Token, &self.bus());
        assert_eq!((printed.stdout, printed.code), (format!("{}\n", self.token), 0), "{fault}: {}", printed.stderr);
    }

    /// The expected end of a command that needs the keychain: the reason and the hint.
    #[track_caller]
    fn expect_failure(&self, call: Call, ended: &Ended, why: &str, hint: &str) {
        let failed = format!("error: could not use the keychain\ncause: {why}\nhint: {hint}\n");
        let (stdout, stderr, config) = match call {
            Call::Login => (
                "",
                format!("error: could not log in to DOMAIN\n{}", failed.replacen("error", "cause", 1)),
                self.config(),
            ),
            Call::Token | Call::Organizations => ("", failed, self.config()),
            Call::Status => (STATUS, failed, self.config()),
            Call::StatusJson => {
                expect_json(ended, "unknown");
                (ended.stdout.as_str(), failed, self.config())
            }
            Call::Logout => {
                let said = format!(
                    "warning: credentials may remain in the Secret Service: {why}\n\
                     hint: remove the entry of the service `astro-login` with your keychain's own program\n\
                     Removed the account from HOME/.astro/config.yaml\n\
                     error: logout from DOMAIN was incomplete\nhint: follow the hints of the warnings above\n"
                );
                ("", said, CLEARED.to_owned())
            }
        };
        let expected = (1, stdout, stderr.as_str(), config.as_str());
        assert_eq!(
            (ended.code, ended.stdout.as_str(), ended.stderr.as_str(), ended.config.as_str()),
            expected,
            "{call:?}"
        );
    }
}

/// The report is about our domain, in this state, and names no source.
#[track_caller]
fn expect_json(ended: &Ended, state: &str) {
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    let found = (&report["state"], &report["source"], &report["domain"]);
    assert_eq!(found, (&json!(state), &Value::Null, &json!("DOMAIN")));
}

/// The context after a logout.
const CLEARED: &str = "contexts:\n    DOMAIN:\n        domain: DOMAIN\n        auth_domain: http://DOMAIN/\n        auth_client_id: astro-cli-client\n        last_used_workspace: clws000010000000000000002\n        organization: clorg00000000000000000001\n        organization_product: HOSTED\n        workspace: clws000010000000000000002\ncontext: \"\"\n";

/// The end of a login whose predecessor was in a keychain that is missing now.
fn refused_without_keychain(reason: &str) -> String {
    format!(
        "error: could not log in to DOMAIN\ncause: no keychain available ({reason}), and the last login was in one\n\
         hint: start a keychain such as gnome-keyring, or set ASTRO_CREDENTIALS=plain to save unencrypted\n"
    )
}

const UNLOCK: &str =
    "unlock the keychain and try again, or save unencrypted with `astro login DOMAIN --insecure-storage`";
const ALLOW: &str =
    "allow access in the keychain's prompt, or save unencrypted with `astro login DOMAIN --insecure-storage`";
const ANSWER: &str =
    "answer the keychain's prompt if there is one, or save unencrypted with `astro login DOMAIN --insecure-storage`";

/// Without the keychain that held the last login, a login fails. Every other command reports the missing keychain.
#[test]
#[ignore = "needs dbus-daemon, gnome-keyring-daemon and secret-tool"]
fn rf_10_missing_keychain_is_not_an_empty_one() {
    let world = World::new();
    drop(UnixListener::bind(world.session.path("dead")).unwrap());
    let (at, nobody) =
        (|name: &str| Bus::At(format!("unix:path={}", world.session.path(name).display())), Session::with_bus());
    let faults = [
        ("no address", Bus::Nowhere, "no session bus"),
        ("an address that makes no sense", Bus::At("unix".to_owned()), "no session bus"),
        ("no socket", at("nowhere"), "no session bus"),
        ("a dead socket", at("dead"), "no session bus"),
        ("a bus without a Secret Service", Bus::At(nobody.address().to_owned()), "no Secret Service"),
    ];
    for (fault, bus, reason) in faults {
        for (call, ended) in world.run_all(&bus) {
            let at = format!("{fault}, {call:?}: {}", ended.stderr);
            let logged_out = format!(
                "error: not logged in to DOMAIN\ncause: no keychain available ({reason})\nhint: run `astro login DOMAIN`, \
                 because a login of a desktop session cannot be read here\n"
            );
            match call {
                Call::Login => {
                    let said = refused_without_keychain(reason);
                    assert_eq!((ended.code, ended.stderr, ended.config), (1, said, world.config()), "{at}");
                }
                Call::Logout => {
                    let said = format!(
                        "Removed the account from HOME/.astro/config.yaml\n\
                         warning: no keychain available ({reason}); logins saved by a desktop session were not removed\n\
                         hint: run `astro logout DOMAIN` in that session, too\n\
                         Not logged in to DOMAIN\n"
                    );
                    assert_eq!((ended.code, ended.stderr, ended.config), (0, said, CLEARED.to_owned()), "{at}");
                }
                Call::Token | Call::Status | Call::StatusJson | Call::Organizations => {
                    assert_eq!((ended.code, &ended.stderr, &ended.config), (4, &logged_out, &world.config()), "{at}");
                    match call {
                        Call::StatusJson => expect_json(&ended, "signed_out"),
                        Call::Status => assert_eq!(ended.stdout, STATUS, "{at}"),
                        _ => assert_eq!(ended.stdout, "", "{at}"),
                    }
                }
            }
        }
        world.nothing_is_lost(fault);
    }
}

#[test]
#[ignore = "needs dbus-daemon, gnome-keyring-daemon and secret-tool"]
fn rf_10_locked_keychain_has_no_fallback() {
    let mut world = World::new();
    world.session.stop_keyring();
    world.session.start_keyring(false);
    for call in CALLS {
        world.expect_failure(call, &world.run(call, &world.bus()), "the keychain is locked", UNLOCK);
    }
    let prompter = world.session.prompter(Prompter::Dismisses);
    for call in CALLS {
        world.expect_failure(call, &world.run(call, &world.bus()), "the keychain refused access", ALLOW);
    }
    drop(prompter);
    world.session.stop_keyring();
    world.session.start_keyring(true);
    world.nothing_is_lost("locked");
}

#[test]
#[ignore = "needs dbus-daemon, gnome-keyring-daemon and secret-tool"]
fn silent_keychain_times_out_after_notice() {
    let mut world = World::new();
    let given_up = |world: &World, fault: &str, bus: &Bus| {
        for (call, ended) in world.run_all(bus) {
            let waits = if call == Call::Logout { 2 } else { 1 };
            assert_eq!(ended.waits, waits, "{fault}, {call:?}");
            world.expect_failure(call, &ended, "the keychain did not respond within 3 seconds", ANSWER);
        }
    };

    let silent = Bus::At(format!("unix:path={}", world.session.path("silent").display()));
    let listener = UnixListener::bind(world.session.path("silent")).unwrap();
    given_up(&world, "a socket that accepts and says nothing", &silent);
    let welcomed = welcome(listener);
    given_up(&world, "a bus that lets everyone in and says nothing more", &silent);
    assert_eq!(welcomed.try_iter().count(), CALLS.len());

    world.session.pause_keyring(true);
    given_up(&world, "a service that does not answer", &world.bus());
    world.session.pause_keyring(false);
    world.nothing_is_lost("a service that did not answer");

    world.session.stop_keyring();
    world.session.start_keyring(false);
    let prompter = world.session.prompter(Prompter::Waits);
    given_up(&world, "a dialog that nobody answers", &world.bus());
    drop(prompter);
    world.session.stop_keyring();
    world.session.start_keyring(true);
    world.nothing_is_lost("a dialog that nobody answered");
}

/// Answers every connection as a bus does that lets everyone in, and then nothing any more. Tells of each that has come
/// to the first call of the bus.
fn welcome(listener: UnixListener) -> mpsc::Receiver<()> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, sender) = (stream.unwrap(), sender.clone());
            thread::spawn(move || {
                let (mut said, mut chunk) = (BufReader::new(&stream), [0; 4096]);
                loop {
                    let mut line = String::new();
                    said.read_line(&mut line).unwrap();
                    let answer = match line.trim_start_matches('\0').split_whitespace().next() {
                        Some("AUTH") => "OK 0123456789abcdef0123456789abcdef\r\n",
                        Some("NEGOTIATE_UNIX_FD") => "AGREE_UNIX_FD\r\n",
                        Some("BEGIN") => break,
                        other => panic!("{other:?}"),
                    };
                    (&stream).write_all(answer.as_bytes()).unwrap();
                }
                let mut call = Vec::new();
                while !call.windows(5).any(|word| word == b"Hello") {
                    let length = said.read(&mut chunk).unwrap();
                    assert!(length > 0, "it has gone");
                    call.extend_from_slice(&chunk[..length]);
                }
                sender.send(()).unwrap();
                while let Ok(1..) = said.read(&mut chunk) {}
            });
        }
    });
    receiver
}

fn in_pieces(value: &str, version: u8) -> [(&'static str, String); 3] {
    let hash: Vec<String> =
        digest(&SHA256, value.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let head = json!({"v": version, "pieces": {"generation": "00112233aabbccdd", "count": 2}, "sha256": hash.concat()});
    let (first, second) = value.split_at(value.len() / 2);
    [
        ("DOMAIN", head.to_string()),
        ("DOMAIN#00112233aabbccdd/0", first.to_owned()),
        ("DOMAIN#00112233aabbccdd/1", second.to_owned()),
    ]
}

#[test]
#[ignore = "needs dbus-daemon, gnome-keyring-daemon and secret-tool"]
fn rf_2_damaged_entry_is_replaceable_and_removable() {
    let world = World::new();
    let whole = in_pieces(&world.entry, 1);
    let borrowed = whole.each_ref().map(|(name, value)| (*name, value.as_str()));
    let [head, first, second] = borrowed;
    world.keep(&borrowed);
    assert_eq!(world.run(Call::Token, &world.bus()).stdout, format!("{}\n", world.token), "whole, it is good");

    let cut = &world.entry[..world.entry.len() - 1];
    let swapped = [head, (first.0, second.1), (second.0, first.1)];
    let faults: [(&str, &[(&str, &str)]); 7] = [
        ("a piece is missing", &[head, first]),
        ("all pieces are missing", &[head]),
        ("the pieces are not those that were written", &swapped),
        ("the entry ends early", &[("DOMAIN", cut)]),
        ("there are two of it", &[("DOMAIN", &world.entry), ("DOMAIN copy 2", &world.entry)]),
        ("the entry is no record", &[("DOMAIN", "hunter2")]),
        ("the entry is a record without its tokens", &[("DOMAIN", r#"{"v":1,"kind":"user"}"#)]),
    ];
    let hint = "run `astro login DOMAIN` to replace them";
    for (fault, entries) in faults {
        for call in CALLS {
            world.keep(entries);
            let ended = world.run(call, &world.bus());
            match call {
                Call::Login => {
                    assert_eq!((ended.code, ended.config), (0, world.config()), "{fault}: {}", ended.stderr);
                    assert!(ended.stderr.contains("\n  credentials   the Secret Service\n"), "{fault}");
                    assert!(world.kept().contains(&world.other), "{fault}");
                }
                Call::Logout => {
                    let said = "Removed credentials from the Secret Service\n\
                        warning: could not read the credentials before (the stored credentials are damaged), so a refresh token in them was not revoked\n\
                        hint: contact Astronomer support if others may have a copy of it\n\
                        Removed the account from HOME/.astro/config.yaml\n\
                        error: logout from DOMAIN was incomplete\nhint: follow the hints of the warnings above\n";
                    assert!(ended.code == 1 && ended.stderr.starts_with(said), "{fault}: {}", ended.stderr);
                    assert_eq!(world.kept(), "", "{fault}");
                }
                _ => world.expect_failure(call, &ended, "the stored credentials are damaged", hint),
            }
        }
        world.keep(&[("DOMAIN", &world.entry)]);
        world.nothing_is_lost(fault);
    }
}

#[test]
#[ignore = "needs dbus-daemon, gnome-keyring-daemon and secret-tool"]
fn newer_entry_is_never_overwritten() {
    let world = World::new();
    let pieces = in_pieces(&world.entry, 2);
    let why = "the stored credentials were written by a newer version of this program";
    let hint = "use the newer version, or remove the entry of service `astro-login`";
    let faults: [(&str, Vec<(&str, &str)>); 2] = [
        ("a record", vec![("DOMAIN", r#"{"v":2,"sealed":"0000"}"#)]),
        ("a head", pieces.each_ref().map(|(name, value)| (*name, value.as_str())).to_vec()),
    ];
    for (fault, entries) in faults {
        world.keep(&entries);
        for call in CALLS.into_iter().filter(|call| *call != Call::Logout) {
            world.expect_failure(call, &world.run(call, &world.bus()), why, hint);
        }
        assert_eq!(world.kept(), entries[0].1, "{fault}");
    }
}

type Change = fn(&mut World);

const KEYRING_DIES: Change = |world| world.session.stop_keyring();
const KEYRING_IS_BACK: Change = |world| {
    world.session.stop_keyring();
    world.session.start_keyring(true);
};
const KEYRING_IS_LOCKED: Change = |world| {
    world.session.stop_keyring();
    world.session.start_keyring(false);
};
const BUS_DIES: Change = |world| world.session.stop_bus();
const BUS_IS_BACK: Change = |world| {
    world.session.start_bus();
    KEYRING_IS_BACK(world);
};

const ABSENT: &str = "start a keychain, or save unencrypted with `astro login DOMAIN --insecure-storage`";
const AGAIN: &str = "try again, or save unencrypted with `astro login DOMAIN --insecure-storage`";
const WENT_AWAY: &str = "lost the connection to the keychain";

/// The change happens while a login fetches the issuer's keys: it has found the keychain in order, and will write there.
#[test]
#[ignore = "needs dbus-daemon, gnome-keyring-daemon and secret-tool"]
fn keychain_lost_before_write_costs_only_new_login() {
    let pause: Change = |world| world.session.pause_keyring(true);
    let resume: Change = |world| world.session.pause_keyring(false);
    let changes: [(&str, Change, &str, &str, Change); 6] = [
        ("the keyring dies", KEYRING_DIES, "no keychain available (no Secret Service)", ABSENT, KEYRING_IS_BACK),
        ("the keyring is restarted", KEYRING_IS_BACK, WENT_AWAY, AGAIN, |_| {}),
        ("the keyring is locked", KEYRING_IS_LOCKED, "the keychain is locked", UNLOCK, KEYRING_IS_BACK),
        ("the keyring hangs", pause, "the keychain did not respond within 3 seconds", ANSWER, resume),
        ("the bus dies", BUS_DIES, WENT_AWAY, AGAIN, BUS_IS_BACK),
        (
            "the collection is deleted",
            |world| world.delete_collection(),
            "no keychain available (no default collection)",
            ABSENT,
            |world| {
                world.session.stop_keyring();
                world.session.start_keyring(true);
                world.keep(&[("DOMAIN", &world.entry)]);
            },
        ),
    ];
    for (change, happens, why, hint, is_undone) in changes {
        let mut world = World::new();
        world.service.fail(KEYS, Fault::Hold);
        let (home, before) = (world.home(), world.service.requests_to(KEYS).len());
        let login = world.start(Call::Login, &home, &world.bus(), &world.other);
        world.service.wait_for(KEYS, before + 1);
        happens(&mut world);
        world.service.repair(KEYS);
        let ended = world.ended(&home, login);
        world.expect_failure(Call::Login, &ended, why, hint);
        is_undone(&mut world);
        world.nothing_is_lost(change);
    }
}

/// With a person at the terminal a call may take a minute, so there is time for everything to happen in its midst.
#[test]
#[ignore = "needs dbus-daemon, gnome-keyring-daemon and secret-tool"]
fn keychain_call_ends_on_disconnect_or_timeout() {
    let failed = |why: &str, hint: &str| format!("error: could not use the keychain\ncause: {why}\nhint: {hint}");
    let changes: [(&str, Change, i32, String, Change); 4] = [
        ("it answers late", |world| world.session.pause_keyring(false), 0, "TOKEN".to_owned(), |_| {}),
        ("the keyring dies", KEYRING_DIES, 1, failed(WENT_AWAY, AGAIN), KEYRING_IS_BACK),
        ("the bus dies", BUS_DIES, 1, failed(WENT_AWAY, AGAIN), BUS_IS_BACK),
        ("Ctrl-C", |_| {}, 130, "canceled".to_owned(), |world| world.session.pause_keyring(false)),
    ];
    for (change, happens, code, said, is_undone) in changes {
        let mut world = World::new();
        world.session.pause_keyring(true);
        let home = world.home();
        let path = home.path().to_str().unwrap();
        let environment = [("HOME", path), ("ASTRO_HOME", path), ("DBUS_SESSION_BUS_ADDRESS", world.session.address())];
        let mut pty = Pty::spawn(env!("CARGO_BIN_EXE_astro"), &["auth", "token"], environment);
        pty.wait_for(WAITING);
        happens(&mut world);
        if change == "Ctrl-C" {
            pty.type_keys(CTRL_C);
        }
        let (ended, transcript) = pty.finish();
        let screen = screen(transcript).replace(&world.token, "TOKEN");
        let screen = screen.replace(&world.service.domain(), "DOMAIN");
        // The hint wraps at the terminal's width.
        let in_one_line = |text: &str| text.replace('\n', " ");
        assert!(ended == code && in_one_line(&screen).ends_with(&in_one_line(&said)), "{change}: {ended}\n{screen}");
        is_undone(&mut world);
        world.nothing_is_lost(change);
    }
}

/// After another program removed the entry or the collection, the commands report a missing login or keychain.
#[test]
#[ignore = "needs dbus-daemon, gnome-keyring-daemon and secret-tool"]
fn deleted_entry_is_not_logged_in() {
    for collection in [false, true] {
        for call in CALLS {
            let world = World::new();
            if collection {
                world.delete_collection();
            } else {
                world.keep(&[]);
            }
            let ended = world.run(call, &world.bus());
            let at = format!("{call:?}: {}", ended.stderr);
            match call {
                Call::Login if collection => {
                    let said = refused_without_keychain("no default collection");
                    assert_eq!((ended.code, ended.stderr, ended.config), (1, said, world.config()), "{at}");
                }
                Call::Login => {
                    assert_eq!((ended.code, ended.config), (0, world.config()), "{at}");
                    assert!(world.kept().contains(&world.other), "{at}");
                }
                Call::Logout => {
                    let said = "Removed the account from HOME/.astro/config.yaml\nNot logged in to DOMAIN\n";
                    assert_eq!((ended.code, ended.stderr.as_str(), ended.config.as_str()), (0, said, CLEARED));
                }
                Call::Token | Call::Status | Call::StatusJson | Call::Organizations => {
                    let said = "error: not logged in to DOMAIN\nhint: run `astro login DOMAIN`\n";
                    assert_eq!((ended.code, ended.stderr.as_str(), &ended.config), (4, said, &world.config()));
                    if call == Call::StatusJson {
                        expect_json(&ended, "signed_out");
                    }
                }
            }
        }
    }
}

/// The doctor sees of the real keychain what a login would, and writes nothing there.
#[test]
#[ignore = "needs dbus-daemon, gnome-keyring-daemon and secret-tool"]
fn doctor_shows_keychain_state() {
    let pause: Change = |world| world.session.pause_keyring(true);
    let resume: Change = |world| world.session.pause_keyring(false);
    let open = "the Secret Service unlocked";
    let absent = "no keychain available (no Secret Service), and the last login was in one";
    let changes: [(Change, i32, &str, &str, Change); 4] = [
        (|_| {}, 0, "ok", open, |_| {}),
        (KEYRING_DIES, 1, "fail", absent, KEYRING_IS_BACK),
        (KEYRING_IS_LOCKED, 1, "fail", "could not use the keychain: the keychain is locked", KEYRING_IS_BACK),
        (pause, 1, "fail", "could not use the keychain: the keychain did not respond within 3 seconds", resume),
    ];
    for (happens, code, outcome, detail, is_undone) in changes {
        let mut world = World::new();
        happens(&mut world);
        let home = world.home();
        let astro = Astro::at(&home).with("DBUS_SESSION_BUS_ADDRESS", world.session.address());
        let output = astro.run(&["auth", "doctor", "--json"]);
        let report: Value = serde_json::from_str(&output.stdout).unwrap();
        let checks = report["checks"].as_array().unwrap();
        let keychain = checks.iter().find(|check| check["name"] == "keychain").unwrap();
        assert_eq!((&keychain["outcome"], &keychain["detail"]), (&json!(outcome), &json!(detail)), "{report:#}");
        assert_eq!((output.code, home.config()), (Some(code), Some(world.config.clone())), "{report:#}");
        is_undone(&mut world);
        world.nothing_is_lost(detail);
    }
}
