//! `top` and `timeline`: an invalid question is reported before anything is read.

use crate::support::agent::Home;

#[test]
fn an_invalid_question_ends_with_64_and_a_hint() {
    let home = Home::new();
    home.configure("", "");
    for (arguments, part) in [
        (
            &["top", "--by", "http.response"][..],
            "such as http.response.body.bytes",
        ),
        (&["top", "--by", "a b"], "`a b` is no field"),
        (
            &["top", "--where", "status=abc"],
            "is a number, and `abc` is none",
        ),
        (&["top", "--where", "client=10.0.0.0/40"], "is no network"),
        (&["top", "--where", "status"], "write FIELD=VALUE"),
        (&["top", "--limit", "0"], "--limit"),
        (&["top", "--from", "yesterday"], "`yesterday` is no time"),
        (
            &["top", "--from", "now", "--to", "-1h", "--utc"],
            "ends before it begins",
        ),
        (&["top", "--json", "--csv"], "cannot be used with"),
        (&["timeline", "--interval", "1"], "`1` is no interval"),
        (
            &["timeline", "--from", "-30d", "--interval", "5s"],
            "at least 5m",
        ),
        (&["timeline", "--limit", "3"], "--by"),
    ] {
        let ended = home.end_of(arguments);
        assert_eq!(ended.code, Some(64), "{arguments:?}: {}", ended.words);
        assert!(ended.words.contains(part), "{arguments:?}: {}", ended.words);
    }
}
