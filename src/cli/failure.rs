//! Failures as JSON, for programs: one object on stdout, with the members and kinds of Astro CLI 2.

use std::ffi::OsString;

use serde::Serialize;

use crate::error::{Error, ErrorKind};

#[derive(Serialize)]
pub(super) struct Failure {
    error: String,
    code: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<ErrorKind>,
}

impl Failure {
    pub(super) fn new(error: &Error) -> Self {
        let mut words = vec![error.to_string()];
        words.extend(error.causes());
        Self { error: words.join(": "), code: error.exit_code(), kind: error.kind() }
    }

    pub(super) fn of_usage(error: &clap::Error) -> Self {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default();
        Self { error: line.trim_start_matches("error: ").to_owned(), code: 2, kind: Some(ErrorKind::Usage) }
    }

    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Returns `true` if the arguments ask for JSON. The text decides, since a usage error comes before its meaning.
pub(super) fn is_json_wanted(argv: &[OsString]) -> bool {
    let words: Vec<&str> = argv.iter().skip(1).map_while(|it| it.to_str().filter(|it| *it != "--")).collect();
    // `-o` of `login` is the Go CLI's `--oauth`.
    let has_short = !words.contains(&"login");
    let pairs =
        words.windows(2).any(|pair| pair[1] == "json" && (pair[0] == "--output" || has_short && pair[0] == "-o"));
    pairs
        || words.iter().any(|word| {
            matches!(*word, "--json" | "--output=json") || has_short && matches!(*word, "-ojson" | "-o=json")
        })
}
