use super::*;

const LIMITS: Limits = Limits { row: 1000, field: 100 };

fn scanned(rows: &[&str]) -> Scanned {
    let keys = Keys::of(&["id".into(), "price".into()], &["gone".into()], Some("properties"));
    scan(rows.iter().map(|row| Some(row.as_bytes())), keys, 2, None, LIMITS)
}

fn shown_of(column: &TextColumn, row: usize) -> Option<&str> {
    column.text(row).map(|text| std::str::from_utf8(text).expect("UTF-8"))
}

#[test]
fn fields_are_as_they_were_written() {
    let found = scanned(&[
        " { \"id\" : \"a\\n\\u00e9\" , \"price\" : 1.50 } \r\n",
        r#"{"price":-0,"id":null}"#,
        r#"{"price":"1","id":true}"#,
        "{}",
    ]);
    let expected = [(Some("a\né"), Some("1.50")), (None, Some("0")), (Some("true"), Some("1")), (None, None)];
    for (row, (id, price)) in expected.into_iter().enumerate() {
        assert!(!found.suspects.get(row));
        assert_eq!((shown_of(&found.fields[0], row), shown_of(&found.fields[1], row)), (id, price));
    }
    assert!(found.fields[0].quoted.get(0) && !found.fields[0].quoted.get(2) && found.fields[1].quoted.get(2));
    assert_eq!(found.properties.count, 0);
}

#[test]
fn other_members_and_properties_become_one_object() {
    for (row, expected) in [
        (r#"{"b":1,"properties":{"c":null,"a":[1.0]},"x":null,"gone":{"z":1}}"#, Some(r#"{"a":[1.0],"b":1,"c":null}"#)),
        (r#"{"properties":{}}"#, Some("{}")),
        (r#"{"properties":null,"x":null}"#, None),
        (r#"{"x":null,"properties":{"x":2}}"#, Some(r#"{"x":2}"#)),
        (r#"{"":"\"","id":"i"}"#, Some(r#"{"":"\""}"#)),
    ] {
        let found = scanned(&[row]);
        assert!(!found.suspects.get(0), "{row}");
        assert_eq!(shown_of(&found.properties, 0), expected, "{row}");
    }
}

#[test]
fn what_is_not_plain_is_suspect_and_writes_nothing() {
    let long = format!(r#"{{"x":"{}"}}"#, "y".repeat(100));
    let huge = format!(r#"{{"id":"{}"}}"#, "y".repeat(1000));
    for row in [
        "",
        "1",
        "[]",
        "null",
        "{",
        r#"{"id":1}}"#,
        r#"{"id":1} x"#,
        r#"{"id":1,"id":2}"#,
        r#"{"gone":1,"gone":2}"#,
        r#"{"x":1,"x":null}"#,
        r#"{"properties":{"x":1},"x":2}"#,
        r#"{"properties":[]}"#,
        r#"{"properties":"{}"}"#,
        r#"{"properties":{},"properties":{}}"#,
        r#"{"id":"a","price":{"a":1}}"#,
        r#"{"id":[1]}"#,
        r#"{"id":"a","price":NaN}"#,
        r#"{"id":"a","price":"\ud800"}"#,
        r#"{"i\u0064":1}"#,
        "\u{feff}{}",
        r#"{"price":01}"#,
        r#"{"price":1e999}"#,
        &long,
        &huge,
    ] {
        let found = scanned(&[r#"{"id":"good"}"#, row]);
        assert!(found.suspects.get(1), "{row}");
        assert!(!found.suspects.get(0));
        assert_eq!((found.fields[0].count, found.fields[1].count, found.properties.count), (1, 0, 0), "{row}");
    }
}

#[test]
fn rows_that_are_not_there_or_no_utf8_are_suspect() {
    let keys = Keys::of(&["id".into()], &[], None);
    let rows: [Option<&[u8]>; 3] = [None, Some(b"{\"id\":\"\xff\"}"), Some(b"{\"id\":\"\xed\xa0\x80\"}")];
    let found = scan(rows.into_iter(), keys, 1, None, LIMITS);
    assert_eq!(found.suspects.0, vec![0b111]);
}

#[test]
fn nothing_panics_whatever_byte_is_changed() {
    let row = r#" {"id":"a\u00e9\ud83d\ude00","price":-1.5e-3,"properties":{"a":[1,{"b":null}]},"x":"\n"} "#.as_bytes();
    for at in 0..row.len() {
        for byte in 0..=255 {
            let mut changed = row.to_vec();
            changed[at] = byte;
            let keys = Keys::of(&["id".into(), "price".into()], &[], Some("properties"));
            scan([Some(&changed[..]), Some(&row[..at])].into_iter(), keys, 2, None, LIMITS);
        }
    }
}

#[test]
fn plain_times_are_read_of_the_field_that_holds_them() {
    let keys = Keys::of(&["at".into(), "id".into()], &[], None);
    let rows = [
        r#"{"at":"1970-01-01T00:00:01Z","id":"1970-01-01T00:00:02Z"}"#,
        r#"{"at":1}"#,
        r#"{"at":"1970-01-01T00:00:0\u0033Z"}"#,
        r#"{"at":"1970-01-01T00:00:01Z","at":1}"#,
    ];
    let found = scan(rows.iter().map(|row| Some(row.as_bytes())), keys, 2, Some(0), LIMITS);
    let (_, times) = found.times.expect("times");
    assert_eq!((times.count, &times.present.0), (2, &vec![0b101]));
    assert_eq!(times.values[..8], 1000_i64.to_le_bytes());
    assert_eq!(times.values[16..24], 3000_i64.to_le_bytes());
}
