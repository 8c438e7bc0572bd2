//! Where the values of a file stand that is no plan, for findings about them by JSON
//! pointer, as whoever reads the file names them.

use crate::diagnostic::{self as code, Diagnostic, Severity};
use crate::source::{SourceFile, Span};
use crate::yaml::{self, Node, Value};

/// The values of a JSON or YAML file with their places. Of a text that is neither, or
/// larger than a plan may be, no places are known: findings stand at its beginning then.
#[derive(Debug)]
pub struct Places<'t> {
    source: &'t SourceFile,
    root: Option<Node>,
    twice: Vec<Diagnostic>,
}

impl<'t> Places<'t> {
    /// The places of a file.
    #[must_use]
    pub fn of(source: &'t SourceFile) -> Self {
        let (root, problems) = yaml::load(&source.text);
        let twice = problems
            .into_iter()
            .filter(|problem| problem.code == code::DUPLICATE_KEY);
        let twice = twice.map(|problem| {
            let severity = Severity::Error;
            let (text, span) = (&source.text, problem.span);
            let (message, help) = (problem.message, problem.help);
            Diagnostic::new(problem.code, severity, text, "", span, message, help)
        });
        Self {
            source,
            root,
            twice: twice.collect(),
        }
    }

    /// Keys that are written twice in one block: the second would hide the first.
    #[must_use]
    pub fn written_twice(&self) -> &[Diagnostic] {
        &self.twice
    }

    /// An error about the value with this JSON pointer, at its key, or at the nearest thing
    /// around it that is there.
    #[must_use]
    pub fn error(
        &self,
        code: &'static str,
        pointer: &str,
        message: String,
        help: String,
    ) -> Diagnostic {
        let (text, span) = (&self.source.text, self.span(pointer));
        Diagnostic::new(code, Severity::Error, text, pointer, span, message, help)
    }

    fn span(&self, pointer: &str) -> Span {
        let Some(mut node) = self.root.as_ref() else {
            return Span::default();
        };
        let mut span = node.span;
        for step in pointer.split('/').skip(1) {
            let key = step.replace("~1", "/").replace("~0", "~");
            let below = match &node.value {
                Value::Map(entries) => entries
                    .iter()
                    .find(|entry| entry.key == key)
                    .map(|entry| (entry.key_span, &entry.value)),
                Value::List(items) => {
                    let item = key.parse().ok().and_then(|at: usize| items.get(at));
                    item.map(|item| (item.span, item))
                }
                Value::Null | Value::Scalar { .. } => None,
            };
            let Some(below) = below else { break };
            (span, node) = below;
        }
        span
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str, pointer: &str) -> (usize, usize) {
        let source = SourceFile::new("flags", text);
        let found = Places::of(&source).error("ESC-0740", pointer, String::new(), String::new());
        (found.line, found.column)
    }

    #[test]
    fn values_stand_where_their_keys_do_in_json_and_yaml() {
        let json =
            "{\n\t\"flags\": {\n\t\t\"a/b\": { \"rules\": [{}, { \"when\": \"x\" }] }\n\t}\n}\n";
        assert_eq!(place(json, "/flags/a~1b"), (3, 3));
        assert_eq!(place(json, "/flags/a~1b/rules/1/when"), (3, 28));
        let yaml = "flags:\n  a:\n    type: boolean\n";
        assert_eq!(place(yaml, "/flags/a/type"), (3, 5));
        // What is not there is told at what is around it.
        assert_eq!(place(yaml, "/flags/a/owner/x"), (2, 3));
        assert_eq!(place("{ no", "/flags"), (1, 1));
    }

    #[test]
    fn keys_that_are_written_twice_are_found_in_json_too() {
        let source = SourceFile::new("flags", "{\"flags\": {\"a\": {},\n  \"a\": {}}}");
        let places = Places::of(&source);
        let found = &places.written_twice()[0];
        assert_eq!((found.code, found.line, found.column), ("ESC-0102", 2, 3));
    }
}
