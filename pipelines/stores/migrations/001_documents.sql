-- The registry: every document there is, where it came from, who may read it, and where it stands.
-- What a source lists (version) and what readers find (content_hash) are kept apart: a document whose bytes have
-- changed stays searchable in its earlier revision until the new one is whole.

CREATE TABLE document (
    id            uuid PRIMARY KEY,           -- UUIDv5 of origin, which therefore is unique as well
    origin        text NOT NULL,
    source        text NOT NULL,
    version       text NOT NULL,
    state         text NOT NULL CHECK (state IN ('queued', 'working', 'ready', 'failed', 'removing')),
    title         text NOT NULL,
    media_type    text NOT NULL DEFAULT '',
    owner         text NOT NULL DEFAULT '',

    -- who may read: as people wrote it, who wrote it, and the scopes it comes to
    everyone      boolean NOT NULL,
    groups        text[] NOT NULL,
    users         text[] NOT NULL,
    granted_by    text NOT NULL CHECK (granted_by IN ('rules', 'source', 'person')),
    access        text[] NOT NULL,
    access_due    boolean NOT NULL DEFAULT false, -- the index has not been told of `access` yet

    -- how it went
    stage         text NOT NULL DEFAULT '',
    error_code    text NOT NULL DEFAULT '',
    problem       text NOT NULL DEFAULT '',
    attempts      integer NOT NULL DEFAULT 0,
    queued_at     timestamptz NOT NULL DEFAULT now(),
    not_before    timestamptz NOT NULL DEFAULT now(),
    stale         boolean NOT NULL DEFAULT false, -- readers find it, but another generation of the index lacks it

    -- what readers find
    size          bigint,
    content_hash  text NOT NULL DEFAULT '',
    pages         integer,
    unread_pages  integer[] NOT NULL DEFAULT '{}',
    chunks        integer,
    indexed_with  text NOT NULL DEFAULT '',
    indexed_at    timestamptz
);

CREATE INDEX document_of_source ON document (source);
CREATE INDEX document_by_title ON document (lower(title), id);
-- An address may be longer than an index takes.
CREATE INDEX document_by_origin ON document (left(origin, 200) COLLATE "C");
-- what the workers look for; almost empty at rest
CREATE INDEX document_waiting ON document (not_before) WHERE stale OR state IN ('queued', 'working', 'removing');
CREATE INDEX document_access_due ON document (id) WHERE access_due;

-- Which revision of a document each generation of the index holds.
CREATE TABLE indexed (
    generation    text NOT NULL,
    document_id   uuid NOT NULL REFERENCES document (id) ON DELETE CASCADE,
    content_hash  text NOT NULL,
    PRIMARY KEY (generation, document_id)
);

-- Open WebUI's groups by name, so that rules can name them.
CREATE TABLE access_group (
    name          text PRIMARY KEY,
    id            text NOT NULL
);
