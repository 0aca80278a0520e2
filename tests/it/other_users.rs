//! Other users of the machine: the files that they can read, plant and see during and after a login.
//!
//! The ignored tests need root: they run the program as one user and attack it as another.

use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::support::binary::{Astro, Output};
use crate::support::{FakeBrowser, Mode, Options, Service, TestHome};
use serde_json::json;

const UMASK: [(&str, [&str; 3]); 2] = [
    ("000", ["/bin/sh", "-c", "umask 000; exec \"$0\" \"$@\""]),
    ("077", ["/bin/sh", "-c", "umask 077; exec \"$0\" \"$@\""]),
];

/// A file of the user that has nothing to do with this program.
const PRECIOUS: &str = "precious\n";

/// A service whose tokens are refreshed at each use, and a home without an `.astro`.
struct World {
    service: Service,
    home: TestHome,
}

impl World {
    fn new() -> Self {
        let world = Self {
            service: Service::start(Options { token_lifetime: 200, ..Options::default() }),
            home: TestHome::new(),
        };
        fs::remove_dir(world.folder()).unwrap();
        fs::write(world.precious(), PRECIOUS).unwrap();
        set_mode(&world.precious(), 0o644);
        set_mode(world.home.path(), 0o750);
        world
    }

    fn folder(&self) -> PathBuf {
        self.home.path().join(".astro")
    }

    fn precious(&self) -> PathBuf {
        self.home.path().join("precious")
    }

    fn astro(&self) -> Astro {
        Astro::at(&self.home).with("ASTRO_DOMAIN", &self.service.domain())
    }

    /// A folder for an attack, which its owner has left open to everybody.
    fn open_folder(&self) {
        fs::create_dir(self.folder()).unwrap();
        set_mode(&self.folder(), 0o777);
    }

    #[track_caller]
    fn assert_nothing_precious_is_touched(&self) {
        let precious = self.precious();
        assert_eq!(fs::read_to_string(&precious).unwrap(), PRECIOUS);
        assert_eq!(mode(&precious), 0o644);
    }
}

/// Logs in with a link, into the plaintext store.
fn log_in(astro: Astro) -> Output {
    let mut running = astro.start(&["login", "-l", "--insecure-storage", "--workspace", "Punched Cards"]);
    let browser = FakeBrowser::new(Mode::LogIn("ada@example.com".to_owned()));
    browser.visit(&running.line().parse().unwrap());
    running.finish()
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[track_caller]
fn assert_done(what: &str, Output { stderr, code, .. }: &Output) {
    assert_eq!(*code, Some(0), "{what}: {stderr}");
}

const WRITING: [&[&str]; 5] = [
    &["organization", "list"],
    &["organization", "switch", "Compilers"],
    &["context", "switch", "astronomer.io"],
    &["logout"],
    &["logout", "--all"],
];

/// `.astro` as it is after a command: what is in it is for its owner alone.
#[track_caller]
fn assert_private(what: &str, folder: &Path) {
    assert_eq!(mode(folder), 0o700, "{what}");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{what}: {}", path.display());
    }
}

fn know_another_domain(world: &World) {
    let config = world.home.config().unwrap();
    let other = "contexts:\n    astronomer_io:\n        domain: astronomer.io\n";
    fs::write(world.home.config_path(), config.replacen("contexts:\n", other, 1)).unwrap();
}

#[test]
fn rf_10_created_files_are_private_with_any_umask() {
    for (umask, shell) in UMASK {
        let world = World::new();
        assert_done(umask, &log_in(world.astro().through(&shell)));
        assert!(world.home.config().unwrap().contains("refreshtoken: v1."));
        assert_private(umask, &world.folder());
        know_another_domain(&world);
        for arguments in WRITING {
            let before = world.home.config();
            assert_done(umask, &world.astro().through(&shell).run(arguments));
            assert_private(&format!("{umask}, {arguments:?}"), &world.folder());
            assert!(before != world.home.config() || arguments.contains(&"--all"), "{arguments:?} writes");
        }
        let modes = [world.precious(), world.home.path().to_owned()].map(|path| mode(&path));
        assert_eq!(modes, [0o644, 0o750], "what is not ours stays as it is");
    }
}

