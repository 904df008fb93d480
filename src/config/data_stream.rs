//! The name of a data stream, by Elastic's naming scheme: `TYPE-DATASET-NAMESPACE`.
//!
//! Owns the rules of the name and the names derived from it. Refuses to know the backing index of a document: the
//! cluster chooses it, so ids are unique within one backing index only. Invariant: Elasticsearch and OpenSearch accept
//! every name that [`DataStream::parse`] accepts, and it matches [`DataStream::wildcard`].

use std::fmt;

/// How far "each line once" holds for a data stream; `check` and the documentation use this text.
pub const PROMISE: &str = "once, except when a rollover falls between a request and its repeat, or the checkpoint is lost";

/// Longest name, in bytes (Elasticsearch, "Create a data stream", path parameters).
const MAX_NAME: usize = 255;
/// Longest dataset and namespace (Elastic, "Data stream naming scheme").
const MAX_PART: usize = 100;
/// Characters that a name must not contain (Elasticsearch, "Create a data stream").
const FORBIDDEN: [char; 12] = ['\\', '/', '*', '?', '"', '<', '>', '|', ',', '#', ':', ' '];

/// A data stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataStream {
    name: String,
    /// Byte offsets of the first and the second dash.
    dashes: [usize; 2],
}

/// Why a name is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DataStreamError {
    /// Not three parts, or an empty one.
    #[error(
        "a data stream is named TYPE-DATASET-NAMESPACE, with no dash inside of a part, as in logs-nginx.access-default"
    )]
    NotThreeParts,
    /// An upper-case letter.
    #[error("Elasticsearch takes lower-case names only")]
    UpperCase,
    /// A character that a name must not contain.
    #[error("Elasticsearch takes no '{0}' in the name of a data stream")]
    Forbidden(char),
    /// Begins with `_`, `+` or `.`.
    #[error("Elasticsearch takes no name that begins with '{0}'")]
    BadStart(char),
    /// Longer than 255 bytes, or a part longer than 100.
    #[error("the name is longer than 255 bytes, or its dataset or namespace longer than 100")]
    TooLong,
}

impl DataStream {
    /// Checks a name.
    pub fn parse(name: &str) -> Result<Self, DataStreamError> {
        use DataStreamError as Error;

        for char in name.chars() {
            if char.is_uppercase() {
                return Err(Error::UpperCase);
            }
            if FORBIDDEN.contains(&char) || char.is_control() || char.is_whitespace() {
                return Err(Error::Forbidden(char));
            }
        }
        if let Some(start) = name.chars().next().filter(|c| "_+.".contains(*c)) {
            return Err(Error::BadStart(start));
        }
        let mut parts = name.split('-');
        let (Some(kind), Some(dataset), Some(namespace), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Error::NotThreeParts);
        };
        if kind.is_empty() || dataset.is_empty() || namespace.is_empty() {
            return Err(Error::NotThreeParts);
        }
        if name.len() > MAX_NAME || dataset.len() > MAX_PART || namespace.len() > MAX_PART {
            return Err(Error::TooLong);
        }
        Ok(Self {
            dashes: [kind.len(), kind.len() + 1 + dataset.len()],
            name: name.to_owned(),
        })
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// `data_stream.type`: `logs`.
    pub fn kind(&self) -> &str {
        &self.name[..self.dashes[0]]
    }

    /// `data_stream.dataset`: `nginx.access`.
    pub fn dataset(&self) -> &str {
        &self.name[self.dashes[0] + 1..self.dashes[1]]
    }

    /// `data_stream.namespace`: `default`.
    pub fn namespace(&self) -> &str {
        &self.name[self.dashes[1] + 1..]
    }

    /// The name of the index template and its components, the same for all namespaces:
    /// `logs-nginx.access`.
    pub fn template(&self) -> &str {
        &self.name[..self.dashes[1]]
    }

    /// The template's pattern: `logs-nginx.access-*`.
    pub fn wildcard(&self) -> String {
        format!("{}-*", self.template())
    }
}

impl fmt::Display for DataStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_name_has_three_parts() {
        let stream = DataStream::parse("logs-nginx.access-default").unwrap();
        assert_eq!(
            [stream.kind(), stream.dataset(), stream.namespace()],
            ["logs", "nginx.access", "default"]
        );
        assert_eq!(stream.template(), "logs-nginx.access");
        assert_eq!(stream.wildcard(), "logs-nginx.access-*");
        assert_eq!(stream.to_string(), "logs-nginx.access-default");
    }

    #[test]
    fn names_that_elasticsearch_refuses_are_refused() {
        use DataStreamError as Error;
        let error = |name: &str| DataStream::parse(name).unwrap_err();
        for name in [
            "",
            "logs",
            "logs-nginx",
            "logs-nginx.access-",
            "logs--default",
            "-nginx.access-default",
            "logs-nginx-access-default",
        ] {
            assert_eq!(error(name), Error::NotThreeParts, "{name}");
        }
        assert_eq!(error("logs-Nginx-default"), Error::UpperCase);
        assert_eq!(error("logs-nginx:a-default"), Error::Forbidden(':'));
        assert_eq!(error("logs-nginx a-default"), Error::Forbidden(' '));
        assert_eq!(error("logs-nginx\n-default"), Error::Forbidden('\n'));
        assert_eq!(error(".ds-nginx-default"), Error::BadStart('.'));
        assert_eq!(error("_logs-nginx-default"), Error::BadStart('_'));
        let long = "n".repeat(101);
        assert_eq!(error(&format!("logs-{long}-default")), Error::TooLong);
        assert_eq!(error(&format!("logs-nginx-{long}")), Error::TooLong);
        let long = "n".repeat(250);
        assert_eq!(error(&format!("{long}-nginx-default")), Error::TooLong);
    }
}
