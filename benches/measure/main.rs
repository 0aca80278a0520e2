//! Measures what `astro` costs against the least that the same could cost, and writes BENCHMARKS.md. Linux only;
//! `scripts/bench` runs it, and brings the program, the floors and the tools.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a bench is a report")]
#![allow(clippy::disallowed_methods, reason = "it measures time")]
#![cfg_attr(not(target_os = "linux"), allow(unused, reason = "there is nothing to run"))]

#[cfg(target_os = "linux")]
mod measures;
#[cfg(target_os = "linux")]
mod report;
#[cfg(target_os = "linux")]
#[path = "../../tests/support/mod.rs"]
mod support;
#[cfg(target_os = "linux")]
#[path = "../../tests/support_keyring/mod.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod support_keyring;
#[cfg(target_os = "linux")]
mod tools;
#[cfg(target_os = "linux")]
mod worlds;

#[cfg(target_os = "linux")]
fn main() {
    use std::path::PathBuf;

    // What cargo adds on its own has no `=`.
    let given: std::collections::BTreeMap<String, PathBuf> = std::env::args()
        .filter_map(|argument| Some((argument.split_once('=')?.0.to_owned(), argument.split_once('=')?.1.into())))
        .collect();
    let mut report = report::Report::default();
    let programs = measures::Programs { astro: given["astro"].clone(), empty: given["empty"].clone() };
    measures::start_up(&mut report, &programs);
    measures::secret_service(&mut report, &programs);
    measures::token_login(&mut report, &programs);
    measures::browser_login(&mut report, &programs);
    measures::lists(&mut report, &programs);
    measures::many_contexts(&mut report, &programs);
    measures::size(&mut report, &programs.astro, given.get("build-seconds"));
    std::fs::write("BENCHMARKS.md", report.document(given.get("attack"))).unwrap();
}

#[cfg(not(target_os = "linux"))]
fn main() {}
