//! logweir reads nginx access logs and indexes each request exactly once into Elasticsearch or OpenSearch.
//!
//! The path of a line through the modules:
//!
//! `tail` finds the files and emits complete lines with their positions → [`record`] turns a line into an ECS document,
//! written straight into the batch's buffer → `pipeline` gathers documents into batches and owns the memory budget →
//! [`output`] delivers a batch and classifies the result of each document → the ack returns to `tail`, which saves the
//! position.
//!
//! Each module knows its neighbour's interface and nothing of its internals; only the ack flows back.

// Only the command line prints, and only through its `terminal`.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod agent;
mod build_info;
pub mod cli;
pub mod clock;
pub mod config;
mod demo;
pub mod disk;
pub mod enrich;
pub mod event;
#[cfg(test)]
mod fail_points;
mod framing;
mod globs;
pub mod http;
mod json;
pub mod output;
mod pipeline;
pub mod record;
#[cfg(test)]
mod replay;
mod search;
pub mod setup;
mod tail;
mod telemetry;
mod text;
mod web;
