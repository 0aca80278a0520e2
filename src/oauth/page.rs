//! The page at the end of a login: one small, self-contained document with the outcome.
//!
//! It loads nothing, has no links or controls, and runs one optional line of script, which removes the code from the
//! address bar. A screen reader begins with the title and the heading, which contain the outcome. Foreign text is cleaned,
//! cut and escaped; no token is ever passed to this module.

use html_escape::encode_text;

use crate::text::clean;

const TEMPLATE: &str = include_str!("page.html");

/// Allows the page's style and script by their hashes and data URIs for its icon. Everything else and frames are blocked.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; \
    style-src 'sha256-WPlfEMp/pF7sO8DWOvVV4pt2xxjx7Y321j0E9G/Vpu4='; \
    script-src 'sha256-wE3Fm/wRuk9kYbzVMh70u9fS978gNc0ThnIqJIVahOY='; \
    img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The longest subject (OpenID Connect Core section 2); an email address has one character less.
const ACCOUNT_LIMIT: usize = 255;
const DETAIL_LIMIT: usize = 500;

#[derive(Debug, Clone, Copy)]
pub enum Outcome<'a> {
    Confirmed {
        account: &'a str,
        question: bool,
    },
    Failed {
        detail: &'a str,
    },
    Refused {
        detail: &'a str,
    },
    /// The login has its response already: the page was reloaded.
    Repeated,
}

pub fn render(outcome: &Outcome<'_>) -> String {
    let words = Words::of(outcome);
    // A slot begins with `<`, which is escaped in text, so text cannot contain another slot.
    let fill = |page: String, (slot, text): (&str, String)| page.replace(slot, &encode_text(&text));
    [
        ("<!--kind-->", words.kind.to_owned()),
        ("<!--sign-->", words.sign.to_owned()),
        ("<!--title-->", format!("{} – astro", words.title)),
        ("<!--heading-->", words.heading.to_owned()),
        ("<!--account-->", clean(words.account, ACCOUNT_LIMIT)),
        // Backticks mark a word in the terminal; a browser shows them as they are.
        ("<!--detail-->", clean(&words.detail.replace('`', "\""), DETAIL_LIMIT)),
        ("<!--next-->", words.next.to_owned()),
        ("<!--note-->", words.note.to_owned()),
    ]
    .into_iter()
    .fold(TEMPLATE.to_owned(), fill)
}

/// The texts of the template's slots, before cleaning and escaping.
struct Words<'a> {
    kind: &'static str,
    /// The SVG path of the icon: a check mark, a cross or an exclamation mark.
    sign: &'static str,
    title: &'static str,
    heading: &'static str,
    account: &'a str,
    detail: &'a str,
    next: &'static str,
    note: &'static str,
}

