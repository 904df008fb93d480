//! Writes `user_agent.name`, `.version`, `.os` and `.device`: the meaning of a user agent.
//!
//! Owns the mapping from uap-core's answer to ECS, and the check that a file of definitions can be used. Invariant: a
//! client cannot make a lookup slow: the text is cut first, and the expressions run in time linear to its length.
//! Source of names: ECS 8.11, user agent fields; uap-core, docs/specification.md.

use std::fmt;
use std::sync::Arc;

use ua_parser::{Error, Extractor, ParseError, Regexes, device, os, user_agent};

use super::addresses::text;
use super::file::{Content, EnrichFile, FileError};
use super::memo::Memo;
use crate::json;

/// Limit of the text in bytes: browsers send less, and the cost grows with the length.
const LOOKED_AT: usize = 512;
/// Size of the cache, in user agents, in at most about 1 MiB.
const REMEMBERED: usize = 1024;
/// The name that the definitions give to unknown values; ECS leaves such a field out.
const UNKNOWN: &str = "Other";

/// Definitions of user agents in uap-core's form.
pub struct Definitions {
    extractor: Extractor<'static>,
    expressions: usize,
}

impl Content for Definitions {
    const SETTING: &'static str = "user_agent";
    const WANTED: &'static str = "a file of definitions in uap-core's form, regexes.yaml of https://github.com/ua-parser/uap-core";
    const FILLS: &'static [&'static str] = &[
        "user_agent.name",
        "user_agent.version",
        "user_agent.os",
        "user_agent.device",
    ];
    // uap-core's own file has a quarter of a MiB
    const MOST: u64 = 16 << 20;

    fn read(bytes: Vec<u8>) -> Result<Self, FileError> {
        let broken = FileError::NoDefinitions;
        let yaml = String::from_utf8(bytes).map_err(|_| broken("it is no text".to_owned()))?;
        let options = serde_saphyr::options! { with_snippet: false };
        let regexes: Regexes<'static> = serde_saphyr::from_str_with_options(&yaml, options)
            .map_err(|error| {
                let words = error.to_string();
                broken(words.lines().next().unwrap_or_default().to_owned())
            })?;
        let Regexes {
            user_agent_parsers: browsers,
            os_parsers: systems,
            device_parsers: devices,
        } = regexes;
        let expressions = browsers.len() + systems.len() + devices.len();
        let ua = compile(
            ("user_agent_parsers", browsers),
            user_agent::Builder::new(),
            |parser| &parser.regex,
            |builder, parser| builder.push(parser),
        )?;
        let os = compile(
            ("os_parsers", systems),
            os::Builder::new(),
            |parser| &parser.regex,
            |builder, parser| Ok(builder.push(parser)?),
        )?;
        let dev = compile(
            ("device_parsers", devices),
            device::Builder::new(),
            |parser| &parser.regex,
            |builder, parser| Ok(builder.push(parser)?),
        )?;
        let built = |error: ua_parser::BuildError| broken(error.to_string());
        let extractor = Extractor {
            ua: ua.build().map_err(built)?,
            os: os.build().map_err(built)?,
            dev: dev.build().map_err(built)?,
        };
        Ok(Self {
            extractor,
            expressions,
        })
    }

    fn describe(&self, _size: &dyn fmt::Display) -> String {
        format!("{} expressions", self.expressions)
    }
}

/// Adds all parsers of a list to its builder; the error names the expression that cannot be compiled.
fn compile<P, B>(
    (list, parsers): (&'static str, Vec<P>),
    builder: B,
    regex: impl Fn(&P) -> &str,
    push: impl Fn(B, P) -> Result<B, Error>,
) -> Result<B, FileError> {
    parsers.into_iter().try_fold(builder, |builder, parser| {
        let expression = regex(&parser).to_owned();
        push(builder, parser).map_err(|error| FileError::Expression {
            list,
            expression,
            why: why(&error),
        })
    })
}

fn why(error: &Error) -> String {
    match error {
        // the last line holds the reason, the lines before show the position
        Error::ParseError(ParseError::SyntaxError(text)) => {
            let last = text.lines().last().unwrap_or_default();
            last.trim_start_matches("error: ").to_owned()
        }
        Error::ParseError(ParseError::RegexTooLarge(_)) => "it is too large".to_owned(),
        Error::MissingGroup(group) => format!("its replacement asks for group {group}"),
        Error::ParseError(_) | Error::BuildError(_) => error.to_string(),
    }
}

/// The definitions and the cache of their answers.
#[derive(Debug)]
pub(crate) struct UserAgents {
    definitions: Arc<EnrichFile<Definitions>>,
    memo: Memo,
}

impl UserAgents {
    pub(super) fn new(definitions: Arc<EnrichFile<Definitions>>) -> Self {
        Self {
            definitions,
            memo: Memo::new(REMEMBERED),
        }
    }

    /// Appends the members of a user agent as the client sent it.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, agent: &[u8]) {
        let Self { definitions, memo } = self;
        let agent = &agent[..agent.len().min(LOOKED_AT)];
        let members = memo.get(agent, |text| {
            describe(
                text,
                &definitions.content.extractor,
                &String::from_utf8_lossy(agent),
            );
        });
        out.extend_from_slice(members);
    }
}

