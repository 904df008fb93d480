//! Matches a path against path templates, stored as a trie of segments.
//!
//! Owns the order of precedence. At each segment a literal precedes a pattern with more literal text, which precedes one with
//! less, which precedes a bare parameter, which precedes a rest. If a choice leads to no match, the next one is tried. Refuses
//! to know the meaning of a match. The trie holds lower-case letters; a template that is sensitive to case is compared with
//! the original path at its end. Invariant: the result equals that of trying all templates in this order. A search allocates
//! no memory and takes no more time for thousands of templates than for a few: a literal is found by its hash, and at most
//! [`MOST_VISITS`] nodes are visited. Templates that would need more are searched by [`Crossing`].

use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::crossing::Crossing;
use super::pattern;
use crate::config::{Methods, Segment, Template};

/// Nodes of the trie that may be visited for one path.
const MOST_VISITS: usize = 64;

/// The root node.
const ROOT: u32 = 0;
/// No node.
const NONE: u32 = u32::MAX;

/// Templates, each with a number.
#[derive(Debug)]
pub(super) struct Trie {
    nodes: Vec<Node>,
    /// Edges of literals, by their hash: numbers of nodes, open addressing, at most half full.
    edges: Vec<u32>,
    /// The bytes of all literals.
    literals: Vec<u8>,
    /// The templates by number; those that ignore case are in lower case.
    templates: Vec<Template>,
    /// Nodes that one path may have to visit.
    visits: usize,
    /// Replaces the trie if a path would visit too many nodes, with the data that it needs of each template.
    crossing: Option<Crossing>,
    ends: Vec<End>,
}

/// The path of a search.
#[derive(Clone, Copy)]
struct Asked<'p> {
    method: Methods,
    /// The original path without its outer slashes; `None` is the root.
    written: Option<&'p [u8]>,
    /// The path in lower case, and whether it differs from the original.
    folded: Option<&'p [u8]>,
    is_folded: bool,
}

#[derive(Debug)]
struct Node {
    /// The parent of the edge to this node, and its text if it is a literal.
    parent: u32,
    literal: Range<u32>,
    has_literals: bool,
    patterns: Vec<(Vec<Vec<u8>>, u32)>,
    /// The routes that end here, and those that accept any rest.
    ends: Ends,
    rest: Ends,
}

impl Node {
    fn new(parent: u32, literal: Range<u32>) -> Self {
        Self {
            parent,
            literal,
            has_literals: false,
            patterns: Vec::new(),
            ends: Ends::default(),
            rest: Ends::default(),
        }
    }
}

/// Routes of one template, by method. A route for any method is last; of two routes with equal methods, the one that is
/// sensitive to case is first.
#[derive(Debug, Default)]
struct Ends(Vec<End>);

/// A route whose template ends at a node.
#[derive(Debug, Clone, Copy)]
struct End {
    methods: Methods,
    number: u32,
    case: Case,
}

/// How the case of a template is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Case {
    /// Sensitive to case, and all letters are in lower case.
    Small,
    /// Sensitive to case.
    Mixed,
    /// Case is ignored.
    Ignored,
}

impl Ends {
    fn add(&mut self, end: End) {
        let order = |end: &End| (end.methods == Methods::ANY, end.case == Case::Ignored);
        let at = self.0.partition_point(|known| order(known) <= order(&end));
        self.0.insert(at, end);
    }
}

impl Trie {
    /// Builds the trie from templates with their methods, and whether they ignore case; each is identified by its index.
    /// The methods of equal templates must not overlap, except for a template for all methods.
    pub(super) fn new<'t>(
        templates: impl IntoIterator<Item = (&'t Template, Methods, bool)>,
    ) -> Self {
        Self::within(MOST_VISITS, templates)
    }

    /// The same, where a path may visit so many nodes.
    pub(super) fn within<'t>(
        most_visits: usize,
        templates: impl IntoIterator<Item = (&'t Template, Methods, bool)>,
    ) -> Self {
        let mut trie = Self {
            nodes: vec![Node::new(NONE, 0..0)],
            edges: Vec::new(),
            literals: Vec::new(),
            templates: Vec::new(),
            visits: 0,
            crossing: None,
            ends: Vec::new(),
        };
        trie.resize(8);
        for (number, (template, methods, ignore_case)) in (0..).zip(templates) {
            let folded = template.folded();
            let case = match ignore_case {
                true => Case::Ignored,
                false if folded == *template => Case::Small,
                false => Case::Mixed,
            };
            let node = folded
                .segments()
                .iter()
                .fold(ROOT, |node, segment| match segment {
                    Segment::Literal(literal) => trie.add_literal(node, literal),
                    Segment::Pattern(literals) => trie.add_pattern(node, literals),
                });
            let node = trie.node_mut(node);
            let ends = if template.has_rest() {
                &mut node.rest
            } else {
                &mut node.ends
            };
            ends.add(End {
                methods,
                number,
                case,
            });
            trie.templates.push(if ignore_case {
                folded
            } else {
                template.clone()
            });
        }
        trie.share_head();
        trie.visits = trie.count_visits();
        if trie.visits > most_visits {
            let (order, ends) = trie.in_order();
            let crossing = Crossing::new(order, |number| trie.templates[number as usize].folded());
            trie.ends = ends;
            trie.crossing = Some(crossing);
        }
        trie
    }

