//! Questions and menus. `tui-input` edits the typed text.
//!
//! The libraries that also draw (inquire, dialoguer, cliclack, reedline) block on the keyboard: nothing else could end such
//! a prompt, or draw it again after Ctrl-Z.

use anstyle::{AnsiColor, Style};
use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tui_input::{Input, InputRequest};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::paste::ALT_GR;
use super::screen::{self, Screen, View};
use super::{Ui, UiError};
use crate::text::{cut, wrapped};

pub(super) const MARK: Style = AnsiColor::Green.on_default();
pub(super) const ANSWER: Style = AnsiColor::Cyan.on_default();
const WRONG: Style = AnsiColor::Red.on_default();
const CONTROL: KeyModifiers = KeyModifiers::CONTROL;

/// The most rows of a menu.
const MENU_ROWS: usize = 10;
/// The most options of a menu that are printed at once if nothing is drawn.
const MENU_LINES: usize = 20;
/// The columns that the input needs beside its question.
const LEAST_INPUT: usize = 12;

pub(super) trait Question {
    type Answer;
    /// Returns the answer to Enter, or `None` if the question remains.
    fn enter(&mut self, typed: &str) -> Option<Self::Answer>;
    /// Reacts to a key that does not edit.
    fn key(&mut self, _: KeyEvent) {}
    /// Reacts to a change of the text.
    fn edited(&mut self, typed: &str);
    /// Returns at most this many lines to show below the text.
    fn below(&self, typed: &str, rows: usize) -> Vec<(Style, String)>;
    /// Returns the lines that ask if nothing is drawn. The answer is typed at the end of the last one.
    fn plain(&self, text: &str) -> Vec<String>;
    /// Returns the answer to a line that was typed there, or `None` if the question remains.
    fn enter_plain(&mut self, typed: &str) -> Option<Self::Answer> {
        self.enter(typed)
    }
}

/// A question with the text that is typed at it.
struct Prompt<'a, Q> {
    text: &'a str,
    input: Input,
    question: Q,
}

impl Ui {
    pub(super) async fn ask<Q: Question>(&self, text: &str, question: Q) -> Result<Q::Answer, UiError> {
        if !self.supports_escapes() {
            return self.ask_plain(text, question).await;
        }
        let mut reader = self.reader()?;
        let mut screen = Screen::new(self);
        let mut prompt = Prompt { text, input: Input::default(), question };
        loop {
            let (columns, rows) = screen::size();
            screen.draw(&prompt.view(columns, rows));
            match reader.next().await? {
                Some(event) => {
                    if let Some(answer) = prompt.event(event)? {
                        return Ok(answer);
                    }
                }
                None => screen.start_anew(),
            }
        }
    }
}

impl<Q: Question> Prompt<'_, Q> {
    fn event(&mut self, event: Event) -> Result<Option<Q::Answer>, UiError> {
        let key = match event {
            Event::Paste(text) => {
                for character in text.trim().chars().filter(|character| !character.is_control()) {
                    self.input.handle(InputRequest::InsertChar(character));
                }
                self.question.edited(self.input.value());
                return Ok(None);
            }
            Event::Key(key) if key.kind != KeyEventKind::Release => key,
            _ => return Ok(None),
        };
        match (key.code, key.modifiers) {
            (KeyCode::Esc, _) | (KeyCode::Char('c'), CONTROL) => return Err(UiError::Canceled),
            (KeyCode::Char('d'), CONTROL) if self.input.value().is_empty() => return Err(UiError::Canceled),
            (KeyCode::Enter, _) | (KeyCode::Char('j'), CONTROL) => {
                return Ok(self.question.enter(self.input.value().trim()));
            }
            _ => match edit(key) {
                Some(request) if self.input.handle(request).is_some_and(|change| change.value) => {
                    self.question.edited(self.input.value());
                }
                Some(_) => {}
                None => self.question.key(key),
            },
        }
        Ok(None)
    }

    fn view(&self, columns: usize, rows: usize) -> View {
        let mut lines = broken(&format!("? {}", self.text), columns);
        if lines.last().is_none_or(|line| line.width() + 1 + LEAST_INPUT > columns) {
            lines.push(String::new());
        }
        let row = lines.len() - 1;
        let used = lines[row].width() + 1;
        let value = self.input.value();
        let cursor = value.char_indices().nth(self.input.cursor()).map_or(value.len(), |(index, _)| index);
        // The end of a long text is shown.
        let mut width = used;
        let fits = |(_, character): &(usize, char)| {
            width += character.width().unwrap_or(0);
            width <= columns
        };
        let start = value[..cursor].char_indices().rev().take_while(fits).last().map_or(cursor, |(index, _)| index);
        lines[row] = cut(&format!("{} {}", lines[row], &value[start..]), columns);
        lines[0] = lines[0].replacen('?', &format!("{MARK}?{MARK:#}"), 1);
        // One row remains free: the terminal may scroll there.
        let below = self.question.below(value, rows.saturating_sub(lines.len() + 1));
        lines.extend(below.into_iter().map(|(style, line)| format!("{style}{}{style:#}", cut(&line, columns))));
        View { rows: lines, cursor: (row, used + value[start..cursor].width()) }
    }
}

