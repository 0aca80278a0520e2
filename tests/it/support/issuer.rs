//! The identity provider: its metadata, its login page, its tokens.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::signature::{KeyPair as _, RsaKeyPair, RsaPublicKeyComponents};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use super::{
    AUDIENCE, Answer, CLIENT_ID, KEYS, Login, Part, Person, Request, State, answer, api_error, missing_header,
    oauth_error, redirect, success, without_nulls,
};

const LOGIN_PAGE: &str = include_str!("login.html");

impl State {
    pub(super) fn auth_config(&self, request: &Request) -> Answer {
        if let Some(refusal) = missing_header(request, &["x-astro-client-identifier"]) {
            return refusal;
        }
        let config = json!({"clientId": CLIENT_ID, "audience": AUDIENCE, "domainUrl": self.issuer});
        success(&self.patched(Part::AuthConfig, config))
    }

    pub(super) fn organization_lookup(&self, request: &Request) -> Answer {
        let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
        let Some((_, domain)) = body["email"].as_str().and_then(|email| email.rsplit_once('@')) else {
            return api_error(400, "no e-mail address");
        };
        let owns = |names: &[String]| names.iter().any(|name| name.eq_ignore_ascii_case(domain));
        let owners = self.options.organizations.iter().filter(|organization| owns(&organization.managed_domains));
        let ids: Vec<&str> = owners.map(|organization| organization.auth0_id.as_str()).collect();
        success(&self.patched(Part::Lookup, json!({"OrganizationIds": ids})))
    }

    pub(super) fn metadata(&self) -> Answer {
        let at = |path: &str| format!("{}{path}", self.issuer);
        let metadata = json!({
            "issuer": self.issuer, "authorization_endpoint": at("authorize"), "token_endpoint": at("oauth/token"),
            "userinfo_endpoint": at("userinfo"), "jwks_uri": at(".well-known/jwks.json"),
            "revocation_endpoint": at("oauth/revoke"), "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"], "id_token_signing_alg_values_supported": ["RS256"],
            "authorization_response_iss_parameter_supported": self.options.iss_in_callback,
        });
        success(&self.patched(Part::Metadata, metadata))
    }

    pub(super) fn key_set(&mut self) -> Answer {
        let published = if self.key_fetches >= self.options.second_key_after { 2 } else { 1 };
        self.key_fetches += 1;
        let jwk = |(key, (kid, _)): (&RsaKeyPair, &(&str, &[u8]))| {
            let RsaPublicKeyComponents { n, e } = RsaPublicKeyComponents::<Vec<u8>>::from(key.public_key());
            let [n, e] = [n, e].map(|number| BASE64_URL_SAFE_NO_PAD.encode(number));
            json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": n, "e": e})
        };
        let keys: Vec<Value> = self.keys.iter().zip(&KEYS).take(published).map(jwk).collect();
        success(&self.patched(Part::Keys, json!({"keys": keys})))
    }
}

impl State {
    pub(super) fn authorize(&mut self, request: &Request) -> Answer {
        // Without a valid client and redirect URI the error is shown to the user.
        let redirect_uri = request.query("redirect_uri").filter(|uri| is_callback(uri));
        let (Some(CLIENT_ID), Some(redirect_uri)) = (request.query("client_id"), redirect_uri) else {
            return answer(403, "text/html; charset=utf-8", "<h1>Callback URL mismatch</h1>".to_owned());
        };
        let refuse = |state: &Self, error: &str, why: &str| {
            let parameters = json!({"error": error, "error_description": why});
            state.call_back(redirect_uri, request, parameters)
        };
        if let Some(fault) = authorization_fault(request) {
            return refuse(self, "invalid_request", fault);
        }
        let is_member = |id: &str| self.options.organizations.iter().any(|organization| organization.auth0_id == id);
        if request.query("organization").is_some_and(|id| !is_member(id)) {
            return refuse(self, "invalid_request", "parameter organization is invalid");
        }
        if request.method == "GET" {
            return login_page(request, request.query("login_hint").unwrap_or_default(), "");
        }
        if request.form("answer").as_deref() == Some("cancel") {
            return refuse(self, "access_denied", "User canceled the login");
        }
        let email = request.form("email").unwrap_or_default();
        if !email.contains('@') || request.form("password").unwrap_or_default().is_empty() {
            return login_page(request, &email, "An e-mail address and a password are needed. Any will do.");
        }
        let code = self.begin(request.clone(), &email);
        self.call_back(redirect_uri, request, json!({"code": code}))
    }

    pub(super) fn begin(&mut self, request: Request, email: &str) -> String {
        let code = self.next("code-");
        let login = Login {
            request,
            person: self.person(email),
            code: code.clone(),
            code_spent: false,
            refresh_tokens: Vec::new(),
            rotated_at: 0,
            revoked: false,
        };
        self.logins.push(login);
        code
    }

