use super::*;

fn parsed(typed: &str) -> (String, String) {
    let domain: Domain = typed.parse().unwrap();
    (domain.as_str().to_owned(), domain.api_base().to_string())
}

#[test]
fn domain_accepts_common_spellings() {
    let table = [
        ("astronomer.io", "astronomer.io", "https://api.astronomer.io/"),
        ("  HTTPS://Cloud.Astronomer.IO/ ", "astronomer.io", "https://api.astronomer.io/"),
        ("astronomer-stage.io", "astronomer-stage.io", "https://api.astronomer-stage.io/"),
        ("cloud.astronomer-perf.io", "astronomer-perf.io", "https://api.astronomer-perf.io/"),
        ("pr1234.astronomer-dev.io", "pr1234.astronomer-dev.io", "https://pr1234.api.astronomer-dev.io/"),
        ("pr123456.cloud.astronomer-dev.io", "pr123456.astronomer-dev.io", "https://pr123456.api.astronomer-dev.io/"),
        ("localhost", "localhost", "http://localhost:8888/"),
        ("localhost:9000", "localhost:9000", "http://localhost:9000/"),
    ];
    for (typed, name, api) in table {
        assert_eq!(parsed(typed), (name.to_owned(), api.to_owned()), "{typed}");
    }
}

#[test]
fn private_cloud_accepts_its_hosts_and_addresses() {
    for typed in [
        "base.example.com",
        "BASE.Example.com",
        "app.base.example.com",
        "houston.base.example.com:443",
        "registry.base.example.com",
        "https://app.base.example.com/",
        "http://app.base.example.com:8443/",
        " https://houston.BASE.example.com:443 ",
    ] {
        let domain: Domain = expand_typed(typed).parse().unwrap();
        assert_eq!((domain.as_str(), domain.product()), ("base.example.com", Product::PrivateCloud), "{typed}");
        assert_eq!(domain.api_base().as_str(), "https://houston.base.example.com/v1", "{typed}");
    }
    // A base domain may have such a name, too.
    for stored in ["example.com", "app.base.example.com", "app.io", "houston.base.example.com"] {
        assert_eq!(parsed(stored).0, stored);
    }
    assert_eq!(
        (expand_typed("app.io"), expand_typed("STAGE")),
        ("app.io".to_owned(), "astronomer-stage.io".to_owned())
    );

    assert_eq!(parsed("Cloud.Example.com/").0, "cloud.example.com");
    assert_eq!(parsed("astronomer.io.evil.com").0, "astronomer.io.evil.com");
    assert_eq!(parsed("evil-astronomer.io").0, "evil-astronomer.io");
    assert_eq!("astronomer.io".parse::<Domain>().unwrap().product(), Product::Astro);
    assert_eq!("localhost:9000".parse::<Domain>().unwrap().product(), Product::Astro);
}

#[test]
fn slip_of_a_domain_is_rejected_with_what_was_understood() {
    let not_a_domain = |text: &str| DomainError::NotADomain(text.to_owned());
    let not_astro = |text: &str| DomainError::NotAstro(text.to_owned());
    let no_dot = |text: &str| DomainError::NoDot(text.to_owned());
    let misspelled = |typed: &str, meant| DomainError::Misspelled { typed: typed.to_owned(), meant };
    let page = |typed: &str, domain: &str| DomainError::Page { typed: typed.to_owned(), domain: domain.to_owned() };
    let table = [
        ("", not_a_domain("")),
        ("user@base.example.com", not_a_domain("user@base.example.com")),
        ("https://ada:password@base.example.com", not_a_domain(NOT_SHOWN)),
        ("base.example.com.", not_a_domain("base.example.com.")),
        ("base_1.example.com", not_a_domain("base_1.example.com")),
        ("-base.example.com", not_a_domain("-base.example.com")),
        ("10.0.0.1", not_a_domain("10.0.0.1")),
        ("https://app", no_dot("app")),
        ("ftp://base.example.com", not_a_domain("ftp://base.example.com")),
        ("b\u{e4}se.example.com", not_a_domain("b\u{e4}se.example.com")),
        ("a\u{1b}[31mb\u{202e}", not_a_domain("a[31mb")),
        ("localhsot", no_dot("localhsot")),
        ("localhost:0", not_a_domain("localhost:0")),
        ("localhost:080", not_a_domain("localhost:080")),
        ("localhost:65536", not_a_domain("localhost:65536")),
        ("localhost:+80", not_a_domain("localhost:+80")),
        ("http://astronomer.io", not_astro("http://astronomer.io")),
        ("astronomer.io:443", not_astro("astronomer.io:443")),
        ("api.astronomer.io", not_astro("api.astronomer.io")),
        ("pr123.astronomer-dev.io", not_astro("pr123.astronomer-dev.io")),
        ("pr1234567.astronomer-dev.io", not_astro("pr1234567.astronomer-dev.io")),
        ("pr1234.astronomer.io", not_astro("pr1234.astronomer.io")),
        ("user@astronomer.io", not_a_domain("user@astronomer.io")),
        ("astronomre.io", misspelled("astronomre.io", "astronomer.io")),
        ("astronomer.oi", misspelled("astronomer.oi", "astronomer.io")),
        ("cloud.astrnomer.io", misspelled("cloud.astrnomer.io", "astronomer.io")),
        ("astronomers.io", misspelled("astronomers.io", "astronomer.io")),
        ("pr1234.astronomer_dev.io", not_a_domain("pr1234.astronomer_dev.io")),
        ("pr1234.astronomer-dve.io", misspelled("pr1234.astronomer-dve.io", "astronomer-dev.io")),
        (
            "https://app.base.example.com/w/ck1/deployments",
            page("base.example.com/w/ck1/deployments", "base.example.com"),
        ),
        (
            "cloud.astronomer.io/ck1/deployments?page=1",
            page("cloud.astronomer.io/ck1/deployments?page=1", "astronomer.io"),
        ),
        ("astronomer.io/path", page("astronomer.io/path", "astronomer.io")),
    ];
    for (typed, expected) in table {
        assert_eq!(expand_typed(typed).parse::<Domain>().unwrap_err(), expected, "{typed:?}");
    }
}

#[test]
fn ar_18_host_belongs_to_registrable_domain() {
    let preview: Domain = "pr1234.astronomer-dev.io".parse().unwrap();
    assert!(preview.owns_host("auth.astronomer-dev.io"));
    assert!(preview.owns_host("astronomer-dev.io"));
    assert!(!preview.owns_host("auth.astronomer.io"));
    assert!(!preview.owns_host("evilastronomer-dev.io"));
    assert!(!preview.owns_host("localhost"));
    let private: Domain = "base.example.com".parse().unwrap();
    assert!(private.owns_host("houston.base.example.com") && !private.owns_host("example.com"));
    let local: Domain = "localhost:9000".parse().unwrap();
    assert!(local.owns_host("127.0.0.1"));
    assert!(local.owns_host("[::1]"));
    assert!(!local.owns_host("10.0.0.1"));
}

#[test]
fn context_keys_match_go_cli() {
    assert_eq!("pr1234.astronomer-dev.io".parse::<Domain>().unwrap().context_key(), "pr1234_astronomer-dev_io");
    assert_eq!("localhost:9000".parse::<Domain>().unwrap().context_key(), "localhost:9000");
}
