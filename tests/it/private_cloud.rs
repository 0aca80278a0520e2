//! `astro login BASEDOMAIN` and the commands after it: the built binary against an Astro Private Cloud, over real TLS.
//!
//! Linux only, because `SSL_CERT_FILE` names the trusted certificates only there.

use std::collections::{HashMap, HashSet};

use crate::support::binary::{Output, leaked};
use crate::support::houston::{AT_PORT, BASE, Fault, HOST, NO_PERMISSION, Options, PrivateCloud, token};
use crate::support::keyring::Session;
use crate::support::proxy::Flaw;
use crate::support::pty::{ENTER, Pty};
use serde_json::{Value, json};

pub(crate) const LOGIN: [&str; 5] = ["login", BASE, "-t", "-", "--insecure-storage"];
const PASSWORD: [&str; 6] = ["login", BASE, "--username", "ada", "-", "--insecure-storage"];
const EXPIRY: &str = "2096-10-02 07:06 UTC";

/// Undoes the breaks of wrapped lines.
pub(crate) fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Logs in with the token of the platform, into config.yaml.
fn logged_in(options: Options) -> PrivateCloud {
    let cloud = PrivateCloud::new(options);
    let Output { stderr, code, .. } = cloud.astro().stdin(cloud.token()).run(&LOGIN);
    assert_eq!(code, Some(0), "{stderr}");
    cloud.set(|options| options.faults = HashMap::new());
    cloud
}

