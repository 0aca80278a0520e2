//! Completion scripts and manual pages for every shell and command, checked by the shells and by groff.

use std::fs;
use std::path::Path;
#[cfg(unix)]
use std::path::PathBuf;
use std::process::Command;
#[cfg(unix)]
use std::process::Stdio;

use crate::support::TestHome;
use crate::support::binary::{Astro, Output, commands};
use tempfile::TempDir;

const SHELLS: [&str; 5] = ["bash", "elvish", "fish", "powershell", "zsh"];

/// The manual page of every command, without the `.1`: `astro`, `astro-login`, …
fn pages() -> Vec<String> {
    commands().iter().map(|words| [&["astro".to_owned()], &words[..]].concat().join("-")).collect()
}

fn script(shell: &str) -> String {
    let home = TestHome::new();
    // It needs no home directory: this one is no absolute path, and not there.
    let astro = Astro::at(&home).with("HOME", "not-there").without("ASTRO_HOME");
    let Output { stdout, stderr, code } = astro.run(&["completion", shell]);
    assert_eq!((stderr.as_str(), code), ("", Some(0)), "{shell}");
    assert_eq!(fs::read_dir(home.path().join(".astro")).unwrap().count(), 0, "nothing is written");
    stdout
}

/// A folder with everything that a package installs beside the program.
fn manual() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let debug = Path::new(crate::support::binary::BINARY).parent().unwrap();
    let generator = debug.join("examples").join(format!("manual{}", std::env::consts::EXE_SUFFIX));
    assert!(generator.exists(), "without the whole test suite, `cargo build --example manual` first");
    let written = Command::new(generator).arg(folder.path()).env_clear().output().unwrap();
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    folder
}

#[cfg(unix)]
fn written(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("script");
    fs::write(&path, text).unwrap();
    (folder, path)
}

/// A program of this machine, without the environment of the test.
#[cfg(unix)]
fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").stdin(Stdio::null());
    command
}

/// Returns the output. Panics unless the command succeeds with an empty stderr.
#[cfg(unix)]
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let error_chain = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && error_chain.is_empty(), "{command:?}: {error_chain}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn completion_script_knows_every_command() {
    for shell in SHELLS {
        let script = script(shell);
        for word in commands().into_iter().flatten() {
            assert!(script.contains(&word), "{shell}: {word}");
        }
        for flag in ["login-link", "insecure-storage", "check", "force"] {
            assert!(script.contains(flag), "{shell}: {flag}");
        }
    }
}

#[test]
fn completion_without_shell_lists_shells() {
    for arguments in [&["completion"][..], &["completion", "csh"]] {
        let Output { stdout, stderr, code } = Astro::at(&TestHome::new()).run(arguments);
        assert_eq!((stdout.as_str(), code), ("", Some(2)), "{arguments:?}");
        for shell in SHELLS {
            assert!(stderr.contains(shell), "{arguments:?}: {stderr}");
        }
    }
}

#[test]
fn completion_to_closed_pipe_is_no_error() {
    let closed = std::io::pipe().unwrap().1;
    let output = Astro::at(&TestHome::new()).stdout(closed).run(&["completion", "bash"]);
    assert_eq!(output, Output { stdout: String::new(), stderr: String::new(), code: Some(0) });
}

