//! What the issuer and the configuration allow to be kept is asked for once, and no check is the weaker for it.

use std::fs;

use crate::support::binary::{Astro, Output};
use crate::support::{Options, Service, TestHome};
use serde_json::json;

const AUTH_CONFIG: &str = "/private/v1alpha1/cli/auth-config";
const KEYS: &str = "/.well-known/jwks.json";

/// Signs in with a token, in this home.
fn login(service: &Service, home: &TestHome) -> Output {
    let token = service.access_token(&json!({}));
    let arguments = ["login", &service.domain(), "--token-login", "-", "--insecure-storage"];
    Astro::at(home).stdin(&token).run(&arguments)
}

/// The number of requests for the configuration and for the keys.
fn asked(service: &Service) -> (usize, usize) {
    (service.requests_to(AUTH_CONFIG).len(), service.requests_to(KEYS).len())
}

#[test]
fn what_may_be_kept_is_asked_for_once_and_what_may_not_each_time() {
    for (control, times) in [(Some("public, max-age=60"), 1), (Some("max-age=0"), 3), (None, 3)] {
        let service = Service::start(Options { cache_control: control, ..Options::default() });
        let home = TestHome::new();
        for _ in 0..3 {
            let output = login(&service, &home);
            assert_eq!(output.code, Some(0), "{}", output.stderr);
        }
        assert_eq!(asked(&service), (times, times), "{control:?}");
    }
}

#[test]
fn jw_17_a_key_that_is_not_among_the_kept_ones_is_looked_for_at_the_issuer() {
    let options = Options { cache_control: Some("max-age=60"), second_key_after: 1, ..Options::default() };
    let service = Service::start(options);
    let home = TestHome::new();
    assert_eq!(login(&service, &home).code, Some(0));
    service.set(|options| options.signing_key = 1);
    assert_eq!(login(&service, &home).code, Some(0));
    assert_eq!(asked(&service), (1, 2));
    // The new set has taken the place of the old one.
    assert_eq!(login(&service, &home).code, Some(0));
    assert_eq!(asked(&service), (1, 2));
}

#[test]
fn cl_2_kept_keys_are_those_of_their_address_alone() {
    let control = Some("max-age=60");
    let (one, other) = (Options { cache_control: control, ..Options::default() }, Options::default());
    let (one, other) = (Service::start(one), Service::start(Options { signing_key: 1, second_key_after: 0, ..other }));
    let home = TestHome::new();
    assert_eq!(login(&one, &home).code, Some(0));
    assert_eq!(login(&other, &home).code, Some(0));
    assert_eq!(asked(&other), (1, 1));
}

#[test]
fn nothing_secret_and_nothing_personal_is_kept() {
    let service = Service::start(Options { cache_control: Some("max-age=60"), ..Options::default() });
    let home = TestHome::new();
    assert_eq!(login(&service, &home).code, Some(0));
    let kept = fs::read_to_string(home.path().join(".astro/login-cache.json")).unwrap();
    let kept: serde_json::Value = serde_json::from_str(&kept).unwrap();
    let addresses: Vec<&String> = kept["answers"].as_object().unwrap().keys().collect();
    assert_eq!(addresses, [&service.url(KEYS).to_string(), &service.url(AUTH_CONFIG).to_string()]);
}
