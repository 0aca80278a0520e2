use super::*;

fn workspaces(range: std::ops::Range<usize>) -> Vec<Workspace> {
    range.map(|it| Workspace { id: format!("ck{it}"), name: "Looms".to_owned() }).collect()
}

#[tokio::test]
async fn list_of_workspaces_ends_without_new_ones() {
    for (count, pages) in [(0, 1), (99, 1), (100, 2), (250, 3), (99_999, 1000)] {
        let asked = std::cell::Cell::new(0);
        let page = async |number: usize| {
            asked.set(number + 1);
            Ok(workspaces(number * PAGE_SIZE..count.min((number + 1) * PAGE_SIZE)))
        };
        assert_eq!((all_pages(page).await, asked.get()), (Ok(workspaces(0..count)), pages));
    }
    // A server that ignores the page, and one whose pages overlap.
    assert_eq!(all_pages(async |_| Ok(workspaces(0..100))).await, Ok(workspaces(0..100)));
    let overlapping = async |number: usize| Ok(workspaces(number * 60..(number * 60 + PAGE_SIZE).min(250)));
    assert_eq!(all_pages(overlapping).await, Ok(workspaces(0..250)));
}

#[tokio::test]
async fn endless_list_of_workspaces_is_an_error() {
    let endless = async |number: usize| Ok(workspaces(number * PAGE_SIZE..(number + 1) * PAGE_SIZE));
    let error = ListError::Endless { step: "list the workspaces" };
    assert_eq!(all_pages(endless).await, Err(HoustonError::List(error)));
}

#[test]
fn version_ignores_patch_level_and_suffix() {
    let table = [
        ("0.25.0", Some(Version(0, 25))),
        ("v0.30.4", Some(Version(0, 30))),
        ("1.0.0-rc.1+build", Some(Version(1, 0))),
        ("2.0", Some(Version(2, 0))),
        ("1.0-alpha", Some(Version(1, 0))),
        ("", None),
        ("latest", None),
        ("1", None),
    ];
    for (text, version) in table {
        assert_eq!(Version::parse(text), version, "{text}");
    }
    assert!(Version(0, 37) < Version(1, 0) && Version(0, 9) < Version(0, 30));
}
