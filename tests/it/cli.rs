//! The built binary without a terminal: output, streams and exit codes.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::binary::{Astro, Output, commands, leaked};
use crate::support::{FakeBrowser, Mode, Options, Part, Request, Service, TestHome, no_screen};
use serde_json::json;
use url::Url;

fn run(arguments: &[&str]) -> Output {
    Astro::at(&TestHome::new()).run(arguments)
}

/// config.yaml as the program writes its path.
fn config_path(home: &TestHome) -> String {
    home.path().join(".astro").join("config.yaml").display().to_string()
}

fn output(code: i32, stdout: &str, stderr: &str) -> Output {
    Output { stdout: stdout.to_owned(), stderr: stderr.to_owned(), code: Some(code) }
}

/// A file of this repository, as it was before git may have changed its line ends.
fn text(file: &str) -> String {
    file.replace('\r', "")
}

fn wrong_usage(arguments: &[&str]) -> String {
    let Output { stdout, stderr, code } = run(arguments);
    assert_eq!((stdout.as_str(), code), ("", Some(2)), "{arguments:?} {stderr}");
    stderr.replace("astro.exe", "astro")
}

/// The snapshot of a command's help, by the command's words behind `astro`.
fn snapshot(command: &[&str], length: &str) -> String {
    let name = ["help"].iter().chain(command).copied().collect::<Vec<_>>().join("-");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/snapshots/{name}{length}.txt"));
    // The comparison with a missing snapshot fails and shows the expected content.
    text(&fs::read_to_string(&path).unwrap_or_default())
}

#[test]
fn help_on_stdout_fits_80_columns() {
    for words in commands() {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let twin = |help: String| match words[..] {
            ["auth", name @ ("login" | "logout")] => {
                help.replace(&format!("Usage: astro {name}"), &format!("Usage: astro auth {name}"))
            }
            _ => help,
        };
        let shown = match words[..] {
            ["auth", "login" | "logout"] => &words[1..],
            _ => &words[..],
        };
        let (short, long) = (twin(snapshot(shown, "-short")), twin(snapshot(shown, "")));
        let table = [
            ([&words[..], &["-h"]].concat(), &short),
            ([&words[..], &["--help"]].concat(), &long),
            ([&["help"], &words[..]].concat(), &long),
        ];
        for (arguments, expected) in table {
            let Output { stdout, stderr, code } = run(&arguments);
            assert_eq!(&stdout.replace("astro.exe", "astro"), expected, "{arguments:?}");
            assert_eq!((stderr.as_str(), code), ("", Some(0)), "{arguments:?}");
            assert!(expected.contains("\nExamples:\n  "), "{arguments:?}");
            for line in expected.lines() {
                assert!(line.chars().count() <= 80, "{arguments:?}: {line}");
            }
        }
    }
}

#[test]
fn version_on_stdout() {
    assert_eq!(run(&["--version"]), output(0, concat!("astro ", env!("CARGO_PKG_VERSION"), "\n"), ""));
}

#[test]
fn incomplete_command_shows_help_and_fails() {
    for command in [&[][..], &["auth"], &["context"], &["organization"], &["workspace"], &["completion"]] {
        assert_eq!(wrong_usage(command), snapshot(command, "-short"), "{command:?}");
    }
}

#[test]
fn misspelled_command_names_similar_one_not_go_cli() {
    for (typed, similar) in [("lgoin", "login"), ("logn", "login"), ("workspce", "workspace")] {
        let said = wrong_usage(&[typed]);
        assert!(!said.contains("Go CLI") && said.contains(similar), "{said}");
    }
    for typed in [&["workspace", "lst"][..], &["auth", "stats"]] {
        let said = wrong_usage(typed);
        assert!(!said.contains("Go CLI"), "{said}");
    }
}

