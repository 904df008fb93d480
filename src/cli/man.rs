//! The man page `logweir(1)`: commands and options from the command line's own description, settings from their table.
//!
//! Owns the order of sections and the roff. Refuses to know any setting, option, exit code or signal: each is written
//! once, where it is defined. Invariant: a setting or a command that exists is on the page.

use std::io;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

use super::Exit;
use crate::agent::signals;
use crate::build_info;
use crate::config::DEFAULT_FILE;
use crate::config::settings::{ENVIRONMENT, SETTINGS, Section, Setting, UNITS, find};

/// The page as roff, for man(7).
pub(super) fn page(command: Command) -> String {
    let mut page = Page::default();
    let name = command.get_name().to_owned();
    // The page is of a version, not of a build: packages of one version contain the same page.
    let source = format!("{name} {}", build_info::VERSION);
    let man = Man::new(command.clone())
        .manual("logweir manual")
        .source(source);
    page.generated(|out| man.render_title(out));
    page.generated(|out| man.render_name_section(out));
    page.generated(|out| man.render_synopsis_section(out));
    page.generated(|out| man.render_description_section(out));
    page.generated(|out| man.render_options_section(out));
    page.heading("COMMANDS");
    page.commands(&command, &name);
    page.settings();
    page.environment();
    page.files();
    page.signals();
    page.exit_status();
    page.text
}

/// The page so far.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn heading(&mut self, name: &str) {
        self.roff(Roff::new().control("SH", [name]));
    }

    fn subheading(&mut self, name: &str) {
        self.roff(Roff::new().control("SS", [name]));
    }

    fn paragraph(&mut self, text: &str) {
        self.roff(Roff::new().control("PP", []).text(inlines(text)));
    }

    /// A term with its short form and its description.
    fn entry(&mut self, term: &str, short: &str, text: &str) {
        let mut title = vec![bold(term)];
        if !short.is_empty() {
            title.push(roman(format!("  {short}")));
        }
        self.roff(
            Roff::new()
                .control("TP", [])
                .text(title)
                .text(inlines(text)),
        );
    }

    fn roff(&mut self, roff: &Roff) {
        self.generated(|out| roff.to_writer(out));
    }

    /// Appends the output of a generator without the lines that define the apostrophe, which are needed only once.
    fn generated(&mut self, write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) {
        let mut out = Vec::new();
        // Writing into memory cannot fail.
        let _ = write(&mut out);
        let is_preamble = |line: &str| line.starts_with(".ie ") || line.starts_with(".el ");
        let is_first = self.text.is_empty();
        for line in String::from_utf8_lossy(&out).lines() {
            if is_first || !is_preamble(line) {
                self.text.push_str(line);
                self.text.push('\n');
            }
        }
    }

    /// The commands of `parent`, whose name is `path`, and their subcommands.
    fn commands(&mut self, parent: &Command, path: &str) {
        for command in parent.get_subcommands() {
            let path = format!("{path} {}", command.get_name());
            // Options of every command are in the section of options.
            let command = command
                .clone()
                .disable_help_flag(true)
                .disable_help_subcommand(true)
                .disable_version_flag(true);
            self.subheading(&path);
            if command.get_subcommands().next().is_none() {
                self.command(command, &path);
            } else {
                self.paragraph(&about(&command));
                self.commands(&command, &path);
            }
        }
    }

    fn command(&mut self, command: Command, path: &str) {
        let after = command.get_after_long_help().map(ToString::to_string);
        self.paragraph(&about(&command));
        let man = Man::new(command.bin_name(path));
        let mut body = Self::default();
        body.generated(|out| man.render_synopsis_section(out));
        body.generated(|out| man.render_options_section(out));
        for line in body.text.lines() {
            if line.starts_with(".ie ") || line.starts_with(".el ") {
                continue;
            }
            // Its sections are subsections here.
            let line = match line.strip_prefix(".SH ") {
                Some(_) => ".PP",
                None => line,
            };
            self.text.push_str(line);
            self.text.push('\n');
        }
        if let Some(after) = after {
            let mut roff = Roff::new();
            roff.control("PP", []).control("nf", []);
            for line in after.lines() {
                roff.text([roman(line)]);
            }
            self.roff(roff.control("fi", []));
        }
    }

    fn settings(&mut self) {
        self.heading("CONFIGURATION FILE");
        self.paragraph(&format!(
            "The file is TOML: the one named with `-c FILE`, else `{DEFAULT_FILE}`, and without that the defaults hold. \
             `logweir check` reports all problems at once, with line and key."
        ));
        self.paragraph(UNITS);
        self.heading("SETTINGS");
        for section in Section::ALL {
            let name = match section {
                Section::Top => "At the top",
                section => section.header(),
            };
            self.subheading(name);
            self.paragraph(section.doc());
            for setting in SETTINGS.iter().filter(|setting| setting.section == section) {
                let example = match setting.example {
                    "" => String::new(),
                    example => format!(" Example: `{} = {example}`", setting.name),
                };
                let text = format!("{}{example}", setting.description());
                self.entry(setting.name, &short(setting), &text);
            }
        }
    }

    fn environment(&mut self) {
        self.heading("ENVIRONMENT");
        self.paragraph(ENVIRONMENT);
        for setting in SETTINGS {
            self.entry(
                &setting.variable(),
                "",
                &format!("Sets `{}`.", setting.key()),
            );
        }
        self.entry(
            "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY",
            "",
            "The HTTP proxy before the cluster and Kibana, where the setting `proxy` does not name it.",
        );
    }

    fn files(&mut self) {
        self.heading("FILES");
        self.entry(DEFAULT_FILE, "", "The configuration.");
        let files = [
            (
                "data_dir",
                "The state: positions, dead letters, formats seen before, and the lock. Setting `data_dir`.",
            ),
            (
                "nginx_conf",
                "Read for logs, formats and server names. Setting `nginx_conf`.",
            ),
        ];
        for (name, text) in files {
            let path = find(Section::Top, name).map_or("", |setting| setting.default);
            self.entry(path.trim_matches('"'), "", text);
        }
    }

    fn signals(&mut self) {
        self.heading("SIGNALS");
        for (names, text) in signals::MEANINGS {
            self.entry(names, "", text);
        }
        let ignored: Vec<&str> = signals::ignored().collect();
        self.entry(
            &ignored.join(", "),
            "",
            "Ignored with a warning: rotations are followed without a signal.",
        );
    }

    fn exit_status(&mut self) {
        self.heading("EXIT STATUS");
        for (exit, text) in Exit::ALL {
            self.entry(&(exit as u8).to_string(), "", text);
        }
    }
}

