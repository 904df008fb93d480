//! logweir reads nginx access logs and indexes each request exactly once into Elasticsearch or OpenSearch.
//!
//! The road of a line, room by room:
//!
//! [`tail`] finds the files and hands out complete lines with their place → [`record`] turns a line into an
//! ECS document, written straight into the bulk body → [`pipeline`] gathers documents into batches and owns
//! the memory budget → [`output`] delivers a batch and judges each item of the answer → the ack goes back to
//! [`tail`], which saves the position.
//!
//! Each room knows its neighbour's type and nothing of its inside; the way back is the ack alone.

// Only the command line prints, and only through its `terminal`.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod agent;
pub mod cli;
pub mod clock;
pub mod config;
pub mod enrich;
pub mod event;
#[cfg(test)]
mod fail_points;
mod globs;
mod json;
#[cfg(test)]
#[path = "../tests/support/mmdb.rs"]
mod mmdb;
pub mod output;
pub mod pipeline;
pub mod record;
#[cfg(test)]
mod replay;
pub mod setup;
pub mod tail;
mod telemetry;
mod text;
mod web;
