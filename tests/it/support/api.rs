//! The part of the Astro API, version 1, that a login needs.

use serde_json::{Value, json};

use super::{
    Answer, Organization, Part, Person, Request, State, Workspace, api_error, missing_header, success, without_nulls,
};

impl State {
    pub(super) fn api(&mut self, request: &Request, path: &[&str]) -> Answer {
        let demanded = ["x-astro-client-identifier", "x-astro-client-version", "x-client-os-identifier"];
        if self.options.demands_client
            && let Some(refusal) = missing_header(request, &demanded)
        {
            return refusal;
        }
        let Some(claims) = self.bearer(request) else {
            return api_error(401, "Invalid or expired token");
        };
        let member_of = |id: &str| self.options.organizations.iter().find(|organization| organization.id == id);
        match path {
            ["users", "self"] => match self.person_of(claims).cloned() {
                Some(person) => self.user(request, &person),
                None => api_error(403, "The token does not belong to a user"),
            },
            ["organizations"] => {
                self.page(request, Part::Organizations, "organizations", &self.options.organizations, organization_json)
            }
            ["organizations", id] => match member_of(id) {
                Some(organization) => success(&organization_json(organization)),
                None => api_error(403, "You are not a member of this organization"),
            },
            ["organizations", id, "workspaces"] => match member_of(id) {
                Some(Organization { workspaces, .. }) => {
                    let mut all = workspaces.clone();
                    if request.query("sorts") == Some("name:asc") {
                        all.sort_by(|a, b| a.name.cmp(&b.name));
                    }
                    let json = |one: &Workspace| json!({"id": one.id, "name": one.name, "organizationId": id});
                    self.page(request, Part::Workspaces, "workspaces", &all, json)
                }
                None => api_error(403, "You are not a member of this organization"),
            },
            _ => api_error(404, "no such path"),
        }
    }

    fn user(&mut self, request: &Request, person: &Person) -> Answer {
        if !self.users.contains(&person.sub) {
            if request.query("createIfNotExist") != Some("true") {
                return api_error(404, "User not found");
            }
            self.users.push(person.sub.clone());
        }
        let user = json!({
            "id": format!("cluser-{}", person.sub), "username": person.email, "fullName": person.name,
            "status": "ACTIVE", "avatarUrl": "", "createdAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-01T00:00:00Z",
        });
        success(&self.patched(Part::User, user))
    }

    /// One page of a list; only what is on it is turned into JSON, so that long lists are no work.
    fn page<T>(&self, request: &Request, part: Part, name: &str, all: &[T], json: impl Fn(&T) -> Value) -> Answer {
        let number = |name: &str, default: usize| request.query(name).map_or(Ok(default), str::parse);
        let (Ok(limit @ 1..=1000), Ok(offset)) = (number("limit", 20), number("offset", 0)) else {
            return api_error(400, "limit or offset is out of range");
        };
        let (page, total): (Vec<Value>, usize) = if self.options.endless_pages {
            (all.iter().cycle().take(limit).map(json).collect(), usize::MAX)
        } else {
            (all.iter().skip(offset).take(limit).map(json).collect(), all.len())
        };
        success(&self.patched(part, json!({name: page, "limit": limit, "offset": offset, "totalCount": total})))
    }
}

fn organization_json(organization: &Organization) -> Value {
    let domains = organization.managed_domains.iter().map(|name| json!({"name": name, "status": "VERIFIED"}));
    without_nulls(json!({
        "id": organization.id, "name": organization.name, "status": "ACTIVE", "product": organization.product,
        "managedDomains": domains.collect::<Vec<_>>(),
    }))
}
