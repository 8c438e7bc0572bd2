//! Which variables a condition asks for.

use crate::eval::{BoolExpr, FloatExpr, IntExpr, Read, StrExpr, Typed};
use crate::schema::Slot;
use std::collections::BTreeSet;

pub(crate) fn of_bool(expr: &BoolExpr, found: &mut BTreeSet<Slot>) {
    match expr {
        BoolExpr::Literal(_) => {}
        BoolExpr::Read(read) => of_read(read, found),
        BoolExpr::Has(slot, _) => {
            found.insert(*slot);
        }
        BoolExpr::Not(inner) | BoolExpr::BoolIn(inner, _) => of_bool(inner, found),
        BoolExpr::All(operands) | BoolExpr::Any(operands) => {
            operands.iter().for_each(|operand| of_bool(operand, found));
        }
        BoolExpr::CompareStr(_, a, b) | BoolExpr::Text(_, a, b) => {
            of_string(a, found);
            of_string(b, found);
        }
        BoolExpr::CompareInt(_, a, b) => {
            of_int(a, found);
            of_int(b, found);
        }
        BoolExpr::CompareFloat(_, a, b) => {
            of_float(a, found);
            of_float(b, found);
        }
        BoolExpr::CompareMixed(_, a, b) => {
            of_int(a, found);
            of_float(b, found);
        }
        BoolExpr::Same(a, b) => {
            of_bool(a, found);
            of_bool(b, found);
        }
        BoolExpr::StrIn(item, _) => of_string(item, found),
        BoolExpr::IntIn(item, _) => of_int(item, found),
        BoolExpr::FloatIn(item, _) => of_float(item, found),
    }
}

fn of_string(expr: &StrExpr, found: &mut BTreeSet<Slot>) {
    if let StrExpr::Read(read) = expr {
        of_read(read, found);
    }
}

fn of_int(expr: &IntExpr, found: &mut BTreeSet<Slot>) {
    if let IntExpr::Read(read) = expr {
        of_read(read, found);
    }
}

fn of_float(expr: &FloatExpr, found: &mut BTreeSet<Slot>) {
    if let FloatExpr::Read(read) = expr {
        of_read(read, found);
    }
}

fn of_read(read: &Read, found: &mut BTreeSet<Slot>) {
    found.insert(read.slot);
    for argument in &read.arguments {
        match argument {
            Typed::Bool(expr) => of_bool(expr, found),
            Typed::Int(expr) => of_int(expr, found),
            Typed::Float(expr) => of_float(expr, found),
            Typed::Str(expr) => of_string(expr, found),
        }
    }
}
