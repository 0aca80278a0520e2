//! Astro's real domain names over TLS: the built binary, a test proxy, and valid and invalid certificates.
//!
//! Linux only, because `SSL_CERT_FILE` names the trusted certificates only there.

use std::collections::BTreeSet;
use std::{fs, thread};

use crate::support::binary::{Astro, Output, leaked};
use crate::support::proxy::{Authority, Connect, Flaw, Proxy};
use crate::support::{Options, Part, Service, TestHome};
use serde_json::{Value, json};

const API: &str = "api.astronomer.io";
const AUTH: &str = "auth.astronomer.io";
const AUTH_CONFIG: &str = "/private/v1alpha1/cli/auth-config";

struct Astronomer {
    service: Service,
    proxy: Proxy,
    home: TestHome,
}

impl Astronomer {
    fn new() -> Self {
        Self::with(&[(API, Flaw::None), (AUTH, Flaw::None)])
    }

    fn with(hosts: &[(&'static str, Flaw)]) -> Self {
        let home = TestHome::new();
        let auth = hosts.last().unwrap().0;
        let service = Service::start(Options { issuer: Some(format!("https://{auth}/")), ..Options::default() });
        let authority = Authority::new("the authority");
        fs::write(home.path().join("authority.pem"), authority.pem()).unwrap();
        let port = service.url("/").port().unwrap();
        let proxy = Proxy::connecting(&authority, hosts, port);
        Self { service, proxy, home }
    }

    /// The program, told where the proxy is and whom to trust.
    fn astro(&self) -> Astro {
        let trusted = self.home.path().join("authority.pem");
        Astro::at(&self.home).with("SSL_CERT_FILE", trusted.to_str().unwrap()).with("HTTPS_PROXY", &self.proxy.url())
    }

    /// Runs a token login. It must fail with this cause, leave nothing behind, and neither send nor show the token.
    #[track_caller]
    fn refuses(&self, code: i32, cause: &str) -> String {
        self.refuses_with(self.astro(), code, cause)
    }

    #[track_caller]
    fn refuses_with(&self, astro: Astro, code: i32, cause: &str) -> String {
        let token = self.service.access_token(&json!({}));
        let Output { stdout, stderr, code: ended } = astro.stdin(&token).run(&LOGIN);
        assert_eq!((stdout.as_str(), ended), ("", Some(code)), "{stderr}");
        let told = format!("error: could not log in to astronomer.io\ncause: {cause}\n");
        assert!(stderr.starts_with(&told), "{stderr}\nis not\n{told}");
        assert_eq!(leaked(&stderr, &token), None, "{stderr}");
        assert_eq!(self.home.config(), None);
        for request in self.service.requests() {
            assert!(!format!("{request:?}").contains(&token), "{request:?}");
        }
        stderr
    }

    fn paths(&self) -> Vec<String> {
        self.service.requests().into_iter().map(|request| request.path).collect()
    }
}

const LOGIN: [&str; 5] = ["login", "astronomer.io", "-t", "-", "--insecure-storage"];

#[test]
fn tk_10_token_login_to_astronomer_io() {
    let world = Astronomer::new();
    let token = world.service.access_token(&json!({}));
    let Output { stdout, stderr, code } = world.astro().stdin(&token).run(&LOGIN);
    assert_eq!((stdout.as_str(), code), ("", Some(0)), "{stderr}");
    assert!(stderr.contains("Logged in to astronomer.io as Ada Lovelace <ada@example.com>\n"), "{stderr}");
    let config = world.home.config().unwrap();
    assert!(config.contains("    astronomer_io:\n        domain: astronomer.io\n"), "{config}");
    assert!(config.contains(&format!("token: Bearer {token}\n")), "{config}");
    assert!(config.ends_with("context: astronomer.io\n"), "{config}");
    assert_eq!(world.proxy.targets(), [format!("{API}:443"), format!("{AUTH}:443")]);
    assert!(world.proxy.connects().iter().all(|connect| connect.authorization.is_none()));
}

#[test]
fn token_login_to_preview() {
    let (api, auth) = ("pr1234.api.astronomer-dev.io", "auth.astronomer-dev.io");
    let world = Astronomer::with(&[(api, Flaw::None), (auth, Flaw::None)]);
    let token = world.service.access_token(&json!({}));
    let arguments = ["login", "https://PR1234.cloud.astronomer-dev.io/", "-t", "-", "--insecure-storage"];
    let Output { stderr, code, .. } = world.astro().stdin(&token).run(&arguments);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("Logged in to pr1234.astronomer-dev.io as Ada Lovelace"), "{stderr}");
    assert!(world.home.config().unwrap().contains("    pr1234_astronomer-dev_io:\n"));
    assert_eq!(world.proxy.targets(), [format!("{auth}:443"), format!("{api}:443")]);
}

#[test]
fn ar_15_untrusted_authority_ends_login() {
    let table = [
        ("another authority", "signed by an unknown authority"),
        // Only the signature needs a key.
        ("the authority", "invalid signature"),
    ];
    for (trusted, reason) in table {
        let world = Astronomer::new();
        fs::write(world.home.path().join("authority.pem"), Authority::new(trusted).pem()).unwrap();
        let cause = format!("could not fetch the login configuration: {API}: certificate rejected: {reason}");
        world.refuses(1, &cause);
        assert_eq!(world.paths(), Vec::<String>::new());
    }
}

#[test]
fn tk_10_no_certificates_fails_with_cause() {
    let world = Astronomer::new();
    fs::write(world.home.path().join("authority.pem"), "").unwrap();
    let empty = world.home.path().join("certificates");
    fs::create_dir(&empty).unwrap();
    let astro = world.astro().with("SSL_CERT_DIR", empty.to_str().unwrap());
    let said = world.refuses_with(
        astro,
        1,
        &format!(
            "could not fetch the login configuration: {API}: could not set up TLS: {}, which SSL_CERT_FILE \
             names, holds no certificate",
            world.home.path().join("authority.pem").display()
        ),
    );
    assert!(
        said.contains("\nhint: install the system's CA certificates, or set SSL_CERT_FILE to a file of them\n"),
        "{said}"
    );
    assert_eq!(world.proxy.connects(), []);
}

fn examined(world: &Astronomer, astro: Astro) -> (Value, Option<i32>) {
    let output = astro.with("CI", "true").run(&["auth", "doctor", "--json"]);
    assert_eq!(world.home.config(), None);
    (serde_json::from_str(&output.stdout).unwrap(), output.code)
}

fn check<'a>(report: &'a Value, name: &str) -> (&'a str, &'a str) {
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name).unwrap();
    (check["outcome"].as_str().unwrap(), check["detail"].as_str().unwrap())
}

