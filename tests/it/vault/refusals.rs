//! A vault that must not be read or written: the command says why, and leaves every byte of it as it was.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use zbus::zvariant::{OwnedObjectPath, Value};

use super::{ADA, COMMANDS, FRESH, GRACE, Look, STALE, World, compare, rewrite, text};

/// Another value of Astro CLI 2's, of which only the envelope matters.
const OTHER: &str = r#"{"key":"env:deployment","value":"ENVELOPE"}"#;

fn envelope(look: &Look, change: fn(&str) -> String) {
    rewrite(&look.file(), |text| {
        let (head, envelope) = text.strip_suffix("\"}").unwrap().rsplit_once('"').unwrap();
        format!("{head}\"{}\"}}", change(envelope))
    });
}

fn mode(world: &World, mode: u32) {
    fs::set_permissions(world.folder(), fs::Permissions::from_mode(mode)).unwrap();
}

fn put_elsewhere(world: &World) {
    fs::rename(world.folder(), world.session.path("elsewhere")).unwrap();
}

/// Changes the one master key to one that did not encrypt the entry, or removes it.
fn master_key(world: &World, value: Option<&[u8]>) {
    let mut tool = world.session.command("secret-tool");
    assert!(tool.args(["clear", "service", "astro", "username", "master-key"]).status().unwrap().success());
    if let Some(value) = value {
        put_key(world, "/org/freedesktop/secrets/collection/login", value);
    }
}

/// Stores an item with the attributes of the master key in this collection.
fn put_key(world: &World, collection: &str, value: &[u8]) {
    let connection = world.session.connection();
    let service = Some("org.freedesktop.secrets");
    let secret = |name: &str| format!("org.freedesktop.Secret.{name}");
    let open = ("plain", Value::from(""));
    let root = "/org/freedesktop/secrets";
    let reply = connection.call_method(service, root, Some(secret("Service").as_str()), "OpenSession", &open).unwrap();
    let (_, session): (zbus::zvariant::OwnedValue, OwnedObjectPath) = reply.body().deserialize().unwrap();
    let attributes = HashMap::from([("service", "astro"), ("username", "master-key")]);
    let (label, attributes_name) = (secret("Item.Label"), secret("Item.Attributes"));
    let properties = HashMap::from([(label.as_str(), Value::from("x")), (&attributes_name, Value::from(attributes))]);
    let arguments = (properties, (session, Vec::<u8>::new(), value.to_vec(), "text/plain"), true);
    connection.call_method(service, collection, Some(secret("Collection").as_str()), "CreateItem", &arguments).unwrap();
}

