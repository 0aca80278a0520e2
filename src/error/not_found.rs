//! A choice that nothing decides: a name that matches no context, organization or workspace, or several, or no name at all.

use crate::text::{NOT_SHOWN, may_be_secret};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    #[error("no {kind} named {}{}", shown(.wanted), alternatives(kind, .known))]
    Nothing { kind: &'static str, wanted: String, known: Vec<String> },
    #[error("several {kind}s are named {}; use an ID: {}", shown(.wanted), first_few(.ids))]
    Ambiguous { kind: &'static str, wanted: String, ids: Vec<String> },
    /// Several to choose from, and no terminal for a menu.
    #[error("no {kind} selected ({} available: {})", .known.len(), first_few(.known))]
    Open { kind: &'static str, known: Vec<String> },
}

impl NotFound {
    pub fn hint(&self) -> String {
        match self {
            Self::Nothing { kind, .. } | Self::Ambiguous { kind, .. } => {
                format!("run `astro {kind} list` to see all of them")
            }
            Self::Open { kind, .. } => {
                format!("run `astro {kind} switch NAME`, or log in with `--{kind} NAME`")
            }
        }
    }
}

/// Quotes the typed name, unless it may be a token in the wrong place.
fn shown(wanted: &str) -> String {
    if may_be_secret(wanted) { NOT_SHOWN.to_owned() } else { format!("`{wanted}`") }
}

fn alternatives(kind: &str, known: &[String]) -> String {
    match known {
        [] => format!(" (you have no {kind}s yet)"),
        names => format!("; choose one of: {}", first_few(names)),
    }
}

/// Joins the first five names of a list, and counts the rest.
pub fn first_few(names: &[String]) -> String {
    const SHOWN: usize = 5;
    match names.len() {
        count if count <= SHOWN => names.join(", "),
        count => format!("{} and {} more", names[..SHOWN].join(", "), count - SHOWN),
    }
}
