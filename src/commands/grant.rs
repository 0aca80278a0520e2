//! What an Astro API token says it is for. Its signature cannot be checked here, so this is a wish until the API grants it.

use crate::jwt::Unverified;

/// What the permissions of an API token name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Grant {
    /// The organization, where they name one.
    pub(super) organization: Option<String>,
    /// The workspace, where they name one. A deployment's token may name neither.
    pub(super) workspace: Option<String>,
}

impl Grant {
    /// Reads `organizationId:…` and `workspaceId:…`; what else there is concerns the API alone.
    pub(super) fn of(claims: &Unverified<'_>) -> Self {
        Self::named_by(&claims.permissions())
    }

    fn named_by(permissions: &[&str]) -> Self {
        let named = |kind: &str| {
            let mut ids = permissions.iter().filter_map(|it| it.strip_prefix(kind)?.strip_prefix(':'));
            ids.find(|id| !id.is_empty()).map(str::to_owned)
        };
        Self { organization: named("organizationId"), workspace: named("workspaceId") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_name_organization_and_workspace_or_neither() {
        let some = |id: &str| Some(id.to_owned());
        let table: [(&[&str], Option<String>, Option<String>); 5] = [
            (&["apiTokenId:t1", "organizationId:o1", "workspaceId:w1"], some("o1"), some("w1")),
            (&["organizationId:o1"], some("o1"), None),
            (&["apiTokenId:t1", "deploymentId:d1"], None, None),
            (&["organizationId:", "organizationIds:o1", "organizationId", "workspaceId"], None, None),
            (&[], None, None),
        ];
        for (permissions, organization, workspace) in table {
            assert_eq!(Grant::named_by(permissions), Grant { organization, workspace }, "{permissions:?}");
        }
    }
}
