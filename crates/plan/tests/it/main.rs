//! Tests of the plan language as users meet it: whole files in, plans or messages out.

mod bad;
mod catalog;
mod good;
