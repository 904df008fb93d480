//! `logweir prune`: deletes whole daily indices by their names.

use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, Utc};

use super::check::report::size;
use super::setup::exit;
use super::terminal::{complain, safe, say};
use super::{Common, Exit, PruneArgs, load};
use crate::clock::{Clock, SystemClock};
use crate::config::{IndexPattern, IndexTarget, show_duration};
use crate::http::HttpClient;
use crate::setup::{self, Expired};

/// The largest accepted lead of this host's clock over the cluster's. A wrong clock deletes data irrevocably.
const MOST_AHEAD: Duration = Duration::from_secs(3600);

pub(super) fn run(common: &Common, args: &PruneArgs) -> Exit {
    let loaded = match load(common) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let config = &loaded.config;
    let Some(cluster) = &config.elasticsearch else {
        complain!(
            "there is no cluster to prune: add a section [elasticsearch] with nodes = [\"https://HOST:9200\"]"
        );
        return Exit::Config;
    };
    let pattern = match &cluster.target {
        IndexTarget::Daily(pattern) => pattern,
        IndexTarget::Stream(stream) => {
            complain!(
                "prune goes by the day in an index's name, and the backing indices of the data stream {stream} have \
                 none that counts: set `retention` and run logweir setup, so that the cluster rolls it over and \
                 deletes what is old by itself"
            );
            return Exit::Config;
        }
    };
    let Some(age) = args.older_than.or(config.retention) else {
        complain!(
            "there is no age limit: set `retention`, or pass a limit, as in --older-than 30d"
        );
        return Exit::Usage;
    };
    let client = match HttpClient::of_cluster(cluster) {
        Ok(client) => client,
        Err(error) => {
            complain!("{error}");
            return Exit::Config;
        }
    };
    super::block_on(prune(&client, pattern, age, args.dry_run))
}

async fn prune(client: &HttpClient, pattern: &IndexPattern, age: Duration, dry_run: bool) -> Exit {
    let now = SystemClock::new().unix_millis();
    let before = i64::try_from(age.as_millis())
        .ok()
        .and_then(|age| DateTime::from_timestamp_millis(now.checked_sub(age)?));
    let Some(before) = before.map(|before| before.trunc_subsecs(0)) else {
        complain!("this age is longer than any calendar");
        return Exit::Usage;
    };
    let looked = async {
        let clock = setup::cluster_time(client).await?;
        Ok((clock, setup::find_expired(client, pattern, before).await?))
    };
    let (clock, expired) = match looked.await {
        Ok(looked) => looked,
        Err(error) => {
            complain!("{error}");
            return exit(&error);
        }
    };
    let ahead = clock.and_then(|clock| u64::try_from(now / 1000 - clock).ok());
    if let Some(ahead) = ahead.filter(|ahead| *ahead > MOST_AHEAD.as_secs()) {
        complain!(
            "this host's clock is {} before the cluster's, so the age of an index is unknown; nothing was deleted. \
             Synchronise both clocks by NTP",
            show_duration(Duration::from_secs(ahead))
        );
        return Exit::Config;
    }
    say!(
        "older than {}: before {}",
        show_duration(age),
        before.format("%Y-%m-%d %H:%M:%S UTC")
    );
    let mut failed = Exit::Ok;
    for index in &expired.indices {
        let documents = index.documents.map(|count| format!("documents: {count}"));
        let sizes = [documents, index.bytes.map(size)].into_iter().flatten();
        let sizes: Vec<String> = sizes.collect();
        let sizes = format!("{}  {}", safe(&index.name), sizes.join(", "));
        if dry_run {
            say!("  would be deleted  {sizes}");
            continue;
        }
        match setup::delete(client, index).await {
            Ok(()) => say!("  deleted  {sizes}"),
            Err(error) => {
                complain!("{error}");
                failed = exit(&error);
            }
        }
    }
    if let Some(exit) = unparsed(client, pattern, before, &expired, dry_run).await {
        failed = exit;
    }
    say!(
        "indices: {} older, {} younger",
        expired.indices.len(),
        expired.younger
    );
    failed
}

/// Deletes the old documents of the index without a time in its name.
async fn unparsed(
    client: &HttpClient,
    pattern: &IndexPattern,
    before: DateTime<Utc>,
    expired: &Expired,
    dry_run: bool,
) -> Option<Exit> {
    let documents = expired.unparsed.filter(|documents| *documents > 0)?;
    let name = pattern.unparsed();
    if dry_run {
        say!("  would be deleted  documents of {name}: {documents}");
        return None;
    }
    match setup::delete_unparsed(client, pattern, before).await {
        Ok(deleted) => {
            say!("  deleted  documents of {name}: {deleted}");
            None
        }
        Err(error) => {
            complain!("old documents of {name} stay, {documents} of them: {error}");
            Some(exit(&error))
        }
    }
}
