//! Logins to Astro Private Cloud of several versions and beside Astro, on a terminal, in Chromium, and after the Go CLI.

use crate::private_cloud::{LOGIN, on_terminal, unwrapped};
use crate::support::Service;
use crate::support::binary::{Output, leaked};
use crate::support::chromium::Chromium;
use crate::support::houston::{BASE, Options, PrivateCloud, token};
use crate::support::pty::{CTRL_C, ENTER};
use serde_json::{Value, json};

const PAGE: &str = "https://app.base.example.com/token";

fn workspaces(count: usize) -> Vec<(String, String)> {
    (1..=count).map(|it| (format!("ck{it}"), format!("Loom {it}"))).collect()
}

#[test]
fn private_cloud_workspaces_of_each_version() {
    for (version, pages) in [("0.25.0", None), ("0.30.4", Some(100)), ("1.0.0-rc.1", Some(100)), ("2.0.0", Some(100))] {
        for (count, wanted, code, in_use) in [
            (0, None, 0, None),
            (1, None, 0, Some("ck1")),
            (3, None, 0, None),
            (3, Some("LOOM 3"), 0, Some("ck3")),
            (3, Some("ck2"), 0, Some("ck2")),
            (250, Some("Loom 250"), 0, Some("ck250")),
            (250, Some("Loom 251"), 1, None),
        ] {
            let cloud = PrivateCloud::new(Options { version, workspaces: workspaces(count), ..Options::default() });
            let flags: Vec<&str> = wanted.iter().flat_map(|it| ["--workspace", it]).collect();
            let output = cloud.astro().stdin(cloud.token()).run(&[&LOGIN[..], &flags].concat());
            let what = format!("{version} {count} {wanted:?}: {output:?}");
            assert_eq!(output.code, Some(code), "{what}");
            let config = cloud.config();
            assert!(output.stderr.contains("Logged in to base.example.com\n"), "{what}");
            assert!(config.contains(&format!("token: {}\n", cloud.token())), "{what}");
            assert_eq!(config.contains("workspace:"), in_use.is_some(), "{what}\n{config}");
            let lines = |id: &str| ["workspace", "last_used_workspace"].map(|key| format!("        {key}: {id}\n"));
            assert!(in_use.is_none_or(|id| lines(id).iter().all(|line| config.contains(line))), "{what}\n{config}");
            let requests = pages.map_or(1, |size| count / size + 1);
            assert_eq!(cloud.asked().len(), 2 + requests, "{what}");
        }
    }
}

#[test]
fn private_cloud_ways_on_terminal() {
    let cloud = PrivateCloud::new(Options { local_enabled: false, ..Options::default() });
    let opened = cloud.home.path().join("opened");
    // Without local accounts no user name is asked for. A link is only shown.
    let mut pty = on_terminal(&cloud, &["login", BASE, "--login-link", "--insecure-storage"]);
    pty.wait_for(PAGE);
    pty.wait_for("input hidden");
    pty.paste(&format!("  \"Bearer {}\"\n", cloud.token()));
    let shown = pty.finish_with(0);
    assert!(!shown.contains("User name") && !opened.exists(), "{shown}");
    assert_eq!(leaked(&shown, &cloud.token()), None);
    assert!(cloud.config().contains(&format!("token: {}\n", cloud.token())));

    // Neither a wrong token nor a canceled question changes what is stored.
    let before = cloud.config();
    for (pasted, keys, code, said) in [
        ("0123456789abcdef0123456789abcdef", ENTER, 4, "refused the token"),
        (&token(&json!({"iss": "https://auth.astronomer.io/", "exp": 4_000_000_000_u64})), ENTER, 4, "token of Astro"),
        (&token(&json!({"exp": 1_700_000_000})), ENTER, 4, "the token expired"),
        ("0123456789", CTRL_C, 130, ""),
    ] {
        let mut pty = on_terminal(&cloud, &["login", "-t", "-"]);
        pty.wait_for("input hidden");
        pty.paste(pasted);
        pty.wait_for("characters pasted");
        pty.type_keys(keys);
        let shown = pty.finish_with(code);
        assert!(unwrapped(&shown).contains(said), "{shown}");
        assert_eq!((leaked(&shown, pasted), cloud.config()), (None, before.clone()));
    }
    cloud.set(|options| (options.local_enabled, options.providers) = (true, 0));
    let mut pty = on_terminal(&cloud, &["login"]);
    pty.wait_for("User name:");
    pty.type_keys(&format!("ada{ENTER}"));
    pty.wait_for("password (input hidden)");
    pty.type_keys(&format!("wrong horse{ENTER}"));
    let shown = pty.finish_with(4);
    assert!(
        unwrapped(&shown).contains("Invalid username and password combination") && !shown.contains("horse"),
        "{shown}"
    );
    let mut pty = on_terminal(&cloud, &["login"]);
    pty.wait_for("User name:");
    pty.type_keys(ENTER);
    assert!(unwrapped(&pty.finish_with(2)).contains("no logins in the browser"));
    assert_eq!(cloud.config(), before);
}

