-- What people are told: how far each stream was looked through for it, what waits for a
-- channel, which alarms are open, and the inbox.
create table notice_cursors (
    stream   text   not null primary key,
    position bigint not null
);

-- One row a message and channel. `number` is the order within a channel.
create table outbox (
    id       text   not null primary key,
    stream   text   not null,
    position bigint not null,
    channel  text   not null,
    number   bigint not null,
    notice   text   not null,
    at       bigint not null,
    state    text   not null,
    attempts bigint not null,
    next_at  bigint not null,
    changed  bigint not null,
    error    text,
    unique (stream, position, channel)
);

create index outbox_line on outbox (channel, state, number);
create index outbox_number on outbox (number);

-- One row an alarm that is not over.
create table incidents (
    service text   not null,
    event   text   not null,
    cause   text   not null,
    opened  bigint not null,
    last    bigint not null,
    told    bigint not null,
    seen    bigint not null,
    said    bigint not null,
    entry   bigint not null,
    notice  text   not null,
    primary key (service, event, cause)
);

create table inbox (
    id     bigint not null primary key,
    at     bigint not null,
    seen   bigint not null,
    notice text   not null
);

-- What one caller did with an entry.
create table inbox_marks (
    actor   text   not null,
    entry   bigint not null,
    removed bigint not null,
    primary key (actor, entry)
);
