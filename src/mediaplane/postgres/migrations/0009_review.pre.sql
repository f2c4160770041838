-- Tasks, submissions for them, and their review.
--
-- A submission goes open → uploaded → processing → in_review → approved | rejected | needs_changes, and from needs_changes
-- to open again with the next upload. What is no step of this is refused here, whoever writes it: a step without its
-- cause (bytes, a decision) too. Up to in_review it follows its upload and its asset by itself, in their transactions.

CREATE TABLE tasks (
    task_id             text COLLATE "C" PRIMARY KEY CHECK (task_id ~ '^[A-Za-z0-9_-]{1,64}$'),
    owner               text COLLATE "C" NOT NULL,  -- who asks for it, and sees what was approved
    team                text COLLATE "C" NOT NULL,  -- whose contributors may send something in
    title               text NOT NULL,
    instructions        text NOT NULL DEFAULT '',
    types               text[] NOT NULL CHECK (cardinality(types) BETWEEN 1 AND 50),  -- media types, such as audio/*
    max_bytes           bigint CHECK (max_bytes > 0),               -- of one file; null: what an upload may have
    max_submissions     integer CHECK (max_submissions > 0),        -- of all, rejected ones left out; null: any number
    max_per_contributor integer CHECK (max_per_contributor > 0),    -- of one contributor, rejected ones included
    review_tiers        integer NOT NULL DEFAULT 1 CHECK (review_tiers BETWEEN 1 AND 9),
    deadline            timestamptz,                                -- no upload begins after it
    state               text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'closed')),
    created_at          timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX tasks_page ON tasks (team, created_at DESC, task_id DESC);

CREATE TABLE submissions (
    submission_id text COLLATE "C" PRIMARY KEY CHECK (submission_id ~ '^[A-Za-z0-9_-]{1,64}$'),
    task_id       text COLLATE "C" NOT NULL REFERENCES tasks,
    owner         text COLLATE "C" NOT NULL,                        -- the contributor
    team          text COLLATE "C" NOT NULL,
    task_owner    text COLLATE "C" NOT NULL,
    state         text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'uploaded', 'processing', 'in_review', 'approved',
                                                                'rejected', 'needs_changes')),
    round         integer NOT NULL DEFAULT 1,                       -- grows with each upload after needs_changes
    tiers         integer NOT NULL CHECK (tiers BETWEEN 1 AND 9),   -- how many must approve, as the task said at that upload
    tier          integer NOT NULL DEFAULT 1 CHECK (tier BETWEEN 1 AND tiers),  -- which of them is asked now
    asset_id      text COLLATE "C",                                 -- null: its media was deleted, or is a duplicate
    reason_codes  text[] NOT NULL DEFAULT '{}',                     -- why it came to where it is
    note          text NOT NULL DEFAULT '',
    holder        text COLLATE "C",                                 -- the validator who has it on the desk
    lease_until   timestamptz,
    waiting_since timestamptz,                                      -- in review: since when this tier is asked
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    CHECK ((holder IS NULL) = (lease_until IS NULL)),
    CHECK (holder IS NULL OR state = 'in_review'),
    CHECK ((waiting_since IS NOT NULL) = (state = 'in_review')),
    CHECK (asset_id IS NOT NULL OR state IN ('approved', 'rejected', 'needs_changes'))
);
CREATE INDEX submissions_page ON submissions (owner, created_at DESC, submission_id DESC);
CREATE INDEX submissions_page_of_team ON submissions (team, created_at DESC, submission_id DESC);
CREATE INDEX submissions_by_task ON submissions (task_id, state, submission_id);
CREATE INDEX submissions_by_asset ON submissions (asset_id);
CREATE INDEX submissions_waiting ON submissions (team, tier, waiting_since) WHERE state = 'in_review';
CREATE INDEX submissions_held ON submissions (holder) WHERE holder IS NOT NULL;
-- The same bytes are sent in once for a task; a submission that was rejected stands in nobody's way.
CREATE UNIQUE INDEX submissions_once ON submissions (task_id, asset_id) WHERE state <> 'rejected';

ALTER TABLE uploads ADD COLUMN submission_id text COLLATE "C" REFERENCES submissions ON DELETE SET NULL;
CREATE INDEX uploads_by_submission ON uploads (submission_id) WHERE submission_id IS NOT NULL;

-- Every step, with who and when.
CREATE TABLE submission_steps (
    step_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    submission_id text COLLATE "C" NOT NULL REFERENCES submissions ON DELETE CASCADE,
    owner         text COLLATE "C" NOT NULL,
    team          text COLLATE "C" NOT NULL,
    at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    from_state    text,
    to_state      text NOT NULL,
    round         integer NOT NULL,
    tier          integer,                                          -- which tier was asked, where it was in review
    subject       text NOT NULL,
    role          text,                                             -- null: no person, but a worker
    reason_codes  text[] NOT NULL DEFAULT '{}',
    note          text NOT NULL DEFAULT ''
);
CREATE INDEX submission_steps_by_submission ON submission_steps (submission_id, step_id);

-- One decision for each tier of a round. To decide is to insert a row here: the submission follows.
CREATE TABLE review_decisions (
    decision_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    submission_id text COLLATE "C" NOT NULL REFERENCES submissions ON DELETE CASCADE,
    owner         text COLLATE "C" NOT NULL,
    team          text COLLATE "C" NOT NULL,
    round         integer NOT NULL,
    tier          integer NOT NULL,
    verdict       text NOT NULL CHECK (verdict IN ('approve', 'reject', 'needs_changes')),
    reason_codes  text[] NOT NULL DEFAULT '{}',
    note          text NOT NULL DEFAULT '',
    validator     text COLLATE "C" NOT NULL,                        -- who answers for it, also where a link decided
    subject       text NOT NULL,
    at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (submission_id, round, tier),
    CHECK (verdict = 'approve' OR cardinality(reason_codes) > 0)
);

-- Links by which somebody without an account sees one submission, or decides on it in the name of who made the link.
CREATE TABLE review_links (
    link_id       text COLLATE "C" PRIMARY KEY,
    submission_id text COLLATE "C" NOT NULL REFERENCES submissions ON DELETE CASCADE,
    owner         text COLLATE "C" NOT NULL,
    team          text COLLATE "C" NOT NULL,
    validator     text COLLATE "C" NOT NULL,
    may_decide    boolean NOT NULL,
    round         integer NOT NULL,                                 -- it is for this round and this tier only
    tier          integer NOT NULL,
    title         text NOT NULL DEFAULT '',                         -- whom it is for
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL,
    revoked_at    timestamptz
);
CREATE INDEX review_links_by_submission ON review_links (submission_id, created_at);

-- Everybody in a team sees its tasks; who may change them is the gateway's to say, of rows of owner and team.
ALTER TABLE tasks ENABLE ROW LEVEL SECURITY;
CREATE POLICY in_sight ON tasks USING (
    (SELECT current_setting('mediaplane.owner', true)) IN ('*', owner)
    AND (SELECT current_setting('mediaplane.team', true)) IN ('*', team));
CREATE POLICY in_team ON tasks FOR SELECT USING (
    (SELECT current_setting('mediaplane.owner', true)) <> ''
    AND (SELECT current_setting('mediaplane.team', true)) IN ('*', team));

-- Whoever asked for something sees what was approved, and nothing before.
ALTER TABLE submissions ENABLE ROW LEVEL SECURITY;
CREATE POLICY in_sight ON submissions USING (
    (SELECT current_setting('mediaplane.owner', true)) IN ('*', owner)
    AND (SELECT current_setting('mediaplane.team', true)) IN ('*', team));
CREATE POLICY approved ON submissions FOR SELECT USING (
    state = 'approved' AND task_owner = (SELECT current_setting('mediaplane.owner', true))
    AND (SELECT current_setting('mediaplane.team', true)) IN ('*', team));
ALTER TABLE submission_steps ENABLE ROW LEVEL SECURITY;
CREATE POLICY in_sight ON submission_steps USING (
    (SELECT current_setting('mediaplane.owner', true)) IN ('*', owner)
    AND (SELECT current_setting('mediaplane.team', true)) IN ('*', team));
CREATE POLICY approved ON submission_steps FOR SELECT USING (
    to_state = 'approved' AND EXISTS (SELECT FROM submissions s WHERE s.submission_id = submission_steps.submission_id));

CREATE FUNCTION refuse_step(problem text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', problem USING ERRCODE = 'check_violation';
END $$;

-- The only steps there are.
CREATE FUNCTION is_step(from_state text, to_state text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT (from_state, to_state) IN (
        ('open', 'uploaded'), ('uploaded', 'processing'), ('processing', 'in_review'),
        ('in_review', 'approved'), ('in_review', 'rejected'), ('in_review', 'needs_changes'),
        ('needs_changes', 'open'),
        -- the bytes were refused, could not be processed, or were deleted: the contributor may send others
        ('open', 'needs_changes'), ('uploaded', 'needs_changes'), ('processing', 'needs_changes'))
$$;

CREATE FUNCTION check_step() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    approvals integer;
    last_verdict text;
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'open' OR NEW.round <> 1 THEN
            PERFORM refuse_step('a submission begins open, in round 1');
        END IF;
        RETURN NEW;
    END IF;
    IF (OLD.submission_id, OLD.task_id, OLD.owner, OLD.team, OLD.task_owner)
       IS DISTINCT FROM (NEW.submission_id, NEW.task_id, NEW.owner, NEW.team, NEW.task_owner) THEN
        PERFORM refuse_step('what a submission is for and whose it is never change');
    END IF;
    IF OLD.state <> NEW.state THEN
        IF NOT is_step(OLD.state, NEW.state) THEN
            PERFORM refuse_step(format('a submission does not go from %s to %s', OLD.state, NEW.state));
        END IF;
        IF NEW.state IN ('approved', 'rejected') THEN
            SELECT count(*) FILTER (WHERE verdict = 'approve'), max(verdict) FILTER (WHERE verdict <> 'approve')
            INTO approvals, last_verdict
            FROM review_decisions WHERE submission_id = NEW.submission_id AND round = NEW.round;
            IF NEW.state = 'approved' AND (approvals < NEW.tiers OR last_verdict IS NOT NULL)
               OR NEW.state = 'rejected' AND last_verdict IS DISTINCT FROM 'reject' THEN
                PERFORM refuse_step(format('a submission is not %s without the decisions for it', NEW.state));
            END IF;
        END IF;
        -- what belongs to a review goes with it
        NEW.waiting_since := CASE WHEN NEW.state = 'in_review' THEN clock_timestamp() END;
        IF NEW.state IN ('open', 'in_review') THEN NEW.tier := 1; END IF;
        NEW.holder := NULL;
        NEW.lease_until := NULL;
    ELSIF OLD.tier <> NEW.tier THEN
        IF NEW.tier <> OLD.tier + 1 OR NOT EXISTS (
            SELECT FROM review_decisions WHERE submission_id = NEW.submission_id AND round = NEW.round
              AND tier = OLD.tier AND verdict = 'approve') THEN
            PERFORM refuse_step('the next tier is asked when this one has approved');
        END IF;
        NEW.waiting_since := clock_timestamp();
        NEW.holder := NULL;
        NEW.lease_until := NULL;
    ELSIF OLD.holder <> NEW.holder AND OLD.lease_until > clock_timestamp() THEN
        PERFORM refuse_step('another validator has the submission on the desk');
    END IF;
    IF NEW.round <> OLD.round + (OLD.state = 'needs_changes' AND NEW.state = 'open')::int THEN
        PERFORM refuse_step('a round begins with a new upload after needs_changes, and only then');
    END IF;
    IF OLD.asset_id <> NEW.asset_id AND NEW.state NOT IN ('open', 'uploaded') THEN
        PERFORM refuse_step('other media is another round');
    END IF;
    NEW.updated_at := now();
    RETURN NEW;
END $$;
CREATE TRIGGER submissions_check_step BEFORE INSERT OR UPDATE ON submissions FOR EACH ROW EXECUTE FUNCTION check_step();

-- Notes each step, and tells of it: the contributor and the team of all, who asked for it of what was approved.
CREATE FUNCTION note_step() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO submission_steps (submission_id, owner, team, from_state, to_state, round, tier, subject, role, reason_codes, note)
    SELECT NEW.submission_id, NEW.owner, NEW.team, CASE WHEN TG_OP = 'UPDATE' THEN OLD.state END, NEW.state, NEW.round,
           CASE WHEN TG_OP = 'UPDATE' AND OLD.state = 'in_review' THEN OLD.tier WHEN NEW.state = 'in_review' THEN NEW.tier END,
           a.subject, a.role, NEW.reason_codes, NEW.note
    FROM audit_actor() AS a;
    INSERT INTO events (type, owner, team, asset_id, data)
    VALUES ('submission.' || NEW.state, NEW.owner, NEW.team, coalesce(NEW.asset_id, ''),
            jsonb_build_object('submission_id', NEW.submission_id, 'task_id', NEW.task_id, 'state', NEW.state,
                               'round', NEW.round, 'tier', CASE WHEN NEW.state = 'in_review' THEN NEW.tier END,
                               'reason_codes', NEW.reason_codes, 'note', NEW.note));
    IF NEW.state = 'approved' AND NEW.task_owner <> NEW.owner THEN
        INSERT INTO events (type, owner, team, asset_id, data)
        VALUES ('task.approved', NEW.task_owner, NEW.team, coalesce(NEW.asset_id, ''),
                jsonb_build_object('task_id', NEW.task_id, 'submission_id', NEW.submission_id));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER submissions_note_begin AFTER INSERT ON submissions FOR EACH ROW EXECUTE FUNCTION note_step();
CREATE TRIGGER submissions_note_step AFTER UPDATE OF state, tier ON submissions
    FOR EACH ROW WHEN (OLD.state <> NEW.state OR OLD.tier < NEW.tier) EXECUTE FUNCTION note_step();

CREATE FUNCTION refuse_history_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'DELETE' AND NOT EXISTS (SELECT FROM submissions WHERE submission_id = OLD.submission_id) THEN
        RETURN OLD;  -- it goes with its submission
    END IF;
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER submission_steps_append_only BEFORE UPDATE OR DELETE ON submission_steps
    FOR EACH ROW EXECUTE FUNCTION refuse_history_change();
CREATE TRIGGER review_decisions_append_only BEFORE UPDATE OR DELETE ON review_decisions
    FOR EACH ROW EXECUTE FUNCTION refuse_history_change();
CREATE TRIGGER submission_steps_no_truncate BEFORE TRUNCATE ON submission_steps EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER review_decisions_no_truncate BEFORE TRUNCATE ON review_decisions EXECUTE FUNCTION refuse_audit_change();

-- Only who holds the submission decides, on what is asked now; then the submission goes where the decision says.
CREATE FUNCTION decide() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    s submissions;
BEGIN
    SELECT * INTO s FROM submissions WHERE submission_id = NEW.submission_id FOR UPDATE;
    IF s.state IS DISTINCT FROM 'in_review' OR (s.round, s.tier, s.owner, s.team) IS DISTINCT FROM
       (NEW.round, NEW.tier, NEW.owner, NEW.team) THEN
        PERFORM refuse_step('this is not what is asked of a validator now');
    END IF;
    IF s.holder IS DISTINCT FROM NEW.validator OR s.lease_until <= clock_timestamp() THEN
        PERFORM refuse_step('only the validator who has the submission on the desk decides');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER review_decisions_check BEFORE INSERT ON review_decisions FOR EACH ROW EXECUTE FUNCTION decide();

CREATE FUNCTION follow_decision() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE submissions SET
        state = CASE NEW.verdict WHEN 'reject' THEN 'rejected' WHEN 'needs_changes' THEN 'needs_changes'
                                 ELSE CASE WHEN tier = tiers THEN 'approved' ELSE state END END,
        tier = CASE WHEN NEW.verdict = 'approve' AND tier < tiers THEN tier + 1 ELSE tier END,
        reason_codes = NEW.reason_codes,
        note = CASE WHEN NEW.verdict = 'approve' AND tier < tiers THEN '' ELSE NEW.note END
    WHERE submission_id = NEW.submission_id;
    RETURN NULL;
END $$;
CREATE TRIGGER review_decisions_follow AFTER INSERT ON review_decisions FOR EACH ROW EXECUTE FUNCTION follow_decision();

-- How many a task has, whoever asks: all that count, and those of one contributor.
CREATE FUNCTION count_submissions(of_task text, of_owner text, OUT counted bigint, OUT own bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT count(*) FILTER (WHERE state <> 'rejected'), count(*) FILTER (WHERE owner = of_owner)
    FROM submissions WHERE task_id = of_task
$$;

-- Takes the submissions of an asset as far as the asset has come.
CREATE FUNCTION follow_asset(followed text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    a assets;
    s record;
BEGIN
    SELECT * INTO a FROM assets WHERE asset_id = followed;
    IF a.asset_id IS NULL OR a.status = 'uploading' THEN RETURN; END IF;
    FOR s IN
        SELECT submission_id, state FROM submissions
        WHERE asset_id = followed AND state IN ('open', 'uploaded', 'processing', 'in_review')
        ORDER BY submission_id FOR UPDATE
    LOOP
        IF a.status = 'failed' THEN
            UPDATE submissions SET state = 'needs_changes', reason_codes = ARRAY[coalesce(a.error_code, 'media_error')],
                                   note = coalesce(a.error_message, '')
            WHERE submission_id = s.submission_id;
            CONTINUE;
        END IF;
        IF s.state = 'open' THEN
            UPDATE submissions SET state = 'uploaded' WHERE submission_id = s.submission_id;
        END IF;
        IF s.state IN ('open', 'uploaded') THEN
            UPDATE submissions SET state = 'processing' WHERE submission_id = s.submission_id;
        END IF;
        IF a.status = 'ready' AND s.state <> 'in_review' THEN
            PERFORM put_into_review(s.submission_id, a.kind);
        END IF;
    END LOOP;
END $$;

-- A container says video or sound only when it was opened: what a task does not take goes back.
CREATE FUNCTION put_into_review(wanted text, kind text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT FROM submissions s JOIN tasks t USING (task_id), unnest(t.types) AS p (pattern)
               WHERE s.submission_id = wanted AND split_part(pattern, '/', 1) NOT IN ('audio', 'video', 'image'))
       OR EXISTS (SELECT FROM submissions s JOIN tasks t USING (task_id), unnest(t.types) AS p (pattern)
                  WHERE s.submission_id = wanted AND split_part(pattern, '/', 1) = kind) THEN
        UPDATE submissions SET state = 'in_review' WHERE submission_id = wanted;
    ELSE
        UPDATE submissions SET state = 'needs_changes', reason_codes = '{wrong_kind}',
                               note = format('the file is %s, which the task does not take', kind)
        WHERE submission_id = wanted;
    END IF;
END $$;

CREATE FUNCTION submissions_follow_asset() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM follow_asset(NEW.asset_id);
    RETURN NULL;
END $$;
CREATE TRIGGER assets_submissions_follow AFTER UPDATE OF status ON assets
    FOR EACH ROW WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION submissions_follow_asset();

-- An upload that is complete has an asset, its own or one that had the same bytes before.
CREATE FUNCTION submissions_follow_upload() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    s submissions;
BEGIN
    SELECT * INTO s FROM submissions WHERE submission_id = NEW.submission_id AND state = 'open' FOR UPDATE;
    IF s.submission_id IS NULL OR s.asset_id <> OLD.asset_id THEN RETURN NULL; END IF;
    IF EXISTS (SELECT FROM submissions o WHERE o.task_id = s.task_id AND o.asset_id = NEW.asset_id
               AND o.submission_id <> s.submission_id AND o.state <> 'rejected') THEN
        UPDATE submissions SET state = 'needs_changes', asset_id = NULL, reason_codes = '{duplicate}',
                               note = 'the same bytes were sent in for this task before'
        WHERE submission_id = s.submission_id;
        RETURN NULL;
    END IF;
    UPDATE submissions SET state = 'uploaded', asset_id = NEW.asset_id WHERE submission_id = s.submission_id;
    IF NEW.reused THEN
        PERFORM follow_asset(NEW.asset_id);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER uploads_submissions_follow AFTER UPDATE OF state ON uploads
    FOR EACH ROW WHEN (OLD.state = 'open' AND NEW.state = 'completed' AND NEW.submission_id IS NOT NULL)
    EXECUTE FUNCTION submissions_follow_upload();

-- Media that is deleted takes with it what was never sent in; what was stays, without it.
CREATE FUNCTION submissions_lose_asset() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM submissions WHERE asset_id = OLD.asset_id AND state = 'open' AND round = 1;
    UPDATE submissions SET state = 'needs_changes', asset_id = NULL, note = '',
                           reason_codes = CASE state WHEN 'open' THEN '{upload_aborted}' ELSE '{media_deleted}' END::text[]
    WHERE asset_id = OLD.asset_id AND state IN ('open', 'uploaded', 'processing', 'in_review');
    UPDATE submissions SET asset_id = NULL WHERE asset_id = OLD.asset_id;
    RETURN OLD;
END $$;
CREATE TRIGGER assets_submissions_lose BEFORE DELETE ON assets FOR EACH ROW EXECUTE FUNCTION submissions_lose_asset();

CREATE TRIGGER tasks_no_truncate BEFORE TRUNCATE ON tasks EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER submissions_no_truncate BEFORE TRUNCATE ON submissions EXECUTE FUNCTION refuse_audit_change();

-- Reviews are recorded by the database itself: taken and put back, every decision, every link.
CREATE FUNCTION audit_review() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO audit_records (subject, subject_owner, subject_team, role, ip, user_agent, request_id,
                               action, kind, thing, owner, team, until, details)
    SELECT a.*, CASE WHEN NEW.holder IS NULL THEN 'review.released' ELSE 'review.taken' END, 'submission',
           NEW.submission_id, NEW.owner, NEW.team, NEW.lease_until,
           jsonb_build_object('task_id', NEW.task_id, 'round', NEW.round, 'tier', NEW.tier,
                              'validator', coalesce(NEW.holder, OLD.holder))
    FROM audit_actor() AS a;
    RETURN NULL;
END $$;
CREATE TRIGGER submissions_audit_review AFTER UPDATE OF holder ON submissions
    FOR EACH ROW WHEN (OLD.holder IS DISTINCT FROM NEW.holder AND OLD.state = NEW.state AND OLD.tier = NEW.tier)
    EXECUTE FUNCTION audit_review();

CREATE FUNCTION audit_decision() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO audit_records (subject, subject_owner, subject_team, role, ip, user_agent, request_id,
                               action, kind, thing, owner, team, details)
    SELECT a.*, 'review.decided', 'submission', NEW.submission_id, NEW.owner, NEW.team,
           jsonb_build_object('verdict', NEW.verdict, 'round', NEW.round, 'tier', NEW.tier, 'validator', NEW.validator,
                              'reason_codes', NEW.reason_codes, 'note', NEW.note)
    FROM audit_actor() AS a;
    RETURN NULL;
END $$;
CREATE TRIGGER review_decisions_audit AFTER INSERT ON review_decisions FOR EACH ROW EXECUTE FUNCTION audit_decision();

CREATE FUNCTION audit_review_link() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO audit_records (subject, subject_owner, subject_team, role, ip, user_agent, request_id,
                               action, kind, thing, owner, team, until, details)
    SELECT a.*, CASE WHEN TG_OP = 'INSERT' THEN 'review_link.created' ELSE 'review_link.revoked' END, 'review_link',
           NEW.link_id, NEW.owner, NEW.team, coalesce(NEW.revoked_at, NEW.expires_at),
           jsonb_build_object('submission_id', NEW.submission_id, 'may_decide', NEW.may_decide, 'title', NEW.title,
                              'validator', NEW.validator)
    FROM audit_actor() AS a;
    RETURN NULL;
END $$;
CREATE TRIGGER review_links_audit AFTER INSERT ON review_links FOR EACH ROW EXECUTE FUNCTION audit_review_link();
CREATE TRIGGER review_links_audit_revoked AFTER UPDATE OF revoked_at ON review_links
    FOR EACH ROW WHEN (OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL) EXECUTE FUNCTION audit_review_link();

CREATE FUNCTION audit_task() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO audit_records (subject, subject_owner, subject_team, role, ip, user_agent, request_id,
                               action, kind, thing, owner, team, details)
    SELECT a.*, CASE WHEN TG_OP = 'INSERT' THEN 'task.created' WHEN OLD.state = NEW.state THEN 'task.changed'
                     WHEN NEW.state = 'closed' THEN 'task.closed' ELSE 'task.opened' END,
           'task', NEW.task_id, NEW.owner, NEW.team, to_jsonb(NEW) - '{task_id,owner,team,created_at,updated_at}'::text[]
    FROM audit_actor() AS a;
    RETURN NULL;
END $$;
CREATE TRIGGER tasks_audit AFTER INSERT OR UPDATE ON tasks FOR EACH ROW EXECUTE FUNCTION audit_task();