/// Asks the function that the script has registered, as bash does when Tab is pressed.
#[cfg(unix)]
const PRESS_TAB: &str = r#"
    source "$1"; shift
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
    function=$(complete -p astro); function=${function#*-F }; function=${function%% *}
    "$function" astro "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
    echo "${COMPREPLY[@]}"
"#;

#[cfg(unix)]
#[test]
fn bash_completes_commands_and_flags() {
    let (_folder, script) = written(&script("bash"));
    let table: [(&[&str], &str); 8] = [
        (&["astro", "au"], "auth"),
        (&["astro", "lo"], "login logout"),
        (&["astro", "auth", "st"], "status"),
        (&["astro", "help", "auth", "st"], "status"),
        (&["astro", "auth", "status", "--ch"], "--check"),
        (&["astro", "login", "--login"], "--login-link"),
        (&["astro", "completion", "po"], "powershell"),
        (&["astro", "organization", "xyz"], ""),
    ];
    for (words, expected) in table {
        let said = said(program("bash").args(["--norc", "-c", PRESS_TAB, "bash"]).arg(&script).args(words));
        assert_eq!(said.trim_end(), expected, "{words:?}");
    }
}

/// Runs the line that the help has for the start-up file of this name, between two others.
#[cfg(unix)]
fn with_line_of_help(shell: &str, file: &str, before: &str, after: &str) -> String {
    let home = tempfile::tempdir().unwrap();
    let help = Astro::at(&TestHome::new()).run(&["completion", "--help"]).stdout;
    let line = help.lines().skip_while(|line| !line.contains(&format!("# in {file}"))).nth(1).unwrap();
    let folder = Path::new(crate::support::binary::BINARY).parent().unwrap().display();
    let path = format!("{folder}:/usr/local/bin:/usr/bin:/bin");
    let quiet = match shell {
        "bash" => "--norc",
        "zsh" => "--no-rcs",
        _ => "--no-config",
    };
    let lines = format!("{before}\n{line}\n{after}");
    said(program(shell).args([quiet, "-c", &lines]).env("PATH", path).env("HOME", home.path()))
}

#[test]
fn bash_and_fish_scripts_complete_no_file_names() {
    for fallback in ["bashdefault", "-o default"] {
        assert!(!script("bash").contains(fallback), "{fallback}");
    }
    assert!(script("fish").starts_with("complete -c astro --no-files\n"));
}

#[cfg(unix)]
#[test]
fn bash_line_in_help_works() {
    let said = with_line_of_help("bash", "~/.bashrc", "set -e", "complete -p astro");
    assert!(said.contains("-F _astro"), "{said}");
}

#[cfg(unix)]
#[ignore = "needs fish and zsh"]
#[test]
fn fish_and_zsh_lines_in_help_work() {
    let said = with_line_of_help("fish", "~/.config/fish/config.fish", "", "complete --do-complete 'astro auth st'");
    assert!(said.starts_with("status\t"), "{said}");
    let compinit = "autoload -Uz compinit; compinit -u -D";
    assert_eq!(with_line_of_help("zsh", "~/.zshrc", compinit, "print ${_comps[astro]}"), "_astro\n");
}

#[cfg(unix)]
#[ignore = "needs fish"]
#[test]
fn fish_completes_commands_and_flags() {
    let (folder, script) = written(&script("fish"));
    let complete = |typed: &str| {
        let asked = format!("source {}; complete --do-complete {typed:?}", script.display());
        let mut fish = program("fish");
        fish.args(["--no-config", "--command", &asked]).env("HOME", folder.path()).current_dir(folder.path());
        let said = said(&mut fish);
        said.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(complete("astro au"), ["auth"]);
    assert_eq!(complete("astro auth st"), ["status"]);
    assert_eq!(complete("astro auth status --ch"), ["--check"]);
    for nothing in
        ["astro logout ", "astro workspace switch ", "astro context switch ", "astro login --email ", "astro "]
    {
        let offered = complete(nothing);
        assert!(!offered.iter().any(|it| it == "script" || it.contains('/')), "{nothing:?}: {offered:?}");
    }
}

#[cfg(unix)]
#[ignore = "needs zsh"]
#[test]
fn zsh_registers_completion_script() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("_astro"), script("zsh")).unwrap();
    let asked = format!(
        "fpath=({} $fpath); autoload -Uz compinit; compinit -u -D; autoload +X _astro; print ${{_comps[astro]}}",
        folder.path().display()
    );
    assert_eq!(said(program("zsh").args(["--no-rcs", "-c", &asked]).env("HOME", folder.path())), "_astro\n");
}

#[test]
fn manual_example_writes_every_page_and_script() {
    let folder = manual();
    let mut expected: Vec<String> = pages().iter().map(|page| format!("{page}.1")).collect();
    expected.extend(["_astro", "_astro.ps1", "astro.bash", "astro.elv", "astro.fish"].map(str::to_owned));
    expected.sort();
    let entries = fs::read_dir(folder.path()).unwrap();
    let mut found: Vec<String> = entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    found.sort();
    assert_eq!(found, expected);

    let page = fs::read_to_string(folder.path().join("astro-auth-token.1")).unwrap();
    assert!(
        page.starts_with(concat!(".TH astro-auth-token 1 \"\" \"astro ", env!("CARGO_PKG_VERSION"), "\"")),
        "{page}"
    );
    assert!(
        page.contains("\n.SH EXAMPLES\n.nf\n\\&printf \\(aqAuthorization: Bearer %s\\(aq \"$(astro auth token)\" |\n"),
        "{page}"
    );
    assert!(page.contains("\n.SH SYNOPSIS\n\\fBastro auth token\\fR [OPTIONS] [DOMAIN]\n"), "{page}");
    assert!(page.contains("\n.SH EXIT STATUS\n.nf\n\\&0    success\n"), "{page}");
}

