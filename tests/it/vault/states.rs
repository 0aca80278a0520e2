//! Each state of the two fields, and each command of ours on it.

use std::fs;

use serde_json::json;

use super::{ADA, COMMANDS, FIXTURES, FRESH, GRACE, POINTER, World, compare, text};

#[test]
#[ignore = "needs dbus-daemon, gnome-keyring-daemon and Python"]
fn peer_agrees_with_vectors() {
    assert_eq!(World::bare().peer(&["vectors", &format!("{FIXTURES}/vault-vectors.json")]), json!(3));
}

#[test]
#[ignore = "needs dbus-daemon, gnome-keyring-daemon and Python"]
fn peer_moves_plaintext_login_in_unless_marked() {
    let world = World::with_login(FRESH);
    let (token, domain) = (format!("Bearer {}", world.peer_token()), world.service.domain());
    let cases = [(false, "", true), (false, "older", false), (true, "", false)];
    for (marked, entry, moved) in cases {
        let look = world.look();
        drop(fs::remove_file(look.marker()));
        if marked {
            fs::write(look.marker(), "").unwrap();
        }
        if entry.is_empty() {
            drop(fs::remove_file(look.file()));
        }
        let refresh = format!("v1.shared{entry}");
        world.set_fields(&token, &refresh);
        assert_eq!(world.peer(&["resolve", &domain]), json!([token, refresh]));
        let now = world.look();
        assert_eq!((now.fields() == POINTER, now.marker().exists()), (moved, !moved), "{marked} {entry}");
    }
    world.peer(&["logout", &domain]);
    assert_eq!((world.look().fields(), world.look().entry()), (("", ""), None));
}

/// A state: its name and how it comes from a login of Ada in the vault, whose tokens are given.
type State = (&'static str, fn(&World, [&str; 2]));

const STATES: [State; 8] = [
    ("vault", |_, _| ()),
    ("vault, no entry", |world, _| fs::remove_file(world.look().file()).unwrap()),
    ("signed out", |world, _| {
        world.set_fields("''", "''");
        fs::remove_file(world.look().file()).unwrap();
    }),
    ("signed out, entry left", |world, _| world.set_fields("''", "''")),
    ("plain", |world, [token, refresh]| {
        world.set_fields(token, refresh);
        fs::remove_file(world.look().file()).unwrap();
    }),
    ("plain, marker", |world, [token, refresh]| {
        world.set_fields(token, refresh);
        fs::rename(world.look().file(), world.look().marker()).unwrap();
        world.mark();
    }),
    ("plain, entry left", |world, [token, refresh]| world.set_fields(token, refresh)),
    ("Bearer and refresh token", |world, [_, refresh]| world.set_fields("'Bearer '", refresh)),
];

#[test]
#[ignore = "needs dbus-daemon, gnome-keyring-daemon and Python"]
fn each_command_in_each_state_of_two_fields() {
    let world = World::new();
    let new = world.service.access_token(&json!({"sub": format!("auth0|{GRACE}")}));
    let (mut cases, mut said) = (Vec::new(), String::new());
    for (state, make) in STATES {
        let mut seen = String::new();
        drop(fs::remove_dir_all(world.folder()));
        drop(fs::remove_file(world.config_path()));
        let old = world.log_in(&world.service.domain(), ADA, FRESH);
        let [old_token, old_refresh] = [&old["access_token"], &old["refresh_token"]].map(|it| it.as_str().unwrap());
        make(&world, [&format!("Bearer {old_token}"), old_refresh]);
        let before = world.bytes();
        for command in COMMANDS {
            world.restore(&before);
            let revoked = world.revoked().len();
            let output = world.run(command, &new);
            let printed = String::from_utf8(output.stdout.clone()).unwrap();
            let live = world.service.live_refresh_tokens().pop().unwrap_or_default();
            let mut names = vec![(old_token, "ada"), (&*new, "grace"), (old_refresh, "v1.ada")];
            let renews = (state, command) == ("Bearer and refresh token", "token");
            names.extend(
                renews.then_some([(printed.trim_end(), "renewed"), (&live, "v1.renewed")]).into_iter().flatten(),
            );
            let told = world.told(&output, &before, &names);
            let revoked = if world.revoked().len() > revoked { ", revoked" } else { "" };
            seen += &["    ", command, ": ", &told, revoked, "\n"].concat();
            said += &["--- ", state, ": ", command, "\n", &text(&output)].concat();
            if (command, output.status.code()) == ("token", Some(0)) && !renews {
                assert_eq!(printed, format!("{old_token}\n"));
            }
        }
        cases.push((state, seen));
    }
    compare("vault-states.txt", &cases, &said);
}
