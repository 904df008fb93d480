//! Delivery into Elasticsearch and OpenSearch.
