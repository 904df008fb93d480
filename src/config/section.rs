//! The sections of the configuration file and their purposes.

/// A part of the configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Section {
    /// Before the first header.
    Top,
    /// `[[logs]]`, any number of times.
    Logs,
    /// `[[routes]]`, any number of times.
    Routes,
    /// `[privacy]`.
    Privacy,
    /// `[enrich]`.
    Enrich,
    /// `[elasticsearch]`.
    Elasticsearch,
    /// `[store]`.
    Store,
    /// `[kibana]`.
    Kibana,
    /// `[http]`.
    Http,
    /// `[log]`.
    Log,
}

impl Section {
    /// All of them, in the order of the sample.
    pub(crate) const ALL: [Section; 10] = [
        Section::Top,
        Section::Logs,
        Section::Routes,
        Section::Privacy,
        Section::Enrich,
        Section::Elasticsearch,
        Section::Store,
        Section::Kibana,
        Section::Http,
        Section::Log,
    ];

    /// The name in the header; empty for the top.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Section::Top => "",
            Section::Logs => "logs",
            Section::Routes => "routes",
            Section::Privacy => "privacy",
            Section::Enrich => "enrich",
            Section::Elasticsearch => "elasticsearch",
            Section::Store => "store",
            Section::Kibana => "kibana",
            Section::Http => "http",
            Section::Log => "log",
        }
    }

    /// Whether it may occur several times.
    pub(crate) const fn is_list(self) -> bool {
        matches!(self, Section::Logs | Section::Routes)
    }

    /// How it begins; empty for the top.
    pub(crate) const fn header(self) -> &'static str {
        match self {
            Section::Top => "",
            Section::Logs => "[[logs]]",
            Section::Routes => "[[routes]]",
            Section::Privacy => "[privacy]",
            Section::Enrich => "[enrich]",
            Section::Elasticsearch => "[elasticsearch]",
            Section::Store => "[store]",
            Section::Kibana => "[kibana]",
            Section::Http => "[http]",
            Section::Log => "[log]",
        }
    }

    /// The purpose of the section.
    pub(crate) const fn doc(self) -> &'static str {
        match self {
            Section::Top => "The agent itself.",
            Section::Logs => {
                "The logs to follow, one section for each kind. Without any, every access log that \
                 nginx.conf names is followed; with discover = true, those that no section takes are, too."
            }
            Section::Routes => {
                "The names of APIs in http.route, and the marks of logins and of sensitive data. \
                 In paths without a route, identifiers, dates, addresses and other values are replaced. See ROUTES.md."
            }
            Section::Privacy => {
                "Personal data and secrets that records hide. This applies to every field that contains the text, including \
                 event.original; ids and indices do not depend on it. See ENRICHMENT.md."
            }
            Section::Enrich => {
                "Data that records add: the location of an address, and the parts of a user agent. See ENRICHMENT.md."
            }
            Section::Elasticsearch => {
                "The Elasticsearch or OpenSearch cluster that stores the records."
            }
            Section::Store => {
                "The embedded store, which takes the records where no [elasticsearch] is: indexed requests on the local \
                 disk, without a cluster. `logweir top` and `logweir timeline` ask it. See STORE.md."
            }
            Section::Kibana => {
                "The Kibana or OpenSearch Dashboards into which `logweir setup` imports the dashboards; the agent \
                 itself never uses it. Without credentials in this section those of [elasticsearch] apply."
            }
            Section::Http => "The agent's own pages: /metrics, /status, /livez, /readyz.",
            Section::Log => "The agent's own log, on standard error.",
        }
    }
}
