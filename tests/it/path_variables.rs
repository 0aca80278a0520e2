//! Paths in variables: absolute ones are used as they are, all others are refused before anything is written.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Output;

use crate::support::Stage;
use serde_json::json;

fn run(stage: &Stage, variable: (&str, &OsStr), arguments: &[&str]) -> (Option<i32>, String, String) {
    let token = stage.service.access_token(&json!({}));
    let mut command = stage.command(arguments);
    if variable.0 == "HOME" {
        command.env_remove("ASTRO_HOME");
    }
    let file = stage.home.path().join("token");
    fs::write(&file, token).unwrap();
    command.env("ASTRO_DOMAIN", stage.service.domain()).env(variable.0, variable.1);
    let Output { status, stdout, stderr } = command.stdin(fs::File::open(&file).unwrap()).output().unwrap();
    fs::remove_file(file).unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

const LOGIN: &[&str] = &["login", "--token-login", "-", "--insecure-storage"];

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn relative_path_variable_refused_and_nothing_written() {
    let stage = Stage::new();
    for (name, value) in [
        ("ASTRO_HOME", "~/x"),
        ("ASTRO_HOME", "$HOME"),
        ("ASTRO_HOME", "x"),
        ("ASTRO_HOME", "."),
        ("HOME", "~"),
        ("HOME", "../x"),
        ("SSL_CERT_FILE", "certs.pem"),
        ("SSL_CERT_DIR", "/etc/ssl/certs:certs"),
    ] {
        for arguments in [LOGIN, &["logout"], &["auth", "token"], &["auth", "status"], &["auth", "doctor"]] {
            let (code, stdout, stderr) = run(&stage, (name, OsStr::new(value)), arguments);
            let told = format!(
                "error: {name} is not an absolute path\n\
                 hint: set {name} to an absolute path without `~` or `$HOME`, or unset it\n"
            );
            assert_eq!((code, stdout.as_str(), stderr), (Some(2), "", told), "{name} {value} {arguments:?}");
        }
    }
    assert_eq!(names(stage.home.path()), [".astro"]);
    assert_eq!(stage.service.requests(), []);
}

#[test]
fn home_that_is_not_utf_8_is_used_as_it_is() {
    for name in ["ASTRO_HOME", "HOME"] {
        let stage = Stage::new();
        let home = stage.home.path().join(OsStr::from_bytes(b"odd \xff\xfe"));
        let (code, _, stderr) = run(&stage, (name, home.as_os_str()), LOGIN);
        assert_eq!(code, Some(0), "{name}: {stderr}");
        assert!(fs::read_to_string(home.join(".astro/config.yaml")).unwrap().contains("token: Bearer "), "{name}");
        assert_eq!(stage.home.config(), None, "the other home stays empty");
        let (code, stdout, _) = run(&stage, (name, home.as_os_str()), &["auth", "token"]);
        assert!(code == Some(0) && stdout.starts_with("eyJ"), "{name}");
    }
}

#[test]
fn variable_that_is_not_utf_8_is_named() {
    let stage = Stage::new();
    for name in ["ASTRO_DOMAIN", "ASTRO_API_TOKEN", "ASTRO_NO_INSECURE_FALLBACK", "HTTPS_PROXY", "https_proxy"] {
        let (code, stdout, stderr) = run(&stage, (name, OsStr::from_bytes(b"eyJ\xff")), LOGIN);
        let told = format!("error: {name} is not UTF-8 text\nhint: set {name} again, or unset it\n");
        assert_eq!((code, stdout.as_str(), stderr), (Some(2), "", told), "{name}");
    }
    assert_eq!((stage.home.config(), stage.service.requests()), (None, vec![]));
}