    fn call_back(&self, redirect_uri: &str, request: &Request, mut parameters: Value) -> Answer {
        parameters["state"] = json!(request.query("state"));
        if self.options.iss_in_callback {
            parameters["iss"] = json!(self.issuer);
        }
        let parameters = self.patched(Part::Callback, parameters);
        let pairs = parameters.as_object().unwrap().iter().filter_map(|(name, value)| Some((name, value.as_str()?)));
        redirect(302, Url::parse_with_params(redirect_uri, pairs).unwrap().as_str())
    }

    /// Returns the person with this email address. Creates an account for an unknown one.
    fn person(&mut self, email: &str) -> Person {
        let people = &mut self.options.people;
        let known = people.iter().find(|person| person.email.eq_ignore_ascii_case(email)).cloned();
        known.unwrap_or_else(|| {
            let person = Person::new(email);
            people.push(person.clone());
            person
        })
    }
}

fn is_callback(uri: &str) -> bool {
    let port = uri.strip_prefix("http://localhost:").and_then(|rest| rest.strip_suffix("/callback"));
    port.and_then(|port| port.parse::<u16>().ok())
        .is_some_and(|port| uri == format!("http://localhost:{port}/callback"))
}

fn authorization_fault(request: &Request) -> Option<&'static str> {
    let has = |name: &str, valid: &dyn Fn(&str) -> bool| request.query(name).is_some_and(valid);
    let challenge = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).is_ok_and(|hash| hash.len() == 32);
    let mut names: Vec<&String> = request.query.iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    let checks = [
        (names.windows(2).all(|pair| pair[0] != pair[1]), "a parameter is repeated"),
        (has("response_type", &|kind| kind == "code"), "response_type must be code"),
        (request.query("response_mode").is_none_or(|mode| mode == "query"), "response_mode must be query"),
        (has("code_challenge_method", &|method| method == "S256"), "code_challenge_method must be S256"),
        (has("code_challenge", &challenge), "code_challenge must be a SHA-256 hash"),
        (has("state", &|state| !state.is_empty()), "state is missing"),
        (has("audience", &|audience| audience == AUDIENCE), "the audience is not known"),
        (has("scope", &|scope| has_scope(scope, "openid")), "scope must contain openid"),
    ];
    checks.into_iter().find(|(holds, _)| !holds).map(|(_, fault)| fault)
}

fn has_scope(scope: &str, wanted: &str) -> bool {
    scope.split(' ').any(|one| one == wanted)
}

fn login_page(request: &Request, email: &str, message: &str) -> Answer {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&request.query).finish();
    let attribute = |text: &str| html_escape::encode_double_quoted_attribute(text).into_owned();
    let page = LOGIN_PAGE
        .replace("{message}", message)
        .replace("{action}", &attribute(&format!("/authorize?{query}")))
        .replace("{email}", &attribute(email));
    answer(200, "text/html; charset=utf-8", page)
}

impl State {
    pub(super) fn token(&mut self, request: &Request) -> Answer {
        if request.header("content-type") != Some("application/x-www-form-urlencoded") {
            return oauth_error(400, "invalid_request", "the parameters belong into a form");
        }
        if request.form("client_id").as_deref() != Some(CLIENT_ID) {
            return oauth_error(401, "invalid_client", "no such client");
        }
        match request.form("grant_type").as_deref() {
            Some("authorization_code") => self.redeem(request),
            Some("refresh_token") => self.refresh(request),
            _ => oauth_error(400, "unsupported_grant_type", "no such grant"),
        }
    }

