//! Who asks: the values of one request, by slot.

use crate::definition::AttributeType;
use crate::snapshot::{Snapshot, TARGETING_KEY, TENANT, USER};
use crate::value::whole;
use esclusa_expr::{Scope, Slot, Value};
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt::{self, Write};

/// A value that a context is given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AttributeValue<'a> {
    /// Text.
    Text(&'a str),
    /// A whole number.
    Integer(i64),
    /// A number with decimals.
    Float(f64),
    /// True or false.
    Boolean(bool),
    /// A list, an object, or a number of more than 64 bits: no rule can ask for it.
    Other,
    /// No value at all.
    Nothing,
}

impl<'a> From<&'a serde_json::Value> for AttributeValue<'a> {
    fn from(json: &'a serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Nothing,
            serde_json::Value::Bool(value) => Self::Boolean(*value),
            serde_json::Value::String(text) => Self::Text(text),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => Self::Integer(whole),
                (None, Some(decimal)) if number.is_f64() => Self::Float(decimal),
                _ => Self::Other,
            },
            serde_json::Value::Array(_) | serde_json::Value::Object(_) => Self::Other,
        }
    }
}

/// A value in a context.
#[derive(Debug, Clone, Copy, Default)]
enum Slotted {
    #[default]
    Absent,
    /// There, but of another type than the rules expect.
    Mistyped,
    /// A piece of the buffer's text.
    Text(u32, u32),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    /// A value of the tenant directory.
    Directory(u32),
}

/// A value in the tenant directory.
#[derive(Debug, Clone)]
pub(crate) enum Stored {
    Absent,
    Mistyped,
    Text(Box<str>),
    Integer(i64),
    Float(f64),
    Boolean(bool),
}

/// A value as it is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Found<'a> {
    Absent,
    Mistyped,
    Text(&'a str),
    Integer(i64),
    Float(f64),
    Boolean(bool),
}

/// The memory of a context, to be used again.
#[derive(Debug, Default)]
pub struct ContextBuffer {
    text: String,
    values: Vec<Slotted>,
    grants: Vec<(u32, u32)>,
    /// What is known of each segment.
    segments: Vec<Cell<Option<Option<bool>>>>,
    /// What each prerequisite serves.
    parents: Vec<Cell<Memo>>,
    /// Whether any of both is known.
    decided: Cell<bool>,
}

/// What a prerequisite serves in this context.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Memo {
    #[default]
    Unasked,
    Serves(u32),
    Undecided,
}

/// The values of one request, for one snapshot.
///
/// Each segment and each prerequisite is decided at most once, so that the steps of an
/// evaluation are bounded by the size of the flag set.
#[derive(Debug)]
pub struct Context<'s> {
    snapshot: &'s Snapshot,
    buffer: ContextBuffer,
}

impl<'s> Context<'s> {
    pub(crate) fn new(snapshot: &'s Snapshot, mut buffer: ContextBuffer) -> Self {
        buffer.text.clear();
        buffer.grants.clear();
        buffer.values.clear();
        buffer
            .values
            .resize(snapshot.attributes.len(), Slotted::Absent);
        buffer.segments.clear();
        buffer
            .segments
            .resize(snapshot.segments.len(), Cell::new(None));
        buffer.parents.clear();
        buffer
            .parents
            .resize(snapshot.parents as usize, Cell::new(Memo::Unasked));
        buffer.decided.set(false);
        Self { snapshot, buffer }
    }

    /// The memory, to be used again.
    #[must_use]
    pub fn into_buffer(self) -> ContextBuffer {
        self.buffer
    }

