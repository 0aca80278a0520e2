//! `astro auth doctor`: diagnoses login problems on this machine.
//!
//! It runs the same checks as a login, with the same time limits, and fails exactly if a login would. It changes nothing
//! and sends no credentials. The JSON is described in `docs/doctor-json.md`.

mod local;
mod network;
mod programs;

use clap::Args;
use serde::Serialize;

use super::{DomainArgument, JsonArgument, list};
use crate::browser::BrowserLaunch;
use crate::config::Config;
use crate::domain::{self, Product};
use crate::error::{Error, Warning};
use crate::session::{self, Session};
use crate::system::System;
use crate::text::{clean, wrapped};
use crate::ui;

/// The maximum columns of a line, and those before its text. On a narrower terminal than [`LEAST_WIDTH`], the text stands
/// below its name.
const USUAL_WIDTH: usize = 80;
const LEAST_WIDTH: usize = 50;
const INDENT: usize = 20;
const NARROW_INDENT: usize = 2;

#[derive(Debug, Args)]
pub struct Doctor {
    #[command(flatten)]
    pub json: JsonArgument,
    #[command(flatten)]
    pub domain: DomainArgument,
}

#[derive(Serialize)]
struct Report {
    version: u32,
    would: Would,
    checks: Vec<Check>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Would {
    Browser,
    Link,
    /// It would need a token: there is neither a browser nor a terminal.
    Token,
    Fail,
}

#[derive(Serialize)]
struct Check {
    name: &'static str,
    outcome: Outcome,
    detail: String,
    advice: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Ok,
    Note,
    Fail,
}

/// Checks everything that a login needs. Returns an error, for the exit code, if a login would fail.
pub async fn doctor(system: &System, doctor: &Doctor) -> Result<(), Error> {
    let (domain, source) = match session::resolve_domain(system, &Config::new(&system.home), doctor.domain.get()) {
        // The check of config.yaml reports the error.
        Err(Error::Config(_)) => (domain::DEFAULT.parse()?, None),
        resolved => resolved.map(|(domain, source)| (domain, Some(source)))?,
    };
    let session = Session { domain_source: source.clone(), ..Session::for_domain(system, domain) };
    let spinner =
        system.ui.can_ask().then(|| system.ui.spinner("Checking the keychain, the API and the login server…"));
    let (keychain, (vault, in_vault), network, programs) = tokio::join!(
        session.ready_keychain(),
        local::read_vault(&session),
        network::checks(&session),
        programs::ask(system)
    );
    drop(spinner);
    let launch = system.opening();
    let program = local::browser_from_env(&system.environment, &launch);
    let product = session.domain.product();
    let would = match launch {
        // The token of the page has to be pasted.
        _ if product == Product::PrivateCloud && !system.ui.can_ask() => Would::Token,
        BrowserLaunch::FromEnv(_) if program.is_some() => Would::Browser,
        BrowserLaunch::Platform(_) => Would::Browser,
        BrowserLaunch::FromEnv(_) => Would::Link,
        BrowserLaunch::Unavailable(_) if system.ui.can_ask() => Would::Link,
        BrowserLaunch::Unavailable(_) => Would::Token,
    };
    let programs = programs::checks(&session, &keychain, &in_vault, programs);
    let choice = session.storage_choice(None);
    let plan = choice.as_ref().ok().zip(session.context().ok());
    let plan = plan.map(|(choice, context)| session.plan_storage(choice, &context, &vault, &keychain));
    let mut checks = vec![local::domain(&session, source), local::login(&session, &launch, program, would)];
    let storage = local::storage(&session, &choice, plan.as_ref().and_then(|it| it.as_ref().ok()));
    let in_keychain = local::keychain(&session, &keychain, plan.as_ref());
    match product {
        Product::Astro => {
            checks.extend([local::callback(&session, would), local::loopback(&session, would)]);
            checks.extend([storage, in_keychain, local::vault(&session, vault)]);
        }
        Product::PrivateCloud => checks.extend([storage, in_keychain]),
    }
    checks.extend([local::config(&session), local::account(&session, keychain, in_vault)]);
    checks.extend(network);
    checks.push(local::variables(&system.environment));
    checks.extend(programs);
    let fails = checks.iter().any(|check| check.outcome == Outcome::Fail);
    let report = Report { version: 1, would: if fails { Would::Fail } else { would }, checks };
    if doctor.json.get() {
        list::print_json(system, &report)?;
    } else {
        system.ui.write_data_ignoring_closed_pipe(&report.text(&session))?;
    }
    if fails { Err(Error::LoginWouldFail { domain: session.domain.to_string() }) } else { Ok(()) }
}

impl Report {
    fn text(&self, session: &Session<'_>) -> String {
        let outcome = match self.would {
            Would::Browser => "would open a browser",
            Would::Link => "would print a link",
            Would::Token => "would need a token",
            Would::Fail => "would fail",
        };
        let width = session.system.ui.out_columns().unwrap_or(USUAL_WIDTH);
        let indent = if width < LEAST_WIDTH { NARROW_INDENT } else { INDENT };
        let mut lines = wrapped(&format!("`astro login {}` {outcome}.", session.domain), width);
        lines.push(String::new());
        for Check { name, outcome, detail, advice } in &self.checks {
            let (mark, style) = match outcome {
                Outcome::Ok => ("ok", ui::SUCCESS),
                Outcome::Note => ("note", ui::WARNING),
                Outcome::Fail => ("fails", ui::ERROR),
            };
            let mut head = format!("{style}{mark}{style:#}{:1$}{name:<13}", "", 7 - mark.len());
            if indent < INDENT {
                lines.push(std::mem::replace(&mut head, " ".repeat(indent)).trim_end().to_owned());
            }
            let hint = advice.as_ref().map(|advice| format!("hint: {advice}"));
            for text in [Some(detail), hint.as_ref()].into_iter().flatten() {
                for line in wrapped(text, width.saturating_sub(indent)) {
                    lines.push(format!("{head}{line}"));
                    head = " ".repeat(indent);
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

    fn warning(name: &'static str, warning: &Warning) -> Self {
        Self::note(name, &warning.to_string()).advice(&warning.hint())
    }

    fn advice(mut self, advice: &str) -> Self {
        self.advice = Some(clean(advice, 600));
        self
    }

    /// Returns a failed check with the error's message, causes and hint.
    fn fail(name: &'static str, error: &Error, session: &Session<'_>) -> Self {
        let advice = error.hint_for(session.domain.as_str()).map(|advice| clean(&advice, 600));
        Self { advice, ..Self::new(name, Outcome::Fail, &messages(error)) }
    }
}

/// Returns the message of an error and those of its causes.
fn messages(error: &Error) -> String {
    std::iter::once(error.to_string()).chain(error.causes()).collect::<Vec<_>>().join(": ")
}
