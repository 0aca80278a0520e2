//! A file system that is full, read-only, locked or of the wrong kind: the error names path and remedy, nothing is
//! lost, and no token is spent that could not be stored.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use astro_login::commands::login::Login;
use astro_login::credentials::Credentials;
use serde_json::json;

use crate::support::binary::{Astro, Output, Running};
use crate::support::{Mode, Options, Stage, TestHome};

const ENDED: i64 = -3600;
const ENDS_SOON: i64 = 200;
const FRESH: i64 = 3600;

/// Returns a home with a login of Ada by the Go CLI, and that login. Grace is the next person in the browser.
fn logged_in(seconds: i64) -> (Stage, Credentials) {
    let stage = Stage::with(Options::default(), Mode::LogIn("grace@example.org".to_owned()));
    let login = stage.earlier_login(seconds);
    stage.keep_in_config(&login);
    (stage, login)
}

fn folder(stage: &Stage) -> PathBuf {
    stage.home.path().join(".astro")
}

/// The lock of Astro CLI 2's renewals, under which a login in config.yaml is renewed.
const RENEWAL_LOCK: &str = "config.yaml.renew.lock";

/// The names of the lock of the settings, and of the lock of the login.
fn locks(stage: &Stage) -> [String; 2] {
    ["config.yaml.lock".to_owned(), format!("{}.refresh.lock", stage.service.domain().replace(':', "_"))]
}

fn start(stage: &Stage, arguments: &[&str]) -> Running {
    let token = stage.service.access_token(&json!({}));
    Astro::at(&stage.home).with("ASTRO_DOMAIN", &stage.service.domain()).stdin(&token).start(arguments)
}

fn run(stage: &Stage, arguments: &[&str]) -> Output {
    start(stage, arguments).finish()
}

const LOGIN: &[&str] = &["login", "--token-login", "-", "--insecure-storage"];
const TOKEN: &[&str] = &["auth", "token"];
const LOGOUT: &[&str] = &["logout"];

/// The error, its causes and its hint name the path and what to do.
#[track_caller]
fn check_told(output: &Output, what: &str, hint: &str) {
    assert_eq!((output.code, output.stdout.as_str()), (Some(1), ""), "{output:?}");
    assert!(output.stderr.contains(what) && output.stderr.ends_with(&format!("hint: {hint}\n")), "{what}\n{output:?}");
}

type Make = fn(&Path);

fn mkfifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn config_that_is_no_file_fails_without_waiting() {
    let odd: [(_, Make); 4] = [
        ("is not a file", |path| fs::create_dir(path).unwrap()),
        ("is not a file", mkfifo),
        ("is not a file", |path| symlink("/dev/zero", path).unwrap()),
        ("is larger than 16 MiB", |path| File::create(path).unwrap().set_len(1 << 30).unwrap()),
    ];
    for (told, make) in odd {
        let stage = Stage::new();
        make(&stage.home.config_path());
        for arguments in [LOGIN, TOKEN] {
            let output = run(&stage, arguments);
            check_told(&output, &format!("{} {told}\n", stage.home.config_path().display()), "move it away");
        }
        let logout = run(&stage, LOGOUT);
        assert_eq!(logout.code, Some(1), "{logout:?}");
        assert!(logout.stderr.contains(told), "{logout:?}");
        assert_eq!(stage.service.requests(), []);
    }
}

#[test]
fn lock_that_is_no_file_fails_without_loss() {
    let makes: [Make; 3] =
        [|path| fs::create_dir(path).unwrap(), mkfifo, |path| symlink("/nonexistent/lock", path).unwrap()];
    for make in makes {
        for refresh in [false, true] {
            for (seconds, arguments) in [(ENDED, TOKEN), (ENDED, LOGIN), (ENDS_SOON, TOKEN)] {
                let (stage, old) = logged_in(seconds);
                let lock = folder(&stage).join(&locks(&stage)[usize::from(refresh)]);
                make(&lock);
                let before = stage.home.config();
                let output = run(&stage, arguments);
                if seconds == ENDED {
                    check_told(&output, &format!("{} is not a file\n", lock.display()), "move it away");
                } else {
                    let printed = format!("{}\n", old.access.expose());
                    assert_eq!((output.code, output.stdout), (Some(0), printed));
                }
                assert_eq!((stage.service.token_requests(), stage.home.config()), (vec![], before));
            }
        }
    }
}

