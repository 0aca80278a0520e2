//! The three kinds of questions: a line of text, yes or no, and a menu.

use anstyle::{AnsiColor, Style};
use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use unicode_width::UnicodeWidthStr as _;

use super::editor::LineEditor;
use super::screen::{Row, View, broken, fitting_end};

const PLAIN: Style = Style::new();
pub(super) const MARK: Style = AnsiColor::Green.on_default();
pub(super) const ANSWER: Style = AnsiColor::Cyan.on_default();
const WRONG: Style = AnsiColor::Red.on_default();

/// The most rows of a menu.
const MENU_ROWS: usize = 10;
/// The columns that the input needs beside its question.
const LEAST_INPUT: usize = 12;

/// The effect of an event on a question.
pub(super) enum Step<A> {
    Draw,
    Ignore,
    Answer(A),
    Cancel,
}

pub(super) trait Question: Send + 'static {
    type Answer: Send + 'static;
    fn editor(&mut self) -> &mut LineEditor;
    /// Reacts to a key that is none of the editor's.
    fn key(&mut self, code: KeyCode, modifiers: KeyModifiers) -> Step<Self::Answer>;
    /// Reacts to a change of the text.
    fn edited(&mut self);
    fn view(&self, columns: usize, rows: usize) -> View;

    fn event(&mut self, event: Event) -> Step<Self::Answer> {
        let key = match event {
            Event::Resize(..) => return Step::Draw,
            Event::Paste(text) => {
                self.editor().paste(&text);
                self.edited();
                return Step::Draw;
            }
            Event::Key(key) if key.kind != KeyEventKind::Release => key,
            _ => return Step::Ignore,
        };
        match (key.code, key.modifiers) {
            (KeyCode::Esc, _) | (KeyCode::Char('c'), KeyModifiers::CONTROL) => Step::Cancel,
            (KeyCode::Char('d'), KeyModifiers::CONTROL) if self.editor().is_empty() => Step::Cancel,
            (KeyCode::Char('j'), KeyModifiers::CONTROL) => self.key(KeyCode::Enter, KeyModifiers::NONE),
            (KeyCode::Enter | KeyCode::Up | KeyCode::Down | KeyCode::PageUp | KeyCode::PageDown, _)
            | (KeyCode::Char('p' | 'n'), KeyModifiers::CONTROL) => self.key(key.code, key.modifiers),
            _ if self.editor().key(KeyEvent { ..key }) => {
                self.edited();
                Step::Draw
            }
            _ => Step::Ignore,
        }
    }
}

/// A line of text, which `check` may reject.
pub(super) struct Text {
    pub(super) question: String,
    /// The answer of Enter alone.
    pub(super) default: Option<String>,
    pub(super) help: Option<String>,
    pub(super) check: fn(&str) -> Result<(), String>,
    pub(super) editor: LineEditor,
    pub(super) wrong: Option<String>,
}

impl Question for Text {
    type Answer = String;

    fn editor(&mut self) -> &mut LineEditor {
        &mut self.editor
    }

    fn key(&mut self, code: KeyCode, _: KeyModifiers) -> Step<String> {
        if code != KeyCode::Enter {
            return Step::Ignore;
        }
        let typed = self.editor.text().trim().to_owned();
        match (self.check)(&typed) {
            _ if typed.is_empty() => Step::Answer(self.default.clone().unwrap_or_default()),
            Ok(()) => Step::Answer(typed),
            Err(wrong) => {
                self.wrong = Some(wrong);
                Step::Draw
            }
        }
    }

    fn edited(&mut self) {
        self.wrong = None;
    }

    fn view(&self, columns: usize, _: usize) -> View {
        let default = self.default.as_ref().map(|default| format!(" ({default})")).unwrap_or_default();
        let mut view = asking(&format!("{}{default}", self.question), &self.editor, columns);
        let below = match (&self.wrong, &self.help) {
            (Some(wrong), _) => Some((WRONG, format!("# {wrong}"))),
            (None, Some(help)) => Some((ANSWER, format!("[{help}]"))),
            (None, None) => None,
        };
        view.rows.extend(below.into_iter().map(|piece| vec![piece]));
        view
    }
}

