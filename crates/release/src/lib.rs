//! A release as the fold of its events.
