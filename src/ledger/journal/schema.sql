-- The journal of Tollgate, version 1 (PRAGMA user_version).
--
-- Any tool may read this file while the gate runs; only the gate writes it. Counts are NULL where nobody knows them: an
-- unknown count is not a zero. Money is whole pico-dollars (10^-12 USD): divide by 1000000000000 for dollars.

-- One row for each upstream attempt, or for each call that was refused before any.
CREATE TABLE entries (
  seq               INTEGER PRIMARY KEY,  -- grows in the order in which attempts ended
  id                TEXT NOT NULL UNIQUE, -- as in the header `x-tollgate-id`; further attempts of a call end in -2, -3, ...
  session           TEXT,                 -- the id of the connection that this is a turn of
  time_ms           INTEGER NOT NULL,     -- when the attempt began: milliseconds since 1970, UTC
  duration_ms       INTEGER NOT NULL,     -- to the last byte
  first_byte_ms     INTEGER,              -- to the first byte of the reply
  client_address    TEXT NOT NULL,
  client_process    TEXT,
  client_path       TEXT,
  client_agent      TEXT,
  client_label      TEXT,
  client_key        TEXT,                 -- a fingerprint of the key that was sent, of use on this installation only
  ingress           TEXT NOT NULL,        -- base-url, connect, forward, socks5 or transparent
  host              TEXT NOT NULL,        -- the host that the client asked for
  endpoint          TEXT NOT NULL,        -- such as /v1/chat/completions, or other
  stream            INTEGER NOT NULL,     -- 0 or 1
  model_asked       TEXT,
  model_sent        TEXT,
  model_served      TEXT,
  route_kind        TEXT,                 -- custom, duplicate or origin; NULL where no upstream was asked
  route_name        TEXT,
  attempt           INTEGER NOT NULL,     -- from 1; 0 where no upstream was asked
  status            INTEGER NOT NULL,     -- the upstream's, or the gate's own; 0 where the client left before either
  outcome           TEXT NOT NULL,        -- ok, client_closed, refused, timeout, unknown, upstream_cut, upstream_error
  metered           INTEGER NOT NULL,     -- 1 where the usage is known, 0 where nothing is known of it
  basis             TEXT NOT NULL,        -- how: reported, counted, estimated or none
  input             INTEGER,              -- all input tokens; those of the next seven are among them
  cached_input      INTEGER,
  cached_audio      INTEGER,
  cached_image      INTEGER,
  cache_write       INTEGER,
  cache_write_12h   INTEGER,
  audio_input       INTEGER,
  image_input       INTEGER,
  output            INTEGER,              -- all output tokens; those of the next three are among them
  reasoning         INTEGER,
  audio_output      INTEGER,
  image_output      INTEGER,
  requests          INTEGER,
  seconds           INTEGER,
  characters        INTEGER,
  images            INTEGER,
  trained           INTEGER,
  web_searches      INTEGER,
  file_searches     INTEGER,
  code_sessions     INTEGER,
  raw_usage         TEXT,                 -- the upstream's usage object, verbatim
  tier_asked        TEXT,
  tier_served       TEXT,
  region_asked      TEXT,
  region_served     TEXT,
  size              TEXT,
  quality           TEXT,
  cost_pico,                              -- NULL where it has no price; digits as TEXT beyond 64 bits
  price_source      TEXT,
  rates             TEXT,                 -- JSON
  repriced_ms       INTEGER,              -- when the cost was reckoned anew; NULL if never
  repriced_pico,                          -- the cost before that, the first of them
  repriced_source   TEXT,
  deferred          INTEGER NOT NULL,     -- 1 where a later entry tells the usage of what this one began
  after_close       TEXT,                 -- cancelled, drained or given_up, where the client had left
  upstream_id       TEXT,
  bytes_up          INTEGER NOT NULL,
  bytes_down        INTEGER NOT NULL,
  error             TEXT,
  cell              INTEGER NOT NULL      -- the row of `hours` that this one is summed up in
);
CREATE INDEX entries_by_time ON entries (time_ms);
-- The ids of chat completions are many, in no order, and nothing is told of them again.
CREATE INDEX entries_by_upstream_id ON entries (upstream_id)
  WHERE upstream_id IS NOT NULL AND endpoint NOT IN ('/v1/chat/completions', '/v1/completions');

-- The sums of `entries` by hour, which `/stats` is answered from.
CREATE TABLE hours (
  cell               INTEGER PRIMARY KEY,
  hour               INTEGER NOT NULL,    -- since 1970, UTC: time_ms / 3600000
  model              TEXT NOT NULL,       -- as it was asked for
  route_kind         TEXT NOT NULL,       -- empty where no upstream was asked
  route_name         TEXT NOT NULL,
  client             TEXT NOT NULL,       -- its process, else its agent, else its address
  client_is_process  INTEGER NOT NULL,    -- 1 where it is the process
  label              TEXT NOT NULL,
  endpoint           TEXT NOT NULL,
  status             INTEGER NOT NULL,
  entries            INTEGER NOT NULL,
  errors             INTEGER NOT NULL,    -- those whose outcome is not ok
  input              INTEGER NOT NULL,
  cached_input       INTEGER NOT NULL,
  cache_write        INTEGER NOT NULL,
  output             INTEGER NOT NULL,
  reasoning          INTEGER NOT NULL,
  total              INTEGER NOT NULL,    -- input and output
  cost_pico          NOT NULL,            -- digits as TEXT beyond 64 bits
  unpriced           INTEGER NOT NULL,    -- entries that may cost something, nobody knows how much
  reported           INTEGER NOT NULL,    -- entries by basis
  counted            INTEGER NOT NULL,
  estimated          INTEGER NOT NULL,
  none               INTEGER NOT NULL,
  UNIQUE (hour, model, route_kind, route_name, client, client_is_process, label, endpoint, status)
);

-- Attempts that have been under way for a second or so; whoever finds them after a crash books them as unknown.
CREATE TABLE open (
  id    TEXT PRIMARY KEY,
  entry TEXT NOT NULL                     -- JSON, as /entries shows it
) WITHOUT ROWID;

-- What happened to this file itself.
CREATE TABLE events (
  time_ms INTEGER NOT NULL,
  event   TEXT NOT NULL                   -- in a sentence
);

-- For people: times and dollars as they are read.
CREATE VIEW calls AS SELECT
  seq,
  id,
  strftime('%Y-%m-%dT%H:%M:%S', time_ms / 1000, 'unixepoch') || printf('.%03dZ', time_ms % 1000) AS time,
  coalesce(client_label, 'none') AS label,
  coalesce(client_process, client_agent, client_address) AS client,
  endpoint,
  model_asked AS model,
  model_served,
  CASE WHEN route_kind IS NULL THEN 'none' ELSE route_kind || '/' || route_name END AS route,
  status,
  outcome,
  basis,
  input,
  cached_input,
  output,
  reasoning,
  CASE typeof(cost_pico) WHEN 'integer' THEN printf('%s%d.%012d', CASE WHEN cost_pico < 0 THEN '-' ELSE '' END,
    abs(cost_pico / 1000000000000), abs(cost_pico % 1000000000000))
    WHEN 'text' THEN substr(cost_pico, 1, length(cost_pico) - 12) || '.' || substr(cost_pico, -12)
  END AS cost_usd,                                -- exact, a text
  cost_pico / 1000000000000.0 AS cost_usd_approx, -- for sums on the fly
  price_source,
  duration_ms,
  error
FROM entries;
