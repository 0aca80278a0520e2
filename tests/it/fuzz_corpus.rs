//! Replays the corpus of the fuzz targets, and generated inputs, with the properties of the targets.

#[path = "../../fuzz/properties.rs"]
mod properties;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use proptest::prelude::*;

fn replay(target: &str, property: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut failed = Vec::new();
    let mut count = 0;
    for file in fs::read_dir(&folder).into_iter().flatten().flatten() {
        let Ok(data) = fs::read(file.path()) else { continue };
        count += 1;
        if catch_unwind(AssertUnwindSafe(|| property(&data))).is_err() {
            failed.push(file.file_name());
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
    assert!(count >= 10, "only {count} files in {}", folder.display());
}

#[test]
fn corpus_callback() {
    replay("request", properties::request);
}

#[test]
fn corpus_paste() {
    replay("paste", properties::paste);
}

#[test]
fn corpus_token() {
    replay("jwt", properties::jwt);
}

#[test]
fn corpus_domain() {
    replay("domain", properties::domain);
}

#[test]
fn corpus_config() {
    replay("config", properties::config);
}

proptest! {
    #[test]
    fn domain_parses_its_own_name(
        anything in ".{0,40}",
        like_ours in "( |\t|https://|HTTPS://|http://|cloud\\.|CLOUD\\.|pr[0-9]{3,7}|api|\\.|@|:|[0-9]{1,5}|/|#|\\?|astronomer(-dev|-stage|-perf)?\\.io|localhost|Localhost|_|\u{130}|\u{212a}){1,6}",
        front in prop::sample::select(vec!["", " ", "https://", "HTTPS://cloud.", "cloud."]),
        name in "(astronomer(-dev|-stage|-perf)?\\.io|pr[0-9]{4,6}\\.(cloud\\.)?astronomer-dev\\.io|localhost|localhost:[1-9][0-9]{0,3})",
        back in prop::sample::select(vec!["", "/", "/ ", "\n"]),
    ) {
        properties::domain(anything.as_bytes());
        properties::domain(like_ours.as_bytes());
        properties::domain(format!("{front}{name}{back}").as_bytes());
        prop_assert!(name.parse::<astro_login::domain::Domain>().is_ok());
    }

    #[test]
    fn paste_holds_for_odd_hosts(
        scheme in prop::sample::select(vec!["", "?", "http://", "HTTPS:\\\\", "http:", "localhost:", "\u{e9}://", "user@"]),
        host in "([A-Za-z0-9.@:%\\[\\]-]|\u{e9}|\u{130}|\u{212a}|%C3%A9|%41|xn--|LOCALHOST|localhost:12345){0,6}",
        path in prop::sample::select(vec!["", "/", "/callback", "/\u{e9}A"]),
        query in prop::sample::select(vec!["", "?code=c", "?code=c&state=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]),
    ) {
        properties::paste(format!("{scheme}{host}{path}{query}").as_bytes());
    }
}
