//! Logs of pods: files of a container runtime with kubelet's rotation, read by the real binary.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use logweir_store::{Reader, Sources};
use serde_json::Value;

use crate::support::agent::Home;
use testkit::lines::{append_text, line};

const POD: &str = "shop_web-6d-x_8e1f7a3c-2b64-4d9a-9c55-0d1f2a3b4c5d";
const OTHER: &str = "shop_web-6d-y_9e1f7a3c-2b64-4d9a-9c55-0d1f2a3b4c5d";

fn configured() -> Home {
    let home = Home::new();
    let logs = format!(
        "[[logs]]\npaths = ['{}/{{shop,other}}_*_*/nginx/*.log']\nformat = 'combined'\nframing = 'auto'\n\
         [store]\nretention = '36000d'\n",
        home.path("pods").display()
    );
    home.configure("history = '7d'", &logs);
    home
}

/// The folder of a container's logs.
fn container(home: &Home, pod: &str) -> PathBuf {
    let folder = home.path("pods").join(pod).join("nginx");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The request of this number, as containerd writes it: now and then in parts, with standard error between them.
fn framed(number: u32) -> String {
    let text = line(number);
    let text = text.trim_end();
    let head = |stream: &str, tag: &str| {
        format!(
            "2026-03-12T10:00:00.{:09}+01:00 {stream} {tag} ",
            number + 1
        )
    };
    let (out, part, err) = (
        head("stdout", "F"),
        head("stdout", "P"),
        head("stderr", "F"),
    );
    match number % 5 {
        0 => {
            let (first, rest) = text.split_at(20);
            let (second, third) = rest.split_at(7);
            format!("{part}{first}\n{err}2026/03/12 [notice]\n{part}{second}\n{out}{third}\n")
        }
        1 => format!("{err}{text}\n{out}{text}\n"),
        _ => format!("{out}{text}\n"),
    }
}

fn append(log: &Path, numbers: std::ops::Range<u32>) {
    let text: String = numbers.map(framed).collect();
    append_text(log, &text);
}

/// kubelet compresses into `.tmp`, renames that, and removes the file.
fn compress(log: &Path) {
    let with = |end: &str| PathBuf::from(format!("{}{end}", log.display()));
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&fs::read(log).unwrap()).unwrap();
    fs::write(with(".tmp"), gz.finish().unwrap()).unwrap();
    fs::rename(with(".tmp"), with(".gz")).unwrap();
    fs::remove_file(log).unwrap();
}

/// All documents of the store.
fn documents(home: &Home) -> Vec<Value> {
    let reader = Reader::open(&home.data().join("store")).unwrap();
    let mut documents = vec![];
    for day in reader.days().unwrap() {
        for segment in reader.segments(day.index, i64::MIN, i64::MAX).unwrap() {
            let sources = Sources::of(&segment).unwrap();
            documents.extend((0..segment.rows()).map(|row| sources.get(row).unwrap()));
        }
    }
    documents
}

#[test]
fn lines_of_pods_are_indexed_once_with_their_pod_through_rotations_and_a_kill() {
    let home = configured();
    let live = container(&home, POD).join("0.log");
    let rotated =
        |second: u32| PathBuf::from(format!("{}.20260312-1000{second:02}", live.display()));
    append(&live, 0..300);
    let mut agent = home.run();
    agent.until("the first lines", |agent| {
        (agent.number("/lines/indexed")? == 300).then_some(())
    });
    let status: Value = serde_json::from_str(&agent.page("/status").unwrap().body).unwrap();
    assert_eq!(status["files"]["logs"][0]["framing"], "cri");
    // A record is begun in a file and never ended in it; its rest begins the next one.
    let cut = framed(300);
    let (begun, rest) = cut.split_at(cut.find("stderr").unwrap() - 36);
    append_text(&live, begun);
    fs::rename(&live, rotated(1)).unwrap();
    append_text(&live, rest);
    append(&live, 301..600);
    agent.until("the next lines", |agent| {
        (agent.number("/lines/indexed")? >= 450).then_some(())
    });
    agent.kill();
    append(&live, 600..700);
    fs::rename(&live, rotated(2)).unwrap();
    compress(&rotated(1));
    append(&live, 700..800);
    // Another pod, and the container again.
    append(&container(&home, OTHER).join("0.log"), 800..900);
    append(&container(&home, POD).join("1.log"), 900..1000);
    home.once();
    compress(&rotated(2));
    home.once();
    let mut paths: BTreeMap<String, usize> = BTreeMap::new();
    let mut partial = vec![];
    for document in documents(&home) {
        let is_other = document["log"]["file"]["path"]
            .as_str()
            .unwrap()
            .contains(OTHER);
        let pod = if is_other { "web-6d-y" } else { "web-6d-x" };
        assert_eq!(document["kubernetes"]["pod"]["name"], pod, "{document}");
        assert_eq!(document["orchestrator"]["namespace"], "shop", "{document}");
        assert_eq!(document["container"]["name"], "nginx", "{document}");
        match document["url"]["path"].as_str() {
            Some(path) => *paths.entry(path.to_owned()).or_default() += 1,
            None => partial.push(document),
        }
    }
    assert_eq!(paths.len(), 999, "all but the request that was split");
    let twice: Vec<_> = paths.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    let tags: Vec<&Value> = partial.iter().map(|document| &document["tags"]).collect();
    assert_eq!(
        tags,
        [&serde_json::json!(["unparsed", "partial_line"]); 2],
        "{partial:?}"
    );
}

#[test]
fn check_reads_the_lines_of_pods() {
    let home = configured();
    let live = container(&home, POD).join("0.log");
    append(&live, 0..20);
    let ended = home.end_of(&["check", "--parse", live.to_str().unwrap()]);
    assert_eq!(ended.code, Some(0), "{}", ended.words);
    assert!(
        ended
            .words
            .contains("framing: auto, read as cri; 8 lines of standard error are passed over"),
        "{}",
        ended.words
    );
    assert!(ended.words.contains("by combined"), "{}", ended.words);
    assert!(
        ended
            .words
            .contains("\"kubernetes.pod.name\": \"web-6d-x\""),
        "{}",
        ended.words
    );
    let ended = home.end_of(&["check"]);
    assert!(
        ended.words.contains("readable, read as cri"),
        "{}",
        ended.words
    );
    assert!(!ended.words.contains("fit no format"), "{}", ended.words);
    // Docker's own files are not CRI.
    fs::write(
        &live,
        "{\"log\":\"x\\n\",\"stream\":\"stdout\",\"time\":\"2026-03-12T10:00:00.1Z\"}\n",
    )
    .unwrap();
    let ended = home.end_of(&["check"]);
    assert!(
        ended
            .words
            .contains("is written by Docker's json-file driver"),
        "{}",
        ended.words
    );
    let ended = home.end_of(&["run", "--once"]);
    assert!(
        ended
            .words
            .contains("is written by Docker's json-file driver"),
        "{}",
        ended.words
    );
    assert_eq!(documents(&home).len(), 1);
}
