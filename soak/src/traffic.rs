//! Requests for nginx, each with a mark of its own; nginx writes them into a rotated log and into one that never is.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::Duration;

use anyhow::Result;

use super::line;
use testkit::load::Caller;
use testkit::shop::{self, Particulars, Shop};

/// Clients at the same time.
const CALLERS: u64 = 4;
/// How long each pauses after a request.
const REST: Duration = Duration::from_millis(8);

/// A busy nginx.
pub(super) struct Traffic {
    nginx: Shop,
    reformatted: u64,
    callers: Vec<JoinHandle<std::io::Result<()>>>,
    stop: Arc<AtomicBool>,
}

impl Traffic {
    /// Starts nginx with its logs in `folder`: `a` for everything but the API, `b` for that.
    pub(super) fn start(folder: &Path, seed: u64) -> Result<Self> {
        std::fs::create_dir_all(folder.join("truth"))?;
        let logs = |name: &str, truth: char| {
            format!(
                "access_log \"{0}/nginx/{name}\" shop; access_log \"{0}/truth/{truth}.log\" shop;",
                folder.display()
            )
        };
        let nginx = Shop::start_as(
            folder,
            Particulars {
                workers: 2,
                logs: logs("access.log", 'a'),
                api_logs: logs("api.access.log", 'b'),
                formats: vec![shop::FORMAT.to_owned()],
            },
        )?;
        let stop = Arc::new(AtomicBool::new(false));
        let numbers = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let callers = (0..CALLERS)
            .map(|caller| {
                let (stop, numbers) = (Arc::clone(&stop), Arc::clone(&numbers));
                let port = nginx.port;
                let mut caller = Caller::connect(port, seed.wrapping_add(caller))?;
                Ok(thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let called = caller.call_marked(|path| {
                            let api = path.starts_with("/api/");
                            let [plain, of_api] = &*numbers;
                            let (letter, number) = if api { ('b', of_api) } else { ('a', plain) };
                            line::mark(letter, number.fetch_add(1, Ordering::Relaxed))
                        });
                        // nginx closes kept connections when it reloads; a line that it has logged is in both logs.
                        if called.is_err() {
                            caller.connect_again(port)?;
                        }
                        sleep(REST);
                    }
                    Ok(())
                }))
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            nginx,
            reformatted: 0,
            callers,
            stop,
        })
    }

    /// Reloads nginx under load, with a format that it has not had before.
    pub(super) fn reformat(&mut self) -> Result<()> {
        self.reformatted += 1;
        let number = self.reformatted;
        let format = match number % 3 {
            0 => format!("{} v{number}", shop::FORMAT),
            1 => format!("{} \"$host\" $request_length v{number}", shop::FORMAT),
            _ => format!("v{number} $host {}", shop::FORMAT),
        };
        self.nginx.change_format(format)
    }

    /// Ends the requests; nginx goes on.
    pub(super) fn quiet(&mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        for caller in self.callers.drain(..) {
            caller
                .join()
                .map_err(|_| anyhow::anyhow!("a caller broke off"))??;
        }
        Ok(())
    }
}
