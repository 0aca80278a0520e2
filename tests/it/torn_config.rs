//! Another program writes config.yaml as the Go CLI does: it empties the file under the lock, then fills it.

use std::fs::{self, File};
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use astro_login::config::{Config, ConfigError};
use astro_login::domain::Domain;

use crate::support::binary::{Astro, Output};
use crate::support::{Mode, Options, Stage, TestHome};

/// The time between emptying the file and filling it.
const PAUSE: Duration = Duration::from_millis(600);

/// The Go CLI in the middle of writing.
struct Writer {
    file: File,
    text: String,
    _lock: File,
}

impl Writer {
    /// Takes the lock and leaves the first bytes of the file.
    fn cut(home: &TestHome, length: usize) -> Self {
        let lock = File::create(lock_path(home.path())).unwrap();
        lock.lock().unwrap();
        let text = home.config().unwrap();
        let file = File::options().write(true).open(home.config_path()).unwrap();
        file.set_len(length as u64).unwrap();
        Self { file, text, _lock: lock }
    }

    /// Writes what was there, and releases the lock.
    fn finish(mut self) {
        self.file.rewind().unwrap();
        self.file.write_all(self.text.as_bytes()).unwrap();
    }
}

fn lock_path(home: &Path) -> PathBuf {
    home.join(".astro/config.yaml.lock")
}

/// A home in which the current context is the service's, beside a login to astronomer.io.
fn two_logins() -> (Stage, String) {
    let stage = Stage::with(Options::default(), Mode::NeverComeBack);
    let login = stage.earlier_login(3600);
    stage.keep_in_config(&login);
    let other = "contexts:\n    astronomer_io:\n        domain: astronomer.io\n        token: Bearer eyJOTHER\n";
    stage.home.write_config(&stage.home.config().unwrap().replace("contexts:\n", other));
    (stage, login.access.expose().to_owned())
}

/// Returns the sorted lines of an output, without the token and the times in them.
fn comparable(output: &Output, stage: &Stage, token: &str) -> (Vec<String>, Option<i32>) {
    let text = stage.normalize(&format!("{}{}", output.stdout, output.stderr)).replace(token, "TOKEN");
    let before_year = |line: &str| line.split("20").next().unwrap_or_default().to_owned();
    let mut lines: Vec<String> = text.lines().map(before_year).collect();
    lines.sort();
    (lines, output.code)
}

#[test]
fn command_during_write_of_go_cli_sees_whole_file() {
    let commands: [&[&str]; 11] = [
        &["auth", "token"],
        &["auth", "status"],
        &["auth", "status", "--json"],
        &["context", "list"],
        &["context", "switch", "astronomer.io"],
        &["context", "delete", "astronomer.io", "--force"],
        &["organization", "list"],
        &["organization", "switch", "Compilers"],
        &["workspace", "list"],
        &["logout"],
        &["logout", "--all"],
    ];
    let run = |stage: &Stage, arguments: &[&str]| Astro::at(&stage.home).start(arguments);
    thread::scope(|threads| {
        for arguments in commands {
            threads.spawn(move || {
                let (undisturbed, token) = two_logins();
                let expected = comparable(&run(&undisturbed, arguments).finish(), &undisturbed, &token);
                let text = undisturbed.home.config().unwrap();
                for is_empty in [true, false] {
                    let (stage, token) = two_logins();
                    // Or cut between two lines, so that the first part can be read.
                    let cut = if is_empty { 0 } else { stage.home.config().unwrap().find("contexts:").unwrap() };
                    let writer = Writer::cut(&stage.home, cut);
                    let running = run(&stage, arguments);
                    thread::sleep(PAUSE);
                    writer.finish();
                    assert_eq!(comparable(&running.finish(), &stage, &token), expected, "{arguments:?}, cut at {cut}");
                    let after = stage.normalize(&stage.home.config().unwrap());
                    let kept = |text: &str| text.lines().filter(|it| !it.contains("Bearer ")).count();
                    assert_eq!(kept(&after), kept(&text), "{arguments:?}");
                    let live = |stage: &Stage| stage.service.live_refresh_tokens().len();
                    assert_eq!(live(&stage), live(&undisturbed), "{arguments:?}");
                }
            });
        }
    });
}

