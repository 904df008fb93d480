//! The files of `mappings/`, which are compiled into the program. A test parses each of them.

use serde_json::Value;

use super::Family;

/// A shipped file by its purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum File {
    Mappings,
    Settings,
    /// Elasticsearch only: the policy of new indices.
    Lifecycle,
    /// The operator's own component template, empty.
    Custom,
    /// The template of daily indices.
    Daily,
    /// The template of data streams, made of the same components.
    Stream,
    /// Elasticsearch only: the template of the index for lines without a readable time.
    Unparsed,
    /// The policy that deletes indices.
    Policy,
    /// The policy that rolls data streams over and deletes old backing indices.
    StreamPolicy,
}

macro_rules! file {
    ($path:literal) => {
        include_str!(concat!("../../mappings/", $path))
    };
}

/// The file's content.
pub(super) fn read(family: Family, file: File) -> Value {
    use Family::{Elasticsearch, OpenSearch};

    let text = match (file, family) {
        (File::Mappings, Elasticsearch) => file!("elasticsearch/component-mappings.json"),
        (File::Mappings, OpenSearch) => file!("opensearch/component-mappings.json"),
        (File::Settings, Elasticsearch) => file!("elasticsearch/component-settings.json"),
        (File::Settings, OpenSearch) => file!("opensearch/component-settings.json"),
        (File::Lifecycle, _) => file!("elasticsearch/component-lifecycle.json"),
        (File::Custom, Elasticsearch) => file!("elasticsearch/component-custom.json"),
        (File::Custom, OpenSearch) => file!("opensearch/component-custom.json"),
        (File::Daily, Elasticsearch) => file!("elasticsearch/index-template.json"),
        (File::Daily, OpenSearch) => file!("opensearch/index-template.json"),
        (File::Stream, Elasticsearch) => file!("elasticsearch/data-stream-template.json"),
        (File::Stream, OpenSearch) => file!("opensearch/data-stream-template.json"),
        (File::Unparsed, _) => file!("elasticsearch/unparsed-template.json"),
        (File::Policy, Elasticsearch) => file!("elasticsearch/ilm-policy.json"),
        (File::Policy, OpenSearch) => file!("opensearch/ism-policy.json"),
        (File::StreamPolicy, Elasticsearch) => file!("elasticsearch/ilm-policy-data-stream.json"),
        (File::StreamPolicy, OpenSearch) => file!("opensearch/ism-policy-data-stream.json"),
    };
    serde_json::from_str(text).unwrap_or_default()
}
