//! Compiles the parts of a format to steps. Owns which step reads a part, and which variables are read as one text.
//! [`super::proof`] contains the proofs that this relies on. Refuses to know lines.

use super::error::{Ambiguity, FormatError, FormatProblem, FormatWarning};
use super::grammar::{Fixed, Grammar, Layout, Look};
use super::joined::{self, Joined, Member, Tail};
use super::proof::{Anchor, Part, anchor, can_begin, only_one_end};
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
    /// Seconds with three digits of milliseconds, whatever the following text is.
    Seconds { field: u16 },
    /// A list whose end is certain.
    List { field: u16, mask: u64, empty: bool },
    /// A value that may end at any occurrence of the next step's literal.
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
    /// The bit of the bytes with which the next field begins, if a `-` before any other byte is that field's absent
    /// value; else 0.
    pub(crate) give_back: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scan {
    /// By the class table.
    Class,
    /// By the class table; a `\` hides the byte after it.
    ClassPairs,
    /// Text under `escape=default`: up to a `"` or a control byte.
    Text,
    /// Text under `escape=json`: up to an unescaped `"` or a control byte.
    JsonText,
    /// Text under `escape=none`: up to the end of the line.
    All,
    /// A host before a `:`: up to the end of its brackets, else by the class table, without `:`.
    Host,
    /// An IPv4 address before a `:`, by the class table, or `unix:`.
    Address,
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

    /// Whether `rest` begins with this literal. Usually one load and one comparison.
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

/// What to do with adjacent variables that cannot be separated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Neighbours {
    Refused,
    Joined,
}

/// Compiles a format; an error unless all variables can be separated.
pub(super) fn compile_apart(source: &str, escape: Escape) -> Result<Program, FormatError> {
    compile_with(source, escape, Neighbours::Refused)
}

/// Compiles a format; variables that cannot be separated are read as one text.
pub(super) fn compile(source: &str, escape: Escape) -> Result<Program, FormatError> {
    let error = match compile_apart(source, escape) {
        Err(error) if matches!(error.problem(), FormatProblem::Neighbours { .. }) => error,
        other => return other,
    };
    let program = compile_with(source, escape, Neighbours::Joined)?;
    let uncut = program.joined.iter().filter(|joined| joined.cuts.is_none());
    if uncut.count() == program.fields.len() {
        // Every field would be the text of several variables, which has no meaning by itself.
        return Err(error);
    }
    Ok(program)
}

fn compile_with(
    source: &str,
    escape: Escape,
    neighbours: Neighbours,
) -> Result<Program, FormatError> {
    // A `\r` at the end is part of the line end, as in a log of nginx for Windows.
    let text = source.strip_suffix('\r').unwrap_or(source);
    if let Some(at) = text.find('\n') {
        return Err(FormatError::new(source, at, FormatProblem::Newline));
    }
    let mut fields = Vec::new();
    let mut parts: Vec<Part> = Vec::new();
    let mut literals = 0u16;
    for (at, piece) in pieces(text)? {
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
        neighbours,
        order: (0..fields.len()).map(|at| (at, IN_PLACE)).collect(),
        fields,
        sets: Vec::new(),
        steps: Vec::new(),
        literals: Vec::new(),
        joined: Vec::new(),
        warnings: Vec::new(),
    };
    let mut rest = parts.as_slice();
    while !rest.is_empty() {
        let taken = compiler.next(rest)?;
        rest = &rest[taken..];
    }
    compiler.finish()
}

/// Whether an IPv6 address ends before the following text: a `:` and a byte that no IP address contains; or a `:`, a
/// port and a byte that neither of them contains.
fn has_an_end(look: &Look, rest: &[Part]) -> bool {
    let in_ip = |byte: &u8| look.narrow.unwrap_or(look.wide).has(*byte);
    if let [Part::Literal { text, .. }, ..] = rest
        && text.get(1).is_some_and(|byte| !in_ip(byte))
    {
        return true;
    }
    let [
        Part::Literal { text, .. },
        Part::Field { grammar, .. },
        rest @ ..,
    ] = rest
    else {
        return false;
    };
    let ends = match rest.first() {
        Some(Part::Literal { text, .. }) => text.first().is_some_and(|byte| !look.wide.has(*byte)),
        Some(Part::Field { .. }) => false,
        None => true,
    };
    text == b":" && *grammar == Grammar::Port && ends
}