#[test]
fn doctor_shows_proxy_certificates_and_latency() {
    let world = Astronomer::new();
    let proxy = world.proxy.url();
    let astro = world.astro().with("HTTPS_PROXY", &proxy.replace("http://", "http://ada:hunter2@"));
    let (report, code) = examined(&world, astro);
    assert_eq!((code, &report["would"]), (Some(0), &json!("token")), "{report:#}");
    let port = world.proxy.port();
    for (name, host) in [("api", API), ("keys", AUTH)] {
        let (outcome, said) = check(&report, name);
        let fast = said.strip_prefix(&format!("{host} through the proxy 127.0.0.1:{port} responded in ")).unwrap();
        assert!(outcome == "ok" && fast.strip_suffix(" ms").unwrap().parse::<u32>().is_ok(), "{said}");
    }
    assert_eq!(check(&report, "issuer"), ("ok", "https://auth.astronomer.io/ belongs to astronomer.io"));
    let roots = format!("roots in SSL_CERT_FILE, {}", world.home.path().join("authority.pem").display());
    assert_eq!(check(&report, "certificates"), ("ok", roots.as_str()));
    let (_, variables) = check(&report, "variables");
    assert!(variables.ends_with(&format!(", HTTPS_PROXY (127.0.0.1:{port})")), "{variables}");
    assert!(!report.to_string().contains("hunter2"), "{report:#}");
    let paths: BTreeSet<String> = world.paths().into_iter().collect();
    let asked = ["/.well-known/jwks.json", "/.well-known/openid-configuration", AUTH_CONFIG];
    assert_eq!(paths, asked.map(str::to_owned).into());
}

