//! Writes `event.original` of a parsed line, and hides its secrets value by value.
//!
//! Invariant: a value that is hidden or hashed in a field of the record is hidden or hashed in the same way here.

use super::{Cleaned, REDACTED, Scope};
use crate::record::plan::Secrecy;
use crate::record::{Scratch, Values};

impl<'l> Values<'l> {
    /// Returns the line without what must be hidden.
    pub(in crate::record) fn clean_line<'s>(&self, scratch: &'s mut Scratch) -> &'s [u8]
    where
        'l: 's,
    {
        let captures = 0..self.plan.secrecy.len();
        let is_text = |capture| self.secrecy(capture) == Secrecy::Text;
        if self.plain && !self.watched && captures.clone().all(is_text) {
            return self.line;
        }
        let Scratch {
            value,
            cleaned,
            line,
            ..
        } = scratch;
        line.clear();
        let mut from = 0;
        for capture in captures {
            let Some((start, end)) = self.captures.span(capture) else {
                continue;
            };
            let (start, end) = (start as usize, end as usize);
            line.extend_from_slice(&self.line[from..start]);
            from = end;
            let raw = &self.line[start..end];
            match self.secrecy(capture) {
                // nginx writes absent values so
                _ if self.get(Some(capture)).is_none() => line.extend_from_slice(raw),
                Secrecy::Redacted => line.extend_from_slice(REDACTED),
                Secrecy::Hashed => {
                    value.clear();
                    self.plan.escape.decode(raw, value);
                    line.extend_from_slice(&self.redactor.hash(value));
                }
                Secrecy::Text | Secrecy::Unbounded => {
                    self.redactor.clean(raw, Scope::Value, cleaned);
                    line.extend_from_slice(&cleaned.text);
                }
            }
        }
        line.extend_from_slice(&self.line[from..]);
        // clean the whole line again: a format may put a key before a value, `token=$http_x`
        self.redactor.clean(line, Scope::Line, cleaned);
        let Cleaned { text, .. } = cleaned;
        text
    }
}