    fn redeem(&mut self, request: &Request) -> Answer {
        let code = request.form("code");
        let Some(index) = self.logins.iter().position(|login| Some(&login.code) == code.as_ref()) else {
            return oauth_error(400, "invalid_grant", "no such code");
        };
        let login = &mut self.logins[index];
        if std::mem::replace(&mut login.code_spent, true) {
            // A replayed code may be stolen, so its tokens are revoked (RFC 6749 section 4.1.2).
            login.revoked = true;
            self.replays += 1;
            return oauth_error(400, "invalid_grant", "the code has been used");
        }
        if request.form("redirect_uri").as_deref() != login.request.query("redirect_uri") {
            return oauth_error(400, "invalid_grant", "another redirect_uri");
        }
        let verifier = request.form("code_verifier").unwrap_or_default();
        let hash = ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes());
        if Some(BASE64_URL_SAFE_NO_PAD.encode(hash).as_str()) != login.request.query("code_challenge") {
            return oauth_error(400, "invalid_grant", "the verifier does not match the challenge");
        }
        self.token_response(index, true)
    }

    fn refresh(&mut self, request: &Request) -> Answer {
        let token = request.form("refresh_token").unwrap_or_default();
        let Some(index) = self.logins.iter().position(|login| login.refresh_tokens.contains(&token)) else {
            return oauth_error(403, "invalid_grant", "unknown or invalid refresh token");
        };
        let (now, overlap) = (self.now(), self.options.overlap);
        let login = &mut self.logins[index];
        let is_last = login.refresh_tokens.last() == Some(&token);
        let is_before_last = login.refresh_tokens.iter().rev().nth(1) == Some(&token);
        let replayed = !is_last && (!is_before_last || now >= login.rotated_at + overlap);
        self.replays += usize::from(replayed);
        login.revoked |= replayed;
        if login.revoked {
            return oauth_error(403, "invalid_grant", "unknown or invalid refresh token");
        }
        self.token_response(index, false)
    }

    /// Tokens for a login: the first, which come with its nonce, or renewed ones.
    pub(super) fn token_response(&mut self, index: usize, first: bool) -> Answer {
        let Login { request, person, .. } = self.logins[index].clone();
        let scope = request.query("scope").unwrap_or_default();
        let organization = request.query("organization");
        let renewed = if first { has_scope(scope, "offline_access") } else { self.options.rotation };
        let refresh_token = renewed.then(|| self.next("v1."));
        self.logins[index].refresh_tokens.extend(refresh_token.clone());
        self.logins[index].rotated_at = self.now();
        let access = self.access_claims(&person, scope, organization);
        let access = self.patched(Part::AccessToken, access);
        let nonce = request.query("nonce").filter(|_| first);
        let identity = json!({
            "iss": self.issuer, "sub": person.sub, "aud": CLIENT_ID, "iat": self.now(), "exp": self.now() + 36_000,
            "nonce": nonce, "org_id": organization, "name": person.name, "email": person.email, "email_verified": true,
        });
        let identity = self.patched(Part::IdToken, without_nulls(identity));
        let response = json!({
            "access_token": self.sign(&json!({}), &access), "id_token": self.sign(&json!({}), &identity),
            "refresh_token": refresh_token, "scope": scope,
            "expires_in": self.options.token_lifetime, "token_type": "Bearer",
        });
        success(&self.patched(Part::Token, without_nulls(response)))
    }

    pub(super) fn access_claims(&mut self, person: &Person, scope: &str, organization: Option<&str>) -> Value {
        let (iat, jti) = (self.now(), self.next("jti-"));
        without_nulls(json!({
            "iss": self.issuer, "sub": person.sub, "aud": [AUDIENCE, format!("{}userinfo", self.issuer)], "iat": iat,
            "exp": iat + self.options.token_lifetime, "azp": CLIENT_ID, "scope": scope, "permissions": [], "jti": jti,
            "org_id": organization,
            "https://astronomer.io/jwt/auth_connection": {"id": "con_1", "name": "pretend", "strategy": "auth0"},
        }))
    }

    pub(super) fn revoke(&mut self, request: &Request) -> Answer {
        if request.form("client_id").as_deref() != Some(CLIENT_ID) {
            return oauth_error(401, "invalid_client", "no such client");
        }
        let token = request.form("token").unwrap_or_default();
        for login in self.logins.iter_mut().filter(|login| login.refresh_tokens.contains(&token)) {
            login.revoked = true;
        }
        // An unknown token is as gone as a revoked one (RFC 7009 section 2.2).
        answer(200, "application/json", String::new())
    }

    pub(super) fn userinfo(&self, request: &Request) -> Answer {
        let Some(person) = self.bearer(request).and_then(|claims| self.person_of(claims)) else {
            return oauth_error(401, "invalid_token", "not a token for userinfo");
        };
        let userinfo = json!({"sub": person.sub, "email": person.email, "email_verified": true, "name": person.name});
        success(&self.patched(Part::Userinfo, userinfo))
    }

    /// The claims of the bearer token: one that was made here, for the API, and has not expired.
    pub(super) fn bearer(&self, request: &Request) -> Option<&Value> {
        let claims = self.issued.get(request.header("authorization")?.strip_prefix("Bearer ")?)?;
        let for_api = claims["aud"].as_array().is_some_and(|audiences| audiences.contains(&json!(AUDIENCE)));
        let current = claims["exp"].as_i64().is_none_or(|exp| self.now() < exp);
        (current && (for_api || claims["isAstronomerGenerated"] == true)).then_some(claims)
    }

    pub(super) fn person_of(&self, claims: &Value) -> Option<&Person> {
        self.options.people.iter().find(|person| claims["sub"] == person.sub.as_str())
    }
}