/// Starts `astro` on a terminal, with a browser that leaves the file `opened`.
pub(crate) fn on_terminal(cloud: &PrivateCloud, arguments: &[&str]) -> Pty {
    let home = cloud.home.path().to_str().unwrap();
    let opener = cloud.home.path().join("opener");
    std::fs::write(&opener, format!("#!/bin/sh\necho \"$1\" > {home}/opened\n")).unwrap();
    std::fs::set_permissions(&opener, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut environment = vec![
        ("HOME".to_owned(), home.to_owned()),
        ("TZ".to_owned(), "UTC".to_owned()),
        ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
        ("BROWSER".to_owned(), opener.display().to_string()),
        ("DBUS_SESSION_BUS_ADDRESS".to_owned(), "unix:path=/nonexistent".to_owned()),
    ];
    environment.extend(cloud.variables().map(|(name, value)| (name.to_owned(), value)));
    let environment = environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    Pty::spawn(env!("CARGO_BIN_EXE_astro"), arguments, environment)
}

#[test]
fn private_cloud_token_login_in_go_form() {
    for (version, list) in [
        ("0.25.0", "workspaces"),
        ("0.30.0", "paginatedWorkspaces"),
        ("1.0.0", "paginatedWorkspaces"),
        ("2.0.0", "paginatedWorkspaces"),
    ] {
        let cloud = PrivateCloud::of_version(version);
        let token = cloud.token();
        let Output { stdout, stderr, code } = cloud.astro().stdin(format!(" \"{token}\"\r\n")).run(&LOGIN);
        assert_eq!((stdout.as_str(), code), ("", Some(0)), "{stderr}");
        let note = "note: not logged in to registry.base.example.com; `docker login` does that, as\nuser `user` with this token\n";
        let registry = if version < "1" { note } else { "" };
        let path = cloud.home.config_path().display().to_string();
        let said = format!(
            "Preparing to log in to base.example.com…\n{registry}Logged in to base.example.com\n  workspace     Looms\n  \
             credentials   {path} (unencrypted)\n  expires       {EXPIRY} (in"
        );
        assert!(unwrapped(&stderr).starts_with(&unwrapped(&said)), "{stderr}");
        assert_eq!(leaked(&stderr, &token), None);
        let config = format!(
            "contexts:\n    base_example_com:\n        domain: base.example.com\n        token: {token}\n        workspace: \
             ck1\n        last_used_workspace: ck1\ncontext: base.example.com\n"
        );
        let mut lines = [cloud.config(), config].map(|it| it.lines().map(str::to_owned).collect::<Vec<_>>());
        for lines in &mut lines {
            lines.sort();
        }
        assert_eq!(lines[0], lines[1]);
        let asked = ["authConfig", "appConfig with token", &format!("{list} with token")];
        assert_eq!(cloud.log(), asked);
        assert!(cloud.asked().iter().all(|it| it.authorization.as_ref().is_none_or(|it| *it == token)));
        assert_eq!(cloud.proxy.targets(), [format!("{HOST}:443")]);
    }
}

#[test]
fn rf_15_private_cloud_password_from_stdin_is_sent_once() {
    let cloud = PrivateCloud::new(Options::default());
    let Output { stdout, stderr, code } = cloud.astro().stdin("correct horse \n").run(&PASSWORD);
    assert_eq!((stdout.as_str(), code), ("", Some(0)), "{stderr}");
    assert_eq!(cloud.log(), ["authConfig", "createToken", "appConfig with token", "paginatedWorkspaces with token"]);
    let sent = &cloud.asked()[1];
    assert_eq!(sent.variables, json!({"identity": "ada", "password": "correct horse "}));
    assert!(!sent.query.contains("correct"), "{}", sent.query);
    assert!(cloud.config().contains(&cloud.token()) && !cloud.config().contains("correct"));
    let Output { stderr, code, .. } =
        cloud.astro().stdin("correct horse ").run(&["login", "--username", "ada", "-", "-vvvv"]);
    assert_eq!((code, stderr.contains("correct")), (Some(0), false), "{stderr}");
}

#[test]
fn private_cloud_wrong_password_stores_nothing() {
    let cloud = PrivateCloud::new(Options::default());
    let Output { stdout, stderr, code } = cloud.astro().stdin("wrong").run(&PASSWORD);
    let said = "Preparing to log in to base.example.com…\nLogging in…\nerror: could not log in to base.example.com\n\
                cause: houston.base.example.com refused the user name or the password (Invalid username and password combination)\n\
                hint: run `astro login base.example.com` to try again\n";
    assert_eq!((stdout.as_str(), stderr.as_str(), code), ("", said, Some(4)));
    assert_eq!(cloud.home.config(), None);
    let Output { stdout, code, .. } =
        cloud.astro().stdin("wrong").run(&[&PASSWORD[..], &["--output", "json"]].concat());
    assert_eq!((stdout.contains(r#""code":4,"kind":"unauthenticated""#), code), (true, Some(4)), "{stdout}");
}

#[test]
fn private_cloud_refused_token_stores_nothing() {
    let ended = token(&json!({"exp": 1_700_000_000}));
    let of_astro = token(&json!({"iss": "https://auth.astronomer.io/", "exp": 4_000_000_000_u64}));
    let api_token = token(&json!({"isAstronomerGenerated": true}));
    let page = "https://app.base.example.com/token";
    let table = [
        (
            "0123456789abcdef0123456789abcdef".to_owned(),
            "houston.base.example.com refused the token, which may have expired or been revoked".to_owned(),
            format!("run `astro login base.example.com` with a new token from {page}"),
            2,
        ),
        (ended, "the token expired".to_owned(), format!("get a new token at {page}"), 1),
        (
            of_astro,
            "this is a token of Astro, not of Astro Private Cloud".to_owned(),
            format!("use a token from {page}, or log in to Astro with `astro login astronomer.io`"),
            1,
        ),
        (
            api_token,
            "this is a token of Astro, not of Astro Private Cloud".to_owned(),
            format!("use a token from {page}, or log in to Astro with `astro login astronomer.io`"),
            1,
        ),
    ];
    for (token, cause, hint, requests) in table {
        let cloud = PrivateCloud::new(Options::default());
        let Output { stderr, code, .. } = cloud.astro().stdin(&token).run(&LOGIN);
        let told = format!("error: could not log in to base.example.com\ncause: {cause}");
        assert!(stderr.contains(&told) && stderr.ends_with(&format!("hint: {hint}\n")), "{stderr}");
        assert_eq!((code, cloud.home.config()), (Some(4), None));
        assert_eq!(leaked(&stderr, &token), None);
        assert_eq!(cloud.asked().len(), requests, "{:?}", cloud.log());
    }
}

#[test]
fn rf_15_private_cloud_password_prompt_shows_nothing_of_it() {
    let cloud = PrivateCloud::new(Options::default());
    let mut pty = on_terminal(&cloud, &["login", BASE, "--insecure-storage"]);
    pty.wait_for("User name:");
    pty.type_keys(&format!("ada{ENTER}"));
    pty.wait_for("password (input hidden)");
    pty.type_keys("correct horse ");
    // The spinner has turned since.
    pty.wait_for("⠋");
    pty.wait_for("⠴");
    pty.type_keys(ENTER);
    let shown = pty.finish_with(0);
    assert!(shown.contains("Logged in to base.example.com") && !shown.contains("horse"), "{shown}");
    assert!(!shown.contains("character"), "the length of the password: {shown}");
    assert!(cloud.config().contains(&format!("token: {}\n", cloud.token())));

    let mut pty = on_terminal(&cloud, &["login", BASE, "--insecure-storage", "--username", "ada"]);
    pty.wait_for("password (input hidden)");
    pty.type_keys(&format!("wrong{ENTER}"));
    let shown = pty.finish_with(4);
    assert!(shown.contains("refused the user name or the password") && !shown.contains("User name:"), "{shown}");
}

#[test]
fn private_cloud_browser_login_on_terminal() {
    let cloud = PrivateCloud::new(Options::default());
    for arguments in [&["login", BASE, "--insecure-storage"][..], &["login", BASE, "--insecure-storage", "-o"]] {
        let mut pty = on_terminal(&cloud, arguments);
        if arguments.len() == 3 {
            pty.wait_for("User name:");
            pty.type_keys(ENTER);
        }
        pty.wait_for("https://app.base.example.com/token");
        pty.wait_for("input hidden");
        pty.paste(&cloud.token());
        pty.wait_for("characters pasted");
        pty.type_keys(ENTER);
        let shown = pty.finish_with(0);
        assert!(shown.contains("Logged in to base.example.com"), "{shown}");
        assert_eq!(leaked(&shown, &cloud.token()), None);
    }
    let opened = std::fs::read_to_string(cloud.home.path().join("opened")).unwrap();
    assert_eq!(opened, "https://app.base.example.com/token\n");
}

#[test]
fn private_cloud_ways_that_are_disabled() {
    let said = |options: Options, arguments: &[&str]| {
        let cloud = PrivateCloud::new(options);
        let Output { stderr, code, .. } = cloud.astro().stdin("x").run(arguments);
        assert_eq!((code, cloud.log()), (Some(2), vec!["authConfig".to_owned()]), "{stderr}");
        stderr
    };
    let no_passwords = Options { local_enabled: false, ..Options::default() };
    let shown = said(no_passwords, &PASSWORD);
    assert!(shown.contains("the platform has no logins with a user name and a password"), "{shown}");
    let cloud = PrivateCloud::new(Options { providers: 0, ..Options::default() });
    let pty = on_terminal(&cloud, &["login", BASE, "-o"]);
    let shown = pty.finish_with(2);
    assert!(shown.contains("the platform has no logins in the browser"), "{shown}");
}

#[test]
fn private_cloud_login_without_terminal_names_the_ways() {
    let cloud = PrivateCloud::new(Options::default());
    let Output { stderr, code, .. } = cloud.astro().run(&["login", BASE]);
    let said = "error: could not log in to base.example.com\ncause: cannot log in interactively: no terminal\nhint: use \
                `--token-login -` with a token on standard input, or `--username NAME -` with a password\n";
    assert_eq!((unwrapped(&stderr), code, cloud.asked()), (unwrapped(said), Some(2), Vec::new()));
}

#[test]
fn flag_of_other_product_is_refused() {
    let cloud = PrivateCloud::new(Options::default());
    for (domain, flags, what, product) in [
        (BASE, &["--email", "ada@example.com"][..], "`--email`", "Astro Private Cloud"),
        ("astronomer.io", &["--username", "ada", "-"], "`--username`", "Astro"),
    ] {
        let arguments = [&["login", "-d", domain][..], flags].concat();
        let arguments = if flags.len() == 3 { vec!["login", domain, "--username", "ada", "-"] } else { arguments };
        let Output { stderr, code, .. } = cloud.astro().stdin("x").run(&arguments);
        let said = format!(
            "error: could not log in to {domain} cause: {what} does not work with {domain}, which is a domain of {product} \
             hint: leave it out, or name another domain"
        );
        assert_eq!((unwrapped(&stderr), code, cloud.proxy.connects().len()), (said, Some(2), 0));
    }
}

/// `--login-link` and `--oauth` are refused beside a password. They act on a terminal, in tests of their own.
#[test]
fn private_cloud_flags_act_or_are_refused() {
    let stored = logged_in(Options::default());
    let refused = "does not work with base.example.com";
    let mut command = astro_login::cli::command();
    command.build();
    let arguments = command.find_subcommand("login").unwrap().get_arguments();
    let own: Vec<_> = arguments.filter(|it| !it.is_global_set() && !it.is_hide_set()).collect();
    assert!(own.len() > 12, "{own:?}");
    for argument in own {
        let (flags, code, said): (&[&str], i32, &str) = match argument.get_id().as_str() {
            "help" => continue,
            "login_link" => (&["--login-link", "--username=ada", "-"], 2, "cannot be used with"),
            "oauth" => (&["--oauth", "--username=ada", "-"], 2, "cannot be used with"),
            "begin" => (&["--begin"], 2, refused),
            "email" => (&["--if-needed", "--email=ada@example.com"], 2, refused),
            "organization" => (&["--if-needed", "--organization=acme"], 2, refused),
            "paste_stdin" => (&["--login-link", "--paste-stdin"], 2, refused),
            "timeout" => (&["-t-", "--timeout=300"], 2, refused),
            "complete" => (&["--complete=-"], 2, "cannot be used with"),
            "domain" | "domain-flag" | "token_login" => (&["-t-"], 0, "Logged in to base.example.com"),
            "username" | "password" => (&["--username=other", "-"], 4, "refused the user name or the password"),
            "workspace" => (&["-t-", "--workspace=other"], 1, "no workspace named `other`"),
            "if_needed" => (&["--if-needed"], 0, "Already logged in to base.example.com"),
            "insecure_storage" => (&["-t-", "--insecure-storage"], 0, "(unencrypted)"),
            "vault" => (&["-t-", "--vault"], 0, "no keychain available"),
            "output" => (&["-t-", "--output=json"], 0, "\"event\""),
            unknown => panic!("{unknown}: does it act on Astro Private Cloud?"),
        };
        let cloud = if flags.contains(&"--if-needed") { &stored } else { &PrivateCloud::new(Options::default()) };
        let asked = cloud.proxy.connects().len();
        // There is no keychain, so only a flag gets past this setting.
        let setting =
            if flags.iter().any(|it| ["--insecure-storage", "--vault"].contains(it)) { "keychain" } else { "plain" };
        let astro = cloud.astro().with("ASTRO_CREDENTIALS", setting).stdin(cloud.token());
        let output = astro.run(&[&["login", BASE][..], flags].concat());
        let all = unwrapped(&format!("{}{}", output.stderr, output.stdout));
        assert!(output.code == Some(code) && all.contains(said), "{flags:?}: {output:?}");
        assert!(code != 2 || cloud.proxy.connects().len() == asked, "{flags:?}: {output:?}");
    }
}

#[test]
fn tk_10_private_cloud_port_of_go_cli_is_used_by_https() {
    let cloud = PrivateCloud::new(Options::default());
    let astro = || cloud.astro().stdin(cloud.token());
    for (settings, target, warnings) in [
        ("{port: \"443\", protocol: https, ws_protocol: wss}", "houston.base.example.com:443", &[][..]),
        ("{port: \"8443\"}", AT_PORT, &[]),
        ("{port: 8443, protocol: http}", AT_PORT, &["`cloud.api.protocol` of config.yaml does not apply here"]),
        ("{port: \"0\"}", "houston.base.example.com:443", &["`cloud.api.port` of config.yaml is not a port"]),
        ("{port: 84430}", "houston.base.example.com:443", &["`cloud.api.port` of config.yaml is not a port"]),
    ] {
        cloud.home.write_config(&format!("cloud:\n    api: {settings}\n"));
        let before = cloud.proxy.connects().len();
        let Output { stderr, code, .. } = astro().run(&LOGIN);
        let (connects, said) = (cloud.proxy.connects(), unwrapped(&stderr));
        assert!(code == Some(0) && connects.len() > before, "{settings}: {stderr}");
        assert!(connects[before..].iter().all(|it| it.target == target), "{settings}: {connects:?}");
        assert_eq!(said.matches("warning: `").count(), warnings.len(), "{settings}: {stderr}");
        assert!(warnings.iter().all(|it| said.contains(it)), "{settings}: {stderr}");
    }
    // Every other command goes there as well.
    cloud.home.write_config(&format!("cloud: {{api: {{port: 8443}}}}\n{}", cloud.config()));
    cloud.home.write_config(&cloud.config().replace("cloud:\n    api: {port: 84430}\n", ""));
    let before = cloud.proxy.connects().len();
    assert_eq!(astro().run(&["workspace", "list"]).code, Some(0));
    let doctor = astro().run(&["auth", "doctor"]);
    assert!(unwrapped(&doctor.stdout).contains("api houston.base.example.com:8443 through the proxy"), "{doctor:?}");
    assert!(cloud.proxy.connects()[before..].iter().all(|it| it.target == AT_PORT));
    assert_eq!(astro().run(&["login", "houston.base.example.com:9443", "-t", "-"]).code, Some(0));
}

#[test]
fn private_cloud_commands_after_login() {
    let workspaces = vec![("ck1".to_owned(), "Looms".to_owned()), ("ck2".to_owned(), "Punched Cards".to_owned())];
    let cloud = logged_in(Options { workspaces, ..Options::default() });
    let run = |arguments: &[&str]| cloud.astro().with("ASTRO_API_TOKEN", &token(&json!({}))).run(arguments);
    assert_eq!(run(&["auth", "token"]).stdout, format!("{}\n", cloud.token()));
    let status = run(&["auth", "status"]);
    let expected = "type          token of Astro Private Cloud (signature and expiry not verified)\nissued        2023-11-14 22:13 UTC";
    assert!(status.stdout.contains(expected), "{status:?}");
    let status: Value = serde_json::from_str(&run(&["auth", "status", "--json", "--check"]).stdout).unwrap();
    assert_eq!((&status["kind"], &status["check"]["outcome"]), (&json!("private_cloud"), &json!("accepted")));
    let listed = run(&["workspace", "list"]);
    assert_eq!(listed.stdout, "  NAME           ID\n  Looms          ck1\n  Punched Cards  ck2\n", "{listed:?}");
    let switched = run(&["workspace", "switch", "punched cards"]);
    assert_eq!((switched.stderr.as_str(), switched.code), ("Switched to workspace Punched Cards\n", Some(0)));
    assert!(cloud.config().contains("        workspace: ck2\n"), "{}", cloud.config());
    assert!(!cloud.config().contains("organization"));
    let refused = run(&["organization", "list"]);
    let said = "error: `astro organization` does not work with base.example.com, which is a domain of Astro Private Cloud\n\
                hint: use `astro workspace`\n";
    assert_eq!((refused.stderr.as_str(), refused.code), (said, Some(2)));
    let exec = run(&["auth", "exec", "--", "/bin/sh", "-c", "echo $TOKEN"]);
    assert_eq!((exec.stdout.as_str(), exec.code), ("", Some(2)), "{exec:?}");
    let exec = run(&["auth", "exec", "--env", "TOKEN", "--", "/bin/sh", "-c", "echo $TOKEN $ASTRO_DOMAIN"]);
    assert_eq!(exec.stdout, format!("{} base.example.com\n", cloud.token()), "{exec:?}");
    let contexts = run(&["context", "list"]);
    assert!(contexts.stdout.contains("* base.example.com"), "{contexts:?}");
    let logout = run(&["logout"]);
    let path = cloud.home.config_path().display().to_string();
    let said = format!("Removed credentials from {path}\nCopies of the token stay valid until {EXPIRY} (in");
    assert!(logout.stderr.starts_with(&said) && logout.code == Some(0), "{logout:?}");
    assert!(logout.stderr.contains("years), or until an administrator ends it\n"), "{logout:?}");
    assert!(logout.stderr.ends_with("Logged out of base.example.com\n"), "{logout:?}");
    let config = cloud.config();
    assert!(!config.contains("token") && config.contains("workspace: ck2"), "{config}");
    assert!(cloud.asked().iter().all(|it| it.authorization.as_ref().is_none_or(|it| *it == cloud.token())));
}

#[test]
fn private_cloud_expired_token_names_the_login() {
    let cloud = logged_in(Options::default());
    let ended = token(&json!({"exp": 1_700_000_000}));
    cloud.home.write_config(&cloud.config().replace(&cloud.token(), &ended));
    let Output { stdout, stderr, code } = cloud.astro().run(&["auth", "token"]);
    assert_eq!((stdout.as_str(), code), ("", Some(4)));
    assert!(stderr.starts_with("error: your login to base.example.com expired on 2023-11-14 ("), "{stderr}");
    assert!(stderr.ends_with("\nhint: run `astro login base.example.com`\n"), "{stderr}");
    // One that an administrator ended.
    cloud.home.write_config(&cloud.config().replace(&ended, &cloud.token()));
    cloud.set(|options| options.tokens = HashSet::new());
    let Output { stderr, code, .. } = cloud.astro().run(&["workspace", "list"]);
    assert!(stderr.starts_with("error: houston.base.example.com refused the token"), "{stderr}");
    assert_eq!(code, Some(4));
    assert!(!stderr.contains(NO_PERMISSION));
}

#[test]
fn private_cloud_login_replaces_expired_token() {
    let cloud = logged_in(Options::default());
    let old = token(&json!({"exp": 1_700_000_000}));
    cloud.home.write_config(&cloud.config().replace(&cloud.token(), &old));
    // Without an argument, the current context decides.
    let Output { stderr, code, .. } = cloud.astro().stdin("correct horse ").run(&["login", "--username", "ada", "-"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(cloud.config().contains(&cloud.token()) && !cloud.config().contains(&old));
}

#[test]
fn private_cloud_domain_is_normalized_and_said() {
    let cloud = PrivateCloud::new(Options::default());
    for typed in ["https://App.Base.example.com:443/", "houston.base.example.com", "registry.base.example.com/"] {
        let Output { stderr, code, .. } = cloud.astro().stdin(cloud.token()).run(&["login", typed, "-t", "-"]);
        assert_eq!(code, Some(0), "{stderr}");
        let note = format!("note: using base.example.com, the base domain of {typed}\n");
        assert!(stderr.contains(&note), "{stderr}");
    }
}

#[test]
#[ignore = "needs dbus-daemon, gnome-keyring-daemon and secret-tool"]
fn rf_18_private_cloud_login_in_keychain() {
    let (cloud, session) = (PrivateCloud::new(Options::default()), Session::with_keyring());
    let run = |stdin: &str, arguments: &[&str]| {
        let output = cloud.astro().with("DBUS_SESSION_BUS_ADDRESS", session.address()).stdin(stdin).run(arguments);
        assert_eq!(output.code, Some(0), "{output:?}");
        output
    };
    let kept = || session.entry(BASE);
    let arguments = ["login", BASE, "-t", "-", "--vault"];
    let login = run(&cloud.token(), &arguments);
    assert!(login.stderr.contains("\n  credentials   the Secret Service\n"), "{}", login.stderr);
    let entry: Value = serde_json::from_str(&kept()).unwrap();
    assert_eq!((&entry["kind"], &entry["access"]), (&json!("private-cloud"), &json!(cloud.token())));
    let config = cloud.config();
    assert!(!config.contains("token") && config.contains("workspace: ck1"), "{config}");
    let is_recorded = || {
        let names = std::fs::read_to_string(cloud.home.path().join(".astro/login-names.json")).unwrap_or_default();
        names.contains("\"in_keychain\"") && names.contains(BASE)
    };
    assert!(is_recorded());
    let printed = |token: &str| assert_eq!(run("", &["auth", "token"]).stdout, format!("{token}\n"));
    printed(&cloud.token());

    // The Go CLI logs in beside it: its token is newer, until a login replaces it. Written back, it is ignored.
    let theirs = token(&json!({"sub": "go", "exp": 4_000_000_001_u64}));
    let with_theirs = config.replace("        domain:", &format!("        token: {theirs}\n        domain:"));
    cloud.home.write_config(&with_theirs);
    printed(&theirs);
    let login = run(&cloud.token(), &arguments);
    assert!(unwrapped(&login.stderr).contains("so the Go CLI is now logged out"), "{}", login.stderr);
    cloud.home.write_config(&with_theirs);
    printed(&cloud.token());

    assert!(run("", &["logout"]).stderr.contains("Removed credentials from the Secret Service\n"));
    assert_eq!(kept(), "");
    assert!(!cloud.config().contains("token") && !is_recorded());
}

#[test]
fn tk_10_private_cloud_certificate_is_always_checked() {
    for (flaw, reason) in
        [(Flaw::SelfSigned, "signed by an unknown authority"), (Flaw::OtherName, "issued for another host name")]
    {
        let cloud = PrivateCloud::with_flaw(Options::default(), flaw);
        cloud.home.write_config("houston:\n    skip_verify_tls: \"true\"\n");
        let Output { stderr, code, .. } = cloud.astro().stdin(cloud.token()).run(&LOGIN);
        let said = format!(
            "warning: `houston.skip_verify_tls` of config.yaml does not apply here: certificates are checked hint: set \
             SSL_CERT_FILE to the certificate of the platform's authority if it is refused Preparing to log in to \
             base.example.com… error: could not log in to base.example.com cause: could not ask for the ways to log in: \
             houston.base.example.com: certificate rejected: {reason} hint: if the platform uses \
             an authority of its own, set SSL_CERT_FILE to that authority's certificate"
        );
        assert_eq!((unwrapped(&stderr), code), (said, Some(1)));
        assert_eq!(cloud.asked(), []);
    }
}

#[test]
fn private_cloud_login_of_go_cli_is_used() {
    let cloud = PrivateCloud::new(Options::default());
    // As version 1.45 leaves it after a choice in its menu.
    let go = format!(
        "context: base.example.com\ncontexts:\n    base_example_com:\n        domain: base.example.com\n        \
         last_used_workspace: ck1\n        organization: \"\"\n        organization_product: \"\"\n        refreshtoken: \
         \"\"\n        token: {}\n        user_email: \"\"\n        workspace: ck1\nlocal:\n    platform: cloud\n",
        cloud.token()
    );
    cloud.home.write_config(&go);
    assert_eq!(cloud.astro().run(&["auth", "token"]).stdout, format!("{}\n", cloud.token()));
    let listed = cloud.astro().run(&["workspace", "list"]);
    assert_eq!((listed.stdout.as_str(), listed.stderr.as_str()), ("  NAME   ID\n* Looms  ck1\n", ""));
    assert_eq!(cloud.config(), go);
    let Output { stderr, code, .. } = cloud.astro().stdin(cloud.token()).run(&LOGIN);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(cloud.config(), go);
}

#[test]
fn private_cloud_doctor_asks_without_token() {
    let cloud = logged_in(Options { providers: 0, ..Options::default() });
    let config = format!("houston:\n    skip_verify_tls: \"true\"\n{}", cloud.config());
    cloud.home.write_config(&config);
    let asked = cloud.asked().len();
    let Output { stdout, code, .. } = cloud.astro().run(&["auth", "doctor", "--json"]);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let names: Vec<&str> = checks.iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["domain", "login", "storage", "keychain", "config", "account", "api", "variables"]);
    assert_eq!((code, &report["would"]), (Some(0), &json!("token")), "{report:#}");
    let api = &checks[6];
    let detail = api["detail"].as_str().unwrap();
    assert!(detail.contains("; logs in with a password; `houston.skip_verify_tls`"), "{detail}");
    assert_eq!(api["outcome"], "note");
    assert_eq!(cloud.log()[asked..], ["authConfig"]);
    cloud.set(|options| {
        options.faults = HashMap::from([("*".to_owned(), Fault::Response(200, "text/html", "<p>".into()))]);
    });
    let Output { stdout, code, .. } = cloud.astro().run(&["auth", "doctor"]);
    let said = "could not ask for the ways to log in: houston.base.example.com sent a web page";
    assert!(unwrapped(&stdout).contains(said) && code == Some(1), "{stdout}");
}

#[test]
fn private_cloud_absent_platform_is_told_first() {
    let cloud = PrivateCloud::new(Options::default());
    let astro = cloud.astro().stdin(cloud.token());
    let Output { stderr, code, .. } = astro.run(&["login", "other.example.com", "-t", "-"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(
        stderr.contains("cause: could not ask for the ways to log in: houston.other.example.com: the proxy"),
        "{stderr}"
    );
}
