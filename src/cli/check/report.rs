//! The report of a check: lines for people, with warnings and errors at the matching lines.
//!
//! Owns the form of the text and the exit code. Invariant: all text passes through [`terminal::safe`], and the exit code is 0
//! only when no error was reported.

use super::super::Exit;
use super::super::terminal;

/// Columns before a value.
const LABEL_COLUMNS: usize = 12;

/// The text so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    text: String,
    warnings: usize,
    failures: Vec<Exit>,
}

impl Report {
    /// Begins a part.
    pub(super) fn section(&mut self, title: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(&terminal::safe(title));
        self.text.push('\n');
    }

    /// A value and what it is.
    pub(super) fn item(&mut self, label: &str, value: &str) {
        let value = terminal::safe(value);
        self.text
            .push_str(&format!("  {label:LABEL_COLUMNS$}{value}\n"));
    }

    /// Something that works but should be changed.
    pub(super) fn warn(&mut self, text: &str) {
        self.warnings += 1;
        self.finding("warning", text);
    }

    /// Something that does not work, and the exit code for it.
    pub(super) fn fail(&mut self, exit: Exit, text: &str) {
        self.failures.push(exit);
        self.finding("error", text);
    }

    /// Text to copy unchanged.
    pub(super) fn paste(&mut self, text: &str) {
        for line in text.lines() {
            self.text
                .push_str(&format!("    {}\n", terminal::safe(line)));
        }
    }

    fn finding(&mut self, word: &str, text: &str) {
        self.text
            .push_str(&format!("  {word}: {}\n", terminal::safe(text)));
    }

    /// Prints the report with a summary.
    pub(super) fn finish(mut self) -> Exit {
        let verdict = match (self.failures.len(), self.warnings) {
            (0, 0) => "usable".to_owned(),
            (0, warnings) => format!("usable, with {}", count(warnings, "warning")),
            (errors, warnings) => {
                format!(
                    "not usable: {}, {}",
                    count(errors, "error"),
                    count(warnings, "warning")
                )
            }
        };
        self.text.push_str(&format!("\n{verdict}\n"));
        terminal::print(&self.text);
        self.exit()
    }

    /// The text so far, and the exit code for it.
    #[cfg(test)]
    pub(super) fn so_far(&self) -> (&str, Exit) {
        (&self.text, self.exit())
    }

    /// A wrong configuration takes precedence, because it must be corrected first.
    fn exit(&self) -> Exit {
        let config = self.failures.iter().find(|exit| **exit == Exit::Config);
        config
            .or(self.failures.first())
            .copied()
            .unwrap_or(Exit::Ok)
    }
}

/// A number of things for people.
pub(super) fn count(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        number => format!("{number} {noun}s"),
    }
}

/// A size for people.
pub(in crate::cli) fn size(bytes: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.into_iter().find(|(_, shift)| bytes >> shift > 0) {
        Some((unit, shift)) => {
            let tenths = (u128::from(bytes) * 10) >> shift;
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
        None => format!("{bytes} B"),
    }
}

/// A share for people; 0 % and 100 % appear only if they are exact.
pub(super) fn percent(part: u64, whole: u64) -> String {
    let tenths = u128::from(part) * 1000 / u128::from(whole.max(1));
    match tenths {
        0 if part > 0 => "<0.1 %".to_owned(),
        tenths => format!("{}.{} %", tenths / 10, tenths % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(u64::MAX), "17179869183.9 GiB");
        assert_eq!(percent(1, 3), "33.3 %");
        assert_eq!(percent(9_999_999, 10_000_000), "99.9 %");
        assert_eq!(percent(1, 10_000_000), "<0.1 %");
        assert_eq!(percent(0, 0), "0.0 %");
    }

    #[test]
    fn a_wrong_configuration_decides_the_exit_code() {
        let mut report = Report::default();
        assert_eq!(report.exit(), Exit::Ok);
        report.warn("…");
        assert_eq!(report.exit(), Exit::Ok);
        report.fail(Exit::Permission, "…");
        assert_eq!(report.exit(), Exit::Permission);
        report.fail(Exit::Config, "…");
        assert_eq!(report.exit(), Exit::Config);
    }
}
