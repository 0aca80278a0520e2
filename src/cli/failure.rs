//! Failures as JSON, for programs: one object on stdout, with the members and kinds of Astro CLI 2.

use std::ffi::OsString;

use serde::Serialize;

use crate::error::{Error, ErrorKind};

/// The JSON that the arguments ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Json {
    No,
    Object,
    /// The events of a login, one object a line.
    Events,
}

#[derive(Serialize)]
pub(super) struct Failure {
    #[serde(flatten)]
    event: Option<ErrorEvent>,
    error: String,
    code: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<ErrorKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Serialize)]
struct ErrorEvent {
    version: u8,
    event: &'static str,
}

impl Failure {
    pub(super) fn new(error: &Error) -> Self {
        let mut words = vec![error.to_string()];
        words.extend(error.causes());
        let (code, kind) = (error.exit_code(), error.kind());
        Self { event: None, error: words.join(": "), code, kind, hint: error.hint() }
    }

    pub(super) fn of_usage(error: &clap::Error) -> Self {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default();
        let error = line.trim_start_matches("error: ").to_owned();
        Self { event: None, error, code: 2, kind: Some(ErrorKind::Usage), hint: None }
    }

    pub(super) fn print(mut self, json: Json) -> String {
        self.event = (json == Json::Events).then_some(ErrorEvent { version: 1, event: "error" });
        serde_json::to_string(&self).unwrap_or_default()
    }
}

impl Json {
    /// Finds out what the arguments ask for. The text decides, since a usage error comes before its meaning.
    pub(super) fn wanted(argv: &[OsString]) -> Self {
        let words: Vec<&str> = argv.iter().skip(1).map_while(|it| it.to_str().filter(|it| *it != "--")).collect();
        // `-o` of `login` is the Go CLI's `--oauth`.
        let is_login = words.contains(&"login");
        let pairs =
            words.windows(2).any(|pair| pair[1] == "json" && (pair[0] == "--output" || !is_login && pair[0] == "-o"));
        let is_json = |word: &&str| {
            matches!(*word, "--json" | "--output=json") || !is_login && matches!(*word, "-ojson" | "-o=json")
        };
        match (pairs || words.iter().any(is_json), is_login) {
            (false, _) => Self::No,
            (true, false) => Self::Object,
            (true, true) => Self::Events,
        }
    }
}