/// Yes or no.
pub(super) struct Confirm {
    pub(super) text: Text,
    /// The answer of Enter alone.
    pub(super) default: bool,
}

pub(super) fn is_yes_or_no(answer: &str) -> Result<(), String> {
    yes_or_no(answer).map(drop).ok_or_else(|| "type y for yes or n for no".to_owned())
}

fn yes_or_no(answer: &str) -> Option<bool> {
    match answer.to_ascii_lowercase().as_str() {
        "y" | "yes" => Some(true),
        "n" | "no" => Some(false),
        _ => None,
    }
}

impl Question for Confirm {
    type Answer = bool;

    fn editor(&mut self) -> &mut LineEditor {
        &mut self.text.editor
    }

    fn key(&mut self, code: KeyCode, modifiers: KeyModifiers) -> Step<bool> {
        match self.text.key(code, modifiers) {
            Step::Answer(answer) => Step::Answer(yes_or_no(&answer).unwrap_or(self.default)),
            Step::Draw => Step::Draw,
            Step::Ignore => Step::Ignore,
            Step::Cancel => Step::Cancel,
        }
    }

    fn edited(&mut self) {
        self.text.edited();
    }

    fn view(&self, columns: usize, rows: usize) -> View {
        self.text.view(columns, rows)
    }
}

/// One of several options. Typed text filters the list.
pub(super) struct Menu {
    question: String,
    options: Vec<String>,
    /// The indices of the options that match the filter.
    matches: Vec<usize>,
    /// The position in `matches`.
    chosen: usize,
    editor: LineEditor,
}

impl Menu {
    pub(super) fn new(question: &str, options: Vec<String>, start_at: usize) -> Self {
        let matches: Vec<usize> = (0..options.len()).collect();
        let chosen = start_at.min(options.len().saturating_sub(1));
        Self { question: question.to_owned(), options, matches, chosen, editor: LineEditor::default() }
    }
}

impl Question for Menu {
    type Answer = usize;

    fn editor(&mut self) -> &mut LineEditor {
        &mut self.editor
    }

    fn key(&mut self, code: KeyCode, _: KeyModifiers) -> Step<usize> {
        let last = self.matches.len().saturating_sub(1);
        self.chosen = match code {
            KeyCode::Enter => return self.matches.get(self.chosen).map_or(Step::Ignore, |index| Step::Answer(*index)),
            KeyCode::Up | KeyCode::Char('p') => self.chosen.checked_sub(1).unwrap_or(last),
            KeyCode::Down | KeyCode::Char('n') => {
                if self.chosen < last {
                    self.chosen + 1
                } else {
                    0
                }
            }
            KeyCode::PageUp => self.chosen.saturating_sub(MENU_ROWS),
            KeyCode::PageDown => (self.chosen + MENU_ROWS).min(last),
            _ => return Step::Ignore,
        };
        Step::Draw
    }

    fn edited(&mut self) {
        let filter = self.editor.text().trim().to_lowercase();
        let before = self.matches.get(self.chosen).copied();
        let matching = |index: &usize| self.options[*index].to_lowercase().contains(&filter);
        let matches: Vec<usize> = (0..self.options.len()).filter(matching).collect();
        if matches != self.matches {
            self.chosen = matches.iter().position(|index| Some(*index) == before && filter.is_empty()).unwrap_or(0);
            self.matches = matches;
        }
    }

    fn view(&self, columns: usize, rows: usize) -> View {
        let mut view = asking(&self.question, &self.editor, columns);
        // The question and the help need their rows too.
        let shown = MENU_ROWS.min(rows.saturating_sub(view.rows.len() + 2)).max(1);
        let start = self.chosen.saturating_sub(shown / 2).min(self.matches.len().saturating_sub(shown));
        let end = (start + shown).min(self.matches.len());
        for (position, index) in self.matches.iter().enumerate().take(end).skip(start) {
            let (mark, style) = match position {
                chosen if chosen == self.chosen => ('>', ANSWER),
                first if first == start && start > 0 => ('↑', PLAIN),
                last if last + 1 == end && end < self.matches.len() => ('↓', PLAIN),
                _ => (' ', PLAIN),
            };
            view.rows.push(vec![(style, format!("{mark} {}", self.options[*index]))]);
        }
        if self.matches.is_empty() {
            view.rows.push(vec![(WRONG, format!("  no match for `{}`; press Ctrl-U to clear it", self.editor.text()))]);
        }
        view.rows.push(vec![(ANSWER, "[↑↓ to move, Enter to select, type to filter]".to_owned())]);
        view
    }
}

