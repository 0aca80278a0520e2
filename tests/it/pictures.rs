//! The pictures in the README, made from one real login: the program in a terminal, GNOME Keyring, Chromium.
//!
//! `scripts/pictures` makes them anew. Otherwise the test compares the picture of the terminal with the output of the
//! program. The picture of the page is not compared, because it differs with the fonts of each machine.

use std::fmt::Write as _;
use std::fs;
use std::num::NonZero;
use std::path::Path;

use crate::support::chromium::Chromium;
use crate::support::keyring::Session;
use crate::support::proxy::{Authority, Flaw, Proxy};
use crate::support::pty::{ENTER, Pty};
use crate::support::{Options, Service};
use html_escape::encode_text;
use vt100::Color;

const ISSUER: &str = "https://auth.astronomer.io/";
const COLUMNS: u16 = 80;
/// Of a character, and from the frame to the text, in SVG's units.
const WIDTH: f32 = 8.4;
const HEIGHT: f32 = 20.0;
const MARGIN: f32 = 20.0;
/// The title bar, with the three dots of a window.
const BAR: f32 = 26.0;

#[tokio::test]
#[ignore = "needs port 12345, dbus-daemon, gnome-keyring-daemon, chromium and chromium-driver"]
async fn readme_pictures_match_program() {
    let session = Session::with_keyring();
    let service = Service::start(Options { issuer: Some(ISSUER.to_owned()), ..Options::default() });
    let authority = Authority::new("the authority");
    fs::write(session.path("authority.pem"), authority.pem()).unwrap();
    let hosts = [("api.astronomer.io", Flaw::None), ("auth.astronomer.io", Flaw::None)];
    let proxy = Proxy::connecting(&authority, &hosts, service.url("/").port().unwrap());
    let chromium = Chromium::start().await;

    let (trusted, proxy_url) = (session.path("authority.pem"), proxy.url());
    let command = session.command("astro");
    let given = command.get_envs().map(|(name, value)| (name.to_str().unwrap(), value.unwrap().to_str().unwrap()));
    let ours = [("SSL_CERT_FILE", trusted.to_str().unwrap()), ("HTTPS_PROXY", &proxy_url), ("BROWSER", "true")];
    let environment = given.chain(ours).chain([("TZ", "UTC")]);
    let mut pty = Pty::spawn(env!("CARGO_BIN_EXE_astro"), &["login"], environment);
    pty.wait_for("Email:");
    pty.type_keys("ada@example.com");
    pty.type_keys(ENTER);
    let start = "authorize?";
    pty.wait_for(&format!("{ISSUER}{start}"));
    pty.wait_for("\n");
    let shown = pty.transcript();
    // The first is the address of the hyperlink, which an escape sequence ends.
    let query = shown.split(start).nth(1).unwrap().split(['\x1b', '\r', '\n']).next().unwrap();
    chromium.prefer_dark(false).await;
    chromium.resize(640, 460).await;
    chromium.open(&format!("{}{query}", service.url("/authorize?"))).await;
    chromium.type_into("#password", "correct horse").await;
    chromium.click("#log-in").await;
    assert_eq!(chromium.text(".confirmed bdi").await, "ada@example.com");
    pty.choose("Workspace:", "pun");
    let shown = pty.finish_with(0);

    let picture = svg(&shown);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/images");
    if asked_for_new_ones() {
        fs::write(folder.join("login.svg"), &picture).unwrap();
        chromium.screenshot(&folder.join("page.png")).await;
    }
    let kept = fs::read_to_string(folder.join("login.svg")).unwrap_or_default();
    assert!(kept == picture, "docs/images/login.svg is out of date: run scripts/pictures");
}

#[expect(clippy::disallowed_methods, reason = "the script says by a variable that it is the one who asks")]
fn asked_for_new_ones() -> bool {
    std::env::var_os("NEW_PICTURES").is_some()
}

