//! Two users who are not root: the program runs as one of them, and the other has it in for the first.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use super::*;

const VICTIM: u32 = 64_001;
const ATTACKER: u32 = 64_002;

/// A home of the victim's, a folder of the attacker's, and a copy of the program that both can reach.
struct Shared {
    world: World,
    shared_folder: tempfile::TempDir,
}

impl Shared {
    fn new() -> Self {
        let shared = Self { world: World::new(), shared_folder: tempfile::tempdir().unwrap() };
        set_mode(shared.shared_folder.path(), 0o755);
        fs::copy(crate::support::binary::BINARY, shared.program()).unwrap();
        set_mode(&shared.program(), 0o755);
        fs::create_dir(shared.attacks()).unwrap();
        give(&shared.attacks(), ATTACKER);
        set_mode(shared.world.home.path(), 0o755);
        give(shared.world.home.path(), VICTIM);
        give(&shared.world.precious(), VICTIM);
        shared
    }

    fn program(&self) -> PathBuf {
        self.shared_folder.path().join("astro")
    }

    fn attacks(&self) -> PathBuf {
        self.shared_folder.path().join("attacks")
    }

    fn astro(&self) -> Astro {
        let (user, group) = (format!("--reuid={VICTIM}"), format!("--regid={VICTIM}"));
        self.world.astro().copied_to(&self.program()).through(&["/usr/bin/setpriv", &user, &group, "--clear-groups"])
    }

    fn log_in(&self) -> Output {
        log_in(self.astro())
    }

    /// A login that must fail, and put no token anywhere; what it said.
    #[track_caller]
    fn refused(&self) -> String {
        let Output { stdout, stderr, code } = self.astro().run(&["login", "-l", "--insecure-storage"]);
        assert_eq!(
            (code, stdout.as_str()),
            (Some(1), ""),
            "no link before it is certain that it can be saved: {stderr}"
        );
        for secret in self.world.service.secrets() {
            let config = self.world.home.config().unwrap_or_default();
            assert_eq!(crate::support::binary::leaked(&config, &secret), None, "{config}");
        }
        stderr
    }

    fn folder(&self, owner: u32, mode: u32) {
        fs::create_dir(self.world.folder()).unwrap();
        set_mode(&self.world.folder(), mode);
        give(&self.world.folder(), owner);
    }
}

fn give(path: &Path, user: u32) {
    chown(path, Some(user), Some(user)).unwrap();
}

fn attack(command: &str, path: &Path) -> Result<String, String> {
    let mut shell = Command::new("/bin/sh");
    // With the uid, std gives up root's other groups as well.
    shell.args(["-c", command]).arg(path).uid(ATTACKER).gid(ATTACKER).current_dir("/").env_clear();
    let output = shell.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[track_caller]
fn assert_denied(command: &str, path: &Path) {
    let outcome = attack(command, path);
    assert!(outcome.as_ref().is_err_and(|it| it.contains("Permission denied")), "{command}: {outcome:?}");
}

#[test]
#[ignore = "needs root, to be two other users"]
fn rf_10_other_user_reads_nothing() {
    let shared = Shared::new();
    assert_done("login", &shared.log_in());
    let folder = shared.world.folder();
    assert_denied("ls \"$0\"", &folder);
    assert_denied("echo x >\"$0/new\"", &folder);
    let mut seen = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        for mode in [0o700, 0o755] {
            set_mode(&folder, mode);
            assert_denied("cat \"$0\"", &path);
            assert_denied("echo x >>\"$0\"", &path);
            // A user who can open the lock could hold it forever.
            assert_denied("exec 9<\"$0\"", &path);
        }
        seen += 1;
    }
    assert_eq!(seen, 4);
    assert!(attack("cat \"$0\"", &shared.world.precious()).is_ok(), "what is open can be read");
}

