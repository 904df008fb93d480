//! Which agent the pages show.
//!
//! Owns the agent that is shown, and makes a [`View`] of it. Refuses to know how pages look. Invariant: between two
//! agents the pages still respond, and show the last one.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Agent, RunError, descriptors};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{self, Config, Env as _, Loaded};
use crate::output::gate::GateStatus;
use crate::output::{Health, OutputStatus};
use crate::telemetry::Telemetry;
use crate::web::{self, Hosts, Pages, View};

/// What the pages show of one agent.
#[derive(Clone)]
struct Shown {
    host: String,
    output: Arc<dyn GateStatus>,
    /// Parts of the configuration that could not be read.
    unread: Vec<String>,
}

/// The agent that the pages show; none before the first.
#[derive(Default, Clone)]
pub(super) struct CurrentAgent(Arc<Mutex<Option<Shown>>>);

impl CurrentAgent {
    /// From now on the pages show `agent`, which runs with `loaded`.
    pub(super) fn show(&self, agent: &Agent, loaded: &Loaded) {
        let shown = Shown {
            host: agent.host.clone(),
            output: Arc::clone(&agent.output),
            unread: loaded.unread.iter().map(ToString::to_string).collect(),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
    }

    fn shown(&self) -> Option<Shown> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Serves the pages from now on. Must be called on a tokio runtime.
///
/// # Errors
///
/// The address cannot be bound, which is logged.
pub(super) async fn serve(
    config: &Config,
    telemetry: Telemetry,
    current: CurrentAgent,
) -> Result<(), RunError> {
    let listener = web::bind(config.http_listen).await.map_err(|error| {
        tracing::error!(
            "cannot listen on {} ({error}): another agent may run here; set http.listen",
            config.http_listen
        );
        RunError::Listen
    })?;
    let clock = SystemClock::new();
    let started_millis = clock.unix_millis();
    let source = Arc::new(move || {
        view(
            &telemetry,
            current.shown(),
            started_millis,
            clock.unix_millis(),
        )
    });
    let own = [config::System.host_name(), config.host.clone()];
    let hosts = Hosts::new(own.iter().map(String::as_str), &config.http_allowed_hosts);
    let pages = Pages::new(source, hosts);
    tokio::spawn(web::serve(listener, pages, descriptors::for_http()));
    Ok(())
}

fn view(
    telemetry: &Telemetry,
    shown: Option<Shown>,
    started_millis: i64,
    unix_millis: i64,
) -> View {
    let snapshot = telemetry.snapshot();
    let Some(Shown {
        host,
        output,
        unread,
    }) = shown
    else {
        return View {
            snapshot,
            delivery: Health::Waiting {
                reason: "starting".to_owned(),
            },
            output: None,
            host: String::new(),
            problems: Vec::new(),
            unix_millis,
            started_millis,
        };
    };
    let mut problems = unread;
    problems.extend(output.problem());
    View {
        snapshot,
        delivery: output.health(),
        output: Some(output as Arc<dyn OutputStatus>),
        host,
        problems,
        unix_millis,
        started_millis,
    }
}
