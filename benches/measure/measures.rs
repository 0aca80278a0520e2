//! The measures, in the order of the table.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::report::{Goal, Report};
use crate::support::{FakeBrowser, Mode, Options, Organization, Service};
use crate::support_keyring::Session;
use crate::tools::Line;
use crate::worlds::{World, at_home, home, token_file};

const RUNS: usize = 400;
const ROUNDS: usize = 20;
const ROUND_TRIP: Duration = Duration::from_millis(50);
/// What `ROUND_TRIP` is, in milliseconds.
const TRIP: f64 = 50.0;

/// What is measured, and the least that a program can be.
pub(crate) struct Programs {
    pub(crate) astro: PathBuf,
    pub(crate) empty: PathBuf,
}

const LOGIN: [&str; 8] = [
    "login",
    "--token-login",
    "-",
    "--insecure-storage",
    "--organization",
    "Analytical Engines",
    "--workspace",
    "Punched Cards",
];

/// What the person notices before anything is done.
pub(crate) fn start_up(report: &mut Report, programs: &Programs) {
    let (service, home) = (Service::start(Options::default()), home());
    let domain = service.domain();
    let login = ["login", &domain, "--token-login", "-", "--insecure-storage"];
    at_home(&home, &programs.astro, &login).stdin(&token_file(&service, &home)).run(&[]);
    let floor = at_home(&home, &programs.empty, &[]);
    let count = floor.instructions();
    for arguments in [["--version"].as_slice(), &["auth", "token"]] {
        let line = at_home(&home, &programs.astro, arguments);
        let name = format!("`astro {}`{}", arguments.join(" "), if arguments.len() > 1 { ", file store" } else { "" });
        let [time, floor_time] = alternately([&line, &floor]);
        report.row(&format!("{name}: time"), time, "ms", Some(floor_time), Goal::Ratio(1.3));
        report.row(&format!("{name}: instructions"), line.instructions(), "M", Some(count), Goal::None);
        let count = line.threads_and_sockets();
        report.row(&format!("{name}: threads and sockets"), to_f64(count), "", None, Goal::AtMost(0.0));
        report.row(&format!("{name}: memory"), line.megabytes(), "MB", Some(floor.megabytes()), Goal::AtMost(5.0));
    }
}

/// Times that are to be compared closer than the machine keeps its pace: in rounds, so that it slows down for both.
fn alternately(lines: [&Line; 2]) -> [f64; 2] {
    let mut rounds: Vec<[f64; 2]> = (0..ROUNDS).map(|_| lines.map(|line| line.milliseconds(RUNS / ROUNDS))).collect();
    [0, 1].map(|index| {
        rounds.sort_by(|one, other| one[index].total_cmp(&other[index]));
        rounds[ROUNDS / 2][index]
    })
}

/// A token that the keychain keeps.
pub(crate) fn secret_service(report: &mut Report, programs: &Programs) {
    let session = Session::with_keyring();
    let (service, home) = (Service::start(Options::default()), home());
    let domain = service.domain();
    let in_session = |program: &Path, arguments: &[&str]| {
        let command = session.command(program);
        command.get_envs().fold(Line::new(program, arguments), |line, (name, value)| {
            line.with(name.to_str().unwrap(), value.unwrap().to_str().unwrap())
        })
    };
    let login = ["login", &domain, "--token-login", "-"];
    in_session(&programs.astro, &login).stdin(&token_file(&service, &home)).run(&[]);
    let lookup = ["lookup", "service", "astro-login", "username", &domain];
    let floor = in_session(Path::new("/usr/bin/secret-tool"), &lookup);
    let line = in_session(&programs.astro, &["auth", "token"]);
    let name = "`astro auth token`, Secret Service";
    let [time, floor_time] = alternately([&line, &floor]);
    report.row(&format!("{name}: time"), time, "ms", Some(floor_time), Goal::Ratio(1.5));
    report.row(&format!("{name}: memory"), line.megabytes(), "MB", Some(floor.megabytes()), Goal::AtMost(5.0));
}

