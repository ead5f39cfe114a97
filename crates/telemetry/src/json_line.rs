//! One line of JSON, written by hand: the hot path's only formatter.

/// Builds an object field by field.
#[derive(Debug)]
pub(crate) struct JsonLine {
    text: String,
}

impl JsonLine {
    pub(crate) fn new() -> Self {
        let mut text = String::with_capacity(512);
        text.push('{');
        Self { text }
    }

    fn key(&mut self, name: &str) {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        self.text.push('"');
        self.text.push_str(name);
        self.text.push_str("\":");
    }

    pub(crate) fn string(&mut self, name: &str, value: &str) {
        self.key(name);
        self.text.push('"');
        push_escaped(&mut self.text, value);
        self.text.push('"');
    }

    pub(crate) fn optional(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.string(name, value);
        }
    }

    pub(crate) fn number(&mut self, name: &str, value: u64) {
        self.key(name);
        self.text.push_str(itoa::Buffer::new().format(value));
    }

    pub(crate) fn boolean(&mut self, name: &str, value: bool) {
        self.key(name);
        self.text.push_str(if value { "true" } else { "false" });
    }

    pub(crate) fn end(mut self) -> String {
        self.text.push_str("}\n");
        self.text
    }
}

/// Escapes what JSON must, and every control character.
fn push_escaped(out: &mut String, value: &str) {
    let is_plain = |b: u8| (0x20..0x7f).contains(&b) && b != b'"' && b != b'\\';
    if value.bytes().all(is_plain) {
        return out.push_str(value);
    }
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
}

/// Formats microseconds since the epoch as RFC 3339 in UTC.
pub(crate) fn rfc3339(micros: u64) -> String {
    let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
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
    use super::*;

    #[test]
    fn times_are_right_around_leap_days() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_399, "2000-02-28T23:59:59.000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000Z"),
            (951_868_800, "2000-03-01T00:00:00.000000Z"),
            (1_790_000_000, "2026-09-21T14:13:20.000000Z"),
            (4_102_444_799, "2099-12-31T23:59:59.000000Z"),
        ] {
            assert_eq!(rfc3339(seconds * 1_000_000), expected);
        }
    }

    #[test]
    fn whatever_a_value_holds_the_line_stays_one_json_object() {
        let mut line = JsonLine::new();
        line.string("a", "quote \" slash \\ line\nbell\u{7} escape\u{1b}[31m é");
        line.number("n", u64::MAX);
        line.boolean("b", true);
        line.optional("none", None);
        let text = line.end();
        assert_eq!(text.matches('\n').count(), 1);
        assert_eq!(
            text,
            "{\"a\":\"quote \\\" slash \\\\ line\\u000abell\\u0007 escape\\u001b[31m é\",\
             \"n\":18446744073709551615,\"b\":true}\n"
        );
    }
}
