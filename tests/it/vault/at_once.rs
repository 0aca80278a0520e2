//! Our program and the peer at the same time, and killed at any time: no login is lost that their contract keeps.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Output};
use std::thread;
use std::time::{Duration, Instant};

use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::json;

use super::{ADA, GRACE, POINTER, STALE, World, start, text};

/// The length of the test that kills programs. `VAULT_ROUNDS` sets a number of rounds instead, `VAULT_SEED` repeats a run.
const BOUND: Duration = Duration::from_secs(30);

/// Starts these commands at the same instant; peers are the words of one domain.
fn at_once(world: &World, commands: &[&[&str]]) -> Vec<Child> {
    let domain = world.service.domain();
    let is_peer = |words: &[&str]| words[0] == "peer";
    let peer = |words: &[&str]| {
        let mut child = start(world.peer_command(&[&["--wait"], &words[1..], &[&domain]].concat()));
        child.stdout.as_mut().unwrap().read_exact(&mut [0; 6]).unwrap();
        child
    };
    let mut ready: Vec<Child> = commands.iter().filter(|words| is_peer(words)).map(|words| peer(words)).collect();
    for child in &mut ready {
        drop(child.stdin.take());
    }
    let mut ready = ready.into_iter();
    let started = commands.iter().map(|words| {
        let peer = is_peer(words).then(|| ready.next().unwrap());
        peer.unwrap_or_else(|| start(world.astro_command(words)))
    });
    started.collect()
}

#[track_caller]
fn check(world: &World, output: &Output, round: usize) {
    assert_eq!(output.status.code(), Some(0), "round {round}: {}\n{}", text(output), world.config());
}

/// Whether a login is in the vault, in the state that both programs expect of it, and its refresh token is good.
#[track_caller]
fn check_login(world: &World, in_vault: bool, round: usize) {
    let look = world.look();
    assert_eq!(look.fields() == POINTER, in_vault, "round {round}: {look:?}");
    let (_, refresh) = if in_vault { look.entry().unwrap() } else { look.fields() };
    assert!(world.service.live_refresh_tokens().contains(&refresh.to_owned()), "round {round}: {look:?}");
    assert_eq!(world.service.replays(), 0, "round {round}");
}

fn race(in_vault: bool) {
    let world = World::new();
    if !in_vault {
        world.mark();
    }
    for round in 0..10 {
        world.log_in(&world.service.domain(), ADA, STALE);
        let commands = [["auth", "token"], ["peer", "token"]].repeat(4);
        let commands: Vec<&[&str]> = commands.iter().map(<[&str; 2]>::as_slice).collect();
        for child in at_once(&world, &commands) {
            check(&world, &child.wait_with_output().unwrap(), round);
        }
        check_login(&world, in_vault, round);
    }
}

#[test]
#[ignore = "needs dbus-daemon, gnome-keyring-daemon and Python"]
fn rf_1_login_in_vault_survives_eight_renewals_at_once() {
    race(true);
}

#[test]
#[ignore = "needs dbus-daemon, gnome-keyring-daemon and Python"]
fn rf_1_plaintext_login_survives_eight_renewals_at_once() {
    race(false);
}

#[test]
#[ignore = "needs dbus-daemon, gnome-keyring-daemon and Python"]
fn renewal_reaches_contexts_that_share_the_refresh_token() {
    for in_vault in [true, false] {
        let world = World::new();
        let [own, other, third] = [world.service.domain(), "localhost:1".to_owned(), "localhost:2".to_owned()];
        if !in_vault {
            for domain in [&own, &other, &third] {
                fs::write(world.look_at(domain).marker(), "").unwrap();
            }
        }
        // The last login is written to all of them.
        for domain in [&third, &other, &own] {
            world.log_in(domain, ADA, STALE);
        }
        // Of another person, although of the same tenant.
        let theirs = (format!("Bearer {}", world.service.access_token(&json!({}))), "v1.theirs");
        world.peer(&["save", &third, &theirs.0, theirs.1]);
        let renewed = format!("Bearer {}", world.token_of(ADA));
        for domain in [&own, &other] {
            let login = world.peer(&["read", domain]);
            assert_eq!(login[0], json!(renewed), "{domain} {in_vault}");
            assert!(world.service.live_refresh_tokens().contains(&login[1].as_str().unwrap().to_owned()));
            assert_eq!(world.look_at(domain).fields() == POINTER, in_vault);
        }
        assert_eq!(world.peer(&["read", &third]), json!([theirs.0, theirs.1]), "{in_vault}");
    }
}