#[test]
fn rf_15_private_cloud_empty_password_is_not_sent() {
    let cloud = PrivateCloud::new(Options::default());
    for stdin in ["", "\n"] {
        let Output { stderr, code, .. } = cloud.astro().stdin(stdin).run(&["login", BASE, "--username", "ada", "-"]);
        assert_eq!((code, cloud.home.config()), (Some(2), None), "{stderr}");
        assert!(stderr.contains("cause: the password is empty\nhint: "), "{stderr}");
    }
    assert!(cloud.log().iter().all(|it| it == "authConfig"), "{:?}", cloud.log());
}

/// A fresh login of the Go CLI leaves no `domain`.
#[test]
fn private_cloud_fresh_login_of_go_cli_is_used() {
    let cloud = PrivateCloud::new(Options { workspaces: workspaces(2), ..Options::default() });
    let go = format!(
        "context: base.example.com\ncontexts:\n    base_example_com:\n        last_used_workspace: ck1\n        token: {}\n        \
         workspace: ck1\n",
        cloud.token()
    );
    cloud.home.write_config(&go);
    let run = |arguments: &[&str]| {
        let output = cloud.astro().run(arguments);
        assert_eq!(output.code, Some(0), "{arguments:?}: {output:?}");
        output.stdout
    };
    let status: Value = serde_json::from_str(&run(&["auth", "status", "--json"])).unwrap();
    assert_eq!((&status["domain"], &status["kind"]), (&json!(BASE), &json!("private_cloud")), "{status:#}");
    assert_eq!(run(&["auth", "token"]), format!("{}\n", cloud.token()));
    assert!(run(&["workspace", "list"]).contains("* Loom 1  ck1\n  Loom 2  ck2\n"));
    assert_eq!(cloud.config(), go);
    run(&["workspace", "switch", "ck2"]);
    let switched = cloud.config();
    assert!(switched.contains("        workspace: ck2\n") && switched.contains(&cloud.token()), "{switched}");
    run(&["logout"]);
    let left = cloud.config();
    assert!(!left.contains(&cloud.token()) && left.contains("workspace: ck2"), "{left}");
}

#[test]
fn private_cloud_and_astro_logins_stay_apart() {
    let (cloud, astro) = (PrivateCloud::new(Options::default()), Service::start(crate::support::Options::default()));
    let (theirs, domain) = (astro.access_token(&json!({})), astro.domain());
    let api_token = token(&json!({"isAstronomerGenerated": true, "permissions": ["organizationId:clorg"]}));
    let run = |stdin: &str, arguments: &[&str]| {
        let output = cloud.astro().with("ASTRO_API_TOKEN", &api_token).stdin(stdin).run(arguments);
        assert_eq!(output.code, Some(0), "{arguments:?}: {output:?}");
        output.stdout
    };
    let login_to_astro = ["login", &domain, "-t", "-", "--insecure-storage", "--organization", "Compilers"];
    let context = |name: &str| {
        let config = cloud.config();
        let (_, found) = config.split_once(&format!("    {name}:\n")).unwrap();
        found.lines().take_while(|line| line.starts_with("        ")).map(str::to_owned).collect::<Vec<_>>()
    };
    run(&theirs, &login_to_astro);
    let of_astro = context(&domain);
    run(&cloud.token(), &LOGIN);
    assert_eq!(context(&domain), of_astro);
    let of_cloud = context("base_example_com");
    run(&theirs, &login_to_astro);
    assert_eq!((context("base_example_com"), context(&domain)), (of_cloud, of_astro.clone()));
    assert_eq!(run("", &["auth", "token", "-d", BASE]), format!("{}\n", cloud.token()));
    run("", &["logout", BASE]);
    assert_eq!(context(&domain), of_astro);

    // Neither server has seen a token that was not for it.
    assert!(cloud.asked().iter().all(|it| it.authorization.as_ref().is_none_or(|it| *it == cloud.token())));
    assert!(!format!("{:?}", cloud.asked()).contains(&api_token));
    assert!(!format!("{:?}", astro.requests()).contains(&cloud.token()));
}

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn private_cloud_token_of_page_in_chromium() {
    let cloud = PrivateCloud::new(Options { local_enabled: false, ..Options::default() });
    let mut pty = on_terminal(&cloud, &["login", BASE, "--login-link", "--insecure-storage"]);
    pty.wait_for("input hidden");
    let chromium = Chromium::behind(&cloud.proxy.url()).await;
    assert!(pty.screen().contains(PAGE), "{}", pty.screen());
    chromium.open(PAGE).await;
    // The fake's page is the token as JSON.
    pty.paste(&chromium.text("pre").await);
    pty.wait_for("characters pasted");
    pty.type_keys(ENTER);
    assert_eq!(leaked(&pty.finish_with(0), &cloud.token()), None);
    assert!(cloud.config().contains(&format!("token: {}\n", cloud.token())));
}
