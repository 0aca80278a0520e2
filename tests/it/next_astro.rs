//! Commands that this program lacks, run by the next `astro` on PATH. A script stands in for it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::TestHome;
use crate::support::binary::{Astro, BINARY, Output};
use crate::support::pty::{CTRL_C, ENTER, Pty};

/// Prints its arguments, its count and its stdin.
const RECORD: &str = r#"for it; do printf '[%s]' "$it"; done; echo " $ASTRO_HANDED_ON"; cat; exit 7"#;

/// A folder for PATH with an `astro` that runs these lines.
fn stand_in(lines: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_program(&folder.path().join("astro"), lines);
    folder
}

fn write_program(path: &Path, lines: &str) {
    fs::write(path, format!("#!/bin/sh\n{lines}\n")).unwrap();
    set_mode(path, 0o755);
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn path_of(folders: &[&Path]) -> String {
    std::env::join_paths(folders.iter().chain(&[Path::new("/usr/bin"), Path::new("/bin")]))
        .unwrap()
        .into_string()
        .unwrap()
}

fn astro_with(folders: &[&Path]) -> Astro {
    Astro::at(&TestHome::new()).with("PATH", &path_of(folders))
}

fn output(stdout: &str, stderr: &str, code: i32) -> Output {
    Output { stdout: stdout.to_owned(), stderr: stderr.to_owned(), code: Some(code) }
}

#[test]
fn na_1_other_command_gets_all_arguments_unchanged() {
    let next = stand_in(RECORD);
    let table: [(&[&str], &str); 9] = [
        (&["deploy"], "[deploy] 1\n"),
        (&["dev", "run", "--", "-v", "a  b", "", "*"], "[dev][run][--][-v][a  b][][*] 1\n"),
        (&["workspace", "create", "--name=x"], "[workspace][create][--name=x] 1\n"),
        (&["deploy", "--help"], "[deploy][--help] 1\n"),
        (&["help", "deploy"], "[help][deploy] 1\n"),
        (&["--color", "never", "deploy"], "[--color][never][deploy] 1\n"),
        (&["--workspace-id", "login", "deploy"], "[--workspace-id][login][deploy] 1\n"),
        (&["__complete", "deploy", ""], "[__complete][deploy][] 1\n"),
        (&["version"], "[version] 1\n"),
    ];
    for (arguments, expected) in table {
        let said = astro_with(&[next.path()]).run(arguments);
        assert_eq!(said, output(expected, "", 7), "{arguments:?}");
    }
    let piped = astro_with(&[next.path()]).stdin("from the pipe").run(&["run"]);
    assert_eq!(piped, output("[run] 1\nfrom the pipe", "", 7));
    let said = astro_with(&[next.path()]).without("HOME").without("ASTRO_HOME").run(&["run"]);
    assert_eq!(said, output("[run] 1\n", "", 7), "it needs no home");
}

#[test]
fn na_1_own_command_is_not_handed_on() {
    let next = stand_in(RECORD);
    for arguments in
        [&["--version"][..], &["--help"], &["help"], &["help", "login"], &["auth"], &["context", "ls", "-h"]]
    {
        let Output { stdout, code, .. } = astro_with(&[next.path()]).run(arguments);
        assert!(code != Some(7) && !stdout.starts_with('['), "{arguments:?}: {stdout}");
    }
}

#[test]
fn verbose_names_next_astro() {
    let next = stand_in("echo ran");
    for flags in [&["-v"][..], &["--verbosity", "info"]] {
        let Output { stdout, stderr, .. } = astro_with(&[next.path()]).run(&[flags, &["deploy"]].concat());
        assert_eq!(stdout, "ran\n");
        assert!(stderr.contains(next.path().join("astro").to_str().unwrap()), "{stderr}");
    }
}

#[test]
fn help_ends_with_next_astro() {
    let next = stand_in(RECORD);
    let last = format!("All other commands run {}\n", next.path().join("astro").display());
    for arguments in ["-h", "--help", "help"] {
        let Output { stdout, .. } = astro_with(&[next.path()]).with("COLUMNS", "200").run(&[arguments]);
        assert!(stdout.ends_with(&format!("\n\n{last}")), "{stdout}");
    }
}

#[test]
fn without_next_astro_exit_2_says_where_to_get_it() {
    let advice = "tip: no other `astro` on PATH to run this; get the Go CLI from \
                  https://www.astronomer.io/docs/astro/cli/install-cli\n";
    for arguments in [&["deploy"][..], &["dev", "start"], &["workspace", "create"], &["help", "deploy"]] {
        let Output { stdout, stderr, code } = astro_with(&[]).run(arguments);
        assert_eq!((stdout.as_str(), code), ("", Some(2)), "{stderr}");
        assert!(stderr.contains(advice), "{stderr}");
    }
    let version = concat!("astro ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(astro_with(&[]).run(&["version"]), output(version, "", 0));
}

#[test]
fn na_2_relative_and_empty_entries_are_skipped() {
    let (hidden, next) = (stand_in("echo relative"), stand_in("echo absolute"));
    let run = |entries: &str| {
        let path = format!("{entries}:{}", path_of(&[next.path()]));
        let shell = ["/bin/sh", "-c", "cd \"$0\" && exec \"$@\"", hidden.path().to_str().unwrap()];
        Astro::at(&TestHome::new()).with("PATH", &path).through(&shell).run(&["deploy"])
    };
    for entries in [".", "", "./"] {
        assert_eq!(run(entries), output("absolute\n", "", 0), "{entries:?}");
    }
}

#[test]
fn na_3_program_that_everyone_can_write_is_skipped() {
    let (open, next) = (stand_in("echo open"), stand_in("echo next"));
    let program = open.path().join("astro");
    let run = || astro_with(&[open.path(), next.path()]).run(&["deploy"]).stdout;
    let table =
        [(0o757, 0o755, "next\n"), (0o775, 0o775, "open\n"), (0o755, 0o777, "next\n"), (0o755, 0o1777, "open\n")];
    for (file, folder, expected) in table {
        set_mode(&program, file);
        set_mode(open.path(), folder);
        assert_eq!(run(), expected, "{file:o} {folder:o}");
    }
    // The folder that a link leads to counts as well.
    let linked = tempfile::tempdir().unwrap();
    symlink(&program, linked.path().join("astro")).unwrap();
    set_mode(open.path(), 0o777);
    assert_eq!(astro_with(&[linked.path(), next.path()]).run(&["deploy"]).stdout, "next\n");
    let Output { stderr, code, .. } = astro_with(&[linked.path()]).run(&["deploy"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("astro: everyone can write to "), "{stderr}");
}

/// A folder with this program under the name `astro`, by a link or by a hard link to a copy of it.
fn ourselves(hard: bool) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let binary = folder.path().join("original");
    if hard {
        fs::copy(BINARY, &binary).unwrap();
        fs::hard_link(&binary, folder.path().join("astro")).unwrap();
        (folder, binary)
    } else {
        symlink(BINARY, folder.path().join("astro")).unwrap();
        (folder, BINARY.into())
    }
}

#[test]
fn na_4_link_and_hard_link_to_ourselves_are_skipped() {
    let next = stand_in("echo next");
    for hard in [false, true] {
        let (folder, binary) = ourselves(hard);
        let run = |folders: &[&Path]| astro_with(folders).copied_to(&binary).run(&["deploy"]);
        let Output { stdout, stderr, code } = run(&[folder.path()]);
        assert_eq!((stdout.as_str(), code), ("", Some(2)), "{stderr}");
        assert_eq!(run(&[folder.path(), next.path()]), output("next\n", "", 0));
        assert_eq!(run(&[next.path(), folder.path()]), output("next\n", "", 0));
        let chosen = astro_with(&[]).with("ASTRO_CLI", folder.path().join("astro").to_str().unwrap());
        let Output { stderr, code, .. } = chosen.copied_to(&binary).run(&["deploy"]);
        assert_eq!(code, Some(2));
        assert!(stderr.contains(", which ASTRO_CLI names: it is this program\n"), "{stderr}");
    }
}

#[test]
fn na_4_wrapper_around_ourselves_ends_with_2() {
    let wrapper = stand_in(&format!("echo turn; exec {BINARY} \"$@\""));
    let program = wrapper.path().join("astro");
    let Output { stdout, stderr, code } = astro_with(&[wrapper.path()]).run(&["deploy"]);
    assert_eq!((stdout.as_str(), code), ("turn\n".repeat(8).as_str(), Some(2)));
    let said = format!(
        "error: could not run {}: it runs this program again\nhint: set ASTRO_CLI to the path of the Go CLI, or remove \
         that wrapper from PATH\n",
        program.display()
    );
    assert_eq!(stderr, said);
    // With this program on PATH, those behind it come first.
    let ((ours, _), next) = (ourselves(false), stand_in("echo next"));
    let said = astro_with(&[wrapper.path(), ours.path(), next.path()]).run(&["deploy"]);
    assert_eq!(said, output("next\n", "", 0));
}

#[test]
fn na_5_token_as_command_is_not_handed_on() {
    let next = stand_in(RECORD);
    let token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl";
    for arguments in [&[token][..], &["workspace", token], &["-t", token, "login"], &["help", token]] {
        let Output { stdout, stderr, code } = astro_with(&[next.path()]).run(arguments);
        assert_eq!((stdout.as_str(), code), ("", Some(2)), "{arguments:?}");
        assert!(!stderr.contains("eyJ"), "{stderr}");
    }
}

#[test]
fn astro_cli_prevails_over_path() {
    let (first, chosen) = (stand_in("echo first"), stand_in("echo chosen"));
    let program = chosen.path().join("other-name");
    write_program(&program, "echo chosen");
    let run = |value: &str| astro_with(&[first.path()]).with("ASTRO_CLI", value).run(&["deploy"]);
    assert_eq!(run(program.to_str().unwrap()), output("chosen\n", "", 0));
    assert_eq!(run(""), output("first\n", "", 0));
    for (value, reason) in [
        ("bin/astro", "error: could not run bin/astro, which ASTRO_CLI names: it is not an absolute path\n".to_owned()),
        (
            "/nowhere/astro",
            "error: could not run /nowhere/astro, which ASTRO_CLI names: it is not a program\n".to_owned(),
        ),
    ] {
        let Output { stdout, stderr, code } = run(value);
        assert_eq!((stdout.as_str(), code), ("", Some(2)));
        assert!(stderr.starts_with(&reason), "{stderr}");
    }
}

#[test]
fn next_astro_that_cannot_start_is_an_error() {
    let next = tempfile::tempdir().unwrap();
    let program = next.path().join("astro");
    write_program(&program, "");
    fs::write(&program, "#!/nowhere/interpreter\n").unwrap();
    let Output { stderr, code, .. } = astro_with(&[next.path()]).run(&["deploy"]);
    assert_eq!(code, Some(1));
    assert!(stderr.starts_with(&format!("error: could not run {}\ncause: ", program.display())), "{stderr}");
}

#[test]
fn next_astro_has_inherited_core_dump_limit() {
    let next = stand_in("ulimit -S -c");
    let shell = ["/bin/sh", "-c", "ulimit -S -c 7 && exec \"$@\"", "sh"];
    let said = astro_with(&[next.path()]).through(&shell).run(&["deploy"]);
    assert_eq!(said, output("7\n", "", 0));
}

#[test]
fn next_astro_ends_with_its_pipe() {
    let next = stand_in("exec yes");
    let closed = std::io::pipe().unwrap().1;
    let Output { stderr, code, .. } = astro_with(&[next.path()]).stdout(closed).run(&["deploy"]);
    assert_eq!((stderr.as_str(), code), ("", None), "SIGPIPE ends it");
}

fn on_terminal(lines: &str) -> (TempDir, Pty) {
    let next = stand_in(lines);
    let path = path_of(&[next.path()]);
    let home = next.path().to_str().unwrap().to_owned();
    let pty = Pty::spawn(BINARY, &["deploy"], [("PATH", path.as_str()), ("HOME", &home)]);
    (next, pty)
}

#[test]
fn next_astro_has_the_terminal() {
    let (_next, mut pty) =
        on_terminal("test -t 0 -a -t 1 -a -t 2 || exit 9; printf 'Name? '; read name; echo \"Hello $name\"; exit 5");
    pty.wait_for("Name? ");
    pty.type_keys(&format!("Ada{ENTER}"));
    pty.wait_for("Hello Ada");
    pty.finish_with(5);
}

#[test]
fn next_astro_gets_ctrl_c_and_stop() {
    let (_next, mut pty) = on_terminal("trap 'echo caught; exit 42' INT; echo ready; while :; do sleep 0.05; done");
    pty.wait_for("ready");
    pty.signal_foreground(Signal::STOP);
    pty.signal_foreground(Signal::CONT);
    pty.type_keys(CTRL_C);
    pty.wait_for("caught");
    pty.finish_with(42);
}

/// config.yaml after a login into the keychain, and after one into the file.
const IN_KEYCHAIN: &str =
    "context: astronomer.io\ncontexts:\n    astronomer_io: {domain: astronomer.io, user_email: a@b.c}\n";
const IN_CONFIG: &str = "context: astronomer.io\ncontexts:\n    astronomer_io: {domain: astronomer.io, user_email: a@b.c, \
                         token: Bearer eyJ}\n";
const VERSION_1: &str = "[ \"$1\" = version ] && echo 'Astro CLI Version: 1.45.0' || echo ran";

fn deploy_on_terminal(home: &TestHome, next: &Path) -> String {
    let (path, home) = (path_of(&[next]), home.path().to_str().unwrap());
    let pty = Pty::spawn(BINARY, &["deploy"], [("PATH", path.as_str()), ("HOME", home)]);
    pty.finish_with(0)
}

#[test]
fn login_unseen_by_version_1_is_said_once_a_day() {
    let next = stand_in(VERSION_1);
    let home = TestHome::new();
    home.write_config(IN_KEYCHAIN);
    let piped = Astro::at(&home).with("PATH", &path_of(&[next.path()])).run(&["deploy"]);
    assert_eq!(piped, output("ran\n", "", 0), "only on a terminal");
    let said = deploy_on_terminal(&home, next.path());
    let note =
        "astro cannot see your login, which is in the keychain; `astro login --insecure-storage` shares it\r\nran\r\n";
    assert!(said.starts_with("note: ") && said.ends_with(note), "{said}");
    assert_eq!(deploy_on_terminal(&home, next.path()), "ran\r\n", "once a day");

    let names = home.path().join(".astro/login-names.json");
    let earlier = fs::read_to_string(&names).unwrap().replace("\"remarked_on\": \"2", "\"remarked_on\": \"1");
    fs::write(&names, earlier).unwrap();
    assert!(deploy_on_terminal(&home, next.path()).starts_with("note: "), "on another day");
}

/// A login with a token leaves no email in config.yaml.
#[test]
fn token_login_unseen_by_version_1_is_said() {
    let current = |domain: &str, key: &str| format!("context: {domain}\ncontexts:\n    {key}: {{domain: {domain}}}\n");
    for (domain, key) in [("base.example.com", "base_example_com"), ("astronomer.io", "astronomer_io")] {
        let (next, home) = (stand_in(VERSION_1), TestHome::new());
        home.write_config(&current(domain, key));
        assert_eq!(deploy_on_terminal(&home, next.path()), "ran\r\n", "logged out of {domain}");
        let names = home.path().join(".astro/login-names.json");
        fs::write(&names, format!("{{\"in_keychain\": [\"{domain}\"]}}")).unwrap();
        assert!(deploy_on_terminal(&home, next.path()).contains("is in the keychain; `astro login"), "{domain}");
    }
}

#[test]
fn login_that_next_astro_may_see_is_not_remarked() {
    let version_2 = VERSION_1.replace("1.45.0", "2.0.0");
    let table = [
        (IN_CONFIG, VERSION_1),
        (IN_KEYCHAIN, version_2.as_str()),
        (IN_KEYCHAIN, "[ \"$1\" = version ] || echo ran"),
        ("", VERSION_1),
    ];
    for (config, lines) in table {
        let (next, home) = (stand_in(lines), TestHome::new());
        home.write_config(config);
        assert_eq!(deploy_on_terminal(&home, next.path()), "ran\r\n", "{lines}");
    }
}
