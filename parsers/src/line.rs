//! Runs a compiled format over one line. Owns the hot loop. Refuses to know what values mean.
//!
//! Invariants: spans lie inside the line and in its order; nothing is allocated after the [`Captures`] were used for
//! one line of the format; the effort is bounded for any line. A format whose fields all have a certain end is read in
//! one pass. If an end must be guessed, the occurrences of the literal text after it are tried from the left (for a
//! list: from the right). Failed positions are remembered, and the effort is limited in proportion to the line's
//! length.

use crate::error::{Expected, ParseError};
use crate::escape::Escape;
use crate::format::{Format, Grammar, Joined, Literal, Program, Reading, Scan, Step};
use fixed::{fixed_value, mismatch, seconds_end};
use memchr::{memchr, memchr2, memrchr};
pub use plain::Plainness;

/// The maximum cost of guesses: bytes examined per byte of the line, and a minimum for short lines.
const EFFORT_PER_BYTE: usize = 64;
const EFFORT_LEAST: usize = 16 * 1024;

/// The maximum length of an IPv6 address in brackets, with a zone.
const MAX_LITERAL: usize = 128;

/// The fields of a line, as ranges of it. Reused from line to line.
#[derive(Clone, Debug, Default)]
pub struct Captures {
    spans: Vec<(u32, u32)>,
    /// The text of an absent value: `-`, or nothing.
    absent: &'static [u8],
    /// See [`Captures::is_plain`] and [`Plainness`].
    plain: bool,
    odd: bool,
    guesses: Vec<Guess>,
    failed: Vec<Failed>,
}

/// A field whose possible ends are being tried.
#[derive(Clone, Copy, Debug)]
struct Guess {
    step: usize,
    start: usize,
    /// The end that was tried last; at first none.
    end: Option<usize>,
    /// The last possible end of the value.
    stop: usize,
}

/// The range of a line in which all ends of a field have failed.
#[derive(Clone, Copy, Debug)]
struct Failed {
    step: usize,
    from: usize,
    stop: usize,
}

impl Captures {
    /// Empty captures, for lines of any format.
    pub fn new() -> Captures {
        Captures::default()
    }

    /// The raw text of a field of the last line that was parsed, still escaped as nginx wrote it.
    ///
    /// `None` if the value is absent (`-` under `escape=default`, empty under `json` and `none`), if it is not known
    /// (see [`Captures::span`]), if there is no such field, or if `line` is another line.
    pub fn get<'l>(&self, line: &'l [u8], index: usize) -> Option<&'l [u8]> {
        let (from, to) = *self.spans.get(index)?;
        let value = line.get(from as usize..to as usize)?;
        (value != self.absent).then_some(value)
    }

    /// Whether each value of the last line that was parsed can be copied into a JSON string unchanged: the line is
    /// printable ASCII without `\`, and has no `"` other than those of the format.
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// The range of a field in the line, from its first byte to the one after its last; absent values have a range too.
    /// `None` for adjacent variables that this line keeps as one text, and for the field of that text if it was split.
    /// All spans are in the order of the fields.
    pub fn span(&self, index: usize) -> Option<(u32, u32)> {
        self.spans
            .get(index)
            .copied()
            .filter(|span| *span != UNREAD)
    }
}

/// The span of a field that a line does not have: no line has such a position.
const UNREAD: (u32, u32) = (u32::MAX, u32::MAX);

/// How a run through the steps ended.
enum Flow {
    Done,
    /// The value of this step, which begins here, must be guessed.
    Guess {
        step: usize,
        start: usize,
    },
}

/// The state of a run through the steps, besides its outcome.
#[derive(Default)]
struct Trace {
    /// Bytes examined in addition to those that were read.
    effort: usize,
    /// The last step, and its start, whose end was computed backwards from a later byte.
    counted_back: Option<(usize, usize)>,
    /// The line has no control byte, at which a text would end.
    printable: bool,
}