/// Returns the edit of a key of readline, or `None` for another key.
fn edit(key: KeyEvent) -> Option<InputRequest> {
    const ALT: KeyModifiers = KeyModifiers::ALT;
    Some(match (key.code, key.modifiers & ALT_GR) {
        (KeyCode::Char('a'), CONTROL) | (KeyCode::Home, _) => InputRequest::GoToStart,
        (KeyCode::Char('e'), CONTROL) | (KeyCode::End, _) => InputRequest::GoToEnd,
        (KeyCode::Char('b'), ALT) | (KeyCode::Left, CONTROL | ALT) => InputRequest::GoToPrevWord,
        (KeyCode::Char('f'), ALT) | (KeyCode::Right, CONTROL | ALT) => InputRequest::GoToNextWord,
        (KeyCode::Char('b'), CONTROL) | (KeyCode::Left, _) => InputRequest::GoToPrevChar,
        (KeyCode::Char('f'), CONTROL) | (KeyCode::Right, _) => InputRequest::GoToNextChar,
        (KeyCode::Char('u'), CONTROL) => InputRequest::DeleteFromStart,
        (KeyCode::Char('k'), CONTROL) => InputRequest::DeleteTillEnd,
        (KeyCode::Char('w'), CONTROL) | (KeyCode::Backspace, CONTROL | ALT) => InputRequest::DeletePrevWord,
        (KeyCode::Char('d'), ALT) | (KeyCode::Delete, CONTROL | ALT) => InputRequest::DeleteNextWord,
        (KeyCode::Char('h'), CONTROL) | (KeyCode::Backspace, _) => InputRequest::DeletePrevChar,
        (KeyCode::Char('d'), CONTROL) | (KeyCode::Delete, _) => InputRequest::DeleteNextChar,
        (KeyCode::Char('y'), CONTROL) => InputRequest::Yank,
        (KeyCode::Char(character), held) if held.is_empty() || held == ALT_GR => InputRequest::InsertChar(character),
        _ => return None,
    })
}

/// A line of text, which `parse` may reject.
pub(super) struct Text<'a, F> {
    pub(super) parse: F,
    pub(super) help: Option<&'a str>,
    pub(super) wrong: Option<String>,
}

impl<A, F: Fn(&str) -> Result<A, String>> Question for Text<'_, F> {
    type Answer = A;

    fn enter(&mut self, typed: &str) -> Option<A> {
        (self.parse)(typed).map_err(|wrong| self.wrong = Some(wrong)).ok()
    }

    fn edited(&mut self, _: &str) {
        self.wrong = None;
    }

    fn below(&self, _: &str, _: usize) -> Vec<(Style, String)> {
        let wrong = self.wrong.as_ref().map(|wrong| (WRONG, format!("# {wrong}")));
        wrong.or_else(|| Some((ANSWER, format!("[{}]", self.help?)))).into_iter().collect()
    }

    fn plain(&self, text: &str) -> Vec<String> {
        let above = self.wrong.clone().or_else(|| self.help.map(str::to_owned));
        above.into_iter().chain([text.to_owned()]).collect()
    }
}

/// One of several options. Typed text filters the list.
pub(super) struct Menu<'a> {
    options: &'a [String],
    /// The indices of the options that match the filter.
    matches: Vec<usize>,
    /// The position in `matches`.
    chosen: usize,
    /// The reason to ask for a line again.
    wrong: Option<String>,
}

impl<'a> Menu<'a> {
    pub(super) fn new(options: &'a [String], start_at: usize) -> Self {
        let chosen = start_at.min(options.len().saturating_sub(1));
        Self { options, matches: (0..options.len()).collect(), chosen, wrong: None }
    }

    fn matching(&self, typed: &str) -> Vec<usize> {
        let filter = typed.trim().to_lowercase();
        (0..self.options.len()).filter(|index| self.options[*index].to_lowercase().contains(&filter)).collect()
    }

