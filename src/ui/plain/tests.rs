use std::sync::Arc;

use super::super::question::Menu;
use super::*;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The lines that ask, joined, and then the index of the answer to each typed line, or the lines that ask again.
fn dialog(options: &[String], start_at: usize, typed: &[&str]) -> String {
    let mut menu = Menu::new(options, start_at);
    let mut dialog = menu.plain("Which?").join("\n");
    for line in typed {
        let answer = menu.enter_plain(line).map(|index| format!("= {}", options[index]));
        dialog += &[" ", line, "\n"].concat();
        dialog += &answer.unwrap_or_else(|| menu.plain("Which?").join("\n"));
    }
    dialog
}

#[test]
fn plain_menu_takes_number_or_name() {
    let options = names(&["Acme", "Acme Labs", "Größe", "2"]);
    let answers = [
        ("", "Acme Labs"),
        ("1", "Acme"),
        ("2", "Acme Labs"),
        ("4", "2"),
        ("Acme", "Acme"),
        ("LABS", "Acme Labs"),
        ("grö", "Größe"),
    ];
    for (typed, answer) in answers {
        assert_eq!(Menu::new(&options, 1).enter_plain(typed).map(|it| options[it].as_str()), Some(answer), "{typed}");
    }
    insta::assert_snapshot!(dialog(&options, 1, &["0", "5", "-1", "zzz", "acme", "2"]), @r"
    Which?
      1  Acme
      2  Acme Labs
      3  Größe
      4  2
    Number or name [2]: 0
    no match for `0`
    Number or name [2]: 5
    no match for `5`
    Number or name [2]: -1
    no match for `-1`
    Number or name [2]: zzz
    no match for `zzz`
    Number or name [2]: acme
    Which?
      1  Acme
      2  Acme Labs
    Number or name [1]: 2
    = Acme Labs
    ");
}

#[test]
fn long_plain_menu_shows_twenty_matches() {
    let options: Vec<String> = (1..=10_000).map(|number| format!("Org {number:05}")).collect();
    let asked = "Which?\n10000 to choose from\nPart of the name:";
    assert_eq!(dialog(&options, 0, &[""]), format!("{asked} \n{asked}"));
    let shown = dialog(&options, 4711, &["123", "012", "20"]);
    let (start, end) = shown.split_once("Number or name [1]: 012\n").unwrap();
    assert!(start.starts_with(&format!("{asked} 123\nWhich?\n  1  Org 00123\n")), "{start}");
    assert!(start.ends_with("\n 20  Org 09123\n"), "{start}");
    assert!(end.ends_with("\n 20  Org 01207\nand 100 more\nNumber or name [1]: 20\n= Org 01207"), "{end}");
    assert_eq!(end.lines().count(), 24, "{end}");
    assert_eq!(Menu::new(&options, 0).enter_plain("org 04711"), Some(4710));
}

#[tokio::test]
async fn lines_of_stdin_are_bounded() {
    let whole = "x".repeat(MAX_INPUT);
    let (ui, captured) = Ui::captured(false, format!("one\r\n\n{whole}\n{whole}y\nlast"));
    let mut lines = ui.input_lines();
    for expected in ["one\r", "", &whole, "last"] {
        assert_eq!(lines.next().await.unwrap().unwrap().expose(), expected);
    }
    assert!(lines.next().await.unwrap().is_none());
    assert_eq!(
        captured.stderr(),
        "warning: input of more than 64 KiB was dropped\nhint: paste the URL or the token alone\n"
    );
}

#[tokio::test(start_paused = true)]
async fn wait_in_plain_lines_says_that_it_goes_on() {
    for (terminal, reminders) in [(true, 3), (false, 0)] {
        let (mut ui, captured) = Ui::captured(false, "");
        Arc::get_mut(&mut ui.0).unwrap().terminal = terminal;
        tokio::time::timeout(REMINDER * 7 / 2, ui.remind()).await.unwrap_err();
        assert_eq!(captured.stderr(), "Still waiting…\n".repeat(reminders));
    }
}
