//! From the parts of a format to steps. Owns the proofs of where a field ends; knows nothing of lines.
//!
//! The one question, for a field whose values are runs of bytes of a set S: the reader runs to the
//! first byte outside S; how far before that byte did the value end? If everything between the end of
//! the value and a byte that is surely outside S has a known length, the answer is that length.

use super::error::{FormatError, FormatProblem, FormatWarning};
use super::grammar::{Fixed, Grammar, Layout, Look};
use super::source::{Piece, pieces};
use super::{Field, Program};
use crate::bytes::ByteSet;
use crate::escape::Escape;

/// One step of reading a line.
#[derive(Debug)]
pub(crate) enum Step {
    /// A literal text; an index into the program's literals.
    Literal(u16),
    /// A value of fixed length.
    Fixed { field: u16, fixed: Fixed },
    /// A value whose end is certain.
    Run {
        field: u16,
        reading: Reading,
        back: u32,
    },
    /// A list whose end is certain.
    List { field: u16, mask: u64, empty: bool },
    /// A value that may end wherever the next step's literal stands.
    Guess {
        field: u16,
        reading: Reading,
        list: bool,
    },
}

/// How the bytes of a value are scanned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) grammar: Grammar,
    pub(crate) scan: Scan,
    /// The bit of the set in the program's classes.
    pub(crate) mask: u64,
    /// Whether the value can be empty.
    pub(crate) empty: bool,
    /// Whether a single `-`, not in the set, is a value too.
    pub(crate) dash: bool,
    /// The bit of the bytes with which the next field begins, if a `-` before anything else is that
    /// field's absent value; else 0.
    pub(crate) give_back: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scan {
    /// By the class table.
    Class,
    /// By the class table; a `\` hides the byte after it.
    ClassPairs,
    /// Text under `escape=default`: to a `"` or a control byte.
    Text,
    /// Text under `escape=json`: to a `"` that no `\` hides, or a control byte.
    JsonText,
    /// Text under `escape=none`: to the end of the line.
    All,
}

/// A literal text, ready to be compared.
#[derive(Debug)]
pub(crate) struct Literal {
    bytes: Box<[u8]>,
    word: u64,
    mask: u64,
}

impl Literal {
    fn new(text: &[u8]) -> Literal {
        let mut word = [0; 8];
        let mut mask = [0; 8];
        for (index, byte) in text.iter().take(8).enumerate() {
            word[index] = *byte;
            mask[index] = 0xff;
        }
        let (word, mask) = (u64::from_le_bytes(word), u64::from_le_bytes(mask));
        Literal {
            bytes: text.into(),
            word,
            mask,
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether `rest` begins with it. Mostly one load and one comparison.
    #[inline(always)]
    pub(crate) fn begins(&self, rest: &[u8]) -> bool {
        match rest.first_chunk::<8>() {
            Some(chunk) => {
                u64::from_le_bytes(*chunk) & self.mask == self.word
                    && (self.bytes.len() <= 8 || rest.starts_with(&self.bytes))
            }
            None => rest.starts_with(&self.bytes),
        }
    }
}

/// A part of the format, with its byte place in the source.
enum Part {
    Literal {
        text: Vec<u8>,
        index: u16,
    },
    Field {
        index: u16,
        look: Look,
        grammar: Grammar,
        at: usize,
    },
}

pub(super) fn compile(source: &str, escape: Escape) -> Result<Program, FormatError> {
    if let Some(at) = source.find('\n') {
        return Err(FormatError::new(source, at, FormatProblem::Newline));
    }
    let mut fields = Vec::new();
    let mut parts: Vec<Part> = Vec::new();
    let mut literals = 0u16;
    for (at, piece) in pieces(source)? {
        let too_many = || FormatError::new(source, at, FormatProblem::TooMany);
        match piece {
            Piece::Literal(text) => {
                let text = text.as_bytes().to_vec();
                parts.push(Part::Literal {
                    text,
                    index: literals,
                });
                literals = literals.checked_add(1).ok_or_else(too_many)?;
            }
            Piece::Variable(name) => {
                let name = name.to_ascii_lowercase();
                let grammar = Grammar::of(&name);
                let index = u16::try_from(fields.len()).map_err(|_| too_many())?;
                parts.push(Part::Field {
                    index,
                    look: Look::of(grammar, escape),
                    grammar,
                    at,
                });
                fields.push(Field { name, grammar });
            }
        }
    }
    if fields.is_empty() {
        return Err(FormatError::new(
            source,
            source.len(),
            FormatProblem::NoVariable,
        ));
    }
    let mut compiler = Compiler {
        source,
        escape,
        fields,
        sets: Vec::new(),
        steps: Vec::new(),
        literals: Vec::new(),
        warnings: Vec::new(),
    };
    for index in 0..parts.len() {
        compiler.part(&parts[index], &parts[index + 1..])?;
    }
    Ok(compiler.finish())
}

struct Compiler<'a> {
    source: &'a str,
    escape: Escape,
    fields: Vec<Field>,
    sets: Vec<ByteSet>,
    steps: Vec<Step>,
    literals: Vec<Literal>,
    warnings: Vec<FormatWarning>,
}

impl Compiler<'_> {
    fn part(&mut self, part: &Part, rest: &[Part]) -> Result<(), FormatError> {
        let (field, look, grammar, at) = match part {
            Part::Literal { text, index } => {
                self.literals.push(Literal::new(text));
                self.steps.push(Step::Literal(*index));
                return Ok(());
            }
            Part::Field {
                index,
                look,
                grammar,
                at,
            } => (*index, look, *grammar, *at),
        };
        match look.layout {
            Layout::Fixed(fixed) => {
                self.steps.push(Step::Fixed { field, fixed });
                Ok(())
            }
            Layout::List => self.list(field, look, grammar, at, rest),
            Layout::Run => self.run(field, look, grammar, at, rest),
        }
    }