    /// HEAD is a GET without the body: it belongs to the route of GET, unless another one names it for the same path.
    fn share_head(&mut self) {
        let templates = &self.templates;
        let same = |one: &End, other: &End| {
            one.case == Case::Ignored
                || other.case == Case::Ignored
                || templates[one.number as usize] == templates[other.number as usize]
        };
        for node in &mut self.nodes {
            for Ends(ends) in [&mut node.ends, &mut node.rest] {
                let named: Vec<End> = ends
                    .iter()
                    .filter(|end| end.methods != Methods::ANY && end.methods.meets(Methods::HEAD))
                    .copied()
                    .collect();
                for end in ends.iter_mut().filter(|end| end.methods.lacks_head()) {
                    if !named.iter().any(|other| same(end, other)) {
                        end.methods = end.methods.or(Methods::HEAD);
                    }
                }
            }
        }
    }

    /// The number of nodes that one path would visit, if it is too large.
    pub(super) fn crossing_visits(&self) -> Option<usize> {
        self.crossing.as_ref().map(|_| self.visits)
    }

    /// Returns the number of the template for a path as a back end sees it. A slash at the end is ignored. `buffer` is
    /// scratch space for the path in lower case.
    pub(super) fn find(&self, method: Methods, path: &[u8], buffer: &mut Vec<u8>) -> Option<u32> {
        let inner = path.strip_prefix(b"/")?;
        let inner = inner.strip_suffix(b"/").unwrap_or(inner);
        let is_folded = inner.iter().any(u8::is_ascii_uppercase);
        let mut folded = inner;
        if is_folded {
            buffer.clear();
            buffer.extend_from_slice(inner);
            buffer.make_ascii_lowercase();
            folded = buffer;
        }
        let whole = |text| (!inner.is_empty()).then_some(text);
        let asked = Asked {
            method,
            written: whole(inner),
            folded: whole(folded),
            is_folded,
        };
        match &self.crossing {
            None => self.find_from(ROOT, asked.folded, &asked),
            Some(crossing) => crossing.find(asked.folded, |number| {
                let end = &self.ends[number as usize];
                self.fits(end, &asked)
                    && pattern::takes(
                        &self.templates[number as usize],
                        match end.case {
                            Case::Ignored => asked.folded,
                            Case::Small | Case::Mixed => asked.written,
                        },
                    )
            }),
        }
    }

    /// `rest` is the rest of the path in lower case, without the slash before it; `None` at its end.
    fn find_from(&self, at: u32, rest: Option<&[u8]>, asked: &Asked<'_>) -> Option<u32> {
        let node = &self.nodes[at as usize];
        let Some(rest) = rest else {
            return self.end(&node.ends, asked);
        };
        let (segment, next) = pattern::split(rest);
        if node.has_literals
            && let Some(child) = self.literal(at, segment)
            && let Some(found) = self.find_from(child, next, asked)
        {
            return Some(found);
        }
        for (literals, child) in &node.patterns {
            if pattern::matches(literals, segment)
                && let Some(found) = self.find_from(*child, next, asked)
            {
                return Some(found);
            }
        }
        self.end(&node.rest, asked)
    }

    fn end(&self, ends: &Ends, asked: &Asked<'_>) -> Option<u32> {
        let fits = |end: &&End| self.fits(end, asked);
        ends.0.iter().find(fits).map(|end| end.number)
    }

    /// Whether a route whose template matches in lower case accepts this method and this case.
    fn fits(&self, end: &End, asked: &Asked<'_>) -> bool {
        end.methods.meets(asked.method)
            && match end.case {
                Case::Ignored => true,
                // the lower-case text equals the original, so the template matches it too
                Case::Small if !asked.is_folded => true,
                Case::Mixed if !asked.is_folded => false,
                Case::Small | Case::Mixed => {
                    pattern::takes(&self.templates[end.number as usize], asked.written)
                }
            }
    }