#[test]
fn rf_10_readable_config_becomes_private() {
    let world = World::new();
    fs::create_dir(world.folder()).unwrap();
    set_mode(&world.folder(), 0o755);
    fs::write(world.home.config_path(), "show_warnings: \"true\"\n").unwrap();
    set_mode(&world.home.config_path(), 0o644);
    let said = log_in(world.astro());
    assert_done("login", &said);
    assert!(world.home.config().unwrap().contains("refreshtoken: v1."));
    assert_eq!([world.home.config_path(), world.folder()].map(|path| mode(&path)), [0o600, 0o755]);
    assert!(!said.stderr.contains("others may write"), "{}", said.stderr);
}

#[test]
fn rf_10_writable_home_warns() {
    let table = [
        (0o775, 0o700, Some("")),
        (0o757, 0o700, Some("")),
        (0o775, 0o777, Some("/.astro")),
        (0o755, 0o720, Some("/.astro")),
        // Sticky, as /tmp: only the owner of a file may move it.
        (0o1777, 0o700, None),
        (0o755, 0o755, None),
    ];
    for (of_home, of_folder, pointed_out) in table {
        let world = World::new();
        fs::create_dir(world.folder()).unwrap();
        set_mode(&world.folder(), of_folder);
        set_mode(world.home.path(), of_home);
        let Output { stderr, code, .. } = log_in(world.astro());
        assert_eq!(code, Some(0), "{stderr}");
        let lines: Vec<&str> = stderr.lines().collect();
        let warning = lines.windows(2).find(|pair| pair[0].contains("others may write")).map(|pair| pair.join("; "));
        let expected = pointed_out.map(|inside| {
            let path = format!("{}{inside}", world.home.path().display());
            format!("warning: others may write in {path}; hint: run `chmod go-w {path}`")
        });
        assert_eq!(warning, expected, "{of_home:o} {of_folder:o}");
        assert_eq!([world.home.path(), &world.folder()].map(mode), [of_home, of_folder]);
    }
}

#[test]
fn rf_10_link_as_temporary_file_not_followed() {
    let world = World::new();
    world.open_folder();
    let planted = |name: &str| world.folder().join(format!(".config.yaml.{name}.tmp"));
    symlink(world.precious(), planted("symbolic")).unwrap();
    symlink(world.home.path().join("nothing"), planted("dangling")).unwrap();
    fs::hard_link(world.precious(), planted("hard")).unwrap();
    symlink(world.home.path(), planted("home")).unwrap();
    let inside = planted("folder").join("theirs");
    fs::create_dir(planted("folder")).unwrap();
    fs::write(&inside, PRECIOUS).unwrap();
    assert_done("login", &log_in(world.astro()));
    world.assert_nothing_precious_is_touched();
    let mut names: Vec<String> =
        fs::read_dir(world.folder()).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.starts_with(".config.yaml") || name == "config.yaml");
    names.sort();
    assert_eq!(names, [".config.yaml.folder.tmp", "config.yaml"]);
    assert_eq!(fs::read_to_string(inside).unwrap(), PRECIOUS);
    assert!(!world.home.path().join("nothing").exists());
}

#[test]
fn rf_10_link_as_lock_rejected() {
    let key = |world: &World| world.service.domain().replace(':', "_");
    for target in ["precious", "nothing"] {
        for is_refresh in [false, true] {
            let world = World::new();
            world.open_folder();
            let name = if is_refresh { format!("{}.refresh.lock", key(&world)) } else { "config.yaml.lock".to_owned() };
            let lock = world.folder().join(name);
            symlink(world.home.path().join(target), &lock).unwrap();
            let token = world.service.access_token(&json!({}));
            let said = world.astro().stdin(&token).run(&["login", "-t", "-", "--insecure-storage"]);
            assert_eq!(said.code, Some(1), "{}", said.stderr);
            assert!(said.stderr.contains(&format!("{} is not a file", lock.display())), "{}", said.stderr);
            world.assert_nothing_precious_is_touched();
            assert!(!world.home.path().join("nothing").exists());
            assert_eq!(world.home.config(), None);
        }
    }
}

