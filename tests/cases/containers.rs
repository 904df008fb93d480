//! What `check` and `run` say in a container whose name or state may not last.

use std::fs;

use crate::support::agent::{Home, section_cluster, section_log};
use testkit::stage::Stage;

/// As in each container of Kubernetes.
const KUBERNETES: &str = "KUBERNETES_SERVICE_HOST=10.0.0.1";
const ADVICE: &str = "set host (LOGWEIR_HOST)";

#[test]
fn check_and_the_first_start_warn_of_a_hosts_name_that_may_end_with_the_container() {
    let (home, stage) = (Home::new(), Stage::new());
    home.configure_log(&stage.address());
    let text = fs::read_to_string(home.config()).unwrap();
    let without_host = text.replace("host = \"web\"\n", "");
    fs::write(home.config(), &without_host).unwrap();
    let says = |variables: &[&str], arguments: &[&str]| {
        let ended = home.end_with_variables(variables, arguments);
        assert_eq!(ended.code, Some(0), "{}", ended.words);
        ended.words.matches(ADVICE).count()
    };
    let once = ["run", "--once"];
    home.append(0..10);
    assert_eq!(says(&[KUBERNETES, "LOGWEIR_HOST=pod-7f9c"], &["check"]), 0);
    assert_eq!(says(&[KUBERNETES], &["check"]), 1);
    assert_eq!(says(&[KUBERNETES], &once), 1);
    // the state directory has fixed the name
    assert_eq!(says(&[KUBERNETES], &["check"]), 0);
    assert_eq!(says(&[KUBERNETES], &once), 0);
    stage.assert_exactly(0..10);
}

#[test]
fn a_directory_for_each_container_in_one_volume_gives_each_its_own_logs() {
    let (home, stage) = (Home::new(), Stage::new());
    let volume = home.path("logs");
    let log = section_log(&volume.join("*/access.log"), "combined");
    home.configure("", &(log + &section_cluster(&stage.address())));
    // most lines are in both logs, as from two servers at the same time
    for (name, first) in [("web-1", 0), ("web-2", 1)] {
        fs::create_dir_all(volume.join(name)).unwrap();
        let log = volume.join(name).join("access.log");
        testkit::lines::append(&log, first..first + 100);
    }
    home.once();
    assert_eq!(stage.count(), 200);
    assert_eq!(stage.cluster().conflicts, 0);
}
