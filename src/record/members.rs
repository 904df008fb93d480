//! Writes the members of a document that come from a parsed line: `http`, `url`, `source`, `tls`, `nginx.access` …
//!
//! Owns the form of each value; the plan decides which capture feeds it. Invariant: a value that is absent, or that does
//! not fit the type of its field, leaves no member, so that the index never refuses a document for one odd value.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use logweir_parsers::client::{self, Chosen};
use logweir_parsers::{Escape, list, number, request};

use super::clients;
use super::extra::PodNames;
use super::plan::{Secrecy, Upstream, UpstreamForm};
use super::privacy::{Masked, REDACTED, Redactor, Scope};
use super::request_target::{self, RequestTarget};
use super::route::MatchedRoute;
use super::{Scratch, Values};
use crate::enrich::{Addresses, UserAgents};
use crate::json::{self, open};

/// Limit of addresses in `related.ip`; `remote_ip_list` holds a longer chain of proxies as a whole.
const RELATED: usize = 8;

/// The request line, from one variable or from its parts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Request<'l> {
    pub(super) method: Option<&'l [u8]>,
    original: Option<&'l [u8]>,
    target: RequestTarget<'l>,
    pub(super) path: Option<&'l [u8]>,
    query: Option<&'l [u8]>,
    version: Option<&'l [u8]>,
    /// Text that is no request, such as TLS on a plain port and other probes; it is kept as a whole.
    pub(super) rubbish: Option<&'l [u8]>,
}

impl<'l> Request<'l> {
    pub(super) fn new(values: &Values<'l>) -> Self {
        let plan = values.plan;
        let whole = values.get(plan.request);
        let line = whole.and_then(request::split);
        let other = || {
            let has_uri = values.get(plan.uri).is_some();
            values.get(plan.other_target).filter(|_| !has_uri)
        };
        let original = values
            .get(plan.own_target)
            .or_else(|| line.map(|line| line.target))
            .or_else(|| values.get(plan.request_uri))
            .or_else(other);
        let target = original.map(RequestTarget::split).unwrap_or_default();
        let version = line.and_then(|line| line.version);
        Self {
            rubbish: whole.filter(|whole| line.is_none() && !whole.is_empty()),
            method: line
                .map(|line| line.method)
                .or_else(|| values.get(plan.request_method)),
            original,
            target,
            path: target.path.or_else(|| values.get(plan.uri)),
            query: target.query.or_else(|| values.get(plan.args)),
            version: version.or_else(|| values.get(plan.server_protocol)?.strip_prefix(b"HTTP/")),
        }
    }
}

