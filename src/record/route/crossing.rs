//! Finds templates when one path can follow many of them at once: `/a/{x}/c` and `/{x}/b/{y}`, a thousand times.
//!
//! Owns the search among such templates. For each depth it holds bit sets, in the order of precedence: which templates need
//! which literal there, and which accept any text. The templates that fit at every depth remain, and the first of them is
//! the result. Refuses to know the meaning of a match. Invariant: the result equals that of the trie. A search allocates no
//! memory, and its time is proportional to a 64th of the number of templates for each segment.

use std::collections::HashMap;

use super::pattern;
use crate::config::{Segment, Template};

/// Number of segments that are matched by sets; the few remaining templates are matched one by one.
const DEPTHS: usize = 16;

/// A set, as its words that are not empty, in order.
type Sparse = Vec<(u32, u64)>;

/// Templates in the order of precedence, found by the segments of a path.
#[derive(Debug)]
pub(super) struct Crossing {
    /// The number of the template at each rank.
    order: Vec<u32>,
    depths: Vec<Depth>,
    /// For each number of segments, the templates that can match. The last set is for all longer paths.
    lengths: Vec<Vec<u64>>,
}

/// The literals of templates at one depth.
#[derive(Debug)]
struct Depth {
    any: Vec<u64>,
    literals: HashMap<Box<[u8]>, Sparse>,
}

impl Crossing {
    /// `order`: the numbers of templates in the order of precedence. Their literals are folded.
    pub(super) fn new(order: Vec<u32>, template: impl Fn(u32) -> Template) -> Self {
        let templates: Vec<Template> = order.iter().map(|number| template(*number)).collect();
        let words = order.len().div_ceil(64);
        let deepest = templates.iter().map(|template| template.segments().len());
        let deepest = deepest.max().unwrap_or(0);
        let mut lengths = vec![vec![0; words]; deepest + 2];
        for (rank, template) in templates.iter().enumerate() {
            let own = template.segments().len();
            for (length, set) in lengths.iter_mut().enumerate() {
                let fits = if template.has_rest() {
                    length > own
                } else {
                    length == own
                };
                set[rank / 64] |= u64::from(fits) << (rank % 64);
            }
        }
        let depths = (0..deepest.min(DEPTHS)).map(|depth| Depth::new(depth, words, &templates));
        Self {
            depths: depths.collect(),
            order,
            lengths,
        }
    }

    /// The first template by precedence that fits the segments of `path` (folded, without its first slash; `None` is
    /// the root) and that `takes`.
    pub(super) fn find(&self, path: Option<&[u8]>, takes: impl Fn(u32) -> bool) -> Option<u32> {
        const NONE: &[(u32, u64)] = &[];
        let mut literals = [NONE; DEPTHS];
        let mut length = 0;
        let mut rest = path;
        while let Some(text) = rest {
            let (segment, next) = pattern::split(text);
            if let Some(depth) = self.depths.get(length) {
                literals[length] = depth.literals.get(segment).map_or(NONE, Vec::as_slice);
            }
            length += 1;
            rest = next;
        }
        let fitting = &self.lengths[length.min(self.lengths.len() - 1)];
        for (word, fits) in (0..).zip(fitting) {
            let mut left = *fits;
            for (depth, literals) in self.depths.iter().zip(&mut literals).take(length) {
                while let [(at, _), after @ ..] = literals
                    && *at < word
                {
                    *literals = after;
                }
                let literal = literals.first().filter(|(at, _)| *at == word);
                left &= depth.any[word as usize] | literal.map_or(0, |(_, bits)| *bits);
            }
            while left != 0 {
                let number = self.order[word as usize * 64 + left.trailing_zeros() as usize];
                if takes(number) {
                    return Some(number);
                }
                left &= left - 1;
            }
        }
        None
    }
}

impl Depth {
    fn new(depth: usize, words: usize, templates: &[Template]) -> Self {
        let mut any = vec![0; words];
        let mut literals: HashMap<Box<[u8]>, Sparse> = HashMap::new();
        for (rank, template) in templates.iter().enumerate() {
            let bit = 1 << (rank % 64);
            match template.segments().get(depth) {
                Some(Segment::Literal(literal)) => {
                    let set = literals.entry(literal.as_slice().into()).or_default();
                    let word = u32::try_from(rank / 64).unwrap_or(u32::MAX);
                    match set.last_mut() {
                        Some((last, bits)) if *last == word => *bits |= bit,
                        _ => set.push((word, bit)),
                    }
                }
                Some(Segment::Pattern(_)) => any[rank / 64] |= bit,
                None if template.has_rest() => any[rank / 64] |= bit,
                None => {}
            }
        }
        Self { any, literals }
    }
}
