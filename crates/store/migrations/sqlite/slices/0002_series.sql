-- Readings of series during a release, one row for each version; times are unix seconds.
create table readings (
    release   text   not null,
    name      text   not null,
    at_second bigint not null,
    -- 0: stable, 1: canary
    side      bigint not null,
    -- Absent where there was no value, and why.
    value     double precision,
    why       text,
    primary key (release, name, at_second, side)
);

create index readings_by_age on readings (at_second);
