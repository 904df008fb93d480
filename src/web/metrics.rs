//! The Prometheus page.
//!
//! Owns metric names, help texts and labels (OpenMetrics 1.0; base units, `_total` on counters). Invariant:
//! one page is written from one snapshot, so that its counts add up; the number of labels does not grow with traffic
//! or with the number of files.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::{View, status};
use crate::build_info;
use crate::telemetry::MetricSink;

/// The page's media type.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Writes the page.
pub(super) fn page(view: View) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("logweir");
    registry.register_collector(Box::new(view));
    let mut page = String::new();
    encode(&mut page, &registry)?;
    Ok(page)
}

/// Writes one metric after the other.
struct Page<'e>(DescriptorEncoder<'e>);

impl Page<'_> {
    fn seconds(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let encoder = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(encoder)
    }
}

impl MetricSink for Page<'_> {
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let encoder = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(encoder)
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let encoder = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(value).encode(encoder)
    }

    fn counters(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        samples: &mut dyn Iterator<Item = (String, u64)>,
    ) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for (value, count) in samples {
            let labels = [(label, value.as_str())];
            let encoder = family.encode_family(&labels)?;
            ConstCounter::new(count).encode(encoder)?;
        }
        Ok(())
    }

    fn histogram(
        &mut self,
        name: &str,
        help: &str,
        buckets: &[(f64, u64)],
        sum: f64,
    ) -> fmt::Result {
        let mut histogram = self
            .0
            .encode_descriptor(name, help, None, MetricType::Histogram)?;
        let count = buckets.iter().map(|(_, count)| count).sum();
        histogram.encode_histogram::<NoLabelSet>(sum, count, buckets, None)
    }
}

impl Collector for View {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        self.lines(&mut page)?;
        self.files(&mut page)?;
        self.delivery(&mut page)
    }
}

impl View {
    fn lines(&self, page: &mut Page<'_>) -> fmt::Result {
        let accounts = &self.snapshot.accounts;
        let settled = &accounts.settled;
        page.counter("lines_read", "Complete lines read", accounts.read)?;
        let mut outcomes = [
            ("indexed", settled.indexed),
            ("duplicate", settled.duplicate),
            ("diverted", settled.diverted),
            ("dead_lettered", settled.dead_lettered),
            ("parked", settled.parked),
            ("filtered", settled.filtered),
            ("expired", accounts.expired + settled.expired),
            ("released", accounts.released),
        ]
        .into_iter()
        .map(|(outcome, lines)| (outcome.to_owned(), lines));
        page.counters(
            "documents",
            "Lines by outcome; with logweir_in_flight_lines they add up to logweir_lines_read_total",
            "outcome",
            &mut outcomes,
        )?;
        page.gauge(
            "in_flight_lines",
            "Lines read and not settled yet",
            accounts.in_flight as f64,
        )?;
        let parsing = &self.snapshot.parsing;
        let mut parsed = parsing
            .parsed
            .iter()
            .map(|(name, lines)| (name.clone(), *lines));
        page.counters(
            "lines_parsed",
            "Lines that a format matched",
            "format",
            &mut parsed,
        )?;
        let mut errors = parsing
            .errors
            .iter()
            .map(|(reason, lines)| ((*reason).to_owned(), *lines));
        page.counters(
            "parse_errors",
            "Lines that no format matched",
            "reason",
            &mut errors,
        )?;
        page.counter(
            "stderr_lines",
            "Lines that containers wrote to standard error, which are not indexed; they count as filtered",
            parsing.stderr_lines,
        )?;
        page.gauge(
            "unparsed_logs",
            "Logs of which no line matches a format at present",
            self.snapshot.unparsed.len() as f64,
        )?;
        page.gauge(
            "problems",
            "Current problems; /status lists them",
            status::problems(self).len() as f64,
        )?;
        page.seconds(
            "backpressure_seconds",
            "Time for which reading was paused because the output did not accept",
            self.snapshot.backpressure_seconds,
        )
    }