/// `http`: method, referrer, sizes, status, version and route.
pub(super) fn http(
    text: &mut Text<'_>,
    values: &Values<'_>,
    request: &Request<'_>,
    status: Option<&[u8]>,
    route: (MatchedRoute<'_>, &[u8]),
) {
    let plan = values.plan;
    let http = open(text.out, b"\"http\":{");
    let inner = open(text.out, b"\"request\":{");
    text.write(b"\"method\":\"", request.method);
    text.member(b"\"referrer\":\"", values.value(plan.referrer));
    let id = values.value(plan.own_request_id);
    let id = id.or_else(|| values.value(plan.request_id));
    text.member(b"\"id\":\"", id);
    integer(text.out, b"\"bytes\":", values.get(plan.request_length));
    json::close(text.out, inner);
    let inner = open(text.out, b"\"response\":{");
    integer(text.out, b"\"status_code\":", status);
    let body = open(text.out, b"\"body\":{");
    integer(text.out, b"\"bytes\":", plan.roles.bytes(values));
    json::close(text.out, body);
    integer(text.out, b"\"bytes\":", values.get(plan.bytes_sent));
    json::close(text.out, inner);
    text.write(b"\"version\":\"", request.version);
    let (found, normalised) = route;
    found.write(text, normalised);
    json::close(text.out, http);
}

/// `url`; `site` is the domain for a line that has none.
pub(super) fn url(
    text: &mut Text<'_>,
    values: &Values<'_>,
    request: &Request<'_>,
    site: Option<&str>,
) {
    let plan = values.plan;
    let url = open(text.out, b"\"url\":{");
    text.write(b"\"original\":\"", request.original);
    text.write(b"\"path\":\"", request.path);
    text.extension(request.path);
    text.write(b"\"query\":\"", request.query);
    text.write(b"\"fragment\":\"", request.target.fragment);
    let domain = values
        .get(plan.own_domain)
        .or_else(|| values.get(plan.host))
        .or_else(|| values.get(plan.http_host).map(request_target::host))
        .or_else(|| request.target.authority.map(request_target::host))
        // `_` is the name of a catch-all block, not a site
        .or_else(|| values.get(plan.server_name).filter(|name| *name != b"_"));
    match (domain, site) {
        (Some(domain), _) => text.write(b"\"domain\":\"", Some(domain)),
        (None, Some(site)) => {
            text.out.extend_from_slice(b"\"domain\":\"");
            text.out.extend_from_slice(site.as_bytes());
            text.out.extend_from_slice(b"\",");
        }
        (None, None) => text.write(b"\"domain\":\"", plan.roles.site(values)),
    }
    let scheme = values.get(plan.scheme).or(request.target.scheme);
    let scheme = scheme.or_else(|| values.get(plan.https).map(|_| &b"https"[..]));
    text.write(b"\"scheme\":\"", scheme);
    text.extras(&plan.extras.url, Some(values));
    json::close(text.out, url);
}

/// `source`, `destination`, `user` and `related`: the two ends of the request.
pub(super) fn peers(
    text: &mut Text<'_>,
    values: &Values<'_>,
    trusted: &[IpNet],
    addresses: Option<&mut Addresses>,
) {
    let plan = values.plan;
    let proxy = values.get(plan.clients.peer_before);
    let remote = values.get(plan.clients.peer).or(proxy);
    let forwarded = values.get(plan.clients.forwarded);
    let mut related = Related::new();
    let source = open(text.out, b"\"source\":{");
    if let Some(found) = clients::of_line(&plan.clients, values, (remote, forwarded), trusted) {
        let chosen = found.chosen;
        text.scratch.marks.client_unverified = found.unverified;
        match chosen.ip.map(|ip| (ip, values.redactor.show(ip))) {
            None => text.write(b"\"address\":\"", Some(chosen.text)),
            Some((ip, shown)) => {
                let written = client(text, &chosen, shown);
                related.add(shown);
                related.first = written;
                // look it up before it is hidden: a hash has no location
                if let Some(addresses) = addresses {
                    addresses.write(text.out, ip);
                }
            }
        }
    }
    text.extras(&plan.extras.source, Some(values));
    json::close(text.out, source);
    if plan.names_server {
        let destination = open(text.out, b"\"destination\":{");
        text.write(b"\"domain\":\"", values.get(plan.host));
        // our own address, which is not secret
        if let Some(ip) = values.get(plan.server_addr).and_then(client::address) {
            related.add(Masked::Address(ip));
            address(text.out, b"\"ip\":\"", ip);
        }
        integer(text.out, b"\"port\":", values.get(plan.server_port));
        text.extras(&plan.extras.destination, Some(values));
        json::close(text.out, destination);
    }
    let (user, unverified) = plan.roles.user(values).unzip();
    text.scratch.marks.user_unverified = unverified.unwrap_or(false);
    if user.is_some() || !plan.extras.user.is_empty() {
        let mark = open(text.out, b"\"user\":{");
        text.member(b"\"name\":\"", user);
        text.extras(&plan.extras.user, Some(values));
        json::close(text.out, mark);
    }
    if forwarded.is_some() || proxy.is_some() || plan.clients.has_others() {
        let peers = [remote, proxy].into_iter().flatten();
        let list = forwarded.into_iter().flat_map(forwarders);
        for ip in peers.chain(list).filter_map(client::address) {
            related.add(values.redactor.show(ip));
        }
    }
    let mark = open(text.out, b"\"related\":{");
    let list = open(text.out, b"\"ip\":[");
    match (related.first, related.addresses()) {
        (Some(first), [_, others @ ..]) => {
            text.write(b"\"", Some(first));
            others.iter().for_each(|ip| address(text.out, b"\"", *ip));
        }
        (_, all) => all.iter().for_each(|ip| address(text.out, b"\"", *ip)),
    }
    close_list(text.out, list);
    if user.is_some() {
        text.out.extend_from_slice(b"\"user\":[");
        text.member(b"\"", user);
        end_list(text.out);
    }
    text.extras(&plan.extras.related, Some(values));
    json::close(text.out, mark);
}

/// `source.address`, and `source.ip` if the address may be shown. Returns the text of the address if the line holds it.
fn client<'l>(text: &mut Text<'_>, chosen: &Chosen<'l>, shown: Masked) -> Option<&'l [u8]> {
    match shown {
        Masked::Hash(hash) => {
            text.out.extend_from_slice(b"\"address\":\"");
            text.out.extend_from_slice(&hash);
            text.out.extend_from_slice(b"\",");
            None
        }
        // an IPv6 address has many texts, but one client must be counted under one
        Masked::Address(ip) if text.watched || chosen.text.contains(&b':') => {
            address(text.out, b"\"address\":\"", ip);
            address(text.out, b"\"ip\":\"", ip);
            None
        }
        // a dotted IPv4 address has only this text
        Masked::Address(_) => {
            text.write(b"\"address\":\"", Some(chosen.text));
            text.write(b"\"ip\":\"", Some(chosen.text));
            Some(chosen.text)
        }
    }
}

/// The elements of an `X-Forwarded-For` list.
fn forwarders(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}

/// `user_agent`.
pub(super) fn user_agent(
    text: &mut Text<'_>,
    values: &Values<'_>,
    agents: Option<&mut UserAgents>,
) {
    let plan = values.plan;
    let mark = open(text.out, b"\"user_agent\":{");
    let agent = values.value(plan.user_agent);
    text.member(b"\"original\":\"", agent);
    if let (Some(agents), Some(agent)) = (agents, agent) {
        text.with_clean(agent.raw, |out, agent| agents.write(out, agent));
    }
    text.extras(&plan.extras.user_agent, Some(values));
    json::close(text.out, mark);
}

/// `tls`; nginx writes `TLSv1.3`, ECS has separate fields for the protocol and its version.
pub(super) fn tls(text: &mut Text<'_>, values: &Values<'_>) {
    let plan = values.plan;
    let mark = open(text.out, b"\"tls\":{");
    if let Some(protocol) = values.get(plan.ssl_protocol) {
        match protocol.strip_prefix(b"TLSv") {
            Some(version) => {
                text.write(b"\"version\":\"", Some(version));
                text.out.extend_from_slice(b"\"version_protocol\":\"tls\",");
            }
            None => text.write(b"\"version\":\"", Some(protocol)),
        }
    }
    text.write(b"\"cipher\":\"", values.get(plan.ssl_cipher));
    text.extras(&plan.extras.tls, Some(values));
    json::close(text.out, mark);
}

/// `nginx.access`: values without an ECS field.
pub(super) fn nginx(text: &mut Text<'_>, values: &Values<'_>, request: &Request<'_>) {
    let plan = values.plan;
    let nginx = open(text.out, b"\"nginx\":{");
    let access = open(text.out, b"\"access\":{");
    if let Some(list) = values.get(plan.clients.forwarded) {
        let remote = values.get(plan.clients.peer);
        let mark = open(text.out, b"\"remote_ip_list\":[");
        for element in forwarders(list).chain(remote) {
            match client::address(element).filter(|_| !values.redactor.shows_addresses()) {
                None => text.write(b"\"", Some(element)),
                Some(ip) => {
                    text.out.push(b'"');
                    values.redactor.show(ip).write(text.out);
                    text.out.extend_from_slice(b"\",");
                }
            }
        }
        close_list(text.out, mark);
    }
    if let Some(nanos) = values
        .get(plan.request_time)
        .and_then(number::seconds_to_nanos)
    {
        text.out.extend_from_slice(b"\"response_time\":");
        json::integer(text.out, nanos / NANOS_PER_MILLI);
        text.out.push(b',');
    }
    text.write(b"\"request\":\"", request.rubbish);
    if !plan.upstreams.is_empty() {
        let mark = open(text.out, b"\"upstream\":{");
        for upstream in &plan.upstreams {
            if let Some(raw) = values.get(Some(upstream.capture)) {
                text.upstream(upstream, raw);
            }
        }
        json::close(text.out, mark);
    }
    for (key, capture) in &plan.others {
        text.member(key.as_bytes(), values.value(Some(*capture)));
    }
    json::close(text.out, access);
    json::close(text.out, nginx);
}

const NANOS_PER_MILLI: u64 = 1_000_000;

/// A value of the line, and its secrecy.
#[derive(Clone, Copy)]
pub(super) struct Value<'l> {
    pub(super) raw: &'l [u8],
    pub(super) secrecy: Secrecy,
}