    /// The snapshot that is asked.
    #[must_use]
    pub fn snapshot(&self) -> &'s Snapshot {
        self.snapshot
    }

    /// Sets one value. Keys that no attribute has are of no use and left out; so is
    /// what only the tenant directory may say.
    pub fn set(&mut self, key: &str, value: AttributeValue<'_>) {
        let Some(id) = self.snapshot.context_keys.find(key) else {
            return;
        };
        let slot = self.snapshot.context_slots[id as usize];
        let slotted = self.slotted(slot, value);
        self.buffer.values[usize::from(slot)] = slotted;
        if slot == TENANT {
            self.look_up_tenant();
        }
        self.forget();
    }

    /// Sets all values of a JSON object, such as the context of an OFREP request.
    pub fn set_all(&mut self, values: &serde_json::Map<String, serde_json::Value>) {
        for (key, value) in values {
            self.set(key, value.into());
        }
    }

    /// Lets a tester see a variant. The caller has verified the tester's token. False
    /// when there is no such flag or variant.
    pub fn grant(&mut self, flag: &str, variant: &str) -> bool {
        let Some(flag) = self.snapshot.keys.find(flag) else {
            return false;
        };
        let mut variants = self.snapshot.flags[flag as usize].variants.clone();
        let named = |id: &u32| *self.snapshot.variants[*id as usize].name == *variant;
        let Some(variant) = variants.find(named) else {
            return false;
        };
        self.buffer.grants.push((flag, variant));
        self.forget();
        true
    }

    /// What was decided before a value changed is not so any more.
    fn forget(&mut self) {
        if !self.buffer.decided.replace(false) {
            return;
        }
        self.buffer.segments.iter().for_each(|memo| memo.set(None));
        let unasked = |memo: &Cell<Memo>| memo.set(Memo::Unasked);
        self.buffer.parents.iter().for_each(unasked);
    }

    fn slotted(&mut self, slot: u16, value: AttributeValue<'_>) -> Slotted {
        let ty = self.snapshot.attributes[usize::from(slot)].ty;
        let identifies = slot <= USER;
        match (fitting(ty, value), value) {
            // Ids are text; systems that number their tenants mean the digits.
            (Found::Mistyped, AttributeValue::Integer(number)) if identifies => {
                self.text(Digits::of(number).as_str())
            }
            // An empty id names nobody.
            (Found::Text(""), _) if identifies => Slotted::Absent,
            (Found::Text(text), _) => self.text(text),
            (Found::Absent, _) => Slotted::Absent,
            (Found::Mistyped, _) => Slotted::Mistyped,
            (Found::Integer(number), _) => Slotted::Integer(number),
            (Found::Float(number), _) => Slotted::Float(number),
            (Found::Boolean(value), _) => Slotted::Boolean(value),
        }
    }

    fn text(&mut self, text: &str) -> Slotted {
        let start = self.buffer.text.len();
        match (u32::try_from(start), u32::try_from(start + text.len())) {
            (Ok(start), Ok(end)) => {
                self.buffer.text.push_str(text);
                Slotted::Text(start, end)
            }
            // Four gigabytes of context are of no type that a rule asks for.
            _ => Slotted::Mistyped,
        }
    }

    fn look_up_tenant(&mut self) {
        let directory = &self.snapshot.directory;
        let tenant = match self.found(TENANT) {
            Found::Text(id) => directory.ids.find(id),
            _ => None,
        };
        // Fewer values than 2^32: each stands in a definition that is in memory.
        let width = directory.slots.len() as u32;
        for (column, slot) in (0u32..).zip(&directory.slots) {
            self.buffer.values[usize::from(*slot)] = match tenant {
                Some(row) => Slotted::Directory(row * width + column),
                None => Slotted::Absent,
            };
        }
    }

    /// The value of a slot. A user who is not named is whoever the targeting key names.
    #[inline]
    pub(crate) fn found(&self, slot: u16) -> Found<'_> {
        match self.buffer.values[usize::from(slot)] {
            Slotted::Absent if slot == USER => self.found(TARGETING_KEY),
            Slotted::Absent => Found::Absent,
            Slotted::Mistyped => Found::Mistyped,
            Slotted::Text(start, end) => {
                Found::Text(&self.buffer.text[start as usize..end as usize])
            }
            Slotted::Integer(number) => Found::Integer(number),
            Slotted::Float(number) => Found::Float(number),
            Slotted::Boolean(value) => Found::Boolean(value),
            Slotted::Directory(at) => match &self.snapshot.directory.values[at as usize] {
                Stored::Absent => Found::Absent,
                Stored::Mistyped => Found::Mistyped,
                Stored::Text(text) => Found::Text(text),
                Stored::Integer(number) => Found::Integer(*number),
                Stored::Float(number) => Found::Float(*number),
                Stored::Boolean(value) => Found::Boolean(*value),
            },
        }
    }

    /// The unit that a slot names, when it names one.
    pub(crate) fn unit<'a>(&'a self, slot: u16, digits: &'a mut Digits) -> Option<&'a str> {
        match self.found(slot) {
            Found::Text("") => None,
            Found::Text(text) => Some(text),
            Found::Integer(number) => {
                *digits = Digits::of(number);
                Some(digits.as_str())
            }
            _ => None,
        }
    }

    pub(crate) fn has_grants(&self) -> bool {
        !self.buffer.grants.is_empty()
    }

    /// The variant that a tester token gives, the last one first.
    pub(crate) fn granted(&self, flag: u32) -> Option<u32> {
        let mut grants = self.buffer.grants.iter().rev();
        grants.find(|(f, _)| *f == flag).map(|(_, v)| *v)
    }

    pub(crate) fn segment_memo(&self, segment: u32) -> Option<Option<bool>> {
        self.buffer.segments[segment as usize].get()
    }

    pub(crate) fn keep_segment(&self, segment: u32, belongs: Option<bool>) {
        self.buffer.segments[segment as usize].set(Some(belongs));
        self.buffer.decided.set(true);
    }

    pub(crate) fn parent_memo(&self, parent: u32) -> Memo {
        self.buffer.parents[parent as usize].get()
    }

    pub(crate) fn keep_parent(&self, parent: u32, memo: Memo) {
        self.buffer.parents[parent as usize].set(memo);
        self.buffer.decided.set(true);
    }
}

