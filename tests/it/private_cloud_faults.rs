//! Each request of a login to an Astro Private Cloud with each network fault: the error names step and host, its hint and
//! kind fit, the time limit holds, and what was stored before stays as it was.

use std::collections::{HashMap, HashSet};
use std::thread;

use crate::support::binary::{Output, leaked};
use crate::support::houston::{BASE, Fault, HOST, Options, PrivateCloud};
use serde_json::{Value, json};

#[derive(Debug, Clone, Copy)]
struct Step {
    version: &'static str,
    field: &'static str,
    what: &'static str,
}

const STEPS: [Step; 5] = [
    Step { version: "1.0.0", field: "authConfig", what: "ask for the ways to log in" },
    Step { version: "1.0.0", field: "createToken", what: "log in with the password" },
    Step { version: "1.0.0", field: "appConfig", what: "ask for the version" },
    Step { version: "2.0.0", field: "paginatedWorkspaces", what: "list the workspaces" },
    Step { version: "0.25.0", field: "workspaces", what: "list the workspaces" },
];

const PASSWORD: &str = "correct horse ";
const OPAQUE: &str = "0123456789abcdef0123456789abcdef";
/// A login that the Go CLI left.
const EARLIER: &str = "show_warnings: \"true\"   # quoted\ncontext: base.example.com\ncontexts:\n    base_example_com:\n        \
                       token: fedcba9876543210\n        workspace: ck1\n";

const NETWORK: &str = "check the network and, behind a proxy, HTTPS_PROXY";
const OTHER_NETWORK: &str = "try another network, because a proxy or captive portal may interfere with this one";
const DOMAIN: &str = "check the network and the domain, which is the address of the platform's pages without `app.`";
const ACCESS: &str = "ask the platform's administrator for access";

