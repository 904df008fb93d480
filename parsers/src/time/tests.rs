use super::*;
use proptest::prelude::*;

#[test]
fn the_three_forms_name_the_same_moment() {
    // `date -u -d '2026-11-23 05:41:14' +%s`
    let seconds = 1_795_412_474;
    let local = local(b"23/Nov/2026:06:41:14 +0100").unwrap();
    let iso = iso8601(b"2026-11-23T06:41:14+01:00").unwrap();
    assert_eq!(
        local,
        Stamp {
            seconds,
            nanos: 0,
            offset_minutes: Some(60)
        }
    );
    assert_eq!(iso, local);
    let msec = msec(b"1795412474.123").unwrap();
    assert_eq!(
        msec,
        Stamp {
            seconds,
            nanos: 123_000_000,
            offset_minutes: None
        }
    );
}

#[test]
fn zones_on_both_sides() {
    let minutes = |text: &str| local(text.as_bytes()).unwrap().offset_minutes.unwrap();
    assert_eq!(minutes("01/Jan/2026:00:00:00 -0330"), -210);
    assert_eq!(minutes("01/Jan/2026:00:00:00 +1400"), 840);
    assert_eq!(minutes("01/Jan/2026:00:00:00 -0000"), 0);
    assert_eq!(local(b"01/Jan/1970:00:00:00 +0001").unwrap().seconds, -60);
}

#[test]
fn dates_that_do_not_exist() {
    for wrong in [
        "29/Feb/2026:00:00:00 +0000",
        "29/Feb/2100:00:00:00 +0000",
        "31/Apr/2026:00:00:00 +0000",
        "00/Jan/2026:00:00:00 +0000",
        "32/Jan/2026:00:00:00 +0000",
        "01/jan/2026:00:00:00 +0000",
        "01/Foo/2026:00:00:00 +0000",
        "01/Jan/2026:24:00:00 +0000",
        "01/Jan/2026:00:60:00 +0000",
        "30/Jun/2015:23:59:60 +0000",
        "01/Jan/2026:00:00:00 *0000",
        "01/Jan/2026:00:00:00 +2400",
        "01/Jan/2026:00:00:00 +0060",
        "01/Jan/2026:00:00:00 +000",
        "01/Jan/2026 00:00:00 +0000",
        "1/Jan/2026:00:00:00 +00000",
        "",
    ] {
        assert_eq!(local(wrong.as_bytes()), None, "{wrong}");
    }
    assert!(local(b"29/Feb/2000:00:00:00 +0000").is_some());
    for wrong in [
        "2026-13-01T00:00:00+00:00",
        "2026-00-01T00:00:00+00:00",
        "2026-02-29T00:00:00+00:00",
        "2026-01-01 00:00:00+00:00",
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00+0000",
    ] {
        assert_eq!(iso8601(wrong.as_bytes()), None, "{wrong}");
    }
    for wrong in [
        "",
        ".123",
        "1.12",
        "1.1234",
        "1234567890",
        "1 .123",
        "-1.123",
        "1.12a",
    ] {
        assert_eq!(msec(wrong.as_bytes()), None, "{wrong}");
    }
}

/// Counts days one by one: slow and obviously correct.
fn walk_days(year: u32) -> i64 {
    let mut days = 0;
    for year in 1970..year {
        for month in 1..=12 {
            days += i64::from(days_in_month(year, month).unwrap());
        }
    }
    days
}

#[test]
fn each_year_begins_where_the_last_one_ends() {
    for year in 1970..2400 {
        assert_eq!(
            days_from_civil(&Date {
                year,
                month: 1,
                day: 1
            }),
            walk_days(year),
            "{year}"
        );
    }
}

proptest! {
    #[test]
    fn local_and_iso8601_agree(
        year in 0u32..=9999, month in 1usize..=12, day in 1u32..=31, hour in 0u32..=23,
        minute in 0u32..=59, second in 0u32..=59, zone_hour in 0u32..=14, sign in "[+-]",
    ) {
        let name = std::str::from_utf8(MONTHS[month - 1]).unwrap();
        let a = format!("{day:02}/{name}/{year:04}:{hour:02}:{minute:02}:{second:02} {sign}{zone_hour:02}30");
        let b = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{sign}{zone_hour:02}:30");
        prop_assert_eq!(local(a.as_bytes()), iso8601(b.as_bytes()));
    }

    #[test]
    fn no_bytes_cause_a_panic(raw in proptest::collection::vec(any::<u8>(), 0..40)) {
        let _ = (local(&raw), iso8601(&raw), msec(&raw));
    }
}
