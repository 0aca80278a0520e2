use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use super::document::tests::log_in;
use super::*;

fn domain(name: &str) -> Domain {
    name.parse().unwrap()
}

fn at_home() -> (tempfile::TempDir, Config) {
    let home = tempfile::tempdir().unwrap();
    let config = Config::new(home.path());
    (home, config)
}

fn with(text: impl AsRef<[u8]>) -> (tempfile::TempDir, Config) {
    let (home, config) = at_home();
    fs::create_dir(home.path().join(".astro")).unwrap();
    fs::write(config.path(), text).unwrap();
    (home, config)
}

#[test]
fn missing_file_reads_empty_and_stays_missing() {
    let (home, config) = at_home();
    assert_eq!(config.read().unwrap().as_str(), "");
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn replacing_retried_on_windows_only() {
    for (code, on_windows) in [(5, true), (32, true), (2, false), (13, false), (18, false)] {
        let error = io::Error::from_raw_os_error(code);
        assert_eq!((may_pass(&error, true), may_pass(&error, false)), (on_windows, false), "{code}");
    }
    assert!(!may_pass(&io::ErrorKind::PermissionDenied.into(), true));
}

#[test]
fn rf_10_concurrent_read_sees_whole_file() {
    let (_home, config) = at_home();
    let log_out = |document: &mut Document| document.clear_login(&domain("localhost:9000"));
    let text = || fs::read_to_string(config.path());
    config.edit(log_in).unwrap();
    let logged_in = text().unwrap();
    config.edit(log_out).unwrap();
    let logged_out = text().unwrap();
    assert_ne!(logged_in, logged_out);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut seen = 0;
            while !stop.load(Ordering::SeqCst) {
                match text() {
                    Ok(text) => assert!(text == logged_in || text == logged_out, "{text}"),
                    // Windows may keep the file from being opened while it is replaced.
                    Err(error) => assert!(may_pass(&error, cfg!(windows)), "{error}"),
                }
                seen += 1;
            }
            seen
        });
        let edited = (0..50).try_for_each(|_| config.edit(log_in).and_then(|()| config.edit(log_out)));
        stop.store(true, Ordering::SeqCst);
        assert!(reading.join().unwrap() > 0);
        edited.unwrap();
    });
}

#[test]
fn edit_without_change_does_not_write() {
    let (_home, config) = at_home();
    config.edit(|_| Ok(())).unwrap();
    assert!(!config.path().exists());
}

#[test]
fn unparsable_file_is_not_changed() {
    for bytes in [&b"a: [1\n"[..], b"a: 1\na: 2\n", b"a: \xff\n", b"- x\n"] {
        let (home, config) = with(bytes);
        let error = config.edit(log_in).unwrap_err();
        assert!(matches!(error, ConfigError::Document { source: DocumentError::Syntax { .. }, .. }), "{error}");
        assert_eq!(fs::read(config.path()).unwrap(), bytes);
        assert_eq!(names(home.path()), ["config.yaml", "config.yaml.lock"]);
    }
    let (_home, config) = with(b"a: 1\nb: \xff\n");
    let error = config.read().err().unwrap();
    let told = [error.to_string(), std::error::Error::source(&error).unwrap().to_string()];
    assert_eq!(told, [format!("could not use {}", config.path().display()), "line 2, column 4: not UTF-8".to_owned()]);
}

