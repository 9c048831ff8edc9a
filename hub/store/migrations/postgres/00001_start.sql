-- +goose Up
CREATE TABLE meta (
  id INTEGER PRIMARY KEY,
  fleet_id TEXT NOT NULL,
  epoch TEXT NOT NULL,
  write_mark BIGINT NOT NULL
);
CREATE TABLE leaders (
  id INTEGER PRIMARY KEY,
  process TEXT NOT NULL,
  term BIGINT NOT NULL,
  until BIGINT NOT NULL
);
CREATE TABLE clusters (
  uid TEXT PRIMARY KEY,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  labels TEXT NOT NULL DEFAULT '{}',
  epoch TEXT NOT NULL,
  generation BIGINT NOT NULL,
  set_hash BYTEA NOT NULL,
  accepted_epoch TEXT NOT NULL DEFAULT '',
  accepted_generation BIGINT NOT NULL DEFAULT 0,
  accepted_hash BYTEA,
  refused TEXT NOT NULL DEFAULT '',
  relearn BOOLEAN NOT NULL DEFAULT FALSE,
  relearn_report BYTEA,
  session BIGINT NOT NULL DEFAULT 0,
  sequence BIGINT NOT NULL DEFAULT 0,
  process TEXT NOT NULL DEFAULT '',
  instance TEXT NOT NULL DEFAULT '',
  previous_instance TEXT NOT NULL DEFAULT '',
  claimed BIGINT NOT NULL DEFAULT 0,
  connected BOOLEAN NOT NULL DEFAULT FALSE,
  last_seen BIGINT NOT NULL DEFAULT 0,
  agent_version TEXT NOT NULL DEFAULT '',
  kubernetes_version TEXT NOT NULL DEFAULT '',
  api_versions TEXT NOT NULL DEFAULT '[]',
  nodes INTEGER NOT NULL DEFAULT 0,
  revoked_before BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX clusters_name ON clusters (namespace, name, uid);
CREATE TABLE bundles (
  bundle TEXT PRIMARY KEY,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  repo TEXT NOT NULL,
  path TEXT NOT NULL,
  commit_sha TEXT NOT NULL,
  tree_hash TEXT NOT NULL,
  spec BYTEA NOT NULL,
  frozen TEXT NOT NULL DEFAULT ''
);
CREATE INDEX bundles_repo ON bundles (repo);
CREATE INDEX bundles_name ON bundles (namespace, name);
CREATE TABLE revisions (
  digest TEXT PRIMARY KEY,
  created BIGINT NOT NULL
);
CREATE TABLE blobs (
  digest TEXT PRIMARY KEY,
  data BYTEA NOT NULL,
  created BIGINT NOT NULL
);
CREATE TABLE revision_blobs (
  revision TEXT NOT NULL REFERENCES revisions (digest) ON DELETE CASCADE,
  digest TEXT NOT NULL,
  PRIMARY KEY (revision, digest)
);
CREATE INDEX revision_blobs_digest ON revision_blobs (digest);
CREATE TABLE deliveries (
  cluster_uid TEXT NOT NULL,
  bundle TEXT NOT NULL,
  namespace TEXT NOT NULL,
  cluster TEXT NOT NULL,
  target_revision TEXT NOT NULL DEFAULT '',
  target TEXT NOT NULL DEFAULT '{}',
  assigned_revision TEXT NOT NULL DEFAULT '',
  assigned TEXT NOT NULL DEFAULT '{}',
  previous_revision TEXT NOT NULL DEFAULT '',
  previous TEXT NOT NULL DEFAULT '{}',
  reason TEXT NOT NULL DEFAULT '',
  message TEXT NOT NULL DEFAULT '',
  tombstone TEXT NOT NULL DEFAULT '',
  generation BIGINT NOT NULL DEFAULT 0,
  updated BIGINT NOT NULL,
  state TEXT NOT NULL DEFAULT '',
  observed_revision TEXT NOT NULL DEFAULT '',
  applied_revision TEXT NOT NULL DEFAULT '',
  observed_state TEXT NOT NULL DEFAULT '',
  observed_message TEXT NOT NULL DEFAULT '',
  observed_changed BIGINT NOT NULL DEFAULT 0,
  objects INTEGER NOT NULL DEFAULT 0,
  applied INTEGER NOT NULL DEFAULT 0,
  ready INTEGER NOT NULL DEFAULT 0,
  drifted INTEGER NOT NULL DEFAULT 0,
  failed INTEGER NOT NULL DEFAULT 0,
  prune_pending INTEGER NOT NULL DEFAULT 0,
  hold_id TEXT NOT NULL DEFAULT '',
  hold_objects INTEGER NOT NULL DEFAULT 0,
  hold_budget INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (cluster_uid, bundle)
);
CREATE INDEX deliveries_changed ON deliveries (cluster_uid, generation);
CREATE INDEX deliveries_bundle ON deliveries (bundle);
CREATE INDEX deliveries_list ON deliveries (namespace, cluster, bundle, cluster_uid);
CREATE INDEX deliveries_state ON deliveries (namespace, state, cluster, bundle, cluster_uid);
CREATE INDEX deliveries_by_bundle ON deliveries (namespace, bundle, cluster_uid);
CREATE TABLE objects (
  cluster_uid TEXT NOT NULL,
  bundle TEXT NOT NULL,
  namespace TEXT NOT NULL,
  cluster TEXT NOT NULL,
  object_group TEXT NOT NULL,
  kind TEXT NOT NULL,
  object_namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  state TEXT NOT NULL,
  message TEXT NOT NULL,
  since BIGINT NOT NULL,
  PRIMARY KEY (cluster_uid, bundle, object_group, kind, object_namespace, name)
);
CREATE INDEX objects_list ON objects (namespace, cluster, bundle);
CREATE TABLE policy_results (
  id BIGSERIAL PRIMARY KEY,
  cluster_uid TEXT NOT NULL,
  bundle TEXT NOT NULL,
  namespace TEXT NOT NULL,
  cluster TEXT NOT NULL,
  policy TEXT NOT NULL,
  action TEXT NOT NULL,
  result TEXT NOT NULL,
  object_group TEXT NOT NULL,
  kind TEXT NOT NULL,
  object_namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  message TEXT NOT NULL,
  source TEXT NOT NULL,
  policy_source TEXT NOT NULL,
  exemption TEXT NOT NULL
);
CREATE INDEX policy_results_pair ON policy_results (cluster_uid, bundle);
CREATE INDEX policy_results_list ON policy_results (namespace, id);
CREATE TABLE history (
  id BIGSERIAL PRIMARY KEY,
  time BIGINT NOT NULL,
  namespace TEXT NOT NULL,
  cluster TEXT NOT NULL,
  bundle TEXT NOT NULL,
  type TEXT NOT NULL,
  from_value TEXT NOT NULL,
  to_value TEXT NOT NULL,
  commit_sha TEXT NOT NULL,
  actor TEXT NOT NULL,
  message TEXT NOT NULL
);
CREATE INDEX history_list ON history (namespace, id);
CREATE INDEX history_cluster ON history (namespace, cluster, id);
CREATE INDEX history_time ON history (time);
CREATE TABLE tokens (
  hash TEXT PRIMARY KEY,
  namespace TEXT NOT NULL,
  cluster TEXT NOT NULL,
  cluster_uid TEXT NOT NULL,
  expires BIGINT NOT NULL,
  uses INTEGER NOT NULL,
  rejoin BOOLEAN NOT NULL
);
CREATE TABLE token_uses (
  hash TEXT NOT NULL,
  public_key_hash TEXT NOT NULL,
  used BIGINT NOT NULL,
  PRIMARY KEY (hash, public_key_hash)
);
CREATE TABLE certificates (
  serial TEXT PRIMARY KEY,
  cluster_uid TEXT NOT NULL,
  public_key_hash TEXT NOT NULL,
  issued BIGINT NOT NULL,
  expires BIGINT NOT NULL,
  revoked BOOLEAN NOT NULL DEFAULT FALSE
);
CREATE INDEX certificates_cluster ON certificates (cluster_uid);
CREATE TABLE requests (
  id TEXT PRIMARY KEY,
  created BIGINT NOT NULL,
  kind TEXT NOT NULL,
  token_hash TEXT NOT NULL,
  public_key_hash TEXT NOT NULL,
  csr BYTEA NOT NULL,
  cluster_uid TEXT NOT NULL,
  old_serial TEXT NOT NULL,
  answer TEXT NOT NULL DEFAULT ''
);
CREATE INDEX requests_open ON requests (created) WHERE answer = '';
CREATE TABLE commands (
  id TEXT PRIMARY KEY,
  cluster_uid TEXT NOT NULL,
  command BYTEA NOT NULL,
  created BIGINT NOT NULL,
  deadline BIGINT NOT NULL,
  answered BOOLEAN NOT NULL DEFAULT FALSE,
  failure TEXT NOT NULL DEFAULT ''
);
CREATE INDEX commands_open ON commands (cluster_uid, answered);
CREATE TABLE words (
  namespace TEXT NOT NULL,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  decision TEXT NOT NULL,
  actor TEXT NOT NULL,
  time BIGINT NOT NULL,
  PRIMARY KEY (namespace, kind, subject)
);
CREATE TABLE audit (
  id BIGSERIAL PRIMARY KEY,
  time BIGINT NOT NULL,
  actor TEXT NOT NULL,
  verb TEXT NOT NULL,
  resource TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  detail TEXT NOT NULL
);
CREATE INDEX audit_list ON audit (namespace, id);
