//! A proxy before Elasticsearch that does to bulk requests what networks, proxies and busy clusters do.
//!
//! It has several addresses, like the nodes of a cluster, and any of them may be away for a while. Everything else passes
//! unchanged, except while nobody can connect or all credentials are refused.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::net::sockopt::set_socket_linger;

use super::fault::{self, Fault};
use super::random::Dice;
use super::report::Tally;
use super::wire::{Message, Peer};

/// How often the listener looks for a connection.
const LOOK: Duration = Duration::from_millis(5);
/// Elasticsearch may take this long.
const UPSTREAM_WITHIN: Duration = Duration::from_secs(60);
/// A stalled answer is held this long while the agent waits: far longer than its own limit.
const STALL: Duration = Duration::from_secs(20);

/// The running proxy.
pub(super) struct Proxy {
    shared: Arc<Shared>,
    listeners: Vec<JoinHandle<()>>,
}

/// One address.
struct Node {
    address: SocketAddr,
    /// Nobody can connect, and open connections are cut.
    away: AtomicBool,
    /// Its port stays open and each connection is reset, as with a dead host behind a balancer.
    resets: AtomicBool,
    /// Connections that ended, or were none, because it went away.
    cut: AtomicU64,
    /// Bulk requests that came here.
    bulks: AtomicU64,
}

impl Node {
    fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }
}

/// The effects of missing nodes: connections that were cut, and the requests that the others got since.
#[derive(Debug, Clone, Copy)]
pub(super) struct Absence {
    cut: u64,
    elsewhere: u64,
}

struct Shared {
    upstream: SocketAddr,
    stop: AtomicBool,
    nodes: Vec<Node>,
    unauthorized: AtomicBool,
    /// The percentage of bulk requests that are hit.
    percent: AtomicU64,
    dice: Mutex<Dice>,
    tally: Arc<Tally>,
    sign: Mutex<Option<Sign>>,
}

/// A fault of the cluster itself, and by what its answers are known.
type Sign = (&'static str, &'static [u8]);

impl Proxy {
    pub(super) fn start(
        upstream: &str,
        listeners: Vec<TcpListener>,
        dice: Dice,
        tally: Arc<Tally>,
    ) -> Result<Self> {
        let upstream = upstream.trim_start_matches("http://");
        let node = |listener: &TcpListener| {
            Ok(Node {
                address: listener.local_addr()?,
                away: AtomicBool::new(false),
                resets: AtomicBool::new(false),
                cut: AtomicU64::new(0),
                bulks: AtomicU64::new(0),
            })
        };
        let shared = Arc::new(Shared {
            upstream: upstream.parse().context("the server's address")?,
            stop: AtomicBool::new(false),
            nodes: listeners.iter().map(node).collect::<Result<_>>()?,
            unauthorized: AtomicBool::new(false),
            percent: AtomicU64::new(0),
            dice: Mutex::new(dice),
            tally,
            sign: Mutex::default(),
        });
        let listeners = listeners.into_iter().enumerate().map(|(node, listener)| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || listen(&shared, node, listener))
        });
        let listeners = listeners.collect();
        Ok(Self { shared, listeners })
    }

    /// Its addresses.
    pub(super) fn urls(&self) -> Vec<String> {
        let nodes = self.shared.nodes.iter();
        nodes
            .map(|node| format!("http://{}", node.address))
            .collect()
    }

    /// Hits this percentage of bulk requests from now on.
    pub(super) fn hit(&self, percent: u64) {
        self.shared.percent.store(percent, Ordering::Relaxed);
    }

    /// The first answer with this sign counts as a hit.
    pub(super) fn look_for(&self, sign: Option<Sign>) {
        *self.shared.sign() = sign;
    }

    /// Takes these nodes away: nobody can connect, or every connection is reset.
    pub(super) fn leave(&self, nodes: impl Iterator<Item = usize>, resets: bool) {
        self.away(nodes, true, resets);
    }

    /// Brings them back.
    pub(super) fn come_back(&self, nodes: impl Iterator<Item = usize>) {
        self.away(nodes, false, false);
    }

    fn away(&self, nodes: impl Iterator<Item = usize>, away: bool, resets: bool) {
        for node in nodes.filter_map(|node| self.shared.nodes.get(node)) {
            node.resets.store(resets, Ordering::Relaxed);
            node.away.store(away, Ordering::Relaxed);
        }
    }

    /// The state of the nodes that are away, and of the others.
    pub(super) fn absence(&self) -> Absence {
        let mut absence = Absence {
            cut: 0,
            elsewhere: 0,
        };
        for node in &self.shared.nodes {
            match node.is_away() {
                true => absence.cut += node.cut.load(Ordering::Relaxed),
                false => absence.elsewhere += node.bulks.load(Ordering::Relaxed),
            }
        }
        absence
    }

    pub(super) fn unauthorized(&self, unauthorized: bool) {
        self.shared
            .unauthorized
            .store(unauthorized, Ordering::Relaxed);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for listener in self.listeners.drain(..) {
            if listener.join().is_err() {
                eprintln!("the proxy broke off");
            }
        }
    }
}

