//! `astro login` with a browser, from the first request to the closing words, without a terminal.

mod support;

use support::Stage;

#[tokio::test]
async fn a_person_signs_in() {
    let stage = Stage::new();
    let outcome = stage.login(&stage.request()).await;
    println!("{}\n{:?}", outcome.stderr, outcome.result);
    assert_eq!(outcome.exit_code(), 0);
    let credentials = stage.stored().unwrap();
    assert_eq!(credentials.email.as_deref(), Some("ada@example.com"));
    let answers = stage.browser.answers();
    println!("{:?}", answers);
    println!("{}", stage.home.config().unwrap());
}