type Fault = (&'static str, fn(&World, &Look));

const FAULTS: [Fault; 16] = [
    ("enc:v3", |_, look| envelope(look, |it| it.replace("enc:v2:", "enc:v3:"))),
    ("enc:v3 in another value", |world, _| {
        fs::write(world.folder().join("0.json"), OTHER.replace("ENVELOPE", "enc:v3:x")).unwrap();
    }),
    ("enc:v1 that does not open", |_, look| envelope(look, |it| format!("enc:v1:{}", &it[24..]))),
    ("no envelope", |_, look| envelope(look, |_| "text".to_owned())),
    ("foreign key id", |_, look| envelope(look, |it| format!("enc:v2:0123456789abcdef:{}", &it[24..]))),
    ("tampered tag", |_, look| {
        envelope(look, |it| {
            let at = it.len() - 8;
            let other = if &it[at..=at] == "A" { "B" } else { "A" };
            format!("{}{other}{}", &it[..at], &it[at + 1..])
        });
    }),
    ("truncated", |_, look| rewrite(&look.file(), |text| text[..text.len() / 2].to_owned())),
    ("entry of another key", |_, look| {
        rewrite(&look.file(), |text| text.replace("\"key\":\"login:", "\"key\":\"login:0"));
    }),
    ("orphaned", |world, _| {
        fs::write(world.folder().join("0.json"), OTHER.replace("ENVELOPE", "enc:v2:0123456789abcdef:AAAA")).unwrap();
        master_key(world, None);
    }),
    ("another master key", |world, _| master_key(world, Some(b"BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU="))),
    ("damaged master key", |world, _| master_key(world, Some(b"BQUF"))),
    ("mode 0750", |world, _| mode(world, 0o750)),
    ("mode 0777", |world, _| mode(world, 0o777)),
    ("link", |world, _| {
        put_elsewhere(world);
        symlink(world.session.path("elsewhere"), world.folder()).unwrap();
    }),
    ("file", |world, _| {
        put_elsewhere(world);
        fs::write(world.folder(), "").unwrap();
    }),
    ("two collections", |world, _| put_key(world, "/org/freedesktop/secrets/collection/session", b"BQUF")),
];

#[test]
#[ignore = "needs dbus-daemon, gnome-keyring-daemon and Python"]
fn vault_that_is_not_sound_keeps_every_byte() {
    let (mut cases, mut said) = (Vec::new(), String::new());
    for (fault, make) in FAULTS {
        let mut seen = String::new();
        let world = World::with_login(FRESH);
        let new = world.service.access_token(&json!({"sub": format!("auth0|{GRACE}")}));
        let look = world.look();
        make(&world, &look);
        let (token, refresh) = look.entry().unwrap();
        let names = [(token, "ada"), (&new, "grace"), (refresh, "v1.ada")];
        for command in COMMANDS {
            let before = world.bytes();
            let output = world.run(command, &new);
            // The peer closes an open folder, and would hide what became of it.
            let mode = fs::symlink_metadata(world.folder()).unwrap().permissions().mode();
            let told = world.told(&output, &before, &names);
            fs::set_permissions(world.folder(), fs::Permissions::from_mode(mode)).unwrap_or_default();
            seen += &["    ", command, ": ", &told, "\n"].concat();
            said += &["--- ", fault, ": ", command, "\n", &text(&output)].concat();
        }
        cases.push((fault, seen));
    }
    compare("vault-refusals.txt", &cases, &said);
}

/// The keyring is locked, gone or silent: nothing is read, and nothing but a logout changes anything.
#[test]
#[ignore = "needs dbus-daemon, gnome-keyring-daemon and Python"]
fn vault_without_its_keyring_is_never_no_login() {
    for fault in ["locked", "absent", "silent bus", "silent"] {
        let mut world = World::with_login(STALE);
        let new = world.service.access_token(&json!({}));
        let (look, before) = (world.look(), world.bytes());
        let mut silent = None;
        match fault {
            "silent" => world.session.pause_keyring(true),
            "silent bus" => {
                world.session.stop_bus();
                fs::remove_file(world.session.path("bus")).unwrap();
                silent = Some(UnixListener::bind(world.session.path("bus")).unwrap());
            }
            _ => world.session.stop_keyring(),
        }
        if fault == "locked" {
            world.session.start_keyring(false);
        }
        for command in ["status", "token", "doctor"] {
            let output = world.run(command, &new);
            let code = if command == "doctor" { output.status.code() } else { Some(1) };
            assert_eq!(
                (output.status.code(), world.bytes()),
                (code, before.clone()),
                "{fault} {command}: {}",
                text(&output)
            );
            assert!(!text(&output).to_lowercase().contains("not logged in"), "{fault} {command}: {}", text(&output));
        }
        let output = world.run("login", &new);
        assert_eq!((output.status.code(), world.bytes() == before), (Some(1), true), "{fault}: {}", text(&output));
        let output = world.run("logout", &new);
        assert_eq!((output.status.code(), look.file().exists()), (Some(1), false), "{fault}: {}", text(&output));
        assert!(text(&output).contains("revoke"), "{fault}: {}", text(&output));
        assert_eq!((world.service.token_requests(), world.revoked()), (vec![], vec![]), "{fault}");
        drop(silent);
    }
}

fn mount(arguments: &[&str], folder: &Path) {
    assert!(Command::new("mount").args(arguments).arg(folder).status().unwrap().success(), "{arguments:?}");
}

/// The login is moved to a file system with no room left, and no token is spent.
#[test]
#[ignore = "mounts file systems, so it needs a mount namespace of its own"]
fn rf_2_full_disk_spends_no_token_of_vault() {
    for seconds in [STALE, -3600] {
        let world = World::with_login(seconds);
        let before = world.bytes();
        let folder = world.astro_folder();
        mount(&["-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs"], &folder);
        world.restore(&before);
        // As an earlier command leaves them.
        for lock in ["config.yaml.lock", "config.yaml.renew.lock"] {
            fs::write(folder.join(lock), "").unwrap();
        }
        assert!(fs::write(folder.join("filler"), vec![0; 128 * 1024]).is_err());
        let new = world.service.access_token(&json!({}));
        for command in ["token", "login", "login --insecure-storage"] {
            let output = world.run(command, &new);
            let expected = i32::from(command != "token" || seconds < 0);
            assert_eq!(output.status.code(), Some(expected), "{command} {seconds}: {}", text(&output));
            assert_eq!(
                (world.bytes() == before, world.service.token_requests()),
                (true, vec![]),
                "{command} {seconds}"
            );
        }
        fs::remove_file(folder.join("filler")).unwrap();
        world.token_of(ADA);
        assert_eq!(world.service.token_requests().len(), 1);
        drop(Command::new("umount").arg(folder).status());
    }
}
