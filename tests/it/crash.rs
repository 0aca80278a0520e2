//! A login, a refresh and a logout, killed after each system call with an effect: the old or the new login is left,
//! whole, and the repeated command succeeds.
//!
//! `strace` stops the program after each such call; the test reads the call and kills the program or lets it run on.
//! The first run is killed at its first such call, the second run at its second, until a run ends by itself.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use astro_login::config::Config;
use astro_login::credentials::Credentials;
use astro_login::domain::Domain;
use astro_login::token::RefreshToken;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::binary::{Astro, Output};
use crate::support::keyring::Session;
use crate::support::{Mode, Options, Stage};

/// The system calls that write, replace, remove, lock or send. Reads change nothing, so a kill between two of these calls
/// equals a kill after the first.
const CALLS: &str = "openat,write,pwrite64,writev,sendto,sendmsg,rename,renameat,renameat2,unlink,unlinkat,link,linkat,\
                     mkdir,mkdirat,fsync,fdatasync,ftruncate,fchmod,flock";

const ENDS_SOON: i64 = 200;
const FRESH: i64 = 3600;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Keychain,
    Config,
}

struct World<'a> {
    stage: Stage,
    keyring: Option<&'a Session>,
    old: Credentials,
    before: String,
}

impl<'a> World<'a> {
    fn new(place: Place, seconds: i64, keyring: Option<&'a Session>) -> Self {
        let stage = Stage::with(Options::default(), Mode::NeverComeBack);
        let old = stage.earlier_login(seconds);
        stage.keep_in_config(&old);
        let mut before = stage.home.config().unwrap();
        if place == Place::Keychain {
            let domain = stage.service.domain();
            let ours = before.find(&format!("    {domain}:\n")).unwrap();
            let mut fields = before.split_off(ours);
            fields = fields.split_inclusive('\n').filter(|line| !is_token(line)).collect();
            before += &fields;
            stage.home.write_config(&before);
            put(keyring.unwrap(), &domain, &old);
        }
        Self { stage, keyring, old, before }
    }

    fn astro(&self) -> Astro {
        let astro = Astro::at(&self.stage.home);
        match self.keyring {
            Some(session) => {
                astro.with("DBUS_SESSION_BUS_ADDRESS", &format!("unix:path={}", session.path("bus").display()))
            }
            None => astro,
        }
    }

    fn seen(&self) -> Seen {
        let status = self.astro().run(&["auth", "status", "--json", "--domain", &self.stage.service.domain()]);
        let json: Value = serde_json::from_str(&status.stdout).unwrap_or_else(|_| panic!("{status:?}"));
        let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
        Seen { state: text("state"), account: text("account"), place: [text("organization"), text("workspace")] }
    }

    fn token(&self) -> Output {
        self.astro().run(&["auth", "token", "--domain", &self.stage.service.domain()])
    }

    /// That config.yaml is settings, and that what is not ours is there to the letter.
    #[track_caller]
    fn check_settings(&self) {
        let text = self.stage.home.config().unwrap();
        Config::new(self.stage.home.path()).read().unwrap();
        assert!(saphyr_parser::Parser::new_from_str(&text).all(|event| event.is_ok()), "{text}");
        let domain = self.stage.service.domain();
        assert_eq!(foreign(&text, &domain), foreign(&self.before, &domain), "{text}");
    }

