//! Logins in programs that are not ours: `expect`, tmux, and xterm.js in Chromium.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::{ASTRO, CTRL_C, ENTER, Options, Pty, World, visit};
use crate::support::chromium::Chromium;

/// Says and hears what a person does. It ends as the program does.
const EXPECT: &str = r#"
    set timeout 60
    proc hear {text} {
        expect {
            -ex $text {}
            timeout { puts "\n$text did not come"; exit 98 }
            eof { puts "\nthe end came before $text"; exit 99 }
        }
    }
    spawn -noecho $env(ASTRO) login $env(DOMAIN) --insecure-storage
    hear "Email: "
    send "nobody\r"
    hear "not an email address"
    hear "Email: "
    send "\r"
    hear "Still waiting"
    hear {Continue as grace@example.org? (y/N) }
    send "y\r"
    hear {Number or name [1]: }
    send "2\r"
    hear {Number or name [1]: }
    send "Workspace 00001\r"
    hear "Logged in to"
    expect eof
    exit [lindex [wait] 3]
"#;

#[test]
#[ignore = "needs expect, and takes half a minute"]
fn accessible_login_by_expect_alone() {
    let world = World::with(Options::default().organizations(2, 2)).set("ACCESSIBLE", "1");
    let mut expect = Command::new("expect");
    expect.args(["-c", EXPECT]).env_clear().envs(world.environment.iter().map(|(name, value)| (name, value)));
    expect.envs([("ASTRO", ASTRO), ("DOMAIN", &world.service.domain()), ("TERM", "xterm")]);
    let mut child = expect.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("expect is installed");
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut shown = String::new();
    while !shown.contains("Still waiting") {
        assert_ne!(output.read_line(&mut shown).unwrap(), 0, "{shown}");
    }
    visit(&world.opened(), "grace@example.org");
    output.read_to_string(&mut shown).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{shown}");
    world.assert_logged_in("grace@example.org");
}

/// tmux as it comes: it ignores OSC 52 of the programs in it.
#[test]
#[ignore = "needs tmux"]
fn tmux_has_copied_link() {
    let world = World::simple();
    let login = format!("'{ASTRO}' login {} --insecure-storage --email ada@example.com", world.service.domain());
    let home = world.home.path().to_str().unwrap();
    let environment = world.environment.iter().map(|(name, value)| (*name, value.as_str()));
    let environment = environment.chain([("TMUX_TMPDIR", home), ("LC_ALL", "C.UTF-8")]);
    let mut pty = Pty::spawn("tmux", &["-f", "/dev/null", "new-session", &login], environment);
    let link = world.opened().to_string();
    pty.wait_for("c and Enter to copy the link");
    pty.type_keys("c");
    pty.type_keys(ENTER);
    pty.wait_for("Sent the link to your terminal");
    let buffer = Command::new("tmux").arg("show-buffer").env("TMUX_TMPDIR", home).env_remove("TMUX").output().unwrap();
    assert_eq!(String::from_utf8(buffer.stdout).unwrap(), link);
    let outer = format!("\x1b]52;;{}\x07", STANDARD.encode(&link));
    assert!(pty.transcript().contains(&outer), "the terminal around tmux has it, too: {:?}", pty.transcript());
    pty.type_keys(CTRL_C);
    pty.finish();
}

/// Makes a terminal of 40 columns that shows a transcript.
const SHOW: &str = "
    document.head.append(Object.assign(document.createElement('style'), { textContent: css }));
    window.opened = [];
    const activate = (event, address) => window.opened.push(address);
    const terminal = new Terminal({ cols: 40, rows: 60, linkHandler: { activate } });
    terminal.open(document.body);
    terminal.write(transcript, () => document.body.classList.add('shown'));
";
/// The middle of the cell in the fourth row of the link.
const CELL: &str = "
    const screen = document.querySelector('.xterm-screen').getBoundingClientRect();
    const rows = [...document.querySelectorAll('.xterm-rows > div')];
    const row = rows.findIndex((row) => row.textContent.includes('http://localhost')) + 3;
    return [screen.x + screen.width / 2, screen.y + screen.height * (row + 0.5) / rows.length];
";

#[tokio::test]
#[ignore = "needs chromium, chromium-driver and xterm.js"]
async fn click_in_xterm_js_opens_whole_link() {
    #[expect(clippy::disallowed_methods, reason = "tests are told by a variable where it is")]
    let package = std::env::var_os("XTERM").expect("XTERM names the package of @xterm/xterm, as in .ci/run");
    let part = |name| fs::read_to_string(Path::new(&package).join(name)).unwrap();
    let (script, style) = (part("lib/xterm.js"), part("css/xterm.css"));
    let world = World::simple();
    let mut pty = world.login(&["--email", "ada@example.com", "--login-link"]);
    let link = pty.link().to_string();
    pty.type_keys(CTRL_C);
    let transcript = pty.finish_with(130);

    let chromium = Chromium::start().await;
    chromium.resize(800, 1200).await;
    chromium
        .run(&format!("{script}\nconst css = {}; const transcript = {};{SHOW}", json!(style), json!(transcript)))
        .await;
    chromium.text(".shown").await;
    let cell = chromium.run(CELL).await;
    let mouse = async |kind: &str| {
        let event = json!({"type": kind, "x": cell[0], "y": cell[1], "button": "left", "clickCount": 1});
        chromium.devtools("Input.dispatchMouseEvent", event).await;
    };
    mouse("mouseMoved").await;
    chromium.text(".xterm-cursor-pointer").await;
    mouse("mousePressed").await;
    mouse("mouseReleased").await;
    assert_eq!(chromium.run("return window.opened").await, json!([link]));
}
