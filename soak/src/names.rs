//! Names that rotation scripts of all kinds give: dates in every order, words, a folder for each month.
//!
//! Few of them are among those that the agent knows by heart (the table in `src/tail/stem.rs`).

use super::random::Dice;

/// A name for a rotated file of the log `live`, below the directory of that log. A slash only where the file may go
/// into a `folder` of its month.
pub(super) fn draw(dice: &mut Dice, live: &str, folder: bool) -> String {
    let (stem, extension) = live.rsplit_once('.').unwrap_or((live, "log"));
    let (year, month, day) = (
        2001 + dice.below(36),
        1 + dice.below(12),
        1 + dice.below(28),
    );
    let (hour, minute, second) = (dice.below(24), dice.below(60), dice.below(60));
    let forms = if folder { 14 } else { 13 };
    match dice.below(forms) {
        0 => format!("{live}.old"),
        1 => format!("{live}.bak"),
        2 => format!("{stem}_old.{extension}"),
        3 => format!("{live}.{year}{month:02}{day:02}{hour:02}{minute:02}{second:02}"),
        4 => format!("{live}_{year}{month:02}{day:02}"),
        5 => format!("{stem}_{year}{month:02}{day:02}.{extension}"),
        6 => format!("{live}-{day:02}{month:02}{year}"),
        7 => format!("{year}{month:02}{day:02}_{live}"),
        8 => format!("{live}.{}", 1_000_000_000 + dice.below(999_999_999)),
        9 => format!(
            "{stem}-{year}-{month:02}-{day:02}T{hour:02}-{minute:02}-{second:02}.{:03}.{extension}",
            dice.below(1000)
        ),
        10 => format!("{live}.{}", word(dice)),
        11 => format!("{}-{stem}.{extension}", word(dice)),
        12 => word(dice),
        _ => format!("{year}-{month:02}/{live}"),
    }
}

/// A pronounceable text.
fn word(dice: &mut Dice) -> String {
    const CONSONANTS: &[u8] = b"bdfgklmnprstvz";
    const VOWELS: &[u8] = b"aeiou";
    (0..3 + dice.below(2))
        .flat_map(|_| [CONSONANTS, VOWELS])
        .map(|letters| char::from(letters[dice.place(letters.len())]))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// With `9` for each digit and `a` for letters behind or before the log's own, which are upper case.
    fn shape(name: &str) -> String {
        let shape = |letter: char| match letter {
            '0'..='9' => '9',
            'a'..='z' => 'a',
            other => other,
        };
        let mut shape: String = name.chars().map(shape).collect();
        while shape.contains("aa") {
            shape = shape.replace("aa", "a");
        }
        shape
    }

    #[test]
    fn every_form_is_drawn() {
        let mut dice = Dice::new(11, "names");
        let shapes: BTreeSet<String> = (0..1000)
            .map(|_| shape(&draw(&mut dice, "A.L", true)))
            .collect();
        let expected = [
            "A.L.a",
            "A_a.L",
            "A.L.99999999999999",
            "A.L_99999999",
            "A_99999999.L",
            "A.L-99999999",
            "99999999_A.L",
            "A.L.9999999999",
            "A-9999-99-99T99-99-99.999.L",
            "a-A.L",
            "a",
            "9999-99/A.L",
        ];
        assert_eq!(shapes, expected.map(str::to_owned).into());
    }

    #[test]
    fn a_file_that_stays_in_its_directory_gets_no_folder() {
        let mut dice = Dice::new(11, "names");
        assert!((0..1000).all(|_| !draw(&mut dice, "access.log", false).contains('/')));
    }

    #[test]
    fn a_seed_gives_the_same_names_again() {
        let names = |seed| {
            let mut dice = Dice::new(seed, "names");
            (0..20)
                .map(|_| draw(&mut dice, "access.log", true))
                .collect::<Vec<_>>()
        };
        assert_eq!(names(11), names(11));
        assert_ne!(names(11), names(12));
    }
}