    /// That nothing is left over but the settings and the locks.
    #[track_caller]
    fn check_folder(&self) {
        let lock = format!("{}.refresh.lock", self.stage.service.domain().replace(':', "_"));
        let entries = fs::read_dir(self.stage.home.path().join(".astro")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let replaced = lock.replace(".refresh.lock", ".replaced");
        let known = ["config.yaml", "config.yaml.lock", "config.yaml.renew.lock", "login-names.json", &lock, &replaced];
        let odd: Vec<String> = names.filter(|name| !known.contains(&name.as_str())).collect();
        assert_eq!(odd, [""; 0]);
    }

    fn stored_refresh(&self) -> Option<String> {
        let domain: Domain = self.stage.service.domain().parse().unwrap();
        match self.keyring {
            None => {
                let context = Config::new(self.stage.home.path()).read().unwrap().context(&domain).unwrap();
                context.refresh_token.map(|token| token.expose().to_owned())
            }
            Some(session) => {
                let record: Value = serde_json::from_str(&session.entry(domain.as_str())).unwrap();
                record["refresh"].as_str().map(str::to_owned)
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    state: String,
    account: String,
    place: [String; 2],
}

fn seen(state: &str, account: &str, place: [&str; 2]) -> Seen {
    Seen { state: state.to_owned(), account: account.to_owned(), place: place.map(str::to_owned) }
}

fn ada() -> Seen {
    seen("valid", "ada@example.com", ["clkvh3b46003m01kbalgwwdcy", "cl0v1p6lc728255byzyfs7lw21"])
}

fn is_token(line: &str) -> bool {
    ["expiresin:", "refreshtoken:", "token:"].iter().any(|name| line.trim_start().starts_with(name))
}

/// The lines that are not ours: all but the fields that a login has in its own context, and the current context.
fn foreign(text: &str, domain: &str) -> Vec<String> {
    let ours = [
        "auth_client_id:",
        "auth_domain:",
        "last_used_workspace:",
        "organization:",
        "organization_product:",
        "user_email:",
        "workspace:",
    ];
    let (header, mut inside) = (format!("    {domain}:"), false);
    let mut lines = Vec::new();
    for line in text.lines() {
        if !line.starts_with("        ") {
            inside = line == header;
        }
        let is_ours = inside && (is_token(line) || ours.iter().any(|name| line.trim_start().starts_with(name)));
        if !is_ours && !line.starts_with("context:") {
            lines.push(line.to_owned());
        }
    }
    lines
}

fn put(session: &Session, domain: &str, login: &Credentials) {
    let record = json!({
        "v": 1, "kind": "user", "access": login.access.expose(),
        "refresh": login.refresh.as_ref().map(RefreshToken::expose), "issuer": login.issuer,
        "client_id": login.client_id, "audience": login.audience, "sub": login.sub, "email": login.email,
        "issued_at": login.issued_at.map(|time| time.to_string()),
        "expires_at": login.expires_at.map(|time| time.to_string()),
    });
    let mut tool = session.command("secret-tool");
    tool.args(["store", "--label", "a login", "service", "astro-login", "username", domain]);
    let mut tool = tool.stdin(Stdio::piped()).spawn().expect("secret-tool is installed");
    tool.stdin.take().unwrap().write_all(record.to_string().as_bytes()).unwrap();
    assert!(tool.wait().unwrap().success());
}

/// Runs the program and kills it after its `nth` call that matters. The calls that mattered until then; nothing if the
/// program ended before.
fn kill_after(nth: usize, astro: Astro, home: &crate::support::TestHome, arguments: &[&str]) -> Option<Vec<String>> {
    let trace = home.path().join("trace");
    assert!(Command::new("mkfifo").arg(&trace).status().unwrap().success());
    let (traced, injected) = (format!("trace={CALLS}"), format!("inject={CALLS}:signal=STOP"));
    let strace = ["/usr/bin/strace", "-f", "-y", "-s", "400", "-e", &traced, "-e", &injected, "-o"];
    let running = astro.through(&[&strace[..], &[trace.to_str().unwrap()]].concat()).start(arguments);
    let pid = |id: &str| Pid::from_raw(id.parse().unwrap()).unwrap();
    let (mut unfinished, mut last, mut stopping) = (HashMap::new(), HashMap::new(), HashSet::new());
    let (mut calls, mut count, mut process, mut killed) = (Vec::new(), 0, None, false);
    for line in BufReader::new(File::open(&trace).unwrap()).lines() {
        let line = line.unwrap();
        let (thread, event) = line.split_once(' ').unwrap();
        let (thread, event) = (thread.to_owned(), event.trim_start());
        let process = *process.get_or_insert_with(|| pid(&thread));
        if event.starts_with("--- SIGSTOP ") {
            count += usize::from(last.get(&thread).is_some_and(|call: &String| matters(call)));
            if count == nth {
                kill_process(process, Signal::KILL).unwrap();
                // `strace` can be stuck for ever over a program that dies between two stops; without it that one just dies.
                kill_process(pid(&running.id().to_string()), Signal::KILL).unwrap();
                killed = true;
                break;
            }
            stopping.insert(thread);
        } else if event.starts_with("--- stopped by ") {
            // Only for the thread that brought it: one more would take the next stop away.
            if stopping.remove(&thread) {
                kill_process(process, Signal::CONT).unwrap();
            }
        } else if let Some(begun) = event.strip_suffix(" <unfinished ...>") {
            unfinished.insert(thread, begun.to_owned());
        } else if !event.starts_with("--- ") && !event.starts_with("+++ ") {
            let resumed = event.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>"));
            let call = match resumed {
                Some((_, rest)) => unfinished.remove(&thread).unwrap() + rest,
                None => event.to_owned(),
            };
            if matters(&call) {
                calls.push(call.clone());
            }
            last.insert(thread, call);
        }
    }
    let output = running.finish();
    assert_eq!(output.code == Some(0), !killed, "{output:?}");
    killed.then_some(calls)
}

/// Returns true for a call that changes something outside of the process: no read, no failed call, no wakeup of a
/// thread.
fn matters(call: &str) -> bool {
    let failed = call.rsplit_once(" = ").is_some_and(|(_, result)| result.starts_with('-'));
    let opens_only = call.starts_with("openat(") && !call.contains("O_CREAT");
    !failed && !opens_only && !call.contains("<anon_inode:[eventfd]>")
}

/// Kills a command after each of its calls, in a new world each time, and has `check` look at what is left.
fn crash<'a>(
    world: impl Fn() -> World<'a>,
    arguments: &[&str],
    stdin: impl Fn(&World<'a>) -> String,
    mut check: impl FnMut(&World<'a>, &[String], &dyn Fn() -> Output),
) {
    let mut points = 0;
    loop {
        let world = world();
        let domain = world.stage.service.domain();
        let arguments: Vec<&str> =
            arguments.iter().map(|&word| if word == "DOMAIN" { &domain } else { word }).collect();
        let stdin = stdin(&world);
        let Some(calls) = kill_after(points + 1, world.astro().stdin(&stdin), &world.stage.home, &arguments) else {
            break;
        };
        points += 1;
        world.check_settings();
        check(&world, &calls, &|| world.astro().stdin(&stdin).run(&arguments));
        world.check_settings();
        world.check_folder();
    }
    println!("killed at {points} points: astro {}", arguments.join(" "));
    assert!(points > 10, "{points}");
}

/// A login with a token of Grace's over one of Ada's.
fn login_over(earlier: Place, keyring: Option<&Session>, flags: &[&str]) {
    let token = std::cell::RefCell::new(String::new());
    let arguments = [&["login", "DOMAIN", "--token-login", "-", "--organization", "Compilers"], flags].concat();
    let stdin = |world: &World<'_>| {
        let tokens = world.stage.service.log_in("grace@example.org");
        tokens["access_token"].as_str().unwrap().clone_into(&mut token.borrow_mut());
        token.borrow().clone()
    };
    let logged_in = seen("valid", "grace@example.org", ["", ""]);
    let settled = seen("valid", "grace@example.org", ["clorg00000000000000000002", "clws000020000000000000001"]);
    let (mut olds, mut news, mut halves) = (0, 0, 0);
    crash(
        || World::new(earlier, FRESH, keyring),
        &arguments,
        stdin,
        |world, calls, again| {
            let call = calls.last().unwrap();
            let (seen, printed) = (world.seen(), world.token().stdout);
            if printed.trim_end() == world.old.access.expose() {
                assert_eq!(seen, ada(), "{call}");
                olds += 1;
            } else {
                assert_eq!(printed.trim_end(), *token.borrow(), "{call}");
                assert!(seen == settled || seen == logged_in, "{seen:?} {call}");
                news += 1;
                halves += usize::from(seen == logged_in);
            }
            let output = again();
            assert_eq!(output.code, Some(0), "{output:?} {call}");
            assert_eq!(
                (world.seen(), world.token().stdout.trim_end()),
                (settled.clone(), token.borrow().as_str()),
                "{call}"
            );
        },
    );
    println!("  as before: {olds}, logged in: {news}, of which without an organization yet: {halves}");
    assert!(olds > 0 && halves > 0 && news > halves);
}

#[test]
#[ignore = "needs strace"]
fn killed_plaintext_login_is_all_or_nothing() {
    login_over(Place::Config, None, &["--insecure-storage"]);
}

#[test]
#[ignore = "needs strace, dbus-daemon, gnome-keyring-daemon and secret-tool"]
fn killed_keychain_relogin_is_all_or_nothing() {
    let session = Session::with_keyring();
    login_over(Place::Keychain, Some(&session), &[]);
}

#[test]
#[ignore = "needs strace, dbus-daemon, gnome-keyring-daemon and secret-tool"]
fn killed_keychain_login_over_go_cli_is_all_or_nothing() {
    let session = Session::with_keyring();
    login_over(Place::Config, Some(&session), &["--vault"]);
}

#[test]
#[ignore = "needs strace, dbus-daemon, gnome-keyring-daemon and secret-tool"]
fn killed_plaintext_login_over_keychain_is_all_or_nothing() {
    let session = Session::with_keyring();
    login_over(Place::Keychain, Some(&session), &["--insecure-storage"]);
}

/// A refresh: only the window between the token response and the store loses the login.
fn refresh_in(place: Place, keyring: Option<&Session>) {
    let (mut points, mut losses, mut renewed) = (0, 0, 0);
    let arguments = ["auth", "token", "--domain", "DOMAIN"];
    crash(
        || World::new(place, ENDS_SOON, keyring),
        &arguments,
        |_| String::new(),
        |world, calls, again| {
            let call = calls.last().unwrap();
            assert_eq!(world.seen(), ada(), "{call}");
            let service = &world.stage.service;
            let output = again();
            if output.code == Some(4) {
                let told = format!("error: your login to {} has expired or was revoked\n", service.domain());
                assert!(output.stderr.starts_with(&told), "{output:?} {call}");
                let hint = format!("hint: run `astro login {}`\n", service.domain());
                assert!(output.stderr.ends_with(&hint) && output.stdout.is_empty(), "{output:?}");
            } else {
                // A busy machine has a slow keychain, which earns a progress line.
                let stderr = output.stderr.replace("waiting for the keychain…\n", "");
                assert_eq!((output.code, stderr.as_str()), (Some(0), ""), "{call}");
                assert_ne!(output.stdout.trim_end(), world.old.access.expose(), "{call}");
                assert_eq!(service.live_refresh_tokens(), [world.stored_refresh().unwrap()], "{call}");
            }
            let lost = output.code == Some(4);
            points += 1;
            losses += usize::from(lost);
            let keeps = |call: &str| match place {
                Place::Config => call.starts_with("rename"),
                Place::Keychain => call.contains("SetSecret"),
            };
            let asks = |call: &str| call.contains("\"POST /oauth/token ");
            let [asked, stored] = [calls.iter().any(|call| asks(call)), calls.iter().any(|call| keeps(call))];
            renewed += usize::from(stored && !lost);
            // The issuer or the keychain may or may not process a request of a program that was killed.
            let open = asks(call) || (place == Place::Keychain && keeps(call));
            assert!(open || lost == (asked && !stored), "lost: {lost} {calls:#?}");
        },
    );
    println!("  the login is lost at {losses} of {points}, renewed at {renewed}");
    assert!(losses > 0 && renewed > 0);
}

#[test]
#[ignore = "needs strace"]
fn rf_2_kill_during_refresh_config() {
    refresh_in(Place::Config, None);
}

#[test]
#[ignore = "needs strace, dbus-daemon, gnome-keyring-daemon and secret-tool"]
fn rf_2_kill_during_refresh_keychain() {
    let session = Session::with_keyring();
    refresh_in(Place::Keychain, Some(&session));
}

/// A logout: the login is there, or not, and the next one takes the rest.
fn logout_from(place: Place, keyring: Option<&Session>) {
    crash(
        || World::new(place, FRESH, keyring),
        &["logout", "DOMAIN"],
        |_| String::new(),
        |world, calls, again| {
            let call = calls.last().unwrap();
            let (seen, token) = (world.seen(), world.token());
            if seen.state == "valid" {
                assert_eq!(seen, ada(), "{call}");
                assert_eq!(token.stdout.trim_end(), world.old.access.expose(), "{call}");
            } else {
                assert_eq!((seen.state.as_str(), seen.account.as_str()), ("signed_out", ""), "{call}");
                assert_eq!((token.code, token.stdout.as_str()), (Some(4), ""), "{call}");
            }
            let output = again();
            assert_eq!(output.code, Some(0), "{output:?} {call}");
            assert_eq!(
                world.seen(),
                Seen { state: "signed_out".to_owned(), account: String::new(), ..ada() },
                "{call}"
            );
        },
    );
}

#[test]
#[ignore = "needs strace"]
fn rf_12_killed_plaintext_logout_is_repeatable() {
    logout_from(Place::Config, None);
}

#[test]
#[ignore = "needs strace, dbus-daemon, gnome-keyring-daemon and secret-tool"]
fn rf_12_killed_keychain_logout_is_repeatable() {
    let session = Session::with_keyring();
    logout_from(Place::Keychain, Some(&session));
}