/// The value in the declared type, when it loses nothing.
pub(crate) fn fitting(ty: AttributeType, value: AttributeValue<'_>) -> Found<'_> {
    match (ty, value) {
        (_, AttributeValue::Nothing) => Found::Absent,
        (AttributeType::String, AttributeValue::Text(text)) => Found::Text(text),
        (AttributeType::Integer, AttributeValue::Integer(number)) => Found::Integer(number),
        (AttributeType::Integer, AttributeValue::Float(number)) => {
            whole(number).map_or(Found::Mistyped, Found::Integer)
        }
        (AttributeType::Float, AttributeValue::Float(number)) => Found::Float(number),
        (AttributeType::Float, AttributeValue::Integer(number)) => {
            let decimal = number as f64;
            match whole(decimal) == Some(number) {
                true => Found::Float(decimal),
                false => Found::Mistyped,
            }
        }
        (AttributeType::Boolean, AttributeValue::Boolean(value)) => Found::Boolean(value),
        _ => Found::Mistyped,
    }
}

impl Scope for Context<'_> {
    fn string(&self, slot: Slot, _: &[Value<'_>]) -> Option<Cow<'_, str>> {
        match self.found(slot.0) {
            Found::Text(text) => Some(Cow::Borrowed(text)),
            _ => None,
        }
    }

    fn int(&self, slot: Slot, _: &[Value<'_>]) -> Option<i64> {
        match self.found(slot.0) {
            Found::Integer(number) => Some(number),
            _ => None,
        }
    }

    fn float(&self, slot: Slot, _: &[Value<'_>]) -> Option<f64> {
        match self.found(slot.0) {
            Found::Float(number) => Some(number),
            _ => None,
        }
    }

    fn bool(&self, slot: Slot, _: &[Value<'_>]) -> Option<bool> {
        match self.found(slot.0) {
            Found::Boolean(value) => Some(value),
            _ => None,
        }
    }
}

/// A whole number's digits, on the stack.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Digits {
    bytes: [u8; 20],
    length: usize,
}

impl Digits {
    fn of(number: i64) -> Self {
        let mut digits = Self::default();
        // Cannot fail: no number of 64 bits has more than 20 characters.
        let _ = write!(digits, "{number}");
        digits
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

impl Write for Digits {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        let place = self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}
