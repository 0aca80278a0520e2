use crossterm::event::KeyEvent;

use super::*;

const PLAIN: KeyModifiers = KeyModifiers::NONE;
const CONTROL: KeyModifiers = KeyModifiers::CONTROL;

fn key(code: KeyCode, modifiers: KeyModifiers) -> Event {
    Event::Key(KeyEvent::new(code, modifiers))
}

fn control(letter: char) -> Event {
    key(KeyCode::Char(letter), CONTROL)
}

fn enter() -> Event {
    key(KeyCode::Enter, PLAIN)
}

fn typed(text: &str) -> Vec<Event> {
    text.chars().map(|character| key(KeyCode::Char(character), PLAIN)).collect()
}

fn pasted(text: &str) -> Vec<Event> {
    vec![Event::Paste(text.to_owned())]
}

/// The results of the events, then the number of characters on the line.
fn outcome(events: impl IntoIterator<Item = Event>) -> String {
    let mut editor = Editor::new();
    let mut outcome = String::new();
    for event in events {
        match editor.feed(event) {
            Edit::Unfinished => {}
            Edit::Entered(line) => outcome.extend(["[", line.expose(), "]"]),
            Edit::Overlong => outcome += "overlong ",
            Edit::Canceled => outcome += "canceled",
        }
    }
    outcome + &editor.text.chars().count().to_string()
}

#[test]
fn line_is_edited_and_entered() {
    let backspace = || key(KeyCode::Backspace, PLAIN);
    let released = Event::Key(KeyEvent::new_with_kind(KeyCode::Char('x'), PLAIN, KeyEventKind::Release));
    let table: Vec<(&str, Vec<Event>, &str)> = vec![
        ("typing", typed("añ日"), "3"),
        ("enter", [typed("ab"), vec![enter()]].concat(), "[ab]0"),
        ("empty line", vec![enter(), enter()], "[][]0"),
        ("backspace", [typed("añ"), vec![backspace(), backspace(), backspace(), enter()]].concat(), "[]0"),
        ("control-h", [typed("ab"), vec![control('h'), enter()]].concat(), "[a]0"),
        ("control-u", [typed("ab"), vec![control('u')], typed("c"), vec![enter()]].concat(), "[c]0"),
        ("control-c", [typed("ab"), vec![control('c')]].concat(), "canceled2"),
        ("control-d on an empty line", vec![control('d')], "canceled0"),
        ("control-d elsewhere", [typed("a"), vec![control('d')]].concat(), "1"),
        ("line feed", [typed("a"), vec![control('j')]].concat(), "[a]0"),
        ("line feed of a typed CRLF", [typed("a"), vec![enter(), control('j'), control('j')]].concat(), "[a][]0"),
        ("other keys", vec![control('z'), key(KeyCode::Left, PLAIN), key(KeyCode::Esc, PLAIN), released], "0"),
        ("alt", vec![key(KeyCode::Char('x'), KeyModifiers::ALT)], "0"),
        ("shift", vec![key(KeyCode::Char('X'), KeyModifiers::SHIFT)], "1"),
        ("AltGr on Windows", vec![key(KeyCode::Char('@'), CONTROL | KeyModifiers::ALT), enter()], "[@]0"),
        ("resizing", vec![Event::Resize(80, 24)], "0"),
    ];
    for (name, events, expected) in table {
        assert_eq!(outcome(events), expected, "{name}");
    }
}

#[test]
fn paste_is_one_line_entered_by_its_newline() {
    let table: Vec<(&str, Vec<Event>, &str)> = vec![
        ("without a newline", pasted("http://localhost/?code=x"), "24"),
        ("then Enter", [pasted("abc"), vec![enter()]].concat(), "[abc]0"),
        ("with a newline", pasted("abc\n"), "[abc]0"),
        ("with Windows' newline", pasted("abc\r\n"), "[abc]0"),
        ("wrapped", pasted("abc\r\ndef\nghi\n"), "[abcdefghi]0"),
        ("in two parts", [pasted("abc"), pasted("def\r")].concat(), "[abcdef]0"),
        ("newlines alone open no browser", pasted("\n\n"), "0"),
    ];
    for (name, events, expected) in table {
        assert_eq!(outcome(events), expected, "{name}");
    }
}

#[test]
fn overlong_line_dropped_to_its_end() {
    let longest = "a".repeat(MAX_INPUT);
    assert_eq!(outcome([pasted(&longest), vec![enter()]].concat()), format!("[{longest}]0"));
    let too_long = longest + "a";
    assert_eq!(outcome([pasted(&too_long), vec![enter()], typed("b"), vec![enter()]].concat()), "overlong [b]0");
    assert_eq!(outcome([pasted(&too_long), pasted("right\n")].concat()), "overlong [right]0");
    assert_eq!(outcome([pasted(&too_long), vec![control('u')], typed("b"), vec![enter()]].concat()), "overlong [b]0");
    assert_eq!(outcome([typed(&too_long), typed("rest"), vec![enter(), enter()]].concat()), "overlong []0");
}

#[test]
fn tk_11_debug_hides_line() {
    let mut editor = Editor::new();
    editor.feed(Event::Paste("code=secret".into()));
    assert_eq!(format!("{:?}", editor.feed(enter())), "Entered(Line(redacted))");
}
