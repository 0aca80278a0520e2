//! Callbacks and pasted URLs, case by case.

use super::super::authorization::RedirectUri;
use super::super::pkce::tests::Fixed;
use super::pasted::LIMIT;
use super::*;

/// The state of `expected`.
const STATE: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn expected(iss_required: bool) -> ExpectedResponse {
    ExpectedResponse {
        state: State::random(&Fixed(0)).unwrap(),
        issuer: Issuer::parse("https://auth.astronomer.io/", &"astronomer.io".parse().unwrap()).unwrap(),
        iss_required,
    }
}

fn code(result: Result<AuthorizationCode, Rejection>) -> Result<String, Rejection> {
    result.map(|code| code.expose().to_owned())
}

/// Judges a query in which `S` stands for our state.
fn judged(query: &str, iss_required: bool) -> Result<String, Rejection> {
    code(parse(&query.replace("=S", &format!("={STATE}")), &expected(iss_required)))
}

fn refused(code: &str, description: Option<&str>) -> CallbackError {
    let (code, description) = (code.to_owned(), description.map(str::to_owned));
    CallbackError::Refused(ErrorResponse { code, description })
}

#[test]
fn valid_callback_returns_code() {
    let table = [
        ("code=abc&state=S", "abc"),
        ("state=S&code=abc", "abc"),
        ("code=a%2Bb+c%26d&state=S", "a+b c&d"),
        ("%63ode=abc&st%61te=S", "abc"),
        ("code=abc&state=S&later=1&later=2&session_state=x", "abc"),
        ("&&code=abc&&state=S&", "abc"),
    ];
    for (query, expected) in table {
        assert_eq!(judged(query, false), Ok(expected.to_owned()), "{query}");
    }
}

#[test]
fn lb_10_without_state_rest_is_ignored() {
    let table = [
        ("", Unrelated::NoState),
        ("code=abc", Unrelated::NoState),
        ("error=access_denied", Unrelated::NoState),
        ("State=S&code=abc", Unrelated::NoState),
        ("code=abc;state=S", Unrelated::NoState),
        ("code=abc&state=", Unrelated::OtherState),
        ("code=abc&state", Unrelated::OtherState),
        ("code=abc&state=other", Unrelated::OtherState),
        ("code=abc&state=SA", Unrelated::OtherState),
        ("code=abc&state=+S", Unrelated::OtherState),
        ("error=access_denied&state=other&code=1&code=2", Unrelated::OtherState),
    ];
    for (query, why) in table {
        assert_eq!(judged(query, true), Err(Rejection::Unrelated(why)), "{query}");
    }
}

#[test]
fn lb_11_repeated_state_ignored() {
    for query in ["state=S&state=S&code=a", "state=S&code=a&state=other", "code=a&state=S&%73tate=S"] {
        assert_eq!(judged(query, false), Err(Rejection::Unrelated(Unrelated::RepeatedState)), "{query}");
    }
}

#[test]
fn lb_11_other_repeated_parameter_ends_login() {
    let table = [
        ("state=S&code=a&code=a", "code"),
        ("state=S&code=a&co%64e=b", "code"),
        ("state=S&error=a&error=b", "error"),
        ("state=S&error=a&error_description=b&error_description=c", "error_description"),
        ("state=S&code=a&iss=https://auth.astronomer.io/&iss=https://auth.astronomer.io/", "iss"),
    ];
    for (query, name) in table {
        assert_eq!(judged(query, false), Err(Rejection::Final(CallbackError::Repeated(name))), "{query}");
    }
}

#[test]
fn lb_12_lb_14_iss_must_match_exactly() {
    let right = "state=S&code=abc&iss=https%3A%2F%2Fauth.astronomer.io%2F";
    assert_eq!(judged(right, false), Ok("abc".to_owned()));
    assert_eq!(judged(right, true), Ok("abc".to_owned()));
    let wrong = ["", "https://auth.astronomer.io", "HTTPS://auth.astronomer.io/", "https://auth.astronomer-stage.io/"];
    for iss in wrong {
        let query = format!("state=S&code=abc&iss={iss}");
        assert_eq!(judged(&query, false), Err(Rejection::Final(CallbackError::OtherIssuer(iss.to_owned()))), "{iss}");
    }
}

