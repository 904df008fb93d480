//! `logweir check`: validates the configuration before it is deployed.
//!
//! It answers three questions: what would `run` do here ([`offline`]), does the cluster accept it ([`connect`]), and how is a
//! log parsed ([`parse`]). Owns the texts for people; every decision comes from the module that `run` uses too. Invariant: it
//! writes nothing, neither here nor in the cluster.

mod beside;
mod cluster;
mod connect;
mod doubles;
mod extras;
mod formats;
mod framed;
mod hints;
mod host;
mod kibana;
mod lines;
mod logs;
mod names;
mod needs;
mod offline;
mod parse;
mod rejected;
pub(super) mod report;
mod route_counts;
mod routes;
mod sample;
mod shown;
mod tally;

use super::{CheckArgs, Common, Exit, load};
use crate::agent;
use crate::config::Loaded;
use report::Report;

pub(super) fn run(common: &Common, args: &CheckArgs) -> Exit {
    let mut loaded = match load(common) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    // `run` tries these too
    let seen = agent::seen_formats(&loaded.config);
    loaded.notes.extend(loaded.config.add_formats(&seen));
    match &args.parse {
        Some(path) => {
            let format = args.format.as_deref();
            parse::run(
                &loaded,
                parse::Asked {
                    path,
                    format,
                    lines: args.lines,
                },
            )
        }
        None => describe(&loaded, args.connect),
    }
}

fn describe(loaded: &Loaded, connect: bool) -> Exit {
    let mut report = Report::default();
    offline::describe(loaded, &mut report);
    if connect {
        super::block_on(async {
            if let Some(cluster) = &loaded.config.elasticsearch {
                connect::describe(&loaded.config, cluster, &mut report).await;
            }
            if let Some(kibana) = &loaded.config.kibana {
                kibana::describe(&loaded.config, kibana, &mut report).await;
            }
            report.finish()
        })
    } else {
        report.finish()
    }
}
