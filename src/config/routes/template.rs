//! A path template: literal segments and parameters, `/users/{id}/orders`.
//!
//! Owns the syntax of a template. Refuses to know how paths are matched. Invariant: two templates are equal exactly when
//! they match the same paths, so only one of two equal templates can be reached. It guards against a template that looks
//! right and matches nothing.

use std::fmt;

/// The form of the paths of one API.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Template {
    segments: Vec<Segment>,
    rest: bool,
}

/// The part between two slashes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// Exactly these bytes.
    Literal(Vec<u8>),
    /// The literals before, between and after parameters; each parameter matches at least one byte. A segment
    /// that is only a parameter has two empty literals.
    Pattern(Vec<Vec<u8>>),
}

/// Why a text is not a template, with a hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateError {
    /// It does not begin with `/`.
    NoSlash,
    /// A `{` without its `}`.
    Unclosed,
    /// A `}` without its `{`.
    Unopened,
    /// `{}`.
    Unnamed,
    /// `{a}{b}`.
    Adjacent,
    /// `{id:[0-9]+}`.
    Constrained(String),
    /// `{path*}` before the end, or with other text in its segment.
    RestInside,
    /// `/a/*` or `/a/:id`, as other tools write it.
    Foreign(String),
    /// `?` or `#`.
    NoPath(char),
    /// `.`, `..` or `//`.
    Unnormalised,
    /// `;x`, a blank at the end, or a control character.
    CutOff,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSlash => f.write_str("does not begin with /; write the whole path, as in \"/users/{id}\""),
            Self::Unclosed => f.write_str("has a { without its } in the same segment"),
            Self::Unopened => f.write_str("has a } without its {"),
            Self::Unnamed => f.write_str("has a parameter without a name; write it as in {id}"),
            Self::Adjacent => f.write_str(
                "has two parameters with nothing between them; nobody can tell where the first ends, so write one",
            ),
            Self::Constrained(name) => write!(
                f,
                "has a pattern in {{{name}}}; a parameter takes any text, so write its name alone, or a regex \
                 instead of the path"
            ),
            Self::RestInside => f.write_str(
                "has a parameter for the rest that is not a whole segment at the end; write it as in /files/{path*}",
            ),
            Self::Foreign(segment) => write!(
                f,
                "has {segment:?}, which stands for itself; write {{name}} for a segment and {{name*}} at the end \
                 for the rest"
            ),
            Self::NoPath(char) => write!(
                f,
                "has a {char:?}; write the path alone, for queries take no part in matching"
            ),
            Self::Unnormalised => f.write_str(
                "has a segment that nginx resolves (\".\", \"..\" or an empty one), so no path matches; write it \
                 without",
            ),
            Self::CutOff => f.write_str(
                "has a segment of which a part is cut off before it is matched: what follows a \";\", blanks at its \
                 end, control characters; write it without",
            ),
        }
    }
}

/// The template as it was written, except for the names of parameters.
impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            f.write_str("/")?;
            match segment {
                Segment::Literal(literal) => write!(f, "{}", literal.escape_ascii())?,
                Segment::Pattern(literals) => {
                    let literals: Vec<String> = literals
                        .iter()
                        .map(|literal| literal.escape_ascii().to_string())
                        .collect();
                    f.write_str(&literals.join("{}"))?;
                }
            }
        }
        match (self.rest, self.segments.is_empty()) {
            (true, _) => f.write_str("/{*}"),
            (false, true) => f.write_str("/"),
            (false, false) => Ok(()),
        }
    }
}

impl Template {
    /// Reads a template. `%XX` means the byte, as in a path; a slash at the end is ignored.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let inner = text.strip_prefix('/').ok_or(TemplateError::NoSlash)?;
        if inner.starts_with('/') {
            return Err(TemplateError::Unnormalised);
        }
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        let mut template = Self {
            segments: Vec::new(),
            rest: false,
        };
        if inner.is_empty() {
            return Ok(template);
        }
        let mut segments = inner.split('/').peekable();
        while let Some(text) = segments.next() {
            if let Some(name) = rest_name(text) {
                if segments.peek().is_some() {
                    return Err(TemplateError::RestInside);
                }
                check_name(name)?;
                template.rest = true;
                break;
            }
            template.segments.push(segment(text)?);
        }
        Ok(template)
    }

    /// Its segments, from the first on.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The same in lower-case letters.
    #[must_use]
    pub fn folded(&self) -> Self {
        let fold = |segment: &Segment| match segment {
            Segment::Literal(literal) => Segment::Literal(literal.to_ascii_lowercase()),
            Segment::Pattern(literals) => {
                let literals = literals.iter().map(|literal| literal.to_ascii_lowercase());
                Segment::Pattern(literals.collect())
            }
        };
        Self {
            segments: self.segments.iter().map(fold).collect(),
            rest: self.rest,
        }
    }

    /// Whether it ends with a parameter that matches one segment or more.
    pub fn has_rest(&self) -> bool {
        self.rest
    }
}

