use super::*;

fn prompt<Q>(text: &str, question: Q) -> Prompt<'_, Q> {
    Prompt { text, input: Input::default(), question }
}

fn shown(view: &View) -> String {
    let row = |row: &String| anstream::adapter::strip_str(row).to_string().trim_end().to_owned();
    view.rows.iter().map(row).collect::<Vec<_>>().join("\n")
}

fn press<Q: Question>(prompt: &mut Prompt<'_, Q>, code: KeyCode, modifiers: KeyModifiers) -> Option<Q::Answer> {
    prompt.event(Event::Key(KeyEvent::new(code, modifiers))).unwrap()
}

fn typed(menu: &mut Prompt<'_, Menu<'_>>, text: &str) -> String {
    for character in text.chars() {
        press(menu, KeyCode::Char(character), KeyModifiers::NONE);
    }
    shown(&menu.view(60, 24))
}

fn any_text() -> Text<'static, impl Fn(&str) -> Result<String, String>> {
    Text { parse: |typed: &str| Ok(typed.to_owned()), help: None, wrong: None }
}

/// The text before and after the cursor, once `keys` have edited `one two|three`.
fn edited(keys: &[(KeyCode, KeyModifiers)]) -> String {
    let mut prompt = prompt("?", any_text());
    prompt.input = Input::new("one twothrée four".to_owned()).with_cursor("one two".len());
    for (code, modifiers) in keys {
        press(&mut prompt, *code, *modifiers);
    }
    let (before, after): (Vec<_>, Vec<_>) =
        prompt.input.value().chars().enumerate().partition(|(index, _)| *index < prompt.input.cursor());
    let text = |side: Vec<(usize, char)>| side.into_iter().map(|(_, character)| character).collect::<String>();
    format!("{}|{}", text(before), text(after))
}

#[test]
fn keys_of_readline_edit_line() {
    let control = |letter| (KeyCode::Char(letter), KeyModifiers::CONTROL);
    let alt = |letter| (KeyCode::Char(letter), KeyModifiers::ALT);
    let plain = |code| (code, KeyModifiers::NONE);
    let x = || plain(KeyCode::Char('x'));
    let table: Vec<(Vec<(KeyCode, KeyModifiers)>, &str)> = vec![
        (vec![control('u')], "|thrée four"),
        (vec![control('k')], "one two|"),
        (vec![control('w')], "one |thrée four"),
        (vec![control('w'), control('w'), control('w')], "|thrée four"),
        (vec![control('a'), x()], "x|one twothrée four"),
        (vec![control('e'), x()], "one twothrée fourx|"),
        (vec![plain(KeyCode::Home), x(), plain(KeyCode::End), x()], "xone twothrée fourx|"),
        (vec![control('b'), control('b'), control('f'), x()], "one twx|othrée four"),
        (vec![plain(KeyCode::Left), plain(KeyCode::Left), plain(KeyCode::Right)], "one tw|othrée four"),
        (vec![control('h'), plain(KeyCode::Backspace)], "one t|thrée four"),
        (vec![control('d'), plain(KeyCode::Delete)], "one two|rée four"),
        (vec![alt('b'), alt('b')], "|one twothrée four"),
        (vec![alt('f'), alt('f'), alt('f')], "one twothrée four|"),
        (vec![alt('d'), alt('d')], "one two|"),
        (vec![(KeyCode::Backspace, KeyModifiers::ALT)], "one |thrée four"),
        (vec![control('a'), control('b'), control('h'), control('w')], "|one twothrée four"),
        (vec![control('e'), control('f'), control('d'), control('k')], "one twothrée four|"),
        (vec![control('t'), control('y'), control('x'), alt('x'), plain(KeyCode::F(1))], "one two|thrée four"),
        (vec![control('k'), control('a'), control('y')], "thrée four|one two"),
        (vec![(KeyCode::Char('@'), ALT_GR)], "one two@|thrée four"),
    ];
    for (keys, expected) in table {
        assert_eq!(edited(&keys), expected, "{keys:?}");
    }
}

#[test]
fn pasted_text_is_one_line() {
    let mut prompt = prompt("?", any_text());
    prompt.event(Event::Paste(" ada@\r\nexample.com\x1b\x03\n".to_owned())).unwrap();
    assert_eq!(press(&mut prompt, KeyCode::Enter, KeyModifiers::NONE).as_deref(), Some("ada@example.com"));
}

#[test]
fn menu_says_if_filter_matches_nothing() {
    let options = ["Alpha".to_owned(), "Beta".to_owned()];
    let mut menu = prompt("Which?", Menu::new(&options, 1));
    let help = "[↑↓ to move, Enter to select, type to filter]";
    assert_eq!(typed(&mut menu, ""), format!("? Which?\n  Alpha\n> Beta\n{help}"));
    assert_eq!(typed(&mut menu, "LPH"), format!("? Which? LPH\n> Alpha\n{help}"));
    assert_eq!(
        typed(&mut menu, "x"),
        format!("? Which? LPHx\n  no match for `LPHx`; press Ctrl-U to clear it\n{help}")
    );
    assert_eq!(press(&mut menu, KeyCode::Enter, KeyModifiers::NONE), None);
    press(&mut menu, KeyCode::Char('u'), KeyModifiers::CONTROL);
    assert_eq!(typed(&mut menu, ""), format!("? Which?\n> Alpha\n  Beta\n{help}"));
}

#[test]
fn long_menu_scrolls() {
    let options: Vec<String> = (1..=30).map(|it| format!("option {it}")).collect();
    let mut menu = prompt("Which?", Menu::new(&options, 0));
    assert!(shown(&menu.view(60, 24)).contains("↓ option 10\n["));
    press(&mut menu, KeyCode::Up, KeyModifiers::NONE);
    let view = shown(&menu.view(60, 24));
    assert!(view.contains("↑ option 21\n") && view.contains("> option 30\n["), "{view}");
    assert_eq!(menu.view(60, 5).rows.len(), 4, "a low terminal");
}

#[test]
fn long_question_shows_all_of_account() {
    let account = format!("{}@evil.example", "x".repeat(100));
    let question = format!("Continue as {account}? (y/N)");
    let view = prompt(&question, any_text()).view(40, 24);
    assert!(shown(&view).replace('\n', "").contains(&account), "{}", shown(&view));
    assert!(shown(&view).lines().all(|row| row.width() <= 40));
    assert!(view.cursor.1 < 40);
}

#[test]
fn long_text_is_shown_at_its_end() {
    let mut prompt = prompt("Name?", any_text());
    prompt.event(Event::Paste("日本語👩‍🚀 ".repeat(20) + "end")).unwrap();
    let view = prompt.view(40, 24);
    assert!(shown(&view).ends_with("日本語👩‍🚀 end"), "{}", shown(&view));
    assert!(shown(&view).width() <= 40 && view.cursor.1 <= 40);
    press(&mut prompt, KeyCode::Home, KeyModifiers::NONE);
    let view = prompt.view(40, 24);
    assert!(shown(&view).starts_with("? Name? 日本語") && view.cursor == (0, 8), "{}", shown(&view));
    assert!(shown(&view).width() <= 40);
}
