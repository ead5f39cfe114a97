//! One line of JSON, written by hand into a buffer that is used again.

use std::fmt::Write as _;
use std::time::SystemTime;

/// Appends an object to a text, field by field. Names are literals of ours that need no escaping;
/// all is inlined, so that they are copied as the constants that they are.
#[derive(Debug)]
pub(crate) struct JsonLine<'a> {
    text: &'a mut String,
    has_fields: bool,
}

impl<'a> JsonLine<'a> {
    pub(crate) fn begin(text: &'a mut String) -> Self {
        text.push('{');
        Self {
            text,
            has_fields: false,
        }
    }

    /// Ends the object and the line.
    pub(crate) fn end(self) {
        self.text.push_str("}\n");
    }

    #[inline(always)]
    fn key(&mut self, name: &str) {
        self.text
            .push_str(if self.has_fields { ",\"" } else { "\"" });
        self.has_fields = true;
        self.text.push_str(name);
        self.text.push_str("\":");
    }

    #[inline(always)]
    pub(crate) fn string(&mut self, name: &str, value: &str) {
        self.key(name);
        self.text.push('"');
        push_escaped(self.text, value);
        self.text.push('"');
    }

    #[inline(always)]
    pub(crate) fn optional(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.string(name, value);
        }
    }

    #[inline(always)]
    pub(crate) fn number(&mut self, name: &str, value: u64) {
        self.bare(name, itoa::Buffer::new().format(value));
    }

    /// A value that is valid JSON as it stands.
    #[inline(always)]
    pub(crate) fn bare(&mut self, name: &str, value: &str) {
        self.key(name);
        self.text.push_str(value);
    }

    #[inline(always)]
    pub(crate) fn boolean(&mut self, name: &str, value: bool) {
        self.bare(name, if value { "true" } else { "false" });
    }

    pub(crate) fn time(&mut self, name: &str, time: SystemTime) {
        self.key(name);
        self.text.push('"');
        push_rfc3339(self.text, time);
        self.text.push('"');
    }
}

/// Appends a text with what JSON demands escaped, and every control character, so that no line can
/// be forged and no terminal be driven.
pub(crate) fn push_escaped(out: &mut String, value: &str) {
    let is_plain = |b: u8| (0x20..0x7f).contains(&b) & (b != b'"') & (b != b'\\');
    // To look at every byte is faster than to stop early: the compiler can take many at once.
    if value.bytes().fold(true, |all, b| all & is_plain(b)) {
        return out.push_str(value);
    }
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                // Control characters are all below U+00A0. Writing to a string cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
}

/// Appends a time as RFC 3339 in UTC, to the microsecond.
pub(crate) fn push_rfc3339(out: &mut String, time: SystemTime) {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    push_digits(out, year, 4);
    for (mark, number) in [('-', month), ('-', day)] {
        out.push(mark);
        push_digits(out, number, 2);
    }
    for (mark, number) in [
        ('T', second / 3_600),
        (':', second / 60 % 60),
        (':', second % 60),
    ] {
        out.push(mark);
        push_digits(out, number, 2);
    }
    out.push('.');
    push_digits(out, u64::from(since.subsec_micros()), 6);
    out.push('Z');
}

/// Appends a number with zeros before it.
fn push_digits(out: &mut String, number: u64, width: usize) {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(number);
    (digits.len()..width).for_each(|_| out.push('0'));
    out.push_str(digits);
}

/// Days since 1970-01-01 as year, month and day
/// (<https://howardhinnant.github.io/date_algorithms.html#civil_from_days>).
const fn civil(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_right_around_leap_days() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000007Z"),
            (951_782_399, "2000-02-28T23:59:59.000007Z"),
            (951_782_400, "2000-02-29T00:00:00.000007Z"),
            (951_868_800, "2000-03-01T00:00:00.000007Z"),
            (1_790_000_000, "2026-09-21T14:13:20.000007Z"),
            (4_102_444_799, "2099-12-31T23:59:59.000007Z"),
        ] {
            let mut text = String::new();
            push_rfc3339(
                &mut text,
                SystemTime::UNIX_EPOCH + Duration::new(seconds, 7_000),
            );
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn each_kind_of_value_is_written_as_json() {
        let mut text = String::new();
        let mut line = JsonLine::begin(&mut text);
        line.string(
            "a",
            "quote \" slash \\ line\nbell\u{7} escape\u{1b}[31m next\u{85} é",
        );
        line.number("n", u64::MAX);
        line.boolean("b", true);
        line.optional("none", None);
        line.end();
        assert_eq!(
            text,
            "{\"a\":\"quote \\\" slash \\\\ line\\nbell\\u0007 escape\\u001b[31m next\\u0085 é\",\
             \"n\":18446744073709551615,\"b\":true}\n"
        );
    }

    proptest! {
        #[test]
        fn any_text_comes_back_and_stays_on_its_line(value in any::<String>()) {
            let mut text = String::new();
            let mut line = JsonLine::begin(&mut text);
            line.string("name", &value);
            line.end();
            prop_assert!(text.trim_end_matches('\n').chars().all(|c| !c.is_control()));
            let read: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(read, serde_json::json!({ "name": value }));
        }
    }
}