/// The cause, the hint and the exit code of a failure.
type Failure = (String, &'static str, i32);

/// Returns the failure of a step, or `None` if the login goes on.
fn expected(step: Step, fault: &Fault) -> Option<Failure> {
    let (first, password) = (step.field == "authConfig", step.field == "createToken");
    let told = |words: &str| format!("could not {}: {HOST}{words}", step.what);
    // Such an answer of the first request is one of a server that is no platform.
    let absent = |words: &str, hint| {
        if first {
            (format!("no Astro Private Cloud responds at {HOST}: {words}"), DOMAIN, 1)
        } else {
            (told(&format!(": {words}")), hint, 1)
        }
    };
    let unavailable = |words: &str, hint| (told(words), hint, 1);
    let refused = |text: &str| match (first, password) {
        (true, _) => absent(&format!("{text}: not you[2J"), DOMAIN),
        (_, true) => (
            format!("{HOST} refused the user name or the password ({text}: not you[2J)"),
            "run `astro login base.example.com` to try again",
            4,
        ),
        _ if text.ends_with("401") => (
            format!("{HOST} refused the token, which may have expired or been revoked"),
            "run `astro login base.example.com` with a new token from https://app.base.example.com/token",
            4,
        ),
        _ => (told(&format!(": {text}: not you[2J")), ACCESS, 4),
    };
    Some(match fault {
        Fault::Reset | Fault::Half => absent("the connection was closed during the response", NETWORK),
        Fault::Stall => unavailable(
            ": the proxy PROXY passed on no response within 15 seconds",
            "check the network and HTTPS_PROXY",
        ),
        Fault::StallMidBody => absent("no response within 15 seconds", NETWORK),
        Fault::Endless => unavailable(": the response is larger than 10485760 bytes", OTHER_NETWORK),
        Fault::Redirect(_) => absent("unexpected redirect to evil.example", OTHER_NETWORK),
        Fault::Truncate | Fault::Response(200, "application/json", _) => absent("invalid response", OTHER_NETWORK),
        Fault::Response(200, ..) => unavailable(
            " sent a web page",
            "check the domain, and log in to the network first if it has a page for that",
        ),
        Fault::Response(401, ..) => refused("HTTP status 401"),
        Fault::Response(403, ..) => refused("HTTP status 403"),
        Fault::Response(404, ..) => absent("HTTP status 404: not you[2J", OTHER_NETWORK),
        Fault::Response(status, ..) => unavailable(&format!(": HTTP status {status}"), "try again in a minute"),
        Fault::RetryAfter(_) => unavailable(": HTTP status 429", "try again in 60 minutes"),
        Fault::Message(_) | Fault::Echo if step.field == "appConfig" => return None,
        Fault::Message(schema) if schema.starts_with("Cannot query") => unavailable(
            &format!(" has another schema ({schema})"),
            "use the Go CLI of the platform's version, and report its version",
        ),
        Fault::Message(_) if password => (
            format!("{HOST} refused the user name or the password (odd[2J)"),
            "run `astro login base.example.com` to try again",
            4,
        ),
        Fault::Message(_) => {
            unavailable(": odd[2J", "try again, and ask the platform's administrator if it happens again")
        }
        Fault::ContentType(_) => return None,
        Fault::Echo if first => {
            unavailable(": bad:", "try again, and ask the platform's administrator if it happens again")
        }
        Fault::Echo if password => (
            format!("{HOST} refused the user name or the password (reason not shown)"),
            "run `astro login base.example.com` to try again",
            4,
        ),
        Fault::Echo => unavailable(
            ": (not shown: it may be a token)",
            "try again, and ask the platform's administrator if it happens again",
        ),
    })
}

fn faults() -> Vec<Fault> {
    let json = |status| Fault::Response(status, "application/json", json!({"message": "not you\u{1b}[2J"}).to_string());
    let page = |status| Fault::Response(status, "text/html; charset=utf-8", "<html>Welcome".to_owned());
    let body = |text: &str| Fault::Response(200, "application/json", text.to_owned());
    vec![
        Fault::Reset,
        Fault::Half,
        Fault::Endless,
        Fault::Redirect("https://evil.example/elsewhere".to_owned()),
        Fault::ContentType("text/html"),
        Fault::Truncate,
        page(200),
        page(502),
        json(401),
        json(403),
        json(404),
        Fault::RetryAfter(3600),
        Fault::Response(500, "text/plain", String::new()),
        body("[]"),
        body("{\"data\": null, \"errors\": []}"),
        body("{\"data\": {\"other\": {}}, \"errors\": null}"),
        Fault::Message("odd\u{1b}[2J".to_owned()),
        Fault::Message("Cannot query field \"it\" on type \"Query\".".to_owned()),
        Fault::Echo,
    ]
}

fn cell(step: Step, fault: &Fault) {
    let what = format!("{step:?} {fault:?}");
    let faults = HashMap::from([(step.field.to_owned(), fault.clone())]);
    let tokens = HashSet::from([OPAQUE.to_owned()]);
    let next_token = OPAQUE.to_owned();
    let cloud = PrivateCloud::new(Options { version: step.version, faults, tokens, next_token, ..Options::default() });
    cloud.home.write_config(EARLIER);
    let (way, stdin) = match step.field {
        "createToken" => (["--username=ada", "-"], PASSWORD),
        _ => (["--token-login", "-"], OPAQUE),
    };
    let arguments = [&["login", BASE, "--insecure-storage", "-vvvv"][..], &way].concat();
    let Output { stdout, stderr, code } = cloud.astro().stdin(stdin).run(&arguments);

    let all = format!("{stdout}{stderr}");
    assert!(!all.contains("horse") && !all.contains('\u{1b}'), "{what}: {all:?}");
    assert_eq!((leaked(&all, OPAQUE), leaked(&all, "fedcba9876543210")), (None, None), "{what}: {all}");
    let Some((cause, hint, exit)) = expected(step, fault) else {
        assert!(code == Some(0) && cloud.config().contains(OPAQUE), "{what}: {stderr}");
        return;
    };
    let stderr = stderr.replace(&cloud.proxy.url().replace("http://", ""), "PROXY");
    let told = format!("error: could not log in to {BASE}\ncause: {cause}\nhint: {hint}");
    assert!(stderr.contains(&told), "{what}: {stderr}\nlacks\n{told}");
    assert_eq!((code, cloud.config().as_str()), (Some(exit), EARLIER), "{what}");
    let asked: Vec<String> = cloud.asked().into_iter().map(|it| it.field).collect();
    assert!(asked.ends_with(&[step.field.to_owned()]), "{what}: {asked:?}");
    assert_eq!(asked.iter().filter(|it| *it == step.field).count(), 1, "{what}: {asked:?}");
}

/// Runs a thread for each step, or for each of its cells.
fn at_once(faults: &[Fault], is_slow: bool) {
    thread::scope(|scope| {
        for step in STEPS {
            if is_slow {
                for fault in faults {
                    scope.spawn(move || cell(step, fault));
                }
            } else {
                scope.spawn(move || faults.iter().for_each(|fault| cell(step, fault)));
            }
        }
    });
}

#[test]
fn tk_3_private_cloud_login_faults() {
    at_once(&faults(), false);
}

#[test]
fn tk_4_private_cloud_stalled_request_times_out() {
    at_once(&[Fault::Stall, Fault::StallMidBody], true);
}

#[test]
fn private_cloud_failure_as_json_has_its_kind() {
    for (fault, exit, kind) in [
        (Fault::Response(401, "text/plain", String::new()), 4, "unauthenticated"),
        (Fault::Response(403, "text/plain", String::new()), 4, "forbidden"),
        (Fault::Response(404, "text/plain", String::new()), 1, "api_unavailable"),
        (Fault::Message("AUTH_TOKEN_REFRESH_FAILED".to_owned()), 4, "unauthenticated"),
        (Fault::Message("odd".to_owned()), 1, "api_unavailable"),
        (Fault::Message("Cannot query field \"it\".".to_owned()), 1, "api_unavailable"),
        (Fault::Reset, 1, "api_unavailable"),
    ] {
        let faults = HashMap::from([("paginatedWorkspaces".to_owned(), fault.clone())]);
        let cloud = PrivateCloud::new(Options { faults, ..Options::default() });
        cloud.home.write_config(&EARLIER.replace("fedcba9876543210", &cloud.token()));
        let Output { stdout, code, .. } = cloud.astro().run(&["workspace", "list", "--json"]);
        let said: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!((code, &said["code"], &said["kind"]), (Some(exit), &json!(exit), &json!(kind)), "{fault:?}: {said}");
    }
}
