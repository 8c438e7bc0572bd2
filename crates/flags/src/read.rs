//! A set read from JSON, or everything in it that has another shape.

mod words;

use crate::definition::FlagSet;
use crate::fields::steps;
use crate::problem::{Problem, ProblemCode, escaped};
use serde::Deserializer;
use serde_json::Value;

/// More problems of shape than this help nobody.
const MAX_PROBLEMS: usize = 100;

impl FlagSet {
    /// Reads a set from JSON. Names and values are checked by [`crate::validate`].
    ///
    /// # Errors
    /// The first field that does not exist or has another shape.
    pub fn from_json(json: Value) -> Result<Self, Problem> {
        is_object(&json)?;
        read_from(json)
    }

    /// Reads a set that somebody wrote, with all that is wrong with its shape.
    ///
    /// # Errors
    /// Every field that does not exist or has another shape; never nothing.
    pub fn read(json: &Value) -> Result<Self, Vec<Problem>> {
        let mut problems: Vec<Problem> = Vec::new();
        let mut left = json.clone();
        while problems.len() < MAX_PROBLEMS {
            let problem = match is_object(&left).and_then(|()| read_from(&left)) {
                Ok(set) => {
                    lists_for_objects("", json, &set.to_json(), &mut problems);
                    return match problems.is_empty() {
                        true => Ok(set),
                        false => Err(problems),
                    };
                }
                Err(problem) => problem,
            };
            // What is wrong is left out to see the rest. What is missing for that reason
            // only is no problem of its own.
            let below = format!("{}/", problem.path);
            let left_out = problems.iter().any(|known| known.path.starts_with(&below));
            let goes_on = take_out(&mut left, &problem.path);
            if !left_out {
                problems.push(problem);
            }
            if !goes_on {
                break;
            }
        }
        Err(problems)
    }
}

/// The format's library would take a list for the fields in their order.
fn is_object(json: &Value) -> Result<(), Problem> {
    if json.is_object() {
        return Ok(());
    }
    let what = words::of_value(json);
    Err(Problem {
        path: String::new(),
        code: ProblemCode::Format,
        message: format!("a set of flags is an object, and this is {what}"),
        hint: Some("it begins like {\"flags\": {}}".to_owned()),
    })
}

fn read_from<'de, D: Deserializer<'de>>(json: D) -> Result<FlagSet, Problem> {
    serde_path_to_error::deserialize(json).map_err(|error| {
        let (message, hint) = words::of_shape(&error.inner().to_string());
        Problem {
            path: pointer(error.path()),
            code: ProblemCode::Format,
            message,
            hint,
        }
    })
}

/// Takes out the value with this path, of a list the whole list: the places of others in
/// it stay true. Says whether anything was there.
fn take_out(json: &mut Value, path: &str) -> bool {
    let Some((above, _)) = path.rsplit_once('/') else {
        return false;
    };
    match json.pointer_mut(above) {
        Some(Value::Object(fields)) => {
            let key = steps(path).pop().unwrap_or_default();
            fields.remove(&key).is_some()
        }
        Some(Value::Array(_)) => take_out(json, above),
        _ => false,
    }
}

/// Lists that were taken for the fields of an object in their order.
fn lists_for_objects(path: &str, given: &Value, read: &Value, problems: &mut Vec<Problem>) {
    match (given, read) {
        (Value::Array(_), Value::Object(_)) => problems.push(Problem {
            path: path.to_owned(),
            code: ProblemCode::Format,
            message: "an object belongs here, and this is a list".to_owned(),
            hint: None,
        }),
        (Value::Array(given), Value::Array(read)) => {
            for (at, (given, read)) in given.iter().zip(read).enumerate() {
                lists_for_objects(&format!("{path}/{at}"), given, read, problems);
            }
        }
        (Value::Object(given), Value::Object(read)) => {
            for (key, given) in given {
                if let Some(read) = read.get(key) {
                    let path = format!("{path}/{}", escaped(key));
                    lists_for_objects(&path, given, read, problems);
                }
            }
        }
        _ => {}
    }
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .map(|segment| match segment {
            Segment::Map { key } => format!("/{}", escaped(key)),
            Segment::Seq { index } => format!("/{index}"),
            Segment::Enum { variant } => format!("/{variant}"),
            Segment::Unknown => "/?".to_owned(),
        })
        .collect()
}