#[test]
fn empty_file_under_lock_is_not_believed() {
    let (stage, _) = two_logins();
    let writer = Writer::cut(&stage.home, 0);
    let start = Instant::now();
    let output = Astro::at(&stage.home).run(&["auth", "token"]);
    assert!((3..6).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    let path = lock_path(stage.home.path());
    let told = format!(
        "error: {} has been locked by another program for 3 seconds\n\
         hint: wait until other astro commands are done\n",
        path.display()
    );
    assert_eq!(output, Output { stdout: String::new(), stderr: told, code: Some(1) });
    writer.finish();
}

#[test]
fn linked_file_read_right_during_write_in_its_own_home() {
    let (stage, token) = two_logins();
    let other = TestHome::new();
    std::os::unix::fs::symlink(stage.home.config_path(), other.config_path()).unwrap();
    // Of its own, and free.
    File::create(lock_path(other.path())).unwrap();
    let writer = Writer::cut(&stage.home, 0);
    let running = Astro::at(&other).start(&["auth", "token"]);
    thread::sleep(PAUSE);
    writer.finish();
    assert_eq!(running.finish().stdout, format!("{token}\n"));
}

#[test]
fn stopped_process_with_lock_blocks_no_reader() {
    let (stage, token) = two_logins();
    let lock = File::create(lock_path(stage.home.path())).unwrap();
    lock.lock().unwrap();
    assert_eq!(Astro::at(&stage.home).run(&["auth", "token"]).stdout, format!("{token}\n"));
    // A process that only has the file open does not matter, nor does a lock that cannot be opened.
    lock.unlock().unwrap();
    fs::remove_file(lock_path(stage.home.path())).unwrap();
    std::os::unix::fs::symlink("/nonexistent", lock_path(stage.home.path())).unwrap();
    assert_eq!(Astro::at(&stage.home).run(&["auth", "token"]).stdout, format!("{token}\n"));
}

#[test]
fn empty_file_without_lock_counts_as_empty() {
    let (stage, _) = two_logins();
    for with_lock in [false, true] {
        stage.home.write_config("");
        if with_lock {
            File::create(lock_path(stage.home.path())).unwrap();
        }
        let output = Astro::at(&stage.home).run(&["auth", "token"]);
        assert_eq!(
            (output.code, output.stderr.lines().next()),
            (Some(4), Some("error: not logged in to astronomer.io"))
        );
    }
    stage.home.write_config("contexts: {a: ");
    let output = Astro::at(&stage.home).run(&["auth", "token"]);
    assert!(output.code == Some(1) && output.stderr.contains("could not use"), "{output:?}");
}

/// Empties and fills the file under the lock, over and over, until the readers are done. A large file is written in parts.
fn write_until(done: &AtomicBool, home: &TestHome, text: &str) {
    /// The Go CLI needs longer to start.
    const BETWEEN: Duration = Duration::from_millis(1);
    let lock = File::create(lock_path(home.path())).unwrap();
    while !done.load(Ordering::Relaxed) {
        lock.lock().unwrap();
        let mut file = File::create(home.config_path()).unwrap();
        for part in text.as_bytes().chunks(4096) {
            file.write_all(part).unwrap();
        }
        lock.unlock().unwrap();
        thread::sleep(BETWEEN);
    }
}

#[test]
fn three_thousand_reads_beside_truncating_writer_are_right() {
    let (stage, token) = two_logins();
    let domain: Domain = stage.service.domain().parse().unwrap();
    for filler in [0, 20_000] {
        // Settings in front of the contexts, so that a part of the file can be read.
        let text = format!("aaa: {}\n{}", "x".repeat(filler), stage.home.config().unwrap());
        stage.home.write_config(&text);
        let done = AtomicBool::new(false);
        thread::scope(|threads| {
            threads.spawn(|| write_until(&done, &stage.home, &text));
            let readers: Vec<_> = (0..3)
                .map(|_| {
                    threads.spawn(|| {
                        let config = Config::new(stage.home.path());
                        let is_right = |_: &u32| match config.read() {
                            Ok(document) => {
                                let access = document.context(&domain).and_then(|it| it.token);
                                assert_eq!(document.current_context().as_deref(), Some(domain.as_str()));
                                assert!(access.is_some_and(|it| it.expose() == token));
                                true
                            }
                            // Not wrong, but a reader should get its turn.
                            Err(ConfigError::Locked { .. }) => false,
                            Err(failure) => panic!("{failure}"),
                        };
                        (0..500).filter(is_right).count()
                    })
                })
                .collect();
            let right: Vec<usize> = readers.into_iter().filter_map(|it| it.join().ok()).collect();
            done.store(true, Ordering::Relaxed);
            assert_eq!(right.len(), 3, "a reading was wrong");
            // A busy machine may keep a reader from its turn.
            assert!(right.iter().sum::<usize>() >= 1497, "{right:?}");
        });
        stage.home.write_config(text.split_once('\n').unwrap().1);
    }
}

#[test]
fn token_beside_truncating_writer_is_right() {
    let (stage, token) = two_logins();
    let text = stage.home.config().unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|threads| {
        threads.spawn(|| write_until(&done, &stage.home, &text));
        let outputs: Vec<Output> = (0..100).map(|_| Astro::at(&stage.home).run(&["auth", "token"])).collect();
        done.store(true, Ordering::Relaxed);
        let right = Output { stdout: format!("{token}\n"), stderr: String::new(), code: Some(0) };
        for output in outputs {
            assert_eq!(output, right);
        }
    });
}
