-- What a ledger of version 2 may hold: a run in each state. For tests.

INSERT INTO jobs (id, name, digest) VALUES (1, 'shop', 'd');
INSERT INTO runs (id, job, file, owner, state, created, finished, built_by, hold, consistency, manifest)
VALUES
    ('new', 1, '/in/shop.yaml', 'daemon', 'running', '1', NULL, NULL, NULL, NULL, NULL),
    ('reserved', 1, '/in/shop.yaml', 'daemon', 'running', '2', NULL, NULL, NULL, NULL, NULL),
    ('reading', 1, '/in/shop.yaml', 'daemon', 'running', '3', NULL,
     '{"longshore":"0.5.0","plugins":["ab","cd"]}',
     '{"held":{"token":"00000003-1","label":"PostgreSQL 17","holder":true}}', 'snapshot', NULL),
    ('committing', 1, '/in/shop.yaml', 'daemon', 'committing', '4', NULL,
     '{"longshore":"0.5.0","plugins":["ab"]}', '{"unavailable":"a standby"}', 'per-chunk',
     '{"tables":[1]}'),
    ('succeeded', 1, '/in/shop.yaml', 'daemon', 'succeeded', '5', '5', '{}',
     '{"unavailable":"a standby"}', 'snapshot', NULL),
    ('failed', 1, '/in/shop.yaml', 'daemon', 'failed', '6', '6', NULL, NULL, NULL, NULL),
    ('cancelled', 1, '/in/shop.yaml', 'command', 'cancelled', '7', '7', NULL, NULL, NULL, NULL);
INSERT INTO relations (run, position, spot, scans) VALUES
    ('reserved', 0,
     '{"run":"reserved","relation":"orders","name":"orders_v2","mode":"version"}', NULL),
    ('reading', 0,
     '{"run":"reading","relation":"orders","name":"orders_v2","mode":"version"}',
     '[{"input":0,"projection":["id"],"filter":null,"limit":9,"consistency":"snapshot","strategy":"pages"}]');
INSERT INTO chunks (run, relation, scan, chunk, label, descriptor, rows, bytes) VALUES
    ('reading', 0, 0, 0, '0', x'0000ff', 0, NULL),
    ('reading', 0, 0, 1, '1', x'0100ff', 1, NULL),
    ('reading', 0, 0, 2, '2', x'0200ff', 2, NULL);
INSERT INTO tasks (run, relation, chunk, attempts, done) VALUES ('reading', 0, 0, 1, 1);
INSERT INTO parts (run, relation, task, file, chunk, rows, bytes, sha256, token) VALUES
    ('reading', 0, 0, 'part-0', 0, 1, 2, 'ab', 't'),
    ('reading', 0, 0, 'sunk', 0, 1, 2, '', 't');
INSERT INTO takes (run, deaths, under_way) VALUES ('reading', 1, 1);