impl Format {
    /// Reads a line without its `\n`. A `\r` at its end is part of the line end (nginx for Windows and rewritten files
    /// write one), and of no field.
    ///
    /// # Errors
    ///
    /// The field and the byte at which the line does not match the format. The captures are then unspecified.
    pub fn parse(&self, line: &[u8], captures: &mut Captures) -> Result<(), ParseError> {
        self.parse_known(line, Plainness::of(line), captures)
    }

    /// Like [`Format::parse`], for a line whose bytes were classified already, because several formats are tried.
    ///
    /// # Errors
    ///
    /// As [`Format::parse`].
    pub fn parse_known(
        &self,
        line: &[u8],
        bytes: Plainness,
        captures: &mut Captures,
    ) -> Result<(), ParseError> {
        let program = &*self.program;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if u32::try_from(line.len()).is_err() {
            let expected = Expected::ShortLine;
            return Err(ParseError {
                field: None,
                offset: u32::MAX,
                expected,
                found: None,
            });
        }
        let absent: &[u8] = if program.escape == Escape::Default {
            b"-"
        } else {
            b""
        };
        captures.absent = absent;
        captures.spans.resize(program.fields.len(), (0, 0));
        captures.odd = bytes.odd;
        captures.plain = bytes.is_plain(program.quotes);
        let mut trace = Trace {
            printable: !bytes.odd,
            ..Trace::default()
        };
        match program.run(line, &mut captures.spans, 0, 0, &mut trace) {
            Ok(Flow::Done) => {}
            Ok(Flow::Guess { step, start }) => program.guess(line, captures, step, start)?,
            Err(failed) => {
                return Err(match trace.counted_back {
                    None => failed,
                    Some((step, start)) => {
                        program.diagnose(line, &mut captures.spans, step, start, failed)
                    }
                });
            }
        }
        if !program.joined.is_empty() {
            program.cut(line, &mut captures.spans);
        }
        Ok(())
    }
}

impl Program {
    /// Runs the steps from `step` on, until the end or a step that must be guessed.
    #[inline]
    fn run(
        &self,
        line: &[u8],
        spans: &mut [(u32, u32)],
        mut step: usize,
        mut at: usize,
        trace: &mut Trace,
    ) -> Result<Flow, ParseError> {
        Err(loop {
            let Some(next) = self.steps.get(step) else {
                if at == line.len() {
                    return Ok(Flow::Done);
                }
                break error(self.field_before(step), line, at, Expected::EndOfLine);
            };
            match next {
                Step::Literal(index) => {
                    let literal = &self.literals[usize::from(*index)];
                    let rest = line.get(at..).unwrap_or_default();
                    if !literal.begins(rest) {
                        break self.literal_error(line, at, step, *index);
                    }
                    at += literal.bytes().len();
                }
                Step::Run {
                    field,
                    reading,
                    back,
                } => {
                    if *back > 0 {
                        trace.counted_back = Some((step, at));
                    }
                    match self.value(line, at, reading, *back, trace.printable) {
                        Ok(end) => {
                            if *back > 0 {
                                trace.effort += end - at;
                            }
                            set(spans, *field, at, end);
                            at = end;
                        }
                        Err(bad) => {
                            let expected = Expected::Value(reading.grammar);
                            break error(Some(*field), line, bad, expected);
                        }
                    }
                }
                Step::Fixed { field, fixed } => match fixed_value(line, at, *fixed) {
                    Ok(end) => {
                        set(spans, *field, at, end);
                        at = end;
                    }
                    Err(bad) => {
                        let expected = Expected::Value(self.grammar(*field));
                        break error(Some(*field), line, bad, expected);
                    }
                },
                Step::Seconds { field } => match seconds_end(line, at) {
                    Ok(end) => {
                        set(spans, *field, at, end);
                        at = end;
                    }
                    Err(bad) => {
                        let expected = Expected::Value(self.grammar(*field));
                        break error(Some(*field), line, bad, expected);
                    }
                },
                Step::List { field, mask, empty } => {
                    let end = self.list_end(line, at, *mask);
                    if end == at && !empty {
                        let expected = Expected::Value(self.grammar(*field));
                        break error(Some(*field), line, at, expected);
                    }
                    set(spans, *field, at, end);
                    at = end;
                }
                Step::Guess { .. } => return Ok(Flow::Guess { step, start: at }),
            }
            step += 1;
        })
    }
}

