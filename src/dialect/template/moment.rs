//! `strftime_now`: a moment written as Python's `strftime` does in the C locale.

use jiff::civil::DateTime;

/// The moment in that format. A directive that is unknown stays as it is; time zones are empty, for Python's `now()` has
/// none.
pub fn write(moment: DateTime, format: &str) -> String {
    let mut written = String::with_capacity(format.len() + 16);
    let mut rest = format;
    while let Some(start) = rest.find('%') {
        written.push_str(&rest[..start]);
        let directive = directive(&rest[start..]);
        rest = &rest[start + directive.len()..];
        match directive {
            "%z" | "%Z" => {}
            // The engine of the clock knows these, Python's does not, or writes them otherwise.
            "%q" | "%Q" | "%N" | "%." | "%:" | "%i" => written.push_str(directive),
            "%r" => written.push_str(&write(moment, "%I:%M:%S %p")),
            "%f" => written.push_str(&format!("{:06}", moment.subsec_nanosecond() / 1000)),
            "%c" => written.push_str(&write(moment, "%a %b %e %H:%M:%S %Y")),
            "%x" => written.push_str(&write(moment, "%m/%d/%y")),
            "%X" => written.push_str(&write(moment, "%H:%M:%S")),
            known => written.push_str(jiff::fmt::strtime::format(known, moment).as_deref().unwrap_or(known)),
        }
    }
    written.push_str(rest);
    written
}

/// The directive at the beginning of a text: a percent sign, a flag if any, a letter.
fn directive(text: &str) -> &str {
    let mut letters = text.char_indices().skip(1);
    let end = match letters.next() {
        Some((_, '-' | '_' | '^' | '0' | '#')) => letters.next(),
        first => first,
    };
    end.map_or(text, |(at, letter)| &text[..at + letter.len_utf8()])
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    #[test]
    fn the_usual_formats_come_out_as_python_writes_them() {
        let moment = date(2024, 7, 4).at(9, 5, 3, 120_000);
        for (format, text) in [
            ("%d %b %Y", "04 Jul 2024"),
            ("%Y-%m-%d", "2024-07-04"),
            ("%A, %B %-d, %H:%M:%S %p %j %%", "Thursday, July 4, 09:05:03 AM 186 %"),
            ("%c|%x|%X|%f", "Thu Jul  4 09:05:03 2024|07/04/24|09:05:03|000120"),
            ("[%z%Z] 100% é%", "[] 100% é%"),
        ] {
            assert_eq!(super::write(moment, format), text, "{format}");
        }
    }
}
