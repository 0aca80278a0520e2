//! Which of several: an organization, a workspace, a context.
//!
//! A choice is taken from what was asked for, from what was used before, or because there is no other. The first of
//! several is never taken in silence.

use std::collections::HashMap;

use crate::api::{Organization, Workspace};
use crate::text::clean;

/// What stands behind a choice.
#[derive(Debug, PartialEq, Eq)]
pub enum Choice<'a, T> {
    /// This one.
    One(&'a T),
    /// Only the person can tell.
    Open,
    /// There is nothing to choose from.
    Empty,
}

/// What was named cannot be chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    /// Nothing has this name or identifier.
    #[error("you have no {kind} `{wanted}`; there is {}", listing(.known))]
    Nothing {
        /// `context`, `organization` or `workspace`.
        kind: &'static str,
        /// What was typed, safe to print.
        wanted: String,
        /// What there is instead.
        known: Vec<String>,
    },
    /// Several have this name.
    #[error("several {kind}s are called `{wanted}`; name one by its ID: {}", listing(.ids))]
    Ambiguous {
        /// `context`, `organization` or `workspace`.
        kind: &'static str,
        /// What was typed, safe to print.
        wanted: String,
        /// Their identifiers.
        ids: Vec<String>,
    },
}

impl NotFound {
    /// What the person can do about it.
    pub fn hint(&self) -> String {
        let (Self::Nothing { kind, .. } | Self::Ambiguous { kind, .. }) = self;
        format!("`astro {kind} list` shows those there are")
    }
}

/// The first few of a list, in one line.
pub fn listing(names: &[String]) -> String {
    const SHOWN: usize = 5;
    match names.len() {
        0 => "none".to_owned(),
        count if count <= SHOWN => names.join(", "),
        count => format!("{} and {} more", names[..SHOWN].join(", "), count - SHOWN),
    }
}

/// What can be named by a flag.
pub trait Named {
    /// What people call such a thing: `context`, `organization` or `workspace`.
    const KIND: &'static str;
    /// How they are asked for one.
    const QUESTION: &'static str;
    /// What nothing else is called.
    fn id(&self) -> &str;
    /// What people call this one, safe to print.
    fn name(&self) -> &str;
}

impl Named for Organization {
    const KIND: &'static str = "organization";
    const QUESTION: &'static str = "Organization:";
    fn id(&self) -> &str {
        &self.id
    }
    fn name(&self) -> &str {
        &self.name
    }
}

impl Named for Workspace {
    const KIND: &'static str = "workspace";
    const QUESTION: &'static str = "Workspace:";
    fn id(&self) -> &str {
        &self.id
    }
    fn name(&self) -> &str {
        &self.name
    }
}

/// The one that was named: by its identifier, by its very name, or by its name in any case.
pub fn named<T: Named>(list: &[T], wanted: &str) -> Result<usize, NotFound> {
    let wanted = clean(wanted, 200);
    let folded = wanted.to_lowercase();
    let all = |matches: &dyn Fn(&T) -> bool| (0..list.len()).filter(|&it| matches(&list[it])).collect::<Vec<_>>();
    let by_id = all(&|it| it.id() == wanted);
    let by_name = all(&|it| it.name() == wanted);
    let by_any_case = all(&|it| it.name().to_lowercase() == folded);
    match [by_id, by_name, by_any_case].into_iter().find(|found| !found.is_empty()).as_deref() {
        Some([one]) => Ok(*one),
        Some(several) => {
            let ids = several.iter().map(|&it| list[it].id().to_owned()).collect();
            Err(NotFound::Ambiguous { kind: T::KIND, wanted, ids })
        }
        None => {
            let known = list.iter().map(|it| it.name().to_owned()).collect();
            Err(NotFound::Nothing { kind: T::KIND, wanted, known })
        }
    }
}

/// The organization: the flag's, the context's, the only one, the one that owns the e-mail's domain.
pub fn organization<'a>(
    list: &'a [Organization],
    wanted: Option<&str>,
    current: Option<&str>,
    email: Option<&str>,
) -> Result<Choice<'a, Organization>, NotFound> {
    if let Some(wanted) = wanted {
        return named(list, wanted).map(|it| Choice::One(&list[it]));
    }
    if let Some(known) = known(list, current) {
        return Ok(known);
    }
    let domain = email.and_then(|email| email.rsplit_once('@')).map(|(_, domain)| domain.to_lowercase());
    let owners: Vec<&Organization> = match domain {
        Some(domain) => list.iter().filter(|it| it.email_domains.contains(&domain)).collect(),
        None => Vec::new(),
    };
    Ok(if let [owner] = owners.as_slice() { Choice::One(owner) } else { Choice::Open })
}