#[test]
fn doctor_reports_bad_certificate() {
    for (host, name) in [(API, "api"), (AUTH, "keys")] {
        let world = Astronomer::with(&[API, AUTH].map(|it| (it, if it == host { Flaw::Expired } else { Flaw::None })));
        let (report, code) = examined(&world, world.astro());
        assert_eq!((code, &report["would"]), (Some(1), &json!("fail")), "{report:#}");
        for name in [name, "certificates"] {
            let (outcome, said) = check(&report, name);
            let told = format!("{host}: certificate rejected: expired");
            assert!(outcome == "fail" && said.contains(&told), "{name}: {said}");
        }
    }
    let world = Astronomer::new();
    let missing = world.home.path().join("missing.pem");
    let (report, code) = examined(&world, world.astro().with("SSL_CERT_FILE", missing.to_str().unwrap()));
    let (outcome, said) = check(&report, "certificates");
    assert_eq!((code, outcome), (Some(1), "fail"), "{report:#}");
    assert!(said.starts_with(&format!("roots in SSL_CERT_FILE, {}: ", missing.display())), "{said}");
}

/// The commands that reach for the network, the host that is first, and what for.
const COMMANDS: [(&[&str], &str, &str); 6] = [
    (&LOGIN, API, "fetch the login configuration"),
    (&["auth", "token"], AUTH, "fetch the issuer's keys"),
    (&["auth", "status", "--check"], API, "check the login"),
    (&["organization", "list"], API, "list your organizations"),
    (&["workspace", "switch", "Punched Cards"], API, "list the workspaces"),
    (&["logout"], AUTH, "revoke the refresh token"),
];

/// Runs a command as a logged-in user, and sees it fail with these words and this hint, send nothing to `host`, and
/// leave everything as it was.
fn fails(command: (&[&str], &str, &str), world: &Astronomer, astro: Astro, words: &str, hint: &str) {
    let (arguments, host, step) = command;
    let what = format!("{arguments:?} {words}");
    let ended = json!({"iat": 1_700_000_000, "exp": 1_700_003_600});
    let token = world.service.access_token(&if arguments == ["auth", "token"] { ended } else { json!({}) });
    let refresh = world.service.log_in("ada@example.com")["refresh_token"].as_str().unwrap().to_owned();
    let config = format!(
        "context: astronomer.io\ncontexts:\n    astronomer_io:\n        domain: astronomer.io\n        \
         organization: clorg00000000000000000001\n        refreshtoken: {refresh}\n        token: Bearer {token}\n"
    );
    world.home.write_config(&config);
    let Output { stderr, code, .. } = astro.stdin(&token).run(arguments);
    let told = format!("could not {step}: {host}: {words}\n");
    assert_eq!(code, Some(1), "{what}: {stderr}");
    for secret in [&token, &refresh] {
        assert_eq!(leaked(&stderr, secret), None, "{what}: {stderr}");
    }
    assert_eq!(world.paths(), [""; 0], "{what}");
    assert_eq!(world.service.live_refresh_tokens(), [refresh], "{what}");
    if arguments == ["logout"] {
        let warning = format!("warning: {}; the refresh token stays valid until it expires\n", told.trim_end());
        assert!(stderr.contains(&warning), "{what}: {stderr}");
        assert!(
            stderr.contains(
                "error: logout from astronomer.io was incomplete\nhint: follow the hints of the warnings above\n"
            ),
            "{what}: {stderr}"
        );
        assert!(!world.home.config().unwrap().contains("token"), "{what}");
    } else {
        let before = if arguments == LOGIN { "error: could not log in to astronomer.io\ncause: " } else { "error: " };
        assert!(stderr.contains(&format!("{before}{told}hint: {hint}\n")), "{what}: {stderr}");
        assert_eq!(world.home.config().as_deref(), Some(config.as_str()), "{what}");
    }
}

