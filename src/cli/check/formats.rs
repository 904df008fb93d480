//! The formats that `check --parse` tries on a log.
//!
//! Owns the choice only: the requested format, else those configured for this file, else those for any log. Invariant: the list
//! is never empty, and has the agent's order.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use logweir_parsers::nginx_conf::COMBINED;
use logweir_parsers::{Escape, Format, FormatError};

use super::super::terminal;
use crate::agent;
use crate::config::{Field, Loaded, NamedFormat, for_any_log, well_known};
use crate::framing::FramingSetting;
use crate::tail::fs::HostFs;
use crate::tail::survey;

/// The formats and their source.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) formats: Vec<NamedFormat>,
    /// For people.
    pub(super) source: String,
    /// Further fields of the records of this log.
    pub(super) fields: Vec<Field>,
    /// How its files are framed.
    pub(super) framing: FramingSetting,
}

/// A `--format` that cannot be used.
#[derive(Debug)]
pub(super) enum BadFormat {
    /// It does not compile.
    Compile(Box<FormatError>),
    /// It looks like a name, but there is no such format.
    Unknown { name: String, known: Vec<String> },
}

impl BadFormat {
    /// For people, with a caret under the place.
    pub(super) fn explain(&self) -> String {
        match self {
            BadFormat::Compile(error) => {
                let place = terminal::with_caret(error.source().as_bytes(), error.offset(), "    ");
                format!("--format: {}\n{place}", terminal::safe(&error.to_string()))
            }
            BadFormat::Unknown { name, known } => format!(
                "--format: `{}` has no variable and is no log_format of nginx.conf; there are {}\n",
                terminal::safe(name),
                terminal::safe(&known.join(", "))
            ),
        }
    }
}

/// The requested format: a name, or the text as in nginx.conf.
pub(super) fn asked_for(text: &str, loaded: &Loaded) -> Result<Chosen, BadFormat> {
    let only = |named: NamedFormat| Chosen {
        source: format!("--format {}", named.name),
        formats: vec![named],
        fields: Vec::new(),
        framing: FramingSetting::Auto,
    };
    let name = text.trim();
    if name == "auto" {
        return Ok(all(loaded));
    }
    if let Some(known) = known(loaded).into_iter().find(|known| known.name == name) {
        return Ok(only(known));
    }
    if !text.contains(['$', ' ', '\'', '"']) {
        let mut names: Vec<String> = Vec::new();
        for known in known(loaded) {
            if !names.contains(&known.name) {
                names.push(known.name);
            }
        }
        return Err(BadFormat::Unknown {
            name: name.to_owned(),
            known: names,
        });
    }
    let format = Format::from_directive(text, Escape::Default);
    let format = format.map_err(|error| BadFormat::Compile(Box::new(error)))?;
    Ok(Chosen {
        formats: vec![NamedFormat {
            name: "--format".to_owned(),
            format,
        }],
        source: "--format".to_owned(),
        fields: Vec::new(),
        framing: FramingSetting::Auto,
    })
}

/// The formats that `run` would try on this file.
pub(super) fn configured(path: &Path, loaded: &Loaded) -> Chosen {
    let Some(log) = log_of(path, loaded).and_then(|log| loaded.config.logs.get(log)) else {
        return all(loaded);
    };
    Chosen {
        formats: log.formats.iter().cloned().collect(),
        source: format!("those of the log {}", log.paths.join(", ")),
        fields: log.fields.clone(),
        framing: log.framing,
    }
}

/// The configured log that includes this file, live or rotated.
fn log_of(path: &Path, loaded: &Loaded) -> Option<usize> {
    let metadata = std::fs::metadata(path).ok()?;
    let inode = (metadata.dev(), metadata.ino());
    let (logs, rotated_dirs) = agent::log_settings(&loaded.config);
    let found = survey(
        &logs,
        &rotated_dirs,
        &agent::link_settings(&loaded.config),
        &HostFs,
    )
    .ok()?;
    found
        .files
        .iter()
        .find(|file| file.metadata.inode == inode)
        .map(|file| file.log)
}

/// The formats that any log is tried with.
fn all(loaded: &Loaded) -> Chosen {
    let source = match &loaded.nginx {
        Some(nginx) => format!(
            "all of {}, and well-known ones",
            nginx.files.first().map_or("nginx.conf", |file| file)
        ),
        None => "this file belongs to no configured log, and there is no nginx.conf".to_owned(),
    };
    Chosen {
        formats: for_any_log(known(loaded)),
        source,
        fields: Vec::new(),
        framing: FramingSetting::Auto,
    }
}

/// Every format of nginx.conf, those of the configuration, and those known without.
fn known(loaded: &Loaded) -> Vec<NamedFormat> {
    let of_nginx = loaded.nginx.iter().flat_map(|nginx| &nginx.formats);
    // the configuration has already reported a format that does not compile
    let of_nginx = of_nginx.filter_map(|known| {
        let format = Format::compile(&known.value, known.escape).ok()?;
        let name = known.name.clone();
        Some(NamedFormat { name, format })
    });
    let configured = loaded.config.formats_of(|_| true).into_iter();
    let configured = configured.filter(|named| named.name != COMBINED).cloned();
    of_nginx.chain(configured).chain(well_known()).collect()
}
