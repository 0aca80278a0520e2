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
    let decided = decide(&list, wanted, current).unwrap().or_else(|| only_owner(&list, email?));
    decided.map(|it| list[it].id.clone())
}

#[test]
fn organization_selection_order() {
    let some = |id: &str| Some(id.to_owned());
    assert_eq!(chosen(Some("o2"), Some("o1"), Some("x@acme.com")), some("o2"), "the flag wins");
    assert_eq!(chosen(Some(" ACME "), None, None), some("o1"), "names in any case");
    assert_eq!(chosen(None, Some("o3"), Some("x@acme.com")), some("o3"), "then what was used before");
    assert_eq!(chosen(None, Some("gone"), Some("x@ACME.com")), some("o1"), "then the owner of the email's domain");
    assert_eq!(chosen(None, None, Some("x@shared.org")), None, "two owners decide nothing");
    assert_eq!(chosen(None, None, Some("x@notacme.com")), None);
    assert_eq!(chosen(None, None, None), None, "never the first of several");
}

#[test]
fn only_organization_is_selected() {
    let list = organizations();
    assert_eq!(decide(&list[..1], None, None), Ok(Some(0)));
    assert_eq!(decide::<Organization>(&[], None, Some("o1")), Ok(None));
}

#[test]
fn unknown_or_ambiguous_flag_lists_choices() {
    let list = organizations();
    let nothing = find_by_name(&list, "gamma").unwrap_err();
    assert_eq!(nothing.to_string(), "no organization named `gamma`; choose one of: Acme, Beta, beta");
    assert_eq!(find_by_name(&list, "beta"), Ok(2), "the very name wins");
    let several = find_by_name(&list, "BETA").unwrap_err();
    assert_eq!(several.to_string(), "several organizations are named `BETA`; use an ID: o2, o3");
}

#[test]
fn last_used_workspace_is_kept() {
    let list: Vec<Workspace> = ["w1", "w2"].map(|id| Workspace { id: id.to_owned(), name: id.to_uppercase() }).into();
    assert_eq!(decide(&list, None, Some("w2")), Ok(Some(1)));
    assert_eq!(decide(&list, None, Some("gone")), Ok(None));
    assert_eq!(decide(&list, Some("w1"), Some("w2")), Ok(Some(0)));
    assert_eq!(decide(&list[..1], None, None), Ok(Some(0)));
    assert_eq!(decide::<Workspace>(&[], None, Some("w1")), Ok(None));
}