const CHECK_THE_NETWORK: &str = "check the network and, behind a proxy, HTTPS_PROXY, or run `astro auth doctor`";
const CHECK_THE_AUTHORITY: &str = "if a corporate proxy inspects TLS, set SSL_CERT_FILE to its certificate";
const CHECK_THE_TIMES: &str =
    "set the clock of this machine if it is wrong, or try again once the server's certificate is renewed";

#[test]
fn ar_15_tk_10_every_command_reports_bad_host() {
    let unaccepted = |why: &str| (format!("certificate rejected: {why}"), CHECK_THE_AUTHORITY);
    let by_proxy = |why: &str, hint: &'static str| (format!("the proxy PROXY {why}"), hint);
    let silent = by_proxy("passed on no response within 5 seconds", "check the network and HTTPS_PROXY");
    let table = [
        (Flaw::SelfSigned, unaccepted("signed by an unknown authority")),
        (Flaw::Expired, ("certificate rejected: expired".to_owned(), CHECK_THE_TIMES)),
        (Flaw::NotYetValid, ("certificate rejected: not valid yet".to_owned(), CHECK_THE_TIMES)),
        (Flaw::OtherName, unaccepted("issued for another host name")),
        (
            Flaw::Refused("403 Forbidden"),
            by_proxy("refused the connection: HTTP status 403", "ask your network's administrator to allow this host"),
        ),
        (
            Flaw::Refused("407 Proxy Authentication Required"),
            by_proxy(
                "refused the connection: HTTP status 407",
                "put the proxy's user name and password into HTTPS_PROXY",
            ),
        ),
        (
            Flaw::Refused("502 Bad Gateway"),
            by_proxy("refused the connection: HTTP status 502", "ask your network's administrator to allow this host"),
        ),
        (Flaw::HungUp, by_proxy("closed the connection", "check the network and HTTPS_PROXY")),
        (Flaw::ProxySilent, silent.clone()),
        (Flaw::HostSilent, silent),
    ];
    // In parallel, because some run into a time limit.
    thread::scope(|scope| {
        for (flaw, (words, hint)) in &table {
            for command in COMMANDS {
                scope.spawn(move || {
                    let flawed = |host: &'static str| (host, if host == command.1 { *flaw } else { Flaw::None });
                    let world = Astronomer::with(&[flawed(API), flawed(AUTH)]);
                    let words = words.replace("PROXY", &format!("127.0.0.1:{}", world.proxy.port()));
                    fails(command, &world, world.astro(), &words, hint);
                    assert_eq!(world.proxy.targets(), [format!("{}:443", command.1)], "{command:?} {flaw:?}");
                });
            }
        }
    });
}

#[test]
fn every_command_reports_missing_proxy() {
    for command in COMMANDS {
        let world = Astronomer::new();
        let astro = world.astro().with("HTTPS_PROXY", "http://127.0.0.1:1");
        let words = "the proxy 127.0.0.1:1 could not be reached: Connection refused (os error 111)";
        fails(command, &world, astro, words, "check the network and HTTPS_PROXY");
    }
    for value in ["'http://127.0.0.1:1'", "http://user:hunter2@"] {
        for command in COMMANDS {
            let world = Astronomer::new();
            let astro = world.astro().with("HTTPS_PROXY", value);
            let hint = "set HTTPS_PROXY to http://HOST:PORT without quotes, or unset it";
            fails(command, &world, astro, "HTTPS_PROXY is not the URL of a proxy", hint);
            assert_eq!(world.paths(), Vec::<String>::new());
        }
    }
}

#[test]
fn proxy_variable_with_newline_is_used() {
    let world = Astronomer::new();
    let token = world.service.access_token(&json!({}));
    let astro = world.astro().with("HTTPS_PROXY", &format!(" {}\r\n", world.proxy.url()));
    assert_eq!(astro.stdin(&token).run(&LOGIN).code, Some(0));
    assert_eq!(world.proxy.targets(), [format!("{API}:443"), format!("{AUTH}:443")]);
}

