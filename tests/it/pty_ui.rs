//! The terminal code of the library with input at the wrong time, very long input, and a panic.
//!
//! The test binary starts itself as the program under test: the test `stage` runs the part that a variable names.

use std::io::Read as _;

use crate::support::pty::{CTRL_C, ENTER, Pty};
use astro_login::ui::{self, Clipboard, ColorChoice, Options, Ui, UiError};

const PART: &str = "ASTRO_TEST_PART";
const FRAMES: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

fn play(part: &str) -> Pty {
    let program = std::env::current_exe().unwrap();
    Pty::spawn(program.to_str().unwrap(), &["pty_ui::stage", "--exact", "--nocapture"], [(PART, part)])
}

/// Not a test by itself: runs the part that the variable names, and ends the process.
#[test]
#[expect(clippy::disallowed_methods, clippy::exit, reason = "the process is the program under test")]
fn stage() {
    let Ok(part) = std::env::var(PART) else { return };
    ui::restore_terminal_on_panic(true);
    let ui = Ui::new(Options {
        quiet: false,
        color: ColorChoice::Auto,
        terminal: true,
        escapes: true,
        asks: true,
        clipboard: Clipboard::None,
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let result = runtime.block_on(async {
        match part.as_str() {
            "wait" => wait(&ui).await,
            "spin" => spinners(&ui),
            "ask" => ask(&ui).await,
            "menu" => {
                ui.say("before");
                ui.choose("Which?", vec!["Alpha".into(), "Beta".into()], 0).await.map(drop)
            }
            "panic" => {
                let _lines = ui.lines("Waiting")?;
                panic!("on purpose");
            }
            _ => unreachable!(),
        }
    });
    // A menu needs the usual mode, as does the next program in this terminal.
    ui.say(&format!("raw mode: {}", crossterm::terminal::is_raw_mode_enabled().unwrap()));
    std::process::exit(match result {
        Ok(()) => 0,
        Err(UiError::Canceled) => 130,
        Err(_) => 1,
    });
}

/// Lines until one says `done`, with talk above them all the while, then a menu.
async fn wait(ui: &Ui) -> Result<(), UiError> {
    {
        let mut lines = ui.lines("Waiting for the browser")?;
        ui.say("one\ntwo");
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(20));
        loop {
            tokio::select! {
                line = lines.next() => {
                    let line = line?;
                    ui.say(&format!("line of {} bytes", line.expose().len()));
                    if line.expose().starts_with("done") { break }
                }
                _ = ticks.tick() => {}
            }
        }
    }
    let chosen = ui.choose("Which?", vec!["Alpha".into(), "Beta".into(), "Gamma".into()], 1).await?;
    ui.say(&format!("chosen {chosen}"));
    Ok(())
}

/// Each kind of question.
async fn ask(ui: &Ui) -> Result<(), UiError> {
    let name = ui.ask_text("Name?", None, Some("any"), |_| Ok(())).await?;
    ui.say(&format!("name {}", name.unwrap_or_default()));
    let chosen = ui.choose("Which?", vec!["Alpha".into(), "Beta".into(), "Gamma".into()], 1).await?;
    ui.say(&format!("chosen {chosen}"));
    let sure = ui.confirm("Sure?", false).await?;
    ui.say(&format!("sure {sure}"));
    Ok(())
}

/// A spinner and messages, each as soon as a key is pressed.
fn spinners(ui: &Ui) -> Result<(), UiError> {
    crossterm::terminal::enable_raw_mode().map_err(UiError::Io)?;
    let key = || std::io::stdin().read_exact(&mut [0]).map_err(UiError::Io);
    let spinner = ui.spinner(&"日本 is\nwide\x1b[2J ".repeat(20));
    key()?;
    ui.warn("one", "two");
    spinner.set_message("short");
    key()?;
    drop(spinner);
    ui.say("two");
    crossterm::terminal::disable_raw_mode().map_err(UiError::Io)
}

#[test]
fn spinner_is_one_line_and_is_cleared() {
    let mut pty = play("spin");
    // As much as fits into 80 columns with the frame.
    let cut = "日本 is wide[2J ".repeat(4) + "日本 is wide[2";
    pty.wait_for(&cut);
    let seen = |pty: &Pty| {
        let screen = pty.screen();
        screen.lines().skip(2).map(|line| line.trim_start_matches(FRAMES).trim_end().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(seen(&pty), [format!(" {cut}")]);
    for frame in &FRAMES[1..4] {
        pty.wait_for(&frame.to_string());
    }
    pty.type_keys("x");
    pty.wait_for("two\r\n");
    pty.wait_for(" short");
    assert_eq!(seen(&pty), ["warning: one", "hint: two", " short"]);
    pty.type_keys("x");
    let transcript = pty.finish_with(0);
    assert!(
        crate::support::pty::screen(&transcript).ends_with("test\nwarning: one\nhint: two\ntwo\nraw mode: false"),
        "{transcript}"
    );
}

#[test]
fn lb_27_paste_is_hidden_and_menu_follows() {
    let mut pty = play("wait");
    pty.wait_for("one\r\n");
    pty.wait_for("two\r\n");
    pty.wait_for("Waiting for the browser");
    pty.type_keys(ENTER);
    pty.wait_for("line of 0 bytes\r\n");
    pty.paste("http://localhost:12345/callback?code=sesame");
    pty.wait_for("43 characters pasted; press Enter to submit");
    pty.type_keys(ENTER);
    pty.wait_for("line of 43 bytes\r\n");
    pty.paste("sesame\n");
    pty.wait_for("line of 6 bytes\r\n");
    // Keys typed after the last line must not answer the menu.
    pty.type_keys("done\rGamma\r");
    pty.wait_for("line of 4 bytes\r\n");
    pty.wait_for("Which?");
    pty.wait_for("Beta");
    pty.type_keys("alp");
    pty.wait_for("alp");
    pty.type_keys(ENTER);
    pty.wait_for("chosen 0");
    let transcript = pty.finish_with(0);
    assert!(!transcript.contains("sesame"), "{transcript}");
    assert!(transcript.contains("raw mode: false"), "{transcript}");
}

#[test]
fn long_paste_arrives_whole() {
    let mut pty = play("wait");
    pty.wait_for("Waiting for the browser");
    pty.paste(&("x".repeat(10_000) + "\n"));
    pty.wait_for("line of 10000 bytes\r\n");
    pty.type_keys(&("x".repeat(3_000) + "\r"));
    pty.wait_for("line of 3000 bytes\r\n");
    pty.paste(&"x".repeat(ui::MAX_INPUT + 1));
    pty.wait_for("input of more than 64 KiB was dropped\r\n");
    pty.paste("short\n");
    pty.wait_for("line of 5 bytes\r\n");
    pty.type_keys(CTRL_C);
    assert_eq!(pty.finish().0, 130);
}

#[test]
fn questions_and_filters_have_keys_of_readline() {
    let mut pty = play("ask");
    pty.wait_for("Name?");
    pty.type_keys("one two\x17tree\x01\x0bthree\x05x\x08 four\x15five\r");
    pty.wait_for("name five\r\n");
    pty.wait_for("type to filter");
    pty.type_keys("zzz");
    pty.wait_for("no match for `zzz`; press Ctrl-U to clear it");
    pty.type_keys(ENTER);
    pty.type_keys("\x15gamm\x01\x0balp\x05h");
    pty.wait_for("Which? alph");
    pty.type_keys(ENTER);
    pty.wait_for("chosen 0\r\n");
    pty.wait_for("Sure? (y/N)");
    pty.type_keys("maybe\r");
    pty.wait_for("type y for yes or n for no");
    pty.type_keys("\x17y\r");
    pty.wait_for("sure true\r\n");
    let shown = pty.finish_with(0);
    let end = crate::support::pty::screen(&shown);
    assert!(
        end.ends_with("> Name? five\nname five\n> Which? Alpha\nchosen 0\n> Sure? Yes\nsure true\nraw mode: false"),
        "{end}"
    );
}

#[test]
fn canceled_menu_leaves_nothing_on_screen() {
    for key in ["\x1b", "\x04", CTRL_C] {
        let mut pty = play("menu");
        pty.wait_for("type to filter");
        pty.type_keys(key);
        let shown = pty.finish_with(130);
        let end = crate::support::pty::screen(&shown);
        assert!(end.ends_with("before\nraw mode: false"), "{key:?}: {end}");
    }
}

#[test]
fn unterminated_escape_sequence_keeps_ctrl_c() {
    for part in ["wait", "ask", "menu"] {
        for sequence in ["\x1b[200~half", "\x1b[", "\x1bO", "\x1b[1;", "\x1b[<0;1", "\x1b]0;title", "\x1bP"] {
            let mut pty = play(part);
            pty.wait_for(match part {
                "wait" => "Waiting for the browser",
                "ask" => "Name?",
                _ => "type to filter",
            });
            pty.type_keys(sequence);
            pty.type_keys(CTRL_C);
            assert_eq!(pty.finish().0, 130, "{part} {sequence:?}");
        }
    }
}

#[test]
fn panic_restores_terminal_first() {
    let mut pty = play("panic");
    pty.wait_for("\x1b[?2004l");
    pty.wait_for("on purpose");
    assert_ne!(pty.finish().0, 0);
}