impl<'l> Values<'l> {
    pub(super) fn value(&self, capture: Option<usize>) -> Option<Value<'l>> {
        let raw = self.get(capture)?;
        let secrecy = self.secrecy(capture?);
        Some(Value { raw, secrecy })
    }

    /// The secrecy of a value of this line: its text, its hash, or a mark that it exists.
    pub(super) fn secrecy(&self, capture: usize) -> Secrecy {
        match self.plan.secrecy.get(capture).copied().unwrap_or_default() {
            Secrecy::Unbounded if self.watched => Secrecy::Redacted,
            Secrecy::Unbounded => Secrecy::Text,
            secrecy => secrecy,
        }
    }

    /// Returns a value, decoded and without what must be hidden.
    pub(super) fn shown(&self, value: Value<'_>) -> Vec<u8> {
        let (mut out, mut scratch) = (Vec::new(), Scratch::default());
        let mut text = Text {
            out: &mut out,
            scratch: &mut scratch,
            escape: self.plan.escape,
            plain: self.plain,
            watched: self.watched,
            redactor: self.redactor,
            pod: &PodNames::default(),
        };
        match value.secrecy {
            Secrecy::Text => text.with_clean(value.raw, |out, text| out.extend_from_slice(text)),
            secrecy => text.secret(value.raw, secrecy),
        }
        out
    }
}

