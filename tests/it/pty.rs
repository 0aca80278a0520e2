//! The built binary on a pseudo-terminal: questions, the wait, menus, and Ctrl-C at each.

mod link;
mod plain;
mod stop;
#[cfg(target_os = "linux")]
mod terminals;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use crate::support::pty::{CTRL_C, DOWN, ENTER, Pty, screen};
use crate::support::{FakeBrowser, Fault, Mode, Options, Organization, Part, Service, TestHome, no_screen};
use serde_json::json;
use url::Url;

const ASTRO: &str = env!("CARGO_BIN_EXE_astro");
const FRAMES: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const WAITING: &str = "Waiting for browser login";

/// A service, a home, and `$BROWSER`: a script that tells what it was asked to open.
struct World {
    service: Service,
    home: TestHome,
    environment: Vec<(&'static str, String)>,
    opened: Receiver<Url>,
}

impl World {
    /// Ada belongs to two organizations. Hers is known by her address, and has two workspaces.
    fn new() -> Self {
        Self::with(Options::default())
    }

    fn simple() -> Self {
        Self::with(Options::default().organizations(1, 1))
    }

    fn with(options: Options) -> Self {
        let home = TestHome::new();
        let (fifo, script) = (home.path().join("opened"), home.path().join("browser"));
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        fs::write(&script, format!("#!/bin/sh\nprintf %s \"$1\" >'{}'\n", fifo.display())).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
        let (sender, opened) = mpsc::channel();
        thread::spawn(move || {
            while let Ok(address) = fs::read_to_string(&fifo) {
                if sender.send(address.parse().unwrap()).is_err() {
                    return;
                }
            }
        });
        let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
        let environment =
            vec![("HOME", path(home.path())), ("ASTRO_HOME", path(home.path())), ("BROWSER", path(&script))];
        Self { service: Service::start(options), home, environment, opened }
    }

    fn set(mut self, name: &'static str, value: &str) -> Self {
        self.environment.retain(|(other, _)| *other != name);
        self.environment.push((name, value.to_owned()));
        self
    }

    fn bare(self) -> Self {
        self.set("BROWSER", "")
    }

    fn remembering(self, email: &str) -> Self {
        let domain = self.service.domain();
        let key = json!(domain);
        self.home.write_config(&format!(
            "context: {key}\ncontexts:\n    {key}:\n        domain: {key}\n        user_email: {email}\n"
        ));
        self
    }

    /// `astro login localhost:PORT --insecure-storage` and these arguments.
    fn login(&self, more: &[&str]) -> Pty {
        let domain = self.service.domain();
        let arguments = [&["login", &domain, "--insecure-storage"], more].concat();
        Pty::spawn(ASTRO, &arguments, self.environment.iter().map(|(name, value)| (*name, value.as_str())))
    }

    #[track_caller]
    fn opened(&self) -> Url {
        self.opened.recv_timeout(Duration::from_secs(10)).unwrap()
    }

    #[track_caller]
    fn assert_nothing_was_opened(&self) {
        assert_eq!(self.opened.try_recv(), Err(mpsc::TryRecvError::Empty));
    }

    #[track_caller]
    fn assert_nothing_is_stored(&self) {
        let config = self.home.config().unwrap_or_default();
        assert!(!config.contains("token"), "{config}");
        assert_eq!(self.service.live_refresh_tokens(), Vec::<String>::new(), "a refresh token is left alive");
    }

    fn kept(&self, keys: &[&str]) -> Vec<Option<String>> {
        let config = self.home.config().unwrap_or_default();
        let value = |key: &&str| {
            let prefix = format!("{key}: ");
            config.lines().find_map(|line| line.trim().strip_prefix(&prefix).map(str::to_owned))
        };
        keys.iter().map(value).collect()
    }

    #[track_caller]
    fn assert_logged_in(&self, email: &str) {
        assert_eq!(self.kept(&["user_email"]), [Some(email.to_owned())]);
        assert!(self.kept(&["token"])[0].is_some());
        assert_eq!(self.service.live_refresh_tokens().len(), 1);
    }

