//! Path templates as a trie of segments: which of them matches a path.
//!
//! Owns the order of precedence: at each segment a literal goes before a pattern with more literal text, that
//! before one with less, that before a bare parameter, that before a rest; where a choice leads nowhere, the next
//! is tried. Refuses to know what a match means. Invariant: the answer is that of trying all templates by this
//! order, and finding it takes no memory and no more time for thousands of templates than for a few: a literal
//! is found by its hash, and a node of the trie is visited at most once.

use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::config::{Methods, Segment, Template};

/// The node that every path begins at.
const ROOT: u32 = 0;
/// No node.
const NONE: u32 = u32::MAX;

/// Templates with the numbers of what they mean.
#[derive(Debug)]
pub(super) struct Trie {
    nodes: Vec<Node>,
    /// Edges of literals, by their hash: numbers of nodes, open addressing, at most half full.
    edges: Vec<u32>,
    /// The bytes of all literals.
    literals: Vec<u8>,
}

#[derive(Debug)]
struct Node {
    /// Where the edge that leads here begins, and its text if it is a literal.
    parent: u32,
    literal: Range<u32>,
    has_literals: bool,
    patterns: Vec<(Pattern, u32)>,
    /// What ends here, and what goes on with any rest.
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

/// Routes of one template, by their methods; one for any method last.
#[derive(Debug, Default)]
struct Ends(Vec<(Methods, u32)>);

impl Ends {
    fn add(&mut self, methods: Methods, number: u32) {
        let any = |(known, _): &(Methods, u32)| *known == Methods::ANY;
        let at = match methods {
            Methods::ANY => self.0.len(),
            _ => self.0.iter().position(any).unwrap_or(self.0.len()),
        };
        self.0.insert(at, (methods, number));
    }

    /// HEAD is a GET without the body: it belongs to the route of GET, unless another one names it.
    fn share_head(&mut self) {
        let named = self
            .0
            .iter()
            .filter(|(methods, _)| *methods != Methods::ANY);
        let is_named = named
            .clone()
            .any(|(methods, _)| methods.meets(Methods::HEAD));
        for (methods, _) in self.0.iter_mut().filter(|_| !is_named) {
            if methods.lacks_head() {
                *methods = methods.or(Methods::HEAD);
            }
        }
    }

    fn find(&self, method: Methods) -> Option<u32> {
        let fits = |(methods, _): &&(Methods, u32)| methods.meets(method);
        self.0.iter().find(fits).map(|(_, number)| *number)
    }
}

/// The literals before, between and after the parameters of one segment.
#[derive(Debug)]
pub(super) struct Pattern(Vec<Vec<u8>>);

impl Pattern {
    pub(super) fn new(literals: Vec<Vec<u8>>) -> Self {
        Self(literals)
    }

    /// Each parameter takes at least one byte. Taking as little as possible for each but the last finds a match
    /// if there is any.
    pub(super) fn matches(&self, segment: &[u8]) -> bool {
        let [first, between @ .., last] = self.0.as_slice() else {
            return false;
        };
        let Some(mut rest) = segment.strip_prefix(first.as_slice()) else {
            return false;
        };
        for literal in between {
            let Some(at) = rest
                .get(1..)
                .and_then(|rest| memchr::memmem::find(rest, literal))
            else {
                return false;
            };
            rest = &rest[1 + at + literal.len()..];
        }
        rest.len() > last.len() && rest.ends_with(last)
    }

    /// How much of a segment it says.
    fn weight(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }
}

impl Trie {
    /// Templates with the methods that they are for; each is known by its place. Of equal templates the methods
    /// must not meet, but for one that is for all.
    pub(super) fn new<'t>(templates: impl IntoIterator<Item = (&'t Template, Methods)>) -> Self {
        let mut trie = Self {
            nodes: vec![Node::new(NONE, 0..0)],
            edges: Vec::new(),
            literals: Vec::new(),
        };
        trie.resize(8);
        for (number, (template, methods)) in (0..).zip(templates) {
            let node = template
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
            ends.add(methods, number);
        }
        for node in &mut trie.nodes {
            node.ends.share_head();
            node.rest.share_head();
        }
        trie
    }

    /// The number of the template for a path as nginx normalises it. A slash at the end means nothing.
    pub(super) fn find(&self, method: Methods, path: &[u8]) -> Option<u32> {
        let inner = path.strip_prefix(b"/")?;
        let inner = inner.strip_suffix(b"/").unwrap_or(inner);
        self.find_from(ROOT, (!inner.is_empty()).then_some(inner), method)
    }

    /// `rest`: what is left of the path, without the slash before it; `None` at its end.
    fn find_from(&self, at: u32, rest: Option<&[u8]>, method: Methods) -> Option<u32> {
        let node = &self.nodes[at as usize];
        let Some(rest) = rest else {
            return node.ends.find(method);
        };
        let (segment, next) = match memchr::memchr(b'/', rest) {
            Some(slash) => (&rest[..slash], Some(&rest[slash + 1..])),
            None => (rest, None),
        };
        if node.has_literals
            && let Some(child) = self.literal(at, segment)
            && let Some(found) = self.find_from(child, next, method)
        {
            return Some(found);
        }
        for (pattern, child) in &node.patterns {
            if pattern.matches(segment)
                && let Some(found) = self.find_from(*child, next, method)
            {
                return Some(found);
            }
        }
        node.rest.find(method)
    }

    /// The node that a literal leads to.
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

    /// Where the search for an edge begins. Whoever sends odd paths cannot make it long: only the configuration
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
        if let Some((_, child)) = patterns.iter().find(|(known, _)| known.0 == literals) {
            return *child;
        }
        let pattern = Pattern::new(literals.to_vec());
        // of two that say as much, the one that stands first
        let at = patterns.partition_point(|(known, _)| known.weight() >= pattern.weight());
        let child = self.add(Node::new(parent, 0..0));
        self.node_mut(parent).patterns.insert(at, (pattern, child));
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
