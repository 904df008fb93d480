//! Generates the annotated sample and the reference from the table of settings. A test fails if the files in `docs` differ
//! from them.

use std::fmt::Write as _;

use super::DEFAULT_FILE;
use super::settings::{ENVIRONMENT, SETTINGS, Section, Setting, UNITS};

/// Width of the sample's comments.
const WIDTH: usize = 100;

/// A configuration file with every setting, commented out, with its default or an example.
pub(super) fn sample() -> String {
    let mut out = String::from(
        "# Configuration of logweir with all settings. A line that begins with \"#\" and a key shows the default,\n\
         # or an example if there is none. Each setting can be set by an environment variable instead.\n",
    );
    for section in Section::ALL {
        if section != Section::Top {
            out.push('\n');
            comment(&mut out, section.doc());
        }
        if section != Section::Top {
            let _ = writeln!(out, "#{}", section.header());
        }
        for setting in SETTINGS.iter().filter(|setting| setting.section == section) {
            out.push('\n');
            comment(&mut out, &setting.description());
            let value = if setting.default.is_empty() {
                setting.example
            } else {
                setting.default
            };
            let _ = writeln!(out, "#{} = {value}", setting.name);
        }
    }
    out
}

/// The reference in Markdown.
pub(super) fn reference() -> String {
    let mut out = format!(
        "# Configuration\n\n\
                  logweir reads the file named with `-c FILE`, which must exist. Without `-c` it\n\
         reads `{DEFAULT_FILE}`, and without that file the defaults apply. The file is TOML;\n\
         [logweir.toml](logweir.toml) shows every setting. All problems are reported at once, with line and key;\n\
         the exit code is then 78.\n\n{ENVIRONMENT}\n{UNITS}",
    );
    for section in Section::ALL {
        let header = match section {
            Section::Top => "At the top".to_owned(),
            section => format!("`{}`", section.header()),
        };
        let _ = write!(out, "\n## {header}\n\n{}\n\n", section.doc());
        out.push_str("| key | value | default | variable |\n| --- | --- | --- | --- |\n");
        let settings = || SETTINGS.iter().filter(|setting| setting.section == section);
        for setting in settings() {
            let _ = writeln!(out, "{}", row(setting));
        }
        out.push('\n');
        for setting in settings() {
            let _ = write!(out, "- **`{}`** {}", setting.name, setting.description());
            if !setting.example.is_empty() {
                let _ = write!(out, " Example: `{} = {}`", setting.name, setting.example);
            }
            out.push('\n');
        }
    }
    out
}

fn row(setting: &Setting) -> String {
    let default = match setting.default {
        "" => "–".to_owned(),
        default => format!("`{default}`"),
    };
    let kind = setting.kind.name().replace('|', "\\|");
    format!(
        "| `{}` | {kind} | {default} | `{}` |",
        setting.name,
        setting.variable()
    )
}

fn comment(out: &mut String, text: &str) {
    let mut column = 0;
    for word in text.split_whitespace() {
        let width = word.chars().count();
        if column == 0 || column + 1 + width > WIDTH {
            if column > 0 {
                out.push('\n');
            }
            out.push('#');
            column = 1;
        }
        out.push(' ');
        out.push_str(word);
        column += 1 + width;
    }
    out.push('\n');
}