#[test]
fn rf_10_hard_link_keeps_old_content() {
    let world = World::new();
    world.open_folder();
    let other = world.home.path().join("other");
    fs::write(&other, "show_warnings: \"true\"\n").unwrap();
    fs::hard_link(&other, world.home.config_path()).unwrap();
    assert_done("login", &log_in(world.astro()));
    assert!(world.home.config().unwrap().contains("refreshtoken: v1."));
    assert_eq!(fs::read_to_string(other).unwrap(), "show_warnings: \"true\"\n", "no token where others may read it");
}

/// The response of a service that publishes the attacker's key.
fn keys_of_attacker() -> String {
    let attacker = Service::start(Options { signing_key: 1, ..Options::default() });
    let domain = attacker.domain();
    let mut stream = std::net::TcpStream::connect(&domain).unwrap();
    write!(stream, "GET /.well-known/jwks.json HTTP/1.1\r\nHost: {domain}\r\nConnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[test]
fn planted_files_vouch_for_no_token() {
    let keys = keys_of_attacker();
    for linked in [false, true] {
        let world = World::new();
        world.open_folder();
        world.service.set(|options| options.signing_key = 1);
        let forged = world.service.access_token(&json!({}));
        world.service.set(|options| options.signing_key = 0);
        let issuer = world.service.issuer();
        let texts = [keys.clone(), format!("{{\"{issuer}\": {keys}, \"keys\": {keys}}}"), "\0".to_owned()];
        for text in texts {
            for name in ["login-cache.json", "login-names.json", "jwks.json", "keys.json", "openid-configuration"] {
                let (planted, elsewhere) = (world.folder().join(name), world.home.path().join(name));
                let _ = fs::remove_file(&planted);
                fs::write(if linked { &elsewhere } else { &planted }, &text).unwrap();
                if linked {
                    symlink(&elsewhere, &planted).unwrap();
                }
            }
            let said = world.astro().stdin(&forged).run(&["login", "-t", "-", "--insecure-storage"]);
            assert_eq!((said.code, world.home.config()), (Some(4), None), "{}", said.stderr);
            assert!(said.stderr.contains("signed with a key that the issuer does not publish"), "{}", said.stderr);
        }
        assert_done("login", &log_in(world.astro()));
        world.assert_nothing_precious_is_touched();
        assert!(!linked || fs::read_to_string(world.home.path().join("login-names.json")).unwrap() == "\0");
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::process::Command;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    const BOUND: Duration = Duration::from_secs(30);
    /// Puts a program there that writes its own environment and command line into a pipe, one item on a line.
    fn write_recorder(path: &Path, pipe: &Path) {
        let script = format!(
            "#!/bin/sh\nPATH=/usr/bin:/bin\n{{ tr '\\0' '\\n' </proc/$$/environ; tr '\\0' '\\n' </proc/$$/cmdline; }} >'{}'\n",
            pipe.display()
        );
        fs::write(path, script).unwrap();
        set_mode(path, 0o755);
        assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
    }

    #[test]
    fn tk_11_browser_process_gets_only_the_link() {
        for chosen in [true, false] {
            let world = World::new();
            let (pipe, folder) = (world.home.path().join("pipe"), world.home.path().join("bin"));
            fs::create_dir(&folder).unwrap();
            let browser = folder.join("xdg-open");
            write_recorder(&browser, &pipe);
            let (sender, told) = mpsc::channel();
            // The open call waits for the writer; where none comes, the thread ends with the test.
            thread::spawn(move || sender.send(fs::read_to_string(pipe).unwrap()));
            let api_token = world.service.api_token();
            let astro = world.astro().with("ASTRO_API_TOKEN", &api_token).with("PATH", folder.to_str().unwrap());
            let astro =
                if chosen { astro.with("BROWSER", browser.to_str().unwrap()) } else { astro.with("DISPLAY", ":0") };
            let mut running = astro.start(&["login", "--insecure-storage", "--workspace", "Punched Cards"]);
            let link = running.wait_for("/authorize?").trim().to_owned();
            let told = told.recv_timeout(BOUND).unwrap();
            let person = FakeBrowser::new(Mode::LogIn("ada@example.com".to_owned()));
            person.visit(&link.parse().unwrap());
            assert_done("login", &running.finish());
            assert!(told.lines().any(|line| line == link), "{told}");
            assert!(told.contains(&format!("\nHOME={}\n", world.home.path().display())), "{told}");
            assert!(!told.contains("ASTRO_API_TOKEN"), "{told}");
            let without_link = told.replace(&link, "");
            for secret in world.service.secrets() {
                assert_eq!(crate::support::binary::leaked(&without_link, &secret), None, "{told}");
            }
        }
    }

    /// A line of `/proc/<pid>/limits`: the soft and the hard limit.
    fn limit(process: &str, name: &str) -> [String; 2] {
        let limits = fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let mut words = line.split_whitespace().map(str::to_owned);
        [words.next().unwrap(), words.next().unwrap()]
    }

    #[test]
    fn tk_11_crash_leaves_no_core_dump() {
        let world = World::new();
        // As far up as it may go, so that there is something to lower.
        let shell = ["/bin/sh", "-c", "ulimit -S -c \"$(ulimit -H -c)\"; exec \"$0\" \"$@\""];
        let mut running = world.astro().through(&shell).start(&["login", "-l", "--insecure-storage"]);
        running.line();
        let name = "Max core file size";
        let [_, hard] = limit("self", name);
        assert_eq!(limit(&running.id().to_string(), name), ["0".to_owned(), hard]);
    }

    /// Every call by which files and folders come to be or change their mode, as strace saw it.
    #[test]
    #[ignore = "needs strace"]
    fn rf_10_files_are_created_private() {
        for (umask, shell) in UMASK {
            let world = World::new();
            let trace = world.home.path().join("trace");
            let calls = "trace=creat,open,openat,mkdir,mkdirat,chmod,fchmod,fchmodat,mknod,mknodat,link,linkat,symlink";
            let strace = ["/usr/bin/strace", "-f", "-qq", "-s", "400", "-e", calls, "-o", trace.to_str().unwrap()];
            let through: Vec<&str> = shell.into_iter().chain(strace).collect();
            let mut seen = String::new();
            assert_done(umask, &log_in(world.astro().through(&through)));
            seen += &fs::read_to_string(&trace).unwrap();
            know_another_domain(&world);
            for arguments in WRITING {
                assert_done(umask, &world.astro().through(&through).run(arguments));
                seen += &fs::read_to_string(&trace).unwrap();
            }
            let folder = world.folder().display().to_string();
            let makes = |call: &&str| call.contains(&folder) && (call.contains("O_CREAT") || !call.contains("open"));
            let made: Vec<&str> = seen.lines().filter(makes).collect();
            let is_private = |call: &&&str| {
                let is_folder = call.contains("mkdir") && call.contains(", 0700");
                is_folder || (call.contains("O_CREAT") && (call.contains(", 0600)") || call.contains(", 0600 <")))
            };
            let open: Vec<&&str> = made.iter().filter(|call| !is_private(call)).collect();
            assert_eq!(open, [&""; 0], "{umask}");
            let temporary: Vec<&&str> = made.iter().filter(|call| call.contains("/.config.yaml.")).collect();
            assert!(temporary.len() > WRITING.len(), "{made:#?}");
            assert!(temporary.iter().all(|call| call.contains("O_EXCL")), "{temporary:#?}");
            assert!(made.iter().any(|call| call.contains("mkdir")), "{made:#?}");
        }
    }
}

#[cfg(target_os = "linux")]
mod second_user;