/// Numbers that a seed repeats (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

#[expect(clippy::disallowed_methods, reason = "a long run, and the same run once more, are asked for by hand")]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

fn seed() -> u64 {
    let mut bytes = [0; 4];
    SystemRandom::new().fill(&mut bytes).unwrap();
    number("VAULT_SEED").unwrap_or_else(|| u32::from_be_bytes(bytes).into())
}

/// The commands of which one is killed.
const VICTIMS: [&[&str]; 6] = [
    &["auth", "token"],
    &["peer", "token"],
    &["login", "--token-login", "TOKEN", "--workspace", "Punched Cards"],
    &["login", "--token-login", "TOKEN", "--workspace", "Punched Cards", "--insecure-storage"],
    &["logout"],
    &["peer", "logout"],
];

#[test]
#[ignore = "needs dbus-daemon, gnome-keyring-daemon and Python"]
fn login_survives_programs_killed_at_random() {
    let (seed, rounds, begin) = (seed(), number("VAULT_ROUNDS"), Instant::now());
    println!("VAULT_SEED={seed}");
    let mut dice = Dice(seed);
    let world = World::new();
    // A response that died with its program is asked for again, which the issuer allows for a while.
    world.service.set(|options| options.overlap = 3600);
    let marker = world.look().marker();
    let (mut round, mut killed) = (0, 0);
    while rounds.map_or_else(|| begin.elapsed() < BOUND, |rounds| round < rounds) {
        round += 1;
        killed += u64::from(one_is_killed(&world, &marker, &mut dice, &format!("VAULT_SEED={seed}, round {round}")));
    }
    println!("{round} rounds, {killed} killed");
    assert!(killed > 0);
}

/// Returns `true` if the victim was killed before it ended.
fn one_is_killed(world: &World, marker: &Path, dice: &mut Dice, told: &str) -> bool {
    let in_vault = dice.below(2) == 0;
    if in_vault {
        drop(fs::remove_file(marker));
    } else {
        fs::write(marker, "").unwrap();
    }
    world.log_in(&world.service.domain(), ADA, STALE);
    let token = world.service.access_token(&json!({"sub": format!("auth0|{GRACE}")}));
    let victim = VICTIMS[usize::try_from(dice.below(6)).unwrap()];
    let words: Vec<&str> = victim.iter().map(|word| if *word == "TOKEN" { &token } else { *word }).collect();
    // A renewal of the peer's is not told of the peer's logout, and stores the login again.
    let other = if victim == ["peer", "logout"] { ["auth", "token"] } else { ["peer", "token"] };
    let mut running = at_once(world, &[&words, &["auth", "token"], &other]);
    let within = if dice.below(3) == 0 { 400 } else { 100 };
    thread::sleep(Duration::from_millis(dice.below(within)));
    drop(running[0].kill());
    let outputs = running.into_iter().map(|child| child.wait_with_output().unwrap());
    let outputs: Vec<Output> = outputs.collect();
    let codes: Vec<Option<i32>> = outputs.iter().map(|output| output.status.code()).collect();
    let said = outputs.iter().map(text).collect::<String>();
    let told = format!("{told}: {victim:?}, in the vault: {in_vault}, {codes:?}\n{said}\n{}", world.config());

    let (out, login) = (victim.ends_with(&["logout"]), victim[0] == "login");
    let ours = world.astro(&["auth", "token"]);
    let theirs = world.peer(&["read", &world.service.domain()]);
    match ours.status.code() {
        Some(0) => {
            let printed = String::from_utf8(ours.stdout).unwrap();
            let person = astro_login::jwt::Unverified::parse(printed.trim_end()).unwrap().subject().unwrap().to_owned();
            assert!(person.contains(ADA) || login && person.contains(GRACE), "{told}");
            assert!(!login || codes[0] != Some(0) || person.contains(GRACE), "{told}");
            // Astro CLI 2 takes no lock to log out, so a renewal of its own may store the login again.
            assert!(victim != ["logout"] || codes[0] != Some(0), "{told}");
            assert_eq!(theirs[0].as_str(), Some(format!("Bearer {}", printed.trim_end()).as_str()), "{told}");
        }
        Some(4) => assert!(out && theirs.is_null(), "{told}{}", text(&ours)),
        _ => panic!("{told}{}", text(&ours)),
    }
    assert!(out || codes[1..] == [Some(0), Some(0)], "{told}");
    assert_eq!(world.service.replays(), 0, "{told}");
    codes[0].is_none()
}
