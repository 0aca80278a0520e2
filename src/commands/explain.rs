//! `astro auth explain`: what a message of this program means, and what to do, out of `docs/troubleshooting.md`.

use crate::error::Error;
use crate::text::wrapped;
use crate::ui::Ui;

const PAGE: &str = include_str!("../../docs/troubleshooting.md");
const WIDTH: usize = 78;

/// What the page has about one message, and about those that have the same reason.
struct Entry {
    /// The message, with `…` for what differs each time.
    message: &'static str,
    /// Why, and what to do; further messages stand between asterisks.
    text: String,
}

impl Entry {
    /// Whether one of the messages is what was asked about.
    fn says(&self, asked: &str) -> bool {
        let others = self.text.split('*').skip(1).step_by(2);
        std::iter::once(self.message).chain(others).any(|message| {
            let mut rest = asked;
            message.to_lowercase().split('…').all(|part| match rest.split_once(part) {
                Some((_, after)) => {
                    rest = after;
                    true
                }
                None => false,
            })
        })
    }

    fn has_all(&self, words: &str) -> bool {
        let all = format!("{} {}", self.message, self.text).to_lowercase();
        words.split_whitespace().all(|word| all.contains(word))
    }
}

fn entries() -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut open = false;
    for line in PAGE.lines() {
        if let Some(message) = line.strip_prefix("### ") {
            entries.push(Entry { message, text: String::new() });
            open = true;
        } else if line.starts_with('#') {
            open = false;
        } else if let Some(entry) = entries.last_mut().filter(|_| open && !line.is_empty()) {
            if !entry.text.is_empty() {
                entry.text.push(' ');
            }
            entry.text.push_str(line);
        }
    }
    entries
}

/// The entries about this message; where it is none of the program's, those that have all of its words.
fn about(asked: &str) -> Vec<Entry> {
    let asked = asked.to_lowercase();
    let (found, others): (Vec<_>, Vec<_>) = entries().into_iter().partition(|entry| entry.says(&asked));
    if found.is_empty() { others.into_iter().filter(|entry| entry.has_all(&asked)).collect() } else { found }
}

/// Prints what is known about a message, or of everything that has these words; without words, everything.
pub fn explain(ui: &Ui, words: &[String]) -> Result<(), Error> {
    let found = about(&words.join(" "));
    if found.is_empty() {
        return Err(Error::NotExplained);
    }
    let told = found.iter().map(|Entry { message, text }| {
        let lines = wrapped(text, WIDTH).into_iter().map(|line| format!("  {line}"));
        [(*message).to_owned()].into_iter().chain(lines).collect::<Vec<_>>().join("\n")
    });
    ui.data(&told.collect::<Vec<_>>().join("\n\n"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(asked: &str) -> Vec<&'static str> {
        about(asked).into_iter().map(|entry| entry.message).collect()
    }

    #[test]
    fn a_message_leads_to_its_entry_and_words_to_those_that_have_them() {
        let table: [(&str, &[&str]); 6] = [
            ("error: no reply from the browser within 5 minutes", &["no reply from the browser within …"]),
            ("cause: 127.0.0.1:1: Could not resolve the host name", &["could not resolve the host name"]),
            // One that stands in the text of an entry.
            ("the keychain went away before it answered", &["the keychain did not answer within … seconds"]),
            ("seahorse", &["the keychain is locked"]),
            ("sudo chown", &["… belongs to another user"]),
            ("astrolabe", &[]),
        ];
        for (asked, expected) in table {
            assert_eq!(messages(asked), expected, "{asked}");
        }
        assert_eq!(messages("").len(), PAGE.matches("\n### ").count());
    }

    #[test]
    fn an_entry_ends_where_its_section_does() {
        for entry in entries() {
            assert!(!entry.text.is_empty() && !entry.text.contains('#'), "{}: {}", entry.message, entry.text);
        }
    }
}
