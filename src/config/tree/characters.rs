//! A text as the parser is to read it.
//!
//! The parser looks at each character many times, and its own input decodes UTF-8 at each look. Nearly all that it looks
//! for is ASCII, for which one byte will do.

use saphyr_parser::Input;

/// How many characters the parser may take for loaded. All of them are, but it makes as much room for the text of a scalar.
const LOADED: usize = 16;

/// What is left of a text without NULs, for the parser takes one for the end.
pub(super) struct Characters<'a> {
    text: &'a str,
    position: usize,
    /// The byte there, or 0 behind the end: it is looked at far more often than left.
    byte: u8,
}

impl<'a> Characters<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { text, position: 0, byte: text.bytes().next().unwrap_or_default() }
    }

    /// The byte behind this one, or 0 behind the end.
    #[inline]
    fn next_byte(&self) -> u8 {
        self.text.as_bytes().get(self.position + 1).copied().unwrap_or_default()
    }

    fn is_flow(byte: u8) -> bool {
        matches!(byte, b',' | b'[' | b']' | b'{' | b'}')
    }

    fn is_blank_break_or_end(byte: u8) -> bool {
        matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0)
    }

    /// The character, where it is not ASCII.
    #[cold]
    fn wide(&self) -> Option<char> {
        self.text.get(self.position..)?.chars().next()
    }
}

impl Input for Characters<'_> {
    #[inline]
    fn lookahead(&mut self, _count: usize) {}

    #[inline]
    fn buflen(&self) -> usize {
        LOADED
    }

    #[inline]
    fn bufmaxlen(&self) -> usize {
        LOADED
    }

    fn raw_read_ch(&mut self) -> char {
        let next = self.peek();
        self.skip();
        next
    }

    fn raw_read_non_breakz_ch(&mut self) -> Option<char> {
        let next = self.peek_opt().filter(|next| !matches!(next, '\0' | '\n' | '\r' | '\u{feff}'))?;
        self.skip();
        Some(next)
    }

    #[inline]
    fn skip(&mut self) {
        self.position += match self.byte {
            1..0x80 => 1,
            0 => 0,
            0x80..0xe0 => 2,
            0xe0..0xf0 => 3,
            0xf0.. => 4,
        };
        self.byte = self.text.as_bytes().get(self.position).copied().unwrap_or_default();
    }

    fn skip_n(&mut self, count: usize) {
        for _ in 0..count {
            self.skip();
        }
    }

    #[inline]
    fn peek(&self) -> char {
        match self.byte {
            ascii @ 0..0x80 => char::from(ascii),
            0x80.. => self.wide().unwrap_or_default(),
        }
    }

    fn peek_nth(&self, n: usize) -> char {
        let mut there = Self { ..*self };
        there.skip_n(n);
        there.peek()
    }

    fn peek_opt(&self) -> Option<char> {
        Some(self.peek()).filter(|_| self.position < self.text.len())
    }

    #[inline]
    fn next_can_be_plain_scalar(&self, in_flow: bool) -> bool {
        match self.byte {
            b':' if Self::is_blank_break_or_end(self.next_byte()) => false,
            b':' => !(in_flow && Self::is_flow(self.next_byte())),
            0xef => self.peek() != '\u{feff}',
            byte => !(in_flow && Self::is_flow(byte)),
        }
    }

    #[inline]
    fn next_is_blank_or_break(&self) -> bool {
        matches!(self.byte, b' ' | b'\t' | b'\n' | b'\r')
    }

    #[inline]
    fn next_is_blank_or_breakz(&self) -> bool {
        Self::is_blank_break_or_end(self.byte)
    }

    #[inline]
    fn next_is_blank(&self) -> bool {
        matches!(self.byte, b' ' | b'\t')
    }

    #[inline]
    fn next_is_break(&self) -> bool {
        matches!(self.byte, b'\n' | b'\r')
    }

    #[inline]
    fn next_is_breakz(&self) -> bool {
        matches!(self.byte, b'\n' | b'\r' | 0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use saphyr_parser::{Event, Parser, ScanError, Span};

    use super::*;

    fn events<'a>(parser: impl Iterator<Item = Result<(Event<'a>, Span), ScanError>>) -> Vec<String> {
        let mut events = Vec::new();
        for event in parser {
            let failed = event.is_err();
            events.push(format!("{event:?}"));
            if failed {
                break;
            }
        }
        events
    }

    fn same(text: &str) -> Result<(), TestCaseError> {
        let ours = events(Parser::new(Characters::of(text)));
        prop_assert_eq!(&ours, &events(Parser::new_from_iter(text.chars())), "{:?}", text);
        // It counts bytes in directives, where the positions are of characters.
        if text.is_ascii() || !text.contains('%') {
            prop_assert_eq!(&ours, &events(Parser::new_from_str(text)), "{:?}", text);
        }
        Ok(())
    }

    #[test]
    fn deep_block_scalars_are_read_as_the_parsers_own_inputs_read_them() {
        for indent in [1, 13, 14, 15, 16, 17, 126, 127, 128, 129, 300] {
            let indent = " ".repeat(indent);
            for text in [
                format!("a: |\n{indent}b\n{indent} c\n\n \n{indent}d{}\ne: f\n", "x".repeat(200)),
                format!("a: >+\n{indent}b\n{indent}\n{indent}"),
            ] {
                same(&text).unwrap();
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_as_the_parsers_own_inputs_read_it(
            text in "([a-c:{}\\[\\],&*!|>'\"#%@`?~ \t\r\n\u{feff}\u{2028}é😀.-]|\n  |: |- |key: |---|\\.\\.\\.|\\\\u00e9){0,60}",
        ) {
            same(&text)?;
        }
    }
}
