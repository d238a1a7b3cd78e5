//! Debian's control files: paragraphs of fields (deb822).

/// The paragraphs of a text, parted by empty lines.
pub fn paragraphs(text: &str) -> impl Iterator<Item = &str> {
    text.split("\n\n").map(|paragraph| paragraph.trim_matches('\n')).filter(|p| !p.is_empty())
}

/// The value of a field on its own line; without the lines that continue it.
pub fn field<'a>(paragraph: &'a str, name: &str) -> Option<&'a str> {
    paragraph.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key == name).then_some(value.trim())
    })
}

/// The lines that continue a field, without the space they begin with.
pub fn continued<'a>(paragraph: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    paragraph
        .lines()
        .skip_while(move |line| line.split_once(':').is_none_or(|(key, _)| key != name))
        .skip(1)
        .map_while(|line| line.strip_prefix(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Package: a\nDepends: b (= 1:2), c\nDescription: of a\n Package: no\n .\n\
                        \n\n\nPackage: d\nMD5sum:\n 1 2 x\n 3 4 y\nSHA256:\n 5 6 z\n";

    #[test]
    fn each_paragraph_has_its_own_fields() {
        let all: Vec<_> = paragraphs(TEXT).collect();
        assert_eq!(all.len(), 2);
        assert_eq!(field(all[0], "Package"), Some("a"));
        assert_eq!(field(all[0], "Depends"), Some("b (= 1:2), c"));
        assert_eq!(field(all[0], "Pack"), None);
        assert_eq!(field(all[1], "Package"), Some("d"));
        assert_eq!(field(all[1], "Depends"), None);
    }

    #[test]
    fn a_field_goes_on_until_the_next_one() {
        let last = paragraphs(TEXT).last().unwrap();
        assert_eq!(continued(last, "MD5sum").collect::<Vec<_>>(), ["1 2 x", "3 4 y"]);
        assert_eq!(continued(last, "SHA256").collect::<Vec<_>>(), ["5 6 z"]);
        assert_eq!(continued(last, "SHA1").count(), 0);
    }
}