/// Returns the rows of a question and the typed text behind it.
fn asking(question: &str, editor: &LineEditor, columns: usize) -> View {
    let mut lines = broken(&format!("? {question}"), columns);
    if lines.last().is_none_or(|line| line.width() + 1 + LEAST_INPUT > columns) {
        lines.push(String::new());
    }
    let mut rows: Vec<Row> = lines.into_iter().map(|line| vec![(PLAIN, line)]).collect();
    if let Some((_, line)) = rows[0].first_mut()
        && let Some(rest) = line.strip_prefix('?')
    {
        rows[0] = vec![(MARK, "?".to_owned()), (PLAIN, rest.to_owned())];
    }
    let row = rows.len() - 1;
    let used = rows[row].iter().map(|(_, piece)| piece.width()).sum::<usize>() + 1;
    let (before, after) = editor.parts();
    // The end of a long text is shown.
    let visible = fitting_end(before, columns.saturating_sub(used));
    rows[row].push((PLAIN, format!(" {visible}{after}")));
    View { rows, cursor: (row, used + visible.width()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(view: &View) -> String {
        let row = |row: &Row| row.iter().map(|(_, piece)| piece.as_str()).collect::<String>().trim_end().to_owned();
        view.rows.iter().map(row).collect::<Vec<_>>().join("\n")
    }

    fn typed(menu: &mut Menu, text: &str) -> String {
        for character in text.chars() {
            let _ = menu.event(Event::Key(KeyEvent::new(KeyCode::Char(character), KeyModifiers::NONE)));
        }
        shown(&menu.view(60, 24))
    }

    #[test]
    fn menu_says_if_filter_matches_nothing() {
        let mut menu = Menu::new("Which?", vec!["Alpha".into(), "Beta".into()], 1);
        let help = "[↑↓ to move, Enter to select, type to filter]";
        assert_eq!(typed(&mut menu, ""), format!("? Which?\n  Alpha\n> Beta\n{help}"));
        assert_eq!(typed(&mut menu, "LPH"), format!("? Which? LPH\n> Alpha\n{help}"));
        assert_eq!(
            typed(&mut menu, "x"),
            format!("? Which? LPHx\n  no match for `LPHx`; press Ctrl-U to clear it\n{help}")
        );
        assert!(matches!(menu.key(KeyCode::Enter, KeyModifiers::NONE), Step::Ignore));
        let _ = menu.event(Event::Key(KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL)));
        assert_eq!(typed(&mut menu, ""), format!("? Which?\n> Alpha\n  Beta\n{help}"));
    }

    #[test]
    fn long_menu_scrolls() {
        let mut menu = Menu::new("Which?", (1..=30).map(|it| format!("option {it}")).collect(), 0);
        assert!(shown(&menu.view(60, 24)).contains("↓ option 10\n["));
        let _ = menu.key(KeyCode::Up, KeyModifiers::NONE);
        let view = shown(&menu.view(60, 24));
        assert!(view.contains("↑ option 21\n") && view.contains("> option 30\n["), "{view}");
        assert_eq!(menu.view(60, 5).rows.len(), 4, "a low terminal");
    }

    #[test]
    fn long_question_shows_all_of_account() {
        let account = format!("{}@evil.example", "x".repeat(100));
        let editor = LineEditor::default();
        let view = asking(&format!("Continue as {account}? (y/N)"), &editor, 40);
        assert!(shown(&view).replace('\n', "").contains(&account), "{}", shown(&view));
        assert!(view.rows.iter().flatten().all(|(_, piece)| piece.width() <= 40));
        assert!(view.cursor.1 < 40);
    }
}
