//! The page at the end of a login, in a real browser that enforces its policy.

use std::net::Ipv4Addr;
use std::path::Path;

use crate::support::chromium::Chromium;
use astro_login::oauth::page::{CONTENT_SECURITY_POLICY, Outcome, render};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

const OUTCOMES: [(&str, Outcome<'_>); 4] = [
    ("confirmed", Outcome::Confirmed { account: "ada.lovelace@example.com", question: false }),
    (
        "question",
        Outcome::Confirmed {
            account: "somebody.with.a.very.long.name.that.does.not.end@a.department.of.a.large.enterprise.example.com",
            question: true,
        },
    ),
    (
        "failed",
        Outcome::Failed {
            detail: "The issuer answered `access_denied`: user is not part of the organization org_9f3kd72hs.",
        },
    ),
    ("refused", Outcome::Refused { detail: "Its state is not the one that this login sent out." }),
];

/// Serves one page per outcome on loopback, with the policy on, and says where. Ends with the runtime.
async fn serve() -> std::io::Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let origin = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(page)));
        }
    });
    Ok(origin)
}

async fn page(request: Request<Incoming>) -> hyper::http::Result<Response<Full<Bytes>>> {
    let asked = request.uri().path().trim_start_matches('/');
    let outcome = OUTCOMES.iter().find(|(name, _)| *name == asked);
    let html = outcome.map(|(_, outcome)| render(outcome)).unwrap_or_default();
    Response::builder()
        .status(if html.is_empty() { 404 } else { 200 })
        .header("content-type", "text/html; charset=utf-8")
        .header("content-security-policy", CONTENT_SECURITY_POLICY)
        .body(Full::new(Bytes::from(html)))
}

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn lb_19_lb_20_page_works_under_csp_in_both_schemes() {
    let origin = serve().await.expect("a free port");
    let chromium = Chromium::start().await;
    let mut grounds = Vec::new();
    // There is nothing to operate, so nothing takes the keyboard's focus away from where reading begins.
    let as_laid_out = json!({ "lang": "en", "wider_than_the_window": false, "takes_focus": 0, "focus": "BODY" });
    for dark in [false, true] {
        chromium.prefer_dark(dark).await;
        for (name, _) in OUTCOMES {
            for (width, height) in [(1280, 800), (390, 844)] {
                chromium.resize(width, height).await;
                chromium.open(&format!("{origin}/{name}?code=SplxlOBeZQQYbYS6WxSbIA&state=xyz")).await;
                assert_eq!(chromium.console().await, [""; 0], "{name}");
                assert_eq!(chromium.url().await, format!("{origin}/callback"));
                assert!(chromium.title().await.ends_with(" – astro"));
                assert_eq!(chromium.run(LAYOUT).await, as_laid_out);
                assert_eq!(chromium.run(HARD_TO_READ).await, json!([]), "{name}, dark: {dark}");
                let picture = format!("page-{name}-{}-{width}.png", if dark { "dark" } else { "light" });
                chromium.screenshot(&Path::new(env!("CARGO_TARGET_TMPDIR")).join(picture)).await;
            }
        }
        grounds.push(chromium.run("return getComputedStyle(document.body).backgroundColor").await);
    }
    assert_ne!(grounds[0], grounds[1]);
}

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn page_is_complete_without_scripts() {
    let origin = serve().await.expect("a free port");
    let chromium = Chromium::start().await;
    chromium.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
    chromium.open(&format!("{origin}/confirmed?code=1")).await;
    assert_eq!(chromium.url().await, format!("{origin}/confirmed?code=1"));
    assert_eq!(
        chromium.text("main").await,
        "Authenticated as\nada.lovelace@example.com\nReturn to the terminal to finish."
    );
}

#[tokio::test]
#[ignore = "needs chromium and chromium-driver"]
async fn lb_19_csp_blocks_foreign_content() {
    let origin = serve().await.expect("a free port");
    let chromium = Chromium::start().await;
    chromium.open(&format!("{origin}/confirmed")).await;
    let before: Value = chromium.run("return getComputedStyle(document.body).backgroundColor").await;
    chromium
        .run(
            "const script = document.createElement('script'); script.textContent = 'document.title = \"taken\"';
            const style = document.createElement('style'); style.textContent = 'body { background: red }';
            const image = document.createElement('img'); image.src = '/confirmed';
            document.body.append(script, style, image)",
        )
        .await;
    assert_eq!(chromium.title().await, "Authenticated – astro");
    assert_eq!(chromium.run("return getComputedStyle(document.body).backgroundColor").await, before);
    assert_eq!(chromium.console().await.len(), 3, "one breach each for the script, the style and the image");
}

#[tokio::test]
#[ignore = "needs chromium, chromium-driver and axe-core"]
async fn page_passes_axe_in_both_schemes() {
    let axe = crate::support::chromium::axe();
    let origin = serve().await.expect("a free port");
    let chromium = Chromium::start().await;
    chromium.resize(1280, 800).await;
    for dark in [false, true] {
        chromium.prefer_dark(dark).await;
        for (name, _) in OUTCOMES {
            chromium.open(&format!("{origin}/{name}")).await;
            let found = chromium.audit(&axe).await;
            assert_eq!(found["violations"], json!([]), "{name}, dark: {dark}: {found:#}");
            // The text above the glow has no single background color; `HARD_TO_READ` takes the worst one.
            assert_eq!(found["undecided"], json!([["color-contrast", ["header"]]]), "{name}: {found:#}");
        }
    }
    chromium.run("document.documentElement.lang = ''").await;
    let found = chromium.audit(&axe).await;
    assert_eq!(found["violations"][0][0], "html-has-lang", "{found:#}");
}

const LAYOUT: &str = "
    const root = document.documentElement;
    const takes_focus = [...document.querySelectorAll('*')].filter((element) => element.tabIndex >= 0).length;
    const wider_than_the_window = root.scrollWidth > innerWidth;
    return { lang: root.lang, wider_than_the_window, takes_focus, focus: document.activeElement.tagName };
";

/// The elements with too little contrast (WCAG 2.2, 1.4.3 and 1.4.11), with their ratio.
const HARD_TO_READ: &str = "
    const luminance = (rgb) => rgb.match(/\\d+/g).slice(0, 3)
        .map((n) => n / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const style = (css) => getComputedStyle(document.querySelector(css));
    const ratio = (text, ground) => {
        const [low, high] = [luminance(style(text).color), luminance(style(ground).backgroundColor)].sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05);
    };
    return [
        // The glow above the card is at most the sign's own ground.
        ['header', 'body', 4.5], ['header', '.sign', 4.5], ['header svg', '.sign', 3], ['.sign', '.sign', 3],
        ['h1', 'main', 4.5], ['bdi', 'main', 4.5], ['.detail', 'main', 4.5],
        ['.next b', '.next', 4.5], ['.next i', '.next', 4.5], ['.next svg', '.next', 3],
    ].map(([text, ground, least]) => [text, ground, ratio(text, ground), least]).filter((row) => row[2] < row[3]);
";