fn names(home: &Path) -> Vec<String> {
    let entries = fs::read_dir(home.join(".astro")).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn folder_as_file_is_an_error() {
    let (home, config) = at_home();
    fs::create_dir_all(home.path().join(".astro/config.yaml")).unwrap();
    assert!(matches!(config.read(), Err(ConfigError::NotAFile(_))));
    assert!(matches!(config.edit(log_in), Err(ConfigError::NotAFile(_))));
}

#[test]
fn rf_10_edit_removes_leftover_temporary_files() {
    let (home, config) = with("x: 1\n");
    fs::write(home.path().join(".astro/.config.yaml.abc.tmp"), "token: Bearer eyJ").unwrap();
    fs::write(home.path().join(".astro/.config.yaml.mine"), "").unwrap();
    config.edit(log_in).unwrap();
    assert_eq!(names(home.path()), [".config.yaml.mine", "config.yaml", "config.yaml.lock"]);
}

#[test]
fn rf_3_refresh_lock_is_exclusive_per_domain() {
    let (home, config) = at_home();
    let held = config.lock_refresh(&domain("localhost:9000"), Duration::ZERO).unwrap();
    let error = config.lock_refresh(&domain("localhost:9000"), Duration::ZERO).unwrap_err();
    assert!(matches!(error, ConfigError::Locked { .. }), "{error}");
    let other = config.lock_refresh(&domain("astronomer.io"), Duration::ZERO).unwrap();
    drop((held, other));
    drop(config.lock_refresh(&domain("localhost:9000"), Duration::ZERO).unwrap());
    assert_eq!(names(home.path()), ["astronomer_io.refresh.lock", "localhost_9000.refresh.lock"]);
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::super::document::tests::LOGGED_IN;
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn rf_10_edited_file_is_private() {
        let (home, config) = at_home();
        config.edit(log_in).unwrap();
        assert_eq!((mode(&home.path().join(".astro")), mode(config.path())), (0o700, 0o600));
        assert_eq!(config.writable_by_others(), None);

        let (home, config) = with("x: 1\n");
        fs::set_permissions(config.path(), fs::Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(home.path().join(".astro"), fs::Permissions::from_mode(0o775)).unwrap();
        config.edit(log_in).unwrap();
        assert_eq!((mode(&home.path().join(".astro")), mode(config.path())), (0o775, 0o600));
        assert!(config.writable_by_others().is_some());
    }

    #[test]
    fn linked_file_is_replaced_at_its_target() {
        let (home, config) = at_home();
        fs::create_dir(home.path().join(".astro")).unwrap();
        fs::create_dir(home.path().join("dotfiles")).unwrap();
        let target = home.path().join("dotfiles/astro.yaml");
        fs::write(&target, "x: 1\n").unwrap();
        fs::write(home.path().join("dotfiles/.config.yaml.abc.tmp"), "token: Bearer eyJ").unwrap();
        symlink("../dotfiles/astro.yaml", config.path()).unwrap();
        config.edit(log_in).unwrap();
        assert!(config.path().is_symlink());
        assert_eq!(fs::read_to_string(&target).unwrap(), format!("x: 1\n{LOGGED_IN}"));
        let mut left: Vec<_> =
            fs::read_dir(home.path().join("dotfiles")).unwrap().map(|it| it.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["astro.yaml", "config.yaml.lock"], "the leftover is gone, too");
        assert_eq!(mode(&target), 0o600);
    }

    /// Returns two homes whose config.yaml links to one file, and that file.
    fn linked() -> (tempfile::TempDir, Config, Config, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("shared.yaml");
        fs::write(&target, "x: 1\n").unwrap();
        let home = |name: &str| {
            let config = Config::new(&root.path().join(name));
            fs::create_dir_all(&config.folder).unwrap();
            symlink(&target, config.path()).unwrap();
            config
        };
        let (first, second) = (home("first"), home("second"));
        (root, first, second, target)
    }

    #[test]
    fn rf_17_linked_homes_share_locks() {
        let (_root, first, second, _) = linked();
        let localhost = domain("localhost:9000");
        let held = first.lock_refresh(&localhost, Duration::ZERO).unwrap();
        assert!(matches!(second.lock_refresh(&localhost, Duration::ZERO), Err(ConfigError::Locked { .. })));
        drop(held);
        let shared = || second.lock(second.lock_path_at_target().unwrap(), Duration::ZERO);
        let during = |_: &mut Document| Ok(matches!(shared(), Err(ConfigError::Locked { .. })));
        assert!(first.edit(during).unwrap());
        drop(shared().unwrap());
    }

    #[test]
    fn rf_17_without_lock_at_target_nothing_is_written() {
        let (root, first, _, target) = linked();
        fs::create_dir(root.path().join("config.yaml.lock")).unwrap();
        // An edit that changes nothing needs no lock.
        first.edit(|_| Ok(())).unwrap();
        assert!(matches!(first.edit(log_in), Err(ConfigError::NotAFile(_))));
        assert!(matches!(first.check_editable(&domain("localhost:9000"), log_in), Err(ConfigError::NotAFile(_))));
        assert_eq!(fs::read_to_string(&target).unwrap(), "x: 1\n");
    }

    #[test]
    fn link_within_its_folder_is_edited() {
        let (home, config) = at_home();
        fs::create_dir(home.path().join(".astro")).unwrap();
        fs::write(home.path().join(".astro/work.yaml"), "x: 1\n").unwrap();
        symlink("work.yaml", config.path()).unwrap();
        config.edit(log_in).unwrap();
        assert_eq!(names(home.path()), ["config.yaml", "config.yaml.lock", "work.yaml"]);
    }

    #[test]
    fn dangling_link_and_device_are_errors() {
        let (home, config) = at_home();
        fs::create_dir(home.path().join(".astro")).unwrap();
        symlink("nowhere", config.path()).unwrap();
        assert!(matches!(config.edit(log_in), Err(ConfigError::DanglingLink(_))));
        fs::remove_file(config.path()).unwrap();
        symlink("/dev/null", config.path()).unwrap();
        assert!(matches!(config.edit(log_in), Err(ConfigError::NotAFile(_))));
        drop(config.lock_refresh(&domain("astronomer.io"), Duration::ZERO).unwrap());
        assert_eq!(names(home.path()), ["astronomer_io.refresh.lock", "config.yaml", "config.yaml.lock"]);
    }
}
