//! The table: what was measured, what the floor is, and whether the goal was met.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The goal of a row.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    /// At most so many times the floor.
    Ratio(f64),
    /// At most this, in the value's unit.
    AtMost(f64),
    /// It is only told.
    None,
}

/// The rows so far.
#[derive(Default)]
pub(crate) struct Report(Vec<[String; 6]>);

const HEAD: [&str; 6] = ["measure", "value", "floor", "ratio", "goal", "met"];

impl Report {
    /// Adds a row, and tells it at once.
    pub(crate) fn row(&mut self, measure: &str, value: f64, unit: &str, floor: Option<f64>, goal: Goal) {
        let ratio = floor.filter(|floor| *floor > 0.0).map(|floor| value / floor);
        let (goal, met) = match goal {
            Goal::Ratio(most) => (format!("≤ {most} ×"), ratio.map(|ratio| ratio <= most)),
            Goal::AtMost(most) => (format!("≤ {}", number(most, unit)), Some(value <= most)),
            Goal::None => (String::new(), None),
        };
        let row = [
            measure.to_owned(),
            number(value, unit),
            floor.map(|floor| number(floor, unit)).unwrap_or_default(),
            ratio.map(|ratio| format!("{ratio:.2} ×")).unwrap_or_default(),
            goal,
            met.map(|met| if met { "yes" } else { "**missed**" }.to_owned()).unwrap_or_default(),
        ];
        println!("{}", row.join(" · "));
        self.0.push(row);
    }

    /// BENCHMARKS.md as a whole.
    pub(crate) fn document(&self, attack: Option<&PathBuf>) -> String {
        let mut text = format!("# Benchmarks\n\nWritten by `scripts/bench`, not by hand. {}\n\n", machine());
        text.push_str(EXPLANATION);
        let width = |column: usize| {
            let cells = self.0.iter().map(|row| row[column].as_str()).chain([HEAD[column]]);
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
        };
        let widths: [usize; 6] = std::array::from_fn(width);
        let mut line = |cells: [&str; 6], fill: char| {
            for (cell, width) in cells.iter().zip(widths) {
                let missing = width - cell.chars().count();
                let _ = write!(text, "| {cell}{} ", fill.to_string().repeat(missing));
            }
            text.push_str("|\n");
        };
        line(HEAD, ' ');
        line(["-"; 6], '-');
        for row in &self.0 {
            line(std::array::from_fn(|column| row[column].as_str()), ' ');
        }
        let missed = self.0.iter().filter(|row| row[5].contains("missed")).count();
        let _ = write!(text, "\nGoals missed: {missed}.\n");
        if let Some(attack) = attack {
            let table = fs::read_to_string(attack).unwrap();
            let _ =
                write!(text, "\n## How long a right callback waits for its page under attack\n\n```text\n{table}```\n");
        }
        println!("\n{text}");
        text
    }
}

const EXPLANATION: &str = "\
Times are medians of [hyperfine](https://github.com/sharkdp/hyperfine) without a shell, of the short ones in rounds by turns; instructions are valgrind's count
in user space, which does not depend on what else the machine does; memory is the peak resident set, as `time` reads it,
and what the empty program takes is in it. The fake service of the tests answers, on this machine; where a round trip is
named, the proxy in between holds back each direction by half of it, the CONNECT and the TLS handshake included, for the
floor as well. Dependent round trips are measured: what the same takes longer at 100 ms, divided by the 50 ms.

The floors: an empty Rust program, built as `astro` is; `secret-tool lookup` of the same entry; and one curl process that
asks the same of the same servers over connections that it reuses. A curl process cannot make one request wait for another
and yet run two at once, so it asks for the user and the organizations one after the other; over HTTP/1.1 that is also what
costs the least, since a second connection would have to be opened first (three round trips instead of one).
After the callback, the floor is the sum of the round trips that must follow each other: code exchange; user, with the
organizations; workspaces.

";

fn number(value: f64, unit: &str) -> String {
    match unit {
        "" => format!("{value:.0}"),
        "s" => format!("{value:.0} s"),
        _ => format!("{value:.2} {unit}"),
    }
}

/// One sentence about where this was measured.
fn machine() -> String {
    let told = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().unwrap().stdout;
        String::from_utf8_lossy(&output).trim().to_owned()
    };
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap();
    let model =
        cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("unknown", |it| it.1);
    let cores = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let load = fs::read_to_string("/proc/loadavg").unwrap();
    let load = load.split(' ').next().unwrap_or_default();
    format!(
        "Machine: {model}, {cores} cores, Linux {}, {}; {}, with a load average of {load} at the end.",
        told("uname", &["-r"]),
        told("rustc", &["--version"]),
        told("date", &["-u", "+%F %R UTC"]),
    )
}