#[test]
fn lb_13_missing_promised_iss_ends_login() {
    assert_eq!(judged("state=S&code=abc", true), Err(Rejection::Final(CallbackError::NoIssuer)));
    assert_eq!(judged("state=S&error=access_denied", true), Err(Rejection::Final(CallbackError::NoIssuer)));
    assert_eq!(judged("state=S&code=abc", false), Ok("abc".to_owned()));
}

#[test]
fn lb_15_error_with_other_iss_not_believed() {
    assert_eq!(
        judged("state=S&error=access_denied&iss=https://evil.com/%1b[2J", false),
        Err(Rejection::Final(CallbackError::OtherIssuer("https://evil.com/[2J".to_owned())))
    );
}

#[test]
fn lb_18_malformed_rest_ends_login() {
    let table = [
        ("state=S", CallbackError::NeitherCodeNorError),
        ("state=S&code=", CallbackError::NeitherCodeNorError),
        ("state=S&code", CallbackError::NeitherCodeNorError),
        ("state=S&error=", CallbackError::NeitherCodeNorError),
        ("state=S&code=a%00b", CallbackError::NeitherCodeNorError),
        ("state=S&code=%ff", CallbackError::NeitherCodeNorError),
        ("state=S&code=%0d%0aX:1", CallbackError::NeitherCodeNorError),
        ("state=S&code=a&error=b", CallbackError::CodeAndError),
        ("state=S&code=&error=", CallbackError::CodeAndError),
    ];
    for (query, why) in table {
        assert_eq!(judged(query, false), Err(Rejection::Final(why)), "{query}");
    }
}

#[test]
fn lb_21_error_description_is_cleaned() {
    let table = [
        ("state=S&error=access_denied", refused("access_denied", None)),
        ("state=S&error=access_denied&error_description=", refused("access_denied", None)),
        (
            "state=S&error=access_denied&error_description=user+is%0Anot%1B%5B31m+part%E2%80%AE",
            refused("access_denied", Some("user is not[31m part")),
        ),
    ];
    for (query, why) in table {
        assert_eq!(judged(query, false), Err(Rejection::Final(why)), "{query}");
    }
    assert_eq!(refused("a", None).to_string(), "login failed (a)");
    assert_eq!(refused("a", Some("b c")).to_string(), "login failed: b c (a)");
    assert_eq!(refused("access_denied", None).to_string(), "login denied (access_denied)");
}

fn pasted(text: &str) -> Result<String, Rejection> {
    code(parse_pasted(&text.replace("=S", &format!("={STATE}")), &RedirectUri::new(12345), &expected(false)))
}

#[test]
fn lb_27_paste_accepts_url_or_query() {
    let table = [
        "http://localhost:12345/callback?code=abc&state=S",
        "  \"http://localhost:12345/callback?code=abc&state=S\"\r\n",
        "<http://localhost:12345/callback?code=abc&state=S>",
        "HTTP://LOCALHOST:12345/callback?code=abc&state=S#_=_",
        "localhost:12345/callback?code=abc&state=S",
        "?code=abc&state=S",
        "code=abc&state=S",
        "'state=S&code=abc'",
        "https://localhost:12345/callback?code=abc&state=S",
        "http://127.0.0.1:12345/callback?code=abc&state=S",
        "https://[::1]:12345/callback?code=abc&state=S",
        "127.0.0.1:12345/callback?code=abc&state=S",
        "http://localhost:12345/call\r  back?co\nde=a\u{a0}b\tc&state=S",
        "\u{feff}http://localhost:12345/callback?code=a\u{200b}bc&state=S&iss=https%3A%2F%2Fauth.astron\r   omer.io%2F",
    ];
    for text in table {
        assert_eq!(pasted(text), Ok("abc".to_owned()), "{text}");
    }
}

