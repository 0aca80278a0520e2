//! The scope that an Astro API token names. Its signature can be checked by the API only, so the scope is a claim until the
//! API confirms it.

use crate::jwt::{TokenKind, Unverified};
use crate::session::Session;

/// The organization and workspace in the permissions of an API token.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ApiTokenScope {
    pub(super) organization: Option<String>,
    /// A deployment's token may name neither.
    pub(super) workspace: Option<String>,
}

impl ApiTokenScope {
    /// Reads `organizationId:…` and `workspaceId:…`; the other permissions are for the API alone.
    /// The permissions of a user's token name no scope.
    pub(super) fn of(claims: &Unverified<'_>) -> Self {
        match claims.kind() {
            TokenKind::Api => Self::from_permissions(&claims.permissions()),
            TokenKind::Access | TokenKind::Id => Self::default(),
        }
    }

    /// Reads the scope of the token in `ASTRO_API_TOKEN`, if that is an API token.
    pub(super) fn of_environment(session: &Session<'_>) -> Self {
        let token = session.overriding_token().ok().flatten();
        let claims = token.as_ref().and_then(|token| Unverified::parse(token.expose()).ok());
        claims.map(|claims| Self::of(&claims)).unwrap_or_default()
    }

    fn from_permissions(permissions: &[&str]) -> Self {
        let id_of = |kind: &str| {
            let mut ids = permissions.iter().filter_map(|it| it.strip_prefix(kind)?.strip_prefix(':'));
            ids.find(|id| !id.is_empty()).map(str::to_owned)
        };
        Self { organization: id_of("organizationId"), workspace: id_of("workspaceId") }
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
            assert_eq!(
                ApiTokenScope::from_permissions(permissions),
                ApiTokenScope { organization, workspace },
                "{permissions:?}"
            );
        }
    }
}
