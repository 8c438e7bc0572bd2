-- The event log: one row an event, a position for each stream, no global order.
create table streams (
    stream   text   not null primary key,
    position bigint not null,
    hash     text   not null
);

create table events (
    stream   text   not null,
    position bigint not null,
    v        bigint not null,
    at       bigint not null,
    actor    text   not null,
    kind     text   not null,
    payload  text   not null,
    prev     text   not null,
    hash     text   not null,
    primary key (stream, position)
);

-- The controller's epoch: one row, counted up by each opener.
create table controller (
    id     bigint not null primary key,
    epoch  bigint not null,
    pid    bigint not null,
    opened bigint not null
);

insert into controller (id, epoch, pid, opened) values (1, 0, 0, 0);

create table tokens (
    name    text   not null primary key,
    roles   text   not null,
    hash    text   not null unique,
    created bigint not null,
    revoked bigint
);

create table settings (
    name    text   not null primary key,
    value   text   not null,
    changed bigint not null
);