/// Writes string members from values of one escaping.
pub(super) struct Text<'o> {
    pub(super) out: &'o mut Vec<u8>,
    pub(super) scratch: &'o mut Scratch,
    pub(super) escape: Escape,
    pub(super) plain: bool,
    pub(super) watched: bool,
    pub(super) redactor: &'o Redactor,
    pub(super) pod: &'o PodNames,
}

impl Text<'_> {
    /// Appends `key` (which ends with the opening quote), the value and `",`.
    ///
    /// Inlined, since nearly every key is a constant and then costs no call.
    #[inline(always)]
    pub(super) fn write(&mut self, key: &[u8], raw: Option<&[u8]>) {
        if let Some(raw) = raw {
            self.out.extend_from_slice(key);
            self.text(raw);
        }
    }

    /// Appends a value and `",`.
    fn text(&mut self, raw: &[u8]) {
        let plain = self.plain || Escape::is_plain(raw);
        if plain && !self.watched {
            self.out.reserve(raw.len() + 2);
            self.out.extend_from_slice(raw);
        } else if plain {
            // the replacement of a secret needs no escape either
            self.with_clean(raw, |out, clean| out.extend_from_slice(clean));
        } else {
            self.with_clean(raw, json::text);
        }
        self.out.extend_from_slice(b"\",");
    }

    /// Like [`Text::write`], for a value whose text may have to be hidden as a whole.
    #[inline(always)]
    pub(super) fn member(&mut self, key: &[u8], value: Option<Value<'_>>) {
        let Some(Value { raw, secrecy }) = value else {
            return;
        };
        if secrecy == Secrecy::Text {
            return self.write(key, Some(raw));
        }
        self.out.extend_from_slice(key);
        self.secret(raw, secrecy);
        self.out.extend_from_slice(b"\",");
    }

    /// Appends the replacement of a value: its hash or the mark.
    pub(super) fn secret(&mut self, raw: &[u8], secrecy: Secrecy) {
        if secrecy == Secrecy::Redacted {
            self.out.extend_from_slice(REDACTED);
            return;
        }
        let undone = &mut self.scratch.value;
        undone.clear();
        self.escape.decode(raw, undone);
        self.out.extend_from_slice(&self.redactor.hash(undone));
    }

    /// Passes a value to `write`, decoded and without what must be hidden.
    pub(super) fn with_clean(&mut self, raw: &[u8], write: impl FnOnce(&mut Vec<u8>, &[u8])) {
        let Scratch { value, cleaned, .. } = &mut *self.scratch;
        let plain = self.plain || Escape::is_plain(raw);
        let undone = if plain {
            raw
        } else {
            value.clear();
            self.escape.decode(raw, value);
            value.as_slice()
        };
        // if the line has escapes, only the decoded value shows what it holds
        if self.watched || !plain {
            self.redactor.clean(undone, Scope::Value, cleaned);
            write(self.out, &cleaned.text);
        } else {
            write(self.out, undone);
        }
    }

    /// `url.extension`; a secret can look like an extension.
    fn extension(&mut self, path: Option<&[u8]>) {
        let Some(mut path) = path else { return };
        if self.watched || !self.plain {
            let cleaned = &mut self.scratch.cleaned;
            self.redactor.clean(path, Scope::Value, cleaned);
            path = &cleaned.text;
        }
        // only letters and digits
        if let Some(extension) = request_target::extension(path) {
            self.out.extend_from_slice(b"\"extension\":\"");
            self.out.extend_from_slice(extension);
            self.out.extend_from_slice(b"\",");
        }
    }

    /// Appends a text about our own servers; its addresses belong to no person.
    fn of_server(&mut self, key: &[u8], raw: &[u8]) {
        self.out.extend_from_slice(key);
        let undone = &mut self.scratch.value;
        json::value(self.out, undone, self.escape, self.plain, raw);
        self.out.extend_from_slice(b"\",");
    }

    /// Appends an upstream list; an element without a value is `null`, so that positions match.
    fn upstream(&mut self, upstream: &Upstream, raw: &[u8]) {
        let mark = open(self.out, upstream.key.as_bytes());
        for element in list::upstream(raw) {
            let number = match upstream.form {
                UpstreamForm::Text if element.is_some() => {
                    self.write(b"\"", element);
                    continue;
                }
                UpstreamForm::Address if element.is_some() => {
                    self.of_server(b"\"", element.unwrap_or_default());
                    continue;
                }
                UpstreamForm::Text | UpstreamForm::Address => None,
                UpstreamForm::Number => element.and_then(number::unsigned).filter(json::is_long),
                UpstreamForm::Milliseconds => element
                    .and_then(number::seconds_to_nanos)
                    .map(|nanos| nanos / NANOS_PER_MILLI),
            };
            match number {
                Some(number) => json::integer(self.out, number),
                None => self.out.extend_from_slice(b"null"),
            }
            self.out.push(b',');
        }
        close_list(self.out, mark);
    }
}

