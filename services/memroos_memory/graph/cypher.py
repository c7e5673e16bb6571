"""The graph in Neo4j: its statements. All labels begin with Memroos, since the server may hold more."""

PREPARE = (
    "CREATE CONSTRAINT memroos_entity IF NOT EXISTS FOR (e:MemroosEntity) REQUIRE (e.scope, e.name) IS UNIQUE",
    "CREATE CONSTRAINT memroos_item IF NOT EXISTS FOR (i:MemroosItem) REQUIRE (i.scope, i.seq) IS UNIQUE",
    "CREATE CONSTRAINT memroos_whole IF NOT EXISTS FOR (w:MemroosWhole) REQUIRE w.one IS UNIQUE",
    "CREATE INDEX memroos_relation IF NOT EXISTS FOR ()-[r:MEMROOS_RELATION]-() ON (r.scope, r.item)",
)

FORGET_RELATIONS = """
UNWIND $items AS seq
MATCH ()-[r:MEMROOS_RELATION {scope: $scope, item: seq}]->()
DELETE r
"""
MENTIONED = """
UNWIND $items AS seq
MATCH (:MemroosItem {scope: $scope, seq: seq})-[:MEMROOS_MENTIONS]->(e:MemroosEntity)
RETURN DISTINCT e.name
"""
FORGET_ITEMS = """
UNWIND $items AS seq
MATCH (i:MemroosItem {scope: $scope, seq: seq})
DETACH DELETE i
"""
DROP_ORPHANS = """
UNWIND $names AS name
MATCH (e:MemroosEntity {scope: $scope, name: name})
WHERE NOT EXISTS { (e)<-[:MEMROOS_MENTIONS]-() }
DETACH DELETE e
"""
ADD_ITEMS = """
UNWIND $items AS item
MERGE (i:MemroosItem {scope: $scope, seq: item.seq})
SET i.id = item.id
WITH i, item
UNWIND item.entities AS name
MERGE (e:MemroosEntity {scope: $scope, name: name})
MERGE (i)-[:MEMROOS_MENTIONS]->(e)
"""
ADD_RELATIONS = """
UNWIND $relations AS row
MATCH (s:MemroosEntity {scope: $scope, name: row.subject})
MATCH (o:MemroosEntity {scope: $scope, name: row.object})
MERGE (s)-[r:MEMROOS_RELATION {scope: $scope, item: row.item, type: row.type}]->(o)
SET r.valid_from = row.valid_from, r.valid_to = row.valid_to
"""

_HOLDS = """
($at IS NULL OR ((r.valid_from IS NULL OR r.valid_from <= $at) AND (r.valid_to IS NULL OR r.valid_to > $at)))
"""
_MENTIONS = "COUNT { (e)<-[:MEMROOS_MENTIONS]-() }"

NAMED = f"""
UNWIND $scopes AS scope
UNWIND $names AS name
MATCH (e:MemroosEntity {{scope: scope, name: name}})
RETURN e.scope, e.name, {_MENTIONS}
"""
STEP = f"""
UNWIND $names AS name
MATCH (:MemroosEntity {{scope: $scope, name: name}})-[r:MEMROOS_RELATION]-(e:MemroosEntity)
WHERE {_HOLDS}
WITH DISTINCT e LIMIT $rows
RETURN e.scope, e.name, {_MENTIONS}
"""
MENTIONING = """
UNWIND $names AS name
MATCH (e:MemroosEntity {scope: $scope, name: name})<-[:MEMROOS_MENTIONS]-(i:MemroosItem)
RETURN name, collect(i.seq)
"""
NEIGHBOURS = f"""
UNWIND $scopes AS scope
UNWIND $names AS name
MATCH (:MemroosEntity {{scope: scope, name: name}})-[r:MEMROOS_RELATION]-()
WHERE {_HOLDS}
WITH DISTINCT r, startNode(r) AS s, endNode(r) AS o
WITH r.scope AS scope, s.name AS subject, r.type AS type, o.name AS object,
     r.valid_from AS valid_from, r.valid_to AS valid_to, collect(r.item) AS items
RETURN scope, subject, type, object, valid_from, valid_to, items
ORDER BY scope, subject, type, object, coalesce(valid_from, $never), coalesce(valid_to, $never)
LIMIT $limit
"""

MARK_WHOLE = "MERGE (:MemroosWhole {one: 1})"
UNMARK_WHOLE = "MATCH (w:MemroosWhole) DELETE w"
IS_WHOLE = "RETURN COUNT { MATCH (w:MemroosWhole) } > 0, COUNT { MATCH (i:MemroosItem) }"
COUNT = """
RETURN COUNT { MATCH (i:MemroosItem) }, COUNT { MATCH (e:MemroosEntity) }, COUNT { MATCH ()-[r:MEMROOS_RELATION]->() }
"""
DELETE_SOME = tuple(
    f"MATCH (n:{label}) WITH n LIMIT $some DETACH DELETE n RETURN count(*)"
    for label in ("MemroosItem", "MemroosEntity")
)