/// The final screen of the terminal, below the command line.
fn svg(transcript: &str) -> String {
    // Wide enough for the link, which is cut where the terminal's first line of it ends.
    let mut terminal = vt100::Parser::new(NonZero::new(60).unwrap(), NonZero::new(1000).unwrap(), 0);
    terminal.process(format!("\x1b[35m$\x1b[m astro login\r\n{transcript}").as_bytes());
    let screen = terminal.screen();
    let lines: Vec<_> = screen.rows(0, COLUMNS).map(|line| line.trim_end().to_owned()).collect();
    let last = lines.iter().rposition(|line| !line.is_empty()).unwrap();
    let count = u16::try_from(last + 1).unwrap();

    let mut text = String::new();
    for (row, line) in (0..count).zip(&lines) {
        // The time is the only thing that differs from run to run.
        let line = line.split_once("expires       ").map_or_else(
            || line.clone(),
            |(before, until)| format!("{before}expires       2026-11-25 10:11{}", &until["2026-11-25 10:11".len()..]),
        );
        let cells = line.chars().enumerate().map(|(column, character)| {
            let cell = screen.cell(row, column.try_into().unwrap()).unwrap();
            (class(cell), if column == usize::from(COLUMNS) - 1 { '…' } else { character })
        });
        if line.is_empty() {
            continue;
        }
        let y = BAR + MARGIN + HEIGHT * (f32::from(row) + 0.7);
        write!(text, "<text x=\"{MARGIN}\" y=\"{y}\">").unwrap();
        for run in cells.collect::<Vec<_>>().chunk_by(|(one, _), (next, _)| one == next) {
            let words: String = run.iter().map(|(_, character)| character).collect();
            let words = encode_text(&words);
            match run[0].0.as_str() {
                "" => text += &words,
                class => write!(text, "<tspan class=\"{class}\">{words}</tspan>").unwrap(),
            }
        }
        text += "</text>\n";
    }
    let (width, height) = (f32::from(COLUMNS) * WIDTH + 2.0 * MARGIN, BAR + 2.0 * MARGIN + HEIGHT * f32::from(count));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\" aria-labelledby=\"title words\">\n\
         <title id=\"title\">astro login in a terminal</title>\n\
         <desc id=\"words\">`astro login` asks for the email, opens the browser, offers a menu of workspaces, and prints the account, \
         the location of the credentials and their expiry.</desc>\n{STYLE}\
         <rect class=\"frame\" x=\".5\" y=\".5\" width=\"{}\" height=\"{}\" rx=\"10\"/>\n\
         <circle cx=\"22\" cy=\"19\" r=\"6\"/><circle cx=\"42\" cy=\"19\" r=\"6\"/><circle cx=\"62\" cy=\"19\" r=\"6\"/>\n{text}</svg>\n",
        width - 1.0,
        height - 1.0,
    )
}

/// Dark on a light page and on a dark one; the frame sets it off from the latter.
const STYLE: &str = "<style>\n\
    .frame { fill: #1a1923; stroke: #444057 }\n\
    circle { fill: #444057 }\n\
    text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, 'Liberation Mono', monospace; white-space: pre; fill: #f3f1fa }\n\
    .bold { font-weight: 700 }\n\
    .red { fill: #ff958c } .green { fill: #62d8a0 } .yellow { fill: #f0bd5c } .violet { fill: #a296ff } .cyan { fill: #6fd3e3 }\n\
    </style>\n";

fn class(cell: &vt100::Cell) -> String {
    let color = match cell.fgcolor() {
        Color::Default => "",
        Color::Idx(1 | 9) => "red",
        Color::Idx(2 | 10) => "green",
        Color::Idx(3 | 11) => "yellow",
        Color::Idx(5 | 13) => "violet",
        Color::Idx(6 | 14) => "cyan",
        other => panic!("the picture knows no color for {other:?}"),
    };
    format!("{color}{}", if cell.bold() { " bold" } else { "" }).trim().to_owned()
}