/// Appends an integer member; a value that is no integer or does not fit into Elasticsearch's `long` is left out.
#[inline(always)]
pub(super) fn integer(out: &mut Vec<u8>, key: &[u8], raw: Option<&[u8]>) {
    let Some(raw) = raw else { return };
    let mark = open(out, key);
    integer_text(out, mark, raw);
}

/// Appends an integer and a comma, or removes the key at `mark`.
fn integer_text(out: &mut Vec<u8>, mark: usize, raw: &[u8]) {
    if matches!(raw.first(), Some(b'1'..=b'9'))
        && raw.len() <= SURE_DIGITS
        && raw.iter().all(u8::is_ascii_digit)
    {
        out.extend_from_slice(raw);
    } else if let Some(value) = number::unsigned(raw).filter(json::is_long) {
        json::integer(out, value);
    } else {
        out.truncate(mark);
        return;
    }
    out.push(b',');
}

/// Numbers with so many digits always fit into a `long`.
pub(super) const SURE_DIGITS: usize = 18;

/// Appends `key` (which ends with the opening quote), the address and `",`.
pub(super) fn address(out: &mut Vec<u8>, key: &[u8], ip: IpAddr) {
    out.extend_from_slice(key);
    address_text(out, ip);
    out.extend_from_slice(b"\",");
}

/// Appends the canonical text of an address.
pub(super) fn address_text(out: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(v4) => {
            let mut text = [b'.'; 16];
            let mut len = 0;
            for octet in v4.octets() {
                for (least, unit) in [(100, 100), (10, 10), (0, 1)] {
                    if octet >= least {
                        text[len] = b'0' + octet / unit % 10;
                        len += 1;
                    }
                }
                len += 1; // the dot is there
            }
            out.extend_from_slice(&text[..len - 1]);
        }
        IpAddr::V6(v6) => out.extend_from_slice(v6.to_string().as_bytes()),
    }
}

/// Ends a list whose elements each ended with a comma.
fn end_list(out: &mut Vec<u8>) {
    out.pop();
    out.extend_from_slice(b"],");
}

/// Ends a list; a list without elements is removed back to `mark`.
fn close_list(out: &mut Vec<u8>, mark: usize) {
    if out.last() == Some(&b',') {
        end_list(out)
    } else {
        out.truncate(mark)
    }
}

/// The distinct addresses of a line.
struct Related<'l> {
    addresses: [IpAddr; RELATED],
    len: usize,
    /// The text of the first address, if the line holds its canonical text.
    first: Option<&'l [u8]>,
}

impl Related<'_> {
    fn new() -> Self {
        Self {
            addresses: [IpAddr::V4(Ipv4Addr::UNSPECIFIED); RELATED],
            len: 0,
            first: None,
        }
    }

    /// Adds an address; a hash is not an address and is left out.
    fn add(&mut self, shown: Masked) {
        let Masked::Address(ip) = shown else { return };
        if self.len < RELATED && !self.addresses().contains(&ip) {
            self.addresses[self.len] = ip;
            self.len += 1;
        }
    }

    fn addresses(&self) -> &[IpAddr] {
        &self.addresses[..self.len]
    }
}