impl Absence {
    /// Whether a connection was cut since `before`, and another node got something.
    pub(super) fn told_since(self, before: Self) -> bool {
        self.cut > before.cut && self.elsewhere > before.elsewhere
    }
}

fn listen(shared: &Arc<Shared>, number: usize, listener: TcpListener) {
    let Some(node) = shared.nodes.get(number) else {
        return;
    };
    let mut listener = Some(listener);
    while !shared.stop.load(Ordering::Relaxed) {
        if node.is_away() && !node.resets.load(Ordering::Relaxed) {
            listener = None;
        } else if listener.is_none() {
            // An outgoing connection may use the port for a moment.
            listener = TcpListener::bind(node.address).ok();
        }
        let accepted = listener.as_ref().map(|listener| {
            listener.set_nonblocking(true)?;
            listener.accept()
        });
        if let Some(Ok((stream, _))) = accepted {
            let shared = Arc::clone(shared);
            // A failure here is a failure for the agent too, which is the purpose.
            thread::spawn(move || match shared.nodes.get(number) {
                Some(node) => {
                    // Closed without a response.
                    let went = match node.is_away() {
                        true => {
                            set_socket_linger(&stream, Some(Duration::ZERO)).map_err(Into::into)
                        }
                        false => serve(&shared, node, stream),
                    };
                    if node.is_away() {
                        node.cut.fetch_add(1, Ordering::Relaxed);
                    }
                    went
                }
                None => Ok(()),
            });
        } else {
            sleep(LOOK);
        }
    }
}

fn serve(shared: &Shared, node: &Node, stream: TcpStream) -> io::Result<()> {
    let mut client = Peer::new(stream)?;
    let mut upstream = None;
    let wanted = || !shared.stop.load(Ordering::Relaxed) && !node.is_away();
    while let Some(mut request) = client.request(&wanted)? {
        node.bulks
            .fetch_add(u64::from(request.is_bulk()), Ordering::Relaxed);
        if shared.sign().is_some() {
            // The answer must be readable here too.
            request = request.without("accept-encoding");
        }
        let fault = shared.draw(&request);
        let mut passage = Passage {
            shared,
            client: &mut client,
            upstream: &mut upstream,
            request,
        };
        match fault {
            None => {
                let answer = passage.forward()?;
                passage.client.send(&answer.bytes())?;
            }
            Some(fault) => {
                let went = passage.suffer(fault);
                if !matches!(went, Ok(Then::Missed) | Err(_)) {
                    shared.tally.hit(fault.name());
                }
                if !matches!(went?, Then::GoOn | Then::Missed) {
                    break;
                }
            }
        }
    }
    Ok(())
}

impl Shared {
    fn draw(&self, request: &Message) -> Option<Fault> {
        if self.unauthorized.load(Ordering::Relaxed) {
            self.tally.injected(Fault::Unauthorized.name());
            return Some(Fault::Unauthorized);
        }
        if !request.is_bulk() {
            return None;
        }
        let fault = Fault::draw(
            &mut self.dice.lock().unwrap_or_else(PoisonError::into_inner),
            self.percent.load(Ordering::Relaxed),
        )?;
        self.tally.injected(fault.name());
        Some(fault)
    }

    fn sign(&self) -> MutexGuard<'_, Option<Sign>> {
        self.sign.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look_at(&self, answer: &Message) {
        let mut sign = self.sign();
        if let Some((name, words)) = *sign
            && memchr::memmem::find(&answer.body, words).is_some()
        {
            self.tally.hit(name);
            *sign = None;
        }
    }