struct Compiler<'a> {
    source: &'a str,
    escape: Escape,
    neighbours: Neighbours,
    /// The variables, then the fields of joined ones.
    fields: Vec<Field>,
    /// The order of each field in the line: its variable, and whether it comes before or at it.
    order: Vec<(usize, u8)>,
    sets: Vec<ByteSet>,
    steps: Vec<Step>,
    literals: Vec<Literal>,
    joined: Vec<Joined>,
    warnings: Vec<FormatWarning>,
}

/// The second part of [`Compiler::order`]: the text of several variables comes before that of fewer, and both come
/// before the first of their variables.
const WHOLE: u8 = 0;
const HEAD: u8 = 1;
const IN_PLACE: u8 = 2;
/// A variable that is never read by itself, and therefore is not a field.
const NOWHERE: u8 = 3;

/// Whether a step was made for a value, or the value cannot be separated from the variable after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    Step,
    Nothing,
}

impl Compiler<'_> {
    /// Makes the step for the first part, or for several first parts together; returns how many.
    fn next(&mut self, parts: &[Part]) -> Result<usize, FormatError> {
        let Some((part, rest)) = parts.split_first() else {
            return Ok(0);
        };
        let (field, look, grammar, at) = match part {
            Part::Literal { text, index } => {
                self.literals.push(Literal::new(text));
                self.steps.push(Step::Literal(*index));
                return Ok(1);
            }
            Part::Field {
                index,
                look,
                grammar,
                at,
            } => (*index, look, *grammar, *at),
        };
        if self.neighbours == Neighbours::Joined
            && let Some(Part::Literal { text, .. }) = rest.first()
            && text.first() == Some(&b':')
            && let Some(scan) = self.scan_to_colon(field, grammar)
            && !(scan == Scan::Address && has_an_end(look, rest))
        {
            self.read_to_colon(field, look, grammar, scan);
            return Ok(1);
        }
        if self.value(field, look, grammar, at, rest) == Made::Step {
            return Ok(1);
        }
        match (self.neighbours, grammar, rest.first()) {
            (Neighbours::Refused, _, Some(Part::Field { index, at, .. })) => {
                let name = |index: u16| self.fields[usize::from(index)].name.clone();
                let problem = FormatProblem::Neighbours {
                    left: name(field),
                    right: name(*index),
                };
                Err(FormatError::new(self.source, *at, problem))
            }
            // These have a known length, whatever the following text is, and they are never absent.
            (_, Grammar::Status, _) => {
                let fixed = Fixed::Status;
                self.steps.push(Step::Fixed { field, fixed });
                Ok(1)
            }
            (_, Grammar::Seconds | Grammar::Msec, _) => {
                self.steps.push(Step::Seconds { field });
                Ok(1)
            }
            _ => self.join(parts),
        }
    }

    fn value(
        &mut self,
        field: u16,
        look: &Look,
        grammar: Grammar,
        at: usize,
        rest: &[Part],
    ) -> Made {
        match look.layout {
            Layout::Fixed(fixed) => {
                self.steps.push(Step::Fixed { field, fixed });
                Made::Step
            }
            Layout::List => self.list(field, look, grammar, at, rest),
            Layout::Run => self.run(field, look, grammar, at, rest),
        }
    }

    /// How a value before a `:` is read. The text after it may be unlimited, and must not decide where the value ends.
    /// In `$host`, a `:` occurs only in brackets (ngx_http_request.c, `ngx_http_validate_host`). IPv6 addresses are not
    /// read, because they have no certain end there, unless a port and a limiting text follow.
    fn scan_to_colon(&self, field: u16, grammar: Grammar) -> Option<Scan> {
        match grammar {
            Grammar::Host if self.fields[usize::from(field)].name == "host" => Some(Scan::Host),
            Grammar::Address => Some(Scan::Address),
            _ => None,
        }
    }

    fn read_to_colon(&mut self, field: u16, look: &Look, grammar: Grammar, scan: Scan) {
        let set = match scan {
            Scan::Address => ByteSet::range(b'0', b'9').or(ByteSet::of(b".")),
            _ => look.wide.without(ByteSet::of(b":")),
        };
        let reading = Reading {
            grammar,
            scan,
            mask: self.class(set),
            empty: look.empty,
            dash: look.dash && !set.has(b'-'),
            give_back: 0,
        };
        self.steps.push(Step::Run {
            field,
            reading,
            back: 0,
        });
    }

    /// Makes one step for the first variables: for as few as can be separated from the following text.
    fn join(&mut self, parts: &[Part]) -> Result<usize, FormatError> {
        let mut fields = Vec::new();
        for part in parts {
            let Part::Field {
                index,
                look,
                grammar,
                at,
            } = part
            else {
                break;
            };
            fields.push((*index, *look, *grammar, *at));
        }
        let Some(&(first, _, _, at)) = fields.first() else {
            return Ok(0);
        };
        let whole = self.add(String::new(), usize::from(first), WHOLE, at)?;
        for count in 2..=fields.len() {
            let names: Vec<String> = fields[..count]
                .iter()
                .map(|(index, ..)| self.fields[usize::from(*index)].name.clone())
                .collect();
            let members: Vec<Member<'_>> = fields[..count]
                .iter()
                .zip(&names)
                .map(|((field, look, grammar, _), name)| Member {
                    field: *field,
                    name,
                    grammar: *grammar,
                    look: *look,
                })
                .collect();
            let look = joined::look(&members, self.escape);
            self.fields[usize::from(whole)].name = names.join("$");
            if self.value(whole, &look, Grammar::Text, at, &parts[count..]) == Made::Nothing {
                continue;
            }
            let mut fault = None;
            let mut head = |members: &[Member<'_>]| {
                let names: Vec<&str> = members.iter().map(|member| member.name).collect();
                let field = self.add(names.join("$"), usize::from(first), HEAD, at);
                for member in members {
                    self.order[usize::from(member.field)].1 = NOWHERE;
                }
                field.map_err(|error| fault = Some(error)).ok()
            };
            let cuts = joined::cuts(&members, &mut head);
            if let Some(error) = fault {
                return Err(error);
            }
            if cuts.is_none() {
                self.warnings.push(FormatWarning {
                    field: names.join("$"),
                    offset: at,
                    ambiguity: Ambiguity::Joined,
                });
                for member in &members {
                    self.order[usize::from(member.field)].1 = NOWHERE;
                }
            }
            self.joined.push(Joined { whole, cuts });
            return Ok(count);
        }
        // Every kind of step can be made before a literal text or the end of the line.
        Ok(fields.len())
    }

    /// Makes a field for several variables; `first` is the index of the first.
    fn add(
        &mut self,
        name: String,
        first: usize,
        place: u8,
        at: usize,
    ) -> Result<u16, FormatError> {
        let index = u16::try_from(self.fields.len())
            .map_err(|_| FormatError::new(self.source, at, FormatProblem::TooMany))?;
        let grammar = Grammar::Text;
        self.fields.push(Field { name, grammar });
        self.order.push((first, place));
        Ok(index)
    }

    fn list(
        &mut self,
        field: u16,
        look: &Look,
        grammar: Grammar,
        at: usize,
        rest: &[Part],
    ) -> Made {
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
            return Made::Step;
        }
        self.guess(field, look, look.wide, grammar, at, rest, true)
    }

    fn run(&mut self, field: u16, look: &Look, grammar: Grammar, at: usize, rest: &[Part]) -> Made {
        // Neither `-` nor an empty value can be distinguished from a text that begins with `-`.
        let unclear = self.escape == Escape::Default && look.empty && look.dash;
        if unclear && !look.wide.has(b'-') && can_begin(rest, b"-") {
            let look = Look {
                wide: look.wide.or(ByteSet::of(b"-")),
                ..*look
            };
            return self.guess(field, &look, look.wide, grammar, at, rest, false);
        }
        // For joined variables, the search for an absent one knows everything that follows it.
        let joined = self.neighbours == Neighbours::Joined;
        let certain = |set: ByteSet| {
            anchor(&set, look.pairs, rest)
                .filter(|anchor| !joined || anchor.give_back.is_none())
                .map(|anchor| (set, anchor))
        };
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
        Made::Step
    }

    /// A field whose end must be tried; this works only before a literal text.
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
    ) -> Made {
        match rest.first() {
            Some(Part::Literal { text, .. }) => {
                if list || !only_one_end(look, rest) {
                    let follows = String::from_utf8_lossy(text).into_owned();
                    self.warnings.push(FormatWarning {
                        field: self.fields[usize::from(field)].name.clone(),
                        offset: at,
                        ambiguity: if list {
                            Ambiguity::List
                        } else {
                            Ambiguity::End { follows }
                        },
                    });
                }
                let reading = self.reading(look, set, grammar, rest);
                self.steps.push(Step::Guess {
                    field,
                    reading,
                    list,
                });
                Made::Step
            }
            Some(Part::Field { .. }) => Made::Nothing,
            // The end of the line ends every value.
            None => {
                let reading = self.reading(look, set, grammar, rest);
                self.steps.push(Step::Run {
                    field,
                    reading,
                    back: 0,
                });
                Made::Step
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
            // A `-` after an empty value belongs to the literal, and is not an absent value.
            dash: look.dash && !set.has(b'-') && !(look.empty && can_begin(rest, b"-")),
            give_back: 0,
        }
    }

    /// The bit of a set. A grammar has at most two sets, and most sets are shared, so only joined variables could need
    /// more bits than there are; see [`Compiler::finish`].
    fn class(&mut self, set: ByteSet) -> u64 {
        let index = match self.sets.iter().position(|known| *known == set) {
            Some(index) => index,
            None => {
                self.sets.push(set);
                self.sets.len() - 1
            }
        };
        1u64.checked_shl(u32::try_from(index).unwrap_or(u32::MAX))
            .unwrap_or(0)
    }

    fn finish(mut self) -> Result<Program, FormatError> {
        if self.sets.len() > 64 {
            let end = self.source.len();
            return Err(FormatError::new(self.source, end, FormatProblem::TooMany));
        }
        if !self.joined.is_empty() {
            self.sort_fields();
        }
        let mut classes = Box::new([0u64; 256]);
        for (index, set) in self.sets.iter().enumerate() {
            for byte in 0..=u8::MAX {
                if set.has(byte) {
                    classes[usize::from(byte)] |= 1 << index;
                }
            }
        }
        let quotes = self.literals.iter().flat_map(|literal| literal.bytes());
        let quotes = quotes.filter(|byte| **byte == b'"').count();
        Ok(Program {
            source: self.source.to_owned(),
            quotes,
            escape: self.escape,
            fields: self.fields,
            warnings: self.warnings,
            steps: self.steps,
            literals: self.literals,
            joined: self.joined,
            classes,
        })
    }

    /// Puts the fields of joined variables at their positions in the line, and omits the variables that are never read
    /// by themselves.
    fn sort_fields(&mut self) {
        let place = |at: &usize| self.order[*at];
        let mut order: Vec<usize> = (0..self.fields.len()).collect();
        order.retain(|at| place(at).1 != NOWHERE);
        order.sort_by_key(place);
        let mut moved = vec![0u16; self.fields.len()];
        for (index, at) in (0u16..).zip(&order) {
            moved[*at] = index;
        }
        let to = |field: &mut u16| *field = moved[usize::from(*field)];
        for step in &mut self.steps {
            match step {
                Step::Literal(_) => {}
                Step::Fixed { field, .. }
                | Step::Run { field, .. }
                | Step::Seconds { field }
                | Step::List { field, .. }
                | Step::Guess { field, .. } => to(field),
            }
        }
        for joined in &mut self.joined {
            to(&mut joined.whole);
            let Some(cuts) = &mut joined.cuts else {
                continue;
            };
            if let Some(head) = &mut cuts.head {
                to(&mut head.field);
            }
            match &mut cuts.tail {
                Tail::Target { field, .. } => to(field),
                Tail::Parts {
                    path,
                    is_args,
                    args,
                } => {
                    path.iter_mut().for_each(to);
                    to(is_args);
                    to(args);
                }
            }
        }
        self.fields = order.iter().map(|at| self.fields[*at].clone()).collect();
    }
}
