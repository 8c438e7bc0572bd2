-- Who stands behind a token, until when it is good, and when it was used last.
alter table tokens add column person text;
alter table tokens add column expires bigint;
alter table tokens add column used bigint;

-- What may happen once only, and did: links that were used, sessions that were ended.
create table spent (
    id      text   not null primary key,
    expires bigint not null,
    at      bigint not null
);