#[cfg(unix)]
#[ignore = "needs groff and man"]
#[test]
fn manual_pages_pass_groff_and_man() {
    let folder = manual();
    for name in pages() {
        let page = folder.path().join(format!("{name}.1"));
        said(program("groff").args(["-man", "-ww", "-Tutf8", "-rCHECKSTYLE=3"]).arg(&page));
        let shown = said(program("man").arg("--local-file").arg(&page).env("MANWIDTH", "80").env("LANG", "C.UTF-8"));
        for heading in ["NAME", "SYNOPSIS", "OPTIONS", "EXAMPLES", "SEE ALSO"] {
            assert!(shown.lines().any(|line| line == heading), "{name}: {shown}");
        }
    }
}

/// A folder with this program as `astro`, and one with a script that completes as the Go CLI does.
#[cfg(unix)]
fn ours_and_next() -> (TempDir, TempDir, String) {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let (ours, next) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    symlink(crate::support::binary::BINARY, ours.path().join("astro")).unwrap();
    let answer = r#"#!/bin/sh
[ "$1" = __complete ] || exit 9
case "$2 $3" in
    d*) printf 'deploy\tDeploy: now\ndev\tRun\n:4\n';;
    'workspace cr'*) printf 'create\tCreate\n:4\n';;
    l*) printf 'login\tLog in\nlogout\n:4\n';;
    *) echo :4;;
esac
echo 'Completion ended with directive: ShellCompDirectiveNoFileComp' >&2
"#;
    fs::write(next.path().join("astro"), answer).unwrap();
    fs::set_permissions(next.path().join("astro"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}:/usr/local/bin:/usr/bin:/bin", ours.path().display(), next.path().display());
    (ours, next, path)
}

#[cfg(unix)]
#[test]
fn bash_completes_commands_of_next_astro() {
    let (_ours, _next, path) = ours_and_next();
    let (_folder, script) = written(&script("bash"));
    let table: [(&[&str], &str); 5] = [
        (&["astro", "d"], "deploy dev"),
        (&["astro", "de"], "deploy dev"),
        (&["astro", "workspace", "cr"], "create"),
        (&["astro", "lo"], "login logout"),
        (&["astro", "auth", "st"], "status"),
    ];
    for (words, expected) in table {
        let mut bash = program("bash");
        bash.args(["--norc", "-c", PRESS_TAB, "bash"]).arg(&script).args(words).env("PATH", &path);
        assert_eq!(said(&mut bash).trim_end(), expected, "{words:?}");
    }
}

#[cfg(unix)]
#[ignore = "needs fish and zsh"]
#[test]
fn fish_and_zsh_complete_commands_of_next_astro() {
    let (_ours, _next, path) = ours_and_next();
    let (folder, script) = written(&script("fish"));
    let asked = format!("source {}; complete --do-complete 'astro de'", script.display());
    let mut fish = program("fish");
    fish.args(["--no-config", "--command", &asked]).env("HOME", folder.path()).env("PATH", &path);
    assert_eq!(said(&mut fish), "deploy\tDeploy: now\ndev\tRun\n");

    fs::write(folder.path().join("_astro"), self::script("zsh")).unwrap();
    // Runs the completion as zsh does, and prints what it would offer.
    let asked = format!(
        "fpath=({} $fpath); autoload -Uz compinit; compinit -u -D; autoload +X _astro
        _arguments() {{ return 1 }}; _describe() {{ print -rl -- \"${{(@P)${{@[-1]}}}}\" }}; compdef() {{ : }}
        words=(astro d); CURRENT=2; _astro 2>/dev/null; _astro 2>/dev/null",
        folder.path().display()
    );
    let mut zsh = program("zsh");
    let offered = said(zsh.args(["--no-rcs", "-c", &asked]).env("HOME", folder.path()).env("PATH", &path));
    assert!(offered.contains("deploy:Deploy\\: now\ndev:Run\n"), "{offered}");
}