    /// The most nodes that one path may visit: of the literals of a node it follows one, of the patterns all.
    fn count_visits(&self) -> usize {
        let mut visits = vec![1_usize; self.nodes.len()];
        let mut literal = vec![0_usize; self.nodes.len()];
        // a node comes after its parent
        for (at, node) in self.nodes.iter().enumerate().rev() {
            let patterns = node
                .patterns
                .iter()
                .map(|(_, child)| visits[*child as usize]);
            let own = patterns.fold(1 + literal[at], usize::saturating_add);
            visits[at] = own;
            if !node.literal.is_empty() {
                let most = &mut literal[node.parent as usize];
                *most = own.max(*most);
            }
        }
        visits[ROOT as usize]
    }

    /// The numbers of all templates in the order of precedence, and where each ends, by its number.
    fn in_order(&self) -> (Vec<u32>, Vec<End>) {
        let mut literals = vec![Vec::new(); self.nodes.len()];
        for (number, node) in (0..).zip(&self.nodes) {
            if !node.literal.is_empty() {
                literals[node.parent as usize].push(number);
            }
        }
        let mut found: Vec<End> = Vec::new();
        // the remaining work, the next item last: a node, or the rests of a node whose children are done
        let mut left = vec![(ROOT, false)];
        while let Some((at, is_rest)) = left.pop() {
            let node = &self.nodes[at as usize];
            if is_rest {
                found.extend(&node.rest.0);
                continue;
            }
            found.extend(&node.ends.0);
            left.push((at, true));
            let patterns = node.patterns.iter().rev().map(|(_, child)| (*child, false));
            left.extend(patterns);
            left.extend(literals[at as usize].iter().map(|child| (*child, false)));
        }
        let order = found.iter().map(|end| end.number).collect();
        found.sort_unstable_by_key(|end| end.number);
        (order, found)
    }

    /// Returns the node that a literal leads to.
    fn literal(&self, parent: u32, segment: &[u8]) -> Option<u32> {
        let mut slot = self.first_slot(parent, segment);
        loop {
            let child = self.edges[slot];
            if child == NONE {
                return None;
            }
            let node = &self.nodes[child as usize];
            if node.parent == parent && self.text(node) == segment {
                return Some(child);
            }
            slot = (slot + 1) & (self.edges.len() - 1);
        }
    }

    fn text(&self, node: &Node) -> &[u8] {
        &self.literals[node.literal.start as usize..node.literal.end as usize]
    }

    fn node_mut(&mut self, at: u32) -> &mut Node {
        &mut self.nodes[at as usize]
    }

    /// Returns the start of the search for an edge. Odd paths cannot make the search long, because only the configuration
    /// fills the table.
    #[allow(clippy::cast_possible_truncation, reason = "a hash has bits to spare")]
    fn first_slot(&self, parent: u32, segment: &[u8]) -> usize {
        let hash = xxh3_64_with_seed(segment, u64::from(parent));
        hash as usize & (self.edges.len() - 1)
    }

    fn add_literal(&mut self, parent: u32, literal: &[u8]) -> u32 {
        if let Some(child) = self.literal(parent, literal) {
            return child;
        }
        let start = length(&self.literals);
        self.literals.extend_from_slice(literal);
        let child = self.add(Node::new(parent, start..length(&self.literals)));
        self.node_mut(parent).has_literals = true;
        if self.nodes.len() * 2 > self.edges.len() {
            self.resize(self.edges.len() * 2);
        } else {
            self.link(child);
        }
        child
    }

    fn add_pattern(&mut self, parent: u32, literals: &[Vec<u8>]) -> u32 {
        let patterns = &self.nodes[parent as usize].patterns;
        if let Some((_, child)) = patterns.iter().find(|(known, _)| known == literals) {
            return *child;
        }
        // of two with as much literal text, the first one
        let weight = pattern::weight(literals);
        let at = patterns.partition_point(|(known, _)| pattern::weight(known) >= weight);
        let child = self.add(Node::new(parent, 0..0));
        let patterns = &mut self.node_mut(parent).patterns;
        patterns.insert(at, (literals.to_vec(), child));
        child
    }

    fn add(&mut self, node: Node) -> u32 {
        let number = length(&self.nodes);
        self.nodes.push(node);
        number
    }

    /// Makes a table of `size`, a power of two, and fills it.
    fn resize(&mut self, size: usize) {
        self.edges.clear();
        self.edges.resize(size, NONE);
        for number in 0..length(&self.nodes) {
            // the root and the children of patterns have no text
            if !self.nodes[number as usize].literal.is_empty() {
                self.link(number);
            }
        }
    }

    fn link(&mut self, number: u32) {
        let node = &self.nodes[number as usize];
        let mut slot = self.first_slot(node.parent, self.text(node));
        while self.edges[slot] != NONE {
            slot = (slot + 1) & (self.edges.len() - 1);
        }
        self.edges[slot] = number;
    }
}

/// Templates come from files of a few MiB: their numbers fit.
#[allow(clippy::cast_possible_truncation)]
fn length<T>(items: &[T]) -> u32 {
    items.len() as u32
}