#[test]
#[ignore = "needs root, to be two other users"]
fn rf_10_config_of_other_user_not_replaced() {
    for linked in [false, true] {
        let shared = Shared::new();
        shared.folder(VICTIM, 0o777);
        let config = shared.world.home.config_path();
        let file = if linked { shared.attacks().join("theirs.yaml") } else { config.clone() };
        attack("echo 'show_warnings: \"true\"' >\"$0\"; chmod 666 \"$0\"", &file).unwrap();
        if linked {
            set_mode(&shared.attacks(), 0o777);
            symlink(&file, &config).unwrap();
        }
        let said = shared.refused();
        assert!(said.contains(&format!("error: {} belongs to user {ATTACKER}\n", file.display())), "{said}");
        let hint = if linked {
            "replace the link to it with a file of your own".to_owned()
        } else {
            format!("run `sudo chown -R {VICTIM} {}`", shared.world.folder().display())
        };
        assert!(said.ends_with(&format!("hint: {hint}\n")), "{said}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "show_warnings: \"true\"\n");
        assert_eq!(fs::metadata(&file).unwrap().uid(), ATTACKER);
        assert_eq!(fs::read_dir(shared.attacks()).unwrap().count(), usize::from(linked), "no temporary file stays");
    }
}

#[test]
#[ignore = "needs root, to be two other users"]
fn rf_10_config_in_folder_of_other_user_is_private() {
    let shared = Shared::new();
    shared.folder(VICTIM, 0o700);
    let attacks = shared.attacks();
    set_mode(&attacks, 0o777);
    let file = attacks.join("shared.yaml");
    fs::write(&file, "show_warnings: \"true\"\n").unwrap();
    give(&file, VICTIM);
    symlink(&file, shared.world.home.config_path()).unwrap();
    assert_done("login", &shared.log_in());
    assert!(fs::read_to_string(&file).unwrap().contains("refreshtoken: v1."));
    assert_eq!((mode(&file), fs::metadata(&file).unwrap().uid()), (0o600, VICTIM));
    assert_denied("cat \"$0\"", &file);

    // Nothing is written in a folder that the victim may not write to.
    set_mode(&attacks, 0o755);
    fs::write(&file, "show_warnings: \"true\"\n").unwrap();
    let said = shared.refused();
    assert!(said.contains(&format!("could not write {}", file.display())), "{said}");
}