    fn filtered(&self, shown: &str) -> String {
        let mut text = String::new();
        for line in screen(shown).lines() {
            let shortened = line.split_once("/authorize?").map(|(before, _)| format!("{before}/authorize?…"));
            let line = shortened.as_deref().unwrap_or(line);
            let line = match line.split_once("expires       ") {
                Some((before, until)) => {
                    format!("{before}expires       …{}", until.find([';', ',']).map_or("", |at| &until[at..]))
                }
                None => line.to_owned(),
            };
            text += &(line + "\n");
        }
        text.replace(&self.service.domain(), "localhost:PORT").replace(self.home.path().to_str().unwrap(), "HOME")
    }
}

fn visit(link: &Url, email: &str) -> FakeBrowser {
    let browser = FakeBrowser::new(Mode::LogIn(email.to_owned()));
    browser.visit(link);
    browser
}

/// Logs in on another machine and returns the final URL of that browser.
fn visit_elsewhere(link: &Url, email: &str) -> Url {
    let browser = FakeBrowser::new(Mode::StopAtRedirect(email.to_owned()));
    browser.visit(link);
    browser.redirect().unwrap()
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn answer_email(pty: &mut Pty, email: &str) {
    pty.wait_for("Email:");
    pty.type_keys(&format!("{email}\r"));
}

#[test]
fn empty_email_goes_on_without_hint() {
    let world = World::simple();
    let mut pty = world.login(&[]);
    pty.wait_for("press Enter to choose an account in the browser");
    pty.type_keys(ENTER);
    let link = pty.link();
    assert_eq!(parameter(&link, "login_hint"), None);
    let browser = visit(&link, "grace@example.org");
    pty.wait_for("Continue as grace@example.org?");
    assert_eq!(world.home.config(), None, "named before anything is stored");
    assert!(browser.answers().remove(0).unwrap().body.contains("It needs your input"));
    pty.type_keys("y\r");
    let shown = pty.finish_with(0);
    assert!(!shown.contains("warning: expected"), "{shown}");
    world.assert_logged_in("grace@example.org");
    assert_eq!(world.service.requests_to("/hub/organization-lookup"), []);
}

#[test]
fn lb_25_lb_28_unexpected_account_can_be_rejected() {
    for answer in [ENTER, "n\r", "\x1b", "\x04", CTRL_C] {
        let world = World::simple();
        let mut pty = world.login(&[]);
        pty.wait_for("Email:");
        pty.type_keys(ENTER);
        // The code of another user, who has read the link in the process list.
        visit(&pty.link(), "grace@example.org");
        pty.wait_for("Continue as grace@example.org?");
        pty.type_keys(answer);
        pty.finish_with(130);
        assert_eq!(world.home.config(), None);
        world.assert_nothing_is_stored();
    }
}

#[test]
fn lb_28_account_without_email_is_named_by_subject() {
    let world = World::simple();
    world.service.patch(Part::IdToken, json!({"email": null}));
    world.service.patch(Part::Userinfo, json!({"email": null}));
    let mut pty = world.login(&[]);
    pty.wait_for("Email:");
    pty.type_keys(ENTER);
    visit(&pty.link(), "grace@example.org");
    pty.wait_for("Continue as auth0|grace@example.org, an account without a verified email?");
    pty.type_keys(ENTER);
    pty.finish_with(130);
    world.assert_nothing_is_stored();
}

#[test]
fn invalid_email_is_asked_again() {
    let world = World::simple();
    let mut pty = world.login(&[]);
    answer_email(&mut pty, "nobody");
    pty.wait_for("not an email address");
    pty.type_keys("@example.com\r");
    assert_eq!(parameter(&pty.link(), "login_hint").as_deref(), Some("nobody@example.com"));
    pty.type_keys(CTRL_C);
    assert_eq!(pty.finish().0, 130);
}

#[test]
fn saved_email_accepted_with_enter_counts_as_typed() {
    let world = World::simple().remembering("grace@example.org");
    let mut pty = world.login(&[]);
    pty.wait_for("Email: ");
    pty.wait_for("grace@example.org");
    pty.type_keys(ENTER);
    let link = pty.link();
    assert_eq!(parameter(&link, "login_hint").as_deref(), Some("grace@example.org"));
    visit(&link, "ada@example.com");
    pty.wait_for("expected grace@example.org, but logged in as ada@example.com");
    pty.wait_for("Continue as ada@example.com?");
    pty.type_keys(CTRL_C);
    assert_eq!(pty.finish().0, 130);
    world.assert_nothing_is_stored();
}

#[test]
fn email_flag_opens_browser_at_once() {
    let world = World::simple();
    let mut pty = world.login(&["--email", "ada@example.com"]);
    let opened = world.opened();
    assert_eq!(pty.link(), opened);
    pty.wait_for(WAITING);
    // Enter alone does nothing.
    pty.type_keys(ENTER);
    visit(&opened, "ada@example.com");
    assert_eq!(pty.finish().0, 0);
    world.assert_nothing_was_opened();
    world.assert_logged_in("ada@example.com");
}

#[test]
fn callback_ends_wait_without_enter() {
    let world = World::simple();
    let mut pty = world.login(&["--login-link", "--email", "ada@example.com"]);
    let link = pty.link();
    pty.wait_for(WAITING);
    let browser = visit(&link, "ada@example.com");
    pty.finish_with(0);
    assert_eq!(browser.answers().remove(0).unwrap().status, 200);
    world.assert_nothing_was_opened();
    world.assert_logged_in("ada@example.com");
}

#[test]
fn lb_27_tk_11_pasted_url_accepted_and_not_shown() {
    type Keys<'a> = &'a dyn Fn(&Url) -> String;
    let marked = |text: &str| format!("\x1b[200~{text}\x1b[201~\r");
    let typed = |text: &str| format!("{text}\r");
    let ways: [(&str, Keys); 9] = [
        ("the whole address", &|url| marked(url.as_str())),
        ("its query", &|url| marked(url.query().unwrap())),
        ("in quotes and spaces", &|url| marked(&format!("  \"{url}\" "))),
        ("with the line's end, wrapped", &|url| {
            let (start, end) = url.as_str().split_at(80);
            format!("\x1b[200~{start}\r\n{end}\n\x1b[201~")
        }),
        ("as if typed", &|url| typed(url.as_str())),
        ("with blanks and a return inside", &|url| {
            marked(&url.as_str().replacen("%3A", "%3A\r  ", 1).replace('=', "= "))
        }),
        ("by the machine's address, with https", &|url| {
            typed(&url.as_str().replace("http://localhost", "https://127.0.0.1"))
        }),
        ("line by line", &|url| {
            let (start, end) = url.as_str().split_at(80);
            format!("{start}\r{end}\r")
        }),
        ("line by line, with a cut code", &|url| {
            let (state, code) = (parameter(url, "state").unwrap(), parameter(url, "code").unwrap());
            let (start, end) = code.split_at(5);
            format!("state={state}&code={start}\r{end}\r")
        }),
    ];
    for (way, keys) in ways {
        let world = World::simple();
        let mut pty = world.login(&["--login-link", "--email", "ada@example.com"]);
        let link = pty.link();
        pty.wait_for(WAITING);
        let callback = visit_elsewhere(&link, "ada@example.com");
        pty.type_keys(&keys(&callback));
        let (code, shown) = pty.finish();
        assert_eq!(code, 0, "{way}: {shown}");
        let secret = parameter(&callback, "code").unwrap();
        assert!(!shown.contains(&secret), "{way}: {shown}");
        world.assert_logged_in("ada@example.com");
    }
}

#[test]
fn lb_10_lb_27_unrelated_paste_reported() {
    let world = World::simple();
    let mut pty = world.login(&["--login-link", "--email", "ada@example.com"]);
    let link = pty.link();
    pty.wait_for(WAITING);
    let callback = visit_elsewhere(&link, "ada@example.com");
    let state = parameter(&callback, "state").unwrap();
    let pastes = [
        ("hello".to_owned(), "copy the whole URL of the last page, which starts with"),
        (link.to_string(), "copy the whole URL of the last page, which starts with"),
        (callback.as_str().replace(&state, &"x".repeat(43)), "this URL is from a different login attempt\r\n"),
        ("code=sesame".to_owned(), "this URL is incomplete (no `state`)\r\n"),
        (format!("state={state}"), "has neither a code nor an error\r\n"),
        (format!("state={state}&code=1&code=2"), "has more than one `code`\r\n"),
        (format!("state={state}&code=1&iss=https://evil.example"), "is from the unexpected issuer"),
        ("y".repeat(60_000), "copy the whole URL of the last page, which starts with"),
        ("z".repeat(70_000), "input of more than 64 KiB was dropped\r\n"),
    ];
    for (paste, said) in &pastes {
        pty.paste(paste);
        pty.type_keys(ENTER);
        pty.wait_for(said);
    }
    assert_eq!(pty.transcript().matches("warning:").count(), pastes.len());
    pty.paste(callback.as_str());
    pty.type_keys(ENTER);
    let shown = pty.finish_with(0);
    assert!(!shown.contains("sesame"), "{shown}");
    assert_eq!(world.service.token_requests().len(), 1);
}

#[test]
fn lb_18_pasted_error_ends_login() {
    let world = World::simple();
    let mut pty = world.login(&["--login-link", "--email", "ada@example.com"]);
    let link = pty.link();
    pty.wait_for(WAITING);
    let state = parameter(&link, "state").unwrap();
    pty.paste(&format!("error=access_denied&error_description=No%20%1B%5B2Jway&state={state}\n"));
    let shown = pty.finish_with(4);
    assert!(screen(&shown).contains("login denied: No"), "{shown}");
    assert!(!shown.contains("\x1b[2J"), "{shown}");
}

#[test]
fn no_display_shows_link_and_reason() {
    let world = World::simple().bare();
    let mut pty = world.login(&["--email", "ada@example.com"]);
    pty.wait_for(&format!("Not opening a browser ({}).", no_screen()));
    let link = pty.link();
    pty.wait_for(WAITING);
    visit(&link, "ada@example.com");
    assert_eq!(pty.finish().0, 0);
}

#[test]
fn doctor_at_terminal_shows_link_and_account() {
    let world = World::simple().set("SSH_CONNECTION", "203.0.113.7 50022 192.0.2.9 22").set("BROWSER", "lynx");
    let environment = world.environment.iter().map(|(name, value)| (*name, value.as_str()));
    let (code, shown) =
        Pty::spawn(ASTRO, &["auth", "doctor", "--domain", &world.service.domain()], environment).finish();
    assert_eq!(code, 0, "{shown}");
    let told = "login        prints a link instead of opening a browser: running over SSH";
    assert!(shown.contains("would print a link.") && shown.contains(told), "{shown}");
    let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("forward the port or paste the final URL"), "{shown}");
    assert!(screen(&shown).lines().count() <= 24, "one screen: {shown}");
}

#[test]
fn doctor_wraps_at_narrow_terminal() {
    let world = World::simple().set("NO_COLOR", "1");
    let environment = world.environment.iter().map(|(name, value)| (*name, value.as_str()));
    let narrow = ["-c", "stty cols 40 && exec \"$@\"", "sh", ASTRO, "auth", "doctor", "--domain"];
    let arguments: Vec<&str> = narrow.into_iter().chain([world.service.domain().leak() as &str]).collect();
    let (_, shown) = Pty::spawn("/bin/sh", &arguments, environment).finish();
    assert!(shown.contains("\r\nok     keys\r\n  localhost:"), "{shown}");
    let is_breakable = |line: &str| line.trim().contains(' ') && !line.contains('`');
    let too_long = shown.lines().find(|line| line.trim_end().chars().count() > 40 && is_breakable(line));
    assert_eq!(too_long, None, "{shown}");
}

#[test]
fn failed_browser_launch_shows_link() {
    for arguments in [&["--email", "ada@example.com"][..], &["--email", "ada@example.com", "--quiet"][..]] {
        let world = World::simple().set("BROWSER", "/nonexistent/browser");
        let mut pty = world.login(arguments);
        let link = pty.link();
        pty.wait_for("could not open a browser (/nonexistent/browser: ");
        visit(&link, "ada@example.com");
        assert_eq!(pty.finish().0, 0);
    }
}

#[test]
fn failing_opener_is_noticed_and_link_explained() {
    let openers = [
        "/bin/false",
        // It fails once other programs have been tried, as `xdg-open` does without a display.
        "/bin/sh -c sleep${IFS}1;exit${IFS}3",
        "/nonexistent/browser:/bin/false",
    ];
    for opener in openers {
        let world = World::simple().set("BROWSER", opener).set("SSH_CONNECTION", "203.0.113.7 50022 192.0.2.9 22");
        let world = world.set("USER", "ada");
        let mut pty = world.login(&["--email", "ada@example.com"]);
        let link = pty.link();
        pty.wait_for("could not open a browser (");
        pty.wait_for("If the browser is on another machine, the last page won't load.");
        pty.wait_for("  ssh -L ");
        let callback = visit_elsewhere(&link, "ada@example.com");
        pty.paste(callback.as_str());
        pty.type_keys(ENTER);
        pty.finish_with(0);
        world.assert_logged_in("ada@example.com");
    }
}

#[test]
fn browser_that_stays_open_is_no_failure() {
    let world = World::simple().set("BROWSER", "/bin/sh -c sleep${IFS}8");
    let mut pty = world.login(&["--email", "ada@example.com"]);
    let link = pty.link();
    pty.wait_for(WAITING);
    visit(&link, "ada@example.com");
    let shown = pty.finish_with(0);
    assert!(!shown.contains("could not open"), "{shown}");
}

#[test]
fn other_account_accepted_at_question() {
    let world = World::simple();
    let mut pty = world.login(&[]);
    answer_email(&mut pty, "ada@example.com");
    visit(&world.opened(), "grace@example.org");
    pty.wait_for("Continue as grace@example.org?");
    pty.type_keys("y\r");
    pty.finish_with(0);
    world.assert_logged_in("grace@example.org");
}

fn odd_names() -> Options {
    let organizations = vec![
        Organization::new(1, "Acme", &["one"]),
        Organization::new(
            2,
            "Ünïcode \u{202e}gnp 日本\x1b[31m",
            &["Größe", "tab\there", "日本語", "x".repeat(120).as_str()],
        ),
        Organization::new(3, "Acme", &["one"]),
        Organization::new(4, "", &[]),
    ];
    Options { organizations, ..Options::default() }
}

#[test]
fn menus_filter_and_clean_names() {
    let world = World::with(odd_names());
    let mut pty = world.login(&["--email", "ada@example.com"]);
    visit(&pty.link(), "ada@example.com");
    pty.wait_for("Organization:");
    pty.wait_for("type to filter");
    let menu = pty.screen();
    let names =
        ["Acme (clorg00000000000000000001)", "Acme (clorg00000000000000000003)", "\n  (clorg00000000000000000004)"];
    assert!(names.iter().all(|name| menu.contains(name)), "two of a name and none at all: {menu}");
    pty.type_keys("nïc");
    pty.wait_for("nïc");
    pty.type_keys(ENTER);
    pty.wait_for("Workspace:");
    pty.wait_for("type to filter");
    pty.type_keys(DOWN);
    pty.type_keys(DOWN);
    pty.type_keys(ENTER);
    let shown = pty.finish_with(0);
    assert!(!shown.contains('\u{202e}') && !shown.contains("\x1b[31m日本"), "{shown}");
    let chosen = world.kept(&["organization", "workspace"]);
    let names = |id: &str| shown.contains(id);
    assert_eq!(chosen[0].as_deref(), Some("clorg00000000000000000002"));
    assert!(chosen[1].is_some() && !names("token: "), "{shown}");
    assert!(screen(&shown).contains("  organization  Ünïcode"), "{shown}");
}

/// The state of a login at Ctrl-C, and the state that it leaves.
#[test]
fn lb_25_ctrl_c_before_store_leaves_nothing() {
    type Reach = fn(&World) -> Pty;
    let points: [(&str, Reach); 6] = [
        ("while the service is asked", |world| {
            world.service.fail("/private/v1alpha1/cli/auth-config", Fault::Stall);
            let pty = world.login(&[]);
            world.service.wait_for("/private/v1alpha1/cli/auth-config", 1);
            pty
        }),
        ("at the e-mail question", |world| {
            let mut pty = world.login(&[]);
            pty.wait_for("Email:");
            pty
        }),
        ("after the browser has opened", |world| {
            let mut pty = world.login(&["--email", "ada@example.com"]);
            world.opened();
            pty.wait_for(WAITING);
            pty
        }),
        ("during the wait, half an address pasted", |world| {
            let mut pty = world.login(&["--login-link", "--email", "ada@example.com"]);
            pty.wait_for(WAITING);
            pty.paste("http://localhost");
            pty.wait_for("16 characters");
            pty
        }),
        ("while the code is redeemed", |world| {
            world.service.fail("/oauth/token", Fault::Stall);
            let mut pty = world.login(&["--email", "ada@example.com"]);
            visit(&pty.link(), "ada@example.com");
            world.service.wait_for("/oauth/token", 1);
            pty
        }),
        ("at the hidden token prompt", |world| {
            let mut pty = world.login(&["--token-login", "-"]);
            pty.wait_for("input hidden");
            pty
        }),
    ];
    for (point, reach) in points {
        let world = World::new();
        let mut pty = reach(&world);
        pty.type_keys(CTRL_C);
        let (code, shown) = pty.finish();
        assert_eq!(code, 130, "{point}: {shown}");
        assert!(screen(&shown).ends_with("warning: canceled"), "{point}: {shown}");
        assert_eq!(world.home.config(), None, "{point}");
        world.assert_nothing_is_stored();
    }
}

#[test]
fn escape_and_ctrl_d_cancel_question() {
    for key in ["\x1b", "\x04"] {
        let world = World::new();
        let mut pty = world.login(&[]);
        pty.wait_for("Email:");
        pty.type_keys(key);
        let shown = pty.finish_with(130);
        assert_eq!(screen(&shown), "? Email:\nwarning: canceled");
    }
}

#[test]
fn lb_25_ctrl_c_at_organization_menu_keeps_login() {
    let world = World::with(odd_names());
    let mut pty = world.login(&["--email", "ada@example.com"]);
    visit(&pty.link(), "ada@example.com");
    pty.wait_for("Organization:");
    pty.wait_for("type to filter");
    pty.type_keys(CTRL_C);
    let shown = pty.finish_with(130);
    world.assert_logged_in("ada@example.com");
    assert_eq!(world.kept(&["organization", "workspace"]), [None, None]);
    let end = world.filtered(&shown);
    let end = &end[end.find('✓').unwrap()..];
    insta::assert_snapshot!(end, @r"
    ✓ Logged in to localhost:PORT as Ada Lovelace <ada@example.com>
      credentials   HOME/.astro/config.yaml (unencrypted)
      expires       …, renews automatically
    warning: canceled: no organization chosen
    hint: run `astro organization switch <NAME>`
    ");
}

#[test]
fn lb_25_ctrl_c_at_workspace_menu_keeps_organization() {
    let world = World::new();
    let mut pty = world.login(&["--email", "ada@example.com"]);
    visit(&pty.link(), "ada@example.com");
    pty.wait_for("Workspace:");
    pty.wait_for("type to filter");
    pty.type_keys(CTRL_C);
    let shown = pty.finish_with(130);
    world.assert_logged_in("ada@example.com");
    assert_eq!(world.kept(&["organization", "workspace"]), [Some("clorg00000000000000000001".to_owned()), None]);
    let end = world.filtered(&shown);
    let end = &end[end.find('✓').unwrap()..];
    insta::assert_snapshot!(end, @r"
    ✓ Logged in to localhost:PORT as Ada Lovelace <ada@example.com>
      organization  Analytical Engines
      credentials   HOME/.astro/config.yaml (unencrypted)
      expires       …, renews automatically
    warning: canceled: no workspace chosen
    hint: run `astro workspace switch <NAME>`
    ");
}

#[test]
fn long_messages_wrap_between_words() {
    let world = World::simple().set("BROWSER", "/nonexistent/browser");
    let mut pty = world.login(&["--email", "ada@example.com"]);
    let link = pty.link();
    pty.wait_for("could not open a browser (");
    let callback = visit_elsewhere(&link, "ada@example.com");
    pty.paste(callback.as_str());
    pty.type_keys(ENTER);
    let shown = pty.finish_with(0);
    let lines: Vec<&str> = shown.lines().map(str::trim_end).collect();
    let of = |text: &str| lines.iter().position(|line| line.contains(text)).unwrap();
    assert!(lines[of("If the last page doesn't load")].ends_with("and paste it"), "{shown}");
    assert!(lines[of("If the last page doesn't load") + 1].starts_with("here."), "{shown}");
    assert!(lines.iter().any(|line| line.contains(link.as_str())), "the link is not broken: {shown}");
}

#[test]
fn tk_11_token_prompt_is_hidden() {
    let world = World::simple();
    let token = world.service.access_token(&json!({}));
    let mut pty = world.login(&["--token-login", "-"]);
    pty.wait_for("input hidden");
    pty.paste(&format!("Bearer {token}"));
    pty.wait_for("characters pasted; press Enter to submit");
    pty.type_keys(ENTER);
    let shown = pty.finish_with(0);
    assert!(!shown.contains(&token[..20]), "{shown}");
    assert!(screen(&shown).contains("log in again after that"), "{shown}");
    assert!(world.kept(&["token"])[0].as_ref().unwrap().contains(&token));
}

#[test]
fn token_argument_warns_of_shell_history() {
    let world = World::simple();
    let token = world.service.access_token(&json!({}));
    let shown = world.login(&["--token-login", &token]).finish_with(0);
    assert_eq!(shown.matches("your shell history").count(), 1, "{shown}");
    assert!(!shown.contains(&token), "{shown}");
}

#[test]
fn lb_25_login_times_out_at_terminal() {
    let world = World::simple();
    let mut pty = world.login(&["--email", "ada@example.com", "--timeout", "1"]);
    pty.wait_for(WAITING);
    let shown = pty.finish_with(1);
    let end = screen(&shown);
    assert!(
        end.contains(
            "cause: timed out after 1 second waiting for the browser\nhint: if the last page did not load, run"
        ),
        "{end}"
    );
    world.assert_nothing_is_stored();
}

#[test]
fn signal_at_question_restores_terminal() {
    let world = World::new();
    let mut pty = world.login(&[]);
    pty.wait_for("Email:");
    assert!(pty.is_raw());
    pty.terminate();
    pty.finish_with(130);

    let mut pty = world.login(&["--login-link", "--email", "ada@example.com"]);
    pty.wait_for(WAITING);
    assert!(pty.is_raw());
    pty.terminate();
    pty.finish_with(130);

    let mut pty = world.login(&["--email", "ada@example.com"]);
    visit(&pty.link(), "ada@example.com");
    pty.wait_for("Workspace:");
    assert!(pty.is_raw());
    pty.terminate();
    pty.finish_with(130);
    world.assert_logged_in("ada@example.com");
}

#[test]
fn quiet_login_shows_link_and_question() {
    let world = World::simple();
    let mut pty = world.login(&["--quiet"]);
    answer_email(&mut pty, "ada@example.com");
    visit(&pty.link(), "ada@example.com");
    let shown = pty.finish_with(0);
    insta::assert_snapshot!(world.filtered(&shown), @r"
    > Email: ada@example.com
      http://localhost:PORT/authorize?…
    Waiting for browser login… (Ctrl-C to cancel, c and Enter to copy the link)
    ");
    assert!(!shown.contains(FRAMES), "{shown}");
}

#[test]
fn no_color_and_dumb_terminal_have_no_color() {
    let coloured = |shown: &str| {
        // Select Graphic Rendition with a color: 30–39 or 90–97.
        shown.split("\x1b[").skip(1).any(|rest| {
            let parameters = rest.split('m').next().unwrap_or_default();
            let numeric = parameters.bytes().all(|byte| byte.is_ascii_digit() || byte == b';');
            numeric && rest.len() > parameters.len() && parameters.starts_with(['3', '9'])
        })
    };
    for (name, value, expected) in [("NO_COLOR", "", true), ("NO_COLOR", "1", false), ("TERM", "dumb", false)] {
        let world = World::new().set(name, value);
        let mut pty = world.login(&[]);
        answer_email(&mut pty, "ada@example.com");
        visit(&pty.link(), "ada@example.com");
        pty.wait_for("Workspace:");
        pty.wait_for(if value == "dumb" { "Number or name" } else { "type to filter" });
        pty.type_keys(ENTER);
        let shown = pty.finish_with(0);
        assert_eq!(coloured(&shown), expected, "{name}={value}: {shown:?}");
    }
}

#[test]
fn dumb_terminal_gets_plain_lines() {
    let world = World::simple().set("TERM", "dumb");
    let mut pty = world.login(&["--email", "ada@example.com"]);
    visit(&pty.link(), "ada@example.com");
    let shown = pty.finish_with(0);
    assert!(!shown.contains('\x1b'), "{shown:?}");
    assert_eq!(shown.matches(WAITING).count(), 1, "{shown:?}");
}

#[test]
fn no_spinner_without_terminal() {
    let world = World::simple();
    let mut command = Command::new(ASTRO);
    command.args(["login", &world.service.domain(), "--insecure-storage", "--timeout", "1", "--login-link"]);
    command.env_clear().envs(world.environment.iter().map(|(name, value)| (name, value)));
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains('\x1b') && !said.contains('\r'), "{said:?}");
    assert_eq!(said.matches(WAITING).count(), 1, "{said:?}");
    let link = String::from_utf8(output.stdout).unwrap();
    assert!(link.starts_with(&world.service.url("/authorize?").to_string()) && link.lines().count() == 1, "{link:?}");
}

#[test]
fn screen_after_login() {
    let world = World::new();
    let mut pty = world.login(&[]);
    answer_email(&mut pty, "ada@example.com");
    visit(&world.opened(), "ada@example.com");
    pty.choose("Workspace:", "pun");
    let shown = pty.finish_with(0);
    insta::assert_snapshot!(world.filtered(&shown), @r"
    > Email: ada@example.com
    Opening your browser. If it doesn't open, go to:
    
      http://localhost:PORT/authorize?…
    
    If the last page doesn't load, copy its URL from the address bar and paste it
    here.
    
    > Workspace: Punched Cards
    ✓ Logged in to localhost:PORT as Ada Lovelace <ada@example.com>
      organization  Analytical Engines
      workspace     Punched Cards
      credentials   HOME/.astro/config.yaml (unencrypted)
      expires       …, renews automatically
    ");
}