fn describe(out: &mut Vec<u8>, extractor: &Extractor<'_>, agent: &str) {
    let (browser, os, device) = extractor.extract(agent);
    if let Some(browser) = browser {
        text(out, "name", known(&browser.family));
        let parts = [
            browser.major,
            browser.minor,
            browser.patch,
            browser.patch_minor,
        ];
        text(out, "version", Some(&version(parts)));
    }
    if let Some(os) = os
        && let Some(name) = known(&os.os)
    {
        let version = version([
            os.major.as_deref(),
            os.minor.as_deref(),
            os.patch.as_deref(),
            os.patch_minor.as_deref(),
        ]);
        let mark = json::open(out, b"\"os\":{");
        text(out, "name", Some(name));
        text(out, "version", Some(&version));
        if !version.is_empty() {
            text(out, "full", Some(&format!("{name} {version}")));
        }
        json::close(out, mark);
    }
    if let Some(device) = device
        && let Some(name) = known(&device.device)
    {
        let mark = json::open(out, b"\"device\":{");
        text(out, "name", Some(name));
        json::close(out, mark);
    }
}

fn known(name: &str) -> Option<&str> {
    Some(name.trim()).filter(|name| *name != UNKNOWN && !name.is_empty())
}

/// Joins the parts of a version: `18` and `1` give `18.1`. It ends before the first absent part.
fn version(parts: [Option<&str>; 4]) -> String {
    let present = parts
        .into_iter()
        .map_while(|part| part.filter(|part| !part.is_empty()));
    present.collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const DEFINITIONS: &str = testkit::USER_AGENTS;

    fn agents() -> UserAgents {
        let definitions = EnrichFile::new("x.yaml".into(), DEFINITIONS.into(), &"1 KiB");
        UserAgents::new(Arc::new(definitions.unwrap()))
    }

    fn error(text: &str) -> String {
        let read = EnrichFile::<Definitions>::new("x.yaml".into(), text.into(), &"1 KiB");
        read.unwrap_err().to_string()
    }

    fn describe_agent(agent: &str) -> Value {
        let mut out = b"{".to_vec();
        agents().write(&mut out, agent.as_bytes());
        if out.len() > 1 {
            out.pop();
        }
        out.push(b'}');
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_user_agent_becomes_ecs() {
        assert_eq!(
            describe_agent(
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 \
                 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1"
            ),
            json!({
                "name": "Mobile Safari", "version": "18.1",
                "os": {"name": "iOS", "version": "18.1", "full": "iOS 18.1"},
                "device": {"name": "iPhone"},
            })
        );
        assert_eq!(
            describe_agent(
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                 Chrome/131.0.0.0 Safari/537.36"
            ),
            json!({
                "name": "Chrome", "version": "131.0.0.0",
                "os": {"name": "Windows", "version": "10", "full": "Windows 10"},
            })
        );
        assert_eq!(
            describe_agent("curl/8.5.0"),
            json!({"name": "curl", "version": "8.5.0"})
        );
        assert_eq!(
            describe_agent("Examplebot/2.1"),
            json!({"name": "Examplebot (robot)", "version": "2.1"})
        );
        assert_eq!(describe_agent("zqxj"), json!({}));
        assert_eq!(describe_agent(""), json!({}));
    }

    #[test]
    fn a_file_without_definitions_gives_the_reason() {
        let odd = |of: &str, with: &str| error(&DEFINITIONS.replacen(of, with, 1));
        let errors = [
            error(""),
            error("<html>"),
            error("404: Not Found"),
            odd("device_parsers", "devices"),
            odd("regex: '(curl)", "regexp: '(curl)"),
            odd("(Linux)", "(Linux"),
            odd("(Linux)", "(?!Linux)"),
            odd(r"([A-Z][a-z]+bot)/(\d+)\.(\d+)", "bot"),
            odd("(Linux)", "(\\w{500}){500}"),
        ];
        insta::assert_snapshot!(errors.join("\n"));
        let bytes = vec![0xff; 9];
        assert!(EnrichFile::<Definitions>::new("x".into(), bytes, &"1 KiB").is_err());
    }

    proptest! {
        /// A file with any content is refused or used; it never causes a panic.
        #[test]
        fn an_invalid_file_causes_no_panic(at in 0..DEFINITIONS.len(), to in 0..DEFINITIONS.len(), put in ".{0,3}") {
            let mut text = DEFINITIONS.as_bytes().to_vec();
            text.splice(at..to.clamp(at, at + 6), put.bytes());
            if let Ok(definitions) = EnrichFile::new("x".into(), text, &"1 KiB") {
                let mut out = Vec::new();
                UserAgents::new(Arc::new(definitions)).write(&mut out, b"Chrome/1.2.3.4 (iPhone; Linux curl/1");
            }
        }
    }

    #[test]
    fn a_hostile_user_agent_is_cut() {
        let mut agents = agents();
        let (mut long, mut cut) = (Vec::new(), Vec::new());
        let text = "curl/8.5.0 ".repeat(100_000);
        agents.write(&mut long, text.as_bytes());
        agents.write(&mut cut, &text.as_bytes()[..LOOKED_AT]);
        assert_eq!(long, cut);
        agents.write(&mut long, &[0xff; 2000]);
        agents.write(&mut long, "\u{16}\"\\".as_bytes());
    }
}
