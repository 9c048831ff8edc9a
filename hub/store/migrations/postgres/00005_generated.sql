-- +goose Up
CREATE TABLE generated (
  cluster_uid TEXT NOT NULL,
  bundle TEXT NOT NULL,
  -- object is the JSON of its identity, pointer that of the field in it; value is encrypted.
  object TEXT NOT NULL,
  pointer TEXT NOT NULL,
  value BYTEA NOT NULL,
  PRIMARY KEY (cluster_uid, bundle, object, pointer)
);