#[test]
fn file_in_place_of_folder_is_named() {
    for below in ["", "/.astro"] {
        let stage = Stage::new();
        let home = stage.home.path().join("home");
        let file = PathBuf::from(format!("{}{below}", home.display()));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "").unwrap();
        for arguments in [LOGIN, TOKEN, &["organization", "list"]] {
            let astro = Astro::at(&stage.home).with("ASTRO_HOME", home.to_str().unwrap());
            let token = stage.service.access_token(&json!({}));
            let output = astro.with("ASTRO_DOMAIN", &stage.service.domain()).stdin(&token).run(arguments);
            let hint = "move it away, or set ASTRO_HOME to a folder of your own";
            check_told(&output, &format!("error: {} is not a folder\n", file.display()), hint);
        }
        assert_eq!(stage.service.requests(), []);
    }
}

#[test]
fn missing_home_is_created_and_unset_home_unneeded() {
    let stage = Stage::new();
    let missing = stage.home.path().join("not/yet");
    let token = stage.service.access_token(&json!({}));
    let astro = || Astro::at(&stage.home).with("ASTRO_DOMAIN", &stage.service.domain()).stdin(&token);
    let at = |name, value: &Path| astro().without("HOME").without("ASTRO_HOME").with(name, value.to_str().unwrap());
    for (name, home) in [("HOME", missing.join("a")), ("ASTRO_HOME", missing.join("b"))] {
        // The folder of other programs' temporary files does not matter.
        let login = at(name, &home).with("TMPDIR", "/nonexistent").run(LOGIN);
        assert_eq!(login.code, Some(0), "{login:?}");
        assert_eq!(at(name, &home).run(TOKEN).stdout, format!("{token}\n"));
        let mode = fs::metadata(home.join(".astro")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}

#[test]
#[ignore = "waits for half a minute"]
fn lock_held_by_other_process_times_out_without_loss() {
    let cases = [false, true].into_iter().flat_map(|refresh| {
        [(ENDS_SOON, TOKEN), (ENDED, TOKEN), (FRESH, LOGIN), (FRESH, LOGOUT)].map(|case| (refresh, case))
    });
    let running: Vec<_> = cases
        .map(|(refresh, (seconds, arguments))| {
            let (stage, old) = logged_in(seconds);
            let path = folder(&stage).join(&locks(&stage)[usize::from(refresh)]);
            let lock = File::create(&path).unwrap();
            lock.lock().unwrap();
            let before = stage.home.config();
            let child = start(&stage, arguments);
            (refresh, seconds, arguments, stage, old, path, lock, before, child)
        })
        .collect();
    for (refresh, seconds, arguments, stage, old, path, lock, before, child) in running {
        let waited = if refresh { 30 } else { 10 };
        let output = child.finish();
        let told = format!("{} has been locked by another program for {waited} seconds", path.display());
        let context = format!("{arguments:?} {seconds} {refresh} {output:?}");
        if arguments == LOGOUT {
            // Entries outside of the locked file are removed. The login has ended either way.
            assert!(output.code == Some(1) && output.stderr.contains(&told), "{context}");
            assert_eq!(stage.service.live_refresh_tokens(), [""; 0]);
        } else {
            if seconds == ENDS_SOON {
                assert_eq!((output.code, output.stdout), (Some(0), format!("{}\n", old.access.expose())), "{context}");
            } else {
                check_told(&output, &told, "wait until other astro commands are done");
            }
            assert_eq!((stage.service.token_requests(), stage.home.config()), (vec![], before), "{context}");
            // After the repair the login works.
            drop(lock);
            let token = run(&stage, TOKEN);
            assert_eq!((token.code, token.stdout == format!("{}\n", old.access.expose())), (Some(0), seconds == FRESH));
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Full,
    NoInodes,
    ReadOnly,
}

/// A small file system at `.astro`, gone when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Moves what is in the folder to a file system of its own, and lets the trouble begin.
    fn with(trouble: Trouble, stage: &Stage) -> Self {
        let disk = Self::before(trouble, stage);
        begin(trouble, &disk.0);
        disk
    }

    fn before(trouble: Trouble, stage: &Stage) -> Self {
        let (folder, config) = (folder(stage), stage.home.config().unwrap());
        let inodes = if trouble == Trouble::NoInodes { "nr_inodes=6" } else { "nr_inodes=50" };
        mount(&["-t", "tmpfs", "-o", &format!("size=64k,mode=700,{inodes}"), "tmpfs"], &folder);
        let disk = Self(folder);
        stage.home.write_config(&config);
        for lock in locks(stage).iter().map(String::as_str).chain([RENEWAL_LOCK]) {
            File::create(disk.0.join(lock)).unwrap();
        }
        disk
    }

    fn repair(&self) {
        mount(&["-o", "remount,rw"], &self.0);
        let _ = fs::remove_file(self.0.join("filler"));
    }
}

fn begin(trouble: Trouble, folder: &Path) {
    match trouble {
        Trouble::Full => assert!(fs::write(folder.join("filler"), vec![0; 128 * 1024]).is_err()),
        Trouble::NoInodes => {
            fs::write(folder.join("filler"), "").unwrap();
            assert!(fs::write(folder.join("one too many"), "").is_err());
        }
        Trouble::ReadOnly => mount(&["-o", "remount,ro"], folder),
    }
}

fn mount(arguments: &[&str], folder: &Path) {
    assert!(Command::new("mount").args(arguments).arg(folder).status().unwrap().success(), "{arguments:?}");
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

const TROUBLES: [(Trouble, &str); 3] = [
    (Trouble::Full, "No space left on device (os error 28)"),
    (Trouble::NoInodes, "No space left on device (os error 28)"),
    (Trouble::ReadOnly, "Read-only file system (os error 30)"),
];

const WRITE_HINT: &str = "check that you may write there and that the disk is not full";

#[test]
#[ignore = "mounts file systems, so it needs a mount namespace of its own"]
fn rf_2_unstorable_refresh_spends_nothing() {
    for (trouble, cause) in TROUBLES {
        for seconds in [ENDS_SOON, ENDED] {
            let (stage, old) = logged_in(seconds);
            let before = stage.home.config();
            let disk = SmallDisk::with(trouble, &stage);
            let output = run(&stage, TOKEN);
            if seconds == ENDS_SOON {
                let printed = format!("{}\n", old.access.expose());
                assert_eq!((output.code, output.stdout, output.stderr.as_str()), (Some(0), printed, ""), "{trouble:?}");
            } else {
                check_told(&output, &format!("error: could not write {}", disk.0.display()), WRITE_HINT);
                assert!(output.stderr.contains(&format!("\ncause: {cause}")), "{output:?}");
            }
            assert_eq!((stage.service.token_requests(), stage.home.config()), (vec![], before), "{trouble:?}");
            disk.repair();
            let output = run(&stage, TOKEN);
            assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{trouble:?}");
            assert_ne!(output.stdout.trim_end(), old.access.expose());
            let mut names: Vec<_> = fs::read_dir(&disk.0).unwrap().map(|it| it.unwrap().file_name()).collect();
            names.sort();
            let [lock, refresh_lock] = locks(&stage);
            assert_eq!(names, ["config.yaml", &lock, RENEWAL_LOCK, &refresh_lock]);
        }
    }
}

#[tokio::test]
#[ignore = "mounts file systems, so it needs a mount namespace of its own"]
async fn unstorable_login_revoked_and_earlier_login_kept() {
    for (trouble, cause) in TROUBLES {
        for insecure_storage in [false, true] {
            let (mut stage, old) = logged_in(FRESH);
            let before = stage.home.config();
            let disk = SmallDisk::before(trouble, &stage);
            // Behind the user's back: the login was prepared.
            let folder = disk.0.clone();
            stage.before_visit = Arc::new(move || begin(trouble, &folder));
            let outcome = stage.login(&Login { insecure_storage, ..stage.request() }).await;
            let error_chain = outcome.error_chain();
            let told = format!("could not log in to {}\ncould not write {}", stage.service.domain(), disk.0.display());
            assert!(outcome.exit_code() == 1 && error_chain.starts_with(&told), "{error_chain}");
            assert!(error_chain.lines().last().unwrap().starts_with(cause), "{error_chain}");
            assert_eq!(outcome.result.unwrap_err().hint().as_deref(), Some(WRITE_HINT));
            assert_eq!((stage.stored(), stage.home.config()), (None, before));
            assert_eq!(stage.service.live_refresh_tokens(), [old.refresh.unwrap().expose()], "{trouble:?}");
            assert_eq!(run(&stage, TOKEN).stdout, format!("{}\n", old.access.expose()));
        }
    }
}

#[test]
#[ignore = "mounts file systems, so it needs a mount namespace of its own"]
fn rf_12_unwritable_logout_names_rest_and_is_repeatable() {
    for (trouble, cause) in TROUBLES {
        let (stage, _) = logged_in(FRESH);
        let before = stage.home.config();
        let disk = SmallDisk::with(trouble, &stage);
        let output = run(&stage, LOGOUT);
        assert_eq!((output.code, stage.home.config()), (Some(1), before), "{output:?}");
        let domain = stage.service.domain();
        let told = format!(
            "warning: could not remove the login to {domain} from config.yaml: could not write {}",
            disk.0.display()
        );
        assert!(output.stderr.contains(&told) && output.stderr.contains(cause), "{output:?}");
        assert_eq!(stage.service.live_refresh_tokens(), [""; 0], "it is revoked all the same");
        disk.repair();
        assert_eq!(run(&stage, LOGOUT).code, Some(0));
        assert!(!stage.home.config().unwrap().contains("Bearer"), "{trouble:?}");
        assert_eq!(run(&stage, TOKEN).code, Some(4));
    }
}

/// Root, too, keeps to the permissions like this.
const AS_ANYBODY: &[&str] = &["/usr/bin/setpriv", "--bounding-set=-all", "--inh-caps=-all"];

/// The doctor says of config.yaml, by name and without writing anything, what a login would say; and its cause.
#[track_caller]
fn check_foreseen(stage: &Stage, astro: Astro, told: &str, cause: &str) {
    let before = stage.home.config();
    let output = astro.run(&["auth", "doctor", "--json", "--domain", &stage.service.domain()]);
    let report: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let config = checks.iter().find(|check| check["name"] == "config").unwrap();
    let (outcome, detail) = (config["outcome"].as_str().unwrap(), config["detail"].as_str().unwrap());
    assert_eq!((output.code, outcome), (Some(1), "fail"), "{report:#}");
    assert!(detail.starts_with(told) && detail.ends_with(cause), "{detail} is not {told}…{cause}");
    assert_eq!(stage.home.config(), before);
}

#[test]
#[ignore = "mounts file systems, so it needs a mount namespace of its own"]
fn doctor_finds_unwritable_disk() {
    for (trouble, cause) in TROUBLES {
        let (stage, _) = logged_in(FRESH);
        let disk = SmallDisk::with(trouble, &stage);
        let told = format!("could not write {}", disk.0.display());
        check_foreseen(&stage, Astro::at(&stage.home), &told, cause);
    }
}

#[test]
#[ignore = "gives capabilities away, so it needs a user namespace of its own"]
fn forbidden_file_fails_without_loss() {
    let table = [
        ("config.yaml", 0o000, "could not read", "check that you may read it"),
        (".", 0o555, "could not write", WRITE_HINT),
        ("config.yaml.lock", 0o444, "could not write", WRITE_HINT),
    ];
    for (name, mode, told, hint) in table {
        let (stage, old) = logged_in(ENDED);
        let before = stage.home.config();
        for lock in locks(&stage) {
            File::create(folder(&stage).join(lock)).unwrap();
        }
        let path = folder(&stage).join(name);
        let normal = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        for arguments in [TOKEN, LOGIN] {
            let token = stage.service.access_token(&json!({}));
            let astro = Astro::at(&stage.home).with("ASTRO_DOMAIN", &stage.service.domain()).stdin(&token);
            let output = astro.through(AS_ANYBODY).run(arguments);
            check_told(&output, &format!("{told} {}", folder(&stage).display()), hint);
            assert!(output.stderr.contains("\ncause: Permission denied (os error 13)"), "{output:?}");
        }
        let told = format!("{told} {}", folder(&stage).display());
        check_foreseen(&stage, Astro::at(&stage.home).through(AS_ANYBODY), &told, "Permission denied (os error 13)");
        fs::set_permissions(&path, normal).unwrap();
        assert_eq!((stage.service.token_requests(), stage.home.config()), (vec![], before), "{name}");
        let output = run(&stage, TOKEN);
        assert_eq!(output.code, Some(0), "{output:?}");
        assert_ne!(output.stdout.trim_end(), old.access.expose());
    }
}

#[test]
#[ignore = "needs a user that no list of users knows, so a user namespace of its own"]
fn no_home_at_all_fails() {
    let home = TestHome::new();
    let hint = "set HOME, or set ASTRO_HOME to the folder that contains `.astro`";
    let nobody = ["/usr/bin/unshare", "--user", "--map-user=54321"];
    let astro = Astro::at(&home).without("HOME").without("ASTRO_HOME").through(&nobody);
    check_told(&astro.run(&["auth", "status"]), "error: could not find the home directory\n", hint);
}