impl<'a> Words<'a> {
    fn of(outcome: &Outcome<'a>) -> Self {
        let refused = Self {
            kind: "refused",
            sign: "M32 19v16M32 45v.01",
            title: "Unrelated request",
            heading: "This request is not part of the current login",
            account: "",
            detail: "",
            next: "Return to the terminal.",
            note: "The login is still waiting.",
        };
        match *outcome {
            Outcome::Confirmed { account, question } => Self {
                kind: "confirmed",
                sign: "m20 33 8.5 8.5L44 24",
                title: "Authenticated",
                heading: "Authenticated as",
                account,
                next: "Return to the terminal to finish.",
                note: if question { "It needs your input." } else { "" },
                ..refused
            },
            Outcome::Failed { detail } => Self {
                kind: "failed",
                sign: "m23 23 18 18M41 23 23 41",
                title: "Login failed",
                heading: "Login failed",
                detail,
                note: "This login was not saved, and an earlier one stays as it was.",
                ..refused
            },
            Outcome::Refused { detail } => Self { detail, ..refused },
            Outcome::Repeated => Self {
                title: "Response received",
                heading: "This login already has its response",
                detail: "The terminal shows its outcome.",
                note: "",
                ..refused
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use ring::digest::{SHA256, digest};

    use super::*;

    const CONFIRMED: Outcome<'_> = Outcome::Confirmed { account: "ada@example.com", question: false };
    const ASKED: Outcome<'_> = Outcome::Confirmed { account: "ada@example.com", question: true };
    const FAILED: Outcome<'_> = Outcome::Failed { detail: "It said: `access_denied`." };
    const REFUSED: Outcome<'_> = Outcome::Refused { detail: "It carries another state." };
    const REPEATED: Outcome<'_> = Outcome::Repeated;

    /// Returns the text between the first `open` and the next `close`.
    fn between<'a>(page: &'a str, open: &str, close: &str) -> &'a str {
        page.split_once(open).and_then(|(_, rest)| rest.split_once(close)).expect("both are in the page").0
    }

    /// Returns the words of the body, as a screen reader reads them.
    fn words(page: &str) -> String {
        let mut body = between(page, "<body", "</body>");
        let mut text = String::new();
        while let Some((_, rest)) = body.split_once('>') {
            let (run, next) = rest.split_once('<').unwrap_or((rest, ""));
            text.push_str(run);
            body = next;
        }
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn lb_26_page_states_outcome_and_next_step() {
        let around = |told: &str| format!("astro login {told}");
        assert_eq!(
            [CONFIRMED, ASKED, FAILED, REFUSED, REPEATED].map(|outcome| words(&render(&outcome))),
            [
                "Authenticated as ada@example.com Return to the terminal to finish.",
                "Authenticated as ada@example.com Return to the terminal to finish. It needs your input.",
                "Login failed It said: \"access_denied\". Return to the terminal. \
                 This login was not saved, and an earlier one stays as it was.",
                "This request is not part of the current login It carries another state. Return to the terminal. \
                 The login is still waiting.",
                "This login already has its response The terminal shows its outcome. Return to the terminal.",
            ]
            .map(around)
        );
        assert_eq!(
            [CONFIRMED, FAILED, REFUSED].map(|outcome| between(&render(&outcome), "<title>", "</title>").to_owned()),
            ["Authenticated – astro", "Login failed – astro", "Unrelated request – astro",]
        );
    }

    #[test]
    fn lb_21_hostile_text_is_escaped() {
        let hostile = "</title><script>alert(\"1\")</script>&lt;'\u{202e}\u{1b}[31m<!--detail-->";
        let inert =
            "&lt;/title&gt;&lt;script&gt;alert(\"1\")&lt;/script&gt;&amp;lt;'[31m&lt;!--detail--&gt;".to_owned();
        let confirmed = render(&Outcome::Confirmed { account: hostile, question: false });
        assert_eq!(between(&confirmed, "<bdi>", "</bdi>"), inert);
        let failed = render(&Outcome::Failed { detail: hostile });
        assert_eq!(between(&failed, "<p class=\"detail\">", "</p>"), inert);
        let refused = render(&Outcome::Refused { detail: hostile });
        assert_eq!(between(&refused, "<p class=\"detail\">", "</p>"), inert);
    }

    #[test]
    fn lb_21_long_text_is_cut() {
        let long = "&".repeat(10_000);
        let cut = |limit: usize| "&amp;".repeat(limit) + "…";
        let failed = render(&Outcome::Failed { detail: &long });
        assert_eq!(between(&failed, "<p class=\"detail\">", "</p>"), cut(DETAIL_LIMIT));
        let confirmed = render(&Outcome::Confirmed { account: &long, question: true });
        assert_eq!(between(&confirmed, "<bdi>", "</bdi>"), cut(ACCOUNT_LIMIT));
        assert!(render(&ASKED).len() < 8 * 1024);
    }

    #[test]
    fn page_has_no_unfilled_slot() {
        for outcome in [CONFIRMED, ASKED, FAILED, REFUSED, REPEATED] {
            assert!(!render(&outcome).contains("<!--"), "{outcome:?}");
        }
    }

    #[test]
    fn lb_19_csp_allows_only_own_style_and_script() {
        // A browser hashes what its parser made of the page, and that ends lines with LF on each checkout.
        let template = TEMPLATE.replace("\r\n", "\n");
        let hash = |open, close| STANDARD.encode(digest(&SHA256, between(&template, open, close).as_bytes()));
        assert_eq!(
            CONTENT_SECURITY_POLICY,
            format!(
                "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; base-uri 'none'; \
                 form-action 'none'; frame-ancestors 'none'",
                hash("<style>", "</style>"),
                hash("<script>", "</script>"),
            )
        );
        for once in ["<style", "<script"] {
            assert_eq!(template.matches(once).count(), 1, "{once}");
        }
        for never in [" style=", " onload=", " onclick="] {
            assert!(!template.contains(never), "the policy would block {never}");
        }
    }

    #[test]
    fn lb_19_page_loads_nothing() {
        let without_namespaces = TEMPLATE.replace("xmlns='http://www.w3.org/2000/svg'", "");
        for far in ["//", "@import", "url(", " src="] {
            assert!(!without_namespaces.contains(far), "{far}");
        }
        assert_eq!(TEMPLATE.matches("href=").count(), TEMPLATE.matches("href=\"data:image/svg+xml,").count());
    }

    #[test]
    fn lb_26_page_never_claims_login_is_complete() {
        for outcome in [CONFIRMED, ASKED, FAILED, REFUSED, REPEATED] {
            let page = render(&outcome).to_lowercase();
            for claim in ["logged in", "signed in", "logged-in", "success"] {
                assert!(!page.contains(claim), "{outcome:?} claims {claim:?}");
            }
        }
    }
}
