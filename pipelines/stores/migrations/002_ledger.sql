-- The ledger: what model calls took, by day, user and model. Ids and counts only, never a text.

CREATE TABLE ledger (
    day                 date NOT NULL,            -- in UTC
    user_id             text NOT NULL,            -- as Open WebUI knows the user; '' is a caller without an account
    model               text NOT NULL,            -- the model that answered, as provider/model
    calls               bigint NOT NULL,          -- all of them, those answered from the answer cache too
    cached_calls        bigint NOT NULL,          -- for which no model was called: they count no tokens and no cost
    prompt_tokens       bigint NOT NULL,          -- with the two kinds that follow
    cache_read_tokens   bigint NOT NULL,          -- of the provider's prompt cache
    cache_write_tokens  bigint NOT NULL,
    completion_tokens   bigint NOT NULL,
    estimated_calls     bigint NOT NULL,          -- whose tokens the provider did not report
    unpriced_calls      bigint NOT NULL,          -- whose model has no known price: they count no cost
    cost_usd            numeric NOT NULL,
    PRIMARY KEY (day, user_id, model)
);

-- What each process has added last, so that a batch whose confirmation was lost is not added a second time.
CREATE TABLE ledger_writer (
    id            uuid PRIMARY KEY,
    last_batch    bigint NOT NULL,
    written_at    timestamptz NOT NULL
);