impl Program {
    /// Splits the texts of several variables if there is exactly one way to do it.
    #[inline(never)]
    fn cut(&self, line: &[u8], spans: &mut [(u32, u32)]) {
        for Joined { whole, cuts } in &self.joined {
            let Some(cuts) = cuts else { continue };
            let Some(&(from, to)) = spans.get(usize::from(*whole)) else {
                continue;
            };
            let base = from as usize;
            let text = line.get(base..to as usize).unwrap_or_default();
            let found = cuts.of(text, self.escape);
            let is_cut = found.is_some();
            for field in cuts.fields() {
                unset(spans, field);
            }
            for (field, from, to) in found.into_iter().flatten().flatten() {
                set(spans, field, base + from, base + to);
            }
            if is_cut {
                unset(spans, *whole);
            }
        }
    }
}

fn unset(spans: &mut [(u32, u32)], field: u16) {
    if let Some(span) = spans.get_mut(usize::from(field)) {
        *span = UNREAD;
    }
}

#[inline(always)]
fn set(spans: &mut [(u32, u32)], field: u16, from: usize, to: usize) {
    if let Some(span) = spans.get_mut(usize::from(field)) {
        // The length of the line was checked before.
        #[allow(clippy::cast_possible_truncation)]
        let (from, to) = (from as u32, to as u32);
        *span = (from, to);
    }
}

// ---------------------------------------------------------------------------------------------
// Values

impl Program {
    /// The end of the value that begins at `start`, or the byte at which it is wrong.
    #[inline(always)]
    fn value(
        &self,
        line: &[u8],
        start: usize,
        read: &Reading,
        back: u32,
        printable: bool,
    ) -> Result<usize, usize> {
        // No other value begins like this; see `Reading::dash`.
        if read.dash && line.get(start) == Some(&b'-') {
            return Ok(start + 1);
        }
        let stop = self.stop(line, start, read, printable);
        let mut end = match stop.checked_sub(back as usize) {
            Some(end) if end >= start => end,
            _ => return Err(stop),
        };
        if end == start {
            return if read.empty { Ok(start) } else { Err(start) };
        }
        if read.give_back != 0 && line[end - 1] == b'-' {
            let begins = |byte: &u8| self.classes[usize::from(*byte)] & read.give_back != 0;
            end -= usize::from(!line.get(end).is_some_and(begins));
        }
        match mismatch(read.grammar, &line[start..end]) {
            None => Ok(end),
            Some(place) => Err(start + place),
        }
    }

    /// The first byte from `start` on that cannot be part of the value. `printable`: no byte of the line is a control
    /// byte.
    #[inline(always)]
    fn stop(&self, line: &[u8], start: usize, read: &Reading, printable: bool) -> usize {
        let rest = line.get(start..).unwrap_or_default();
        start
            + match read.scan {
                Scan::Class => self.class_end(rest, read.mask),
                Scan::ClassPairs => self.class_pairs_end(rest, read.mask),
                Scan::Text => text_end(rest, printable),
                Scan::JsonText => json_text_end(rest),
                Scan::All => rest.len(),
                Scan::Host => self.host_end(rest, read.mask),
                Scan::Address => self.address_end(rest, read.mask),
            }
    }

    #[cold]
    fn address_end(&self, rest: &[u8], mask: u64) -> usize {
        if rest.starts_with(b"unix:") {
            return b"unix:".len();
        }
        let end = self.class_end(rest, mask);
        let has_dot = rest[..end].contains(&b'.');
        if has_dot { end } else { 0 }
    }

