//! A place that cannot be written: the doctor foresees it, and a login fails before the link is shown.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use serde_json::{Value, json};

use crate::support::Stage;
use crate::support::binary::{Astro, Output};

/// Root, too, keeps to the permissions like this.
const AS_ANYBODY: &[&str] = &["/usr/bin/setpriv", "--bounding-set=-all", "--inh-caps=-all"];
const NO_LOCKS: &[&str] =
    &["/usr/bin/strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=flock", "-e", "inject=flock:error=ENOLCK"];

const WRITE_HINT: &str = "check that you may write there and that the disk is not full";

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn astro(stage: &Stage, through: &[&str]) -> Astro {
    Astro::at(&stage.home).with("ASTRO_DOMAIN", &stage.service.domain()).through(through)
}

/// Neither kind of login shows a link or sends a token, and the doctor says the same.
#[track_caller]
fn check_foreseen(stage: &Stage, through: &[&str], told: &str, hint: &str) {
    let before = stage.home.config();
    for arguments in [&["login", "-l", "--insecure-storage"][..], &["login", "-t", "-", "--insecure-storage"]] {
        let token = stage.service.access_token(&json!({}));
        let Output { stdout, stderr, code } = astro(stage, through).stdin(&token).run(arguments);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{arguments:?} {stderr}");
        assert!(stderr.contains(told) && stderr.ends_with(&format!("hint: {hint}\n")), "{told}: {stderr}");
    }
    let is_private = |path: &str| path.starts_with("/api") || path.contains("userinfo") || path.contains("token");
    assert!(!stage.request_log().iter().any(|it| is_private(it)), "{:?}", stage.request_log());
    let output = astro(stage, through).run(&["auth", "doctor", "--json"]);
    let report: Value = serde_json::from_str(&output.stdout).unwrap();
    let config = report["checks"].as_array().unwrap().iter().find(|check| check["name"] == "config").unwrap();
    assert_eq!((output.code, config["outcome"].as_str()), (Some(1), Some("fail")), "{report:#}");
    assert!(config["detail"].as_str().unwrap().starts_with(told), "{told}: {report:#}");
    assert_eq!(config["advice"], hint, "{report:#}");
    assert_eq!(stage.home.config(), before);
}

#[test]
#[ignore = "gives capabilities away, so it needs a user namespace of its own"]
fn unwritable_place_stops_login_before_link() {
    for with_lock in [false, true] {
        // A folder that is closed for writing, with and without settings in it.
        for text in [None, Some("show_warnings: \"true\"\n")] {
            let stage = Stage::new();
            let folder = stage.home.path().join(".astro");
            if let Some(text) = text {
                stage.home.write_config(text);
            }
            if with_lock {
                fs::write(folder.join("config.yaml.lock"), "").unwrap();
            }
            set_mode(&folder, 0o500);
            let told = format!("could not write {}", folder.display());
            check_foreseen(&stage, AS_ANYBODY, &told, WRITE_HINT);
        }
        // A link to a file in such a folder, which can be replaced no more than written.
        let stage = Stage::new();
        let store = stage.home.path().join("store");
        fs::create_dir(&store).unwrap();
        let file = store.join("settings.yaml");
        fs::write(&file, "show_warnings: \"true\"\n").unwrap();
        set_mode(&file, 0o444);
        set_mode(&store, 0o555);
        symlink(&file, stage.home.config_path()).unwrap();
        check_foreseen(&stage, AS_ANYBODY, &format!("could not write {}", store.display()), WRITE_HINT);
    }
    // A home in which `.astro` cannot be created.
    let stage = Stage::new();
    fs::remove_dir(stage.home.path().join(".astro")).unwrap();
    set_mode(stage.home.path(), 0o500);
    let told = format!("could not write {}", stage.home.path().join(".astro").display());
    check_foreseen(&stage, AS_ANYBODY, &told, WRITE_HINT);
}

#[test]
#[ignore = "needs strace"]
fn disk_without_locks_stops_login_before_link() {
    for text in [None, Some("show_warnings: \"true\"\n")] {
        let stage = Stage::new();
        if let Some(text) = text {
            stage.home.write_config(text);
        }
        let told = format!("could not lock {}", stage.home.path().join(".astro").display());
        check_foreseen(&stage, NO_LOCKS, &told, "set ASTRO_HOME to a folder on a disk of this machine");
        // What only reads works without locks.
        let login = stage.earlier_login(3600);
        stage.keep_in_config(&login);
        let token = astro(&stage, NO_LOCKS).run(&["auth", "token"]);
        assert_eq!((token.code, token.stdout), (Some(0), format!("{}\n", login.access.expose())));
    }
}
