//! Tests that the table of settings alone defines the bounds.

use super::*;
use crate::config::settings::{Bounds, SettingKind};

/// The bounds of the table are those that the code enforces.
#[test]
fn the_bounds_of_the_table_hold_at_both_ends() {
    let mut seen = 0;
    for setting in SETTINGS {
        let (within, outside) = match setting.kind {
            SettingKind::Count(Bounds { least, most }) => (
                [least.to_string(), most.to_string()],
                vec![(least - 1).to_string(), (most + 1).to_string()],
            ),
            SettingKind::Bytes(Bounds { least, most }) => (
                [format!("'{least}'"), format!("'{most}'")],
                vec![
                    format!("'{}B'", least.get() - 1),
                    format!("'{}B'", most.get() + 1),
                ],
            ),
            SettingKind::Duration(Bounds { least, most }) => {
                let millis = |time: Duration| format!("'{}ms'", time.as_millis());
                let tick = Duration::from_millis(1);
                let below = least.checked_sub(tick).map(millis);
                let outside = below.into_iter().chain([millis(most + tick)]);
                ([millis(least), millis(most)], outside.collect())
            }
            _ => continue,
        };
        seen += 1;
        let load = |value: &str| {
            // a line must fit into a batch
            let (before, after) = match setting.name {
                "max_line_bytes" => ("", "batch_bytes = '64MiB'\n"),
                "batch_bytes" => ("max_line_bytes = '1KiB'\n", ""),
                _ => ("", ""),
            };
            let line = format!("{} = {value}\n", setting.name);
            let toml = match setting.section {
                Section::Top => format!("{line}{CLUSTER}{after}"),
                Section::Elasticsearch => format!("{before}{CLUSTER}{line}"),
                Section::Store => format!("[store]\n{line}"),
                section => panic!("{section:?} has no bounds"),
            };
            text(&toml).load()
        };
        for value in within {
            assert!(load(&value).is_ok(), "{} = {value}", setting.key());
        }
        for value in outside {
            let errors = load(&value).unwrap_err().to_string();
            assert!(errors.contains(&setting.key()), "{value}: {errors}");
        }
    }
    assert_eq!(seen, 15);
}

/// A number in a text of the table equals the number that the code checks.
#[test]
fn numbers_in_descriptions_equal_those_of_the_code() {
    let doc = |name| settings::find(Section::Privacy, name).unwrap().doc;
    let key = format!("at least {} bytes", privacy::MIN_KEY);
    assert!(doc("hash_key").contains(&key));
}
