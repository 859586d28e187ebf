use super::*;

fn canonical(text: &str) -> Sure<String> {
    let mut writer = Writer::default();
    let end = writer.value(text.as_bytes(), 0, 0)?;
    if end != text.len() {
        return Err(Suspect);
    }
    Ok(String::from_utf8(writer.written).expect("UTF-8"))
}

#[test]
fn values_lose_their_blanks_and_keys_are_sorted() {
    for (text, expected) in [
        (r#"{ "b" : [ 1 , 2.50 , { } , [ ] ] , "a" : null }"#, r#"{"a":null,"b":[1,2.5,{},[]]}"#),
        (r#"{"é":1,"z":2,"":3}"#, r#"{"":3,"z":2,"é":1}"#),
        (
            r#"{"b":{"d":1,"c":{"f":2,"e":3}},"a":[{"y":1,"x":2}]}"#,
            r#"{"a":[{"x":2,"y":1}],"b":{"c":{"e":3,"f":2},"d":1}}"#,
        ),
        (r#""\u00e9\/\n\u001f""#, "\"é/\\n\\u001f\""),
        ("true", "true"),
    ] {
        assert_eq!(canonical(text).as_deref(), Ok(expected));
    }
}

#[test]
fn what_is_no_json_or_has_a_key_twice_is_suspect() {
    for text in [
        r#"{"a":1,}"#,
        "[1,]",
        "[,1]",
        "{,}",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1 "b":2}"#,
        r#"{"a":1,"b":2,"a":3}"#,
        r#"[{"a":1,"a":1}]"#,
        r#"{"\u0061":1}"#,
        "[1",
        "{",
        "[NaN]",
        "nul",
        "[truefalse]",
        "[1 2]",
        "{1:2}",
        "",
        "[\"a\nb\"]",
    ] {
        assert!(canonical(text).is_err(), "{text}");
    }
}

#[test]
fn deep_nesting_is_suspect_and_does_not_overflow() {
    for depth in [10, MAX_DEPTH] {
        assert!(canonical(&("[".repeat(depth) + &"]".repeat(depth))).is_ok());
        assert!(canonical(&("{\"a\":".repeat(depth) + "1" + &"}".repeat(depth))).is_ok());
    }
    for depth in [MAX_DEPTH + 1, 1_000_000] {
        assert!(canonical(&("[".repeat(depth) + &"]".repeat(depth))).is_err());
        assert!(canonical(&"{\"a\":".repeat(depth)).is_err());
    }
}
