"""The graph's tables in its SQLite file, and its statements."""

APPLICATION_ID = 0x4D524752
"""Says that a file is a graph of ours, and of this form; another one is replaced."""

TABLES = """
CREATE TABLE whole (one INTEGER PRIMARY KEY CHECK (one = 1));  -- has a row once everything was put
CREATE TABLE item (
    scope_seq INTEGER NOT NULL, item_seq INTEGER NOT NULL, item_id TEXT NOT NULL,
    PRIMARY KEY (scope_seq, item_seq)
) WITHOUT ROWID;
CREATE TABLE entity (
    seq INTEGER PRIMARY KEY, scope_seq INTEGER NOT NULL, name TEXT NOT NULL, mentions INTEGER NOT NULL DEFAULT 0,
    UNIQUE (scope_seq, name)
);
CREATE TABLE mention (
    scope_seq INTEGER NOT NULL, item_seq INTEGER NOT NULL, entity INTEGER NOT NULL,
    PRIMARY KEY (scope_seq, item_seq, entity)
) WITHOUT ROWID;
CREATE INDEX ix_mention_entity ON mention (entity, item_seq);
CREATE TABLE relation (
    src INTEGER NOT NULL, type TEXT NOT NULL, dst INTEGER NOT NULL, item_seq INTEGER NOT NULL,
    scope_seq INTEGER NOT NULL, valid_from INTEGER, valid_to INTEGER,
    PRIMARY KEY (src, type, dst, item_seq)
) WITHOUT ROWID;
CREATE INDEX ix_relation_dst ON relation (dst, type, src);
CREATE INDEX ix_relation_item ON relation (scope_seq, item_seq);
CREATE TRIGGER mention_counts AFTER INSERT ON mention
BEGIN UPDATE entity SET mentions = mentions + 1 WHERE seq = NEW.entity; END;
CREATE TRIGGER mention_goes AFTER DELETE ON mention
BEGIN
    UPDATE entity SET mentions = mentions - 1 WHERE seq = OLD.entity;
    DELETE FROM entity WHERE seq = OLD.entity AND mentions = 0;
END;
"""

FORGET = (
    "DELETE FROM relation WHERE scope_seq = :scope_seq AND item_seq = :item_seq",
    "DELETE FROM mention WHERE scope_seq = :scope_seq AND item_seq = :item_seq",
    "DELETE FROM item WHERE scope_seq = :scope_seq AND item_seq = :item_seq",
)
ADD_ITEM = "INSERT INTO item (scope_seq, item_seq, item_id) VALUES (:scope_seq, :item_seq, :item_id)"
ADD_ENTITY = "INSERT INTO entity (scope_seq, name) VALUES (:scope_seq, :name) ON CONFLICT DO NOTHING"
ADD_MENTION = """
INSERT INTO mention (scope_seq, item_seq, entity)
SELECT :scope_seq, :item_seq, seq FROM entity WHERE scope_seq = :scope_seq AND name = :name
"""
ADD_RELATION = """
INSERT INTO relation (src, type, dst, item_seq, scope_seq, valid_from, valid_to)
SELECT src.seq, :type, dst.seq, :item_seq, :scope_seq, :valid_from, :valid_to FROM entity AS src, entity AS dst
WHERE src.scope_seq = :scope_seq AND src.name = :subject AND dst.scope_seq = :scope_seq AND dst.name = :object
"""
MARK_WHOLE = "INSERT INTO whole (one) VALUES (1) ON CONFLICT DO NOTHING"

_HOLDS = """
(:at IS NULL OR ((valid_from IS NULL OR valid_from <= :at) AND (valid_to IS NULL OR valid_to > :at)))
"""

# Two arms, and CROSS JOIN, which fixes the order of the join: each step is two searches in an index. With the two
# directions in one arm the planner scans all relations at every step, three hundred times slower.
REACH = f"""
WITH RECURSIVE near (entity, depth) AS (
    SELECT seq, 0 FROM json_each(:scopes) AS scope CROSS JOIN json_each(:names) AS name CROSS JOIN entity
    WHERE entity.scope_seq = scope.value AND entity.name = name.value
    UNION
    SELECT relation.dst, near.depth + 1 FROM near CROSS JOIN entity ON entity.seq = near.entity
    CROSS JOIN relation ON relation.src = near.entity
    WHERE near.depth < :hops AND entity.mentions <= :hub AND {_HOLDS}
    UNION
    SELECT relation.src, near.depth + 1 FROM near CROSS JOIN entity ON entity.seq = near.entity
    CROSS JOIN relation ON relation.dst = near.entity
    WHERE near.depth < :hops AND entity.mentions <= :hub AND {_HOLDS}
    LIMIT :rows
)
SELECT min(near.depth), entity.mentions, entity.scope_seq, entity.name, entity.seq
FROM near CROSS JOIN entity ON entity.seq = near.entity GROUP BY near.entity
"""  # noqa: S608 - nothing in it comes from outside
MENTIONING = "SELECT item_seq FROM mention WHERE entity = :entity"

NEIGHBOURS = f"""
WITH named (entity) AS (
    SELECT seq FROM json_each(:scopes) AS scope CROSS JOIN json_each(:names) AS name CROSS JOIN entity
    WHERE entity.scope_seq = scope.value AND entity.name = name.value
), touching AS (
    SELECT relation.* FROM named CROSS JOIN relation ON relation.src = named.entity WHERE {_HOLDS}
    UNION
    SELECT relation.* FROM named CROSS JOIN relation ON relation.dst = named.entity WHERE {_HOLDS}
)
SELECT touching.scope_seq, src.name, touching.type, dst.name, valid_from, valid_to, json_group_array(touching.item_seq)
FROM touching CROSS JOIN entity AS src ON src.seq = touching.src CROSS JOIN entity AS dst ON dst.seq = touching.dst
GROUP BY touching.scope_seq, src.name, touching.type, dst.name, valid_from, valid_to
ORDER BY touching.scope_seq, src.name, touching.type, dst.name, valid_from, valid_to  -- NULL comes first
LIMIT :limit
"""  # noqa: S608 - nothing in it comes from outside
COUNT = "SELECT (SELECT count(*) FROM item), (SELECT count(*) FROM entity), (SELECT count(*) FROM relation)"
IS_WHOLE = "SELECT count(*) FROM whole"
ITEMS = "SELECT count(*) FROM item"