    /// Returns the number of matches that are printed. Of a long list, only those that were asked for are.
    fn numbered(&self) -> usize {
        let is_long_list = self.matches.len() == self.options.len() && self.options.len() > MENU_LINES;
        if is_long_list { 0 } else { self.matches.len().min(MENU_LINES) }
    }
}

impl Question for Menu<'_> {
    type Answer = usize;

    fn enter(&mut self, _: &str) -> Option<usize> {
        self.matches.get(self.chosen).copied()
    }

    fn key(&mut self, key: KeyEvent) {
        let last = self.matches.len().saturating_sub(1);
        self.chosen = match (key.code, key.modifiers) {
            (KeyCode::Up, _) | (KeyCode::Char('p'), CONTROL) => self.chosen.checked_sub(1).unwrap_or(last),
            (KeyCode::Down, _) | (KeyCode::Char('n'), CONTROL) if self.chosen == last => 0,
            (KeyCode::Down, _) | (KeyCode::Char('n'), CONTROL) => self.chosen + 1,
            (KeyCode::PageUp, _) => self.chosen.saturating_sub(MENU_ROWS),
            (KeyCode::PageDown, _) => (self.chosen + MENU_ROWS).min(last),
            _ => self.chosen,
        };
    }

    fn edited(&mut self, typed: &str) {
        let before = self.enter(typed).filter(|_| typed.trim().is_empty());
        let matches = self.matching(typed);
        if matches != self.matches {
            self.chosen = matches.iter().position(|index| Some(*index) == before).unwrap_or(0);
            self.matches = matches;
        }
    }

    fn below(&self, typed: &str, rows: usize) -> Vec<(Style, String)> {
        let shown = MENU_ROWS.min(rows.saturating_sub(1)).max(1);
        let start = self.chosen.saturating_sub(shown / 2).min(self.matches.len().saturating_sub(shown));
        let end = (start + shown).min(self.matches.len());
        let row = |position: usize| {
            let (mark, style) = match position {
                chosen if chosen == self.chosen => ('>', ANSWER),
                first if first == start && start > 0 => ('↑', Style::new()),
                last if last + 1 == end && end < self.matches.len() => ('↓', Style::new()),
                _ => (' ', Style::new()),
            };
            (style, format!("{mark} {}", self.options[self.matches[position]]))
        };
        let mut below: Vec<_> = (start..end).map(row).collect();
        if below.is_empty() {
            below.push((WRONG, format!("  no match for `{typed}`; press Ctrl-U to clear it")));
        }
        below.push((ANSWER, "[↑↓ to move, Enter to select, type to filter]".to_owned()));
        below
    }

    fn plain(&self, text: &str) -> Vec<String> {
        let numbered = self.numbered();
        let mut lines = Vec::new();
        if let Some(wrong) = &self.wrong {
            lines.push(wrong.clone());
        } else {
            lines.push(text.to_owned());
            let rows = self.matches.iter().take(numbered).enumerate();
            lines.extend(rows.map(|(position, index)| format!("{:>3}  {}", position + 1, self.options[*index])));
            match self.matches.len() - numbered {
                0 => {}
                all if numbered == 0 => lines.push(format!("{all} to choose from")),
                more => lines.push(format!("and {more} more")),
            }
        }
        lines.push(match numbered {
            0 => "Part of the name:".to_owned(),
            _ => format!("Number or name [{}]:", self.chosen + 1),
        });
        lines
    }

    fn enter_plain(&mut self, typed: &str) -> Option<usize> {
        let is_of = |position: &usize| match typed {
            "" => *position == self.chosen,
            _ => (position + 1).to_string() == typed,
        };
        let position = (0..self.numbered()).find(is_of);
        let exact = || self.options.iter().position(|option| option == typed);
        let found = self.matching(typed);
        let answer =
            position.map(|it| self.matches[it]).or_else(exact).or(found.first().copied().filter(|_| found.len() == 1));
        self.wrong = found.is_empty().then(|| format!("no match for `{typed}`"));
        if !found.is_empty() {
            (self.matches, self.chosen) = (found, 0);
        }
        answer
    }
}

/// Breaks `text` at blanks into rows of at most this many columns, and longer words anywhere.
fn broken(text: &str, columns: usize) -> Vec<String> {
    let mut rows = Vec::new();
    for line in wrapped(text, columns) {
        let (mut row, mut width) = (String::new(), 0);
        for character in line.chars() {
            let columns_of_it = character.width().unwrap_or(0);
            if width + columns_of_it > columns {
                rows.push(std::mem::take(&mut row));
                width = 0;
            }
            row.push(character);
            width += columns_of_it;
        }
        rows.push(row);
    }
    rows
}

#[cfg(test)]
mod tests;