    #[cold]
    fn host_end(&self, rest: &[u8], mask: u64) -> usize {
        if rest.first() != Some(&b'[') {
            return self.class_end(rest, mask);
        }
        let mut literal = rest.iter().take(MAX_LITERAL);
        literal
            .position(|byte| *byte == b']')
            .map_or(0, |end| end + 1)
    }

    #[inline(always)]
    fn class_end(&self, rest: &[u8], mask: u64) -> usize {
        rest.iter()
            .position(|byte| self.classes[usize::from(*byte)] & mask == 0)
            .unwrap_or(rest.len())
    }

    fn class_pairs_end(&self, rest: &[u8], mask: u64) -> usize {
        let mut at = 0;
        while let Some(byte) = rest.get(at) {
            if *byte == b'\\' && rest.get(at + 1).is_some_and(|next| *next >= b' ') {
                at += 2;
            } else if self.classes[usize::from(*byte)] & mask != 0 {
                at += 1;
            } else {
                break;
            }
        }
        at
    }

    /// The end of the longest possible list: elements, which can be empty, joined by `, ` and ` : `.
    fn list_end(&self, line: &[u8], start: usize, mask: u64) -> usize {
        let mut at = start;
        loop {
            at += self.class_end(&line[at..], mask);
            let rest = &line[at..];
            if rest.starts_with(b", ") {
                at += 2;
            } else if rest.starts_with(b" : ") {
                at += 3;
            } else {
                return at;
            }
        }
    }

    fn grammar(&self, field: u16) -> Grammar {
        self.fields
            .get(usize::from(field))
            .map_or(Grammar::Text, |field| field.grammar())
    }
}

/// Text under `escape=default` ends at a `"` or at a control byte, which nginx would have escaped.
#[inline(always)]
fn text_end(rest: &[u8], printable: bool) -> usize {
    let end = memchr(b'"', rest).unwrap_or(rest.len());
    if printable {
        return end;
    }
    let odd = |byte: u8| (byte < b' ') | (byte == 0x7f);
    // No early exit, so that the loop becomes vector instructions.
    let bad = rest[..end]
        .iter()
        .fold(0u8, |found, byte| found | u8::from(odd(*byte)));
    if bad == 0 {
        end
    } else {
        first(&rest[..end], odd)
    }
}

/// Text under `escape=json` ends at an unescaped `"` or at a control byte.
fn json_text_end(rest: &[u8]) -> usize {
    let mut end = 0;
    loop {
        match memchr2(b'"', b'\\', &rest[end..]) {
            None => {
                end = rest.len();
                break;
            }
            Some(more) if rest[end + more] == b'"' => {
                end += more;
                break;
            }
            Some(more) => end = (end + more + 2).min(rest.len()),
        }
    }
    let odd = |byte: u8| byte < b' ';
    let bad = rest[..end]
        .iter()
        .fold(0u8, |found, byte| found | u8::from(odd(*byte)));
    if bad == 0 {
        end
    } else {
        first(&rest[..end], odd)
    }
}

#[cold]
fn first(bytes: &[u8], is: impl Fn(u8) -> bool) -> usize {
    bytes
        .iter()
        .position(|byte| is(*byte))
        .unwrap_or(bytes.len())
}

// ---------------------------------------------------------------------------------------------
// Guesses