#[test]
fn domain_is_argument_or_flag_everywhere() {
    let home = TestHome::new();
    home.write_config("context: astronomer.io\n");
    let table: [&[&str]; 18] = [
        &["auth", "status", "localhost:9"],
        &["auth", "status", "--domain", "localhost:9"],
        &["auth", "token", "localhost:9"],
        &["auth", "token", "-d", "localhost:9"],
        &["logout", "localhost:9"],
        &["logout", "--domain=localhost:9"],
        &["auth", "logout", "-d", "localhost:9"],
        &["auth", "doctor", "localhost:9"],
        &["auth", "doctor", "--domain", "localhost:9"],
        &["login", "localhost:9", "--login-link"],
        &["login", "--domain", "localhost:9", "--login-link"],
        &["organization", "list", "--domain", "localhost:9"],
        &["organization", "switch", "Acme", "-d", "localhost:9"],
        &["workspace", "list", "--domain", "localhost:9"],
        &["workspace", "switch", "--domain", "localhost:9"],
        &["context", "switch", "--domain", "localhost:9"],
        &["context", "delete", "localhost:9", "--force"],
        &["context", "delete", "-d", "localhost:9", "--force"],
    ];
    for arguments in table {
        let Output { stdout, stderr, code } = Astro::at(&home).run(arguments);
        assert_ne!(code, Some(2), "{arguments:?}: {stderr}");
        assert!(format!("{stdout}{stderr}").contains("localhost:9"), "{arguments:?}: {stdout}{stderr}");
    }
    let status_and_token = [&["auth", "status"][..], &["auth", "token"]];
    for command in [&["login"][..], &["logout"], &["context", "switch"], &["context", "delete"]]
        .into_iter()
        .chain(status_and_token)
    {
        let both = [command, &["localhost:9", "--domain", "localhost:8"]].concat();
        assert!(wrong_usage(&both).contains("cannot be used with"), "{both:?}");
    }
}

#[test]
fn usage_error_names_mistake() {
    let table: [(&[&str], &str); 11] = [
        (&["login", "-t"], "error: a value is required for '--token-login <TOKEN>' but none was supplied"),
        (
            &["login", "-t", "--insecure-storage"],
            "error: a value is required for '--token-login <TOKEN>' but none was supplied",
        ),
        (
            &["login", "--email", "ada"],
            "error: invalid value 'ada' for '--email <EMAIL>': not an email address (expected \
             name@example.com)",
        ),
        (&["login", "--timeout", "0"], "error: invalid value '0' for '--timeout <SECONDS>': 0 is not in 1..=86400"),
        (
            &["login", "--timeout", "86401"],
            "error: invalid value '86401' for '--timeout <SECONDS>': 86401 is not in 1..=86400",
        ),
        (
            &["login", "--timeout", "5m"],
            "error: invalid value '5m' for '--timeout <SECONDS>': invalid digit found in string",
        ),
        (&["login", "-q", "-v"], "error: the argument '--quiet' cannot be used with '--verbose...'"),
        (&["login", "Example/"], "error: `example` is not a domain: it has no dot"),
        (&["login", "astronomre.io"], "error: `astronomre.io` looks like a misspelled astronomer.io"),
        (
            &["login", "https://app.Example.COM/w/ck1/deployments"],
            "error: `example.com/w/ck1/deployments` is the address of a page, not a domain",
        ),
        (&["login", "http://astronomer.io"], "error: `http://astronomer.io` is not an Astro domain"),
    ];
    for (arguments, expected) in table {
        assert_eq!(wrong_usage(arguments).lines().next(), Some(expected), "{arguments:?}");
    }
    let said = Astro::at(&TestHome::new()).with("ASTRO_DOMAIN", "cluster").run(&["login"]);
    let hint = "hint: use astronomer.io, one of its previews or localhost[:PORT], or the base domain of an \
                Astro Private Cloud";
    assert_eq!(said, output(2, "", &format!("error: `cluster` is not a domain: it has no dot\n{hint}\n")));
}