#[test]
#[ignore = "needs root, to be two other users"]
fn rf_10_folder_of_other_user() {
    let shared = Shared::new();
    shared.folder(ATTACKER, 0o755);
    let said = shared.refused();
    assert!(said.contains(&format!("{} belongs to user {ATTACKER}\n", shared.world.folder().display())), "{said}");

    // A world-writable folder of the attacker earns a warning. The stored files stay private.
    set_mode(&shared.world.folder(), 0o777);
    let said = shared.log_in();
    assert_done("login", &said);
    assert!(said.stderr.contains("warning: others may write in "), "{}", said.stderr);
    assert_denied("cat \"$0\"", &shared.world.home.config_path());

    set_mode(&shared.world.folder(), 0o700);
    let Output { stderr, code, .. } = shared.astro().run(&["auth", "status"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains(&format!("/.astro belongs to user {ATTACKER}\n")), "{stderr}");
}

#[test]
#[ignore = "needs root, to be two other users"]
fn rf_10_planted_links_harm_no_third_file() {
    let shared = Shared::new();
    shared.folder(VICTIM, 0o777);
    let plant = |name: &str, target: &Path| {
        let link = shared.world.folder().join(name);
        attack(&format!("ln -s '{}' \"$0\"", target.display()), &link).unwrap();
        link
    };
    let left = plant(".config.yaml.attack.tmp", &shared.world.precious());
    assert_done("login", &shared.log_in());
    assert!(!left.is_symlink());
    shared.world.assert_nothing_precious_is_touched();

    attack("rm -f \"$0\"", &shared.world.folder().join("config.yaml.lock")).unwrap();
    plant("config.yaml.lock", &shared.world.home.path().join("nothing"));
    let Output { stderr, code, .. } = shared.astro().run(&["context", "switch", &shared.world.service.domain()]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(!shared.world.home.path().join("nothing").exists());
    // A lock that the attacker owns, and holds, costs time and no secret.
    attack("rm -f \"$0\"; echo >\"$0\"; chmod 666 \"$0\"", &shared.world.folder().join("config.yaml.lock")).unwrap();
    let held = fs::File::options().write(true).open(shared.world.folder().join("config.yaml.lock")).unwrap();
    held.lock().unwrap();
    let Output { stderr, code, .. } = shared.astro().run(&["logout"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("has been locked by another program"), "{stderr}");
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        found.extend(entries(&path));
        found.push(path);
    }
    found.sort();
    found
}

const COMMANDS: [&[&str]; 8] = [
    &["login", "-l", "--insecure-storage"],
    &["login", "--token-login", "-", "--insecure-storage"],
    &["logout"],
    &["logout", "--all"],
    &["context", "switch", "astronomer.io"],
    &["context", "delete", "astronomer.io", "--force"],
    &["organization", "switch", "Compilers"],
    &["auth", "token"],
];

#[test]
#[ignore = "needs root, to be two other users"]
fn rf_10_root_leaves_nothing_in_home_of_other_user() {
    for exists in [&["home"][..], &["home", ".astro"], &["home", ".astro", "config.yaml"]] {
        for arguments in COMMANDS {
            let shared = Shared::new();
            if exists.contains(&".astro") {
                shared.folder(VICTIM, 0o700);
            }
            if exists.contains(&"config.yaml") {
                let past = "2026-01-01T00:00:00Z";
                let token = shared.world.service.access_token(&json!({"exp": 1_767_225_600}));
                let domain = shared.world.service.domain();
                let text = format!(
                    "context: {domain}\ncontexts:\n    astronomer_io:\n        domain: astronomer.io\n    {domain}:\n        \
                     domain: {domain}\n        expiresin: {past}\n        token: Bearer {token}\n        refreshtoken: v1.x\n"
                );
                shared.world.home.write_config(&text);
                give(&shared.world.home.config_path(), VICTIM);
            } else if ["switch", "delete", "token"].iter().any(|word| arguments.contains(word)) {
                // Without a login, these fail for another reason.
                continue;
            }
            let before = entries(shared.world.home.path());
            // As under `sudo -E`.
            let token = shared.world.service.access_token(&json!({}));
            let Output { stdout, stderr, code } = shared.world.astro().stdin(&token).run(arguments);
            assert_eq!((code, stdout.as_str()), (Some(1), ""), "{exists:?} {arguments:?}: {stderr}");
            assert!(stderr.contains(&format!(" belongs to user {VICTIM}\n")), "{arguments:?}: {stderr}");
            let hint = format!("hint: run the command as user {VICTIM}, or set ASTRO_HOME to a folder of your own\n");
            assert!(stderr.ends_with(&hint), "{arguments:?}: {stderr}");
            assert_eq!(entries(shared.world.home.path()), before, "{exists:?} {arguments:?}");
            assert_eq!(shared.world.service.token_requests(), [], "{arguments:?}");
            assert_eq!(shared.world.service.requests_to("/oauth/revoke"), [], "{arguments:?}");
        }
    }
}

#[test]
#[ignore = "needs root, to be two other users"]
fn rf_10_root_file_named_with_chown_that_helps() {
    for name in ["config.yaml", "config.yaml.lock", "localhost.refresh.lock", ""] {
        let shared = Shared::new();
        shared.folder(VICTIM, 0o700);
        let name = name.replace("localhost", &shared.world.service.domain().replace(':', "_"));
        let path = shared.world.folder().join(&name);
        if name.is_empty() {
            give(&path, 0);
        } else {
            fs::write(&path, "").unwrap();
            set_mode(&path, 0o600);
        }
        let named = if name.is_empty() { shared.world.folder() } else { path };
        let chown = format!("chown -R {VICTIM} {}", shared.world.folder().display());
        let stderr = shared.refused();
        let told = format!("{} belongs to root\n", named.display());
        assert!(stderr.contains(&told) && stderr.ends_with(&format!("hint: run `sudo {chown}`\n")), "{stderr}");
        let doctor = shared.astro().run(&["auth", "doctor", "--domain", &shared.world.service.domain()]);
        assert!(doctor.stdout.contains("belongs to") && doctor.stdout.contains("sudo chown -R"), "{}", doctor.stdout);
        let logout = shared.astro().run(&["logout", &shared.world.service.domain()]).stderr;
        assert!(
            !logout.contains("warning: ") || logout.contains(&format!("hint: run `sudo {chown}`, then run")),
            "{logout}"
        );
        assert!(Command::new("/bin/sh").args(["-c", &chown]).status().unwrap().success());
        assert_done(&name, &shared.log_in());
    }
}