impl Program {
    fn guess(
        &self,
        line: &[u8],
        captures: &mut Captures,
        step: usize,
        start: usize,
    ) -> Result<(), ParseError> {
        captures.guesses.clear();
        captures.failed.clear();
        let limit = line.len().saturating_mul(EFFORT_PER_BYTE).max(EFFORT_LEAST);
        let mut trace = Trace {
            printable: !captures.odd,
            ..Trace::default()
        };
        let mut farthest: Option<ParseError> = None;
        self.enter(line, captures, step, start);
        while let Some(mut guess) = captures.guesses.pop() {
            let before = guess.end;
            let Some(end) = self.next_end(line, &mut guess) else {
                let Guess {
                    step,
                    start,
                    stop,
                    end,
                } = guess;
                if end.is_none() {
                    keep_farthest(&mut farthest, self.no_end(line, step, start, stop));
                }
                captures.failed.push(Failed {
                    step,
                    from: start,
                    stop,
                });
                trace.effort += stop - start + 1;
                continue;
            };
            captures.guesses.push(guess);
            if let Some(Step::Guess { field, .. }) = self.steps.get(guess.step) {
                set(&mut captures.spans, *field, guess.start, end);
            }
            let reached = match self.run(line, &mut captures.spans, guess.step + 1, end, &mut trace)
            {
                Ok(Flow::Done) => return Ok(()),
                Ok(Flow::Guess { step, start }) => {
                    self.enter(line, captures, step, start);
                    start
                }
                Err(error) => {
                    keep_farthest(&mut farthest, error);
                    error.offset as usize
                }
            };
            trace.effort += before.unwrap_or(guess.start).abs_diff(end) + reached.abs_diff(end) + 1;
            // Each guess searches the remembered failures.
            trace.effort += captures.failed.len();
            if trace.effort > limit {
                let field = self.field_before(guess.step + 1);
                return Err(error(field, line, end, Expected::LessEffort));
            }
        }
        Err(farthest.unwrap_or_else(|| error(None, line, 0, Expected::EndOfLine)))
    }

    /// The error of a guess for which no end was found.
    #[cold]
    fn no_end(&self, line: &[u8], step: usize, start: usize, stop: usize) -> ParseError {
        let Some(Step::Guess { field, reading, .. }) = self.steps.get(step) else {
            return error(None, line, stop, Expected::EndOfLine);
        };
        let expected = match self.steps.get(step + 1) {
            Some(Step::Literal(index)) if reading.empty || stop > start => {
                Expected::Literal(*index)
            }
            _ => Expected::Value(reading.grammar),
        };
        error(Some(*field), line, stop, expected)
    }

    /// Begins to guess a step's value, unless all its ends are known to fail.
    fn enter(&self, line: &[u8], captures: &mut Captures, step: usize, start: usize) {
        let known =
            |failed: &Failed| failed.step == step && (failed.from..=failed.stop).contains(&start);
        if captures.failed.iter().any(known) {
            return;
        }
        let Some(Step::Guess { reading, list, .. }) = self.steps.get(step) else {
            return;
        };
        let mut stop = if *list {
            self.list_end(line, start, reading.mask)
        } else {
            self.stop(line, start, reading, !captures.odd)
        };
        if reading.dash && line.get(start) == Some(&b'-') {
            stop = stop.max(start + 1);
        }
        captures.guesses.push(Guess {
            step,
            start,
            end: None,
            stop,
        });
    }

    /// The next end to try for a guess: before an occurrence of the following literal.
    fn next_end(&self, line: &[u8], guess: &mut Guess) -> Option<usize> {
        let Some(Step::Guess { reading, list, .. }) = self.steps.get(guess.step) else {
            return None;
        };
        let Some(Step::Literal(literal)) = self.steps.get(guess.step + 1) else {
            return None;
        };
        let literal = &self.literals[usize::from(*literal)];
        loop {
            let end = if *list {
                last_literal(
                    line,
                    guess.start,
                    guess.end.unwrap_or(guess.stop + 1),
                    literal,
                )?
            } else {
                let from = guess.end.map_or(guess.start, |end| end + 1);
                next_literal(line, from, guess.stop, literal)?
            };
            guess.end = Some(end);
            let value = &line[guess.start..end];
            let fits = match value {
                [] => reading.empty,
                b"-" => true,
                _ if *list => whole_elements(value),
                _ => mismatch(reading.grammar, value).is_none(),
            };
            if fits {
                return Some(end);
            }
        }
    }