/// The workspace: the flag's, the one last used, the only one.
pub fn workspace<'a>(
    list: &'a [Workspace],
    wanted: Option<&str>,
    last_used: Option<&str>,
) -> Result<Choice<'a, Workspace>, NotFound> {
    match wanted {
        Some(wanted) => named(list, wanted).map(|it| Choice::One(&list[it])),
        None => Ok(known(list, last_used).unwrap_or(Choice::Open)),
    }
}

/// The names, with the identifier where two are called the same.
pub fn labels<T: Named>(list: &[T]) -> Vec<String> {
    let mut count: HashMap<&str, usize> = HashMap::new();
    for it in list {
        *count.entry(it.name()).or_default() += 1;
    }
    let label = |it: &T| match count.get(it.name()) {
        Some(1) if !it.name().is_empty() => it.name().to_owned(),
        _ => format!("{} ({})", it.name(), it.id()).trim_start().to_owned(),
    };
    list.iter().map(label).collect()
}

/// What is chosen without any preference: what is in use already, or the only one.
fn known<'a, T: Named>(list: &'a [T], current: Option<&str>) -> Option<Choice<'a, T>> {
    if let Some(found) = list.iter().find(|it| Some(it.id()) == current) {
        return Some(Choice::One(found));
    }
    match list {
        [] => Some(Choice::Empty),
        [only] => Some(Choice::One(only)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn organizations() -> Vec<Organization> {
        let make = |id: &str, name: &str, domains: &[&str]| Organization {
            id: id.to_owned(),
            name: name.to_owned(),
            product: "HOSTED".to_owned(),
            email_domains: domains.iter().map(|it| (*it).to_owned()).collect(),
        };
        vec![
            make("o1", "Acme", &["acme.com"]),
            make("o2", "Beta", &["beta.io", "shared.org"]),
            make("o3", "beta", &["shared.org"]),
        ]
    }

    fn chosen(wanted: Option<&str>, current: Option<&str>, email: Option<&str>) -> Option<String> {
        let list = organizations();
        match organization(&list, wanted, current, email).unwrap() {
            Choice::One(it) => Some(it.id.clone()),
            Choice::Open => None,
            Choice::Empty => panic!("the list is not empty"),
        }
    }

    #[test]
    fn organization_selection_order() {
        let some = |id: &str| Some(id.to_owned());
        assert_eq!(chosen(Some("o2"), Some("o1"), Some("x@acme.com")), some("o2"), "the flag wins");
        assert_eq!(chosen(Some(" ACME "), None, None), some("o1"), "names in any case");
        assert_eq!(chosen(None, Some("o3"), Some("x@acme.com")), some("o3"), "then what was used before");
        assert_eq!(chosen(None, Some("gone"), Some("x@ACME.com")), some("o1"), "then the e-mail's owner");
        assert_eq!(chosen(None, None, Some("x@shared.org")), None, "two owners decide nothing");
        assert_eq!(chosen(None, None, Some("x@notacme.com")), None);
        assert_eq!(chosen(None, None, None), None, "never the first of several");
    }

    #[test]
    fn only_organization_selected_and_none_is_an_error() {
        let list = organizations();
        assert_eq!(organization(&list[..1], None, None, None), Ok(Choice::One(&list[0])));
        assert_eq!(organization(&[], None, Some("o1"), None), Ok(Choice::Empty));
    }

    #[test]
    fn unknown_or_ambiguous_flag_lists_choices() {
        let list = organizations();
        let nothing = named(&list, "gamma").unwrap_err();
        assert_eq!(nothing.to_string(), "you have no organization `gamma`; there is Acme, Beta, beta");
        assert_eq!(named(&list, "beta"), Ok(2), "the very name wins");
        let several = named(&list, "BETA").unwrap_err();
        assert_eq!(several.to_string(), "several organizations are called `BETA`; name one by its ID: o2, o3");
    }

    #[test]
    fn last_used_workspace_is_kept() {
        let list: Vec<Workspace> =
            ["w1", "w2"].map(|id| Workspace { id: id.to_owned(), name: id.to_uppercase() }).into();
        assert_eq!(workspace(&list, None, Some("w2")), Ok(Choice::One(&list[1])));
        assert_eq!(workspace(&list, None, Some("gone")), Ok(Choice::Open));
        assert_eq!(workspace(&list, Some("w1"), Some("w2")), Ok(Choice::One(&list[0])));
        assert_eq!(workspace(&list[..1], None, None), Ok(Choice::One(&list[0])));
        assert_eq!(workspace(&[], None, Some("w1")), Ok(Choice::Empty));
    }
}
