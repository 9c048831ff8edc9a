-- +goose Up
-- Queries of one hub process that another one, which has the cluster's stream, puts to the agent; and their answers.
CREATE TABLE queries (
  id TEXT PRIMARY KEY,
  cluster_uid TEXT NOT NULL,
  query BLOB NOT NULL,
  deadline BIGINT NOT NULL,
  process TEXT NOT NULL DEFAULT ''
);
CREATE INDEX queries_open ON queries (deadline) WHERE process = '';
CREATE TABLE answers (
  query TEXT NOT NULL,
  part BIGINT NOT NULL,
  data BLOB NOT NULL,
  PRIMARY KEY (query, part)
);
