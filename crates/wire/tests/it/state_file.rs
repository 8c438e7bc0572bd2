//! The state file: its text to the last byte, and every way in which it can be wrong.

use crate::samples;
use esclusa_model::Digest;
use esclusa_wire::{StateFile, StateFileError};

const GOLDEN: &str = include_str!("../../golden/state-file-v1.txt");

#[test]
fn the_text_is_a_contract() {
    let text = samples::state().encode().expect("JSON");
    assert_eq!(text, GOLDEN, "written otherwise than agreed");
    assert_eq!(StateFile::decode(GOLDEN), Ok(samples::state()));
}

/// What somebody took back outlives the program that noted it.
#[test]
fn the_text_of_one_that_was_taken_back_is_a_contract() {
    let golden = include_str!("../../golden/state-file-taken-back-v1.txt");
    let text = samples::state_taken_back().encode().expect("JSON");
    assert_eq!(text, golden, "written otherwise than agreed");
    assert_eq!(StateFile::decode(golden), Ok(samples::state_taken_back()));
}

#[test]
fn a_file_that_was_cut_off_is_never_read() {
    // Without its last line break it is still whole.
    for end in 0..GOLDEN.len() - 1 {
        let read = StateFile::decode(&GOLDEN[..end]);
        assert!(read.is_err(), "the first {end} bytes were read");
    }
}

#[test]
fn a_changed_letter_is_noticed() {
    let damaged = GOLDEN.replacen("tenant-1", "tenant-7", 1);
    assert_ne!(damaged, GOLDEN);
    let read = StateFile::decode(&damaged);
    assert_eq!(read, Err(StateFileError::Checksum));
}

#[test]
fn other_files_and_other_versions_are_told_apart() {
    let other = StateFile::decode("something else\n{}\n");
    assert_eq!(other, Err(StateFileError::Malformed));
    assert_eq!(StateFile::decode(""), Err(StateFileError::Malformed));
    let later = GOLDEN.replacen("esclusa-state 1", "esclusa-state 2", 1);
    let found = "2".to_owned();
    assert_eq!(
        StateFile::decode(&later),
        Err(StateFileError::Version { found })
    );
}

#[test]
fn a_field_that_is_not_known_is_refused() {
    let body = GOLDEN.lines().nth(1).expect("two lines");
    let body = body.replacen('{', r#"{"novelty":1,"#, 1);
    let text = format!("esclusa-state 1 {}\n{body}\n", Digest::of(body.as_bytes()));
    let read = StateFile::decode(&text);
    assert!(
        matches!(&read, Err(StateFileError::Content(why)) if why.contains("novelty")),
        "{read:?}"
    );
}