#[test]
fn missing_certificates_are_named_and_empty_file_is_unset() {
    let world = Astronomer::new();
    let token = world.service.access_token(&json!({}));
    let missing = world.home.path().join("no-such.pem");
    let missing = missing.to_str().unwrap();
    let file = world.astro().with("SSL_CERT_FILE", missing);
    let folder = world.astro().without("SSL_CERT_FILE").with("SSL_CERT_DIR", &format!("/:{missing}"));
    for (astro, variable) in [(file, "SSL_CERT_FILE"), (folder, "SSL_CERT_DIR")] {
        let said = astro.stdin(&token).run(&LOGIN).stderr;
        assert!(said.contains(&format!("could not read {missing}, which {variable} names")), "{said}");
    }
    let said = world.astro().with("SSL_CERT_FILE", "").stdin(&token).run(&LOGIN).stderr;
    assert!(said.contains("certificate rejected: signed by an unknown authority"), "the system's are used: {said}");
}

/// In a network of its own, where there is no name server to ask, so that nothing real can be reached.
#[test]
#[ignore = "needs unshare, and the right to use it"]
fn every_command_reports_unresolved_name() {
    for command in COMMANDS {
        let world = Astronomer::new();
        let astro = world.astro().without("HTTPS_PROXY").through(&["unshare", "--net", "--map-root-user"]);
        fails(command, &world, astro, "could not resolve the host name", CHECK_THE_NETWORK);
    }
}

#[test]
fn tk_11_proxy_password_goes_only_to_proxy() {
    let world = Astronomer::new();
    let token = world.service.access_token(&json!({}));
    let with_password = |port: u16| format!("http://someone:correct-horse-battery@127.0.0.1:{port}");
    let astro = world.astro().with("HTTPS_PROXY", &with_password(world.proxy.port()));
    let arguments: Vec<&str> = LOGIN.into_iter().chain(["-vv"]).collect();
    let Output { stderr, code, .. } = astro.stdin(&token).run(&arguments);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(leaked(&stderr, "correct-horse-battery"), None, "{stderr}");
    // `someone:correct-horse-battery` in Base64.
    let basic = "Basic c29tZW9uZTpjb3JyZWN0LWhvcnNlLWJhdHRlcnk=";
    assert!(world.proxy.connects().iter().all(|connect| connect.authorization.as_deref() == Some(basic)));
    assert!(world.service.requests().iter().all(|request| request.header("proxy-authorization").is_none()));

    let refusing = Proxy::refusing("407 Proxy Authentication Required");
    for port in [refusing.port(), 1] {
        let astro = world.astro().with("HTTPS_PROXY", &with_password(port));
        let Output { stderr, code, .. } = astro.stdin(&token).run(&arguments);
        assert_eq!(code, Some(1), "{stderr}");
        assert_eq!(leaked(&stderr, "correct-horse-battery"), None, "{stderr}");
        assert_eq!(leaked(&stderr, basic.trim_start_matches("Basic ")), None, "{stderr}");
    }
    // Twice: once by the client, and once for the status, which the client does not report.
    let expected = Connect { target: format!("{API}:443"), authorization: Some(basic.to_owned()) };
    assert_eq!(refusing.connects(), [expected.clone(), expected]);
}

/// On a machine whose name server would have to know `localhost`, since /etc/hosts lacks it.
#[test]
#[ignore = "needs unshare, and the right to use it"]
fn tk_10_localhost_is_not_asked_of_dns() {
    let service = Service::start(Options::default());
    let home = TestHome::new();
    let hosts = home.path().join("hosts");
    fs::write(&hosts, "").unwrap();
    let script = "mount --bind \"$0\" /etc/hosts && ! getent ahosts localhost && exec \"$@\"";
    let astro = Astro::at(&home).through(&[
        "unshare",
        "--mount",
        "--map-root-user",
        "sh",
        "-c",
        script,
        hosts.to_str().unwrap(),
    ]);
    let token = service.access_token(&json!({}));
    let arguments = ["login", &service.domain(), "-t", "-", "--insecure-storage", "--organization", "Compilers"];
    let Output { stderr, code, .. } = astro.stdin(&token).run(&arguments);
    assert_eq!(code, Some(0), "{stderr}");
}

