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
    match decide_organization(&list, wanted, current, email).unwrap() {
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
    assert_eq!(chosen(None, Some("gone"), Some("x@ACME.com")), some("o1"), "then the owner of the email's domain");
    assert_eq!(chosen(None, None, Some("x@shared.org")), None, "two owners decide nothing");
    assert_eq!(chosen(None, None, Some("x@notacme.com")), None);
    assert_eq!(chosen(None, None, None), None, "never the first of several");
}

#[test]
fn only_organization_selected_and_none_is_an_error() {
    let list = organizations();
    assert_eq!(decide_organization(&list[..1], None, None, None), Ok(Choice::One(&list[0])));
    assert_eq!(decide_organization(&[], None, Some("o1"), None), Ok(Choice::Empty));
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
    assert_eq!(decide_workspace(&list, None, Some("w2")), Ok(Choice::One(&list[1])));
    assert_eq!(decide_workspace(&list, None, Some("gone")), Ok(Choice::Open));
    assert_eq!(decide_workspace(&list, Some("w1"), Some("w2")), Ok(Choice::One(&list[0])));
    assert_eq!(decide_workspace(&list[..1], None, None), Ok(Choice::One(&list[0])));
    assert_eq!(decide_workspace(&[], None, Some("w1")), Ok(Choice::Empty));
}
