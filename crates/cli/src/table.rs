//! Columns for people: aligned by characters, words from outside made harmless.

/// Rows under a head, each column as wide as its longest cell. The last is not padded.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let head: Vec<String> = head.iter().map(|&cell| cell.to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(&head)
        .chain(rows)
        .map(|row| row.iter().map(|cell| one_line(cell)).collect())
        .collect();
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..head.len())
        .map(|column| width(column).unwrap_or(0))
        .collect();
    rows.iter()
        .map(|row| {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                let gap = width.saturating_sub(cell.chars().count()) + 2;
                line.extend(std::iter::repeat_n(' ', gap));
            }
            line.trim_end().to_owned()
        })
        .collect()
}

/// Words in one line that cannot move the cursor.
pub(crate) fn one_line(words: &str) -> String {
    words
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect::<String>()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_control_characters_are_gone() {
        let rows = vec![
            vec!["é".into(), "x\u{1b}[2J\ny".into()],
            vec!["long".into(), "z".into()],
        ];
        assert_eq!(
            table(&["A", "B"], &rows),
            ["A     B", "é     x [2J y", "long  z"]
        );
    }
}