#[test]
fn localhost_needs_no_proxy_and_no_certificates() {
    let service = Service::start(Options::default());
    let home = TestHome::new();
    let proxy = Proxy::refusing("502 Bad Gateway");
    let mut astro = Astro::at(&home).with("SSL_CERT_FILE", "/none");
    for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        astro = astro.with(name, &proxy.url());
    }
    let token = service.access_token(&json!({}));
    let arguments = ["login", &service.domain(), "-t", "-", "--insecure-storage"];
    let Output { stderr, code, .. } = astro.stdin(&token).run(&arguments);
    assert_eq!((code, proxy.connects()), (Some(0), Vec::new()), "{stderr}");
}

#[test]
fn no_proxy_for_other_hosts_has_no_effect() {
    let world = Astronomer::new();
    let token = world.service.access_token(&json!({}));
    let astro = world.astro().with("NO_PROXY", "example.com,evilastronomer.io,astronomer.io.example.com,127.0.0.0/8");
    let Output { stderr, code, .. } = astro.stdin(&token).run(&LOGIN);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(world.proxy.targets(), [format!("{API}:443"), format!("{AUTH}:443")]);
}

/// In a network of its own, where there is no name server to ask, so that nothing real can be reached.
#[test]
#[ignore = "needs unshare, and the right to use it"]
fn no_proxy_bypasses_proxy() {
    for (no_proxy, reason) in [
        ("astronomer.io", "could not resolve the host name"),
        ("example.com, .astronomer.io", "could not resolve the host name"),
        ("*", "could not resolve the host name"),
        ("example.com", "the proxy 127.0.0.1:1 could not be reached: "),
    ] {
        let home = TestHome::new();
        let output = std::process::Command::new("unshare")
            .args(["--net", "--map-root-user", env!("CARGO_BIN_EXE_astro"), "login", "astronomer.io", "-l"])
            .args(["--timeout", "1", "--insecure-storage"])
            .env_clear()
            .env("ASTRO_HOME", home.path())
            .env("HTTPS_PROXY", "http://127.0.0.1:1")
            .env("NO_PROXY", no_proxy)
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains(&format!("login configuration: {API}: {reason}")), "{no_proxy}: {stderr}");
    }
}

#[test]
fn ar_15_ar_18_foreign_issuer_rejected() {
    let table: [(&str, &str); 6] = [
        ("http://auth.astronomer.io/", "names `auth.astronomer.io` as its issuer, which is not https"),
        ("https://auth.evil.example/", "names `auth.evil.example` as its issuer, which does not belong to it"),
        (
            "https://auth.astronomer-stage.io/",
            "names `auth.astronomer-stage.io` as its issuer, which does not belong to it",
        ),
        ("http://localhost:8888/", "names `localhost` as its issuer, which does not belong to it"),
        (
            "https://auth.astronomer.io:8443/",
            "names `auth.astronomer.io` as its issuer, which is more than `https://HOST/`",
        ),
        ("auth.astronomer.io", "names `auth.astronomer.io` as its issuer, which is not a URL"),
    ];
    for (issuer, words) in table {
        let world = Astronomer::new();
        world.service.patch(Part::AuthConfig, json!({ "domainUrl": issuer }));
        world.refuses(1, &format!("the login configuration of astronomer.io {words}"));
        assert_eq!((world.paths(), world.proxy.targets()), (vec![AUTH_CONFIG.to_owned()], vec![format!("{API}:443")]));
    }
}

#[test]
fn token_is_sent_only_to_api() {
    let world = Astronomer::new();
    let token = world.service.access_token(&json!({}));
    let Output { code, .. } = world.astro().stdin(&token).run(&LOGIN);
    assert_eq!(code, Some(0));
    let told: Vec<Value> = world.service.requests().iter().map(|it| json!([it.header("host"), it.path])).collect();
    let carriers = world.service.requests().into_iter().filter(|it| format!("{it:?}").contains(&token));
    assert!(carriers.clone().count() > 0);
    for carrier in carriers {
        assert_eq!(carrier.header("host"), Some(API), "{told:?}");
        assert!(carrier.path.starts_with("/v1/"), "{told:?}");
    }
}