#[test]
fn tk_11_misplaced_token_not_shown() {
    let service = Service::start(Options::default());
    let token = service.access_token(&json!({}));
    let refresh_token =
        "v1.MRrtRefreshRefreshRefreshRefreshRefreshRefreshRefreshRefreshRefreshRefreshRefreshRefreshRefresh";
    for token in [token.as_str(), &service.api_token(), refresh_token] {
        let glued = |before: &str| format!("{before}{token}");
        let (long, misspelled, cluster) = (glued("--token-login"), glued("--token"), glued("-l"));
        let (domain, quiet, other) = (glued("--domain"), glued("--quiet="), glued("--no-such-flag="));
        let piece = &token[..30];
        let table: [&[&str]; 25] = [
            &["login", token],
            &["login", "astronomer.io", token],
            &["login", "Bearer", token],
            &["login", &format!("Bearer {token}")],
            &["login", piece],
            &["login", "astronomer.io", piece],
            &[token],
            &[piece],
            &["auth", token],
            &["auth", piece],
            &["help", token],
            &["login", "--email", token],
            &["login", "--timeout", token],
            &["login", "--color", token],
            &["login", "--color", piece],
            &["login", &long],
            &["auth", "login", &long],
            &[&long],
            &["login", &misspelled],
            &["login", &cluster],
            &["auth", "token", &domain],
            &["login", &quiet],
            &["login", &other],
            &["auth", "token", "--domain", piece],
            &["completion", token],
        ];
        for arguments in table {
            let said = wrong_usage(arguments);
            assert_eq!(leaked(&said, token), None, "{said}");
        }
        let home = TestHome::new();
        home.write_config("contexts:\n    localhost:1:\n        domain: localhost:1\n");
        for arguments in [["context", "switch", token], ["context", "delete", token], ["context", "switch", piece]] {
            let said = format!("{:?}", Astro::at(&home).run(&arguments));
            assert_eq!(leaked(&said, token), None, "{said}");
        }
    }
    let said = wrong_usage(&["login", "--token-loginhunter2"]);
    assert!(!said.contains("hunter2") && said.contains("--token-login -"), "{said}");
    assert_eq!(
        wrong_usage(&["login", &token]),
        "error: this looks like a token, not like a domain\nhint: run `astro login --token-login -` \
         with the token on standard input\n"
    );
}