/// Kind and default of a setting.
fn short(setting: &Setting) -> String {
    match setting.default {
        "" => setting.kind.name(),
        default => format!("{}, default {default}", setting.kind.name()),
    }
}

fn about(command: &Command) -> String {
    let about = command.get_long_about().or(command.get_about());
    about.map(ToString::to_string).unwrap_or_default()
}

/// Text with code between backticks, as in Markdown.
fn inlines(text: &str) -> Vec<Inline> {
    let parts = text.trim_end().split('`').enumerate();
    parts
        .filter(|(_, part)| !part.is_empty())
        .map(|(at, part)| match at % 2 {
            0 => roman(part.replace('\n', " ")),
            _ => bold(part),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;

    use clap::{CommandFactory as _, ValueEnum as _};
    use clap_complete::Shell;

    use super::super::{Cli, completions};
    use super::*;
    use crate::config::LogLevel;
    use crate::text::safe_lines;

    /// The page approximately as a reader sees it: without requests, and with escapes replaced by their characters.
    fn plain(page: &str) -> String {
        let lines = page.lines().filter(|line| !line.starts_with('.'));
        let text: Vec<&str> = lines.collect();
        let mut text = format!("\n{}", text.join("\n"));
        for (escape, shown) in [
            ("\\fB", ""),
            ("\\fI", ""),
            ("\\fR", ""),
            ("\\-", "-"),
            ("\\*(Aq", "'"),
            ("\\&", ""),
            ("\\\\", "\\"),
        ] {
            text = text.replace(escape, shown);
        }
        text
    }

    fn arguments(page: &str, request: &str) -> Vec<String> {
        let lines = page.lines().filter_map(|line| line.strip_prefix(request));
        lines
            .map(|rest| rest.trim().trim_matches('"').replace("\\-", "-"))
            .collect()
    }

    /// The commands with the words before each, such as `dead-letters list`.
    fn all_commands(parent: &Command, before: &str) -> Vec<(String, Command)> {
        let mut all = Vec::new();
        for command in parent.get_subcommands() {
            let path = format!("{before}{}", command.get_name());
            all.extend(all_commands(command, &format!("{path} ")));
            all.push((path, command.clone()));
        }
        all
    }

    #[test]
    fn the_page_consists_of_known_requests_and_its_sections_are_in_order() {
        let page = page(Cli::command());
        let known = [
            "TH", "SH", "SS", "PP", "TP", "IP", "RS", "RE", "br", "nf", "fi", "ie", "el",
        ];
        for line in page.lines() {
            assert!(!line.starts_with('\''), "{line}");
            if let Some(rest) = line.strip_prefix('.') {
                let name = rest.split(' ').next().unwrap();
                assert!(known.contains(&name), "{line}");
            }
        }
        assert_eq!(
            page.lines().filter(|line| line.starts_with(".TH ")).count(),
            1
        );
        assert_eq!(
            page.lines().filter(|line| line.starts_with(".ie ")).count(),
            1
        );
        assert!(
            page.lines().nth(2).unwrap().starts_with(".TH logweir 1 "),
            "{page}"
        );
        let literal = |request| page.lines().filter(|line| *line == request).count();
        assert_eq!(literal(".nf"), literal(".fi"));
        assert_eq!(
            arguments(&page, ".SH "),
            [
                "NAME",
                "SYNOPSIS",
                "DESCRIPTION",
                "OPTIONS",
                "COMMANDS",
                "CONFIGURATION FILE",
                "SETTINGS",
                "ENVIRONMENT",
                "FILES",
                "SIGNALS",
                "EXIT STATUS",
            ]
        );
        assert_eq!(safe_lines(&page), page, "a terminal gets what a file gets");
    }

    #[test]
    fn the_page_names_every_setting_with_its_variable_default_and_bounds() {
        let page = page(Cli::command());
        let start = page.find(".SH SETTINGS").unwrap();
        let end = page.find(".SH ENVIRONMENT").unwrap();
        let (settings, environment) = (&page[start..end], plain(&page[end..]));
        let mut parts = settings.split(".SS ").skip(1);
        for section in Section::ALL {
            let part = parts.next().unwrap();
            let shown = plain(part);
            assert!(
                shown.contains(&section.doc().replace('`', "")),
                "{section:?}"
            );
            let own: Vec<_> = SETTINGS
                .iter()
                .filter(|setting| setting.section == section)
                .collect();
            let entries = part.split(".TP").skip(1).map(plain);
            let entries: Vec<String> = entries.collect();
            assert_eq!(entries.len(), own.len(), "{section:?}");
            for (setting, entry) in own.into_iter().zip(entries) {
                let term = format!("{}  {}", setting.name, setting.kind.name());
                assert!(entry.trim_start().starts_with(&term), "{entry}");
                assert!(entry.contains(setting.default), "{entry}");
                let text = setting.description().replace('`', "");
                assert!(entry.contains(&text), "{entry}");
                assert!(environment.contains(&format!("\n{}\n", setting.variable())));
            }
        }
        assert_eq!(parts.next(), None);
        assert!(plain(settings).contains("64KiB to 64MiB."));
    }

    #[test]
    fn the_page_names_every_command_and_option() {
        let page = page(Cli::command());
        let shown = plain(&page);
        let headings: BTreeSet<String> = arguments(&page, ".SS ").into_iter().collect();
        for (path, command) in all_commands(&Cli::command(), "") {
            assert!(headings.contains(&format!("logweir {path}")), "{path}");
            let shown_ones = command.get_arguments().filter(|arg| !arg.is_hide_set());
            let longs = shown_ones.filter_map(|arg| arg.get_long());
            for long in longs {
                assert!(shown.contains(&format!("--{long}")), "{path} --{long}");
            }
        }
        // what is laid out in columns stays so
        assert!(shown.contains("\n  Elasticsearch  cluster: monitor, manage_index_templates;"));
    }

    #[test]
    fn the_page_names_every_signal_and_exit_code_once() {
        let page = page(Cli::command());
        let signals = plain(&page[page.find(".SH SIGNALS").unwrap()..]);
        for name in ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGXFSZ"] {
            assert_eq!(signals.matches(name).count(), 1, "{name}");
        }
        let codes: BTreeSet<u8> = Exit::ALL.iter().map(|(exit, _)| *exit as u8).collect();
        assert_eq!(
            codes.into_iter().collect::<Vec<_>>(),
            [0, 1, 64, 65, 69, 70, 73, 74, 75, 77, 78]
        );
        let status = plain(&page[page.find(".SH \"EXIT STATUS\"").unwrap()..]);
        for (exit, text) in Exit::ALL {
            let text = text.replace('`', "");
            assert!(
                status.contains(&format!("\n{}\n{text}", exit as u8)),
                "{exit:?}"
            );
        }
    }

    #[test]
    fn completions_of_every_shell_name_all_commands_and_options() {
        for shell in Shell::value_variants() {
            let script = completions(*shell);
            for (path, command) in all_commands(&Cli::command(), "") {
                let name = path.split(' ').next_back().unwrap();
                assert!(script.contains(name), "{shell}: {path}");
                for long in command.get_arguments().filter_map(|arg| arg.get_long()) {
                    assert!(script.contains(long), "{shell}: {path} --{long}");
                }
            }
            // The others complete no values.
            if [Shell::Bash, Shell::Zsh, Shell::Fish].contains(shell) {
                for level in LogLevel::WORDS {
                    assert!(script.contains(level), "{shell}: {level}");
                }
            }
            assert_eq!(safe_lines(&script), script, "{shell}");
        }
    }
}
