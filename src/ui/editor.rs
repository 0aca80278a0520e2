//! The line that is typed at a question, with the keys of readline.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::paste::ALT_GR;

/// A line of text with a cursor.
#[derive(Debug, Default)]
pub(super) struct LineEditor {
    before: String,
    after: String,
}

impl LineEditor {
    pub(super) fn text(&self) -> String {
        format!("{}{}", self.before, self.after)
    }

    /// Returns the text before the cursor and the text after it.
    pub(super) fn parts(&self) -> (&str, &str) {
        (&self.before, &self.after)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.before.is_empty() && self.after.is_empty()
    }

    /// Inserts pasted text as one line.
    pub(super) fn paste(&mut self, text: &str) {
        self.before.extend(text.trim().chars().filter(|character| !character.is_control()));
    }

    /// Applies a key. Returns `false` for a key that does not edit.
    pub(super) fn key(&mut self, key: KeyEvent) -> bool {
        const CONTROL: KeyModifiers = KeyModifiers::CONTROL;
        const ALT: KeyModifiers = KeyModifiers::ALT;
        match (key.code, key.modifiers & ALT_GR) {
            (KeyCode::Char('a'), CONTROL) | (KeyCode::Home, _) => {
                self.after.insert_str(0, &std::mem::take(&mut self.before));
            }
            (KeyCode::Char('e'), CONTROL) | (KeyCode::End, _) => self.before.push_str(&std::mem::take(&mut self.after)),
            (KeyCode::Char('b'), ALT) | (KeyCode::Left, CONTROL | ALT) => {
                self.after.insert_str(0, &self.before.split_off(self.word_start()));
            }
            (KeyCode::Char('f'), ALT) | (KeyCode::Right, CONTROL | ALT) => {
                let rest = self.after.split_off(self.word_end());
                self.before.push_str(&std::mem::replace(&mut self.after, rest));
            }
            (KeyCode::Char('b'), CONTROL) | (KeyCode::Left, _) => {
                self.after.extend_front(self.before.pop());
            }
            (KeyCode::Char('f'), CONTROL) | (KeyCode::Right, _) => self.before.extend(self.after.pop_front()),
            (KeyCode::Char('u'), CONTROL) => self.before.clear(),
            (KeyCode::Char('k'), CONTROL) => self.after.clear(),
            (KeyCode::Char('w'), CONTROL) | (KeyCode::Backspace, CONTROL | ALT) => {
                self.before.truncate(self.word_start());
            }
            (KeyCode::Char('d'), ALT) => drop(self.after.drain(..self.word_end())),
            (KeyCode::Char('h'), CONTROL) | (KeyCode::Backspace, _) => drop(self.before.pop()),
            (KeyCode::Char('d'), CONTROL) | (KeyCode::Delete, _) => drop(self.after.pop_front()),
            (KeyCode::Char(character), held) if held.is_empty() || held == ALT_GR => self.before.push(character),
            _ => return false,
        }
        true
    }

    /// Returns the start of the word before the cursor.
    fn word_start(&self) -> usize {
        let word = self.before.trim_end();
        word.char_indices().rev().find(|(_, it)| it.is_whitespace()).map_or(0, |(index, it)| index + it.len_utf8())
    }

    /// Returns the end of the word after the cursor.
    fn word_end(&self) -> usize {
        let blanks = self.after.len() - self.after.trim_start().len();
        self.after[blanks..].find(char::is_whitespace).map_or(self.after.len(), |length| blanks + length)
    }
}

trait Front {
    fn pop_front(&mut self) -> Option<char>;
    fn extend_front(&mut self, character: Option<char>);
}

impl Front for String {
    fn pop_front(&mut self) -> Option<char> {
        (!self.is_empty()).then(|| self.remove(0))
    }

    fn extend_front(&mut self, character: Option<char>) {
        if let Some(character) = character {
            self.insert(0, character);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text before and after the cursor, once `keys` have edited `one two|three`.
    fn edited(keys: &[(KeyCode, KeyModifiers)]) -> String {
        let mut editor = LineEditor { before: "one two".to_owned(), after: "thrée four".to_owned() };
        for (code, modifiers) in keys {
            editor.key(KeyEvent::new(*code, *modifiers));
        }
        format!("{}|{}", editor.before, editor.after)
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
            (vec![(KeyCode::Char('@'), ALT_GR)], "one two@|thrée four"),
        ];
        for (keys, expected) in table {
            assert_eq!(edited(&keys), expected, "{keys:?}");
        }
    }

    #[test]
    fn pasted_text_is_one_line() {
        let mut editor = LineEditor::default();
        editor.paste(" ada@\r\nexample.com\x1b\x03\n");
        assert_eq!(editor.text(), "ada@example.com");
    }
}