/// The name in `{name*}`, or in `{name+}`, the form of API gateways.
fn rest_name(segment: &str) -> Option<&str> {
    let name = segment.strip_prefix('{')?.strip_suffix('}')?;
    let name = name.strip_suffix(['*', '+'])?;
    (!name.contains(['{', '}'])).then_some(name)
}

fn segment(text: &str) -> Result<Segment, TemplateError> {
    if let Some(char) = text.chars().find(|char| matches!(char, '?' | '#')) {
        return Err(TemplateError::NoPath(char));
    }
    if text.starts_with(':') && text.len() > 1 || matches!(text, "*" | "**") {
        return Err(TemplateError::Foreign(text.to_owned()));
    }
    let mut literals = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        if before.contains('}') {
            return Err(TemplateError::Unopened);
        }
        if before.is_empty() && !literals.is_empty() {
            return Err(TemplateError::Adjacent);
        }
        let (name, after) = after.split_once('}').ok_or(TemplateError::Unclosed)?;
        if name.contains('{') {
            return Err(TemplateError::Unclosed);
        }
        if name.ends_with(['*', '+']) {
            return Err(TemplateError::RestInside);
        }
        check_name(name)?;
        literals.push(decoded(before)?);
        rest = after;
    }
    if rest.contains('}') {
        return Err(TemplateError::Unopened);
    }
    let last = decoded(rest)?;
    let is_cut = |byte: &u8| *byte == b';' || byte.is_ascii_control();
    let cuts = |literal: &Vec<u8>| literal.iter().any(is_cut);
    if literals.iter().any(cuts) || cuts(&last) || last.ends_with(b" ") {
        return Err(TemplateError::CutOff);
    }
    if !literals.is_empty() {
        literals.push(last);
        return Ok(Segment::Pattern(literals));
    }
    if matches!(&*last, b"" | b"." | b"..") {
        return Err(TemplateError::Unnormalised);
    }
    Ok(Segment::Literal(last))
}

fn check_name(name: &str) -> Result<(), TemplateError> {
    if name.is_empty() {
        return Err(TemplateError::Unnamed);
    }
    if name.contains([':', '=', '*', '+', '?', '\\', '(', '[']) {
        return Err(TemplateError::Constrained(name.to_owned()));
    }
    Ok(())
}

fn decoded(text: &str) -> Result<Vec<u8>, TemplateError> {
    let hex = |at: usize| {
        let digits = text.get(at..at + 2)?;
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hex.then(|| u8::from_str_radix(digits, 16).ok())?
    };
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.as_bytes().get(at) {
        match (byte, hex(at + 1)) {
            // nginx decodes it to a separator.
            (b'%', Some(b'/')) => return Err(TemplateError::Unnormalised),
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn literal(text: &str) -> Segment {
        Segment::Literal(text.as_bytes().to_vec())
    }

    fn pattern(literals: &[&str]) -> Segment {
        Segment::Pattern(
            literals
                .iter()
                .map(|text| text.as_bytes().to_vec())
                .collect(),
        )
    }

    #[test]
    fn templates_have_literals_and_parameters() {
        let parse = |text: &str| Template::parse(text).unwrap().segments;
        assert_eq!(parse("/"), []);
        assert_eq!(parse("/users/{id}"), [literal("users"), pattern(&["", ""])]);
        assert_eq!(parse("/{id}.json"), [pattern(&["", ".json"])]);
        assert_eq!(
            parse("/v{n}-{m}/x"),
            [pattern(&["v", "-", ""]), literal("x")]
        );
        assert_eq!(parse("/caf%C3%A9/%"), [literal("café"), literal("%")]);
        let rest = Template::parse("/files/{path*}").unwrap();
        assert!(rest.has_rest());
        assert_eq!(rest.segments, [literal("files")]);
        assert_eq!(rest, Template::parse("/files/{proxy+}").unwrap());
        // Names and a last slash make no difference.
        assert_eq!(parse("/a/{b}/"), parse("/a/{c}"));
    }

    #[test]
    fn what_matches_nothing_is_no_template() {
        use TemplateError::*;
        for (text, error) in [
            ("", NoSlash),
            ("users", NoSlash),
            ("/{id", Unclosed),
            ("/{a{b}}", Unclosed),
            ("/{a/b}", Unclosed),
            ("/id}", Unopened),
            ("/{a}b}", Unopened),
            ("/{}", Unnamed),
            ("/{*}", Unnamed),
            ("/{a}{b}", Adjacent),
            ("/{id:[0-9]}", Constrained("id:[0-9]".to_owned())),
            ("/{a*}/b", RestInside),
            ("/x{a*}", RestInside),
            ("/:id", Foreign(":id".to_owned())),
            ("/a/*", Foreign("*".to_owned())),
            ("/a?b", NoPath('?')),
            ("/a#b", NoPath('#')),
            ("/a/../b", Unnormalised),
            ("/a//b", Unnormalised),
            ("//", Unnormalised),
            ("/%2e", Unnormalised),
            ("/a%2Fb", Unnormalised),
            ("/login;x", CutOff),
            ("/a/x;{y}/b", CutOff),
            ("/login%20/x", CutOff),
            ("/login%00", CutOff),
        ] {
            assert_eq!(Template::parse(text), Err(error), "{text}");
        }
    }
}