/// `login --token-login` over TLS, with nothing cached and with what the last login left.
pub(crate) fn token_login(report: &mut Report, programs: &Programs) {
    let [near, far, farther] = [0, 1, 2].map(|times| World::new(ROUND_TRIP * times));
    let line = |world: &World, cold: bool| {
        let line = world.astro(&programs.astro, &LOGIN).stdin(&world.token());
        let cache = world.home.path().join(".astro/login-cache.json");
        if cold { line.after(format!("rm -f {}", cache.display())) } else { line }
    };
    let measure = |of: &dyn Fn(&World) -> Line| {
        let before = far.counts();
        of(&far).run(&[]);
        let after = far.counts();
        let [time, longer] = [&far, &farther].map(|world| of(world).milliseconds(10));
        (time, [after[0] - before[0], after[1] - before[1]], ((longer - time) / TRIP).round())
    };
    let (floor, floor_counts, floor_steps) = measure(&|world| world.curl(&world.token()));
    for cold in [true, false] {
        let (time, counts, steps) = measure(&|world| line(world, cold));
        let name = format!("token login at 50 ms, {} cache", if cold { "no" } else { "warm" });
        let goal = if cold { Goal::Ratio(1.15) } else { Goal::None };
        report.row(&format!("{name}: time"), time, "ms", Some(floor), goal);
        report.row(&format!("{name}: dependent round trips"), steps, "", Some(floor_steps), Goal::None);
        for (index, what) in ["requests", "connections"].into_iter().enumerate() {
            let (value, floor) = (to_f64(counts[index]), to_f64(floor_counts[index]));
            report.row(&format!("{name}: {what}"), value, "", Some(floor), Goal::None);
        }
    }
    let (memory, floor) = (line(&near, true).megabytes(), near.curl(&near.token()).megabytes());
    report.row("token login: memory", memory, "MB", Some(floor), Goal::AtMost(10.0));
    report.row("token login: instructions", line(&near, true).instructions(), "M", None, Goal::None);
}

/// From the callback's arrival to the page, and to the prompt.
pub(crate) fn browser_login(report: &mut Report, programs: &Programs) {
    let mut times: Vec<[f64; 2]> = (0..7).map(|_| time_callback(&programs.astro)).collect();
    let mut median = |index: usize| {
        times.sort_by(|one, other| one[index].total_cmp(&other[index]));
        times[times.len() / 2][index]
    };
    let (page, prompt) = (median(0), median(1));
    report.row("callback at 50 ms: page answered", page, "ms", Some(TRIP), Goal::Ratio(1.15));
    report.row("callback at 50 ms: prompt back", prompt, "ms", Some(3.0 * TRIP), Goal::Ratio(1.15));
}

fn time_callback(astro: &Path) -> [f64; 2] {
    let world = World::new(ROUND_TRIP);
    let arguments = ["login", "--login-link", "--insecure-storage", "--workspace", "Punched Cards"];
    let mut command: Command = world.astro(astro, &arguments).into();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut link = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut link).unwrap();
    // The person's browser is no part of what is measured.
    let issuer = world.service.issuer();
    let near = world.service.url("/").to_string();
    let browser = FakeBrowser::new(Mode::StopAtRedirect("ada@example.com".to_owned()));
    browser.visit(&link.trim().replacen(&issuer, &near, 1).parse().unwrap());
    let callback = browser.redirect().unwrap();
    let port = callback.port().unwrap();
    let target = format!("{}?{}", callback.path(), callback.query().unwrap());
    let start = Instant::now();
    let mut connection = TcpStream::connect(("localhost", port)).unwrap();
    write!(connection, "GET {target} HTTP/1.1\r\nhost: localhost:{port}\r\nconnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    connection.read_to_string(&mut page).unwrap();
    let answered = start.elapsed();
    assert!(page.contains("ada@example.com"), "{page}");
    let status = child.wait().unwrap();
    assert!(status.success(), "{status}");
    [answered, start.elapsed()].map(|time| time.as_secs_f64() * 1000.0)
}