    fn list(
        &mut self,
        field: u16,
        look: &Look,
        grammar: Grammar,
        at: usize,
        rest: &[Part],
    ) -> Result<(), FormatError> {
        let certain = matches!(
            anchor(&look.wide, false, rest),
            Some(Anchor {
                back: 0,
                give_back: None
            })
        ) && !can_begin(rest, b", ")
            && !can_begin(rest, b" : ");
        if certain {
            let mask = self.class(look.wide);
            self.steps.push(Step::List {
                field,
                mask,
                empty: look.empty,
            });
            return Ok(());
        }
        self.guess(field, look, look.wide, grammar, at, rest, true)
    }

    fn run(
        &mut self,
        field: u16,
        look: &Look,
        grammar: Grammar,
        at: usize,
        rest: &[Part],
    ) -> Result<(), FormatError> {
        // Neither `-` nor nothing can be told from a text that begins with `-`.
        let unclear = self.escape == Escape::Default && look.empty && look.dash;
        if unclear && !look.wide.has(b'-') && can_begin(rest, b"-") {
            let look = Look {
                wide: look.wide.or(ByteSet::of(b"-")),
                ..*look
            };
            return self.guess(field, &look, look.wide, grammar, at, rest, false);
        }
        let certain = |set: ByteSet| anchor(&set, look.pairs, rest).map(|anchor| (set, anchor));
        let mut found = certain(look.wide);
        if found.is_none() && !only_one_end(look, rest) {
            found = look.narrow.and_then(certain);
        }
        let Some((set, anchor)) = found else {
            return self.guess(field, look, look.wide, grammar, at, rest, false);
        };
        let mut reading = self.reading(look, set, grammar, rest);
        if let Some(begins) = anchor.give_back {
            reading.give_back = self.class(begins);
        }
        self.steps.push(Step::Run {
            field,
            reading,
            back: anchor.back,
        });
        Ok(())
    }

    /// A field whose end must be tried: only before a literal text.
    #[allow(clippy::too_many_arguments)]
    fn guess(
        &mut self,
        field: u16,
        look: &Look,
        set: ByteSet,
        grammar: Grammar,
        at: usize,
        rest: &[Part],
        list: bool,
    ) -> Result<(), FormatError> {
        let name = self.fields[usize::from(field)].name.clone();
        match rest.first() {
            Some(Part::Literal { text, .. }) => {
                if list || !only_one_end(look, rest) {
                    self.warnings.push(FormatWarning {
                        field: name,
                        offset: at,
                        follows: String::from_utf8_lossy(text).into_owned(),
                        list,
                    });
                }
                let reading = self.reading(look, set, grammar, rest);
                self.steps.push(Step::Guess {
                    field,
                    reading,
                    list,
                });
                Ok(())
            }
            Some(Part::Field { index, at, .. }) => {
                let right = self.fields[usize::from(*index)].name.clone();
                let problem = FormatProblem::Neighbours { left: name, right };
                Err(FormatError::new(self.source, *at, problem))
            }
            // The end of the line ends every value.
            None => {
                let reading = self.reading(look, set, grammar, rest);
                self.steps.push(Step::Run {
                    field,
                    reading,
                    back: 0,
                });
                Ok(())
            }
        }
    }

    fn reading(&mut self, look: &Look, set: ByteSet, grammar: Grammar, rest: &[Part]) -> Reading {
        let text = Look::of(Grammar::Text, self.escape).wide;
        let scan = match self.escape {
            Escape::Default if set == text => Scan::Text,
            Escape::Json if set == text => Scan::JsonText,
            Escape::None if set == text => Scan::All,
            _ if look.pairs => Scan::ClassPairs,
            _ => Scan::Class,
        };
        Reading {
            grammar,
            scan,
            mask: self.class(set),
            empty: look.empty,
            // A `-` after an empty value is the literal's, not an absent value.
            dash: look.dash && !set.has(b'-') && !(look.empty && can_begin(rest, b"-")),
            give_back: 0,
        }
    }

