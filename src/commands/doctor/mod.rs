//! `astro auth doctor`: what a login would do here, why, and what stands in its way.
//!
//! It asks the parts that a login asks, in the same way and within the same bounds, and ends where a login would begin to
//! bother somebody. It changes nothing: no file, no entry in the keychain, no answer kept for later; and it sends no
//! credentials. A login would fail here exactly where one of the checks does.
//! The JSON is described in `docs/doctor-json.md`.

mod here;
mod network;

use serde::Serialize;

use super::list;
use crate::browser::Opening;
use crate::config::Config;
use crate::domain;
use crate::error::Error;
use crate::session::{self, Session};
use crate::system::System;
use crate::text::{clean, wrapped};
use crate::ui;

/// How many columns a line takes at most, and how many of them stand before what it says.
const WIDTH: usize = 80;
const INDENT: usize = 20;

/// What `astro auth doctor` was asked to do.
#[derive(Debug)]
pub struct Doctor {
    /// The domain as it was typed.
    pub domain: Option<String>,
    /// As JSON.
    pub json: bool,
}

#[derive(Serialize)]
struct Report {
    version: u32,
    would: Would,
    checks: Vec<Check>,
}

/// How a login would go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Would {
    /// A browser is opened.
    Browser,
    /// A link is printed.
    Link,
    /// Nobody can be sent to a browser: it takes a token.
    Token,
    /// Not at all.
    Fail,
}

/// One thing that was looked at.
#[derive(Serialize)]
struct Check {
    name: &'static str,
    outcome: Outcome,
    detail: String,
    /// What to do about it, where something can or must be done.
    advice: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Ok,
    Note,
    Fail,
}

/// Looks at everything that a login of one domain needs. An error, for the exit code, where one would fail.
pub async fn doctor(system: &System, doctor: &Doctor) -> Result<(), Error> {
    let (domain, named_by) = match session::resolve_domain(system, &Config::new(&system.home), doctor.domain.as_deref())
    {
        // Only config.yaml's own check has more to say about it.
        Err(Error::Config(_)) => (domain::DEFAULT.parse()?, None),
        resolved => resolved.map(|(domain, by)| (domain, Some(by)))?,
    };
    let session = Session::for_domain(system, domain);
    let spinner = system.ui.can_ask().then(|| system.ui.spinner("Asking the keychain, the API and the issuer…"));
    let (keychain, answers) = tokio::join!(here::ask_keychain(&session), network::ask(&session));
    drop(spinner);
    let opening = system.opening();
    let chosen = here::chosen_browser(&system.environment, &opening);
    let way = match opening {
        Opening::Chosen(_) if chosen.is_some() => Would::Browser,
        Opening::Platform(_) => Would::Browser,
        Opening::Chosen(_) => Would::Link,
        Opening::None(_) if system.ui.can_ask() => Would::Link,
        Opening::None(_) => Would::Token,
    };
    let checks = vec![
        here::domain(&session, named_by),
        here::login(&session, &opening, chosen, way),
        here::callback(&session, way),
        here::loopback(&session, way),
        here::keychain(&session, &keychain),
        here::config(&session),
        here::account(&session, keychain),
        network::api(&session, &answers),
        network::issuer(&session, &answers),
        network::keys(&session, &answers),
        network::certificates(&session, &answers),
        network::clock(&session, &answers),
        here::variables(&system.environment),
    ];
    let fails = checks.iter().any(|check| check.outcome == Outcome::Fail);
    let report = Report { version: 1, would: if fails { Would::Fail } else { way }, checks };
    if doctor.json {
        list::print_json(system, &report)?;
    } else {
        system.ui.data(&report.in_words(&session))?;
    }
    if fails { Err(Error::LoginWouldFail { domain: session.domain.to_string() }) } else { Ok(()) }
}

impl Report {
    fn in_words(&self, session: &Session<'_>) -> String {
        let verdict = match self.would {
            Would::Browser => "would open a browser",
            Would::Link => "would print a link to open elsewhere",
            Would::Token => "would need a token",
            Would::Fail => "would fail",
        };
        let mut lines = vec![format!("A login to {} {verdict}.", session.domain), String::new()];
        for Check { name, outcome, detail, advice } in &self.checks {
            let (mark, style) = match outcome {
                Outcome::Ok => ("ok", ui::SUCCESS),
                Outcome::Note => ("note", ui::WARNING),
                Outcome::Fail => ("fails", ui::ERROR),
            };
            let mut head = format!("{style}{mark}{style:#}{:1$}{name:<13}", "", 7 - mark.len());
            let hint = advice.as_ref().map(|advice| format!("hint: {advice}"));
            for text in [Some(detail), hint.as_ref()].into_iter().flatten() {
                for line in wrapped(text, WIDTH - INDENT) {
                    lines.push(format!("{head}{line}"));
                    head = " ".repeat(INDENT);
                }
            }
        }
        lines.join("\n")
    }
}

impl Check {
    fn new(name: &'static str, outcome: Outcome, detail: &str) -> Self {
        Self { name, outcome, detail: clean(detail, 600), advice: None }
    }

    fn ok(name: &'static str, detail: &str) -> Self {
        Self::new(name, Outcome::Ok, detail)
    }

    fn note(name: &'static str, detail: &str) -> Self {
        Self::new(name, Outcome::Note, detail)
    }

    fn advice(mut self, advice: &str) -> Self {
        self.advice = Some(clean(advice, 600));
        self
    }

    /// What this error says, as the reason why a login of this session's domain fails.
    fn fail(name: &'static str, error: &Error, session: &Session<'_>) -> Self {
        let words: Vec<String> = std::iter::once(error.to_string()).chain(error.causes()).collect();
        let advice = error.hint_for(session.domain.as_str()).map(|advice| clean(&advice, 600));
        Self { advice, ..Self::new(name, Outcome::Fail, &words.join(": ")) }
    }
}