/// Long lists of organizations and workspaces.
pub(crate) fn lists(report: &mut Report, programs: &Programs) {
    let measure = |count: usize| {
        let mut options = Options::default().organizations(count, 1);
        let names: Vec<String> = (1..=count).map(|number| format!("Workspace {number:05}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        options.organizations[0] = Organization::new(1, "Organization 00001", &names);
        let (service, home) = (Service::start(options), home());
        let (domain, organization) = (service.domain(), "Organization 00001");
        let arguments = [
            "login",
            &domain,
            "-t",
            "-",
            "--insecure-storage",
            "--organization",
            organization,
            "--workspace",
            names[0],
        ];
        let line = at_home(&home, &programs.astro, &arguments).stdin(&token_file(&service, &home));
        (line.milliseconds(10), line.megabytes())
    };
    let base = measure(1);
    let mut before = None;
    for count in [1, 10, 100, 1_000, 10_000] {
        let (time, memory) = measure(count);
        let name = format!("token login, {count} organizations and workspaces");
        // A line through the origin, with what a login of one costs for a start.
        let line = before.map(|before: f64| base.0 + 10.0 * (before - base.0).max(0.0));
        let (floor, goal) = if count == 10_000 { (line, Goal::Ratio(1.3)) } else { (None, Goal::None) };
        report.row(&format!("{name}: time"), time, "ms", floor, goal);
        let goal = Goal::AtMost(if count == 1 { 10.0 } else { 30.0 });
        report.row(&format!("{name}: memory"), memory, "MB", None, goal);
        before = Some(time);
    }
}

/// A config.yaml with a thousand contexts.
pub(crate) fn many_contexts(report: &mut Report, programs: &Programs) {
    let measure = |count: usize| {
        let home = home();
        let mut text = "project:\n    name: pipelines\ncontexts:\n".to_owned();
        for number in 1..=count {
            write!(
                text,
                "    pr{number}_astronomer-dev_io:\n        domain: pr{number}.astronomer-dev.io\n        \
                 organization: clorg{number:020}\n        organization_product: HOSTED\n        \
                 workspace: clws{number:021}\n        last_used_workspace: clws{number:021}\n        \
                 token: Bearer eyJhbGciOiJSUzI1NiJ9.{number:0100}.signature\n        \
                 refreshtoken: refresh-{number:040}\n        user_email: ada@example.com\n"
            )
            .unwrap();
        }
        text.push_str("context: pr1.astronomer-dev.io\n");
        let saved = home.path().join("config.yaml");
        fs::write(&saved, &text).unwrap();
        let wanted = format!("pr{count}.astronomer-dev.io");
        let switch = at_home(&home, &programs.astro, &["context", "switch", &wanted]);
        // The copy is on the disk before it begins: the program's own sync would wait for that, too.
        let (from, to) = (saved.display().to_string(), home.config_path().display().to_string());
        let switch = switch.after(format!("dd if={from} of={to} bs=1M conv=fsync status=none"));
        (switch.milliseconds(50), switch.instructions(), switch.megabytes())
    };
    let ((few, few_count, _), (many, many_count, memory)) = (measure(2), measure(1_000));
    report.row("an edit among 1,000 contexts: time over one among 2", many - few, "ms", None, Goal::AtMost(10.0));
    report.row("an edit among 1,000 contexts: instructions", many_count - few_count, "M", None, Goal::None);
    report.row("an edit among 1,000 contexts: memory", memory, "MB", None, Goal::None);
}

/// What the program weighs, and how long it takes to build.
pub(crate) fn size(report: &mut Report, astro: &Path, seconds: Option<&PathBuf>) {
    let megabytes = |file: &Path| to_f64(usize::try_from(fs::metadata(file).unwrap().len()).unwrap()) / 1e6;
    report.row("binary, stripped", megabytes(astro), "MB", None, Goal::AtMost(4.5));
    if let Some(seconds) = seconds.and_then(|it| it.to_str()?.parse().ok()) {
        report.row("clean release build", seconds, "s", None, Goal::AtMost(200.0));
    }
}

fn to_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}