    fn roll<T>(&self, draw: impl FnOnce(&mut Dice) -> T) -> T {
        draw(&mut self.dice.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What happens to the connection after a fault.
enum Then {
    GoOn,
    Close,
    /// The request contained nothing that this fault could hit, and passed.
    Missed,
}

/// One request on its way.
struct Passage<'a> {
    shared: &'a Shared,
    client: &'a mut Peer,
    upstream: &'a mut Option<Peer>,
    request: Message,
}

impl Passage<'_> {
    fn suffer(&mut self, fault: Fault) -> Result<Then, io::Error> {
        match fault {
            Fault::ResetBeforeApplied => self.reset(),
            Fault::ResetAfterApplied => {
                self.forward()?;
                self.reset()
            }
            Fault::ResetHalfApplied => {
                let items = fault::items(&self.request).map_err(io::Error::other)?;
                let half = fault::with_items(&self.request, &items[..items.len().div_ceil(2)]);
                self.send_up(&half)?;
                self.reset()
            }
            Fault::StallAfterApplied => {
                self.forward()?;
                let end = Instant::now() + STALL;
                let stop = &self.shared.stop;
                let wanted = || !stop.load(Ordering::Relaxed) && Instant::now() < end;
                self.client.wait_for_end(&wanted);
                Ok(Then::Close)
            }
            Fault::CutJson => {
                let mut answer = self.forward()?;
                let length = self.shared.roll(|dice| dice.place(answer.body.len()));
                answer.body.truncate(length.max(1));
                self.answer(&answer)
            }
            Fault::CutConnection => {
                let bytes = self.forward()?.bytes();
                let length = self.shared.roll(|dice| dice.place(bytes.len()));
                self.client.send(&bytes[..length])?;
                Ok(Then::Close)
            }
            Fault::Rubbish => {
                self.forward()?;
                let body: Vec<u8> = self
                    .shared
                    .roll(|dice| (0..200).flat_map(|_| dice.next().to_le_bytes()).collect());
                self.answer(&Message::answer("200 OK", "application/json", &body))
            }
            Fault::Html200 => self.answer(&fault::html("200 OK")),
            Fault::Html502 => self.answer(&fault::html("502 Bad Gateway")),
            Fault::Html504Applied => {
                self.forward()?;
                self.answer(&fault::html("504 Gateway Time-out"))
            }
            Fault::TooLarge => {
                let items = fault::items(&self.request).map_err(io::Error::other)?;
                if items.len() < 2 {
                    // A single document over the limit would be rejected for good.
                    let answer = self.forward()?;
                    self.client.send(&answer.bytes())?;
                    return Ok(Then::Missed);
                }
                self.answer(&Message::answer(
                    "413 Request Entity Too Large",
                    "text/plain",
                    b"",
                ))
            }
            Fault::Busy => self.answer(&busy()),
            Fault::BusyRetryAfter => {
                let choices = ["0", "1", "2", "Wed, 21 Oct 2037 07:28:00 GMT", "soon", "-5"];
                let after = self.shared.roll(|dice| dice.place(choices.len()));
                let after = choices.get(after).copied().unwrap_or("1");
                // A date in the far future is clamped to the longest wait: once in a while is enough.
                let rare = self.shared.roll(|dice| dice.percent(80));
                let after = if rare && after.len() > 4 { "1" } else { after };
                self.answer(&busy().with("retry-after", after))
            }
            Fault::BusyItems => self.some_items(&fault::busy_item(), false),
            Fault::FailedItems => {
                let (outcome, applied) = self
                    .shared
                    .roll(|dice| (fault::failed_item(dice), dice.percent(50)));
                self.some_items(&outcome, applied)
            }
            Fault::FewerItems => {
                self.request = self.request.clone().without("accept-encoding");
                let mut answer = self.forward()?;
                let mut value: serde_json::Value =
                    serde_json::from_slice(&answer.body).map_err(io::Error::other)?;
                if let Some(items) = value
                    .get_mut("items")
                    .and_then(|items| items.as_array_mut())
                {
                    items.pop();
                }
                answer.body = value.to_string().into_bytes();
                self.answer(&answer)
            }
            Fault::Unavailable => {
                let body = br#"{"error":{"type":"cluster_block_exception","reason":"blocked by: [SERVICE_UNAVAILABLE/1/state not recovered / initialized];"},"status":503}"#;
                self.answer(&Message::answer(
                    "503 Service Unavailable",
                    "application/json",
                    body,
                ))
            }
            Fault::Unauthorized => {
                let body = br#"{"error":{"type":"security_exception","reason":"unable to authenticate"},"status":401}"#;
                self.answer(&Message::answer(
                    "401 Unauthorized",
                    "application/json",
                    body,
                ))
            }
            Fault::SlowDrip => {
                let bytes = self.forward()?.bytes();
                let pause = self.shared.roll(|dice| dice.millis(5, 120));
                for piece in bytes.chunks(bytes.len().div_ceil(20).max(1)) {
                    self.client.send(piece)?;
                    sleep(pause);
                }
                Ok(Then::GoOn)
            }
        }
    }

    /// Some items are kept back, or reported as failed.
    fn some_items(&mut self, outcome: &serde_json::Value, applied: bool) -> io::Result<Then> {
        let items = fault::items(&self.request).map_err(io::Error::other)?;
        let hit: Vec<bool> = self.shared.roll(|dice| {
            let chance = 1 + dice.below(60);
            items.iter().map(|_| dice.percent(chance)).collect()
        });
        let sent: Vec<Vec<u8>> = items
            .into_iter()
            .zip(&hit)
            .filter(|(_, hit)| applied || !**hit)
            .map(|(item, _)| item)
            .collect();
        let answer = match sent.is_empty() {
            true => Message::answer("200 OK", "application/json", br#"{"items":[]}"#),
            false => {
                let request = fault::with_items(&self.request, &sent);
                self.send_up(&request)?
            }
        };
        if !answer.start.contains(" 200") {
            self.client.send(&answer.bytes())?;
            return Ok(Then::Missed);
        }
        let mut answer = answer;
        if applied {
            // All were sent: the answers of the hit items are thrown away.
            let mut value: serde_json::Value =
                serde_json::from_slice(&answer.body).map_err(io::Error::other)?;
            if let Some(items) = value
                .get_mut("items")
                .and_then(|items| items.as_array_mut())
            {
                let mut hit = hit.iter();
                items.retain(|_| !hit.next().copied().unwrap_or(false));
            }
            answer.body = value.to_string().into_bytes();
        }
        answer.body = fault::merge(&answer.body, &hit, outcome).map_err(io::Error::other)?;
        match hit.contains(&true) {
            true => self.answer(&answer),
            false => {
                self.client.send(&answer.bytes())?;
                Ok(Then::Missed)
            }
        }
    }

    fn answer(&mut self, answer: &Message) -> io::Result<Then> {
        self.client.send(&answer.bytes())?;
        Ok(Then::GoOn)
    }

    /// Closes so that the other end sees a reset, not an end.
    fn reset(&mut self) -> io::Result<Then> {
        set_socket_linger(&self.client.stream, Some(Duration::ZERO))?;
        Ok(Then::Close)
    }

    fn forward(&mut self) -> io::Result<Message> {
        let request = self.request.clone();
        self.send_up(&request)
    }

    fn send_up(&mut self, request: &Message) -> io::Result<Message> {
        let end = Instant::now() + UPSTREAM_WITHIN;
        let wanted = || Instant::now() < end;
        let reused = self.upstream.is_some();
        let upstream = match self.upstream.take() {
            Some(upstream) => upstream,
            None => Peer::new(TcpStream::connect(self.shared.upstream)?)?,
        };
        let upstream = self.upstream.insert(upstream);
        let answer = upstream
            .send(&request.bytes())
            .and_then(|()| upstream.answer(request, &wanted));
        match answer {
            // A kept connection may have been closed meanwhile. A repeated request has the same ids.
            Err(error) if reused && error.kind() != ErrorKind::Interrupted => {
                *self.upstream = None;
                self.send_up(request)
            }
            Ok(answer) => {
                self.shared.look_at(&answer);
                Ok(answer)
            }
            Err(error) => Err(error),
        }
    }
}

fn busy() -> Message {
    let body = br#"{"error":{"type":"es_rejected_execution_exception","reason":"rejected execution of coordinating operation"},"status":429}"#;
    Message::answer("429 Too Many Requests", "application/json", body)
}
