-- What a token of flags may ask for, as JSON; null for a token of the interface.
alter table tokens add column flags text;
