//! Tests of the notes about formats without a time or a client.

use super::*;

#[test]
fn a_format_without_time_or_client_is_noted_once_with_its_logs() {
    let notes = |machine: Machine| {
        let notes = machine.load().unwrap().notes.into_iter();
        let notes = notes.map(|note| note.to_string());
        let notes = notes.filter(|note| note.contains(" has no "));
        notes.collect::<Vec<_>>().join("\n")
    };
    let logs: String = (0..5)
        .map(|at| format!("access_log /var/log/nginx/{at}.log bare;\n"))
        .collect();
    let conf = format!(
        "http {{ log_format bare '$status \"$request\"';\n\
         log_format unused '$status';\n\
         log_format own '$clientRealIp [$my_time] $status';\n\
         access_log /var/log/nginx/own.log own;\n{logs} }}"
    );
    let nginx = |toml: &str| text(toml).with("/etc/nginx/nginx.conf", &conf);
    let one = |more: &str| text(&format!("[[logs]]\npaths = [\"/a\"]\n{more}\n"));
    let told = [
        notes(nginx("")),
        // the format of the glob's other files is unknown
        notes(nginx("[[logs]]\npaths = [\"/srv/*.log\"]\n")),
        notes(nginx("[[logs]]\npaths = [\"/var/log/nginx/0.log\"]\n")),
        notes(one("format = ['$status $x', 'combined']")),
        notes(one(
            "format = '$status $x $y'\nfields = { \"@timestamp\" = \"$x\", \"source.ip\" = \"$Y\" }",
        )),
        // a variable that the format does not have is not a time
        notes(one(
            "format = '$remote_addr $x'\nfields = { \"@timestamp\" = \"$z\" }",
        )),
    ];
    insta::assert_snapshot!(told.join("\n---\n"));
}