    /// The bit of a set. There are fewer than 64 different sets: at most two for a grammar, and most are shared.
    fn class(&mut self, set: ByteSet) -> u64 {
        let index = match self.sets.iter().position(|known| *known == set) {
            Some(index) => index,
            None => {
                self.sets.push(set);
                self.sets.len() - 1
            }
        };
        1 << index
    }

    fn finish(self) -> Program {
        let mut classes = Box::new([0u64; 256]);
        for (index, set) in self.sets.iter().enumerate() {
            for byte in 0..=u8::MAX {
                if set.has(byte) {
                    classes[usize::from(byte)] |= 1 << index;
                }
            }
        }
        Program {
            source: self.source.to_owned(),
            escape: self.escape,
            fields: self.fields,
            warnings: self.warnings,
            steps: self.steps,
            literals: self.literals,
            classes,
        }
    }
}

/// Where the first byte outside a set stands, seen from the end of the value.
struct Anchor {
    back: u32,
    /// The bytes with which the next field begins, unless it is absent: then it is a `-`, which this
    /// field could hold too.
    give_back: Option<ByteSet>,
}

/// Proves that the first byte outside `set` stands at a fixed distance after the value's end.
fn anchor(set: &ByteSet, pairs: bool, rest: &[Part]) -> Option<Anchor> {
    let mut back = 0u32;
    // After a field that may be empty, what follows must stop the scan at the same place.
    let mut maybe_here = false;
    let certain = |back| {
        Some(Anchor {
            back,
            give_back: None,
        })
    };
    for (index, part) in rest.iter().enumerate() {
        match part {
            Part::Literal { text, .. } => {
                for byte in text {
                    if !set.has(*byte) {
                        return certain(back);
                    }
                    // And the scan would take a literal's `\` for the beginning of an escape.
                    if maybe_here || (pairs && *byte == b'\\') {
                        return None;
                    }
                    back += 1;
                }
            }
            Part::Field { look, .. } => match look.layout {
                Layout::Fixed(fixed) => {
                    for place in 0..fixed.len() {
                        let bytes = fixed.at(place);
                        if !set.meets(&bytes) {
                            return certain(back);
                        }
                        if maybe_here || !set.covers(&bytes) {
                            return None;
                        }
                        back += 1;
                    }
                }
                Layout::Run | Layout::List => {
                    if !look.begins().meets(set) {
                        if !look.empty {
                            return certain(back);
                        }
                        maybe_here = true;
                    } else if index == 0 && look.dash && !look.empty && !look.first.meets(set) {
                        // Only the `-` of an absent value could belong to both.
                        return Some(Anchor {
                            back,
                            give_back: Some(look.first),
                        });
                    } else {
                        return None;
                    }
                }
            },
        }
    }
    certain(back)
}

/// Proves that the value has only one possible end although its set holds what follows.
///
/// Some byte of the literal text after it occurs in no field up to a byte outside the set (or the end
/// of the line), so the number of such bytes after the value is fixed: two ends would differ in it.
fn only_one_end(look: &Look, rest: &[Part]) -> bool {
    let Some((Part::Literal { text, .. }, _)) = rest.split_first() else {
        return false;
    };
    if look.pairs {
        return false;
    }
    text.iter().any(|mark| counts(look.wide, *mark, rest))
}

fn counts(set: ByteSet, mark: u8, rest: &[Part]) -> bool {
    for part in rest {
        match part {
            Part::Literal { text, .. } => {
                if text.iter().any(|byte| !set.has(*byte)) {
                    return true;
                }
            }
            Part::Field { look, .. } => match look.layout {
                Layout::Fixed(fixed) => {
                    for place in 0..fixed.len() {
                        let bytes = fixed.at(place);
                        if !set.meets(&bytes) {
                            return true;
                        }
                        if bytes.has(mark) || !set.covers(&bytes) {
                            return false;
                        }
                    }
                }
                Layout::Run | Layout::List => {
                    let mut bytes = look.all();
                    if look.layout == Layout::List {
                        bytes = bytes.or(ByteSet::of(b" ,:"));
                    }
                    if bytes.has(mark) || !set.covers(&bytes) {
                        return false;
                    }
                }
            },
        }
    }
    true
}

/// Whether what follows can begin with `pattern`; when in doubt, yes.
fn can_begin(rest: &[Part], pattern: &[u8]) -> bool {
    let Some(first) = pattern.first() else {
        return true;
    };
    match rest.split_first() {
        None => false,
        Some((Part::Literal { text, .. }, rest)) => {
            let shared = text.len().min(pattern.len());
            text[..shared] == pattern[..shared] && can_begin(rest, &pattern[shared..])
        }
        Some((Part::Field { look, .. }, rest)) => match look.layout {
            Layout::Fixed(fixed) => fixed.at(0).has(*first),
            Layout::Run | Layout::List => {
                look.begins().has(*first) || (look.empty && can_begin(rest, pattern))
            }
        },
    }
}