    fn files(&self, page: &mut Page<'_>) -> fmt::Result {
        let tail = &self.snapshot.tail;
        page.counter(
            "bytes_read",
            "Bytes read from logs, before compression",
            tail.bytes_read,
        )?;
        page.gauge("files_open", "Log files held open", tail.files_open as f64)?;
        page.gauge(
            "files_waiting",
            "Logs with unread data that wait for a file descriptor",
            tail.files_waiting as f64,
        )?;
        page.gauge(
            "files_deleted_open_bytes",
            "Bytes of deleted log files that are held open until they are read",
            tail.deleted_open_bytes as f64,
        )?;
        let mut rotations = [
            ("renamed", tail.rotations.renamed),
            ("copied", tail.rotations.copied),
            ("removed", tail.rotations.removed),
        ]
        .into_iter()
        .map(|(kind, count)| (kind.to_owned(), count));
        page.counters("rotations", "Rotations seen", "kind", &mut rotations)?;
        page.counter(
            "truncations",
            "Files found shorter than, or different from, what was read",
            tail.truncations,
        )?;
        let mut lost = tail
            .lost_bytes
            .iter()
            .map(|(reason, bytes)| ((*reason).to_owned(), *bytes));
        page.counters(
            "lost_bytes",
            "Bytes that no file contains any more, as far as the number is known",
            "reason",
            &mut lost,
        )?;
        let mut damaged =
            (tail.damaged_files.iter()).map(|(reason, files)| ((*reason).to_owned(), *files));
        page.counters(
            "damaged_files",
            "Compressed files that could not be decoded to their end",
            "reason",
            &mut damaged,
        )?;
        let mut passed_over = tail
            .passed_over_bytes
            .iter()
            .map(|(reason, bytes)| ((*reason).to_owned(), *bytes));
        page.counters(
            "passed_over_bytes",
            "Bytes of rotated files that are left unread because of the settings, before compression",
            "reason",
            &mut passed_over,
        )?;
        page.gauge(
            "error_logs_skipped",
            "Files found by globs that are error logs of nginx and are not read",
            tail.error_logs as f64,
        )?;
        page.counter("long_lines", "Lines cut for their length", tail.long_lines)?;
        page.counter(
            "stream_id_collisions",
            "Different files that begin with the same line",
            tail.stream_id_collisions,
        )?;
        page.counter(
            "files_not_found",
            "Files that were not read to their end and could not be found again",
            tail.files_not_found,
        )?;
        page.gauge(
            "unassigned_files",
            "Rotated files that may belong to several logs, and are not read",
            tail.unassigned_files as f64,
        )?;
        let lag: u64 = self.snapshot.lag.iter().map(|lag| lag.unread).sum();
        page.gauge(
            "source_lag_bytes",
            "Bytes written and not read yet",
            lag as f64,
        )?;
        if let Some(saved) = self.snapshot.checkpoint_millis {
            page.gauge(
                "checkpoint_age_seconds",
                "Time since positions were last saved, or found unchanged",
                (self.unix_millis - saved) as f64 / 1000.0,
            )?;
        }
        page.counter(
            "checkpoint_errors",
            "Times that positions could not be saved",
            self.snapshot.checkpoint_errors,
        )?;
        let mut reloads = self
            .snapshot
            .reloads
            .iter()
            .map(|(result, count)| ((*result).to_owned(), *count));
        page.counters(
            "config_reloads",
            "Reloads of the configuration",
            "result",
            &mut reloads,
        )
    }

    fn delivery(&self, page: &mut Page<'_>) -> fmt::Result {
        let mut info = page
            .0
            .encode_descriptor("build", "The agent", None, MetricType::Info)?;
        info.encode_info(&[
            ("version", build_info::VERSION),
            ("commit", build_info::COMMIT),
            ("profile", build_info::PROFILE),
        ])?;
        page.gauge(
            "start_time_seconds",
            "When the process started, in seconds since 1970",
            self.started_millis as f64 / 1000.0,
        )?;
        match &self.output {
            Some(output) => output.write_metrics(page),
            None => Ok(()),
        }
    }
}