#[test]
fn no_browser_no_terminal_fails_at_once() {
    let home = TestHome::new();
    let began = Instant::now();
    let ssh = Astro::at(&home).with("SSH_CONNECTION", "10.0.0.1 50000 10.0.0.2 22").run(&["login"]);
    let told = |reason: &str| {
        let why = "error: could not log in to astronomer.io\ncause: cannot log in interactively: no terminal";
        let hint = "hint: use `--login-link` or `--begin` for a URL to open on any device, or `--token-login -` with a token on standard input";
        output(2, "", &format!("{why} ({reason})\n{hint}\n"))
    };
    assert_eq!(ssh, told("running over SSH"));
    if cfg!(target_os = "linux") {
        let service = Service::start(Options::default());
        assert_eq!(Astro::at(&home).run(&["login"]), told(no_screen()));
        let Output { code, .. } = Astro::at(&home).run(&["login", &service.domain()]);
        assert_eq!((code, service.requests()), (Some(2), Vec::new()));
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(home.config(), None);
}

fn token_login(service: &Service) -> (String, [String; 7]) {
    let arguments = ["login", &service.domain(), "-t", "-", "--insecure-storage", "--workspace", "Punched Cards"];
    (service.access_token(&json!({})), arguments.map(str::to_owned))
}

fn borrowed(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

#[test]
#[cfg(target_os = "linux")]
fn missing_keychain_falls_back_with_warning() {
    use std::os::unix::fs::PermissionsExt as _;
    let service = Service::start(Options::default());
    let home = TestHome::new();
    let token = service.access_token(&json!({}));
    let outcome = Astro::at(&home).stdin(&token).run(&["login", &service.domain(), "-t", "-"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("warning: no keychain available ("), "{}", outcome.stderr);
    assert!(home.config().unwrap().contains(&format!("token: Bearer {token}\n")));
    assert_eq!(std::fs::metadata(home.config_path()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn token_on_stdin_may_be_utf_16_but_not_binary() {
    let service = Service::start(Options::default());
    let (token, arguments) = token_login(&service);
    let utf_16 =
        |mark, bytes: fn(u16) -> [u8; 2]| [mark].into_iter().chain(token.encode_utf16()).flat_map(bytes).collect();
    let texts: [Vec<u8>; 2] = [utf_16(0xfeff, u16::to_le_bytes), utf_16(0xfeff, u16::to_be_bytes)];
    for text in texts {
        let home = TestHome::new();
        let Output { stderr, code, .. } = Astro::at(&home).stdin(text).run(&borrowed(&arguments));
        assert_eq!(code, Some(0), "{stderr}");
        assert!(home.config().unwrap().contains(&format!("token: Bearer {token}\n")));
    }
    let home = TestHome::new();
    let Output { stderr, code, .. } = Astro::at(&home).stdin([0x65, 0x79, 0xff]).run(&borrowed(&arguments));
    assert_eq!((code, home.config()), (Some(4), None));
    assert!(stderr.contains("the text contains `\u{fffd}`, which no token does\n"), "{stderr}");
}

#[test]
fn token_login_in_config_shared_with_go_cli() {
    let service = Service::start(Options::default());
    let home = TestHome::new();
    let (token, arguments) = token_login(&service);
    let Output { stdout, stderr, code } = Astro::at(&home).stdin(format!("{token}\n")).run(&borrowed(&arguments));
    assert_eq!((stdout.as_str(), code), ("", Some(0)), "{stderr}");
    let (domain, path) = (service.domain(), config_path(&home));
    let (words, until) = stderr.split_once("  expires       ").unwrap();
    assert_eq!(
        words,
        format!(
            "Logged in to {domain} as Ada Lovelace <ada@example.com>\n  organization  Analytical Engines\n  \
             workspace     Punched Cards\n  credentials   {path} (unencrypted)\n"
        )
    );
    assert!(until.ends_with(" UTC (in 24 hours); log in again after that\n"), "{until}");
    let config = home.config().unwrap();
    let expires = config.lines().find_map(|line| line.trim().strip_prefix("expiresin: ")).unwrap();
    assert!(leaked(&config, &token).is_some(), "what is looked for elsewhere is found here");
    assert!(until.starts_with(&expires.replace('T', " ")[..16]), "{until} {expires}");
    assert_eq!(
        config,
        format!(
            "contexts:\n    {domain}:\n        domain: {domain}\n        expiresin: {expires}\n        \
             token: Bearer {token}\n        user_email: ada@example.com\n        auth_domain: http://{domain}/\n        \
             auth_client_id: astro-cli-client\n        last_used_workspace: clws000010000000000000002\n        \
             organization: clorg00000000000000000001\n        organization_product: HOSTED\n        \
             workspace: clws000010000000000000002\ncontext: {domain}\n"
        )
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn auth_login_equals_login() {
    let service = Service::start(Options::default());
    let home = TestHome::new();
    let (token, arguments) = token_login(&service);
    let arguments: Vec<&str> = std::iter::once("auth").chain(borrowed(&arguments)).collect();
    let Output { stderr, code, .. } = Astro::at(&home).stdin(&token).run(&arguments);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(home.config().unwrap().contains(&token));
}

#[test]
fn quiet_shows_only_errors() {
    let service = Service::start(Options::default());
    let home = TestHome::new();
    let (token, arguments) = token_login(&service);
    let arguments: Vec<&str> = borrowed(&arguments).into_iter().chain(["-q"]).collect();
    assert_eq!(Astro::at(&home).stdin(&token).run(&arguments), output(0, "", ""));
    let domain = service.domain();
    let Output { stdout, stderr, code } = Astro::at(&home).stdin("x").run(&["-q", "login", &domain, "-t", "-"]);
    assert_eq!((stdout.as_str(), code), ("", Some(4)));
    let told = format!("error: could not log in to {domain}\ncause: not a JSON Web Token (JWT)\n");
    assert!(stderr.starts_with(&told), "{stderr}");
}

#[test]
fn link_login_with_stdin_closed() {
    let service = Service::start(Options::default());
    let home = TestHome::new();
    let mut running = Astro::at(&home).start(&["login", &service.domain(), "--login-link", "--insecure-storage", "-q"]);
    let link = running.line();
    let browser = FakeBrowser::new(Mode::LogIn("ada@example.com".to_owned()));
    browser.visit(&Url::parse(&link).unwrap());
    let warning = "warning: no workspace selected (2 available: Difference Engine, Punched Cards)\n\
                   hint: run `astro workspace switch NAME`, or log in with `--workspace NAME`\n";
    assert_eq!(running.finish(), output(0, &format!("{link}\n"), warning));
    let answers = browser.answers();
    assert!(answers[0].as_ref().is_ok_and(|page| page.status == 200), "{answers:?}");
    assert!(home.config().unwrap().contains("user_email: ada@example.com"));
}

fn redirect_and_state(link: &Url) -> (Url, String) {
    let value = |wanted: &str| link.query_pairs().find(|(name, _)| name == wanted).unwrap().1.into_owned();
    (value("redirect_uri").parse().unwrap(), value("state"))
}

#[test]
fn lb_16_concurrent_logins_are_separate() {
    let service = Service::start(Options::default());
    let logins = [TestHome::new(), TestHome::new()].map(|home| {
        let mut running = Astro::at(&home).start(&["login", &service.domain(), "-l", "--insecure-storage"]);
        let link: Url = running.line().parse().unwrap();
        (home, running, link)
    });
    let [first, second] = logins.each_ref().map(|(_, _, link)| redirect_and_state(link));
    assert!(first.0.port() != second.0.port() && first.1 != second.1);

    let log_in = |mode: fn(String) -> Mode, link: &Url| {
        let browser = FakeBrowser::new(mode("ada@example.com".to_owned()));
        browser.visit(link);
        browser
    };
    let mut astray = log_in(Mode::StopAtRedirect, &logins[1].2).redirect().unwrap();
    astray.set_port(first.0.port()).unwrap();
    assert_eq!(answer(&astray), "HTTP/1.1 400 Bad Request");
    assert_eq!(service.token_requests(), []);

    for (_, _, link) in &logins {
        log_in(Mode::LogIn, link);
    }
    let mut tokens = Vec::new();
    for (home, running, _) in logins {
        let Output { stderr, code, .. } = running.finish();
        assert_eq!(code, Some(0), "{stderr}");
        let config = home.config().unwrap();
        tokens.extend(config.lines().find(|line| line.contains("refreshtoken: ")).map(str::to_owned));
    }
    assert!(tokens.len() == 2 && tokens[0] != tokens[1], "each has its own");
    let port = |request: &Request| request.form("redirect_uri").unwrap().parse::<Url>().unwrap().port();
    let mut ports: Vec<_> = service.token_requests().iter().map(port).collect();
    ports.sort_unstable();
    let mut expected = [first.0.port(), second.0.port()];
    expected.sort_unstable();
    assert_eq!(ports, expected);
}

#[test]
fn tk_7_missing_scope_warns() {
    let withheld = |scope: &str| {
        let (service, home) = (Service::start(Options::default()), TestHome::new());
        service.patch(Part::Token, json!({"scope": scope}));
        let mut running = Astro::at(&home).start(&["login", &service.domain(), "-l", "--insecure-storage", "-v"]);
        FakeBrowser::new(Mode::LogIn("ada@example.com".to_owned())).visit(&running.line().parse().unwrap());
        let Output { stderr, code, .. } = running.finish();
        assert_eq!(code, Some(0), "{stderr}");
        stderr.lines().find(|line| line.contains("did not grant every scope")).map(str::to_owned)
    };
    let line = withheld("openid profile").unwrap();
    assert!(line.contains(r#"withheld=["email", "offline_access"]"#), "{line}");
    assert_eq!(withheld("offline_access email openid profile more"), None);
}

fn answer(callback: &Url) -> String {
    let address = (Ipv4Addr::LOCALHOST, callback.port().unwrap());
    let mut stream = TcpStream::connect(address).unwrap();
    let target = &callback[url::Position::BeforePath..];
    write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost:{}\r\n\r\n", address.1).unwrap();
    BufReader::new(stream).lines().next().unwrap().unwrap()
}

#[test]
fn color_follows_flag_and_environment() {
    let escape = '\u{1b}';
    let coloured = |astro: Astro, flags: &[&str]| {
        let arguments: Vec<&str> =
            ["login", "localhost:1", "-t", "x"].into_iter().chain(flags.iter().copied()).collect();
        let Output { stderr, code, .. } = astro.run(&arguments);
        assert_eq!(code, Some(4), "{stderr}");
        stderr.contains(escape)
    };
    let home = TestHome::new();
    assert!(!coloured(Astro::at(&home), &[]), "not into a pipe");
    assert!(coloured(Astro::at(&home), &["--color", "always"]));
    assert!(!coloured(Astro::at(&home), &["--color=never"]));
    assert!(!coloured(Astro::at(&home).with("NO_COLOR", "1"), &["--color=auto"]));
    assert!(!coloured(Astro::at(&home).with("CLICOLOR_FORCE", "1").with("NO_COLOR", "1"), &["--color=never"]));
    assert!(coloured(Astro::at(&home).with("NO_COLOR", "1"), &["--color=always"]));
}

#[test]
fn closed_stdout_does_not_panic() {
    let closed = || std::io::pipe().unwrap().1;
    let home = TestHome::new();
    let Output { stderr, code, .. } = Astro::at(&home).stdout(closed()).run(&["--help"]);
    assert_eq!((stderr.as_str(), code), ("", Some(0)));
    // Stdout is closed, but the link is on stderr, and the listener still accepts the callback.
    let service = Service::start(Options::default());
    let arguments = ["login", &service.domain(), "-l", "--timeout", "1", "--insecure-storage"];
    let Output { stderr, code, .. } = Astro::at(&home).stdout(closed()).run(&arguments);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("cause: timed out after 1 second waiting for the browser\n"), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[cfg(unix)]
mod unix {
    use std::fs::File;
    use std::io::ErrorKind;
    use std::process::Command;

    use super::*;
    use crate::support::Fault;
    use crate::support::binary::Running;

    fn send(signal: &str, running: &Running) {
        let kill = format!("kill -{signal} {}", running.id());
        assert!(Command::new("/bin/sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Ends a wait by a signal, and shows that nothing of it is left.
    fn interrupted_by(signal: &str) {
        let service = Service::start(Options::default());
        let home = TestHome::new();
        let mut running = Astro::at(&home).start(&["login", &service.domain(), "-l", "--insecure-storage", "-q"]);
        let link = Url::parse(&running.line()).unwrap();
        let port = redirect_and_state(&link).0.port().unwrap();
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok(), "the callback port is open while it waits");
        send(signal, &running);
        assert_eq!(running.finish(), output(130, &format!("{link}\n"), "warning: canceled\n"));
        let refused = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "lb_5: the port is closed");
        assert_eq!(home.config(), None);
        assert_eq!(service.token_requests(), []);
    }

    #[test]
    fn lb_7_lb_25_ctrl_c_leaves_nothing() {
        interrupted_by("INT");
    }

    #[test]
    fn lb_25_sigterm_leaves_nothing() {
        interrupted_by("TERM");
    }

    /// A login by link that has been granted and is not stored yet, because the API takes its time.
    fn granted(service: &Service, home: &TestHome) -> Running {
        service.fail("/v1/users/self", Fault::Stall);
        let mut running = Astro::at(home).start(&["login", &service.domain(), "-l", "--insecure-storage"]);
        let browser = FakeBrowser::new(Mode::LogIn("ada@example.com".to_owned()));
        browser.visit(&running.line().parse().unwrap());
        service.wait_for("/v1/users/self", 1);
        assert_eq!(service.live_refresh_tokens().len(), 1);
        running
    }

    #[test]
    fn lb_25_interrupt_revokes_unstored_grant() {
        for signal in ["INT", "TERM"] {
            let (service, home) = (Service::start(Options::default()), TestHome::new());
            let running = granted(&service, &home);
            send(signal, &running);
            let Output { stderr, code, .. } = running.finish();
            assert_eq!(code, Some(130), "{stderr}");
            assert!(stderr.ends_with("\nwarning: canceled\n"), "{stderr}");
            let revoked = service.requests_to("/oauth/revoke").len();
            assert_eq!((service.live_refresh_tokens(), revoked, home.config()), (Vec::new(), 1, None));
        }
    }

    #[test]
    fn lb_25_second_ctrl_c_skips_silent_issuer() {
        let (service, home) = (Service::start(Options::default()), TestHome::new());
        service.fail("/oauth/revoke", Fault::Stall);
        let mut running = granted(&service, &home);
        send("INT", &running);
        running.wait_for("press Ctrl-C again to stop now");
        send("INT", &running);
        assert_eq!(running.finish().code, Some(130));
        assert_eq!(service.requests_to("/oauth/revoke").len(), 1);
    }

    #[test]
    fn ctrl_c_waits_for_store() {
        let home = TestHome::new();
        // The response about the user is late, so the preparation, which takes the lock, is over before.
        let service = Service::start(Options { delay: Duration::from_millis(500), ..Options::default() });
        let (token, arguments) = token_login(&service);
        let lock = File::create(home.path().join(".astro/config.yaml.lock")).unwrap();
        let arguments = [borrowed(&arguments), vec!["-v"]].concat();
        let mut running = Astro::at(&home).stdin(&token).start(&arguments);
        while service.requests_to("/v1/users/self").is_empty() {
            std::thread::yield_now();
        }
        lock.lock().unwrap();
        running.wait_for("saving the login");
        send("INT", &running);
        drop(lock);
        let Output { stderr, code, .. } = running.finish();
        assert_eq!(code, Some(130), "{stderr}");
        assert!(home.config().unwrap().contains(&format!("token: Bearer {token}\n")));
    }

    #[test]
    fn closed_streams_do_not_panic() {
        let home = TestHome::new();
        let service = Service::start(Options::default());
        let (token, arguments) = token_login(&service);
        let command = r#"printf %s "$0" | { exec "$@" >&- 2>&-; }"#;
        let status = Command::new("/bin/sh")
            .args(["-c", command, &token, env!("CARGO_BIN_EXE_astro")])
            .args(&arguments)
            .env_clear()
            .env("ASTRO_HOME", home.path())
            .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
            .status();
        assert_eq!(status.unwrap().code(), Some(0));
        assert!(home.config().unwrap().contains(&token));
    }

    #[test]
    fn missing_home_does_not_panic() {
        // Without HOME, the home in the user database is read but not written.
        let astro = Astro::at(&TestHome::new()).without("HOME").without("ASTRO_HOME");
        let Output { stdout, stderr, code } = astro.run(&["login", "example"]);
        assert_eq!(stdout, "");
        match code {
            Some(1) => assert!(stderr.starts_with("error: there is no home directory\n"), "{stderr}"),
            code => assert_eq!(
                (code, stderr.lines().next()),
                (Some(2), Some("error: `example` is not a domain: it has no dot"))
            ),
        }
    }

    #[test]
    fn empty_astro_home_uses_home_directory() {
        let service = Service::start(Options::default());
        let (token, arguments) = token_login(&service);
        let home = TestHome::new();
        for astro in [Astro::at(&home).without("ASTRO_HOME"), Astro::at(&home).with("ASTRO_HOME", "")] {
            assert_eq!(astro.stdin(&token).run(&borrowed(&arguments)).code, Some(0));
            assert!(home.config().unwrap().contains(&token));
            std::fs::remove_file(home.config_path()).unwrap();
        }
    }
}
