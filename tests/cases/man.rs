//! The man page and completions need no configuration.

use crate::support::agent::Home;

#[test]
fn man_page_and_completions_are_printed_whatever_the_configuration() {
    let home = Home::new();
    home.configure("this = is wrong", "");
    let man = home.end_of(&["man"]);
    assert_eq!(man.code, Some(0), "{}", man.words);
    assert!(man.words.contains("\n.TH logweir 1 "), "{}", man.words);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = home.end_of(&["completions", shell]);
        assert_eq!(script.code, Some(0), "{}", script.words);
        assert!(script.words.contains("dead-letters"), "{shell}");
    }
    let unknown = home.end_of(&["completions", "dos"]);
    assert_eq!(unknown.code, Some(64), "{}", unknown.words);
}