#[test]
fn lb_27_paste_of_other_url_ignored() {
    let table = [
        "",
        "abc",
        "http://localhost:12345/callback",
        "https://localhost/callback?code=abc&state=S",
        "ftp://localhost:12345/callback?code=abc&state=S",
        "http://127.0.0.2:12345/callback?code=abc&state=S",
        "https://u:p@[::1]:12345/callback?code=abc&state=S",
        "http://localhost:12346/callback?code=abc&state=S",
        "http://localhost/callback?code=abc&state=S",
        "http://127.0.0.1:12346/callback?code=abc&state=S",
        "http://[::1]/callback?code=abc&state=S",
        "http://localhost.evil.com:12345/callback?code=abc&state=S",
        "http://localhost:12345/callback/?code=abc&state=S",
        "http://localhost:12345/?code=abc&state=S",
        "http://user@localhost:12345/callback?code=abc&state=S",
        "http://localhost:12345/callback#code=abc&state=S",
        "localhost:12345/callback/x?code=abc&state=S",
        "/callback?code=abc&state=S",
        "javascript:x?code=abc&state=S",
        "https://auth.astronomer.io/authorize?response_type=code&state=S",
    ];
    for text in table {
        assert_eq!(pasted(text), Err(Rejection::Unrelated(Unrelated::NotTheRedirectUri)), "{text}");
    }
    let long = format!("?code={}&state=S", "a".repeat(LIMIT));
    assert_eq!(pasted(&long), Err(Rejection::Unrelated(Unrelated::NotTheRedirectUri)));
}

#[test]
fn lb_27_paste_passes_callback_checks() {
    let table = [
        ("?code=abc", Rejection::Unrelated(Unrelated::NoState)),
        ("http://localhost:12345/callback?code=a&state=other", Rejection::Unrelated(Unrelated::OtherState)),
        ("http://localhost:12345/callback?code=a&state=S&code=b", Rejection::Final(CallbackError::Repeated("code"))),
        ("error=access_denied&state=S", Rejection::Final(refused("access_denied", None))),
    ];
    for (text, verdict) in table {
        assert_eq!(pasted(text), Err(verdict), "{text}");
    }
}

/// Parses lines one after another, and returns the last verdict.
fn pasted_lines(lines: &[&str]) -> Result<String, Rejection> {
    let (mut before, redirect_uri) = (PastedLines::default(), RedirectUri::new(12345));
    let parse =
        |line: &&str| code(before.parse(&line.replace("=S", &format!("={STATE}")), &redirect_uri, &expected(true)));
    lines.iter().map(parse).last().unwrap()
}

#[test]
fn lb_27_url_pasted_line_by_line_is_joined() {
    let table: [&[&str]; 5] = [
        &["http://localhost:12345/callback?code=abc", "&state=S&iss=https%3A%2F%2Fauth.astronomer.io%2F"],
        &["http://localhost:12345/callback?co", "de=ab", "c&state=S&is", "s=https%3A%2F%2Fauth.astronomer.io%2F"],
        &["http://localhost:12345/callback?state=S&code=abc", "&iss=https://auth.astronomer.io/"],
        &["nonsense", "http://localhost:12345/callback?code=a", "bc&state=S&iss=https%3A%2F%2Fauth.astronomer.io%2F"],
        &["code=abc&sta", "te=S&iss=https%3A%2F%2Fauth.astronomer.io%2F"],
    ];
    for lines in table {
        assert_eq!(pasted_lines(lines), Ok("abc".to_owned()), "{lines:?}");
    }
    let lines = ["http://localhost:12345/callback?error=access_denied&state=S", "&iss=https://auth.astronomer.io/"];
    assert_eq!(pasted_lines(&lines), Err(Rejection::Final(refused("access_denied", None))));
    let lines = ["http://localhost:12345/callback?code=abc&state=S", "http://localhost:12345/callback?code=abc"];
    assert_eq!(pasted_lines(&lines), Err(Rejection::Unrelated(Unrelated::NoState)), "another URL starts anew");
}

#[test]
fn tk_11_debug_hides_code() {
    assert_eq!(format!("{:?}", AuthorizationCode::for_test("abc")), "AuthorizationCode(redacted)");
}
