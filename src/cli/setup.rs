//! `logweir setup`: puts the index templates into the cluster.

use super::{Common, Exit, SetupArgs, load};
use crate::agent;
use crate::output::elasticsearch::Elasticsearch;
use crate::setup;

pub(super) fn run(common: &Common, args: &SetupArgs) -> Exit {
    let loaded = match load(common) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let Some(cluster) = &loaded.config.elasticsearch else {
        eprintln!(
            "there is no cluster to set up: add a section [elasticsearch] with nodes = [\"https://HOST:9200\"]"
        );
        return Exit::Config;
    };
    let output = match Elasticsearch::connect(agent::output_settings(&loaded.config, cluster)) {
        Ok(output) => output,
        Err(error) => {
            eprintln!("{error}");
            return Exit::Config;
        }
    };
    super::block_on(async {
        match setup::run(&*output, &cluster.target, args.force).await {
            Ok(report) => {
                println!("{report}");
                Exit::Ok
            }
            Err(error) => {
                eprintln!("{error}");
                Exit::Unavailable
            }
        }
    })
}