    /// Handles a failure after a field whose end was computed backwards from a later byte. The wrong byte may be
    /// between the two; then the computed end is the wrong position to report. Checks whether the line matches farther
    /// with an end before the literal itself.
    #[cold]
    fn diagnose(
        &self,
        line: &[u8],
        spans: &mut [(u32, u32)],
        step: usize,
        start: usize,
        failed: ParseError,
    ) -> ParseError {
        /// Enough for a good message; a line can contain thousands.
        const TRIED: usize = 4;
        let mut farthest = None;
        let (Some(Step::Run { reading, .. }), Some(Step::Literal(index))) =
            (self.steps.get(step), self.steps.get(step + 1))
        else {
            return failed;
        };
        let literal = &self.literals[usize::from(*index)];
        let stop = self.stop(line, start, reading, false);
        if failed.offset as usize > stop {
            return failed;
        }
        let mut from = start;
        for _ in 0..TRIED {
            let Some(end) = next_literal(line, from, stop, literal) else {
                break;
            };
            if let Err(error) = self.run(line, spans, step + 1, end, &mut Trace::default()) {
                keep_farthest(&mut farthest, error);
            }
            from = end + 1;
        }
        farthest.unwrap_or(failed)
    }

    /// The field of the nearest step before `step`.
    #[cold]
    fn field_before(&self, step: usize) -> Option<u16> {
        self.steps
            .get(..step)?
            .iter()
            .rev()
            .find_map(|step| match step {
                Step::Literal(_) => None,
                Step::Fixed { field, .. }
                | Step::Run { field, .. }
                | Step::Seconds { field }
                | Step::List { field, .. }
                | Step::Guess { field, .. } => Some(*field),
            })
    }

    #[cold]
    fn literal_error(&self, line: &[u8], at: usize, step: usize, index: u16) -> ParseError {
        let literal = self.literals[usize::from(index)].bytes();
        let rest = line.get(at..).unwrap_or_default();
        let same = literal.iter().zip(rest).take_while(|(a, b)| a == b).count();
        error(
            self.field_before(step),
            line,
            at + same,
            Expected::Literal(index),
        )
    }
}

/// The next occurrence of a literal from `from` to `stop`.
fn next_literal(line: &[u8], from: usize, stop: usize, literal: &Literal) -> Option<usize> {
    let first = *literal.bytes().first()?;
    let mut at = from;
    while at <= stop {
        at += memchr(first, line.get(at..)?)?;
        if at > stop {
            return None;
        }
        if literal.begins(&line[at..]) {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// The last occurrence of a literal from `from` to before `before`.
fn last_literal(line: &[u8], from: usize, before: usize, literal: &Literal) -> Option<usize> {
    let first = *literal.bytes().first()?;
    let mut before = before.min(line.len());
    while before > from {
        let at = from + memrchr(first, &line[from..before])?;
        if literal.begins(&line[at..]) {
            return Some(at);
        }
        before = at;
    }
    None
}

/// Whether the beginning of a list does not end inside a separator.
fn whole_elements(value: &[u8]) -> bool {
    !value.ends_with(b",")
        && !value.ends_with(b" :")
        && (!value.ends_with(b" ") || ends_in_separator(value))
}

fn ends_in_separator(value: &[u8]) -> bool {
    value.ends_with(b", ") || value.ends_with(b" : ")
}

fn keep_farthest(farthest: &mut Option<ParseError>, error: ParseError) {
    if farthest.is_none_or(|known| error.offset >= known.offset) {
        *farthest = Some(error);
    }
}

#[cold]
fn error(field: Option<u16>, line: &[u8], at: usize, expected: Expected) -> ParseError {
    let offset = u32::try_from(at).unwrap_or(u32::MAX);
    ParseError {
        field,
        offset,
        expected,
        found: line.get(at).copied(),
    }
}

mod fixed;
#[cfg(test)]
mod joined_tests;
mod plain;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod tests_support;
