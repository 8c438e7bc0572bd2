-- Slices of one proxy, one boot and one service, packed; times are unix seconds, both ends included.
create table segments (
    proxy          text   not null,
    boot           text   not null,
    service        text   not null,
    first_sequence bigint not null,
    from_second    bigint not null,
    to_second      bigint not null,
    slices         bigint not null,
    bytes          bigint not null,
    v              bigint not null,
    -- 0: as it was received, 1: joined with its neighbours
    joined         bigint not null,
    body           blob   not null,
    primary key (proxy, boot, service, first_sequence)
);

create index segments_by_service on segments (service, to_second);
create index segments_by_age on segments (to_second);
create index segments_to_join on segments (joined, to_second);

-- What is stored of each boot: everything up to `acked` but the gaps.
create table marks (
    proxy   text   not null,
    boot    text   not null,
    acked   bigint not null,
    changed bigint not null,
    primary key (proxy, boot)
);

-- Runs of sequences that were skipped; they close when a late slice comes.
create table gaps (
    proxy          text   not null,
    boot           text   not null,
    first_sequence bigint not null,
    last_sequence  bigint not null,
    primary key (proxy, boot, first_sequence)
);

-- The highest count of slices that a proxy ever said it had lost for good.
create table losses (
    proxy text   not null primary key,
    lost  bigint not null
);
